"""Which column or columns of anybody's table are the vector; what could mean two things is refused."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.tables.names import counted, fits, may_be_feature, pattern_of

_VECTOR_TEXT = re.compile(
    r"\s*(?:(?:np\.|numpy\.|torch\.)?(?:array|tensor)\()?\s*[\[{(]\s*(?:np\.float\d+\()?[-+.\dnNiI]"
)
_LOOKED_AT = 1000  # rows in which a first value is sought before the whole column is
_SHOWN = 8


@dataclass(frozen=True)
class Chosen:
    """The columns that are the vector.

    Args:
        numbers: A column per dimension; empty where there is one of lists.
        lists: The column of lists.
        by_name: Those the user named in full.
        labels: Columns passed over, since a label is called so.
        passed: Columns a pattern fits that are ids, positions or text.
        unused: Further columns of numbers that could be features.
        constant: Columns left out since they have one value throughout.
    """

    numbers: tuple[str, ...] = ()
    lists: str | None = None
    by_name: frozenset[str] = field(default_factory=frozenset)
    labels: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()


def choose(
    frame: pd.DataFrame, columns: Sequence[str], labels: Collection[str], keys: Collection[str], where: str,
    spec: str | None,
) -> Chosen:  # fmt: skip
    """The column of lists or the columns of numbers that are the vector.

    Args:
        frame: The table; its columns are called by text.
        columns: Names and patterns the user gave; none: one column of lists, or columns that count up.
        labels: Names of labels.
        keys: Columns that say which region or where.
        where: Name of the table, for errors.
        spec: ``NAME=FILE`` as the user wrote it, for the option in errors; None where no file was read.

    Raises:
        InputError: None, or several could be; a column that is not there; a label named in full.
    """
    told = {label.casefold() for label in labels}
    names = [str(name) for name in frame.columns]
    if columns:
        return _named(frame, names, columns, told, keys, where)
    free = [name for name in names if name not in keys and name.casefold() not in told]
    lists = [name for name in free if _is_vectors(frame[name])]
    plausible = [name for name in lists if may_be_feature(name) and not _is_box(frame[name])]
    numeric = [name for name in free if name not in lists and is_number(frame[name])]
    runs = {
        around: run
        for around, run in counted([name for name in free if name not in lists]).items()
        if 2 * sum(name in numeric for name in run) >= len(run) and not _all_constant(frame, run)
    }
    others = [n for n in numeric if may_be_feature(n) and not any(n in run for run in runs.values())]
    passed = tuple(n for n in names if n not in keys and n.casefold() in told and is_number(frame[n]))
    if len(plausible) == 1 and not runs:
        return Chosen(lists=plausible[0], unused=tuple(others))
    if len(runs) == 1 and not plausible and len(others) <= len(run := next(iter(runs.values()))):
        return Chosen(numbers=tuple(run), labels=passed, unused=tuple(others))
    raise _unclear(
        frame, free, plausible, [n for n in lists if n not in plausible], runs, others, where, spec
    )


def _named(
    frame: pd.DataFrame, names: Sequence[str], columns: Sequence[str], told: Collection[str],
    keys: Collection[str], where: str,
) -> Chosen:  # fmt: skip
    """What the user named: whole names are taken as they are, patterns take numbers that are no key."""
    if lacking := [pattern for pattern in columns if not any(fits(name, [pattern]) for name in names)]:
        raise InputError(
            "no column of this table is called so", value=lacking[0], where=where, remedy=_listing(names)
        )
    if named := [name for name in columns if name in names and name.casefold() in told]:
        raise InputError(
            "a label to be predicted is no dimension of a vector",
            value=named[0],
            where=where,
            remedy="leave it out; rename the column where it is something else",
        )
    fitting = [name for name in names if fits(name, columns)]
    labels = tuple(name for name in fitting if name.casefold() in told and name not in columns)
    whole = frozenset(name for name in fitting if name in columns)
    lists = [name for name in fitting if name not in labels and _is_vectors(frame[name])]
    if len(lists) == 1 and (lists[0] in whole or len(fitting) == 1):
        if len(fitting) > 1:
            raise InputError(
                "a vector is one column of lists, or columns of numbers",
                value=", ".join(fitting),
                where=where,
                remedy=f"name one: {lists[0]}, or the numbers alone",
            )
        return Chosen(lists=lists[0], by_name=whole)
    chosen = {name for pattern in columns for name in _by_pattern(frame, fitting, pattern, keys)}
    chosen = (chosen - {*labels, *lists}) | whole
    if not chosen:
        raise InputError(
            "there are no vectors in this table: nothing named is a number that says what is there",
            value=", ".join(fitting[:_SHOWN]),
            where=where,
            remedy=_listing(names),
        )
    passed = tuple(name for name in fitting if name not in chosen and name not in labels)
    return Chosen(
        numbers=tuple(name for name in names if name in chosen), by_name=whole, labels=labels, passed=passed
    )


def _by_pattern(frame: pd.DataFrame, names: Sequence[str], pattern: str, keys: Collection[str]) -> list[str]:
    """Columns a pattern names: A* fits ALAND, too, which is no feature; where nothing else is, it is."""
    fitting = [name for name in names if fits(name, [pattern]) and name not in keys]
    run = {name for counted_run in counted(fitting).values() for name in counted_run}
    numbers = [name for name in fitting if name in run or is_number(frame[name])]
    return [name for name in numbers if name in run or may_be_feature(name)] or numbers


def _unclear(
    frame: pd.DataFrame, free: Sequence[str], lists: Sequence[str], odd: Sequence[str],
    runs: dict[tuple[str, str], list[str]], others: Sequence[str], where: str, spec: str | None,
) -> InputError:  # fmt: skip
    """The refusal, with every candidate and the option that names it."""
    every = [str(name) for name in frame.columns]
    found = {name: f"{name} (lists of {_length(frame[name])})" for name in lists}
    found |= {
        pattern_of(run, around, every): f"{_span(run)} ({len(run)} columns)" for around, run in runs.items()
    }
    what = "which columns of this table are the vector is not clear"
    if not found:
        what = (
            "nothing in this table says which columns are the vector: no column of lists, none that count up"
        )
    if others:
        found[_together(others, every)] = (
            f"{_span(others)} ({len(others)} {'other ' if found else ''}columns of numbers)"
        )
    told = {} if lists or runs else {name: _held(frame[name]) for name in free if name not in odd}
    held = {name: said for name, said in told.items() if said is not None}
    held = dict(islice(({n: t for n, t in held.items() if may_be_feature(n)} or held).items(), 3))
    if not found and not held:
        found = {
            name: f"{name} (lists of {_length(frame[name])}, called or shaped like a place)" for name in odd
        }
        if numbers := [name for name in free if is_number(frame[name])]:
            found[_together(numbers, every)] = f"{_span(numbers)} (numbers, called like ids or positions)"
    if not found:
        what = "there are no vectors in this table: neither a column of lists nor columns of numbers"
    remedies = [*dict.fromkeys(remedy for _, remedy in held.values())]
    if found and spec is None:
        remedies.append(
            "hand in region_id and one column of lists: frame.assign(vector=list(frame[columns].to_numpy()))"
        )
    elif found:
        asked = [shlex.quote(f"{spec}#{columns}") for columns in found]
        remedies.append(f"say which: --vectors {' or --vectors '.join(asked)}")
    values = [*(f"{name} holds {kind}" for name, (kind, _) in held.items()), *found.values()]
    remedy = "; or ".join(remedies) or _listing(every)
    return InputError(what, value="; ".join(values) or None, where=where, remedy=remedy)


def _held(column: pd.Series) -> tuple[str, str] | None:
    """What a column holds that is no vector though it may have been one, and what to do about it."""
    value = next(iter(first_values(column)), None)
    if isinstance(value, bytes | bytearray | memoryview):
        return (
            "bytes",
            "decode them into lists of numbers: np.frombuffer(cell, dtype), as whoever wrote them did",
        )
    if isinstance(value, dict):
        return "structs", "write the numbers of a struct as one list"
    if isinstance(value, list | tuple | np.ndarray):
        if any(isinstance(part, list | tuple | np.ndarray) for part in value):
            return (
                "lists of lists",
                "write one list of numbers per region: average or flatten the inner lists",
            )
        return f"lists such as {str(list(value[:3]))[:60]}", "write lists of numbers, not of text"
    if not isinstance(value, str) or not any(map(str.isdigit, value)):
        return None
    text = value.strip()
    said = f"text such as '{text[:30]}{'…' if len(text) > 30 else ''}'"
    if re.fullmatch(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?", text):
        return said, "decimal commas are read with --decimal , (commas between thousands with --thousands ,)"
    if re.fullmatch(r"[-+.\deE]+(?:[,;\s]+[-+.\deE]+)+|[\[({]\s*[\"'].*", text, re.DOTALL):
        return said, 'write a list as "[0.1, 0.2]", its numbers without quotes, or one column per dimension'
    if len(text) >= 16 and re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", text):
        return said, "decode it into lists of numbers: np.frombuffer(base64.b64decode(cell), dtype)"
    return None


def _together(columns: Sequence[str], names: Sequence[str]) -> str:
    """What names these columns behind ``#``: a pattern of their own, themselves if they are few, or all."""
    first, last = min(columns), max(columns)
    alike = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    prefix = first[:alike].rstrip("0123456789")
    if prefix and len(columns) > 1 and sum(name.startswith(prefix) for name in names) == len(columns):
        return re.sub(r"([*?\[])", r"[\1]", prefix) + "*"
    return ",".join(columns) if len(columns) <= _SHOWN else "*"


def _listing(names: Sequence[str]) -> str:
    return f"there are: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}"


def _span(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]}"


def first_values(column: pd.Series, count: int = 5) -> list[Any]:
    """The first values of a column that are there, at most ``count`` of them."""
    head = column.iloc[:_LOOKED_AT].dropna()
    there = head if len(head) else column.dropna()
    return list(islice((v for v in there if not (isinstance(v, str) and not v.strip())), count))


def is_number(column: pd.Series) -> bool:
    """Whether a column holds numbers, in whatever type: ``Decimal`` and numbers written as text too."""
    if pd.api.types.is_numeric_dtype(column):
        return column.dtype.kind != "c"
    return column.dtype.kind not in "mM" and any(map(_is_one_number, first_values(column)))


def _is_one_number(value: object) -> bool:
    if not isinstance(value, str):
        return isinstance(value, int | float | Decimal | np.number)
    try:
        float(value)
    except ValueError:
        return False
    return "_" not in value


def _is_vectors(column: pd.Series) -> bool:
    """Whether a column holds lists of numbers, also as text."""
    if pd.api.types.is_numeric_dtype(column) or column.dtype.kind in "mM":
        return False
    return any(map(_is_one_vector, first_values(column)))


def _is_one_vector(value: object) -> bool:
    if isinstance(value, str):
        return _VECTOR_TEXT.match(value) is not None and value.rstrip()[-1] in "]})"
    if (
        not isinstance(value, list | tuple | np.ndarray)
        or getattr(value, "dtype", np.dtype("O")).kind in "mMc"
    ):
        return False
    try:
        return np.asarray(value, dtype=np.float64).ndim == 1
    except (TypeError, ValueError):
        return False


def _length(column: pd.Series) -> str:
    lengths = {len(v) for v in first_values(column) if not isinstance(v, str)}
    return str(lengths.pop()) if len(lengths) == 1 else "numbers"


def _is_box(column: pd.Series) -> bool:
    """Whether lists are corners of boxes: four numbers, lower before upper in every row."""
    rows = [row for row in first_values(column, _LOOKED_AT) if not isinstance(row, str)]
    if not rows or any(len(row) != 4 for row in rows):
        return False
    corners = np.array([np.asarray(row, dtype=np.float64) for row in rows])
    lows_highs = ((0, 2, 1, 3), (0, 1, 2, 3))
    return any(
        (corners[:, a] < corners[:, b]).all() and (corners[:, c] < corners[:, d]).all()
        for a, b, c, d in lows_highs
    )


def _all_constant(frame: pd.DataFrame, names: Sequence[str]) -> bool:
    """Whether every one of these columns holds one value in all its rows; of one row nobody can say."""
    return len(frame) > 1 and all(_is_constant(frame[name]) for name in names)


def _is_constant(column: pd.Series) -> bool:
    there = column.dropna()
    return len(there) > 1 and bool((there == there.iloc[0]).all())
