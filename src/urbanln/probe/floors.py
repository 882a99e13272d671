"""Floors: what can be had without a picture. A score is worth what it has above them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, to_metres
from urbanln.probe import gp
from urbanln.probe.heads import Boost, boost
from urbanln.probe.labels import finite_labels
from urbanln.probe.names import NEAREST
from urbanln.probe.splits import Fold

NEIGHBOURS = 5
Floor = Callable[[Floats, Floats, Sequence[Fold], int], Floats]


def mean_floor(y: npt.ArrayLike, folds: Sequence[Fold]) -> Floats:
    """Predict every held-out row by the mean of the rows that may be looked at.

    Its R² on the pooled rows is 0 or a little below: the means of the folds lean away from what they
    hold out.

    Args:
        y: (N,) labels, or (N, L) of several, finite.
        folds: From :mod:`urbanln.probe.splits`; training and validation are both used, since a floor
            tunes nothing.

    Returns:
        Held-out predictions of the shape of ``y``, NaN where a row is never held out.

    Raises:
        InputError: A label is missing.
    """
    values = finite_labels(y)
    held = np.full(values.shape, np.nan)
    for fold in folds:
        held[fold.test] = values[fold.known].mean(axis=0)
    return held


def coordinate_knn(
    lonlat: npt.ArrayLike, y: npt.ArrayLike, folds: Sequence[Fold], k: int = NEIGHBOURS
) -> Floats:
    """Predict every held-out row from its nearest neighbours on the map, weighted by inverse distance.

    No picture, no text: what a model must beat before its pictures can be said to tell anything.
    Neighbours at distance 0 alone decide where there are some.

    Args:
        lonlat: (N, 2) longitude, latitude in degrees; distances are local metres.
        y: (N,) labels, or (N, L) of several, finite.
        folds: From :mod:`urbanln.probe.splits`; training and validation are both used.
        k: Neighbours; all where fewer may be looked at.

    Returns:
        Held-out predictions of the shape of ``y``, NaN where a row is never held out.

    Raises:
        InputError: A label is missing, positions are unusable, or ``k`` is below 1.
    """
    return nearest_neighbours(to_metres(lonlat), y, folds, k)


def nearest_neighbours(
    metres: Floats, y: npt.ArrayLike, folds: Sequence[Fold], k: int = NEIGHBOURS
) -> Floats:
    """:func:`coordinate_knn` for positions (N, 2) that are in metres already.

    Raises:
        InputError: A label is missing, positions do not fit the labels, or ``k`` is below 1.
    """
    values = finite_labels(y, len(metres))
    if k < 1:
        raise InputError("neighbours: one or more", value=k, where="k", remedy="give k = 1 or more")
    held = np.full(values.shape, np.nan)
    for fold in folds:
        known = fold.known
        count = min(k, len(known))
        distance, neighbour = cKDTree(metres[known]).query(metres[fold.test], k=np.arange(1, count + 1))
        on_top = distance == 0
        with np.errstate(divide="ignore"):
            weight = np.where(on_top.any(axis=1, keepdims=True), on_top, 1 / distance)
        near = values.reshape(len(values), -1)[known][neighbour]  # (m, k, L)
        made = np.einsum("mk,mkl->ml", weight, near) / weight.sum(axis=1, keepdims=True)
        held[fold.test] = made.reshape(-1, *values.shape[1:])
    return held


def coordinate_boosting(
    metres: Floats, y: npt.ArrayLike, folds: Sequence[Fold], seed: int = 0, fit: Boost = boost
) -> Floats:
    """Predict every held-out row by gradient-boosted trees on its position.

    Trees cut along axes, so they get the diagonals beside x and y. How many trees is chosen on each fold's
    validation part, and that many are fitted on all known rows (:func:`urbanln.probe.heads.boost`).

    Args:
        metres: (N, 2) positions in metres.
        y: (N,) labels, or (N, L) of several, finite.
        folds: From :mod:`urbanln.probe.splits`.
        seed: Of the draws for the borders of bins.
        fit: What fits the trees.

    Returns:
        Held-out predictions of the shape of ``y``, NaN where a row is never held out.

    Raises:
        InputError: A label is missing, or positions do not fit the labels.
    """
    values = finite_labels(y, len(metres))
    seen = np.column_stack([metres, metres[:, 0] + metres[:, 1], metres[:, 0] - metres[:, 1]])
    held = np.full(values.shape, np.nan)
    for fold in folds:
        order = np.concatenate([fold.train, fold.val])
        held[fold.test] = fit(seen[order], values[order], len(fold.train), seen[fold.test], seed)
    return held


def coordinate_gp(metres: Floats, y: npt.ArrayLike, folds: Sequence[Fold], seed: int = 0) -> Floats:
    """Predict every held-out row by a Gaussian process on its position (kriging).

    Range, noise and mean are those with the largest marginal likelihood of each fold's known rows; far from
    all of them the prediction is the mean. Many rows make it dear: :func:`floor_note` says from when on it
    is fitted on a part of them, and :mod:`urbanln.probe.gp` how.

    Args:
        metres: (N, 2) positions in metres.
        y: (N,) labels, or (N, L) of several, finite.
        folds: From :mod:`urbanln.probe.splits`; training and validation are both used.
        seed: Of the rows it is fitted on, where there are too many.

    Returns:
        Held-out predictions of the shape of ``y``, NaN where a row is never held out.

    Raises:
        InputError: A label is missing, or positions do not fit the labels.
    """
    values = finite_labels(y, len(metres))
    held = np.full(values.shape, np.nan)
    for number, fold in enumerate(folds):
        place, known = metres[fold.known], values[fold.known].reshape(len(fold.known), -1)
        fields = gp.fit_fields(place, known, seed * len(folds) + number)
        made = gp.predict_fields(fields, place, known, metres[fold.test])
        held[fold.test] = made.reshape(-1, *values.shape[1:])
    return held


FLOORS: dict[str, Floor] = {
    "mean": lambda metres, y, folds, seed: mean_floor(y, folds),
    NEAREST: lambda metres, y, folds, seed: nearest_neighbours(metres, y, folds),
    "coordinates-boosting": coordinate_boosting,
    "coordinates-gp": coordinate_gp,
}


def floor_note(name: str, n: int) -> str | None:
    """What a floor leaves out for so many labelled rows; None where it uses them all.

    Args:
        name: One of ``FLOORS``.
        n: Labelled rows.
    """
    if name != "coordinates-gp" or n <= gp.FIT_ROWS:
        return None
    patches = f"{gp.PATCHES} patches of {gp.PATCH_ROWS} neighbours"
    drawn = gp.FIT_ROWS - gp.PATCHES * gp.PATCH_ROWS
    note = (
        f"Where a fold has more than {gp.FIT_ROWS} rows to learn from, the Gaussian process takes its range "
        f"and noise from a sample of {gp.FIT_ROWS} of them ({drawn} at random and {patches})"
    )
    if n > gp.EXACT_ROWS:
        note += f"; with more than {gp.EXACT_ROWS:,} it predicts from the {gp.NEIGHBOURS} nearest"
    return note + "."
