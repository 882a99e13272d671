"""Which rows of a file count: those of the kinds, of the days, and each id once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.columns import number_column, refuse
from urbanln.base.errors import InputError
from urbanln.base.frames import id_text, read_frame
from urbanln.base.missing import without
from urbanln.base.nested import column_of
from urbanln.base.space import Floats
from urbanln.base.written import Written
from urbanln.gather.labels.settings import ANY, LocalLabel
from urbanln.gather.labels.told import refuse_codes

Flags = npt.NDArray[np.bool_]
_DAY = r"(\d{4}-\d{2}-\d{2})(?:[T ].*)?"


def read_rows(
    asked: LocalLabel, *, text: Sequence[str] = (), numbers: Sequence[str] = (),
    ungrouped: Sequence[str] = (), crs: str = "",
) -> pd.DataFrame | gpd.GeoDataFrame:  # fmt: skip
    """The file of a label, with the columns that are needed of it.

    Args:
        asked: Its section of the recipe, with paths from here.
        text: Further columns that stay as they are written.
        numbers: Further columns.
        ungrouped: Columns of coordinates.
        crs: System of shapes that name none.

    Raises:
        InputError: No such file or column, or a file that cannot be read.
    """
    kinds = (*asked.only, *getattr(asked, "classes", ()))
    named = [*{name for kind in kinds for name in kind}, *filter(None, [asked.id, asked.day]), *text]
    written = Written(asked.encoding or None, asked.thousands or None, asked.decimal or None)
    frame = read_frame(
        asked.file, text=named, crs=crs or None, written=written, ungrouped=ungrouped,
        columns=[*named, *numbers, *ungrouped],
    )  # fmt: skip
    if frame.empty:
        raise InputError("the table has no rows", where=asked.file, remedy="give a table with rows")
    for name in (*named, *numbers):
        frame[name] = column_of(frame, name, asked.file)
    return frame


def of_kinds(
    frame: pd.DataFrame, kinds: Sequence[Mapping[str, Sequence[str]]], table: str, key: str
) -> Flags:
    """(N,) whether a row is of one of some kinds; of none named, all are.

    Args:
        frame: The table.
        kinds: Column → values; a row is of a kind that is right about all its columns.
        table: Name of the table, for errors.
        key: Of the recipe, for errors.

    Raises:
        InputError: A kind has no row at all.
    """
    found = np.full(len(frame), not kinds)
    texts = {name: id_text(frame[name]) for kind in kinds for name in kind}
    for kind in kinds:
        right = np.ones(len(frame), dtype=bool)
        for name, values in kind.items():
            column = texts[name]
            one = column.notna() if ANY in values else column.isin(values)
            if not one.any():
                common = ", ".join(map(str, column.value_counts().index[:5])) or "nothing in it"
                what, remedy = f"no row has such a value of '{name}'", f"the most frequent are: {common}"
                raise InputError(what, value=", ".join(values), where=f"{key}, {table}", remedy=remedy)
            right &= one.to_numpy(dtype=bool)
        found |= right
    return found


class Counted:
    """Which rows count, and of those that do not how many for which reason.

    Args:
        count: Of rows.
    """

    def __init__(self, count: int) -> None:
        self.rows = np.ones(count, dtype=bool)
        self._reasons: dict[str, int] = {}

    def keep(self, flags: Flags, reason: str) -> None:
        """Leave out rows.

        Args:
            flags: (N,) those that stay, if they were there before.
            reason: What the others are, in words.
        """
        lost = int((self.rows & ~flags).sum())
        self.rows &= flags
        if lost:
            self._reasons[reason] = self._reasons.get(reason, 0) + lost

    def line(self, what: str) -> str:
        """All in one line.

        Args:
            what: Rows are.
        """
        left = ", ".join(f"{count:,} {reason}" for reason, count in self._reasons.items())
        return f"{int(self.rows.sum()):,} of {len(self.rows):,} {what} count" + (
            f"; left out: {left}" if left else ""
        )


def choose(frame: pd.DataFrame, asked: LocalLabel, counted: Counted) -> None:
    """Leave out rows of other kinds and days, and those whose id came before.

    Args:
        frame: The table.
        asked: The section of the recipe.
        counted: What counts so far; it is changed.

    Raises:
        InputError: No row is of the kind, or a day is not written as one.
    """
    counted.keep(of_kinds(frame, asked.only, asked.file, "only"), "of other kinds (only)")
    if asked.day:
        day = _days(frame, asked.day, asked.file)
        counted.keep(day.notna().to_numpy(), f"without a day in '{asked.day}'")
        low, high = str(asked.since or ""), str(asked.until or "9999-12-31")
        counted.keep(((day >= low) & (day <= high)).fillna(False).to_numpy(dtype=bool), "of other days")
    if asked.id:
        ids = id_text(frame[asked.id])
        again = ids[counted.rows].duplicated() & ids[counted.rows].notna()  # without an id: its own
        once = np.ones(len(frame), dtype=bool)
        once[np.flatnonzero(counted.rows)[again.to_numpy(dtype=bool)]] = False
        counted.keep(once, f"whose '{asked.id}' came before")


def _days(frame: pd.DataFrame, column: str, table: str) -> pd.Series:
    """Days as they are written, ``2023-05-31``: what a clock at the place showed, wherever it is."""
    text = id_text(frame[column])
    found = text.str.extract(_DAY, expand=False)
    what = f"'{column}' must hold days such as 2023-05-31, with or without a time"
    refuse(found.isna() & text.notna(), what, text, table, "write it so, or empty it")
    return found


def numbers_of(
    frame: pd.DataFrame, column: str, asked: LocalLabel, codes: Sequence[float], rows: Flags
) -> Floats:
    """(N,) a column of numbers, missing ones NaN.

    Args:
        frame: The table.
        column: Its name.
        asked: The section of the recipe.
        codes: That stand for no value.
        rows: (N,) those that are looked at.

    Raises:
        InputError: It holds what is no number, or a code for a missing value that is not declared.
    """
    dtype = str(frame[column].dtype)
    numbers = number_column(frame, column, asked.file, text_numbers=True).to_numpy(dtype=np.float64)
    numbers = without(numbers, codes)
    refuse_codes(numbers[rows], dtype, f"'{column}'", asked.file)
    return numbers
