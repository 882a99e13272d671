"""Checks of single columns, shared by the city store and by ingest; each error names row and value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from urbanln.base.errors import InputError
from urbanln.base.written import OTHERWISE, as_floats, each, number_remedy

_LOOKED_AT = 1000  # values that say how a column's numbers are written


def at_row(table: str, row: int) -> str:
    """Where a fault stands, for an error."""
    return f"{table}, row {row} (the first is 0)"


def first(mask: object) -> int | None:
    """Position of the first true value of a mask, None when there is none."""
    flags = np.asarray(mask, dtype=bool)
    return int(flags.argmax()) if flags.any() else None


def refuse(
    bad: object, what: str, value: pd.Series | Callable[[int], object], table: str, remedy: str
) -> None:
    """Refuse a table for its first bad row.

    Args:
        bad: (N,) mask of rows.
        what: What is wrong with them.
        value: The offending value by row: a column, or a function of the position.
        table: Name of the table.
        remedy: What the user can do.

    Raises:
        InputError: A row is bad.
    """
    if (row := first(bad)) is not None:
        shown = value.iloc[row] if isinstance(value, pd.Series) else value(row)
        raise InputError(what, value=shown, where=at_row(table, row), remedy=remedy)


def need_columns(
    columns: Iterable[object], needed: Sequence[str], table: str, *, choose: str | None = None
) -> None:
    """Refuse a table that lacks a column, with the nearest name that is there.

    Args:
        columns: Those of the table.
        needed: Those that have to be among them.
        table: Its name, for errors.
        choose: How another column is named, where nobody may have named this one.

    Raises:
        InputError: A column is missing.
    """
    there = [str(column) for column in columns]
    for name in needed:
        if name not in there:
            near = [c for c in there if c.lower() == name.lower()]
            near = near or difflib.get_close_matches(name, there, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'? " if near else ""
            hint += f"{choose}; " if choose else ""
            raise InputError(
                f"column '{name}' is missing",
                value=name,
                where=table,
                remedy=f"{hint}there are: {', '.join(there) or 'no columns'}",
            )


def text_column(frame: pd.DataFrame, column: str, table: str, *, required: bool) -> pd.Series:
    """One column as text; missing values stay missing.

    Args:
        frame: The table.
        column: Name of the column.
        table: Name of the table, for errors.
        required: Refuse missing and empty values.

    Raises:
        InputError: A value is not text, or is missing though required.
    """
    series = frame[column]
    missing = series.isna().to_numpy()
    if not isinstance(series.dtype, pd.StringDtype):
        is_text = np.fromiter((isinstance(v, str) for v in series), dtype=bool, count=len(series))
        refuse(
            ~is_text & ~missing,
            f"'{column}' must be text",
            series,
            table,
            f"turn the column into text: frame['{column}'].astype(str)",
        )
    series = series.astype("str")
    if required:
        empty = missing | (series == "").to_numpy()
        refuse(empty, f"'{column}' is empty", series, table, "fill it, or take the row out")
    return series


def number_column(
    frame: pd.DataFrame, column: str, table: str, *, text_numbers: bool = False, finite: bool = True
) -> pd.Series:
    """One column as float64; missing values become NaN.

    Args:
        frame: The table.
        column: Name of the column.
        table: Name of the table, for errors.
        text_numbers: Take numbers written as text (``"12.5"``), as foreign tables hold them.
        finite: Refuse infinite values.

    Raises:
        InputError: A value is no number (``"12,5"``, a date) or is infinite.
    """
    series = frame[column]
    if series.dtype.kind in "mM":  # pandas would count nanoseconds since 1970
        raise InputError(
            f"'{column}' holds dates or times, not numbers",
            value=str(series.dtype),
            where=table,
            remedy="give a number instead, for example the year",
        )
    if series.dtype.kind == "c":  # pandas calls them numeric, and would drop what is imaginary
        raise InputError(
            f"'{column}' must be a numeric column",
            value=str(series.dtype),
            where=table,
            remedy="give real numbers",
        )
    refuse_nested(frame, column, table)
    if (odd := frame.attrs.get(OTHERWISE, {}).get(column)) is not None:
        raise InputError(
            f"a number of '{column}' is not written as you say the table's numbers are",
            value=odd,
            where=table,
            remedy="where points stand between thousands, say so too: --thousands .",
        )
    if not pd.api.types.is_numeric_dtype(series):
        bare = each(series, _bare)
        blank = series.isna().to_numpy() | (bare == "").to_numpy(dtype=bool)
        numbers = as_floats(bare.mask(blank))
        bad = numbers.isna().to_numpy() & ~blank
        if not text_numbers and not bad.any():
            bad = np.array([isinstance(value, str) for value in series], dtype=bool)
        if (row := first(bad)) is not None:
            texts = [str(value) for value in (bare.iloc[row], *bare[~blank].unique()[:_LOOKED_AT])]
            refuse(bad, f"'{column}' must be a numeric column", series, table, number_remedy(texts))
        series = numbers
    values = pd.Series(series.to_numpy(dtype="float64", na_value=np.nan), index=series.index)
    refuse(
        finite & np.isinf(values),
        f"'{column}' is infinite",
        lambda row: float(values.iloc[row]),
        table,
        "leave missing values empty",
    )
    return values


def refuse_nested(frame: pd.DataFrame, column: str, table: str) -> None:
    """Refuse a column whose values are lists or objects where one value per row is needed.

    Raises:
        InputError: Names the row.
    """
    if frame[column].dtype == object:
        nested = [isinstance(value, list | tuple | dict | np.ndarray) for value in frame[column]]
        refuse(
            nested,
            f"'{column}' holds lists or objects, and one value per row is needed",
            lambda row: str(frame[column].iloc[row])[:60],
            table,
            "write the value that is meant into a column of its own",
        )


def _bare(value: object) -> object:
    """A cell without blanks around it; a typeset minus is one."""
    return value.strip().replace("\u2212", "-") if isinstance(value, str) else value


def is_yes_or_no(series: pd.Series) -> bool:
    """Whether a column holds nothing but true and false, which count as 1 and 0."""
    there = series.dropna()
    return len(there) > 0 and (there.dtype == bool or all(isinstance(v, bool | np.bool_) for v in there))


def no_duplicates(series: pd.Series, what: str, table: str, remedy: str) -> None:
    """Refuse a value that occurs twice.

    Raises:
        InputError: Names the value, its second row and its first.
    """
    if (row := first(series.duplicated())) is not None:
        earlier = first(series == series.iloc[row])
        raise InputError(
            f"{what} occurs twice (first in row {earlier})",
            value=series.iloc[row],
            where=at_row(table, row),
            remedy=remedy,
        )


def among(ids: pd.Series | pd.Index, known: pd.Series | pd.Index) -> npt.NDArray[np.bool_]:
    """As ``ids.isin(known)``, of texts in a tenth of the time: pandas takes the known ones one by one.

    Args:
        ids: (N,) asked about.
        known: Those that there are.

    Returns:
        (N,) whether each is known; what is missing is where something known is missing.
    """
    if not all(isinstance(one.dtype, pd.StringDtype) for one in (ids, known)):
        return np.asarray(ids.isin(known))
    asked, there = (pa.array(one, pa.large_string(), from_pandas=True) for one in (ids, known))
    if isinstance(there, pa.ChunkedArray):
        there = there.combine_chunks()
    return np.asarray(pc.is_in(asked, value_set=there))


def known_ids(series: pd.Series, known: pd.Series, table: str, what: str, home: str) -> None:
    """Refuse an id that another table does not have, with the nearest one that it has.

    Raises:
        InputError: Names the id and its row.
    """
    if (row := first(~among(series, known))) is not None:
        near = difflib.get_close_matches(series.iloc[row], known.iloc[:10_000].tolist(), n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InputError(
            f"unknown {what}",
            value=series.iloc[row],
            where=at_row(table, row),
            remedy=f"{hint}every {what} must stand in {home}",
        )
