"""Which network is meant: a run folder's student or teacher, a CLIP's folder or name, or one handed over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.parsing import read_run
from urbanln.city.store import City
from urbanln.embed.stream import PictureEncoder
from urbanln.model.clip import load_clip
from urbanln.model.device import pick_device
from urbanln.model.preprocess import Fit
from urbanln.model.source import find_source

Encoder = Literal["student", "teacher"]

_FOLDERS: Mapping[str, str] = {"student": "model", "teacher": "teacher"}


def model_hashes(model: str | Path, encoder: Encoder = "student") -> dict[str, str]:
    """SHA-256 of the weights that :func:`urbanln.embed.encode.embed_regions` would use, for a table's note.

    Returns:
        ``{"model": sha256}``.

    Raises:
        InputError: No such model.
        ArtefactError: The run is unfinished, or its weights are missing.
    """
    return {"model": find_source(model_folder(model, encoder)).weights_hash()}


def saw_pictures(model: str | Path, city: City) -> bool:
    """Whether a model's pre-training saw the pictures of a city, as far as a run folder tells.

    It did when the run was of these pictures, or of a city of this name: they may have changed since.

    Raises:
        ArtefactError: The run's description is damaged.
    """
    file = Path(model) / "run.toml"
    if not file.is_file():
        return False  # a CLIP as it came
    cities = read_run(file, "run", "cities", shape=list[dict[str, Any]])
    images = city.fingerprint()["images"]
    return any(entry.get("name") == city.name or entry.get("images") == images for entry in cities)


def model_folder(model: str | Path, encoder: Encoder) -> str | Path:
    """Of a run folder the encoder's part, else what was given.

    Raises:
        InputError: No such encoder.
        ArtefactError: The run is unfinished.
    """
    run = Path(model)
    if not (run / "run.toml").is_file():
        return model
    if encoder not in _FOLDERS:
        raise InputError(
            "encoder must be 'student' or 'teacher'",
            value=encoder,
            where="embed.encoder",
            remedy="--set embed.encoder=student",
        )
    part = run / _FOLDERS[encoder]
    if not part.is_dir():
        raise ArtefactError(
            "this run has no model yet", where=run, remedy="run the same 'urbanln pretrain' again; it goes on"
        )
    return part


def load_network(
    model: PictureEncoder | str | Path, encoder: Encoder, fit: Fit, device: str
) -> tuple[PictureEncoder, Fit]:
    """The network that is meant, on its device, and how its pictures are made square.

    Args:
        model, encoder, fit, device: As in :func:`urbanln.embed.encode.embed_regions`.

    Raises:
        InputError: No such model or encoder.
        ArtefactError: The run is unfinished, or its files are damaged.
    """
    if not isinstance(model, str | Path):
        return (model if device == "auto" else model.to(pick_device(device))), fit
    folder = model_folder(model, encoder)
    if folder != model:
        fit = read_run(Path(model) / "run.toml", "train", "fit", shape=Fit)
    return load_clip(folder, context=None).to(pick_device(device)), fit
