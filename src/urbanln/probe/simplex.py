"""Probabilities and shares: parts that are not negative and sum to one, and how far two of them lie apart."""

from __future__ import annotations

import numpy as np

from urbanln.base.space import Floats


def on_simplex(made: Floats) -> Floats:
    """Predictions (..., C) as parts: what is below 0 becomes 0, and each row sums to 1.

    A row of which nothing is above 0 says nothing, and gets equal parts.
    """
    parts = np.maximum(made, 0.0)
    total = parts.sum(axis=-1, keepdims=True)
    return np.where(total > 0, parts / np.where(total > 0, total, 1.0), 1 / made.shape[-1])


def evened(parts: Floats, weight: float) -> Floats:
    """Parts (..., C) mixed with equal ones, so that none is 0 and a logarithm stays finite.

    The order within a row stays, so it changes no predicted class.

    Args:
        parts: On the simplex.
        weight: Of the equal parts, between 0 and 1; see :func:`one_more`.
    """
    return np.asarray((1 - weight) * parts + weight / parts.shape[-1])


def one_more(rows: int) -> float:
    """The weight of equal parts as of one row more than those learned from, which has them (Perks 1947)."""
    return 1 / (rows + 1)


def divergence(truth: Floats, made: Floats) -> Floats:
    """Kullback-Leibler divergence Σ t log(t / p) of each row, in nats; of one class: −log p of it.

    Args:
        truth: (n, C) on the simplex; 0 log 0 is 0.
        made: (..., n, C) on the simplex, above 0.
    """
    own = np.where(truth > 0, truth * np.log(np.where(truth > 0, truth, 1.0)), 0.0).sum(axis=-1)
    return np.asarray(own - np.einsum("...c,...c->...", truth, np.log(made)))


def total_variation(truth: Floats, made: Floats) -> Floats:
    """Half the sum of absolute differences of two rows on the simplex: the part of the whole that stands
    elsewhere, between 0 and 1."""
    return np.asarray(np.abs(truth - made).sum(axis=-1) / 2)
