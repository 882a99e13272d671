"""Decoded pictures kept on disk between runs, so that a run that starts again decodes nothing.

A picture is known by the SHA-256 of its bytes: a city that was changed, added to or put in another order
decodes what it never saw, and two cities share what they have in common.

``FOLDER/pixels/KIND/PACK/`` holds some 64 MB of pictures: ``pixels.npy`` (N, 3, S, S) and ``note.json``,
which says what each row was made from. Packs are written whole or not at all, and mapped, not loaded.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap
from PIL import Image

from urbanln.base import saying
from urbanln.base.errors import ArtefactError, InputError, StorageError
from urbanln.base.files import (
    SCHEMA_VERSION,
    atomic_folder,
    cache_folder,
    hash_bytes,
    remove_folder,
    write_json,
)
from urbanln.base.leftovers import sweep
from urbanln.base.locks import Lock, holder, take
from urbanln.base.parsing import read_json
from urbanln.base.progress import track
from urbanln.city.checks import is_url
from urbanln.city.pictures import decode_picture, in_threads, read_bytes
from urbanln.city.store import City

P = ParamSpec("P")
T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]
_ELSEWHERE = "free some space, or set URBANLN_CACHE to another disk"
_TAKE_OUT = "get this picture again, or take its row out of images.parquet"
PIXELS, NOTE = "pixels.npy", "note.json"
# A kill costs as much, and as much waits in memory to be written. Each pack that is mapped holds a file
# descriptor, of which a process may have 1,024 (256 on macOS).
PACK_BYTES = 64_000_000
_POLL_SECONDS, _PATIENCE_SECONDS = 0.5, 5.0


class MappedPixels:
    """Pictures by position, uint8 (3, S, S) each, read from the disk (or its page cache) when touched."""

    def __init__(self, places: Sequence[tuple[Pixels, int]]) -> None:
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Pixels:
        pixels, row = self._places[i]
        return pixels[row]


def cached_pixels(
    items: Sequence[tuple[City, str]],
    convert: Callable[[Image.Image], Pixels],
    *,
    kind: str,
    shape: tuple[int, int, int],
    limit_bytes: float,
    workers: int = 2,
    folder: Path | None = None,
    say: bool = True,
) -> tuple[MappedPixels | None, dict[int, InputError]]:
    """Read every picture once, decode those that were never decoded before, and keep their pixels.

    The bytes of every picture on this machine are read and hashed each time: neither a date nor a table is
    trusted, and that takes seconds. Of a picture at an address the table's hash is trusted, so that one whose
    pixels are here is not fetched. What a picture that is damaged said is kept like pixels. Processes that
    want the same wait for one another.

    Args:
        items: City and path of each picture.
        convert: From a decoded picture to uint8 pixels of ``shape``; called in threads.
        kind: All that ``convert`` depends on: equal content and kind give equal pixels.
        shape: (3, S, S).
        limit_bytes: Room for all kinds together; what was used least recently goes first, and nothing of
            what is used here. Other kinds make room before anything is written. 0 keeps nothing.
        workers: Threads; 0 reads in the caller's own.
        folder: Where packs are kept; default: :func:`cache_folder`.
        say: Tell on stderr what went wrong with the cache.

    Returns:
        The pixels of the readable pictures in order, read from the disk (or its page cache) when touched, or
        None where they are not kept: the limit is too small, or the folder cannot be written. And why the
        others cannot be read, by position.

    Raises:
        MissingExtraError: An address needs a package that is not installed.
    """

    def tell(text: str) -> None:
        if say:
            saying.say(text)

    packs = _Packs(kind, shape, limit_bytes, tell)
    packs.attempt(packs.open, folder, len(items))
    contents: list[str] = []
    errors: dict[int, InputError] = {}
    with closing(packs):
        found = in_threads(partial(_read, packs, convert), items, workers)
        for i, content in enumerate(track(found, "reading pictures", len(items))):
            if isinstance(content, InputError):
                errors[i] = content
                continue
            sha, what = content
            contents.append(sha)
            packs.attempt(packs.keep, sha, what, len(items) - i)
            if isinstance(what, str):
                errors[i] = InputError(what, value=items[i][1], where=items[i][0].folder, remedy=_TAKE_OUT)
        return packs.attempt(packs.finish, contents), errors


def _read(
    packs: _Packs, convert: Callable[[Image.Image], Pixels], item: tuple[City, str]
) -> tuple[str, Pixels | int | str]:
    """A picture's hash, and its pixels or damage; the row of pixels that are in a pack."""
    city, path = item
    if is_url(path) and (sha := city.known_hash(path)) and (known := packs.get(sha)) is not None:
        return sha, known  # nothing is fetched for its hash alone
    data = read_bytes(*item)
    sha = hash_bytes(data)
    if (known := packs.get(sha)) is not None:
        return sha, known
    try:
        pixels = decode_picture(data, convert, *item)
    except InputError as error:
        return sha, error.what
    return sha, 0 if packs.useless else pixels  # what is not kept is not held until its turn comes


class _Packs:
    """The packs of one kind, and the pictures decoded here that are not written yet.

    One process at a time writes a kind; the others find what it wrote, or take their turn when it ends.
    """

    def __init__(
        self, kind: str, shape: tuple[int, int, int], limit_bytes: float, tell: Callable[[str], None]
    ) -> None:
        self._kind, self._shape, self._limit, self._tell = kind, shape, limit_bytes, tell
        self._found: dict[str, tuple[Path, int | str]] = {}  # by content: pack, and row or damage
        self._fresh: dict[str, Pixels | int | str] = {}
        self._written: list[Path] = []
        self._known: set[Path] = set()  # sound packs
        self._lock: Lock | None = None
        self.useless = False

    def attempt(self, step: Callable[P, T], *args: P.args, **options: P.kwargs) -> T | None:
        """What a step gives; None when the disk fails, which is told once, and ever after."""
        if self.useless:
            return None
        try:
            return step(*args, **options)
        except (StorageError, OSError) as error:
            self.useless = True
            for pack in self._written:  # the run that goes on needs the space for itself
                remove_folder(pack)
            if not isinstance(error, StorageError):
                said, at = error.strerror or error, str(error.filename or "the cache")
                error = StorageError(f"could not use: {said}", where=at, remedy=_ELSEWHERE)
            at = f" ({error.where})" if error.where else ""
            self._tell(
                f"note: decoded pictures cannot be kept, so they are decoded batch by batch: {error.what}{at}"
            )
            return None

    def open(self, folder: Path | None, count: int) -> None:
        """Open the packs there are, if ``count`` pictures may be kept."""
        size = count * math.prod(self._shape)
        if size <= self._limit:
            self._root = (folder or cache_folder()) / "pixels"
            self._folder = self._root / hash_bytes(f"{SCHEMA_VERSION} {self._kind}".encode())[:16]
            self._open_all()
            return
        self.useless = True
        if self._limit > 0:
            self._tell(
                f"note: the pixels of {count} pictures take {size / 1e9:.2g} GB, more than the "
                f"{self._limit / 1e9:.2g} GB of cache.pixels_gb; they are decoded batch by batch"
            )

    def get(self, sha: str) -> Pixels | int | str | None:
        """Pixels, row or damage of a content that was met before."""
        return self._found[sha][1] if sha in self._found else self._fresh.get(sha)

    def keep(self, sha: str, what: Pixels | int | str, to_come: int) -> None:
        """Take in what is new; ``to_come`` pictures may still be, this one among them."""
        if self.get(sha) is None and self._lock is None:
            self._await_turn(sha)
        if self.get(sha) is None:
            self._fresh[sha] = what
        if len(self._fresh) * math.prod(self._shape) >= PACK_BYTES:
            self._write(to_come - 1)

    def finish(self, contents: Sequence[str]) -> MappedPixels:
        """Write the rest, mark what was used and make room."""
        if self._fresh:
            self._write(0)
        places = [self._found[sha] for sha in contents]
        mapped = {pack: _map(pack) for pack in {pack for pack, _ in places}}
        for pack in mapped:
            with suppress(OSError):  # read only, or removed by another process: the map stays good
                os.utime(pack)
        _make_room(self._root, self._limit, set(mapped))
        return MappedPixels([(mapped[pack], row) for pack, row in places if isinstance(row, int)])

    def close(self) -> None:
        """Let other processes write."""
        if self._lock is not None:
            self._lock.release()

    def _open_all(self) -> None:
        """Read what new packs hold; one removed meanwhile is passed over, a damaged one is removed."""
        for pack in sorted(self._folder.glob("[!.]*")):
            if pack not in self._known:
                self._open_one(pack)

    def _open_one(self, pack: Path) -> None:
        try:
            for sha, what in _rows(pack, self._kind, self._shape).items():
                self._found.setdefault(sha, (pack, what))
            self._known.add(pack)
        except (FileNotFoundError, InputError, ArtefactError, ValueError) as error:
            files = (pack / NOTE, pack / PIXELS)
            missing = isinstance(error, FileNotFoundError | InputError)
            # One that is gone is no damage, nor one that another process has made again meanwhile.
            if pack.exists() and not (missing and all(file.exists() for file in files)):
                self._tell(f"warning: kept pixels are damaged, decoding again: {pack} ({error})")
                remove_folder(pack)

    def _await_turn(self, sha: str) -> None:
        """Return when this process may write, or when the one that does has written this picture."""
        self._folder.mkdir(parents=True, exist_ok=True)
        tell_at = time.monotonic() + _PATIENCE_SECONDS
        while (lock := take(self._folder)) is None:
            self._open_all()
            if sha in self._found:
                return
            if time.monotonic() > tell_at:
                tell_at = math.inf
                self._tell(
                    f"waiting for another process that decodes into {self._folder}: {holder(self._folder)}"
                )
            time.sleep(_POLL_SECONDS)
        self._lock = lock
        self._open_all()

    def _write(self, to_come: int) -> None:
        """Make a pack of what is fresh."""
        if not self._written:  # room for all that may be written now; of this kind, all may yet be asked for
            coming = (to_come + len(self._fresh)) * math.prod(self._shape)
            _make_room(self._root, self._limit - coming, {pack for pack, _ in self._found.values()})
        damaged = {sha: what for sha, what in self._fresh.items() if isinstance(what, str)}
        good = [sha for sha in self._fresh if sha not in damaged]
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(good), *self._shape)}
        note = {"schema_version": SCHEMA_VERSION, "kind": self._kind, "pictures": good, "damaged": damaged}
        pack = self._folder / hash_bytes("\n".join(self._fresh).encode())[:32]
        try:
            with atomic_folder(pack, replace=False) as temporary:
                # Written and not mapped: on a full disk a map is a SIGBUS, and a write an error to be told.
                with (temporary / PIXELS).open("wb") as file:
                    np.lib.format.write_array_header_1_0(file, header)
                    for sha in good:
                        file.write(np.ascontiguousarray(self._fresh[sha]).data)
                write_json(temporary / NOTE, note)
            self._written.append(pack)
        except StorageError:
            # Without locks another process may have made it at the same time, and may have it open.
            if not pack.exists():
                raise
        self._open_one(pack)
        if not self._fresh.keys() <= self._found.keys():
            raise StorageError("what was just written is gone", where=pack, remedy=_ELSEWHERE)
        self._fresh = {}


def _rows(pack: Path, kind: str, shape: tuple[int, int, int]) -> dict[str, int | str]:
    """Row or damage by content.

    Raises:
        InputError, FileNotFoundError: There is no such pack any more.
        ArtefactError, ValueError: It is damaged.
    """
    note, pixels = read_json(pack / NOTE), open_memmap(pack / PIXELS, mode="r")
    try:
        rows = {str(sha): row for row, sha in enumerate(note["pictures"])}
        damaged = {str(sha): str(what) for sha, what in note["damaged"].items()}
        wanted = (kind, (len(rows), *shape), np.uint8, (pack / PIXELS).stat().st_size)
        if (note["kind"], pixels.shape, pixels.dtype, pixels.offset + pixels.nbytes) != wanted:
            raise ArtefactError(
                "its note and its pixels do not fit each other",
                where=pack,
                remedy="delete this folder: it is made again",
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(
            "its note is not ours", where=pack, remedy="delete this folder: it is made again"
        ) from error
    return rows | damaged


def _map(pack: Path) -> Pixels:
    try:
        pixels = open_memmap(pack / PIXELS, mode="r")
    except (OSError, ValueError) as error:  # above all: too many open files
        raise StorageError(f"could not map: {error}", where=pack, remedy=_ELSEWHERE) from error
    return np.asarray(pixels)  # without the cost of a memmap per picture


def _make_room(root: Path, limit_bytes: float, used: set[Path]) -> None:
    """Remove what a kill left behind, and packs by last use until the rest keeps within the limit."""
    packs = []
    for folder in root.glob("*"):
        sweep(folder)
    for path in root.glob("*/[!.]*"):
        with suppress(OSError):  # removed by another process meanwhile
            size = sum(file.stat().st_size for file in path.iterdir())
            packs.append((path.stat().st_mtime, path, size))
    total = sum(size for _, _, size in packs)
    for _, path, size in sorted(packs):
        if total <= limit_bytes:
            return
        if path not in used:
            remove_folder(path)
            total -= size
