"""A Gaussian process on the map: kriging with a Matérn covariance, fitted by marginal likelihood."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from urbanln.base.space import CITY_GAP_M, Floats, Ints
from urbanln.probe.shifted import Shifted

FIT_ROWS = 320  # one reduction: 2 ms
PATCHES, PATCH_ROWS = 3, 80
EXACT_ROWS = 1500
NEIGHBOURS = 48
RANGES = 8
# Variance of the noise per variance of the field.
NOISES: Floats = np.logspace(-3, 3, 25)
TESTS_AT_ONCE = 128


class Field(NamedTuple):
    """What the marginal likelihood found.

    Args:
        smooth: Matérn 3/2; else 1/2, the exponential.
        range_m: Scale of the covariance in metres.
        noise: Variance of the noise as a share of that of the field.
        mean: Of the field, by generalised least squares.
        log_likelihood: At these values.
    """

    smooth: bool
    range_m: float
    noise: float
    mean: float
    log_likelihood: float


def covariance(distance_m: Floats, range_m: float, smooth: bool) -> Floats:
    """Matérn covariance of unit variance (Rasmussen and Williams 2006, eq. 4.17).

    The two rough ones of the family: labels of cities change within a street, or fade from a centre. A
    smoother covariance takes the small scales for noise.

    Args:
        distance_m: Distances in metres, of any shape.
        range_m: Scale in metres.
        smooth: Matérn 3/2; else 1/2, the exponential.
    """
    away = (np.sqrt(3.0) if smooth else 1.0) * distance_m
    away /= range_m
    fallen = np.negative(away)
    np.exp(fallen, out=fallen)
    if smooth:
        away += 1
        fallen *= away
    return fallen


def fit_fields(metres: Floats, y: Floats, seed: int = 0) -> list[Field]:
    """Smoothness, range, noise and mean with the largest marginal likelihood; the variance is profiled out.

    Up to ``FIT_ROWS`` rows the likelihood is exact. Beyond, it is that of independent parts: some rows drawn
    from everywhere, for the long ranges, and patches of nearest neighbours, for the short ones (a block
    composite likelihood: Eidsvik et al. 2014, JCGS 23(2)).

    One reduction of a covariance serves all noises and all labels. A grid of ranges is enough,
    since predictions hardly change between its points, and it cannot stop at a lesser summit.

    Args:
        metres: (n, 2) positions.
        y: (n, L) labels, each with a field of its own.
        seed: Of the parts.
    """
    found: list[list[Field]] = [[] for _ in range(y.shape[1])]
    for smooth, range_m, likelihood, mean in _tried(metres, y, seed):
        for label, at in enumerate(np.argmax(likelihood, axis=0)):
            best = float(NOISES[at]), float(mean[at, label]), float(likelihood[at, label])
            found[label].append(Field(smooth, range_m, *best))
    return [max(fields, key=lambda field: field.log_likelihood) for fields in found]


def fit_together(metres: Floats, y: Floats, seed: int = 0) -> tuple[Field, Floats]:
    """One smoothness, range and noise for all labels, each of its own variance; and their means (L,).

    Parts of a whole vary over the same distances (the intrinsic model of coregionalisation, Wackernagel
    2003), and their predictions by the same weights sum to one where the labels do. Arguments as of
    :func:`fit_fields`; a label without spread has no say. The field's own mean is none (NaN).
    """
    means, best = y[0].astype(np.float64), Field(False, 1.0, float(NOISES[-1]), np.nan, -np.inf)
    varies = np.ptp(y, axis=0) > 0
    if not varies.any():
        return best, means
    for smooth, range_m, likelihood, mean in _tried(metres, y[:, varies], seed):
        total = likelihood.sum(axis=1)
        at = int(np.argmax(total))
        if total[at] > best.log_likelihood:
            best = Field(smooth, range_m, float(NOISES[at]), np.nan, float(total[at]))
            means[varies] = mean[at]
    return best, means


def _tried(metres: Floats, y: Floats, seed: int) -> Iterator[tuple[bool, float, Floats, Floats]]:
    """Smoothness and range, and the likelihood and mean (T, L) under each noise."""
    parts = _parts(metres, seed)
    distances = [cdist(metres[rows], metres[rows]) for rows in parts]
    ranges = np.geomspace(*_scales(distances), RANGES)
    for smooth, range_m in itertools.product((False, True), ranges.tolist()):
        covariances = [covariance(distance, range_m, smooth) for distance in distances]
        yield smooth, range_m, *_likelihood(covariances, [y[rows] for rows in parts])


def predict_fields(fields: Sequence[Field], metres: Floats, y: Floats, metres_new: Floats) -> Floats:
    """Kriging: the expected values (M, L) at new places, given the labels at known ones.

    Exact up to ``EXACT_ROWS`` known rows. Beyond, each place is told from its nearest known rows alone
    (kriging with a moving neighbourhood): those nearest screen the others off.

    Args:
        fields: From :func:`fit_fields`, one per label.
        metres: (n, 2) known positions.
        y: (n, L) their labels.
        metres_new: (M, 2) positions to predict.
    """
    away = y - [field.mean for field in fields]
    made = np.empty((len(metres_new), len(fields)))
    parts = [slice(start, start + TESTS_AT_ONCE) for start in range(0, len(made), TESTS_AT_ONCE)]
    predict = _exact if len(metres) <= EXACT_ROWS else _local
    for part, values in zip(
        parts, predict(fields, metres, away, [metres_new[p] for p in parts]), strict=True
    ):
        made[part] = values
    return made + [field.mean for field in fields]


def predict_together(field: Field, means: Floats, metres: Floats, y: Floats, metres_new: Floats) -> Floats:
    """Kriging of labels under one field, as :func:`predict_fields` does of each under its own.

    Args:
        field: From :func:`fit_together`, like the means (L,).
        metres: (n, 2) known positions.
        y: (n, L) their labels.
        metres_new: (M, 2) positions to predict.
    """
    away, near = y - means, len(metres) > EXACT_ROWS
    made = np.empty((len(metres_new), y.shape[1]))
    tree = cKDTree(metres)
    if not near:
        between = covariance(cdist(metres, metres), field.range_m, field.smooth)
        weight = np.linalg.solve(between + field.noise * np.eye(len(metres)), away)
    for start in range(0, len(made), TESTS_AT_ONCE):
        new = metres_new[start : start + TESTS_AT_ONCE]
        if near:
            distance, at = tree.query(new, k=NEIGHBOURS)  # (m, K)
            between = covariance(_distances(metres[at]), field.range_m, field.smooth)
            own = np.linalg.solve(between + field.noise * np.eye(NEIGHBOURS), away[at])  # (m, K, L)
            told = np.einsum("mk,mkl->ml", covariance(distance, field.range_m, field.smooth), own)
        else:
            told = covariance(cdist(new, metres), field.range_m, field.smooth) @ weight
        made[start : start + TESTS_AT_ONCE] = told + means
    return made


def _exact(
    fields: Sequence[Field], metres: Floats, away: Floats, parts: Sequence[Floats]
) -> Iterator[Floats]:
    """Labels less their means, by all known rows at once."""
    between = cdist(metres, metres)
    weight = np.empty_like(away)
    for label, field in enumerate(fields):
        left = covariance(between, field.range_m, field.smooth) + field.noise * np.eye(len(metres))
        weight[:, label] = np.linalg.solve(left, away[:, label])
    for new in parts:
        across = cdist(new, metres)
        yield np.column_stack(
            [
                covariance(across, field.range_m, field.smooth) @ weight[:, label]
                for label, field in enumerate(fields)
            ]
        )


def _local(
    fields: Sequence[Field], metres: Floats, away: Floats, parts: Sequence[Floats]
) -> Iterator[Floats]:
    """Labels less their means, each place by the known rows nearest to it."""
    tree = cKDTree(metres)
    for new in parts:
        distance, near = tree.query(new, k=NEIGHBOURS)  # (m, K)
        between = _distances(metres[near])  # (m, K, K)
        made = np.empty((len(new), len(fields)))
        for label, field in enumerate(fields):
            left = covariance(between, field.range_m, field.smooth) + field.noise * np.eye(NEIGHBOURS)
            weight = np.linalg.solve(left, away[near, label][..., None])[..., 0]
            made[:, label] = (covariance(distance, field.range_m, field.smooth) * weight).sum(axis=1)
        yield made


def _distances(place: Floats) -> Floats:
    """Distances (m, K, K) between the K places of each of m sets (m, K, 2); a pass per axis, not per pair."""
    square = np.zeros((*place.shape[:2], place.shape[1]))
    for axis in np.moveaxis(place, -1, 0):
        apart = axis[:, :, None] - axis[:, None]
        apart *= apart
        square += apart
    return np.sqrt(square, out=square)


def _parts(metres: Floats, seed: int) -> list[Ints]:
    """Rows of each independent part of the likelihood."""
    n = len(metres)
    if n <= FIT_ROWS:
        return [np.arange(n)]
    rng = np.random.default_rng([seed, n, 4])
    drawn = rng.permutation(n)
    wide = np.sort(drawn[: FIT_ROWS - PATCHES * PATCH_ROWS])
    patches = cKDTree(metres).query(metres[drawn[-PATCHES:]], k=PATCH_ROWS)[1]
    return [wide.astype(np.int64), *patches.astype(np.int64)]


def _scales(distances: list[Floats]) -> tuple[float, float]:
    """Shortest and longest range worth trying, in metres: half a spacing, and twice a city's extent."""
    wide = distances[0]
    longest = float(wide[wide < CITY_GAP_M / 2].max()) or 1.0
    near = np.where(distances[-1] > 0, distances[-1], np.inf).min(axis=1)
    apart = near[near < CITY_GAP_M / 2]
    shortest = float(np.median(apart)) / 2 if len(apart) else longest
    return shortest, 2 * longest


def _likelihood(covariances: list[Floats], labels: list[Floats]) -> tuple[Floats, Floats]:
    """Profiled log marginal likelihood (T, L) and mean (T, L) under each noise, up to a constant."""
    shape = len(NOISES), labels[0].shape[1]
    rows = sum(map(len, labels))
    determinant, ones = np.zeros((2, len(NOISES), 1))
    both, square = np.zeros((2, *shape))  # 1ᵀC⁻¹y, yᵀC⁻¹y
    for kernel, label in zip(covariances, labels, strict=True):
        shifted = Shifted(kernel)
        turned = shifted.turned(np.column_stack([np.ones(len(label)), label]))
        solved, logarithms = shifted.solved(turned, NOISES)
        products = turned.T @ solved  # (T, 1 + L, 1 + L)
        determinant += logarithms[:, None]
        ones += products[:, :1, 0]
        both += products[:, 0, 1:]
        square += np.diagonal(products, axis1=1, axis2=2)[:, 1:]
    mean = both / ones
    variance = np.maximum(square - both * mean, 1e-12 * np.maximum(square, 1e-300)) / rows
    return -0.5 * (rows * np.log(variance) + determinant), mean
