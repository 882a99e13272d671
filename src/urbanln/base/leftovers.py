"""Temporary files beside those they will become, and what kills left of them.

The name of one says who writes it: ``.NAME.tmp-MACHINE.PROCESS.STARTED.RANDOM``. So a later process can tell
what nobody will ever finish from what another one is writing at this moment.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from urbanln.base.owner import is_alive, this_machine, this_process

OLD = "old"
"""Under this name, a folder that is being replaced waits in a temporary one."""
# Processes of other machines cannot be asked: nobody writes one file for so long.
_FOREIGN_SECONDS = 7 * 86_400.0
# The second form is of versions that did not name the process.
_NAME = re.compile(r"\.(.+)\.tmp-(?:([0-9a-f]{8})\.(\d+)\.(\d*)\.[0-9a-f]{8}|[0-9a-f]{16})")
_swept: set[str] = set()


def beside(path: Path) -> Path:
    """A name beside ``path`` that nobody uses, on any machine that sees this folder.

    What ``tempfile`` makes is its owner's alone, and the umask, which says what it should be, cannot be asked
    for without being set, for all threads. What is made under this name follows it by itself.
    """
    _, number, started = this_process().rsplit(":", 2)
    return path.parent / f".{path.name}.tmp-{_mark()}.{number}.{started}.{secrets.token_hex(4)}"


def sweep(folder: Path, names: Iterable[str] | None = None, *, alone: bool = False) -> None:
    """Remove what processes that are no more left half-written in a folder.

    Args:
        folder: The folder; there need be none.
        names: Only what was to have one of these names.
        alone: This process is the only one that writes them (:mod:`urbanln.base.locks`), so all are left.
    """
    own = None if names is None else set(names)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            found = _NAME.fullmatch(entry.name)
            if found and (own is None or found[1] in own) and (alone or _is_left(found, entry)):
                _remove(Path(entry.path), Path(folder, found[1]))


def sweep_once(folder: Path) -> None:
    """:func:`sweep`, the first time that this process comes to a folder."""
    place = os.path.abspath(folder)  # noqa: PTH100 (no links followed: it costs a call per part)
    if place not in _swept:
        _swept.add(place)
        sweep(folder)


def _mark() -> str:
    return hashlib.sha256(this_machine().encode()).hexdigest()[:8]


def _is_left(found: re.Match[str], entry: os.DirEntry[str]) -> bool:
    if found[2] == _mark():
        return not is_alive(f"{this_machine()}:{found[3]}:{found[4]}")
    with suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FOREIGN_SECONDS
    return False


def _remove(path: Path, target: Path) -> None:
    old = path / OLD
    with suppress(OSError):
        # Killed between taking the old folder away and putting the new one in its place.
        if old.is_dir() and not target.exists():
            old.replace(target)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
