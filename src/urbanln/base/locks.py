"""One process at a time: a lock on a folder or a file, which says who holds it.

The lock is the system's, on a file beside what it is for, so it is free as soon as its owner ends, however
that happens; what is left of a dead owner's file is simply taken over. In the file stands who holds it, for
the one who comes second. Where a disk knows no locks, that note alone is heeded.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from urbanln.base.errors import UrbanLNError
from urbanln.base.files import storing
from urbanln.base.owner import is_alive, this_process
from urbanln.base.parsing import parse_json
from urbanln.base.saying import say

try:
    import fcntl
except ImportError:  # Windows: the note alone is heeded
    fcntl = None  # type: ignore[assignment]

_POLL_SECONDS = 0.5
# What systems say of a disk without locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_told: set[Path] = set()


class BusyError(UrbanLNError):
    """Another process is at work on what only one may work on at a time."""


class Lock:
    """A lock that this process holds, from :func:`take`."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file, self._process = path, file, os.getpid()

    def release(self) -> None:
        """Let others at it; what was released before stays so."""
        if self._file.closed or os.getpid() != self._process:  # a forked child does not own it
            return
        with suppress(OSError):  # while it is held: nobody else's is removed
            self._path.unlink()
        self._file.close()


def take(place: Path, *, wait: bool = False) -> Lock | None:
    """Take the lock on a folder that is there, or on a file that need not be.

    Args:
        place: A folder is locked by the file ``.lock`` in it, a file by ``.NAME.lock`` beside it.
        wait: For the one who holds it.

    Returns:
        The lock; None where another one holds it, and ``wait`` is False.

    Raises:
        StorageError: The folder cannot be written.
    """
    path = _lock_file(place)
    with storing(path):
        while True:
            file = path.open("a+", encoding="utf-8")
            try:
                held = _lock(file, path, wait)
                # Who held it has removed it as the last thing: the next one makes another.
                current = held and _same(file, path)
                if current:
                    _write_note(file)
                    return Lock(path, file)
            except BaseException:
                file.close()
                raise
            file.close()
            if not held and not wait:
                return None
            if not held:
                time.sleep(_POLL_SECONDS)


@contextmanager
def alone(place: Path, doing: str, *, wait: bool = False, remedy: str | None = None) -> Iterator[None]:
    """Be the only one at work on a folder or a file as long as the block lasts.

    Args:
        place: As of :func:`take`.
        doing: What this process does there, for the one who comes second: ``"trains in this folder"``.
        wait: For the one who is at work, and say so, in place of an error.
        remedy: What the second one may do besides waiting.

    Raises:
        BusyError: Another one is at work there.
        StorageError: The folder cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with alone(folder, "works here"):
        ...     take(folder) is None
        True
    """
    lock = take(place)
    if lock is None and wait:
        say(f"waiting for another process that {doing}: {holder(place)}")
        lock = take(place, wait=True)
    if lock is None:
        then = "wait until it has ended, or end it, and run the same command again"
        raise BusyError(
            f"another process {doing}",
            value=holder(place),
            where=place,
            remedy=f"{then}; {remedy}" if remedy else then,
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def alone_in(folder: Path, doing: str, *, remedy: str | None = "or choose another --out") -> Iterator[None]:
    """Be :func:`alone` in a folder that is made where there is none, and goes if an error leaves it empty."""
    is_new = not folder.exists()
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with alone(folder, doing, remedy=remedy):
            yield
    except BaseException:
        if is_new:
            with suppress(OSError):  # something stands in it by now
                folder.rmdir()
        raise


def holder(place: Path) -> str:
    """Who holds the lock on a folder or file, in words."""
    note = _read_note(_lock_file(place))
    if not note:
        return "a process that has not said its name"
    return "process {pid} on {host}, since {since}: {command}".format(
        **{name: note.get(name, "unknown") for name in ("pid", "host", "since", "command")}
    )


def _lock_file(place: Path) -> Path:
    return place / ".lock" if place.is_dir() else place.with_name(f".{place.name}.lock")


def _lock(file: TextIO, path: Path, wait: bool) -> bool:
    """Whether the lock was had."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _tell_no_locks(path.parent)
    owner = str(_read_note(path).get("owner", ""))
    return owner == this_process() or not is_alive(owner)


def _tell_no_locks(folder: Path) -> None:
    if folder not in _told:
        _told.add(folder)
        say(
            f"note: this disk knows no locks, so processes of other machines are not seen: {folder}; "
            "see to it that none of them is at work there"
        )


def _same(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _write_note(file: TextIO) -> None:
    note = {
        "owner": this_process(),
        "pid": os.getpid(),
        "host": os.uname().nodename if hasattr(os, "uname") else "this machine",
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
        "command": _command(),
    }
    with suppress(OSError):  # on a full disk the lock holds without it
        file.truncate(0)
        file.write(json.dumps(note) + "\n")
        file.flush()


def _read_note(path: Path) -> dict[str, Any]:
    try:
        note: dict[str, Any] = parse_json(path.read_bytes(), dict[str, Any])
    except (OSError, ValueError):
        return {}
    return note


def _command() -> str:
    name, verb = Path(sys.argv[0] or "python").name, sys.argv[1:2]
    if name in ("urbanln", "__main__.py"):
        return " ".join(["urbanln", *verb])
    return name
