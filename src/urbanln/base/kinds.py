"""Kinds of labels: numbers, classes, and shares that sum to one; in which columns of a table each stands.

A table of labels is flat, so that any program opens it: a label of classes is a column of text, a label of
shares has a column of numbers per part. Which label is what is said beside the table (``city.toml``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.bounds import SHARES_OFF
from urbanln.base.columns import need_columns, number_column, refuse, text_column
from urbanln.base.errors import InputError
from urbanln.base.written import as_floats

Kind = Literal["number", "classes", "shares"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_CLASSES = 100
"""More classes than this are ids or names, and nothing that can be learned from a few regions of each."""
RARE = 5
"""A class of fewer regions than this cannot stand in every one of five folds."""
_LONGEST = 60
_TOLD = 5


@dataclass(frozen=True)
class LabelKind:
    """What a label is, and where it stands in a table.

    Attributes:
        kind: ``number``, ``classes`` or ``shares``.
        columns: Its one column, which has its name; of shares the columns of its parts, in their order.
    """

    kind: Kind
    columns: tuple[str, ...]


def label_kinds(
    columns: Iterable[object], noted: Mapping[str, LabelKind], table: str = "labels"
) -> dict[str, LabelKind]:
    """Every label of a table and what it is, in the order of the columns.

    Args:
        columns: Of the table; ``region_id`` is none of a label.
        noted: Labels of which something is said. A column of which nothing is said is a number.
        table: For errors.

    Raises:
        InputError: A column that is named is not there or stands in two labels, a label of shares is called
            like a column, or has fewer than two parts.
    """
    there = [str(name) for name in columns if str(name) != "region_id"]
    owner: dict[str, str] = {}
    for label, note in noted.items():
        need_columns(there, note.columns, table)
        if note.kind == "shares":
            _check_shares(label, note, there, table)
        for column in note.columns:
            if column in owner:
                raise InputError(
                    "a column stands in two labels",
                    value=column,
                    where=f"{table}: {owner[column]} and {label}",
                    remedy="name it once: as a number, as classes, or as a part of one label of shares",
                )
            owner[column] = label
    names = dict.fromkeys(owner.get(column, column) for column in there)
    return {name: noted.get(name) or LabelKind("number", (name,)) for name in names}


def _check_shares(label: str, note: LabelKind, there: Sequence[str], table: str) -> None:
    if label in there:
        raise InputError(
            "a label of shares is called like a column",
            value=label,
            where=table,
            remedy="give it another name: it is the name of all its parts together",
        )
    if len(note.columns) < 2:
        raise InputError(
            "shares are of two parts or more",
            value=f"{label}: {', '.join(note.columns)}",
            where=table,
            remedy="name every part; one share alone is a number",
        )


def check_label(frame: pd.DataFrame, name: str, label: LabelKind, table: str) -> pd.DataFrame:
    """The columns of one label, tidied: numbers and shares as float64, classes as text.

    Args:
        frame: The table.
        name: Of the label.
        label: What it is.
        table: For errors.

    Raises:
        InputError: A number that is none or infinite, a class that is no text, parts that are negative, of
            which only some are there, or whose sum is further from 1 than 0.001.
    """
    if label.kind == "classes":
        text = text_column(frame, label.columns[0], table, required=False)
        return pd.DataFrame({label.columns[0]: text.mask(text == "")})
    try:
        numbers = pd.DataFrame({c: number_column(frame, c, table) for c in label.columns})
    except InputError as error:
        if label.kind == "number" and is_words(frame[name]):
            error.remedy += (
                f'; of names of classes, city.toml says kind = "classes" under [indicators.{name}]'
            )
        raise
    if label.kind == "shares":
        parts = numbers.to_numpy()
        gaps = np.isnan(parts)

        def shown(row: int) -> str:
            return ", ".join(f"{value:.6g}" for value in parts[row])

        refuse(
            gaps.any(axis=1) & ~gaps.all(axis=1),
            f"a part of '{name}' is missing where others are there",
            shown,
            table,
            "write 0 where there is nothing of it, or leave all parts of the row empty",
        )
        refuse((parts < 0).any(axis=1), f"a part of '{name}' is negative", shown, table, "give shares of one")
        off = np.abs(parts.sum(axis=1) - 1) > SHARES_OFF
        refuse(off, f"the parts of '{name}' do not sum to one", shown, table, "divide each by their sum")
    return numbers


def is_words(column: pd.Series) -> bool:
    """Whether a column holds texts, and none of them is a number."""
    there = column.dropna()
    return len(there) > 0 and all(isinstance(v, str) for v in there) and bool(as_floats(there).isna().all())


def class_counts(values: pd.Series) -> pd.Series:
    """Rows of each class, the most frequent first and equally frequent ones by name; missing ones in none."""
    counts = values.dropna().value_counts()
    return counts.sort_index().sort_values(ascending=False, kind="stable")


def much_alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Names that differ only by case, blanks, dashes or underscores, or by how a letter is composed."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(plain_name(name), []).append(name)
    return [tuple(alike) for alike in found.values() if len(alike) > 1]


def quoted(name: str) -> str:
    """A class or part as it is named in a sentence: in quotes, and not longer than a line."""
    return repr(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")


def few(told: Sequence[str]) -> str:
    """The first five of what is told of classes or parts, and how many more there are."""
    more = len(told) - _TOLD
    return ", ".join(told[:_TOLD]) + (f" … and {more} more" if more > 0 else "")


def plain_name(name: str) -> str:
    """A name without what people write differently: case, blanks, dashes, underscores, composed letters."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if not letter.isspace() and letter not in "_-‐‑–")


def simplex(parts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(N, C) shares divided by their sums; rows with a gap stay missing."""
    values = np.asarray(parts, dtype=np.float64)
    return np.asarray(values / values.sum(axis=1, keepdims=True))
