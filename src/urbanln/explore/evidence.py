"""What carries a likeness or a prediction: everything left out by itself, and what goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.sentences import split_sentences
from urbanln.base.space import square_blocks
from urbanln.explore.content import Content, Reader
from urbanln.pages.text import clean
from urbanln.probe.ridge import ridge
from urbanln.probe.splits import Fold

_GRID = 3  # parts of a picture along each edge
_PICTURES, _SENTENCES = 2, 40
_AWAY = 0.1  # of the city's longer edge: regions nearer than this teach nothing about one
_INNER = 5
_LEAST = 20
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
    for picture in pictures[:_PICTURES]:
        shown = reader.parts(content.open_picture(picture), _boxes())
        likeness = shown @ query / np.linalg.norm(shown, axis=1)
        found += _told(picture, likeness[0] - likeness[1:])
    return sorted(found, key=lambda one: -one["gain"])


def prediction(
    content: Content, row: int, label: str, log: bool, pictures: Sequence[int], reader: Reader
) -> dict[str, Any]:
    """Parts of a region's pictures, and what a prediction of its label loses without each.

    The prediction is a ridge's on the region's vector, fitted without the region and all within a tenth of
    the city's longer edge, so it is not quite the held-out one that is shown.

    Args:
        content: Whose vectors and labels.
        row: Region.
        label: Name of the label.
        log: Whether it is predicted as ln(1 + label).
        pictures: All pictures that the region's vector is the mean of, rows of the table.
        reader: That made the vectors.

    Raises:
        InputError: The region has no vector, or too few regions far from it have a label.
    """
    vectors = content.vectors
    assert vectors is not None
    own = np.flatnonzero(vectors.rows == row)
    values = content.columns[f"label:{label}"].values[vectors.rows].astype(np.float64)
    everywhere = content.metres()
    metres = everywhere[vectors.rows]
    apart = np.hypot(*(metres - everywhere[row]).T)
    # Of the region's own city: cities stand so far apart that a tenth of the whole would be all of one.
    city = next(one for one in content.places if one.first <= row < one.last)
    span = float(np.ptp(everywhere[city.first : city.last], axis=0).max())
    known = np.flatnonzero(np.isfinite(values) & (apart > _AWAY * span))
    if not len(own) or not len(pictures) or len(known) < _LEAST:
        raise InputError(
            "there is too little to explain this prediction by",
            value=f"{len(known)} labelled regions far from it",
            where=content.regions["region_id"].iloc[row], remedy="choose a region with a vector and pictures",
        )  # fmt: skip
    shown = pictures[:_PICTURES]
    changed = []
    for picture in shown:
        read = reader.parts(content.open_picture(picture), _boxes())
        changed.append((read[1:] - read[0]) / len(pictures))
    vector = np.asarray(vectors.search.vectors[own[0]])
    variants = np.concatenate([vector[None], *(vector + one for one in changed)])
    target = np.concatenate([values[known], np.zeros(len(variants))])
    table = np.concatenate([vectors.search.vectors[known], variants])
    fold = _fold(metres[known], span, len(table))
    made = ridge(table, np.log1p(target) if log else target, fold)
    gains = made[0] - made[1:]
    size = _GRID * _GRID
    found = [
        one for i, picture in enumerate(shown) for one in _told(picture, gains[i * size : (i + 1) * size])
    ]
    unit = "of its logarithm" if log else content.columns[f"label:{label}"].unit
    return {
        "phrases": [], "parts": sorted(found, key=lambda one: -abs(one["gain"])),
        "base": float(np.expm1(made[0]) if log else made[0]),
        "note": f"A ridge fitted without this region and all within {_AWAY * span / 1000:.3g} km of it; the "
        f"gain is what its prediction loses ({unit}) where a part of a picture is grey. It tells what the "
        "prediction leans on, not what causes the label.",
    }  # fmt: skip


def _fold(metres: npt.NDArray[np.float64], span: float, n: int) -> Fold:
    """All known rows to fit on, judged by blocks of a fifth of the city; the rows behind them to predict."""
    blocks = square_blocks(metres, max(span / 1000 / _INNER, 1e-3))
    inner = np.unique(blocks % _INNER, return_inverse=True)[1]
    rows = np.arange(len(metres))
    held = inner == inner[0] if inner.max() else rows % _INNER == 0
    return Fold(rows[~held], rows[held], np.arange(len(rows), n), inner)


def _boxes() -> list[tuple[float, float, float, float]]:
    edges = np.linspace(0, 1, _GRID + 1).tolist()
    return [(edges[x], edges[y], edges[x + 1], edges[y + 1]) for y in range(_GRID) for x in range(_GRID)]


def _told(picture: int, gains: npt.NDArray[Any]) -> list[dict[str, Any]]:
    return [
        {"picture": f"p{picture}", "box": list(box), "gain": float(gain)}
        for box, gain in zip(_boxes(), gains, strict=True)
    ]
