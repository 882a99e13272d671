"""The variogram: how far apart two places must be to know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from urbanln.base.autocorrelation import APART_M, present
from urbanln.base.space import Floats, Ints, spacing_metres

PRACTICAL = 3.0
"""An exponential variogram is at 95 % (1 − e⁻³) of its partial sill at its practical range."""
_MAX_PAIRS = 2_000_000  # all pairs of 2,000 points; more points are sampled
_ANCHORS, _NEIGHBOURS = 5_000, 64
_FEW_PAIRS = 30  # the usual least number of pairs in a lag (Journel and Huijbregts 1978)
_LEAST_SHARE = 0.1  # of the sill that the nearest pairs must lack; below, it is noise
_ERRORS = 4.0  # times 1/√pairs, about the relative standard error of a semivariance


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
    numbers, places = present(values, metres)

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
    whole, places = present(rows if classes else rows.sum(axis=1), metres)
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
    same = distance < APART_M
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
