"""What every kind of label ends in: a column, its note, and the state of each region."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.kinds import Kind
from urbanln.base.missing import missing_codes
from urbanln.base.space import Floats
from urbanln.city.classes import told_of_classes
from urbanln.city.meta import IndicatorNote
from urbanln.city.shares import told_of_shares
from urbanln.gather.labels.settings import LabelSource
from urbanln.gather.source import Built


def built(
    name: str, asked: LabelSource, ids: pd.Series, values: Floats | pd.DataFrame, said: list[str],
    cover: Floats | None = None, min_cover: float = 1.0, kind: Kind = "number",
) -> Built:  # fmt: skip
    """A label as a source hands it over.

    Args:
        name: Of the label.
        asked: Its section of the recipe.
        ids: (N,) of the regions.
        values: (N,) missing where a region has none; of shares a column per part.
        said: What else there is to say.
        cover: (N,) share of a region's area that the data tells of; None: that has no meaning.
        min_cover: What it must be.
        kind: Of the label.
    """
    there = np.ones(len(ids)) if cover is None else cover
    table = values if isinstance(values, pd.DataFrame) else pd.DataFrame({name: values})
    table = table.set_axis(ids.index).where(pd.Series(there >= min_cover, index=ids.index), axis=0)
    part = (there > 0) & (there < min_cover)
    states = np.where(table.notna().all(axis=1), "label", np.where(part, "partial", "absent"))
    note = IndicatorNote(
        kind=kind, columns=tuple(table.columns) if kind == "shares" else (),
        unit=asked.unit, year=asked.year, source=asked.source, licence=asked.licence,
    )  # fmt: skip
    return Built(
        pd.Series(states, index=ids),
        indicators=table.assign(region_id=ids)[["region_id", *table.columns]],
        notes={name: note},
        said=[*said, *_told(name, table, kind)],
        shares=None if cover is None else pd.Series(cover, index=ids),
    )


def _told(name: str, table: pd.DataFrame, kind: Kind) -> list[str]:
    """What there is to say of a label that is no number."""
    if kind == "number":
        return []
    told = told_of_classes(name, table[name]) if kind == "classes" else told_of_shares(name, table)
    return [line.removeprefix(f"label {name}: ") for line in told]


def refuse_codes(values: npt.ArrayLike, dtype: str, what: str, where: str) -> None:
    """Refuse numbers among which one looks like a code for a missing value that nobody declared.

    Args:
        values: The numbers; missing ones are NaN.
        dtype: What they were stored as.
        what: Whose they are.
        where: For the error.

    Raises:
        InputError: Names the code.
    """
    codes = [code.text for code in missing_codes(values, dtype) if code.certain]
    if codes:
        raise InputError(
            f"{what} holds what looks like a code for missing values, and does not declare it",
            value=codes[0],
            where=where,
            remedy=f"nodata = [{codes[0]}] in its section; scaled ones as they are stored",
        )


def partly(cover: Floats, min_cover: float, what: str, remedy: str) -> list[str]:
    """What there is to say of regions that are covered, but not enough.

    Args:
        cover: (N,) shares.
        min_cover: What they must be.
        what: Covers them.
        remedy: What one can do.
    """
    some = cover[(cover > 0) & (cover < min_cover)]
    if not len(some):
        return []
    most = math.floor(some.max() * 1000) / 1000  # never told as 1
    return [
        f"{len(some):,} regions have no label, since {what} {some.min():.3g} to {most:g} of them, and "
        f"min_cover is {min_cover:g}; {remedy}"
    ]
