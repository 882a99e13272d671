"""The map as columns for a head: position, and bumps around the known rows at three scales."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from urbanln.base.space import CITY_GAP_M, Floats, Ints
from urbanln.probe.splits import Fold

ROWS_PER_BUMP, DEEPEST = 10, 6
WIDTH = 2.0  # in the root mean square distance of a cell's rows from its middle


def map_columns(metres: Floats, fold: Fold) -> npt.NDArray[np.float32]:
    """Columns of the map for one fold: what a head can learn from where a region lies.

    East and north in km from the middle of the city's known rows, and Gaussian bumps, so that a linear head
    can follow a smooth field. The known rows are halved along the wider axis, again and again; every part on
    three of these levels has a bump, as wide as twice its spread. At the finest level a part has ten rows or
    more, and there are 64 parts at most: 54 columns for 320 known rows, 106 for many. Nothing is drawn at
    random, and neither labels nor the places of other rows have a say.

    A field that changes within the width of the finest bump is beyond these columns; the floors of
    :mod:`urbanln.probe.floors` see it. In a city without known rows all say the same everywhere.

    Args:
        metres: (N, 2) positions of all rows in metres; cities ``CITY_GAP_M`` apart.
        fold: Row numbers; only the known ones count.

    Returns:
        (N, C), the same C for folds of about equal size.
    """
    known = fold.known
    place = metres[known]
    columns = [_within_city(metres, known)]
    deepest = int(np.clip(np.log2(len(known) / ROWS_PER_BUMP), 1, DEEPEST))
    for cell in _cells(place, {max(deepest - 3, 1), max(deepest - 1, 1), deepest}):
        middle = place[cell].mean(axis=0)
        wide = WIDTH * np.sqrt(((place[cell] - middle) ** 2).sum(axis=1).mean())
        away = ((metres - middle) ** 2).sum(axis=1) / max(wide, 1.0) ** 2
        columns.append(np.exp(-0.5 * away).astype(np.float32)[:, None])
    return np.hstack(columns)


def _within_city(metres: Floats, known: Ints) -> npt.NDArray[np.float32]:
    """East and north in km from the middle of each city's known rows; 0 where a city has none."""
    city = np.round(metres[:, 0] / CITY_GAP_M)
    local = np.zeros(metres.shape, dtype=np.float32)
    for name in np.unique(city[known]):
        own = city == name
        local[own] = (metres[own] - metres[known[city[known] == name]].mean(axis=0)) / 1000
    return local


def _cells(place: Floats, levels: set[int]) -> list[Ints]:
    """Rows of every part on the wanted levels; each level halves the parts of the one before."""
    parts: list[Ints] = [np.arange(len(place))]
    kept: list[Ints] = []
    for level in range(1, max(levels) + 1):
        halves = []
        for part in parts:
            axis = int(np.argmax(np.ptp(place[part], axis=0)))
            order = part[np.argsort(place[part, axis], kind="stable")]
            halves += [half for half in np.array_split(order, 2) if len(half)]
        parts = halves
        kept += parts if level in levels else []
    return kept
