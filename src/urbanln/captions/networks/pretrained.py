"""Models by folder or hub name: loaded with errors for people, and told apart by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes

_SAMPLE = 1 << 16
_LONGEST_REASON = 400


def load_pretrained(kind: Any, name_or_folder: str, what: str, **options: Any) -> Any:
    """``kind.from_pretrained`` of a folder or a name on the model hub.

    Args:
        kind: A class of transformers.
        name_or_folder: Where the model is.
        what: Of the model, for the error: ``"SAM"``.
        options: Further arguments.

    Raises:
        InputError: No such model, another kind of model, damaged files, or a package that its classes need
            and that is not installed.
    """
    try:
        return kind.from_pretrained(name_or_folder, **options)
    except Exception as error:  # transformers raises whatever its readers stumble over
        remedy = "name a folder with the model and its processor, or a model of a hub that can be reached"
        if isinstance(error, ImportError):
            remedy = "install the package it names, or take a model that does without"
        raise InputError(
            f"no {what} model could be loaded",
            value=f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST_REASON]}",
            where=name_or_folder,
            remedy=remedy,
        ) from error


def revision_of(name_or_folder: str, config: Any = None) -> str:
    """What tells two models of one name apart, 12 hexadecimal digits where there is anything to go by.

    Of a folder: names, sizes, beginnings and ends of its files, so that gigabytes need not be read. Of a
    model of the hub: the commit it was loaded from.

    Args:
        name_or_folder: Where the model is.
        config: Its configuration as loaded; only needed for models of the hub.
    """
    folder = Path(name_or_folder)
    if not folder.is_dir():
        return str(getattr(config, "_commit_hash", None) or "")[:12]
    parts = []
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".safetensors", ".bin", ".model", ".txt", ".jinja"):
            size = path.stat().st_size
            with path.open("rb") as file:
                head = file.read(_SAMPLE)
                file.seek(max(size - _SAMPLE, 0))
                parts.append(f"{path.name} {size} {hash_bytes(head + file.read(_SAMPLE))}")
    return hash_bytes("\n".join(parts).encode())[:12]


def version_of(kind: str, name_or_folder: str, config: Any) -> str:
    """Version of a network for keys of facts: its kind, its last name, and what tells it apart."""
    name = name_or_folder.rstrip("/").rpartition("/")[2]
    return f"{kind}:{name}@{revision_of(name_or_folder, config)}"


def usual_device(device: str | None) -> torch.device:
    """The named device; without a name a GPU where there is one, else the CPU."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def multiplies_bf16() -> bool:
    """Whether this machine's processor multiplies bf16 faster than float32.

    Torch's private names, absent from some of its builds: then float32, which is always right.
    """
    checks = (getattr(torch.cpu, f"_is_{part}_supported", None) for part in ("amx_tile", "avx512_bf16"))
    return any(check() for check in checks if check is not None)
