"""What the processes of one training agree on; they may be on several machines, each with its own disk.

The run's folder is the first process's: the others need not see it, and never look into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, distributed

from urbanln.base.errors import InputError, placed
from urbanln.train.checkpoint import Checkpoint
from urbanln.train.described import check_same


def agree(engine: Accelerator, note: Mapping[str, Any], finished: bool, file: Path) -> bool:
    """Whether the run was finished before, as the first process knows.

    Args:
        engine: Of this process.
        note: What this process was started with, from :func:`urbanln.train.described.describe_run`.
        finished: What it found in the run's folder.
        file: Where the description stands, for errors.

    Raises:
        InputError: One process was started with something else than the first; in all processes alike.
    """
    (first, finished), *others = gather_object([(note, finished)])
    for number, (other, _) in enumerate(others, start=1):
        with placed(f"process {number} of {engine.num_processes}"):
            check_same(first, other, file, finished=finished)
    return bool(finished)


def agree_on_pairs(engine: Accelerator, marks: str, out: Path) -> None:
    """Make sure that all processes train on the same pairs: a picture may be readable for one of them only.

    Args:
        engine: Of this process.
        marks: What tells its pairs from others.
        out: The run, for errors.

    Raises:
        InputError: They do not; in all processes alike.
    """
    first, *others = gather_object([marks])
    for number, other in enumerate(others, start=1):
        if other != first:
            raise InputError(
                "the processes cannot read the same pictures",
                value=f"process {number} of {engine.num_processes} differs from the first",
                where=out,
                remedy="see what each says it skipped, and give all machines the same city folder",
            )


def from_first(engine: Accelerator, found: Checkpoint | None) -> Checkpoint | None:
    """A checkpoint that the first process read, in every process.

    Args:
        engine: Of this process.
        found: What the first process read; of the others it is not asked.
    """
    if engine.num_processes == 1:
        return found
    told: list[Any] = [None]
    if found is not None:
        told = [(found.step, found.seconds, dict(found.facts), _forms(found.tensors))]
    (about,) = broadcast_object_list(told)
    if about is None:
        return None
    step, seconds, facts, forms = about
    # Tensor by tensor, in the order that the first process has them: a whole one need not fit on a GPU twice.
    tensors: dict[str, dict[str, Tensor]] = {part: {} for part, _, _, _ in forms}
    for part, name, shape, dtype in forms:
        mine = torch.empty(shape, dtype=dtype) if found is None else found.tensors[part][name]
        there = mine.to(engine.device)
        distributed.broadcast(there.reshape(-1).view(torch.uint8), 0)
        tensors[part][name] = there.cpu()
    return Checkpoint(step, seconds, tensors, facts)


def _forms(tensors: Mapping[str, Mapping[str, Tensor]]) -> list[tuple[str, str, torch.Size, torch.dtype]]:
    return [
        (part, name, value.shape, value.dtype)
        for part, held in tensors.items()
        for name, value in held.items()
    ]
