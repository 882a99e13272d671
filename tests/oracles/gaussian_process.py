"""Slow, obvious versions of the Gaussian process on the map: one pair of points, one density at a time."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal


def matern(distance, range_m, smooth):
    if smooth:
        return (1 + math.sqrt(3) * distance / range_m) * math.exp(-math.sqrt(3) * distance / range_m)
    return math.exp(-distance / range_m)


def covariances(a, b, range_m, smooth):
    return np.array([[matern(math.dist(p, q), range_m, smooth) for q in b] for p in a])


def mean_of(metres, y, range_m, smooth, noise):
    """Generalised least squares with a constant alone."""
    inverse = np.linalg.inv(covariances(metres, metres, range_m, smooth) + noise * np.eye(len(y)))
    return inverse.sum(axis=0) @ y / inverse.sum()


def best_log_density(metres, y, range_m, smooth, noise):
    """Log density of the labels at the variance that makes it largest, the mean by least squares."""
    left = covariances(metres, metres, range_m, smooth) + noise * np.eye(len(y))
    mean = np.full(len(y), mean_of(metres, y, range_m, smooth, noise))

    def less(log_variance):
        return -multivariate_normal(mean, math.exp(log_variance) * left).logpdf(y)

    return -minimize_scalar(less, bounds=(-14, 8), method="bounded").fun


def krige(metres, y, new, range_m, smooth, noise):
    """Conditional mean, place by place."""
    mean = mean_of(metres, y, range_m, smooth, noise)
    inverse = np.linalg.inv(covariances(metres, metres, range_m, smooth) + noise * np.eye(len(y)))
    return np.array(
        [mean + covariances([place], metres, range_m, smooth)[0] @ inverse @ (y - mean) for place in new]
    )
