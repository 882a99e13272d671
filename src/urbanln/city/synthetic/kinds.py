"""Labels of a synthetic city that are no numbers: classes and shares, whose true probabilities are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from urbanln.base.softmax import softmax
from urbanln.city.meta import IndicatorNote
from urbanln.city.synthetic.fields import Cell, Floats
from urbanln.city.synthetic.labels import standard_counts

# Score of each class or part: level, weights on latents, weights on details (both standardised).
_Rules = Mapping[str, tuple[float, Mapping[str, float], Mapping[str, float]]]
_USE: _Rules = {
    "housing": (0.5, {"density": 0.5, "wealth": 0.2}, {"swimming pool": 0.4, "playground": 0.3}),
    "business": (0.1, {"commerce": 0.9, "density": 0.3}, {"market stall": 0.5, "bus": 0.3}),
    "industry": (0.0, {"industry": 0.9}, {"container": 0.6, "storage tank": 0.5}),
    "green": (0.3, {"greenness": 0.9, "density": -0.5}, {"sports field": 0.3, "greenhouse": 0.3}),
    "derelict": (-0.9, {"wealth": -0.5}, {"derelict lot": 0.8}),
}
_COVER: _Rules = {
    "built": (0.4, {"density": 0.6, "greenness": -0.2}, {"container": 0.15, "greenhouse": 0.1}),
    "green": (0.4, {"greenness": 0.6, "density": -0.3}, {"sports field": 0.2, "playground": 0.1}),
    "paved": (-0.2, {"commerce": 0.3, "industry": 0.2}, {"parking lot": 0.3, "parked car": 0.2}),
    "water": (-0.6, {}, {"swimming pool": 0.1}),  # none without a river
}
_CHANCE = 0.5  # scale of the Gumbel noise that decides for a class
_NOISE = 0.3  # deviation of the noise in the scores of parts
_MISSING = 0.02  # of the regions have no class
COVER = tuple(f"cover_{part}" for part in _COVER)
NOTES = {
    "land_use": IndicatorNote(kind="classes"),
    "land_cover": IndicatorNote(kind="shares", columns=COVER, unit="of the cell, simulated"),
}
"""What ``city.toml`` says of them."""


def make_kinds(
    cells: Sequence[Cell], drawn: Sequence[Mapping[str, int]], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A label of classes and one of shares, and the truth behind them.

    Each class has a score, linear in latents and in details drawn on the satellite tile; the class is the
    largest of them after Gumbel noise, so that its probabilities are known: the softmax of scores / 0.5. The
    shares are the softmax of such scores with normal noise of deviation 0.3; a cell without a river has no
    water.

    Args:
        cells: The N cells.
        drawn: Counts of objects on each cell's satellite tile.
        seed: Seed of the city; the stream is their own, so that all else of a seed stays as it is.

    Returns:
        Columns ``land_use`` (2 % missing) and ``cover_*``; and columns of the truth: ``probability_*`` of
        each class, and ``share_*`` of each part without noise.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_091,)))
    use = _scores(_USE, cells, drawn)
    at = np.argmax(use + rng.gumbel(0, _CHANCE, use.shape), axis=1)
    lost = rng.random(len(cells)) < _MISSING
    classes = np.array(list(_USE), dtype=object)[at]
    classes[lost] = None
    cover = _scores(_COVER, cells, drawn)
    cover[[cell.river is None for cell in cells], list(_COVER).index("water")] = -math.inf
    noisy = softmax(cover + rng.normal(0, _NOISE, cover.shape))
    labels = pd.DataFrame({"land_use": pd.Series(classes, dtype="str")})
    labels[list(COVER)] = noisy
    truth = pd.DataFrame(softmax(use / _CHANCE), columns=[f"probability_{name}" for name in _USE])
    truth[[f"share_{name}" for name in _COVER]] = softmax(cover)
    return labels, truth


def _scores(rules: _Rules, cells: Sequence[Cell], drawn: Sequence[Mapping[str, int]]) -> Floats:
    """(N, C) score of each cell for each class or part."""
    columns = []
    for level, gross, details in rules.values():
        score = np.full(len(cells), level)
        for cause, weight in gross.items():
            score += weight * np.array([cell.gross[cause] for cell in cells])
        for cause, weight in details.items():
            score += weight * standard_counts(cause, drawn)
        columns.append(score)
    return np.stack(columns, axis=1)
