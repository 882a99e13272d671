"""Splits of regions into training, validation and test: at random, or by spatial blocks with a buffer.

Labels of cities are alike among neighbours, so a random split lets a model look the answer up next door.
Block splits hold out whole squares and clear a strip around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.errors import InputError
from urbanln.probe.space import Floats, Ints, check_lonlat, nearest_metres, square_blocks, to_metres

# Positions on a plane are right to 0.1 %: a grid of 1 km tiles counts as within a buffer of 1 km.
BUFFER_TOLERANCE = 1.001
MIN_TRAIN = 4  # fewer rows than this left to learn from (training and validation) is no training set


@dataclass(frozen=True, eq=False)
class Fold:
    """Row numbers of one fold, each sorted; rows in a buffer are in none of the three.

    Args:
        train: Rows a model is fitted on.
        val: Rows that choose its strength (ridge) or its last epoch (MLP).
        test: Rows held out.
    """

    train: Ints
    val: Ints
    test: Ints

    @property
    def known(self) -> Ints:
        """Training and validation rows together: all that may be looked at."""
        return np.sort(np.concatenate([self.train, self.val]))


def random_split(
    lonlat: npt.ArrayLike,
    *,
    folds: int = 5,
    seed: int = 0,
    val_share: float = 0.2,
    groups: npt.ArrayLike | None = None,
) -> list[Fold]:
    """The literature's split: k folds at random, a random part of the training side for validation.

    Five folds and a share of .2 give 64 / 16 / 20 %, the proportions of UrbanCLIP and UrbanVLP up to
    rounding; unlike theirs, every row is held out exactly once.

    Args:
        lonlat: (N, 2) longitude, latitude in degrees; only checked and counted here.
        folds: Number of folds.
        seed: Of the permutation.
        val_share: Share of the training side used for validation.
        groups: (N,) labels whose members never stand on two sides (one picture under two regions).

    Raises:
        InputError: Bad positions, fewer rows or groups than folds.
    """
    points = check_lonlat(lonlat)
    _check_counts(len(points), folds, val_share)
    rng = np.random.default_rng([seed, 1])
    units = np.arange(len(points)) if groups is None else _numbered(groups, len(points))
    side = _deal(units, folds, rng, remedy="use fewer folds or drop the groups")
    everything = np.arange(len(points))
    made = []
    for number in range(folds):
        rest = everything[side != number]
        _check_left(len(rest), number, "use fewer folds, or more labelled regions")
        train, val = _validation(rest, units, val_share, rng)
        made.append(Fold(train, val, everything[side == number]))
    return made


def block_split(
    lonlat: npt.ArrayLike,
    *,
    edge_km: float,
    buffer_km: float,
    folds: int = 5,
    seed: int = 0,
    val_share: float = 0.2,
    groups: npt.ArrayLike | None = None,
) -> list[Fold]:
    """Hold out whole square blocks, and clear the training rows around them.

    The grid is shifted by the seed, so that seeds differ in their blocks too; blocks are dealt to folds of
    about equal size; every row is held out exactly once. Rows within ``buffer_km`` of a test row leave
    training and validation. Validation is whole blocks of what is left (random rows only where one block
    is left). Between training and validation no strip is cleared: that part only chooses a
    hyper-parameter, the test rows never see it, and the rows are worth more than the cleaner choice.

    Args:
        lonlat: (N, 2) longitude, latitude in degrees; measured in local metres (:func:`to_metres`).
        edge_km: Edge of a block in km; above the range over which labels are alike.
        buffer_km: Width of the strip in km, centre to centre; at least the spacing of the tiles, so that
            adjoining ones do not stand on both sides. What lies just that far away (to 0.1 %) leaves too.
        folds: Number of folds.
        seed: Of the grid's shift, of dealing and of validation.
        val_share: Share of the training side used for validation.
        groups: (N,) labels (one picture under several regions); rows that share one with a test row leave
            training and validation like those in the buffer. Joining their blocks instead would tie a
            whole city together once pictures repeat across it.

    Raises:
        InputError: Bad positions, fewer blocks than folds, or a buffer that leaves nothing to train on.
    """
    metres = to_metres(lonlat)
    _check_counts(len(metres), folds, val_share)
    if not (np.isfinite(buffer_km) and buffer_km >= 0):
        raise InputError("the buffer is a number of km, 0 or more", value=buffer_km)
    rng = np.random.default_rng([seed, 2])
    shift = rng.random(2)
    units = square_blocks(metres, edge_km, (shift[0], shift[1]))
    alike = None if groups is None else _numbered(groups, len(metres))
    smaller = f"choose a smaller block edge than {edge_km:g} km, or fewer folds"
    side = _deal(units, folds, rng, remedy=smaller)
    everything = np.arange(len(metres))
    made = []
    for number in range(folds):
        test, rest = everything[side == number], everything[side != number]
        rest = rest[nearest_metres(metres[rest], metres[test]) > 1000 * BUFFER_TOLERANCE * buffer_km]
        if alike is not None:
            rest = rest[~np.isin(alike[rest], alike[test])]
        _check_left(len(rest), number, f"choose a narrower buffer than {buffer_km:g} km, or {smaller[7:]}")
        train, val = _validation(rest, units, val_share, rng)
        made.append(Fold(train, val, test))
    return made


def describe(folds: Sequence[Fold], lonlat: npt.ArrayLike) -> dict[str, Any]:
    """How far a split keeps its sides apart.

    Returns:
        ``folds``; ``train``, ``val``, ``test`` (rows per fold); ``nearest_km_min`` and
        ``nearest_km_median`` (distance in km from a test row to the nearest row that was learned from,
        training or validation).
    """
    metres = to_metres(lonlat)
    nearest = np.concatenate([nearest_metres(metres[f.test], metres[f.known]) for f in folds]) / 1000
    return {
        "folds": len(folds),
        "train": [len(f.train) for f in folds],
        "val": [len(f.val) for f in folds],
        "test": [len(f.test) for f in folds],
        "nearest_km_min": float(nearest.min()),
        "nearest_km_median": float(np.median(nearest)),
    }


def _check_counts(rows: int, folds: int, val_share: float) -> None:
    if folds < 2:
        raise InputError("a split needs two folds or more", value=folds)
    if not 0 < val_share < 1:
        raise InputError("the share for validation lies between 0 and 1", value=val_share)
    if rows < folds:
        raise InputError(
            f"{rows} labelled regions cannot be split into {folds} folds",
            remedy="probing needs more regions with a label and a vector",
        )


def _check_left(left: int, fold: int, remedy: str) -> None:
    if left < MIN_TRAIN:
        raise InputError(
            f"only {left} rows are left to train on", where=f"fold {fold} (from 0)", remedy=remedy
        )


def _numbered(groups: npt.ArrayLike, rows: int) -> Ints:
    values = np.asarray(groups)
    if values.shape != (rows,):
        raise InputError("groups are one value per row", value=values.shape, where=f"{rows} rows")
    return np.unique(values.astype(str), return_inverse=True)[1].astype(np.int64)


def _deal(units: Ints, folds: int, rng: np.random.Generator, remedy: str) -> Ints:
    """Fold of every row: whole units, largest first, each to the fold that has fewest rows so far."""
    sizes = np.bincount(units)
    if len(sizes) < folds:
        raise InputError(f"{len(sizes)} blocks or groups cannot be dealt to {folds} folds", remedy=remedy)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled: Floats = np.zeros(folds)
    fold_of = np.empty(len(sizes), dtype=np.int64)
    for unit in order:
        lightest = np.flatnonzero(filled == filled.min())
        fold_of[unit] = rng.choice(lightest)
        filled[fold_of[unit]] += sizes[unit]
    return fold_of[units]


def _validation(rest: Ints, units: Ints, share: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Part of the training side, in whole units while there are two or more; both parts get a row."""
    names, unit_of = np.unique(units[rest], return_inverse=True)
    if len(names) < 2:
        names, unit_of = rest, np.arange(len(rest))
    sizes = np.bincount(unit_of)
    order = rng.permutation(len(names))
    target = max(1.0, share * len(rest))
    chosen: list[int] = []
    filled = 0
    for unit in order:
        if filled + sizes[unit] <= target + 0.5:
            chosen.append(int(unit))
            filled += int(sizes[unit])
    if not chosen:
        chosen = [int(order[np.argmin(sizes[order])])]
    held = np.isin(unit_of, chosen)
    return rest[~held], rest[held]
