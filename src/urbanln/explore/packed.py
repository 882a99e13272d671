"""Values of all regions as one binary answer: as JSON they would be many times the size, and slow to read.

Four bytes tell the length of a head, JSON that names each part with its kind and length; the parts follow,
each at a multiple of eight. Kinds are ``i2``, ``i4`` and ``f8`` (little-endian), ``lines`` (UTF-8, one text a
line) and ``wkb``. The page reads it in ``packed.js``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

_STEP = 8
_DEGREE = 1e6  # the page's places are whole millionths of a degree, 0.1 m


def pack(parts: Mapping[str, tuple[str, bytes]]) -> bytes:
    """The answer.

    Args:
        parts: By name: kind and content.
    """
    told = [{"name": name, "kind": kind, "bytes": len(body)} for name, (kind, body) in parts.items()]
    head = _filled(json.dumps(told).encode(), 4, b" ")
    bodies = (_filled(body, 0, b"\0") for _, body in parts.values())
    return len(head).to_bytes(4, "little") + head + b"".join(bodies)


def pack_places(lonlat: npt.NDArray[np.float64]) -> dict[str, tuple[str, bytes]]:
    """Middles of regions, (N, 2) degrees, as parts; where there is none they lie at 0, 0."""
    whole = np.nan_to_num(np.round(lonlat * _DEGREE)).astype("<i4")
    return {name: ("i4", whole[:, i].tobytes()) for i, name in enumerate(("lon", "lat"))}


def pack_texts(name: str, texts: Sequence[str | None]) -> dict[str, tuple[str, bytes]]:
    """Texts as a part; what is missing is an empty line."""
    return {name: ("lines", "\n".join((one or "").replace("\n", " ") for one in texts).encode())}


def pack_shapes(rows: npt.NDArray[Any] | None, shapes: npt.NDArray[Any]) -> dict[str, tuple[str, bytes]]:
    """Shapes as parts, and of which regions they are, unless they are of all."""
    parts = {} if rows is None else {"drawn": ("i4", rows.astype("<i4").tobytes())}
    return {**parts, "shapes": ("wkb", b"".join(shapely.to_wkb(shapes, byte_order=1)))}


def _filled(body: bytes, before: int, blank: bytes) -> bytes:
    return body + blank * (-(before + len(body)) % _STEP)
