"""Checkpoints of a run: written whole, verified when read, and enough to go on bit for bit.

``checkpoint/step-00000123/`` holds safetensors and one JSON file, no pickle. The newest complete folder
counts: a folder is complete when it has its name, since it is renamed into place. The last two are kept, so
that a damaged one costs steps and not the run. No generator state is in it: the random numbers of a step
are a function of (seed, step).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import SCHEMA_VERSION, atomic_folder, hash_file, write_json
from urbanln.base.parsing import AGAIN, fitting, read_json
from urbanln.base.saying import say
from urbanln.model.checkpoint import plain_os_errors

KEEP = 2
_STATE = "state.json"

Tensors = dict[str, Tensor]


class _State(TypedDict):
    step: int
    seconds: float
    facts: dict[str, Any]
    sha256: dict[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint holds.

    Attributes:
        step: Optimiser steps done.
        seconds: Time trained so far, over all sittings.
        tensors: By part (``student``, ``teacher``, ``queue``, ``optimizer``), tensors by name, on the CPU.
        facts: JSON values: the gradient scaler's state, the settings' hash.
    """

    step: int
    seconds: float
    tensors: Mapping[str, Tensors]
    facts: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint under ``folder`` whole or not at all, then drop all but the last two.

    Later ones go too: the run passed over them because they are damaged, and their place is a sound one's.

    Raises:
        StorageError: Disk full or read-only; earlier checkpoints stay.
    """
    path = folder / f"step-{checkpoint.step:08d}"
    with atomic_folder(path) as temporary, plain_os_errors():
        for part, tensors in checkpoint.tensors.items():
            plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
            save_file(plain, temporary / f"{part}.safetensors")
        state = {
            "schema_version": SCHEMA_VERSION,
            "step": checkpoint.step,
            "seconds": checkpoint.seconds,
            "facts": dict(checkpoint.facts),
            "sha256": {part: hash_file(temporary / f"{part}.safetensors") for part in checkpoint.tensors},
        }
        write_json(temporary / _STATE, state)
    kept = [other for other in list_checkpoints(folder) if other.name <= path.name][:KEEP]
    for other in list_checkpoints(folder):
        if other not in kept:
            shutil.rmtree(other, ignore_errors=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is undamaged, or None when there is none at all.

    A damaged one is passed over with a warning on stderr.

    Raises:
        ArtefactError: There are checkpoints and every one is damaged.
    """
    paths = list_checkpoints(folder)
    for path in paths:
        try:
            return _load(path)
        except (ArtefactError, InputError) as error:
            say(f"warning: passing over the checkpoint {path.name}: {error.what}")
    if paths:
        raise ArtefactError(
            "every checkpoint of this run is damaged",
            where=folder,
            remedy="choose another --out, or delete this folder to begin again",
        )
    return None


def flatten_optimizer(state: Mapping[int, Mapping[str, Tensor]]) -> Tensors:
    """An optimiser's per-parameter state as tensors named ``<parameter>.<name>``."""
    return {f"{index}.{name}": value for index, held in state.items() for name, value in held.items()}


def unflatten_optimizer(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The inverse of :func:`flatten_optimizer`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return state


def _load(path: Path) -> Checkpoint:
    state = read_json(path / _STATE, dict[str, Any])
    if state.get("schema_version") != SCHEMA_VERSION:
        raise ArtefactError("not a checkpoint of this version", where=path, remedy=AGAIN)
    try:
        fitting(state, _State)
    except ValueError as error:
        raise ArtefactError(f"{_STATE} is damaged", value=str(error), where=path, remedy=AGAIN) from error
    tensors = dict(_read_parts(path, state["sha256"]))
    return Checkpoint(state["step"], float(state["seconds"]), tensors, state["facts"])


def _read_parts(path: Path, hashes: Mapping[str, str]) -> Iterator[tuple[str, Tensors]]:
    for part, expected in hashes.items():
        file = path / f"{part}.safetensors"
        if not file.is_file() or hash_file(file) != expected:
            raise ArtefactError(f"{file.name} is damaged or missing", where=path, remedy=AGAIN)
        # Cloned out of the mapped file: memory laid out as in a run never stopped, and no open file.
        yield part, {name: torch.clone(value) for name, value in load_file(file).items()}
