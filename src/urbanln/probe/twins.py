"""Regions that hold one and the same value: whether neighbours do, and what that says of the source."""

from __future__ import annotations

import math

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


def near_twins(values: Floats, metres: Floats) -> tuple[float, float]:
    """How many regions have their exact value beside them, and how many would by chance.

    Args:
        values: (n,) labels; a 0 is nobody's twin.
        metres: (n, 2) positions in metres.

    Returns:
        Share of the regions with a twin within 1.5 spacings, and that share were the same values dealt out
        at random.
    """
    n, reach = len(values), _NEAR * spacing_metres(metres)
    if n < 2 or not math.isfinite(reach):
        return 0.0, 0.0
    different, count = np.unique(values, return_counts=True)
    twins = np.isin(values, different[(count > 1) & (different != 0)])
    near = twin_metres(values[twins], metres[twins]) <= reach
    beside = cKDTree(metres).query_ball_point(metres, reach, return_length=True) - 1
    others = np.where(different == 0, 0, count - 1)
    # A value of c regions, at m neighbours: none of them has it with the chance (1 - (c - 1) / (n - 1))^m.
    chance = float((count / n) @ (1 - (1 - others / (n - 1)) ** float(beside.mean())))
    return float(near.sum() / n), chance


def held_together(value: float, values: Floats, metres: Floats) -> bool:
    """Whether the regions that hold a value lie beside each other, more than chance would have it."""
    near, chance = near_twins(np.where(values == value, 1.0, 0.0), metres)
    return near - chance > _TOGETHER * float((values == value).mean())
