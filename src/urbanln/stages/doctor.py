"""What this installation is and can do: versions, devices, caches, extras, and what each verb still needs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from urbanln.base.errors import StorageError
from urbanln.base.extras import EXTRAS, install
from urbanln.base.files import cache_folder
from urbanln.base.processes import usable_cores
from urbanln.base.saying import in_bytes
from urbanln.base.version import __version__

# What a processor calls the parts of it that multiply bf16 fast.
_FAST = {"amx_tile": "AMX", "avx512_bf16": "AVX-512 BF16", "bf16": "BF16"}
_CPU, _DRIVER = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/version")


def examine() -> list[str]:
    """Look at this installation; nothing is changed, fetched or sent.

    Returns:
        Lines to print. No value of an environment variable is among them but the folders of caches.
    """
    wanted = _wanted()
    return [
        f"urbanln {__version__}, Python {platform.python_version()} in {sys.prefix}",
        f"  on {platform.system()} {platform.machine()}",
        *("", "packages it always needs", *_packages(wanted)),
        *("", "devices", *_devices()),
        *("", "caches", *_caches()),
        *("", "extras", *_extras(wanted)),
        *("", *_verbs(wanted)),
    ]


def _wanted() -> dict[str, Requirement]:
    """What ``pyproject.toml`` asks for, by package; nothing where this is a source tree on a path."""
    try:
        asked = [Requirement(line) for line in requires("urbanln") or ()]
    except PackageNotFoundError:
        return {}
    return {one.name: one for one in asked if one.name != "urbanln"}


def _fault(name: str, wanted: dict[str, Requirement]) -> str:
    """What is wrong with a package: empty where nothing is."""
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} missing"
    asked = wanted.get(name)
    if asked is None or asked.specifier.contains(found, prereleases=True):
        return ""
    return f"{name} {found}, wanted {asked.specifier}"


def _packages(wanted: dict[str, Requirement]) -> Iterator[str]:
    always = [name for name, one in wanted.items() if one.marker is None]
    if not always:
        yield "  not told: this is a source tree that pip has not installed"
        return
    faults = {name: fault for name in always if (fault := _fault(name, wanted))}
    fine = [f"{name} {version(name)}" for name in always if name not in faults]
    for start in range(0, len(fine), 6):
        yield f"  {', '.join(fine[start : start + 6])}"
    for fault in faults.values():
        yield f"  {fault}: pip install --upgrade urbanln"


def _devices() -> list[str]:
    cores = usable_cores()
    named = [f"{cores} core{'s' if cores > 1 else ''}", *_fast_parts()]
    lines = [f"  cpu   {', '.join(named)}"]
    driver = _DRIVER.is_file()
    try:
        from urbanln.model.device import other_devices, pick_device, pick_precision
    except (ImportError, OSError) as error:  # the second: a library that torch was built for is not here
        if _fault("torch", {}):
            seen = ", and an NVIDIA driver is here" if driver else ""
            return [*lines, f"  not told: CUDA and MPS, which torch sees; it is not installed{seen}"]
        return [*lines, f"  torch is installed and cannot be imported: {error}"]
    others = other_devices()
    lines += [f"  {name}  {what}" for name, what in others.items()]
    if not others:
        unused = ": an NVIDIA driver is here, and this build of torch does not use it" if driver else ""
        lines.append(f"  no CUDA or MPS{unused}")
    device = pick_device()
    return [*lines, f"  taken: {device}, in {pick_precision(device=device)}"]


def _fast_parts() -> list[str]:
    """What of the processor multiplies bf16; only Linux says it without a library."""
    try:
        text = _CPU.read_text(errors="replace")
    except OSError:
        return []
    line = next((one for one in text.splitlines() if one.lower().startswith(("flags", "features"))), "")
    flags = set(line.split())
    return [name for flag, name in _FAST.items() if flag in flags] or ["no bf16"]


def _caches() -> Iterator[str]:
    try:
        folder = cache_folder()
    except StorageError as error:
        yield f"  {error.what}: {error.remedy}"
        return
    parts = sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
    each = ", ".join(f"{part.name} {in_bytes(_size(part))}" for part in parts) or "empty"
    yield f"  {folder}  ({each}; URBANLN_CACHE says where)"
    above = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    writable = "" if os.access(above, os.W_OK) else "; it cannot be written to: set URBANLN_CACHE"
    yield f"    {in_bytes(shutil.disk_usage(above).free)} free{writable}"
    hub = _hub()
    held = in_bytes(_size(hub)) if hub.is_dir() else "empty"
    yield f"  {hub}  ({held}; models of the hub, HF_HUB_CACHE says where)"


def _hub() -> Path:
    """Where huggingface-hub keeps models, by its own variables: it takes a second to import."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or f"{home}/hub"))  # noqa: PTH111


def _size(folder: Path) -> int:
    """Bytes of the files below; links are not followed, what may not be read counts nothing."""
    total, folders = 0, [os.fspath(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif not entry.is_symlink():
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # may not be read, or was removed meanwhile
            continue
    return total


def _extras(wanted: dict[str, Requirement]) -> Iterator[str]:
    for name, extra in EXTRAS.items():
        faults = _faults(name, wanted)
        state = "missing" if faults else "installed"
        yield f"  {name:<12}{state:<11}{extra.adds}"
        held = [one for one in extra.packages if not _fault(one, wanted)]
        told = [*faults, *(f"{one} {version(one)}" for one in held)]
        yield f"  {'':<23}{', '.join(told)}"


def _faults(name: str, wanted: dict[str, Requirement]) -> list[str]:
    return [fault for package in EXTRAS[name].packages if (fault := _fault(package, wanted))]


def _verbs(wanted: dict[str, Requirement]) -> Iterator[str]:
    lacking = [name for name in EXTRAS if _faults(name, wanted)]
    if not lacking:
        yield "every verb works here"
        return
    uses = dict.fromkeys(use for name in lacking for use in EXTRAS[name].uses)
    yield "what does not work here, and what brings it; all else does"
    width = max(map(len, uses)) + 2
    for use in uses:
        yield f"  {use:<{width}}{install(*(name for name in lacking if use in EXTRAS[name].uses))}"
    if len(lacking) > 1:
        yield f"  {'all of it':<{width}}{install(*lacking)}"
