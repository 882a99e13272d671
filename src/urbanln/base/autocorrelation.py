"""Likeness of points by distance: Moran's I and join counts with permutation tests, the variogram's range."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError
from urbanln.base.space import CITY_GAP_M, Floats, Ints, spacing_metres

PRACTICAL = 3.0
"""An exponential variogram is at 95 % (1 − e⁻³) of its partial sill at its practical range."""
_MAX_PAIRS = 2_000_000  # all pairs of 2,000 points; more points are sampled
_ANCHORS, _NEIGHBOURS = 5_000, 64
_FEW_PAIRS = 30  # the usual least number of pairs in a lag (Journel and Huijbregts 1978)
_LEAST_SHARE = 0.1  # of the sill that the nearest pairs must lack; below, it is noise
_ERRORS = 4.0  # times 1/√pairs, about the relative standard error of a semivariance
_KEPT_PLACES = 2**22  # of shufflings that are remembered: 32 MB
_APART_M = CITY_GAP_M / 2  # pairs further apart stand in two cities


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


@dataclass(frozen=True)
class Variogram:
    """An empirical variogram and the exponential model fitted to it.

    Attributes:
        distance_km: (B,) mean distance of the pairs in each lag.
        gamma: (B,) semivariance in each lag.
        pairs: (B,) number of pairs in each lag.
        nugget: Semivariance at distance 0.
        sill: Semivariance far away, nugget included.
        range_km: Distance at which 95 % of the way from nugget to sill is gone; 0 for noise, the longest
            distance that can be judged where ``limited``, NaN where nothing can be fitted.
        limited: Semivariance still grows at the longest distance: a trend, or a range beyond the map.
    """

    distance_km: Floats
    gamma: Floats
    pairs: Ints
    nugget: float
    sill: float
    range_km: float
    limited: bool = False


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
    numbers, places = _present(values, metres)
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
    numbers, places = _present(np.asarray(codes, dtype=np.float64), metres)
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


def _present(values: npt.ArrayLike, metres: npt.ArrayLike) -> tuple[Floats, Floats]:
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
    near = distance < _APART_M
    share = near / np.maximum(near.sum(axis=1, keepdims=True), 1)
    rows = np.repeat(np.arange(n), k)[near.ravel()]
    return csr_array((share[near], (rows, nearest[near])), shape=(n, n))


def variogram(
    values: npt.ArrayLike,
    metres: npt.ArrayLike,
    *,
    max_km: float | None = None,
    lags: int = 20,
    seed: int = 0,
) -> Variogram:
    """The empirical variogram and its range: how far apart two places must be to know nothing of each other.

    Semivariances by the robust estimator of Cressie and Hawkins (1980), in lags that grow geometrically from
    the spacing of the points, so that short and long ranges are seen alike. The exponential model with a
    nugget is fitted by least squares with the weights pairs/distance², as gstat has by default; ranges are
    searched on a fine grid, nugget and sill are exact for each. More than 2,000 points are sampled: 2 million
    pairs at random, and all near pairs of 5,000 points.

    Args:
        values: (N,) numbers, in log where a label is skewed; missing ones are left out.
        metres: (N, 2) positions in metres; pairs from two cities are left out.
        max_km: Longest lag; half the distance that 99 % of the pairs stay below when left out, since longer
            lags see the map's rim alone.
        lags: Number of lags; those with fewer than 30 pairs are left out.
        seed: Of the sample.

    Raises:
        InputError: Lengths that differ.
    """
    numbers, places = _present(values, metres)

    def steps(first: Ints, second: Ints) -> Floats:
        return np.sqrt(np.abs(numbers[first] - numbers[second]))

    def robust(mean: Floats, pairs: Ints) -> Floats:
        return np.asarray(0.5 * mean**4 / (0.457 + 0.494 / pairs + 0.045 / pairs**2))

    return _empirical(places, steps, robust, max_km, lags, seed)


def variogram_of_parts(
    parts: npt.ArrayLike,
    metres: npt.ArrayLike,
    *,
    max_km: float | None = None,
    lags: int = 20,
    seed: int = 0,
) -> Variogram:
    """The variogram of what stands in several columns: shares, or one of several classes.

    Semivariances are half the mean squared distance of two rows (Matheron 1963), since a robust estimator has
    no meaning among zeros and ones. Of classes, which have 1 in their own column, that is the sum of the
    indicator variograms of all (Journel 1983): the share of pairs of that distance that differ.

    Args:
        parts: (N, C) numbers; or (N,) whole numbers, the class of each point. Rows with a gap are left out.
        metres, max_km, lags, seed: As for :func:`variogram`.

    Raises:
        InputError: Lengths that differ.
    """
    rows = np.asarray(parts, dtype=np.float64)
    classes = rows.ndim == 1
    whole, places = _present(rows if classes else rows.sum(axis=1), metres)
    rows = whole if classes else rows[np.isfinite(rows.sum(axis=1))]

    def steps(first: Ints, second: Ints) -> Floats:
        if classes:
            return np.asarray(2.0 * (rows[first] != rows[second]))
        return np.asarray(sum((column[first] - column[second]) ** 2 for column in rows.T))

    return _empirical(places, steps, lambda mean, _: mean / 2, max_km, lags, seed, moments=True)


def _empirical(
    places: Floats, steps: Callable[[Ints, Ints], Floats], gamma_of: Callable[[Floats, Ints], Floats],
    max_km: float | None, lags: int, seed: int, *, moments: bool = False,
) -> Variogram:  # fmt: skip
    """The variogram of what a function says of pairs, whose mean in a lag another turns into semivariance."""
    nothing = np.empty(0)
    empty = Variogram(nothing, nothing, np.empty(0, dtype=np.int64), np.nan, np.nan, np.nan)
    if len(places) < 3:
        return empty
    spacing = spacing_metres(places)
    first, second, distance, scale = _pairs(places, np.random.default_rng(seed))
    if not np.isfinite(spacing) or len(distance) == 0:
        return empty
    longest = 1000 * max_km if max_km is not None else 0.5 * float(np.quantile(distance, 0.99))
    edges = np.geomspace(1.2 * spacing, max(longest, 1.5 * spacing), lags)
    lag = np.searchsorted(edges, distance)
    inside = lag < lags
    lag, distance, scale = lag[inside], distance[inside], scale[inside]
    pairs = np.bincount(lag, minlength=lags)
    kept = pairs >= _FEW_PAIRS
    if kept.sum() < 3:
        return empty
    step = steps(first[inside], second[inside])
    n = pairs[kept]
    centre = np.bincount(lag, distance, minlength=lags)[kept] / n / 1000
    gamma = gamma_of(np.bincount(lag, step, minlength=lags)[kept] / n, n)
    # The two samples overlap at short distances only; what the whole map holds decides the weights.
    weight = np.bincount(lag, scale, minlength=lags)[kept] / centre**2
    # A mean of squares of what is seldom other than 0 is less certain than that of a bell-shaped number.
    errors = max(1.0, float(step.std() / step.mean()) / np.sqrt(2)) if moments and step.any() else 1.0
    return _fit(centre, gamma, n, weight, float(edges[-1]) / 1000, _ERRORS * errors)


def _pairs(places: Floats, rng: np.random.Generator) -> tuple[Ints, Ints, Floats, Floats]:
    """First and second point, distance in metres and weight of pairs: all of them, or a sample."""
    n = len(places)
    if n * (n - 1) // 2 <= _MAX_PAIRS:
        first, second = np.triu_indices(n, 1)
        scale = np.ones(len(first))
    else:
        first = rng.integers(0, n, _MAX_PAIRS)
        second = (first + rng.integers(1, n, _MAX_PAIRS)) % n
        tree = cKDTree(places)
        anchors = rng.choice(n, min(n, _ANCHORS), replace=False)
        reach = float(np.median(tree.query(places[anchors], k=_NEIGHBOURS)[0][:, -1]))
        near, other = tree.query(places[anchors], k=4 * _NEIGHBOURS, distance_upper_bound=reach)
        row, column = np.nonzero(np.isfinite(near) & (other != anchors[:, None]))
        first, second = np.append(first, anchors[row]), np.append(second, other[row, column])
        scale = np.append(np.ones(_MAX_PAIRS), np.zeros(len(row)))
    distance = np.hypot(*(places[first] - places[second]).T)
    same = distance < _APART_M
    return first[same], second[same], distance[same], scale[same]


def _fit(
    distance: Floats, gamma: Floats, pairs: Ints, weight: Floats, longest: float, errors: float
) -> Variogram:
    """Nugget, sill and practical range of an exponential model by weighted least squares."""
    from scipy.optimize import minimize_scalar, nnls  # here, since only the audit needs it

    root = np.sqrt(np.maximum(weight, 1e-12) / max(float(weight.max()), 1e-12))

    def solve(log_range: float) -> tuple[float, Floats]:
        rise = 1 - np.exp(-PRACTICAL * distance / np.exp(log_range))
        (nugget, partial), residual = nnls(np.column_stack([root, root * rise]), root * gamma)
        return float(residual), np.array([nugget, partial])

    tried = np.log(np.geomspace(distance[0] / 2, 4 * longest, 120))
    losses = [solve(value)[0] for value in tried]
    best = int(np.argmin(losses))
    around = (tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)])
    found = minimize_scalar(lambda value: solve(value)[0], bounds=around, method="bounded")
    at = float(found.x) if found.fun <= losses[best] else float(tried[best])
    (nugget, partial), range_km = solve(at)[1], float(np.exp(at))
    sill = nugget + partial
    # What the nearest pairs lack of the sill must exceed the error of their own semivariance.
    lacking = partial * np.exp(-PRACTICAL * distance[0] / range_km)
    if lacking <= max(_LEAST_SHARE, errors / np.sqrt(pairs[0])) * sill:
        return Variogram(distance, gamma, pairs, float(sill), float(sill), 0.0)
    limited = range_km >= longest
    return Variogram(
        distance, gamma, pairs, float(nugget), float(sill), min(range_km, longest), limited=limited
    )
