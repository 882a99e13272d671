"""Tables keyed by cells of H3: a sample takes the row of the cell that it lies in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.ids import read_ids
from urbanln.base.space import Floats

_DIGITS = 15


def h3_column(frame: pd.DataFrame, where: str) -> str | None:
    """The column that holds a cell of H3 in every row, as text or as a whole number; None where none does.

    Args:
        frame: A table of vectors.
        where: Its name, for errors.

    Raises:
        InputError: Several columns do.
    """
    columns = [str(name) for name in frame.columns if _may_hold(frame[name])]
    found = [name for name in columns if _all_cells(read_ids(frame, name, "", trust=True).dropna())]
    if len(found) > 1:
        raise InputError(
            "several columns of the table of vectors are cells of H3",
            value=", ".join(found),
            where=where,
            remedy="leave only the one that the vectors are of",
        )
    return found[0] if found else None


def cells_over(lonlat: Floats, ids: Sequence[Any] | npt.NDArray[Any]) -> Iterator[npt.NDArray[np.str_]]:
    """The cell that each point lies in, (N,) as text: an array per resolution of ``ids``, coarsest first.

    Args:
        lonlat: (N, 2) degrees.
        ids: Cells of H3, usually written, of one resolution, or of several, as a compacted set has them.
    """
    import h3

    for resolution in sorted({h3.get_resolution(name) for name in ids}):
        yield np.array([h3.latlng_to_cell(lat, lon, resolution) for lon, lat in lonlat.tolist()])


def _may_hold(column: pd.Series) -> bool:
    """Whether it is worth a look at every row: the first that is there is a cell."""
    there = column.dropna()
    if not len(there) or not isinstance(there.iloc[0], str | int | np.integer):
        return False
    return as_cell(str(there.iloc[0])) != ""


def _all_cells(ids: pd.Series) -> bool:
    return len(ids) > 0 and all(as_cell(name) for name in ids)


def as_cell(name: str) -> str:
    """The cell in its usual writing, of 15 hexadecimal digits in small letters; empty where it is none.

    Args:
        name: As it stands in a table: such digits in any letters, behind ``0x`` or not, or a whole number.
    """
    import h3

    plain = name.strip().lower().removeprefix("0x")
    written = (plain, f"{int(plain):x}" if plain.isdecimal() else "")
    # h3 4.5 raises for a text that is too long for a cell, where it should only say no.
    return next((text for text in written if len(text) == _DIGITS and h3.is_valid_cell(text)), "")
