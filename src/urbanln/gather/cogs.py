"""GeoTIFFs at an address: first what a file says of itself, then the blocks needed, by range requests.

Nothing of GDAL asks the network. The answers become a file with holes, which is read like any other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from urbanln.base.errors import StorageError
from urbanln.base.files import scratch_folder, storing
from urbanln.gather.grids import GeoTiff, Reading, open_grid
from urbanln.gather.source import Answer, AnswerError, Answers, Request

Window = tuple[int, int, int, int]
_FIRST = 65_536  # bytes that hold what most files say of themselves
_MOST_SAID = 64 * 2**20
_LEAD = 4  # bytes around a block, where cloud-optimised files repeat its size
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_WIDTH, _HEIGHT, _SAMPLES, _ROWS, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 277, 278, 284, 322, 323
_OFFSETS, _COUNTS = (273, 324), (279, 325)


class _MoreError(Exception):
    """What was read of a file does not reach: ``needed`` bytes from its beginning do."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


class UnansweredError(StorageError):
    """A part of a file was asked for, and has no answer."""


@dataclass(frozen=True)
class Blocks:
    """Where the blocks of one image of a file stand.

    Attributes:
        width, height: Of the image in pixels.
        wide, high: Of a block.
        planes: 1, or bands where each has blocks of its own.
        offsets, counts: First byte and bytes of each, row by row and plane by plane; 0 bytes: nothing there.
    """

    width: int
    height: int
    wide: int
    high: int
    planes: int
    offsets: Sequence[int]
    counts: Sequence[int]

    def of(self, window: Window) -> Iterator[tuple[int, int]]:
        """First byte and bytes of the blocks that a window of stored rows lies on."""
        column, row, width, height = window
        across, down = -(-self.width // self.wide), -(-self.height // self.high)
        for plane in range(self.planes):
            for y in range(row // self.high, -(-(row + height) // self.high)):
                for x in range(column // self.wide, -(-(column + width) // self.wide)):
                    number = (plane * down + y) * across + x
                    if self.counts[number]:
                        yield self.offsets[number], self.counts[number]


def images_of(data: bytes) -> list[Blocks]:
    """The images of a TIFF that are as large as its first: itself, and its mask.

    Args:
        data: The beginning of the file.

    Raises:
        _MoreError: It does not hold all that is said of them.
        ValueError: It is no TIFF.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    version = struct.unpack(f"{order}H", data[2:4])[0] if order and len(data) >= 16 else 0
    if version not in (42, 43):
        raise ValueError("no TIFF")
    big = version == 43
    place = struct.unpack(f"{order}Q", data[8:16])[0] if big else struct.unpack(f"{order}I", data[4:8])[0]
    found: list[Blocks] = []
    seen: set[int] = set()
    while place and place not in seen and len(seen) < 64:
        seen.add(place)
        tags, place = _directory(data, place, str(order), big)
        image = _blocks(tags)
        if not found or (image.width, image.height) == (found[0].width, found[0].height):
            found.append(image)
    return found


def _directory(data: bytes, place: int, order: str, big: bool) -> tuple[dict[int, Sequence[int]], int]:
    """The whole numbers among an image's tags, and where the next image is described."""
    count = _numbers(data, place, "Q" if big else "H", 1, order)[0]
    step, start = (20, place + 8) if big else (12, place + 2)
    if count > 4096:
        raise ValueError("no TIFF")
    tags: dict[int, Sequence[int]] = {}
    for at in range(start, start + count * step, step):
        tag, kind = _numbers(data, at, "H", 2, order)
        times = _numbers(data, at + 4, "Q" if big else "I", 1, order)[0]
        inside = at + (12 if big else 8)
        if kind in _CODES and (tag in (*_OFFSETS, *_COUNTS) or times == 1):
            if times * _SIZES[kind] > step - (12 if big else 8):
                inside = _numbers(data, inside, "Q" if big else "I", 1, order)[0]
            tags[tag] = _numbers(data, inside, _CODES[kind], times, order)
    return tags, _numbers(data, start + count * step, "Q" if big else "I", 1, order)[0]


def _numbers(data: bytes, at: int, code: str, count: int, order: str) -> Sequence[int]:
    form = f"{order}{count}{code}"
    end = at + struct.calcsize(form)
    if end > len(data):
        raise _MoreError(end)
    return struct.unpack(form, data[at:end])


def _blocks(tags: dict[int, Sequence[int]]) -> Blocks:
    offsets = next((tags[tag] for tag in _OFFSETS if tag in tags), None)
    counts = next((tags[tag] for tag in _COUNTS if tag in tags), None)
    if offsets is None or counts is None or _WIDTH not in tags or _HEIGHT not in tags:
        raise ValueError("no blocks")
    width, height = tags[_WIDTH][0], tags[_HEIGHT][0]
    wide = tags.get(_TILE_WIDTH, (width,))[0]
    high = tags.get(_TILE_HEIGHT, (min(tags.get(_ROWS, (height,))[0], height),))[0]
    planes = tags.get(_SAMPLES, (1,))[0] if tags.get(_PLANAR, (1,))[0] == 2 else 1
    if not (wide and high) or len(offsets) != len(counts):
        raise ValueError("blocks without size")
    if len(offsets) != planes * -(-width // wide) * -(-height // high):
        raise ValueError("blocks are missing")
    return Blocks(width, height, wide, high, planes, offsets, counts)


class Remote:
    """A GeoTIFF at an address.

    Args:
        url: The address.
        reading: How its numbers become values.
        wanted: Which windows are needed, rows from the north; may refuse the file.
    """

    def __init__(self, url: str, reading: Reading, wanted: Callable[[GeoTiff], Iterable[Window]]) -> None:
        self.url, self._reading, self._wanted = url, reading, wanted
        self.blocks: int | None = None
        """How many blocks are needed, once that is known."""
        self._led: dict[tuple[int, int, int], list[Request]] = {}

    def first(self) -> Request:
        """What the file says of itself."""
        return _range(self.url, 0, _FIRST)

    def then(self, request: Request, answer: Answer) -> list[Request]:
        """More of that, where the first was too little; then the blocks.

        Raises:
            AnswerError: The server ignores ranges, a block is not there, or this is no GeoTIFF that can be
                read in parts.
            InputError: The file cannot be used.
        """
        start, length = _asked(request)
        if len(answer.data) > length:
            remedy = "copy the file to this machine, and name it there"
            raise AnswerError("this server sends no parts of files", where=self.url, remedy=remedy)
        if start and not answer.there:
            what, remedy = "a part of the raster is not there", "run the same command again"
            raise AnswerError(what, value=request.headers[0][1], where=self.url, remedy=remedy)
        if start or not answer.there:
            self.blocks = self.blocks or 0
            return []
        # A plan and building come this way several times, and where all regions lie takes a while.
        key = (length, answer.status, hash(answer.data))
        if key not in self._led:
            self._led[key] = self._from_head(answer, length)
        return self._led[key]

    def _from_head(self, answer: Answer, length: int) -> list[Request]:
        """What the beginning of a file leads to, of which so many bytes were asked for."""
        whole = answer.status == 200 or len(answer.data) < length
        try:
            images = images_of(answer.data)
        except _MoreError as more:
            if more.needed > _MOST_SAID or whole:
                what = "the GeoTIFF is not cloud-optimised: what it says of itself is not at its beginning"
                remedy = "copy it to this machine: gdal_translate -of COG in.tif out.tif"
                raise AnswerError(what, value=more.needed, where=self.url, remedy=remedy) from more
            return [_range(self.url, 0, max(more.needed, 2 * length))]
        except (ValueError, struct.error) as error:
            what, remedy = "this is no GeoTIFF", "give the address of a GeoTIFF"
            raise AnswerError(what, value=answer.data[:8], where=self.url, remedy=remedy) from error
        with self._opened([(0, answer.data)]) as grid:
            found = {
                (start, length)
                for column, row, width, height in self._wanted(grid)
                for image in images
                for start, length in image.of(
                    (column, grid.height - row - height if grid.flipped else row, width, height)
                )
            }
        self.blocks = 0 if whole else len(found)
        if whole:
            return []
        return [
            _range(self.url, max(start - _LEAD, 0), length + 2 * _LEAD) for start, length in sorted(found)
        ]

    @contextmanager
    def said(self, answers: Answers) -> Iterator[GeoTiff]:
        """What a file that is there says of itself; its pixels are not.

        Raises:
            UnansweredError: It has not been told.
        """
        request = self.first()
        answer = self._answer(answers, request)
        while more := [one for one in self.then(request, answer) if _asked(one)[0] == 0]:
            request = more[0]
            answer = self._answer(answers, request)
        with self._opened([(0, answer.data)]) as grid:
            yield grid

    @contextmanager
    def open(self, answers: Answers) -> Iterator[GeoTiff]:
        """The raster out of the kept answers, of which there is a first.

        Raises:
            UnansweredError: An answer is missing.
            StorageError: The disk is full.
        """
        with self._opened(self._parts(answers)) as grid:
            yield grid

    def _parts(self, answers: Answers) -> Iterator[tuple[int, bytes]]:
        left = [self.first()]
        while left:
            request = left.pop()
            answer = self._answer(answers, request)
            yield _asked(request)[0], answer.data
            left += self.then(request, answer)

    def _answer(self, answers: Answers, request: Request) -> Answer:
        answer = answers(request)
        if answer is None:
            what, remedy = "a part of the raster has no answer", "run the same command again"
            raise UnansweredError(what, value=request.headers[0][1], where=self.url, remedy=remedy)
        return answer

    @contextmanager
    def _opened(self, parts: Iterable[tuple[int, bytes]]) -> Iterator[GeoTiff]:
        with scratch_folder() as folder:
            path = folder / "raster.tif"
            with storing(path), path.open("wb") as file:
                for start, data in parts:
                    file.seek(start)
                    file.write(data)
            with open_grid(path, self._reading, name=self.url) as grid:
                yield grid


def blocks_left(files: Collection[Remote]) -> int:
    """How many blocks files need of which that is not known, if they are like the others."""
    known = [one.blocks for one in files if one.blocks is not None]
    return round((len(files) - len(known)) * sum(known) / len(known)) if known else 0


def _range(url: str, start: int, length: int) -> Request:
    span = (("Range", f"bytes={start}-{start + length - 1}"),)
    return Request(url, headers=span, size=length, head=not start)


def _asked(request: Request) -> tuple[int, int]:
    """First byte and number of bytes of a request."""
    start, _, last = request.headers[0][1].removeprefix("bytes=").partition("-")
    return int(start), int(last) - int(start) + 1
