"""Made maps of streets: tiles of shapes and of pictures, and PMTiles files of them, written as specified."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from urbanln.explore.pmtiles import tile_number

EXTENT = 4096
KINDS = {"mvt": 1, "png": 2, "jpeg": 3, "webp": 4, "avif": 5}
Place = tuple[int, int]
Shape = tuple[int, Sequence[Sequence[Place]], Mapping[str, str | int]]  # kind (1 to 3), parts, properties


def number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(at: int, data: bytes | int) -> bytes:
    if isinstance(data, int):
        return number(at << 3) + number(data)
    return number(at << 3 | 2) + number(len(data)) + data


def _geometry(kind: int, parts: Sequence[Sequence[Place]]) -> bytes:
    out, x, y = b"", 0, 0

    def step(to: Place) -> bytes:
        nonlocal x, y
        told = b"".join(number((d << 1) ^ (d >> 31)) for d in (to[0] - x, to[1] - y))
        x, y = to
        return told

    for part in parts:
        out += number(1 << 3 | 1) + step(part[0])
        if kind > 1:
            out += number(len(part) - 1 << 3 | 2) + b"".join(map(step, part[1:]))
        if kind == 3:
            out += number(1 << 3 | 7)
    return out


def vector_tile(layers: Mapping[str, Sequence[Shape]]) -> bytes:
    """A Mapbox vector tile, version 2."""
    out = b""
    for name, shapes in layers.items():
        keys: dict[str, int] = {}
        values: dict[str | int, int] = {}
        told = b""
        for kind, parts, properties in shapes:
            tags = b"".join(
                number(keys.setdefault(key, len(keys))) + number(values.setdefault(value, len(values)))
                for key, value in properties.items()
            )
            told += _field(2, _field(2, tags) + _field(3, kind) + _field(4, _geometry(kind, parts)))
        layer = _field(15, 2) + _field(1, name.encode()) + told
        layer += b"".join(_field(3, key.encode()) for key in keys)
        layer += b"".join(
            _field(4, _field(1, one.encode()) if isinstance(one, str) else _field(5, one)) for one in values
        )
        out += _field(3, layer + _field(5, EXTENT))
    return out


def picture_tile(colour: Any, side: int = 256, form: str = "PNG") -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, form)
    return out.getvalue()


def directory(entries: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Entries of number, run, length, offset."""
    steps = [b[0] - a[0] for a, b in zip([(0,), *entries], entries, strict=False)]
    columns = [steps, *([one[i] for one in entries] for i in (1, 2))]
    told = [
        0 if i and one[3] == entries[i - 1][3] + entries[i - 1][2] else one[3] + 1
        for i, one in enumerate(entries)
    ]
    return b"".join(number(v) for v in [len(entries), *(v for column in [*columns, told] for v in column)])


def write_pmtiles(
    path: Path, tiles: Mapping[tuple[int, int, int], bytes], kind: str = "mvt", *,
    notes: Mapping[str, Any] | None = None, bounds: tuple[float, ...] = (-180, -85, 180, 85),
    zipped: bool = True, leaf: int = 0, **header: int,
) -> Path:  # fmt: skip
    """A PMTiles file of version 3.

    Args:
        path: Of the file.
        tiles: Zoom, column, row to content.
        kind: Of the tiles.
        notes: Its metadata.
        bounds: West, south, east, north.
        zipped: Whether directories and notes are compressed.
        leaf: Entries of each leaf directory; 0 for a root alone.
        header: Bytes of the header that are to be others: ``version``, ``inside``, ``outside``, ``kind``.
    """
    pack = (lambda data: gzip.compress(data, mtime=0)) if zipped else bytes
    stored, entries, data = {}, [], b""
    for tile, content in sorted((tile_number(*at), content) for at, content in tiles.items()):
        content = gzip.compress(content, mtime=0) if kind == "mvt" else content
        if content not in stored:
            stored[content] = len(data)
            data += content
        last = entries[-1] if entries else None
        if last and last[0] + last[1] == tile and last[3] == stored[content]:
            entries[-1] = (last[0], last[1] + 1, *last[2:])
        else:
            entries.append((tile, 1, len(content), stored[content]))
    leaves = b""
    if leaf:
        parts, root = [entries[i : i + leaf] for i in range(0, len(entries), leaf)], []
        for part in parts:
            packed = pack(directory(part))
            root.append((part[0][0], 0, len(packed), len(leaves)))
            leaves += packed
        entries = root
    top, told = pack(directory(entries)), pack(json.dumps(notes or {}).encode())
    zooms = [at[0] for at in tiles] or [0]
    starts = [127, 127 + len(top), 127 + len(top) + len(told), 127 + len(top) + len(told) + len(leaves)]
    spans = [v for pair in zip(starts, map(len, (top, told, leaves, data)), strict=True) for v in pair]
    degrees = [round(one * 1e7) for one in bounds]
    head = struct.pack(
        "<7sB11Q6B4iB2i", b"PMTiles", header.get("version", 3), *spans, len(tiles), len(entries), len(stored),
        1, header.get("inside", 2 if zipped else 1), header.get("outside", 2 if kind == "mvt" else 1),
        header.get("kind", KINDS.get(kind, 0)), min(zooms), max(zooms), *degrees, min(zooms), 0, 0,
    )  # fmt: skip
    path.write_bytes(head + top + told + leaves + data)
    return path


def around(z: int, beside: int = 1) -> list[tuple[int, int, int]]:
    """Numbers of the tiles of the made city, which lies north-east of (0, 0), and beside it."""
    half, wide = 1 << z >> 1, int(0.06 / 360 * (1 << z)) + 1
    across = range(max(half - beside, 0), min(half + wide + beside, 1 << z))
    down = range(max(half - wide - beside, 0), min(half + beside, 1 << z))
    return [(z, x, y) for x in across for y in down]


def square(low: int, high: int) -> Sequence[Sequence[Place]]:
    """A ring in a tile, clockwise on the screen."""
    return [[(low, low), (high, low), (high, high), (low, high)]]


def streets(z: int, x: int, y: int) -> bytes:
    """A tile of Protomaps' layers: land all over, a road across, and at zoom 12 of the city its places."""
    places: list[Shape] = []
    if (z, x, y) == (12, 2048, 2047):
        told = [(1000, 3000, "Squareham", "city", 9), (2600, 1900, "<b>Bold</b>", "suburb", 2)]
        places = [
            (1, [[(at, down)]], {"name": name, "kind_detail": kind, "population_rank": rank})
            for at, down, name, kind, rank in told
        ]
    return vector_tile(
        {
            "earth": [(3, square(-64, EXTENT + 64), {"kind": "earth"})],
            "roads": [(2, [[(-64, 2048), (EXTENT + 64, 2048)]], {"kind": "major_road"})], "places": places,
        }
    )  # fmt: skip


NOTES = {
    "attribution": '<a href="https://osm.example">&copy; Mappers</a> <script>alert(1)</script>',
    "vector_layers": [{"id": "earth"}, {"id": "roads"}, {"id": "places"}, {"id": "pois"}],
}


def street_file(path: Path, zooms: Sequence[int] = (11, 12, 13), **how: Any) -> Path:
    """A file of shapes around the made city."""
    tiles = {at: streets(*at) for z in zooms for at in around(z)}
    return write_pmtiles(path, tiles, notes=NOTES, **how)


def picture_file(path: Path, zooms: Sequence[int] = (11, 12, 13), **how: Any) -> Path:
    """A file of magenta pictures around the made city."""
    tiles = {at: picture_tile((255, 0, 255)) for z in zooms for at in around(z)}
    return write_pmtiles(path, tiles, "png", notes={"attribution": "Painters"}, **how)
