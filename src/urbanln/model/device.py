"""Where to compute, and in which precision."""

from __future__ import annotations

import torch

from urbanln.base.errors import InputError
from urbanln.base.saying import in_bytes

_PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def pick_device(name: str = "auto") -> torch.device:
    """The device to compute on.

    Args:
        name: ``"auto"`` for CUDA, else Apple's MPS, else the CPU; or a name torch knows: ``"cuda:1"``.

    Raises:
        InputError: Not a device, or one that is not here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            "this device cannot be used",
            value=name,
            where=str(error).splitlines()[0],
            remedy="choose 'auto' or 'cpu'",
        ) from error
    return device


def pick_precision(name: str = "auto", device: torch.device | str = "cpu") -> str:
    """The precision to multiply in: ``"fp32"``, ``"bf16"`` or ``"fp16"``.

    Args:
        name: One of these, or ``"auto"``: bf16 where the hardware multiplies it fast, else fp32.
        device: Where the model is.

    Raises:
        InputError: An unknown name, or fp16 on a CPU, where its narrow range brings no speed.
    """
    device = torch.device(device)
    if name not in _PRECISIONS:
        raise InputError(
            f"precision must be one of {', '.join(_PRECISIONS)}",
            value=name,
            where="precision",
            remedy="--set train.precision=auto, or embed.precision",
        )
    if name == "fp16" and device.type == "cpu":
        raise InputError(
            "fp16 is for GPUs",
            value=f"fp16 on {device}",
            remedy="choose bf16, fp32 or auto on a CPU",
            where="precision",
        )
    if name != "auto":
        return name
    return "bf16" if _multiplies_bf16(device) else "fp32"


def other_devices() -> dict[str, str]:
    """Devices here besides the CPU, by the name torch has for each, with what each is."""
    found = {}
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        fast = "bf16" if _multiplies_bf16(torch.device("cuda", number)) else "no bf16"
        found[f"cuda:{number}"] = f"{about.name}, {in_bytes(about.total_memory)}, {fast}"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple's GPU, in fp32"
    return found


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        # Before compute capability 8 torch emulates bf16, slower than fp32.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Private names, absent from some builds of torch: then fp32, which is always right.
        checks = (getattr(torch.cpu, f"_is_{part}_supported", None) for part in ("amx_tile", "avx512_bf16"))
        return any(check() for check in checks if check is not None)
    return False
