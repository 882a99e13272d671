"""Pixels on disk in packs: written whole or not at all, found by content, mapped and not loaded.

``ROOT/KIND/PACK/`` holds some 64 MB of pictures: ``pixels.npy`` (N, 3, S, S) and ``note.json``, which says
what each row was made from. Only :mod:`urbanln.city.pixel_cache` uses this.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import ArtefactError, InputError, StorageError
from urbanln.base.files import SCHEMA_VERSION, atomic_folder, hash_bytes, read_json, remove_folder, write_json

try:
    import fcntl
except ImportError:  # Windows: two processes may then decode the same, and either result serves both
    fcntl = None  # type: ignore[assignment]

Pixels = npt.NDArray[np.uint8]
PIXELS, NOTE = "pixels.npy", "note.json"
# A kill costs as much, and as much waits in memory to be written. Each pack that is mapped holds a file
# descriptor, of which a process may have 1,024 (256 on macOS).
PACK_BYTES = 64_000_000
_POLL_SECONDS, _PATIENCE_SECONDS = 0.5, 5.0
# Nobody writes one pack for so long: what is older was left behind by a kill.
_LEFTOVER_SECONDS = 3600.0


class MappedPixels:
    """Pictures by position, uint8 (3, S, S) each, read from the disk (or its page cache) when touched."""

    def __init__(self, places: Sequence[tuple[Pixels, int]]) -> None:
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Pixels:
        pixels, row = self._places[i]
        return pixels[row]


def tell_failure(error: StorageError, say: bool) -> None:
    """Say once on stderr that the cache is of no use, and what happens instead."""
    if say:
        where = f" ({error.where})" if error.where else ""
        print(
            f"note: decoded pictures cannot be kept, so they are decoded batch by batch: {error.what}{where}",
            file=sys.stderr,
        )


class Packs:
    """The packs of one kind, and the pictures decoded here that are not written yet.

    One process at a time writes a kind; the others find what it wrote, or take their turn when it ends.

    Args:
        root: Folder of all kinds.
        kind: All that the pixels depend on besides the picture.
        shape: (3, S, S).
        count: Pictures that will be asked for.
        limit_bytes: Room for all kinds together.
        say: Tell on stderr what went wrong.

    Raises:
        StorageError: The folder is there and cannot be read.
    """

    def __init__(
        self, root: Path, kind: str, shape: tuple[int, int, int], count: int, limit_bytes: float, say: bool
    ) -> None:
        self._root, self._kind, self._shape, self._say = root, kind, shape, say
        self._limit, self._to_come, self._size = limit_bytes, count, math.prod(shape)
        self._folder = root / hash_bytes(f"{SCHEMA_VERSION} {kind}".encode())[:16]
        self._known: set[str] = set()  # names of sound packs
        self._found: dict[str, tuple[str, int | str]] = {}  # by content: pack, and row or damage
        self._fresh: dict[str, Pixels | str] = {}
        self._written: list[str] = []
        self._failed = self._my_turn = False
        self._lock: TextIO | None = None
        self._open_new()

    def __contains__(self, sha: str) -> bool:
        return sha in self._found or sha in self._fresh

    def add(self, sha: str, new: Pixels | str | None) -> str | None:
        """Take in pixels or damage (None for what was met before); a disk that fails is told once.

        Returns:
            Why this picture cannot be read, None for a good one.
        """
        self._to_come -= 1
        if new is not None and not self._failed:
            try:
                self._await_turn(sha)
                if sha not in self:
                    self._fresh[sha] = new
                if len(self._fresh) * self._size >= PACK_BYTES:
                    self._write()
            except StorageError as error:
                self._fail(error)
        if new is None:
            return self._damage(sha)
        return new if isinstance(new, str) else None

    def _damage(self, sha: str) -> str | None:
        known = self._found[sha][1] if sha in self._found else self._fresh[sha]
        return known if isinstance(known, str) else None

    def finish(self, contents: Sequence[str]) -> MappedPixels | None:
        """Write the rest, mark what was used and make room; None where not all could be kept."""
        if self._failed:
            return None
        try:
            self._write()
            places = [self._found[sha] for sha in contents]
            mapped = {name: self._map(name) for name, _ in dict.fromkeys(places)}
        except StorageError as error:
            self._fail(error)
            return None
        for name in mapped:
            with suppress(OSError):  # read only, or removed by another process: the map stays good
                os.utime(self._folder / name)
        _make_room(self._root, self._limit, {self._folder / name for name in mapped})
        return MappedPixels([(mapped[name], row) for name, row in places if isinstance(row, int)])

    def _map(self, name: str) -> Pixels:
        try:
            pixels = np.load(self._folder / name / PIXELS, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:  # above all: too many open files
            raise StorageError(f"could not map: {error}", where=self._folder / name) from error
        return np.asarray(pixels)  # without the cost of a memmap per picture

    def release(self) -> None:
        """Let other processes write."""
        if self._lock is not None:
            self._lock.close()

    def _fail(self, error: StorageError) -> None:
        """Give up for this call, and give back the space: the run that goes on needs it for itself."""
        self._failed = True
        for name in self._written:
            remove_folder(self._folder / name)
        tell_failure(error, self._say)

    def _await_turn(self, sha: str) -> None:
        """Return when this process may write, or when the one that does has written this picture."""
        start, told = time.monotonic(), not self._say
        while not self._my_turn:
            self._my_turn = self._take_lock()
            self._open_new()
            if self._my_turn or sha in self:
                return
            if not told and time.monotonic() - start > _PATIENCE_SECONDS:
                told = True
                print(f"waiting for another process that decodes into {self._folder}", file=sys.stderr)
            time.sleep(_POLL_SECONDS)

    def _take_lock(self) -> bool:
        """Whether nobody else writes; the system releases a lock when its owner ends, also by a kill."""
        if fcntl is None:
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / ".lock").open("a")
        except OSError as error:
            raise StorageError(f"could not write: {error.strerror}", where=self._folder) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        except OSError:  # a file system without locks is as good as Windows
            lock.close()
            return True
        self._lock = lock
        return True

    def _open_new(self) -> None:
        try:
            names = sorted(path.name for path in self._folder.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"could not read: {error.strerror}", where=self._folder) from error
        for name in names:
            if name not in self._known:
                self._open(name)

    def _open(self, name: str) -> bool:
        """Read what a pack holds; one removed meanwhile is passed over, a damaged one removed and made again.

        Raises:
            StorageError: It cannot be read, which says nothing about its content.
        """
        folder = self._folder / name
        try:
            found = _contents(read_json(folder / NOTE), folder / PIXELS, self._kind, self._shape)
        except (FileNotFoundError, InputError, ArtefactError, ValueError, EOFError) as error:
            if not folder.exists():
                return False
            if self._say:
                print(
                    f"warning: kept pixels are damaged, decoding again: {folder} ({error})", file=sys.stderr
                )
            remove_folder(folder)
            return False
        except OSError as error:
            raise StorageError(f"could not read: {error.strerror}", where=folder) from error
        self._known.add(name)
        for sha, row in found.items():
            self._found.setdefault(sha, (name, row))
        return True

    def _write(self) -> None:
        if not self._fresh:
            return
        if not self._written:  # room for all that may be written now; of this kind, all may yet be asked for
            coming = (self._to_come + len(self._fresh)) * self._size
            _make_room(self._root, self._limit - coming, {self._folder / name for name in self._known})
        good = {sha: new for sha, new in self._fresh.items() if not isinstance(new, str)}
        note = {
            "schema_version": SCHEMA_VERSION,
            "kind": self._kind,
            "pictures": list(good),
            "damaged": {sha: new for sha, new in self._fresh.items() if isinstance(new, str)},
        }
        name = hash_bytes("\n".join(self._fresh).encode())[:32]
        try:
            # Its name tells its content: one that is there is as good, and may be open elsewhere.
            with atomic_folder(self._folder / name, replace=False) as temporary:
                _write_pixels(temporary / PIXELS, list(good.values()), self._shape)
                write_json(temporary / NOTE, note)
        except StorageError:
            if not self._open(name):  # without locks, another process may have made it at the same time
                raise
        else:
            if not self._open(name):
                raise StorageError("what was just written is gone", where=self._folder / name)
            self._written.append(name)
        self._fresh = {}


def _write_pixels(path: Path, pictures: Sequence[Pixels], shape: tuple[int, int, int]) -> None:
    # Written and not mapped: on a full disk a map is a SIGBUS, and a write an error that can be told.
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(pictures), *shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for pixels in pictures:
            file.write(np.ascontiguousarray(pixels).data)


def _contents(note: Any, file: Path, kind: str, shape: tuple[int, int, int]) -> dict[str, int | str]:
    """Row or damage by content.

    Raises:
        ArtefactError: Note and pixels do not fit each other.
        ValueError: The pixels have no header.
    """
    with file.open("rb") as pixels:
        np.lib.format.read_magic(pixels)
        header = np.lib.format.read_array_header_1_0(pixels)
        held = file.stat().st_size - pixels.tell()
    try:
        pictures, damaged = note["pictures"], note["damaged"]
        wanted = ((len(pictures), *shape), False, np.dtype(np.uint8))
        fits = note["kind"] == kind and header == wanted and held == len(pictures) * math.prod(shape)
        found = {str(sha): row for row, sha in enumerate(pictures)} | {
            str(sha): str(what) for sha, what in damaged.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtefactError("its note is not ours") from error
    if not fits:
        raise ArtefactError("its note and its pixels do not fit each other")
    return found


def _make_room(root: Path, limit_bytes: float, used: set[Path]) -> None:
    """Remove what a kill left behind, and packs by last use until the rest keeps within the limit."""
    packs = []
    for path in root.glob("*/*"):
        with suppress(OSError):  # removed by another process meanwhile
            touched = path.stat().st_mtime
            if not path.name.startswith("."):
                packs.append((touched, path, sum(file.stat().st_size for file in path.iterdir())))
            elif ".tmp-" in path.name and time.time() - touched > _LEFTOVER_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    total = sum(size for _, _, size in packs)
    for _, path, size in sorted(packs):
        if total <= limit_bytes:
            return
        if path not in used:
            remove_folder(path)
            total -= size
