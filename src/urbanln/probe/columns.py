"""What heads see of a region: columns of a table of vectors, read in chunks, and columns of the map.

A table of 100,000 × 512 is 205 MB in float32. In float64, or copied once per fold, it would fill a laptop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.space import CITY_GAP_M, Floats, Ints
from urbanln.probe.splits import Fold

CHUNK_VALUES = 2**20  # 8 MB in float64
LARGEST = 1e6  # in spreads of the known rows; a row beyond that would overflow float32
ROWS_PER_BUMP, DEEPEST = 10, 6
WIDTH = 2.0  # in the root mean square distance of a cell's rows from its middle


def check_validation(fold: Fold) -> None:
    """Refuse a fold that leaves nothing to fit on or nothing to choose by.

    Raises:
        InputError: Fewer than two training rows, no validation row, or inner folds that do not fit.
    """
    if len(fold.val) == 0 or len(fold.train) < 2:
        raise InputError(
            "a fold needs two training rows and a validation row",
            value=(len(fold.train), len(fold.val)),
            where="fold",
            remedy="use fewer folds, or label more regions",
        )
    if fold.inner is not None and len(fold.inner) != len(fold.train) + len(fold.val):
        raise InputError(
            "inner folds are one number per known row",
            value=len(fold.inner),
            where=f"{len(fold.train) + len(fold.val)} known rows",
            remedy="give an inner fold for each row of train and val",
        )


def chunks(rows: Ints, width: int) -> Iterator[slice]:
    """Slices of ``rows`` whose part of a table of ``width`` columns is about 8 MB in float64."""
    size = max(CHUNK_VALUES // max(width, 1), 64)
    for start in range(0, len(rows), size):
        yield slice(start, start + size)


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and spread of columns, and how to bring rows to it.

    Args:
        mean: (D,) means.
        spread: (D,) standard deviations; endless for a column without spread, so that it is 0 in every row.
    """

    mean: Floats
    spread: Floats

    def wide(self, X: npt.NDArray, rows: Ints) -> Floats:
        """Standardised rows in float64; for a chunk of them."""
        Z = X[rows].astype(np.float64)
        Z -= self.mean
        Z /= self.spread
        return Z

    def rows(
        self, X: npt.NDArray, rows: Ints, axes: Floats | None = None, dtype: npt.DTypeLike = np.float32
    ) -> npt.NDArray:
        """Standardised rows (M, D), cut to a million spreads.

        Args:
            X: (N, D) vectors of all rows.
            rows: (M,) row numbers.
            axes: (D, r) directions; the rows along these then, (M, r).
            dtype: Of the result.
        """
        made = np.empty((len(rows), X.shape[1] if axes is None else axes.shape[1]), dtype=dtype)
        for part in chunks(rows, X.shape[1]):
            Z = np.clip(self.wide(X, rows[part]), -LARGEST, LARGEST)
            made[part] = Z if axes is None else Z @ axes
        return made


def column_scale(X: npt.NDArray, rows: Ints) -> Scale:
    """Mean and spread of the columns over some rows, in float64 by two passes."""
    total: Floats = np.zeros(X.shape[1])
    for part in chunks(rows, X.shape[1]):
        total += X[rows[part]].sum(axis=0, dtype=np.float64)
    mean = total / len(rows)
    square: Floats = np.zeros(X.shape[1])
    for part in chunks(rows, X.shape[1]):
        away = X[rows[part]] - mean
        square += np.einsum("nd,nd->d", away, away)
    spread = np.sqrt(square / len(rows))
    spread[spread <= 1e-7 * np.maximum(np.abs(mean), 1e-30)] = np.inf
    return Scale(mean, spread)


def leading_axes(X: npt.NDArray, rows: Ints, scale: Scale, count: int) -> Floats:
    """Directions (D, count) in which standardised rows vary most, largest first: principal components."""
    gram: Floats = np.zeros((X.shape[1], X.shape[1]))
    for part in chunks(rows, X.shape[1]):
        Z = np.clip(scale.wide(X, rows[part]), -LARGEST, LARGEST)
        gram += Z.T @ Z
    return np.linalg.eigh(gram)[1][:, : -count - 1 : -1]


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
