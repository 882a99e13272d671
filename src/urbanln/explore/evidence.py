"""What carries a likeness: everything left out by itself, and what goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.sentences import split_sentences
from urbanln.explore.content import Content, Reader
from urbanln.pages.text import clean

_GRID = 3  # parts of a picture along each edge
PICTURES, _SENTENCES = 2, 40
Floats = npt.NDArray[np.float32]

LEFT_OUT = (
    "Each part is left out by itself; the gain is what the likeness loses without it. Parts that say the "
    "same hide one another."
)
"""What the numbers of a query's evidence are."""


def phrases(text: str, query: Floats, reader: Reader) -> list[dict[str, Any]]:
    """Sentences of a region's captions, and what its likeness to a query loses without each.

    Args:
        text: The captions.
        query: (D,), of length 1.
        reader: By which both are read.
    """
    sentences = split_sentences(text)[:_SENTENCES]
    if not sentences:
        return []
    without = [" ".join(sentences[:i] + sentences[i + 1 :]) or "." for i in range(len(sentences))]
    likeness = reader.texts([text, *without]) @ query
    gains = likeness[0] - likeness[1:]
    return [
        {"text": clean(sentences[i], 1000), "gain": float(gains[i])}
        for i in np.argsort(-gains, kind="stable")
    ]


def parts(content: Content, pictures: Sequence[int], query: Floats, reader: Reader) -> list[dict[str, Any]]:
    """Parts of a region's first pictures, and what a picture's likeness to a query loses without each.

    Args:
        content: Whose pictures.
        pictures: Rows of its table.
        query: (D,), of length 1.
        reader: By which both are read.
    """
    found = []
    for picture in pictures[:PICTURES]:
        shown = reader.parts(content.open_picture(picture), boxes())
        likeness = shown @ query / np.linalg.norm(shown, axis=1)
        found += told(picture, likeness[0] - likeness[1:])
    return sorted(found, key=lambda one: -one["gain"])


def boxes() -> list[tuple[float, float, float, float]]:
    """The parts of a picture, row by row: left, top, right, bottom as shares of its edges."""
    edges = np.linspace(0, 1, _GRID + 1).tolist()
    return [(edges[x], edges[y], edges[x + 1], edges[y + 1]) for y in range(_GRID) for x in range(_GRID)]


def told(picture: int, gains: npt.NDArray[Any]) -> list[dict[str, Any]]:
    """What leaving out each part of a picture takes away, as JSON values."""
    return [
        {"picture": f"p{picture}", "box": list(box), "gain": float(gain)}
        for box, gain in zip(boxes(), gains, strict=True)
    ]
