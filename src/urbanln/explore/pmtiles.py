"""PMTiles, version 3: thousands of map tiles in one file, read piece by piece and within bounds.

A header of 127 bytes, a directory that names tiles or further directories, notes as JSON, the tiles. The
file may have come from anywhere, so no number in it is trusted: nothing is read beyond the file's end, and
nothing decompressed beyond a bound.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.parsing import parse_json, refuse_endless

MOST_ZOOM = 31
HEADER = struct.Struct("<7sB11Q6B4iB2i")
_PLAIN, GZIP = 1, 2
_COMPRESSIONS = {0: "an unknown compression", 3: "Brotli", 4: "Zstandard"}
_TILES = {1: "mvt", 2: "png", 3: "jpeg", 4: "webp", 5: "avif", 6: "mlt"}
_MOST_STORED, _MOST_BYTES = 16 << 20, 64 << 20  # of one directory, one tile, the notes
_MOST_DEPTH = 4  # of directories; the format's own readers go no deeper
_KEPT = 64  # directories; each has some thousand entries
_CONVERT = "give a PMTiles file of version 3, as `pmtiles convert` writes it"
_AGAIN = "make or fetch the file again; `pmtiles verify` tells more"


@dataclass(frozen=True, eq=False)
class _Directory:
    """Entries in the order of their tiles: the first tile's number, how many (0: a directory), what bytes."""

    ids: npt.NDArray[np.uint64]
    runs: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.uint64]


class Archive:
    """A file of tiles.

    Args:
        path: Of the file.

    Raises:
        InputError: No such file, none of this format, damaged, or compressed by what Python cannot undo.

    Attributes:
        tiles: Kind of its tiles: ``mvt``, ``png``, ``jpeg``, ``webp``, ``avif``, ``mlt`` or ``unknown``.
        zooms: Of the coarsest and the finest tiles.
        bounds: West, south, east, north in degrees; the whole world where the file says nothing that can be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            refuse_endless(path)
            self._size = path.stat().st_size
            head = self._bytes(0, HEADER.size)
        except OSError as error:
            raise self._fault("this file cannot be read", error.strerror, "name an existing file") from error
        if head[:7] != b"PMTiles" or len(head) < HEADER.size:
            what = "an MBTiles file" if head.startswith(b"SQLite format 3") else None
            raise self._fault("this is no PMTiles file", what, _CONVERT)
        fields = HEADER.unpack(head)
        if fields[1] != 3:
            raise self._fault("PMTiles of this version are not read", fields[1], _CONVERT)
        self._root = (fields[2], fields[3])
        self._notes = (fields[4], fields[5])
        self._leaves, self._data = fields[6], fields[8]
        _, self._inside, self._outside, kind, low, high = fields[13:19]
        self.tiles = _TILES.get(kind, "unknown")
        self.zooms = (low, high)
        self.bounds = _degrees(fields[19:23])
        if self._outside == 0 and self.tiles != "mvt":
            self._outside = _PLAIN  # pictures are compressed by themselves, and some writers say nothing
        for how in (self._inside, self._outside):
            if how not in (_PLAIN, GZIP):
                what = _COMPRESSIONS.get(how, f"compression {how}")
                raise self._fault("compressed by what is not read here", what, "make it anew, with gzip")
        if not 0 <= low <= high <= MOST_ZOOM:
            raise self._damaged(f"zooms {low} to {high}")
        self._directory = lru_cache(maxsize=_KEPT)(self._read_directory)
        self._directory(*self._root)

    def metadata(self) -> dict[str, Any]:
        """The notes: ``attribution``, ``vector_layers`` and whatever else its maker wrote.

        Raises:
            InputError: They are damaged.
        """
        if not self._notes[1]:
            return {}
        try:
            found: dict[str, Any] = parse_json(self._read(*self._notes, self._inside), dict[str, Any])
        except ValueError as error:
            raise self._damaged(f"its metadata: {error}") from error
        return found

    def has(self, z: int, x: int, y: int) -> bool:
        """Whether there is such a tile; see :meth:`tile`."""
        return self._find(z, x, y) is not None

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """A tile, decompressed; None where the file has none.

        Args:
            z: Zoom.
            x: Column, from the west.
            y: Row, from the north.

        Raises:
            InputError: No such numbers, or the file is damaged there.
        """
        found = self._find(z, x, y)
        return None if found is None else self._read(*found, self._outside)

    def _find(self, z: int, x: int, y: int) -> tuple[int, int] | None:
        """Where in the file a tile's bytes are: offset and length."""
        return self._find_number(tile_number(z, x, y))

    def _find_number(self, number: int) -> tuple[int, int] | None:
        where, length = self._root
        for _ in range(_MOST_DEPTH):
            directory = self._directory(where, length)
            at = int(np.searchsorted(directory.ids, np.uint64(number), side="right")) - 1
            if at < 0:
                return None
            run, length = int(directory.runs[at]), int(directory.lengths[at])
            where = int(directory.offsets[at])
            if run:
                return (self._data + where, length) if number - int(directory.ids[at]) < run else None
            where += self._leaves
        raise self._damaged("its directories lead into one another")

    def _read_directory(self, where: int, length: int) -> _Directory:
        values = _numbers(self._read(where, length, self._inside))
        if values is None or (len(values) - 1) % 4 or int(values[0]) != (len(values) - 1) // 4:
            raise self._damaged("a directory")
        steps, runs, lengths, told = values[1:].reshape(4, -1)
        ids = np.cumsum(steps, dtype=np.uint64)
        if (ids[1:] <= ids[:-1]).any() or not lengths.all() or (told[:1] == 0).any():
            raise self._damaged("a directory")
        # An offset of 0 means: behind the entry before it; others are told plus one.
        base = np.maximum.accumulate(np.where(told != 0, np.arange(len(told)), 0))
        before = np.cumsum(lengths, dtype=np.uint64) - lengths
        return _Directory(ids, runs, lengths, told[base] - np.uint64(1) + before - before[base])

    def _read(self, where: int, length: int, compression: int) -> bytes:
        if length > _MOST_STORED or where + length > self._size:
            raise self._damaged(f"{length:,} bytes at {where:,} of {self._size:,}")
        data = self._bytes(where, length)
        if len(data) < length:
            raise self._damaged("it became shorter")
        if compression != GZIP:
            return data
        unpacking = zlib.decompressobj(31)
        try:
            made = unpacking.decompress(data, _MOST_BYTES)
        except zlib.error as error:
            raise self._damaged(str(error)) from error
        if not unpacking.eof:
            raise self._damaged("compressed bytes that do not end, or not below 64 MB")
        return made

    def _bytes(self, where: int, length: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(where)
            return file.read(length)

    def _fault(self, what: str, value: object, remedy: str) -> InputError:
        return InputError(what, value=value, where=self.path, remedy=remedy)

    def _damaged(self, value: str) -> InputError:
        return self._fault("this PMTiles file is damaged", value, _AGAIN)


def tile_number(z: int, x: int, y: int) -> int:
    """Number of a tile in the order of the format: zoom by zoom, along a Hilbert curve.

    Args:
        z: Zoom, 0 to 31.
        x: Column, from the west.
        y: Row, from the north.

    Raises:
        InputError: No such tile.
    """
    if not (0 <= z <= MOST_ZOOM and 0 <= x < 1 << z and 0 <= y < 1 << z):
        raise InputError(
            "there is no such tile", value=f"{z}/{x}/{y}", where="tile",
            remedy=f"zoom 0 to {MOST_ZOOM}, column and row below 2 to the power of the zoom",
        )  # fmt: skip
    number = ((1 << 2 * z) - 1) // 3
    for level in reversed(range(z)):
        side = 1 << level
        right, down = x >> level & 1, y >> level & 1
        number += (3 * right ^ down) << 2 * level
        x, y = x & side - 1, y & side - 1
        if not down:
            if right:
                x, y = side - 1 - x, side - 1 - y
            x, y = y, x
    return number


def _numbers(data: bytes) -> npt.NDArray[np.uint64] | None:
    """Numbers stored seven bits a byte, the lowest first, the eighth bit set but in the last; None if cut."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 128)
    if not len(ends) or ends[-1] != len(raw) - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    widths = ends - starts + 1
    if widths.max() > 10:
        return None
    place = (np.arange(len(raw)) - np.repeat(starts, widths)).astype(np.uint64)
    return np.add.reduceat((raw & 127).astype(np.uint64) << np.uint64(7) * place, starts)


def _degrees(told: tuple[int, ...]) -> tuple[float, float, float, float]:
    west, south, east, north = (one / 1e7 for one in told)
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        return (-180.0, -85.0, 180.0, 85.0)
    return (west, south, east, north)
