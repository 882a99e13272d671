"""Floors: what can be had without a picture. A score is worth what it has above them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from urbanln.errors import InputError
from urbanln.probe.space import Floats, to_metres
from urbanln.probe.splits import Fold


def mean_floor(y: npt.ArrayLike, folds: Sequence[Fold]) -> Floats:
    """Predict every held-out row by the mean of the rows that may be looked at.

    Its R² on the pooled rows is 0 or a little below: the means of the folds lean away from what they
    hold out.

    Args:
        y: (N,) labels, finite.
        folds: From :mod:`urbanln.probe.splits`; training and validation are both used, since a floor
            tunes nothing.

    Returns:
        (N,) held-out predictions, NaN where a row is never held out.

    Raises:
        InputError: A label is missing.
    """
    values = _finite(y)
    held = np.full(len(values), np.nan)
    for fold in folds:
        held[fold.test] = values[fold.known].mean()
    return held


def coordinate_knn(lonlat: npt.ArrayLike, y: npt.ArrayLike, folds: Sequence[Fold], k: int = 5) -> Floats:
    """Predict every held-out row from its nearest neighbours on the map, weighted by inverse distance.

    No picture, no text: what a model must beat before its pictures can be said to tell anything.
    Neighbours at distance 0 alone decide where there are some.

    Args:
        lonlat: (N, 2) longitude, latitude in degrees; distances are local metres.
        y: (N,) labels, finite.
        folds: From :mod:`urbanln.probe.splits`; training and validation are both used.
        k: Neighbours; all where fewer may be looked at.

    Returns:
        (N,) held-out predictions, NaN where a row is never held out.

    Raises:
        InputError: A label is missing, positions are unusable, or ``k`` is below 1.
    """
    values, metres = _finite(y), to_metres(lonlat)
    if len(values) != len(metres):
        raise InputError("positions and labels differ in number", value=(len(metres), len(values)))
    if k < 1:
        raise InputError("neighbours: one or more", value=k)
    held = np.full(len(values), np.nan)
    for fold in folds:
        known = fold.known
        count = min(k, len(known))
        distance, neighbour = cKDTree(metres[known]).query(metres[fold.test], k=np.arange(1, count + 1))
        on_top = distance == 0
        with np.errstate(divide="ignore"):
            weight = np.where(on_top.any(axis=1, keepdims=True), on_top, 1 / distance)
        held[fold.test] = (weight * values[known][neighbour]).sum(axis=1) / weight.sum(axis=1)
    return held


def _finite(y: npt.ArrayLike) -> Floats:
    values = np.asarray(y, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError(
            "labels are one finite number per row", value=values.shape, remedy="drop rows without a label"
        )
    return values
