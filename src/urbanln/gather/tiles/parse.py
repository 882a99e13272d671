"""What the answer to a request for a tile says: a picture, and whether it is one of "no imagery here"."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.pictures import open_picture
from urbanln.gather.source import Answer

_EVEN = 2  # steps of 256 by which JPEG may change an even colour
ENDINGS = {
    "JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "GIF": "gif", "BMP": "bmp", "JPEG2000": "jp2",
    "AVIF": "avif", "PPM": "ppm",
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What one tile looks like.

    Attributes:
        state: ``picture``, ``blank``, ``absent``, ``broken`` or ``unanswered``.
        look: What tells it from others: the hash of its content, or its colour where it has one only.
        format: Of its file.
    """

    state: str
    look: str = ""
    format: str = ""


def see(answer: Answer | None, tile_px: int) -> Seen:
    """Look at an answer.

    Args:
        answer: To a request for a tile.
        tile_px: Edge that it must have.
    """
    if answer is None:
        return Seen("unanswered")
    if not answer.there:
        return Seen("absent")
    try:
        picture = tile_picture(answer.data, tile_px)
    except InputError:
        return Seen("broken")
    low, high = np.array(picture.getextrema()).T
    even = bool((high - low <= _EVEN).all())
    if even and low.min() == 255 and _transparent(answer.data):
        return Seen("blank")
    look = f"colour {(low + high) // 2}" if even else hash_bytes(answer.data)
    return Seen("picture", look, str(picture.format))


def _transparent(data: bytes) -> bool:
    """Whether a tile is transparent all over, as servers say that there is nothing: once is enough."""
    with Image.open(io.BytesIO(data)) as stored:
        return stored.convert("RGBA").getchannel("A").getextrema()[1] == 0


def tile_picture(data: bytes, tile_px: int) -> Image.Image:
    """The picture of a tile, upright and RGB.

    Raises:
        InputError: It is damaged, none at all, or of another size than was said.
    """
    picture = open_picture(data, max_pixels=max(tile_px, 64) ** 2 * 16)
    if picture.size != (tile_px, tile_px):
        remedy = f"set tile_px in the source's section, e.g. tile_px = {picture.width}"
        what = f"a tile is not {tile_px} pixels wide and high"
        raise InputError(what, value=picture.size, where="the content of the tile", remedy=remedy)
    return picture


def blank_looks(seen: Iterable[Seen], repeats: int) -> set[str]:
    """Looks that mean "no imagery here": one that so many tiles of different places have.

    Two places never give equal bytes, unless no sensor saw them: servers answer with one picture where they
    have none, with words on it or of one colour.

    Args:
        seen: All tiles.
        repeats: So many equal ones, at least; 0: none mean that.
    """
    counts = Counter(one.look for one in seen if one.state == "picture")
    return {look for look, times in counts.items() if repeats and times >= repeats}
