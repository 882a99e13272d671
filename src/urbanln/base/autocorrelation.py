"""Spatial autocorrelation of a value at points: Moran's I with a permutation test, the variogram's range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError
from urbanln.base.space import CITY_GAP_M, Floats, spacing_metres

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
    pairs: npt.NDArray[np.int64]
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
    if k < 1:
        raise InputError(
            "Moran's I needs at least one neighbour", value=k, where="k", remedy="give k = 1 or more"
        )
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


def _shuffled(n: int, count: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return (rng.permutation(n) for _ in range(count))


@lru_cache(maxsize=1)
def _shufflings(n: int, count: int, seed: int) -> list[npt.NDArray[np.int64]]:
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
    nothing = np.empty(0)
    empty = Variogram(nothing, nothing, np.empty(0, dtype=np.int64), np.nan, np.nan, np.nan)
    if len(numbers) < 3:
        return empty
    spacing = spacing_metres(places)
    distance, steps, scale = _pairs(numbers, places, np.random.default_rng(seed))
    if not np.isfinite(spacing) or len(distance) == 0:
        return empty
    longest = 1000 * max_km if max_km is not None else 0.5 * float(np.quantile(distance, 0.99))
    edges = np.geomspace(1.2 * spacing, max(longest, 1.5 * spacing), lags)
    lag = np.searchsorted(edges, distance)
    inside = lag < lags
    lag, distance, steps, scale = lag[inside], distance[inside], steps[inside], scale[inside]
    pairs = np.bincount(lag, minlength=lags)
    kept = pairs >= _FEW_PAIRS
    if kept.sum() < 3:
        return empty
    n = pairs[kept]
    centre = np.bincount(lag, distance, minlength=lags)[kept] / n / 1000
    root = np.bincount(lag, np.sqrt(steps), minlength=lags)[kept] / n
    gamma = 0.5 * root**4 / (0.457 + 0.494 / n + 0.045 / n**2)
    # The two samples overlap at short distances only; what the whole map holds decides the weights.
    weight = np.bincount(lag, scale, minlength=lags)[kept] / centre**2
    return _fit(centre, gamma, n, weight, float(edges[-1]) / 1000)


def _pairs(numbers: Floats, places: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Distance in metres, absolute difference and weight of pairs: all of them, or a sample."""
    n = len(numbers)
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
    return distance[same], np.abs(numbers[first] - numbers[second])[same], scale[same]


def _fit(
    distance: Floats, gamma: Floats, pairs: npt.NDArray[np.int64], weight: Floats, longest: float
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
    if lacking <= max(_LEAST_SHARE, _ERRORS / np.sqrt(pairs[0])) * sill:
        return Variogram(distance, gamma, pairs, float(sill), float(sill), 0.0)
    limited = range_km >= longest
    return Variogram(
        distance, gamma, pairs, float(nugget), float(sill), min(range_km, longest), limited=limited
    )
