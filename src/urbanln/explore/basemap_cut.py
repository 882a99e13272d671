"""The map of streets in an export: tiles around the regions as a script, or the address they come from."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.files import write_text
from urbanln.base.saying import say
from urbanln.base.space import MERCATOR_LATITUDE, on_mercator
from urbanln.explore.basemap import Basemap, secret_in
from urbanln.pages.maps import embed_json

MOST_BYTES = 20 * 10**6
"""Of an export's map of streets: what a page from disk loads in a second or two."""
TILES_FILE = "basemap.js"
_MOST_TILES = 200_000  # of one zoom, before it is looked at
_COARSER = 2  # zooms to where the whole city is one tile, so that one can zoom out


def refuse_secret(basemap: Basemap | None) -> None:
    """Let no key go out with an export.

    Raises:
        InputError: The address of the map of streets seems to hold one.
    """
    name = secret_in(basemap.template) if basemap else None
    if name is not None:
        raise InputError(
            "this address seems to hold a key, which an export would hand to everybody", value=name,
            where="--basemap", remedy="export with an address without one, or with a PMTiles file",
        )  # fmt: skip


def export_basemap(
    basemap: Basemap | None, boxes: npt.NDArray[np.float64], folder: Path
) -> dict[str, Any] | None:
    """Write the tiles that go along, and say so.

    Args:
        basemap: What lies below the regions; None for nothing.
        boxes: (N, 4) west, south, east, north of the regions, degrees.
        folder: Of the export.

    Returns:
        What the page is told of it.
    """
    (folder / TILES_FILE).unlink(missing_ok=True)
    if basemap is None:
        return None
    told = basemap.entry()
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if basemap.archive is None:
        say(f"the exported page will ask {told['host']} for pictures of the map: {basemap.template}")
        return told
    tiles: dict[bytes, int] = {}
    at: dict[str, int] = {}
    size = 0
    first, last = _first_zoom(basemap, boxes), -1
    for z in range(first, basemap.archive.zooms[1] + 1):
        found = _zoom(basemap, z, boxes, tiles, MOST_BYTES - size)
        if found is None:
            break
        for name, data in found.items():
            size += 0 if data in tiles else _length(data)
            at[name] = tiles.setdefault(data, len(tiles))
        last = z
    packed = {"tiles": [base64.b64encode(one).decode() for one in tiles], "at": at}
    write_text(folder / TILES_FILE, f"window.URBANLN_BASEMAP = {embed_json(packed)};\n")
    high = basemap.archive.zooms[1]
    what = f"zooms {first} to {last} go along" if last >= first else "nothing goes along"
    why = "" if last == high else f" of up to {high}, since all are more than {MOST_BYTES // 10**6} MB"
    say(f"of the map of streets {what}{why}: {len(at):,} tiles, {size / 1e6:.1f} MB")
    return {**told, "minzoom": first, "maxzoom": max(last, first)}


def _first_zoom(basemap: Basemap, boxes: npt.NDArray[np.float64]) -> int:
    """Where the whole city is a quarter of a tile, or the nearest zoom that the file has."""
    assert basemap.archive is not None
    west, north, east, south = _on_square(boxes)
    wide = max(east.max() - west.min(), south.max() - north.min(), 1e-9)
    low, high = basemap.archive.zooms
    return min(max(math.floor(-math.log2(wide)) - _COARSER, low), high)


def _zoom(
    basemap: Basemap, z: int, boxes: npt.NDArray[np.float64], known: Mapping[bytes, int], room: int
) -> dict[str, bytes] | None:
    """The tiles of a zoom that lie at the regions or beside them; None where new ones take more than room."""
    assert basemap.archive is not None
    numbers = _numbers(z, boxes)
    if numbers is None:
        return None
    found: dict[str, bytes] = {}
    seen = set(known)
    for x, y in numbers:
        data = basemap.archive.tile(z, x, y)
        if data is None:
            continue
        if basemap.kind == "vector":
            data = gzip.compress(data, mtime=0)
        found[f"{z}/{x}/{y}"] = data
        room -= 0 if data in seen else _length(data)
        seen.add(data)
        if room < 0:
            return None
    return found


def _numbers(z: int, boxes: npt.NDArray[np.float64]) -> list[tuple[int, int]] | None:
    """Columns and rows of a zoom at the regions and one to each side; None: far too many."""
    count = 1 << z
    west, north, east, south = _on_square(boxes)
    low = np.clip(np.floor(np.column_stack([west, north]) * count) - 1, 0, count - 1)
    high = np.clip(np.floor(np.column_stack([east, south]) * count) + 1, 0, count - 1)
    spans = np.unique(np.column_stack([low, high]).astype(np.int64), axis=0)
    if np.prod(spans[:, 2:] - spans[:, :2] + 1, axis=1, dtype=float).sum() > _MOST_TILES:
        return None
    return sorted(
        {(x, y) for x0, y0, x1, y1 in spans.tolist() for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)}
    )


def _on_square(boxes: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """West, north, east, south on the square of Web Mercator."""
    lat = np.clip(boxes[:, [1, 3]], -MERCATOR_LATITUDE, MERCATOR_LATITUDE)
    west, north = on_mercator(boxes[:, 0], lat[:, 1])
    east, south = on_mercator(boxes[:, 2], lat[:, 0])
    return west, north, east, south


def _length(data: bytes) -> int:
    """Characters of base64."""
    return 4 * -(-len(data) // 3)
