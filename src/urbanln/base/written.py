"""How a table is written where it does not say so itself: its encoding, and how its numbers are written."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError

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
            raise InputError("a decimal sign is . or ,", value=self.decimal, where="--decimal")
        if self.thousands is not None and self.point == self.group:
            raise InputError(
                "one sign cannot stand between thousands and before decimals",
                value=self.point,
                where="--thousands and --decimal",
            )
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError as error:
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
        grouped = rf"\d{{1,3}}(?:{sign}\d{{{least},3}})*{sign}\d{{3}}|" if sign else ""
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
_COMMON = (
    (Written(thousands=","), "--thousands ,"),
    (Written(thousands="."), "--thousands ."),
    (Written(thousands="'"), '--thousands "\'"'),
    (Written(thousands="space"), "--thousands space"),
    (Written(thousands="space", decimal=","), "--thousands space --decimal ,"),
    (Written(decimal=","), "--decimal ,"),
)


def with_plain_numbers(frame: pd.DataFrame, text: Sequence[str], written: Written) -> pd.DataFrame:
    """A table whose text columns became numbers, where all they hold are numbers written that way.

    A column in which one value does not fit stays text, and is refused by name where it is needed.

    Args:
        frame: The table.
        text: Columns that stay as they are.
        written: How numbers are written.
    """
    if written.plain:
        return frame
    for name, column in frame.items():
        if str(name) in text or not (pd.api.types.is_string_dtype(column) or column.dtype == object):
            continue
        values = column.dropna()
        if not all(isinstance(value, str) for value in values):
            continue
        values = values.str.strip()
        values = values[values != ""]
        if len(values) and values.str.fullmatch(written.pattern).all():
            if written.group:
                values = values.str.replace(f"[{_GROUPS[written.group]}]", "", regex=True)
            numbers = pd.to_numeric(values.str.replace(written.point, ".", regex=False)).astype("float64")
            frame[name] = numbers.reindex(frame.index, fill_value=np.nan)
    return frame


def number_remedy(values: Sequence[str]) -> str:
    """What to do about text that is no number, by what it looks like.

    Args:
        values: What a column holds, blanks left out; the first is one that is no number.
    """
    told = _asked(values) or _asked(values[:1])
    if told:
        options = " or ".join(told)
        return f"tell ingest and audit how numbers are written, {options}; or write plain ones such as 1234.5"
    text = values[0].strip()
    if re.fullmatch(r"[-+]?[\d.,\s]+[%‰]", text):
        return (
            "write the number alone (12.5 for 12.5 %) in every row; its unit belongs into the column's name"
        )
    if re.fullmatch(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*", text):
        return "this looks like a date: give a number instead, for example the year"
    return (
        "write plain numbers such as 12.5 (a point, no unit); leave what is missing empty, or tell ingest "
        f"and audit what stands for it: --missing '{text[:20]}'"
    )


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
