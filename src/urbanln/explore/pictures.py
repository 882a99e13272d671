"""Pictures as pages show them: small, without notes, JPEG."""

from __future__ import annotations

import io

from PIL import Image

from urbanln.base.pictures import open_picture

SIDES = (384, 1024)
"""Longest sides: in lists, and looked at alone."""


def small(data: bytes, size: int) -> bytes:
    """A picture file as a JPEG of at most so many pixels a side.

    Raises:
        PictureError: It is none.
    """
    picture = open_picture(data)
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()
