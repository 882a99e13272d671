"""Columns of a table of vectors as heads want them, read in chunks.

A table of 100,000 × 512 is 205 MB in float32. In float64, or copied once per fold, it would fill a laptop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, Ints
from urbanln.probe.splits import Fold

CHUNK_VALUES = 2**20  # 8 MB in float64
LARGEST = 1e6  # in spreads of the known rows; a row beyond that would overflow float32


def check_validation(fold: Fold) -> None:
    """Refuse a fold that leaves nothing to fit on or nothing to choose by.

    Raises:
        InputError: Fewer than two training rows, no validation row, or inner folds that do not fit.
    """
    if len(fold.val) == 0 or len(fold.train) < 2:
        raise InputError(
            "a fold needs two training rows and a validation row", value=(len(fold.train), len(fold.val))
        )
    if fold.inner is not None and len(fold.inner) != len(fold.train) + len(fold.val):
        raise InputError(
            "inner folds are one number per known row",
            value=len(fold.inner),
            where=f"{len(fold.train) + len(fold.val)} known rows",
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
