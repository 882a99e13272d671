"""Likeness of neighbours: Moran's I of numbers and of parts, join counts, each with a permutation test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError
from urbanln.base.space import CITY_GAP_M, Floats, Ints

_KEPT_PLACES = 2**22  # of shufflings that are remembered: 32 MB
APART_M = CITY_GAP_M / 2
"""Points further apart stand in two cities."""


@dataclass(frozen=True)
class Moran:
    """Moran's I and its test.

    Attributes:
        i: Moran's I; NaN where it is not defined (fewer than three values, or all equal).
        expected: Its mean under no autocorrelation, −1/(n − 1).
        p: Pseudo p-value of the permutation test, one-sided: the share of shufflings with an I as large or
            larger, the data counted as one of them. NaN with ``i``, or without permutations.
    """

    i: float
    expected: float
    p: float


@dataclass(frozen=True, eq=False)
class Joins:
    """Same-class joins of neighbours, and their test.

    Attributes:
        same: Share of the neighbours that are of a point's own class; NaN where there are fewer than three
            points, or one class.
        expected: Its mean where the same classes are dealt out at random.
        z: How many standard deviations of the shufflings it lies above their mean; NaN without shufflings.
        p: Pseudo p-value, one-sided: the share of shufflings with as many joins or more, the data counted as
            one of them.
        of: (C,) the same share by class, among the neighbours of its points.
    """

    same: float
    expected: float
    z: float
    p: float
    of: Floats


def morans_i(
    values: npt.ArrayLike, metres: npt.ArrayLike, *, k: int = 8, permutations: int = 199, seed: int = 0
) -> Moran:
    """Moran's I over the k nearest neighbours, each row of weights summing to 1 (Moran 1950).

    Args:
        values: (N,) numbers; missing ones are left out with their position.
        metres: (N, 2) positions in metres, as :func:`urbanln.base.space.to_metres` makes them; neighbours are
            never taken from another city.
        k: Neighbours of a point; 8 are the ring around a cell of a grid. All others where there are fewer.
        permutations: Shufflings of the test; 0 leaves it out. 199 tell p = .005 at best.
        seed: Of the shufflings.

    Raises:
        InputError: Lengths that differ, or ``k`` below 1.

    Example:
        >>> import numpy as np
        >>> grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2)
        >>> morans_i(grid[:, 0], grid).i > 0.6
        True
    """
    numbers, places = present(values, metres)
    _check_k(k)
    n = len(numbers)
    if n < 3 or np.ptp(numbers) == 0:
        return Moran(np.nan, -1 / (n - 1) if n > 1 else np.nan, np.nan)
    weights = _neighbour_weights(places.tobytes(), min(k, n - 1))
    z = numbers - numbers.mean()
    scale = n / (weights.sum() * (z @ z)) if weights.nnz else np.nan
    found = float(scale * (z @ (weights @ z)))
    if permutations < 1 or not np.isfinite(found):
        return Moran(found, -1 / (n - 1), np.nan)
    kept = n * permutations <= _KEPT_PLACES
    at_least = 1
    for order in (_shufflings if kept else _shuffled)(n, permutations, seed):
        shuffled = z.take(order)
        # Sums in another order differ in the last digits: equal arrangements count as equal.
        at_least += bool(scale * (shuffled @ (weights @ shuffled)) >= found - 1e-12)
    return Moran(found, -1 / (n - 1), at_least / (permutations + 1))


def morans_i_of_parts(
    parts: npt.ArrayLike, metres: npt.ArrayLike, *, k: int = 8, permutations: int = 199, seed: int = 0
) -> tuple[Moran, list[Moran]]:
    """Moran's I of what stands in several columns, such as the residuals of classes or shares.

    Of each column, as :func:`morans_i`, which is faster where there is one; and of all together,
    Σᵢⱼ wᵢⱼ zᵢ·zⱼ / Σᵢ zᵢ·zᵢ with the scalar product of two rows: the trace of the spatial cross-products
    (Wartenberg 1985, Geogr. Anal. 17) over that of the covariance, which is the mean of the columns' I
    weighted by their variances. One test for all columns that needs no correction for their number: rows
    are shuffled whole.

    Args:
        parts: (N, C) numbers; rows with a gap are left out with their position.
        metres, k, permutations, seed: As of :func:`morans_i`. A column that is constant has none.

    Raises:
        InputError: Lengths that differ, or ``k`` below 1.

    Example:
        >>> import numpy as np
        >>> grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2)
        >>> together, each = morans_i_of_parts(grid, grid)
        >>> bool(together.i > 0.6 and each[1].p == 0.005)
        True
    """
    rows = np.asarray(parts, dtype=np.float64)
    sums, places = present(rows.sum(axis=1), metres)
    rows = rows[np.isfinite(rows.sum(axis=1))]
    _check_k(k)
    n = len(sums)
    if n < 3 or not np.ptp(rows, axis=0).any():
        none = Moran(np.nan, -1 / (n - 1) if n > 1 else np.nan, np.nan)
        return none, [none] * rows.shape[1]
    leaf = cKDTree(places).indices  # neighbours side by side in memory, which halves the time of many points
    weights = _neighbour_weights(places.tobytes(), min(k, n - 1))[leaf][:, leaf]
    z, ones = np.where(np.ptp(rows, axis=0) > 0, rows - rows.mean(axis=0), 0.0), np.ones(n)
    spread = ones @ (z * z)
    whole = np.append(spread, spread.sum()) * (weights.sum() / n)
    scale = np.divide(1, whole, out=np.full(len(whole), np.nan), where=whole > 0)

    def alike(order: Ints) -> Floats:
        values = z.take(order[leaf], axis=0)
        each = ones @ (values * (weights @ values))
        return np.append(each, each.sum()) * scale

    found, at_least = alike(np.arange(n)), np.ones(len(scale))
    kept = n * permutations <= _KEPT_PLACES
    for order in (_shufflings if kept else _shuffled)(n, permutations, seed):
        at_least += alike(order) >= found - 1e-12
    p = np.where(np.isfinite(found) & (permutations > 0), at_least / (permutations + 1), np.nan)
    each = [Moran(float(i), -1 / (n - 1), float(of)) for i, of in zip(found, p, strict=True)]
    return each[-1], each[:-1]


def join_counts(
    codes: npt.ArrayLike, metres: npt.ArrayLike, *, k: int = 8, permutations: int = 199, seed: int = 0
) -> Joins:
    """How often one of the k nearest neighbours is of a point's own class (join counts: Moran 1948, Cliff and
    Ord 1981), held against shufflings of the same classes over the same places.

    Args:
        codes: (N,) whole numbers from 0: the class of each point.
        metres: (N, 2) positions in metres; neighbours are never taken from another city.
        k: Neighbours of a point; all others where there are fewer.
        permutations: Shufflings of the test; 0 leaves it out.
        seed: Of the shufflings.

    Raises:
        InputError: Lengths that differ, or ``k`` below 1.

    Example:
        >>> import numpy as np
        >>> grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2)
        >>> join_counts(grid[:, 0] > 2, grid).same > 0.8
        True
    """
    numbers, places = present(np.asarray(codes, dtype=np.float64), metres)
    classes = numbers.astype(np.int64)
    _check_k(k)
    n, counts = len(classes), np.bincount(classes)
    if n < 3 or (counts > 0).sum() < 2:
        return Joins(np.nan, np.nan, np.nan, np.nan, np.full(len(counts), np.nan))
    weights = _neighbour_weights(places.tobytes(), min(k, n - 1)).tocoo()
    total = weights.data.sum()

    def joined(given: Ints) -> Floats:
        same = given[weights.row] == given[weights.col]
        joins = np.bincount(given[weights.row[same]], weights.data[same], minlength=len(counts))
        return np.asarray(joins, dtype=np.float64)

    at = joined(classes)
    found = float(at.sum() / total) if total else np.nan
    expected = float((counts * (counts - 1.0)).sum() / (n * (n - 1.0)))
    members = np.bincount(classes[weights.row], weights.data, minlength=len(counts))
    of = np.divide(at, members, out=np.full(len(counts), np.nan), where=members > 0)
    if permutations < 1 or not np.isfinite(found):
        return Joins(found, expected, np.nan, np.nan, of)
    kept = n * permutations <= _KEPT_PLACES
    orders = (_shufflings if kept else _shuffled)(n, permutations, seed)
    shuffled = np.array([joined(classes.take(order)).sum() / total for order in orders])
    spread = float(shuffled.std())
    z = (found - float(shuffled.mean())) / spread if spread > 0 else np.nan
    at_least = 1 + int((shuffled >= found - 1e-12).sum())
    return Joins(found, expected, z, at_least / (permutations + 1), of)


def _check_k(k: int) -> None:
    if k < 1:
        raise InputError("at least one neighbour is needed", value=k, where="k", remedy="give k = 1 or more")


def present(values: npt.ArrayLike, metres: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The values that are there, and their positions.

    Args:
        values: (N,) numbers.
        metres: (N, 2) positions.

    Raises:
        InputError: Other shapes.
    """
    numbers = np.asarray(values, dtype=np.float64)
    places = np.asarray(metres, dtype=np.float64)
    if numbers.ndim != 1 or places.shape != (len(numbers), 2):
        raise InputError(
            "one value and one position (two columns) are needed per point",
            value=f"values {numbers.shape}, positions {places.shape}",
            where="values and positions",
            remedy="give as many positions as values",
        )
    there = np.isfinite(numbers)
    return numbers[there], places[there]


def _shuffled(n: int, count: int, seed: int) -> Iterator[Ints]:
    rng = np.random.default_rng(seed)
    return (rng.permutation(n) for _ in range(count))


@lru_cache(maxsize=1)
def _shufflings(n: int, count: int, seed: int) -> list[Ints]:
    """Remembered, as the neighbours are: to draw them takes longer than to use them."""
    return list(_shuffled(n, count, seed))


@lru_cache(maxsize=1)
def _neighbour_weights(positions: bytes, k: int) -> csr_array:
    """(N, N) sparse: 1/k for each of the k nearest others, 0 elsewhere; (N, 2) float64 as bytes.

    The last one is remembered: all that predicts a label is judged at the same places.
    """
    places = np.frombuffer(positions).reshape(-1, 2)
    n = len(places)
    distance, nearest = cKDTree(places).query(places, k=k + 1)
    others = nearest != np.arange(n)[:, None]
    # Where many points share a place, the point itself may not be among its nearest: then the last goes.
    others[others.all(axis=1), -1] = False
    nearest, distance = nearest[others].reshape(n, k), distance[others].reshape(n, k)
    near = distance < APART_M
    share = near / np.maximum(near.sum(axis=1, keepdims=True), 1)
    rows = np.repeat(np.arange(n), k)[near.ravel()]
    return csr_array((share[near], (rows, nearest[near])), shape=(n, n))
