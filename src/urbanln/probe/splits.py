"""Splits of regions into training, validation and test: at random, by blocks, districts or cities, few-shot.

Labels of cities are alike among neighbours, so a random split lets a model look the answer up next door.
The other splits hold out whole blocks, districts or cities, and clear a strip around them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, Ints, check_lonlat, nearest_metres, to_metres
from urbanln.probe.units import (
    BlockShape,
    block_units,
    city_numbers,
    crossed,
    deal,
    enough_units,
    filled,
    group_numbers,
    inner_folds,
    labelled,
    validation,
)

# Positions on a plane are right to 0.1 %: a grid of 1 km tiles counts as within a buffer of 1 km.
BUFFER_TOLERANCE = 1.001
MIN_TRAIN = 4  # fewer rows than this left to learn from (training and validation) is no training set


@dataclass(frozen=True, eq=False)
class Fold:
    """Row numbers of one fold, each sorted; rows in a buffer are in none of the three.

    Args:
        train: Rows a model is fitted on.
        val: Rows that choose its last epoch (MLP, boosting).
        test: Rows held out.
        inner: (len(known),) number of the inner fold of each row of :attr:`known`, from 0: three to five,
            of whole units, for heads that choose their strength by cross-validation. None: only ``val`` is
            there.
    """

    train: Ints
    val: Ints
    test: Ints
    inner: Ints | None = None

    @property
    def known(self) -> Ints:
        """Training and validation rows together: all that may be looked at."""
        return np.sort(np.concatenate([self.train, self.val]))


def each_fold(folds_by_seed: Sequence[Sequence[Fold]]) -> Iterator[tuple[int, int, Fold]]:
    """Seed, number and fold, in order."""
    for seed, folds in enumerate(folds_by_seed):
        for number, fold in enumerate(folds):
            yield seed, number, fold


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
    rounding; unlike theirs, every row is held out exactly once. Inner folds are random too. Validation and
    inner folds keep groups together where there are three or more, none with more than half of the rows.

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
    _check_counts(len(points), val_share, folds)
    rng = np.random.default_rng([seed, 1])
    units = np.arange(len(points)) if groups is None else group_numbers(groups, len(points))
    side = deal(units, folds, rng, remedy="use fewer folds or drop the groups")
    return _hold_out(
        units,
        side,
        None,
        rng=rng,
        seed=seed,
        val_share=val_share,
        remedy="use fewer folds, or more labelled regions",
    )


def block_split(
    lonlat: npt.ArrayLike,
    *,
    edge_km: float,
    buffer_km: float,
    folds: int = 5,
    seed: int = 0,
    val_share: float = 0.2,
    groups: npt.ArrayLike | None = None,
    cities: npt.ArrayLike | None = None,
    blocks: BlockShape = "square",
) -> list[Fold]:
    """Hold out whole blocks, and clear the training rows around them.

    The squares are shifted by the seed, so that seeds differ in their blocks too (H3 cells lie where they
    lie: there the seed only deals); blocks are dealt to folds of about equal size; every row is held out
    exactly once. Rows within ``buffer_km`` of a test row leave training and validation. Validation and
    inner folds are whole blocks of what is left, or squares of a quarter of a block's side where fewer
    than three blocks are left or one holds more than half of the rows. Between training and validation, and
    between inner folds, no strip is cleared and groups are not kept together: those parts only choose a
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
        cities: (N,) city of each row; no block and no buffer reaches from one city into another.
        blocks: ``"square"``, or ``"h3"``: the cells of :func:`urbanln.probe.units.h3_resolution`.

    Raises:
        InputError: Bad positions, fewer blocks than folds, or a buffer that leaves nothing to train on.
    """
    metres = _local_metres(lonlat, cities, val_share, folds)
    rng = np.random.default_rng([seed, 2])
    shift = rng.random(2)
    units = block_units(lonlat, edge_km=edge_km, blocks=blocks, shift=(shift[0], shift[1]), cities=cities)
    smaller = f"choose a smaller block edge than {edge_km:g} km, or fewer folds"
    return _hold_out(
        units,
        deal(units, folds, rng, remedy=smaller),
        metres,
        buffer_km=buffer_km,
        groups=groups,
        rng=rng,
        seed=seed,
        val_share=val_share,
        remedy=f"choose a narrower buffer than {buffer_km:g} km, or {smaller[7:]}",
    )


def district_split(
    lonlat: npt.ArrayLike,
    districts: npt.ArrayLike,
    *,
    buffer_km: float = 0.0,
    folds: int | None = None,
    seed: int = 0,
    val_share: float = 0.2,
    groups: npt.ArrayLike | None = None,
    cities: npt.ArrayLike | None = None,
) -> list[Fold]:
    """Hold out whole districts: each one once.

    A row without a district is never held out; it may be trained on like any other row outside the buffer
    (a model would have it too), and counts with the district of the nearest row for validation and inner
    folds. Those are whole districts, or parts of them under the rule of :func:`block_split`.

    Args:
        lonlat: (N, 2) longitude, latitude in degrees.
        districts: (N,) name of each row's district; None, NaN or "" where there is none.
        buffer_km: Training rows this near to a held-out row leave, whatever their district.
        folds: At most so many folds, to which districts are dealt by size; by default one per district.
        seed: Of dealing and of validation; with one fold per district all seeds hold out the same rows.
        val_share: Share of the training side used for validation.
        groups: (N,) labels; rows that share one with a held-out row leave the training.
        cities: (N,) city of each row; districts of one name in two cities are two districts.

    Raises:
        InputError: Fewer than two districts, bad positions, or too few rows left to train on.
    """
    metres = _local_metres(lonlat, cities, val_share, folds)
    units = labelled(districts, len(metres), "districts")
    named = units >= 0
    if cities is not None:
        units[named] = crossed(city_numbers(cities, len(metres))[named], units[named])
    count = int(units.max(initial=-1)) + 1
    if count < 2:
        what = "all regions lie in one district" if count else "no region has a district"
        raise InputError(
            f"{what}: none can be held out",
            remedy="give districts as a column, or use another split",
            where="split 'district'",
        )
    rng = np.random.default_rng([seed, 4])
    side = np.full(len(metres), -1, dtype=np.int64)
    side[named] = _sides(units[named], folds, rng)
    return _hold_out(
        filled(units, metres),
        side,
        metres,
        buffer_km=buffer_km,
        groups=groups,
        rng=rng,
        seed=seed,
        val_share=val_share,
        remedy="choose a narrower buffer, more folds, or another split",
    )


def city_split(
    lonlat: npt.ArrayLike,
    cities: npt.ArrayLike,
    *,
    folds: int | None = None,
    seed: int = 0,
    val_share: float = 0.2,
    groups: npt.ArrayLike | None = None,
) -> list[Fold]:
    """Hold out whole cities: each one once. There is no buffer, so cities that adjoin need one name.

    Validation and inner folds are whole cities, or parts of them under the rule of :func:`block_split`.

    Args:
        lonlat: (N, 2) longitude, latitude in degrees.
        cities: (N,) city of each row.
        folds: At most so many folds, to which cities are dealt by size; by default one per city.
        seed: Of dealing and of validation; with one fold per city all seeds hold out the same rows.
        val_share: Share of the training side used for validation.
        groups: (N,) labels; rows that share one with a held-out row leave the training.

    Raises:
        InputError: One city only, a row without a city, bad positions, or too few rows left to train on.
    """
    metres = _local_metres(lonlat, cities, val_share, folds)
    units = city_numbers(cities, len(metres))
    if units.max(initial=0) == 0:
        raise InputError(
            "there is one city only: none can be held out",
            remedy="give several cities, or another split",
            where="split 'city'",
        )
    rng = np.random.default_rng([seed, 5])
    return _hold_out(
        units,
        _sides(units, folds, rng),
        metres,
        groups=groups,
        rng=rng,
        seed=seed,
        val_share=val_share,
        remedy="use more cities",
    )


def few_shot(folds: Sequence[Fold], k: int, seed: int = 0) -> list[Fold]:
    """The same folds with only ``k`` labelled rows to learn from, drawn at random from the known rows.

    Draws of one seed are nested (the rows of a smaller ``k`` are among those of a larger one, each on the
    same side), so that a curve over ``k`` is smooth. Every fifth row drawn is for validation: 80 / 20.

    Args:
        folds: Folds of any split.
        k: Rows with a label, 4 or more.
        seed: Of the draw.

    Raises:
        InputError: ``k`` below 4, or a fold with fewer known rows.
    """
    if k < MIN_TRAIN:
        raise InputError(
            f"learning needs {MIN_TRAIN} labelled regions or more",
            value=k,
            where="k",
            remedy=f"give {MIN_TRAIN} or more",
        )
    made = []
    for number, fold in enumerate(folds):
        known = fold.known
        if len(known) < k:
            raise InputError(
                f"{k} labelled regions cannot be drawn: only {len(known)} may be looked at",
                where=f"fold {number} (from 0)",
                remedy="use a smaller number of labelled regions",
            )
        rng = np.random.default_rng([seed, 6, number])
        drawn = rng.permutation(len(known))[:k]
        held = np.arange(k) % 5 == 3
        order = np.sort(drawn)
        units = order if fold.inner is None else fold.inner[order]
        inner = inner_folds(enough_units(units, None), rng)
        train, val = known[np.sort(drawn[~held])], known[np.sort(drawn[held])]
        made.append(Fold(train, val, fold.test, inner))
    return made


def _hold_out(
    units: Ints,
    side: Ints,
    metres: Floats | None,
    *,
    rng: np.random.Generator,
    seed: int,
    val_share: float,
    remedy: str,
    buffer_km: float = 0.0,
    groups: npt.ArrayLike | None = None,
) -> list[Fold]:
    """Folds from what is dealt: every side (from 0) is held out once, rows of side -1 never.

    Without ``metres`` there is no buffer; without ``groups`` nothing but the buffer leaves the training.
    """
    if not (np.isfinite(buffer_km) and buffer_km >= 0):
        raise InputError(
            "the buffer is a number of km, 0 or more",
            value=buffer_km,
            where="probe.buffer_km",
            remedy="give a number of 0 or more",
        )
    alike = None if groups is None else group_numbers(groups, len(units))
    made = []
    for number in range(int(side.max()) + 1):
        test, rest = np.flatnonzero(side == number), np.flatnonzero(side != number)
        if metres is not None:
            rest = rest[nearest_metres(metres[rest], metres[test]) > 1000 * BUFFER_TOLERANCE * buffer_km]
        if alike is not None:
            rest = rest[~np.isin(alike[rest], alike[test])]
        if len(rest) < MIN_TRAIN:
            raise InputError(
                f"only {len(rest)} rows are left to train on",
                where=f"fold {number} (from 0)",
                remedy=remedy,
            )
        pieces = enough_units(units[rest], None if metres is None else metres[rest])
        train, val = validation(rest, pieces, val_share, rng)
        # A generator of its own, so that inner folds change nothing about the folds themselves.
        inner = inner_folds(pieces, np.random.default_rng([seed, 3, number]))
        made.append(Fold(train, val, test, inner))
    return made


def _local_metres(
    lonlat: npt.ArrayLike, cities: npt.ArrayLike | None, val_share: float, folds: int | None
) -> Floats:
    if cities is not None:
        city_numbers(cities, len(check_lonlat(lonlat)))
    metres = to_metres(lonlat, cities)
    _check_counts(len(metres), val_share, folds)
    return metres


def _sides(units: Ints, folds: int | None, rng: np.random.Generator) -> Ints:
    if folds is None or folds > units.max():
        return units
    return deal(units, folds, rng, remedy="use fewer folds")


def _check_counts(rows: int, val_share: float, folds: int | None) -> None:
    if folds is not None and folds < 2:
        raise InputError(
            "a split needs two folds or more", value=folds, where="probe.folds", remedy="give 2 or more"
        )
    if not 0 < val_share < 1:
        raise InputError(
            "the share for validation lies between 0 and 1",
            value=val_share,
            where="val_share",
            remedy="give a number between 0 and 1",
        )
    if rows < (folds or 2):
        raise InputError(
            f"{rows} labelled regions cannot be split into {folds or 2} folds",
            remedy="probing needs more regions with a label and a vector",
            where="probe.folds",
        )
