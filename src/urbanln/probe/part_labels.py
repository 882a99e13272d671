"""Classes and shares made ready: rows that have one, as parts that sum to one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from urbanln.base.bounds import SHARES_OFF
from urbanln.base.errors import InputError
from urbanln.base.kinds import MAX_CLASSES
from urbanln.base.space import Floats, Ints
from urbanln.probe.units import texts

ROWS_PER_CLASS = 2  # fewer rows than that of each class, on average, are names and no classes


class Parts(NamedTuple):
    """Labels on the simplex.

    Args:
        rows: (n,) rows of the input that have a label, ascending.
        y: (n, C) parts: shares, or a 1 at the class.
        names: Of the C parts.
        missing: Rows without a label.
    """

    rows: Ints
    y: Floats
    names: tuple[str, ...]
    missing: int


def class_parts(target: npt.ArrayLike, rows: int, where: str) -> Parts:
    """Classes as parts, in the order of their names.

    Args:
        target: (N,) names; numbers are taken as codes, so that 3 and 3.0 are one. None, NaN and empty text
            are missing.
        rows: N.
        where: Name of the label, for errors.

    Raises:
        InputError: Another number of rows, no class or only one, or so many that they are names of rows.
    """
    given = np.asarray(target, dtype=object)
    if given.shape != (rows,):
        raise InputError(
            "classes are one value per row", value=given.shape, where=where, remedy="give one class per row"
        )
    whole = [int(v) if isinstance(v, float | np.floating) and v == np.floor(v) else v for v in given]
    text, there = texts(np.array(whole, dtype=object))
    labelled = np.flatnonzero(there).astype(np.int64)
    names, number = np.unique(text[labelled], return_inverse=True)
    if len(labelled) == 0:
        remedy = "check the column, and that ids are those of the city"
        raise InputError("no region has a class", where=where, remedy=remedy)
    if len(names) < 2:
        raise InputError(
            "all regions are of one class: there is nothing to predict",
            value=str(names[0]),
            where=where,
            remedy="leave this label out",
        )
    if len(names) > MAX_CLASSES or ROWS_PER_CLASS * len(names) > len(labelled):
        raise InputError(
            f"{len(names)} different classes in {len(labelled)} regions are too many to learn",
            value=str(names[0]),
            where=where,
            remedy=f"merge rare ones: {MAX_CLASSES} at most, and two regions of each or more on average",
        )
    return Parts(labelled, np.eye(len(names))[number], tuple(map(str, names)), rows - len(labelled))


def share_parts(target: npt.ArrayLike, names: tuple[str, ...], rows: int, where: str) -> Parts:
    """Shares as parts; each row that is whole is divided by its sum, which is 1 but for rounding.

    Args:
        target: (N, C) shares; a row that lacks one counts as missing.
        names: Of the C parts.
        rows: N.
        where: Name of the label, for errors.

    Raises:
        InputError: Not numbers, another shape, a share below 0, a sum that is off by more than .001, no row
            that is whole, or all rows equal.
    """
    try:
        values = np.asarray(target, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "shares are not numbers", value=str(error), where=where, remedy="give numbers that sum to 1"
        ) from error
    if values.shape != (rows, len(names)) or len(names) < 2:
        raise InputError(
            "shares are two columns or more, one row per region and one name per column",
            value=values.shape,
            where=where,
            remedy=f"give {rows} rows and as many columns as names ({len(names)})",
        )
    whole = ~np.isnan(values).any(axis=1)
    labelled = np.flatnonzero(whole).astype(np.int64)
    known = values[labelled]
    total = known.sum(axis=1)
    off = (np.abs(total - 1) > SHARES_OFF) | (known < 0).any(axis=1) | ~np.isfinite(total)
    if off.any():
        first = int(np.flatnonzero(off)[0])
        raise InputError(
            "shares are not negative and sum to 1",
            value=", ".join(f"{value:g}" for value in known[first]),
            where=f"{where}, row {labelled[first]}",
            remedy="divide them by their sum, or leave the row empty",
        )
    if len(labelled) < 2 or (known == known[0]).all():
        what = "no two regions have different shares: there is nothing to predict"
        raise InputError(what, value=len(labelled), where=where, remedy="leave this label out")
    return Parts(labelled, known / total[:, None], names, rows - len(labelled))
