"""Labels as they are asked of a table, of every kind: which columns, read how, and summed up per region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from urbanln.base.bounds import SHARES_MOST_OFF, SHARES_OFF
from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind, simplex
from urbanln.city.classes import frequent_per_region, take_classes, told_of_classes
from urbanln.city.indicators import constant_labels, mean_per_region, parse_missing, take_labels
from urbanln.city.meta import IndicatorNote
from urbanln.city.shares import EMPTY_PARTS, parse_shares, take_shares, told_of_shares


@dataclass(frozen=True)
class AskedLabels:
    """Which columns of a table are labels, and what each is.

    Args:
        numbers: Columns of numbers.
        classes: Columns of classes.
        shares: Label of shares and the columns of its parts.
        missing: What stands for a missing label (:func:`urbanln.city.indicators.parse_missing`).
        empty_part: What an empty part of shares is (:func:`urbanln.city.shares.take_shares`).
        share_tolerance: How far the sum of a row's shares may be from 1 (the same).
    """

    numbers: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    shares: tuple[tuple[str, tuple[str, ...]], ...] = ()
    missing: tuple[str, ...] = ()
    empty_part: str = "refuse"
    share_tolerance: float = SHARES_OFF

    @classmethod
    def of(
        cls,
        labels: Sequence[str] = (),
        classes: Sequence[str] = (),
        shares: Sequence[str] | Mapping[str, Sequence[str]] = (),
        *,
        missing: Sequence[str] = (),
        empty_part: str = "refuse",
        share_tolerance: float = SHARES_OFF,
    ) -> AskedLabels:
        """As a user says it.

        Args:
            labels, classes: Columns.
            shares: ``"NAME=COLUMN,COLUMN"`` each, or name → columns.
            missing, empty_part, share_tolerance: As for the class.

        Raises:
            InputError: A column or name stands twice, is called ``region_id``, a word is none of these, or a
                tolerance out of bounds.
        """
        if empty_part not in EMPTY_PARTS:
            raise InputError(
                "an empty part of shares cannot be this",
                value=empty_part,
                where="--empty-part",
                remedy=f"there are: {', '.join(EMPTY_PARTS)}",
            )
        if not SHARES_OFF <= share_tolerance <= SHARES_MOST_OFF:
            raise InputError(
                "the sum of shares cannot be this far off",
                value=share_tolerance,
                where="--share-tolerance",
                remedy=f"give a number from {SHARES_OFF:g} to {SHARES_MOST_OFF:g}; 0.02 for 4 parts",
            )
        parts = tuple(parse_shares(shares).items())
        asked = cls(tuple(labels), tuple(classes), parts, tuple(missing), empty_part, share_tolerance)
        _refuse_twice(asked)
        return asked

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.names)

    @property
    def names(self) -> list[str]:
        """Of the labels."""
        return [*self.numbers, *self.classes, *(name for name, _ in self.shares)]

    @property
    def columns(self) -> list[str]:
        """Of the table."""
        return [*self.numbers, *self.classes, *(column for _, parts in self.shares for column in parts)]

    def said(self) -> list[str]:
        """Each label in words, for the line that tells what was read."""
        return [
            *self.numbers,
            *(f"{name} (classes)" for name in self.classes),
            *(f"{name} (shares: {', '.join(parts)})" for name, parts in self.shares),
        ]

    def noted(self) -> dict[str, LabelKind]:
        """Labels that are no numbers."""
        classes = {name: LabelKind("classes", (name,)) for name in self.classes}
        return classes | {name: LabelKind("shares", parts) for name, parts in self.shares}

    def notes(self) -> dict[str, IndicatorNote]:
        """What ``city.toml`` says of each."""
        notes = {name: IndicatorNote() for name in self.numbers}
        notes |= {name: IndicatorNote(kind="classes") for name in self.classes}
        return notes | {name: IndicatorNote(kind="shares", columns=parts) for name, parts in self.shares}


def _refuse_twice(asked: AskedLabels) -> None:
    seen: set[str] = set()
    for name in (*asked.columns, *(name for name, _ in asked.shares)):
        if name == "region_id":
            what, remedy = "a label cannot be called region_id", "rename the column"
            raise InputError(what, value=name, where="--label, --classes, --shares", remedy=remedy)
        if name in seen:
            raise InputError(
                "a label is named twice",
                value=name,
                where="--label, --classes, --shares",
                remedy="name it once: a number, classes or a part of shares, which have a name of their own",
            )
        seen.add(name)


def take(frame: pd.DataFrame, asked: AskedLabels, *, table: str) -> tuple[pd.DataFrame, list[str]]:
    """The label columns of a table, row by row: numbers and shares as float64, classes as text.

    Args:
        frame: The table, read with the columns of classes as text.
        asked: Which columns.
        table: Name of the table, for errors.

    Returns:
        The columns in the order of ``asked.columns``, and what was done to them, in words.

    Raises:
        InputError: As :func:`urbanln.city.indicators.take_labels`, :func:`urbanln.city.classes.take_classes`
            and :func:`urbanln.city.shares.take_shares`.
    """
    rule = parse_missing(asked.missing, [*asked.columns, *(name for name, _ in asked.shares)])
    values, said = take_labels(frame, asked.numbers, table=table, missing=rule)
    parts = [values]
    for name in asked.classes:
        classes, told = take_classes(frame, name, table=table, rule=rule)
        parts.append(classes.to_frame())
        said += told
    for name, columns in asked.shares:
        shares, told = take_shares(
            frame, name, columns, table=table, rule=rule, empty_part=asked.empty_part,
            tolerance=asked.share_tolerance,
        )  # fmt: skip
        parts.append(shares)
        said += told
    return pd.concat(parts, axis=1), said


def per_region(
    values: pd.DataFrame, asked: AskedLabels, region_ids: pd.Series, regions: pd.Series
) -> tuple[pd.DataFrame, dict[str, int], list[str]]:
    """One row per region: numbers and shares averaged, the most frequent class taken; gaps are left out.

    Args:
        values: (rows, columns) as of :func:`take`.
        asked: What the columns are.
        region_ids: (rows,) region of each row.
        regions: (N,) ids of all regions, the order of the result.

    Returns:
        Indicators (``region_id`` and the columns; missing where a region has no value), the number of regions
        without a value per label, and what there is to say of them.
    """
    classes = list(asked.classes)
    means, gaps = mean_per_region(values.drop(columns=classes), region_ids, regions)
    said = constant_labels(means[["region_id", *asked.numbers]])
    for name in classes:
        means[name], told = frequent_per_region(values[name], region_ids, regions)
        gaps[name] = int(means[name].isna().sum())
        said += told + told_of_classes(name, means[name])
    for name, parts in asked.shares:
        means[list(parts)] = simplex(means[list(parts)])
        gaps[name] = gaps[parts[0]]
        said += told_of_shares(name, means[list(parts)])
    ordered = means[["region_id", *asked.columns]]
    return ordered, {name: gaps[name] for name in asked.names}, said
