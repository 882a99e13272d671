"""Tables of text (CSV, TSV): which encoding, which separator, which names; nothing guessed in silence."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.encodings import byte_order_mark, not_decoded
from urbanln.base.errors import InputError
from urbanln.base.written import AS_IT_IS, Written, with_plain_numbers

_SEPARATORS = ",;\t|"


def read_csv(
    path: Path, *, text: Sequence[str] | None = (), written: Written = AS_IT_IS, ungrouped: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a CSV split by comma, semicolon, tab or bar: as ``sep=`` says, or what splits its names most.

    Args:
        path: The file, in UTF-8 or as its byte order mark or ``written`` says.
        text: Columns to keep as written, where only an empty cell is missing (an id may be ``NA``); None for
            all of them, where an empty cell is an empty text.
        written: Encoding, and how numbers are written.
        ungrouped: Columns whose numbers have no groups of thousands.

    Raises:
        InputError: It is in another encoding (the likely ones are named), two columns have one name, or lines
            have more fields than the first line names.
        pandas.errors.ParserError, pandas.errors.EmptyDataError: It cannot be parsed.
    """
    encoding = byte_order_mark(path) or written.encoding or "utf-8"
    try:
        separator, before, columns = _head(path, encoding)
        frame = _rows(path, encoding, separator, before, columns, text, written)
    except UnicodeError as error:  # UTF-16 without its mark is no UnicodeDecodeError
        raise not_decoded(path, encoding) from error
    frame = frame.rename(columns=lambda name: str(name).strip())
    if text is None:
        return frame
    return with_plain_numbers(frame, text, written, ungrouped)


def _head(path: Path, encoding: str) -> tuple[str, int, list[str]]:
    """Separator, lines before the names, and the names as they stand."""
    with path.open(encoding=encoding, newline="") as file:
        before, line = 0, file.readline()
        if "\0" in line:
            raise UnicodeError
        said = re.fullmatch(r'"?sep=(.)"?\s*', line, re.IGNORECASE)  # Excel writes and reads it
        if said:
            before, line = 1, file.readline()
        while line and not line.strip("\r\n"):
            line = file.readline()
        rest = file.readlines(1 << 16)
        separator = said[1] if said else _separator(line, rest[:1], path)
        names = next(csv.reader([line, *rest], delimiter=separator), [])
    refuse_doubled([name.strip() for name in names if name.strip()], path)
    return separator, before, names


def _separator(names: str, second: Sequence[str], path: Path) -> str:
    """What splits the names most; of several, one that splits the next line into as many parts."""
    if path.suffix.lower() == ".tsv" and "\t" in names:
        return "\t"
    counts = [re.sub(r'"[^"]*"', "", line) for line in (names, *second)]
    alike = [sign for sign in _SEPARATORS if len({line.count(sign) for line in counts}) == 1]
    return max([sign for sign in alike if sign in names] or _SEPARATORS, key=counts[0].count)


def refuse_doubled(names: Sequence[object], where: str | Path) -> None:
    """Refuse a table with two columns of one name: nobody can say which one is meant.

    Raises:
        InputError: Names the column.
    """
    seen = pd.Index([str(name) for name in names])
    if seen.has_duplicates:
        raise InputError(
            "two columns have one name",
            value=seen[seen.duplicated()][0],
            where=where,
            remedy="rename one of them in the file, or take it out",
        )


def _rows(
    path: Path, encoding: str, separator: str, before: int, columns: Sequence[str],
    text: Sequence[str] | None, written: Written,
) -> pd.DataFrame:  # fmt: skip
    # Without index_col=False a line with one field too many would shift every column by one, silently.
    options: dict[str, Any] = {"sep": separator, "encoding": encoding, "skiprows": before, "index_col": False}
    as_text = [at for at, name in enumerate(columns) if text is None or name.strip() in text]
    kinds = dict.fromkeys((columns[at] for at in as_text) if written.plain else columns, "str")
    with warnings.catch_warnings():
        # With it, pandas drops what stands after the last named column and only warns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = _parsed(path, kinds, options)
        except pd.errors.ParserWarning as error:
            raise InputError(
                f"lines have more fields than the {len(columns)} columns named in the first line",
                where=path,
                remedy="decimal commas? write 12.5 instead of 12,5; put text that holds commas in quotes",
            ) from error
    if as_text:  # once more, since otherwise an id called NA would be missing
        own = pd.read_csv(path, usecols=as_text, dtype="str", keep_default_na=False, **options)
        for name in own.columns:
            frame[name] = own[name] if text is None else own[name].mask(own[name] == "")
    return frame


def _parsed(path: Path, kinds: dict[str, str], options: dict[str, Any]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, low_memory=False, dtype=kinds, **options)
    except OverflowError:  # of pandas 3.0, at a whole number of more than 308 digits; newer ones hand it on
        wide = dict.fromkeys(_beyond_floats(pd.read_csv(path, dtype="str", **options)), "float64")
        return pd.read_csv(path, low_memory=False, dtype=wide | kinds, **options)


def _beyond_floats(text: pd.DataFrame) -> list[str]:
    """Columns of nothing but numbers, of which one is too large for a float and is read as infinite."""
    numbers = text.apply(pd.to_numeric, errors="coerce").astype("float64")
    whole = (numbers.notna() == text.notna()).all()
    return [str(name) for name in text if whole[name] and np.isinf(numbers[name]).any()]
