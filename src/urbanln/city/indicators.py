"""Labels from a table: codes for missing values found, numbers parsed, averaged per region."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from urbanln.base.columns import (
    is_yes_or_no,
    known_ids,
    need_columns,
    no_duplicates,
    number_column,
    text_column,
)
from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind, check_label, label_kinds
from urbanln.base.missing import Code, missing_codes, without
from urbanln.base.written import as_floats, each

KEEP = "none"


@dataclass(frozen=True)
class Missing:
    """What stands for a missing label, as the user says it.

    Args:
        everywhere: Codes in every label, as typed (``"-9999"``, ``"n.a."``).
        of: Label → codes in it.
        kept: Labels in which nothing else is taken for a code; None: in every label.
    """

    everywhere: tuple[str, ...] = ()
    of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept: frozenset[str] | None = frozenset()

    def codes(self, label: str) -> tuple[str, ...]:
        """Codes of one label."""
        return (*self.everywhere, *self.of.get(label, ()))

    def also(self, label: str, columns: Sequence[str]) -> Missing:
        """The same, where what is said of a label of shares is said of its columns."""
        of = dict(self.of) | {one: (*self.of.get(one, ()), *self.of.get(label, ())) for one in columns}
        keeps = self.kept is not None and label in self.kept
        return Missing(self.everywhere, of, (self.kept or frozenset()) | {*columns} if keeps else self.kept)

    def keeps(self, label: str) -> bool:
        """Whether only what the user says is missing in this label."""
        return self.kept is None or label in self.kept


def parse_missing(options: Sequence[str], labels: Sequence[str]) -> Missing:
    """What ``--missing`` says: ``CODE`` or ``none`` for all labels, ``LABEL=CODE`` or ``LABEL=none`` for one.

    Args:
        options: As typed, several at once.
        labels: Names of the labels.

    Raises:
        InputError: A code without text, or of a label that is not asked for.
    """
    everywhere: list[str] = []
    of: dict[str, tuple[str, ...]] = {}
    kept: set[str] | None = set()
    for option in map(str, options):
        name, equals, code = _split(option, labels)
        code = code.strip()
        if not code:
            raise InputError(
                "what stands for a missing value?",
                value=option,
                where="--missing",
                remedy="--missing -9999, --missing price=-1, or --missing none; empty cells always are",
            )
        if equals:
            need_columns(labels, [name], "--missing: labels")
        if code.lower() == KEEP:
            kept = None if not equals or kept is None else kept | {name}
        elif equals:
            of[name] = (*of.get(name, ()), code)
        else:
            everywhere.append(code)
    return Missing(tuple(everywhere), of, None if kept is None else frozenset(kept))


def _split(option: str, labels: Sequence[str]) -> tuple[str, str, str]:
    """Label, equals sign and code of ``LABEL=CODE``; a code may hold an equals sign itself: ``<=5``."""
    named = max((name for name in labels if option.startswith(f"{name}=")), key=len, default=None)
    if named is not None:
        return named, "=", option[len(named) + 1 :]
    name, equals, code = option.partition("=")
    return (name, equals, code) if re.fullmatch(r"\s*\w[\w .-]*", name) and equals else ("", "", option)


def parse_labels(frame: pd.DataFrame, labels: Sequence[str], *, table: str) -> pd.DataFrame:
    """The label columns of a table as float64; empty cells become NaN.

    Args:
        frame: The table.
        labels: Columns to take, each once.
        table: Name of the table, for errors.

    Raises:
        InputError: A column is missing (the nearest name is given) or named twice, or a value is no number.
    """
    if len(set(labels)) < len(labels):
        twice = next(name for name in labels if list(labels).count(name) > 1)
        raise InputError("a label is named twice", value=twice, where=table, remedy="name it once")
    if "region_id" in labels:
        raise InputError(
            "a label cannot be called region_id", value="region_id", where=table, remedy="rename the column"
        )
    need_columns(frame.columns, labels, table)
    parsed = {name: number_column(frame, name, table, text_numbers=True) for name in labels}
    return pd.DataFrame(parsed, index=frame.index)


def take_labels(
    frame: pd.DataFrame, labels: Sequence[str], *, table: str, missing: Sequence[str] | Missing = ()
) -> tuple[pd.DataFrame, list[str]]:
    """The label columns as float64 without codes for missing values, and what was done to them in words.

    Codes are looked for in the rows of the table, before any rows of a region are averaged: afterwards
    nobody could tell. What can hardly be anything else is missing, and said; what only may be one is kept,
    and said.

    Args:
        frame: The table.
        labels: Columns to take, each once.
        table: Name of the table, for errors.
        missing: What the user says stands for a missing value: see :func:`parse_missing`, or what it gave.

    Raises:
        InputError: As :func:`parse_labels` and :func:`parse_missing`; a value is infinite.
    """
    rule = missing if isinstance(missing, Missing) else parse_missing(missing, labels)
    need_columns(frame.columns, labels, table)
    attributes = dict(frame.attrs)
    frame = pd.DataFrame(frame[list(dict.fromkeys(labels))])
    frame.attrs = attributes
    said: list[str] = []
    for name in frame.columns:
        if is_yes_or_no(frame[name]):
            said.append(f"label {name}: true and false are read as 1 and 0")
        if codes := rule.codes(name):
            told = held(frame[name], codes)
            frame[name] = frame[name].mask(told)
            said.append(f"label {name}: {int(told.sum())} rows hold {' or '.join(codes)}, missing as you say")
    kinds = {name: str(frame[name].dtype) for name in frame.columns}
    try:
        values = parse_labels(frame, labels, table=table)
    except InputError as error:
        named = next((name for name in labels if error.what.startswith(f"'{name}'")), None)
        if named is not None and _mostly_words(frame[named]):
            error.remedy = f"words are classes: --classes {shlex.quote(named)}; else {error.remedy}"
        raise
    for name in values.columns:
        if rule.keeps(name):
            continue
        found = missing_codes(values[name].to_numpy(), kinds[name])
        values[name] = without(values[name].to_numpy(), [code.value for code in found if code.certain])
        said += [_of_code(name, code) for code in found]
    return values, said


def _mostly_words(series: pd.Series) -> bool:
    """Whether most cells that hold something begin with a letter."""
    texts = series.dropna()
    words = sum(isinstance(value, str) and value.strip()[:1].isalpha() for value in texts)
    return 2 * words > len(texts)


def held(series: pd.Series, codes: Sequence[str]) -> pd.Series:
    """(N,) mask of the cells that are one of the codes, as text or as a number.

    Args:
        series: The cells.
        codes: As typed.
    """
    numbers = as_floats(pd.Series(codes)).dropna().tolist()
    told = each(series, lambda value: value.strip() if isinstance(value, str) else value).isin(list(codes))
    there = as_floats(series).to_numpy()
    return told | (~np.isnan(there) & np.isnan(without(there, numbers)))


def _of_code(name: str, code: Code) -> str:
    """What is said of a value that looks like a code."""
    if code.certain:
        return (
            f"label {name}: {code.rows} rows hold {code.text}, taken as missing (--missing none keeps them)"
        )
    choice = f"--missing {shlex.quote(f'{name}={code.text}')} takes them as missing"
    return f"label {name}: {code.rows} rows hold {code.text}, which may be a code, kept ({choice})"


def mean_per_region(
    labels: pd.DataFrame, region_ids: pd.Series, regions: pd.Series
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Average label rows per region, missing values left out of the mean.

    Args:
        labels: (rows, labels) floats.
        region_ids: (rows,) region of each row.
        regions: (N,) ids of all regions, the order of the result.

    Returns:
        Indicators (``region_id`` and one column per label; NaN where a region has no value at all), and
        the number of regions without a value per label.
    """
    means = labels.groupby(region_ids.to_numpy()).mean().reindex(regions.to_numpy())
    missing = {str(name): int(count) for name, count in means.isna().sum().items()}
    means.insert(0, "region_id", regions.to_numpy())
    return means.reset_index(drop=True), missing


def constant_labels(indicators: pd.DataFrame) -> list[str]:
    """Labels that have one value everywhere, in words."""
    labels = indicators.drop(columns="region_id")
    same = labels.columns[(labels.min() == labels.max()) & (labels.count() > 1)]
    return [
        f"label {name}: every region has {labels[name].max():.6g}: there is nothing to predict"
        for name in same
    ]


def check_indicators(
    frame: pd.DataFrame,
    region_ids: pd.Series,
    *,
    noted: Mapping[str, LabelKind] | None = None,
    table: str = "indicators",
) -> pd.DataFrame:
    """Check the labels and return them tidied: numbers as float64, classes as text; missing is never 0.

    Args:
        frame: ``region_id`` and the labels.
        region_ids: Ids that exist.
        noted: Labels that are no numbers.
        table: Name used in errors.

    Raises:
        InputError: Region unknown or doubled; as :func:`urbanln.base.kinds.label_kinds` and ``check_label``.
    """
    need_columns(frame.columns, ["region_id"], table)
    frame = pd.DataFrame(frame).reset_index(drop=True)
    frame["region_id"] = text_column(frame, "region_id", table, required=True)
    no_duplicates(frame["region_id"], "region_id", table, "give one row per region, for example its mean")
    known_ids(frame["region_id"], region_ids, table, "region_id", "regions")
    if doubled := list(frame.columns[frame.columns.duplicated()]):
        raise InputError("a column occurs twice", value=doubled[0], where=table, remedy="rename one of them")
    kinds = label_kinds(frame.columns, noted or {}, table)
    labels = [check_label(frame, name, label, table) for name, label in kinds.items()]
    order = [c for c in frame.columns if c != "region_id"]
    return pd.concat([frame[["region_id"]], *labels], axis=1)[["region_id", *order]]
