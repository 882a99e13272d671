"""Ids of a table as text, and those refused that a spreadsheet or a float has mangled."""

from __future__ import annotations

import pandas as pd

from urbanln.base.columns import at_row, first, refuse
from urbanln.base.errors import InputError
from urbanln.base.frames import id_text
from urbanln.base.written import each

# 1.40E+14, 4.03e+09, 1,4E+14, 1.4E14; a bare 12e45 may be a hash.
_SCIENTIFIC = r"[-+]?\d(?:[.,]\d+)?[eE]\+\d+|[-+]?\d[.,]\d+[eE]\d+"
TRUST = "name another column of ids, or keep them: --trust-ids"
_WHOLE_FLOAT, _OTHER_FLOAT = r"[-+]?\d+\.0+", r"[-+]?\d+\.\d*[1-9]\d*"


def read_ids(
    frame: pd.DataFrame, column: str, table: str, *, trust: bool = False, instead: str = TRUST
) -> pd.Series:
    """A column of ids as text, missing where it is empty: numbers are whole, 7 and 7.0 become ``"7"``.

    Args:
        frame: The table, read with this column as text.
        column: Name of the column.
        table: Name of the table, for errors.
        trust: Take them as they stand, whatever they look like.
        instead: What else the user can do about ids that are refused.

    Raises:
        InputError: Ids that look mangled: ``1.40E+14`` is what a spreadsheet leaves of many long ids;
            ``1001.0`` as text, of a whole id; numbers a float cannot hold to the last digit.
    """
    series = frame[column]
    if series.dtype == object:
        series = each(
            series, lambda value: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        )
    text = id_text(series)
    if trust:
        return text
    again = f"export the ids of '{column}' as text, {instead}"
    if series.dtype.kind == "f":
        digits = 2.0**53 if str(series.dtype).lower() == "float64" else 2.0**24
        if (row := first((series.abs() > digits).fillna(False))) is not None:
            raise InputError(
                f"the ids of '{column}' were numbers with decimals once, which cannot hold so many digits",
                value=text.iloc[row],
                where=at_row(table, row),
                remedy=again,
            )
        return text
    what = (
        f"an id of '{column}' looks like what a spreadsheet leaves of a long number: other ids may share it"
    )
    refuse(text.str.fullmatch(_SCIENTIFIC).fillna(False), what, text, table, again)
    whole = text.str.fullmatch(_WHOLE_FLOAT).fillna(False).to_numpy(dtype=bool)
    if whole.any() and not text.str.fullmatch(_OTHER_FLOAT).fillna(False).any():
        what = f"the ids of '{column}' were whole once, and a spreadsheet or a float gave them decimals"
        refuse(whole, what, text, table, again)
    return text
