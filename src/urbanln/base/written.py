"""How a table is written where it does not say so itself: its encoding, and how its numbers are written."""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError

_SIGN = 60  # characters of a text that may stand for nothing
_MISSING_REMEDY = (
    "write plain numbers such as 12.5 (a point, no unit); leave what is missing empty, or say what "
    "stands for it: --missing {}"
)
_BLANKS = " \u00a0\u2009\u202f"  # common, no-break, thin, narrow no-break
_GROUPS = {",": ",", ".": ".", " ": _BLANKS, "'": "'\u2019"}


@dataclass(frozen=True)
class Written:
    """How a table is written, where the file itself does not say.

    Args:
        encoding: Of a text file, for example ``"gb18030"``; None: UTF-8, or what its byte order mark says.
        thousands: What stands between groups of three digits: ``","``, ``"."``, ``"'"`` or ``" "`` (also
            ``"space"``, which no shell eats); None: nothing does.
        decimal: ``"."`` or ``","``; None: a point, and a comma where points stand between the groups.

    Raises:
        InputError: No such encoding or sign, or one sign for both.
    """

    encoding: str | None = None
    thousands: str | None = None
    decimal: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, before any file is read."""
        if self.thousands is not None and self.group not in _GROUPS:
            raise InputError(
                "no such sign between thousands",
                value=self.thousands,
                where="--thousands",
                remedy="there are: , . ' and space",
            )
        if self.decimal not in (None, ".", ","):
            raise InputError(
                "a decimal sign is . or ,",
                value=self.decimal,
                where="--decimal",
                remedy="--decimal . or --decimal ,",
            )
        if self.thousands is not None and self.point == self.group:
            raise InputError(
                "one sign cannot stand between thousands and before decimals",
                value=self.point,
                where="--thousands and --decimal",
                remedy="give two different ones",
            )
        try:
            "".encode(self.encoding or "utf-8")  # base64 and its like are codecs, and no encodings of text
        except (LookupError, ValueError) as error:  # ValueError: a zero byte in the name
            raise InputError(
                "no such encoding",
                value=self.encoding,
                where="--encoding",
                remedy="for example cp1252, gb18030, big5, cp932 (Shift-JIS), utf-16",
            ) from error

    @property
    def group(self) -> str | None:
        """The sign between groups of three digits."""
        return " " if self.thousands == "space" else self.thousands

    @property
    def point(self) -> str:
        """The sign before decimals."""
        return self.decimal or ("," if self.group == "." else ".")

    @property
    def pattern(self) -> str:
        """Regular expression of a number written so."""
        sign, point = f"[{_GROUPS[self.group]}]" if self.group else "", re.escape(self.point)
        # Two digits between commas: lakh and crore.
        least = 2 if self.group == "," else 3
        grouped = rf"[1-9]\d{{0,2}}(?:{sign}\d{{{least},3}})*{sign}\d{{3}}|" if sign else ""
        return rf"[-+]?(?:{grouped}\d+)(?:{point}\d*)?(?:[eE][-+]?\d+)?|[-+]?{point}\d+"

    @property
    def plain(self) -> bool:
        """Whether numbers are written as everybody reads them: 1234.5."""
        return self.group is None and self.point == "."

    def says(self) -> str:
        """What was asked for, in words, for the line that tells what was read; empty where nothing was."""
        said = [f"encoding {self.encoding}"] if self.encoding else []
        if not self.plain:
            said.append(f"numbers like 1{self.group or ''}234{self.point}5")
        return ", ".join(said)


AS_IT_IS = Written()
OTHERWISE = "numbers written otherwise"
"""Of a frame's attributes: column → a number that is not written as the user says, and means two things."""
_POINTS_BETWEEN = r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+"  # 12.345 where decimals stand behind a comma
_COMMON = (
    (Written(thousands=","), "--thousands ,"),
    (Written(thousands="."), "--thousands ."),
    (Written(thousands="'"), '--thousands "\'"'),
    (Written(thousands="space"), "--thousands space"),
    (Written(thousands="space", decimal=","), "--thousands space --decimal ,"),
    (Written(decimal=","), "--decimal ,"),
)


def with_plain_numbers(
    frame: pd.DataFrame, text: Sequence[str], written: Written, ungrouped: Sequence[str] = ()
) -> pd.DataFrame:
    """A table whose text columns hold plain numbers, where what has digits in them is written that way.

    A column in which one value does not fit stays as it is, and is refused by name where it is needed; signs
    without digits (``-``, ``n.a.``) are left to whoever knows what stands for nothing.

    Args:
        frame: The table.
        text: Columns that stay as they are.
        written: How numbers are written.
        ungrouped: Columns whose numbers have no groups of thousands, whatever ``written`` says: coordinates.
    """
    if written.plain:
        return frame
    otherwise: dict[str, str] = {}
    for name, column in frame.items():
        if str(name) in text or not (pd.api.types.is_string_dtype(column) or column.dtype == object):
            continue
        values = column.dropna()
        if not all(isinstance(value, str) for value in values):
            continue
        way = Written(decimal=written.point) if str(name) in ungrouped else written
        values = values.str.strip()
        numbers = values[values.str.contains(r"\d")]
        fits = numbers.str.fullmatch(way.pattern)
        if len(numbers) and fits.all():
            if way.group:
                numbers = numbers.str.replace(f"[{_GROUPS[way.group]}]", "", regex=True)
            plain = values.astype(object).where(values != "", np.nan)
            plain[numbers.index] = numbers.str.replace(way.point, ".", regex=False)
            signs = plain.dropna().index.difference(numbers.index)
            whole = as_floats(plain) if signs.empty else plain
            frame[name] = whole.reindex(frame.index, fill_value=np.nan)
        elif len(numbers) and str(name) not in ungrouped:
            odd = numbers[~fits]
            if odd.str.fullmatch(_POINTS_BETWEEN).all():
                otherwise[str(name)] = odd.iloc[0]
    frame.attrs[OTHERWISE] = otherwise
    return frame


def number_remedy(values: Sequence[str]) -> str:
    """What to do about text that is no number, by what it looks like.

    Args:
        values: What a column holds, blanks left out; the first is one that is no number.
    """
    told = _asked(values) or _asked(values[:1])
    if told:
        options = " or ".join(told)
        return f"say how numbers are written, {options}; or write plain ones such as 1234.5"
    text = values[0].strip()
    if re.match(r"[<>≤≥]=?\s*\d", text):  # a count that is kept secret
        return _MISSING_REMEDY.format(_quoted(text))
    if re.fullmatch(r"[-+]?[\d.,\s]+[%‰]", text):
        return (
            "write the number alone (12.5 for 12.5 %) in every row; its unit belongs into the column's name"
        )
    if re.fullmatch(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*", text):
        return "this looks like a date: give a number instead, for example the year"
    if re.search(r"\d", text) or len(text) > _SIGN:
        return "write the number alone, such as 12.5, without signs, units or brackets; leave gaps empty"
    return _MISSING_REMEDY.format(_quoted(text))


def _quoted(text: str) -> str:
    return shlex.quote(text) if "'" in text else f"'{text}'"


def _asked(values: Sequence[str]) -> list[str]:
    """Options under which all values are numbers, and that some value needs."""

    def shows(signs: str) -> bool:
        return any(sign in value.strip() for value in values for sign in signs)

    return [
        option
        for written, option in _COMMON
        if (written.group is None or shows(_GROUPS[written.group]))
        and (written.decimal is None or shows(written.decimal))
        and all(re.fullmatch(written.pattern, value.strip()) for value in values)
    ]


def each(series: pd.Series, change: Callable[[Any], object]) -> pd.Series:
    """A function of every value, as objects.

    Not by ``map``, which looks for a type they share and stumbles over whole numbers too large for it.
    """
    return pd.Series([change(value) for value in series], index=series.index, dtype=object)


def as_floats(values: pd.Series) -> pd.Series:
    """Numbers and texts of numbers as float64: NaN what is none, infinite what is beyond it.

    Whole numbers may come with any number of digits, from JSON or from a CSV.
    """
    try:
        numbers = pd.to_numeric(values, errors="coerce")
    except OverflowError:  # of Python's whole numbers; texts of as many digits are infinite
        numbers = pd.to_numeric(each(values, _within), errors="coerce")
    return pd.Series(numbers.to_numpy(dtype="float64", na_value=np.nan), index=values.index)


def _within(value: object) -> object:
    """The same value, or infinity for a whole number that no float has room for."""
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return math.copysign(math.inf, value > 0 or -1)
    return value
