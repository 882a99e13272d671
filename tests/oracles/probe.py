"""Slow, obvious versions of the probe's maths: one row, one resample at a time."""

from __future__ import annotations

import numpy as np
import pyproj
from sklearn.linear_model import Ridge


def geodesic_km(a, b) -> float:
    """Distance on the WGS 84 ellipsoid between two (lon, lat) points."""
    return pyproj.Geod(ellps="WGS84").inv(a[0], a[1], b[0], b[1])[2] / 1000


def knn(lonlat, y, folds, k):
    """Inverse-distance k-NN, row by row, on the ellipsoid."""
    held = [float("nan")] * len(y)
    for fold in folds:
        known = [*fold.train, *fold.val]
        for row in fold.test:
            pairs = sorted((geodesic_km(lonlat[row], lonlat[other]), y[other]) for other in known)[:k]
            exact = [label for distance, label in pairs if distance == 0]
            if exact:
                held[row] = sum(exact) / len(exact)
            else:
                total = sum(1 / distance for distance, _ in pairs)
                held[row] = sum(label / distance for distance, label in pairs) / total
    return np.array(held)


def ridge(X, y, fold, alphas):
    """scikit-learn's ridge, penalty by penalty and inner fold by inner fold."""
    known = sorted([*fold.train, *fold.val])
    mean, scale = X[known].mean(0), X[known].std(0)
    scale[scale == 0] = 1
    Z = (X - mean) / scale
    if fold.inner is None:
        held_parts = [list(fold.val)]
    else:
        of_row = dict(zip(known, fold.inner, strict=True))
        held_parts = [[r for r in known if of_row[r] == part] for part in sorted(set(fold.inner))]
    errors = []
    for alpha in alphas:
        error = 0.0
        for held in held_parts:
            train = [r for r in known if r not in held]
            model = Ridge(alpha=alpha * len(train)).fit(Z[train], y[train])
            error += ((model.predict(Z[held]) - y[held]) ** 2).sum()
        errors.append(error)
    best = min(range(len(alphas)), key=lambda i: (errors[i], -alphas[i]))
    return Ridge(alpha=alphas[best] * len(known)).fit(Z[known], y[known]).predict(Z[fold.test])


def bootstrap_r2(truth, predictions, blocks, block_draws, seed_draws):
    """R² of every resample, by writing the resampled rows out."""
    mean = sum(truth) / len(truth)
    scores = []
    for counts, weights in zip(block_draws, seed_draws, strict=True):
        rows = [
            r
            for b, count in enumerate(counts)
            for _ in range(int(count))
            for r in np.flatnonzero(blocks == b)
        ]
        spread = sum((truth[r] - mean) ** 2 for r in rows)
        score = 0.0
        for weight, prediction in zip(weights, predictions, strict=True):
            score += weight * (1 - sum((truth[r] - prediction[r]) ** 2 for r in rows) / spread)
        scores.append(score)
    return np.array(scores)
