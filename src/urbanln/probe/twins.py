"""Regions that hold one and the same value: whether neighbours do, and what that says of the source."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from urbanln.base.space import CITY_GAP_M, Floats, spacing_metres

MANY = 0.04
"""Share of regions, beyond what chance would have, that make twins beside each other worth a sentence."""
ONE_SOURCE = (
    "one value of the source seems to cover several regions: a coarser raster, a filling, or rounding"
)
COINCIDE = "rounded numbers coincide"
_TOGETHER = 0.25  # of those that hold it, beyond what chance would have
_STEP = 2.0  # times as many equal neighbours as neighbours one step apart
_NEAR = 1.5  # times the spacing: the ring around a cell of a grid
_LEVEL_M = 1e10  # wider than all cities together


def twin_metres(values: Floats, metres: Floats) -> Floats:
    """Distance to the nearest region with the same value, of each that has one in its own city.

    Args:
        values: (n,) labels.
        metres: (n, 2) positions in metres.
    """
    if len(values) == 0:
        return np.empty(0)
    # On a third axis so long that whoever is nearest has an equal value.
    level = np.unique(values, return_inverse=True)[1] * _LEVEL_M
    distance = cKDTree(np.column_stack([metres, level])).query(np.column_stack([metres, level]), k=2)[0][:, 1]
    return np.asarray(distance[distance < CITY_GAP_M / 2], dtype=np.float64)


class NearTwins(NamedTuple):
    """Regions that have their exact value beside them.

    Args:
        share: Of all regions, within 1.5 spacings.
        by_chance: That share were the same values dealt out at random.
        one_source: Whether one value of the source seems to cover neighbours: they share it more than by
            chance, and far more of them are equal than differ by one step, as neighbours on a smooth map of
            rounded numbers do.
    """

    share: float
    by_chance: float
    one_source: bool


def near_twins(values: Floats, metres: Floats) -> NearTwins:
    """How many regions have their exact value beside them, and what that means.

    Args:
        values: (n,) labels; a 0 is nobody's twin.
        metres: (n, 2) positions in metres.
    """
    n, reach = len(values), _NEAR * spacing_metres(metres)
    if n < 2 or not math.isfinite(reach):
        return NearTwins(0.0, 0.0, one_source=False)
    different, rank, count = np.unique(values, return_inverse=True, return_counts=True)
    twins = np.isin(values, different[(count > 1) & (different != 0)])
    share = float((twin_metres(values[twins], metres[twins]) <= reach).sum() / n)
    tree = cKDTree(metres)
    beside = tree.query_ball_point(metres, reach, return_length=True) - 1
    others = np.where(different == 0, 0, count - 1)
    # A value of c regions, at m neighbours: none of them has it with the chance (1 - (c - 1) / (n - 1))^m.
    chance = float((count / n) @ (1 - (1 - others / (n - 1)) ** float(beside.mean())))
    distance, near = tree.query(metres, k=np.arange(2, min(n, 9) + 1))
    steps = np.abs(rank[near] - rank[:, None])[(distance <= reach) & (values != 0)[:, None]]
    smooth = (steps == 0).sum() <= _STEP * (steps == 1).sum()
    return NearTwins(share, chance, bool(share - chance > MANY and not smooth))


def held_together(value: float, values: Floats, metres: Floats) -> bool:
    """Whether the regions that hold a value lie beside each other, more than chance would have it."""
    near = near_twins(np.where(values == value, 1.0, 0.0), metres)
    return near.share - near.by_chance > _TOGETHER * float((values == value).mean())
