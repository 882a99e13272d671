"""The floors for classes and shares: what the map alone says of parts that sum to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from urbanln.base.space import Floats, Ints
from urbanln.probe import gp
from urbanln.probe.floors import coordinate_boosting, mean_floor, nearest_neighbours
from urbanln.probe.heads import Boost, boost, boost_classes
from urbanln.probe.simplex import divergence, evened, on_simplex, one_more
from urbanln.probe.splits import Fold

EVEN = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Weights of equal parts that neighbours and kriging choose from, besides the least."""
# Rows learned from, rows to predict: parts of these.
Guess = Callable[[Ints, Ints], Floats]


def part_floor(name: str, metres: Floats, y: Floats, folds: Sequence[Fold], seed: int, hard: bool) -> Floats:
    """Held-out parts (N, C) by a floor of :data:`urbanln.probe.floors.FLOORS`, NaN where never held out.

    ``mean`` is the mean share of the known rows: for classes how frequent each is. ``coordinates-nearest``
    is the mean of five neighbours by inverse distance. ``coordinates-gp`` is kriging of the shares
    themselves (for classes of indicators: Journel 1983), all parts under one range and noise, so that the
    weights are the same for all and the parts sum to one; what falls outside is cut and divided by its
    sum (compositional kriging without its constraints: Walvoort and de Gruijter 2001).
    ``coordinates-boosting`` are trees of each class under a softmax, and of shares part by part.

    None of them may say 0 of what happens: equal parts are mixed in, as of one row more
    (:func:`urbanln.probe.simplex.one_more`). Neighbours and kriging, which are fitted to no probabilities,
    choose the weight on each fold's validation part, so that they are no weaker floors than they need to be.

    Args:
        name: Of the floor.
        metres: (N, 2) positions in metres.
        y: (N, C) parts that sum to one.
        folds: From :mod:`urbanln.probe.splits`.
        seed: Of anything drawn at random.
        hard: The parts are of classes.
    """
    if name == "mean":
        made = mean_floor(y, folds)
    elif name == "coordinates-boosting":
        fit: Boost = boost_classes if hard else boost
        made = coordinate_boosting(metres, y, folds, seed, fit)
    else:
        made = np.full(y.shape, np.nan)
        for number, fold in enumerate(folds):
            krige = name == "coordinates-gp"
            drawn = seed * len(folds) + number
            guess = _kriged(metres, y, fold, drawn) if krige else _near(metres, y)
            made[fold.test] = _calibrated(guess, y, fold)
        return made
    for fold in folds:
        made[fold.test] = evened(on_simplex(made[fold.test]), one_more(len(fold.known)))
    return made


def _calibrated(guess: Guess, y: Floats, fold: Fold) -> Floats:
    """Parts of the held-out rows, with that weight of equal ones that did best on the validation part."""
    least = one_more(len(fold.known))
    weight = least
    if len(fold.train) and len(fold.val):
        tried = on_simplex(guess(fold.train, fold.val))
        weights = [least, *(w for w in EVEN if w > least)]
        loss = [float(divergence(y[fold.val], evened(tried, w)).mean()) for w in weights]
        weight = weights[int(np.argmin(loss))]
    return evened(on_simplex(guess(fold.known, fold.test)), weight)


def _near(metres: Floats, y: Floats) -> Guess:
    def guess(known: Ints, new: Ints) -> Floats:
        return nearest_neighbours(metres, y, [Fold(known, known[:0], new)])[new]

    return guess


def _kriged(metres: Floats, y: Floats, fold: Fold, seed: int) -> Guess:
    """Kriging with the range and noise of all known rows of a fold."""
    field, means = gp.fit_together(metres[fold.known], y[fold.known], seed)

    def guess(known: Ints, new: Ints) -> Floats:
        return gp.predict_together(field, means, metres[known], y[known], metres[new])

    return guess
