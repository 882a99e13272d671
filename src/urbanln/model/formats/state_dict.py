"""A file of weights as named tensors: nothing in it is run, and what trainers wrapped around comes off."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from urbanln.base.errors import ArtefactError, InputError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
# Where trainers put the weights, beside the state of their optimiser.
_WRAPPINGS = ("state_dict", "model_state_dict", "model", "module", "net")
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# What DDP, torch.compile, Lightning and wrappers of one's own put in front of every name.
_PREFIXES = ("module.", "_orig_mod.", "model.", "clip_model.", "clip.", "net.")
_SAFE = "on a machine where you trust this file: torch.save(MODEL.state_dict(), 'weights.pt')"


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint under their bare names.

    Args:
        file: ``.safetensors``, or what ``torch.save`` wrote (``.pt``, ``.pth``, ``.bin``, ``.ckpt``): a state
            dict, bare or under one of the names that trainers use, with or without ``module.`` in front.

    Raises:
        InputError: No such file, a TorchScript archive, a pickle of other objects.
        ArtefactError: It is cut off or damaged, or holds no tensors.
    """
    if file.suffix not in SUFFIXES:
        raise InputError(
            "no file of weights by its ending", value=file.name, where=file,
            remedy=f"give one of {', '.join(SUFFIXES)}, or a folder that holds one",
        )  # fmt: skip
    if not file.is_file():
        raise InputError("no such file", where=file, remedy="check the path")
    found = _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
    return _bare_names(_unwrapped(found, file))


def refuse_unplain(name: str, tensor: Tensor, where: str | Path) -> None:
    """Refuse a weight that is not a plain array of floating-point numbers.

    Raises:
        InputError: It is quantised, of whole or complex numbers, sparse, nested, or without numbers (meta).
    """
    plain = not (tensor.is_quantized or tensor.is_nested or tensor.is_meta) and tensor.layout == torch.strided
    if plain and tensor.dtype in _FLOATS:
        return
    how = str(tensor.dtype if plain or tensor.is_quantized else tensor.layout).removeprefix("torch.")
    raise InputError(
        "these weights are quantised or packed; they cannot be trained on, nor told apart from others",
        value=f"{name}: {'without numbers' if tensor.is_meta else how}",
        where=where,
        remedy="get the checkpoint as plain arrays of float16, bfloat16 or float32",
    )


def _safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtefactError(
            "not a readable safetensors file (cut off, or of another format)",
            value=str(error).splitlines()[0],
            where=file,
            remedy="get the checkpoint again",
        ) from error


def _pickled(file: Path) -> Any:
    if _is_torchscript(file):
        raise InputError(
            "a TorchScript archive: it holds a program, which is not run here",
            where=file,
            remedy="on a machine where you trust this file: "
            "torch.save(torch.jit.load(FILE, 'cpu').state_dict(), 'weights.pt')",
        )
    with file.open("rb") as opened:
        first = opened.read(1)
    # An archive, or a pickle as before torch 1.6. Whatever else there is, torch would unpack as a tar.
    if first not in (b"P", b"\x80"):
        raise _unreadable(file, f"it begins with {first!r}" if first else "it is empty")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises its own, pickle's, zipfile's and plain RuntimeError
        text = str(error)
        if "weights_only" in text or "WeightsUnpickler" in text or "Unsupported global" in text:
            named = next((part for part in text.split() if "." in part and part.isascii()), "")
            raise InputError(
                "a pickle of more than tensors: reading it could run anything",
                value=named[:100] or None,
                where=file,
                remedy=_SAFE,
            ) from error
        raise _unreadable(file, (text.strip() or type(error).__name__).splitlines()[0]) from error


def _unreadable(file: Path, why: str) -> ArtefactError:
    return ArtefactError(
        "not a readable file of weights (cut off, or of another format)",
        value=why,
        where=file,
        remedy="get the checkpoint again",
    )


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("constants.pkl") or "/code/" in name for name in archive.namelist())


def _unwrapped(found: Any, file: Path) -> dict[str, Tensor]:
    while isinstance(found, Mapping):
        inner = next((found[name] for name in _WRAPPINGS if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            break
        found = inner
    tensors = {k: v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise ArtefactError(
            "this file holds no weights by name",
            value=type(found).__name__,
            where=file,
            remedy="give the checkpoint's state dict",
        )
    return tensors


def _bare_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((one for one in _PREFIXES if all(name.startswith(one) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state
