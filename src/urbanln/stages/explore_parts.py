"""Columns of the map to question that held-out predictions of classes and shares give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.kinds import class_counts
from urbanln.explore.content import Column
from urbanln.pages.text import clean, words
from urbanln.report.drawn_parts import RIGHT, HeldParts

_STATES = ("wrong", "right", "near")  # in the order of the page's colours, whose second is a green


def part_columns(
    held: Mapping[str, HeldParts], labels: pd.DataFrame, rows: pd.Series, note: str
) -> dict[str, Column]:
    """Predicted classes, whether they are right and how many are in the set; predicted shares like numbers.

    Args:
        held: Predictions by label.
        labels: ``region_id`` and the labels, whose order of classes is that of the map's own column.
        rows: Row of the map of each region, by id.
        note: Where the predictions come from.
    """
    made: list[Column] = []
    for name, own in held.items():
        place = own.ids.get_indexer(rows.index)
        if own.kind == "classes":
            made += _class_columns(name, own, list(class_counts(labels[name]).index), place, note)
        else:
            made += _share_columns(name, own, place, note)
    return {column.key: column for column in made if np.isfinite(column.values).any()}


def _class_columns(
    name: str, own: HeldParts, order: list[str], place: npt.NDArray[np.int64], note: str
) -> list[Column]:
    title = words(name)
    # Classes of the city that the probe has not seen have no prediction; those of both stand in its order.
    number = np.array([order.index(one) if one in order else np.nan for one in own.names])
    outcome = np.array([_STATES.index(one) for one in own.outcome()], dtype=float)
    names = tuple(clean(one, 120) for one in order)
    columns = [
        Column(
            f"prediction:{name}", f"{title}: prediction", "prediction", _at(number[own.guess], place),
            kind="class", of=name, note=f"the most probable class, {note}", classes=names,
        ),
        Column(
            f"error:{name}", f"{title}: right?", "error", _at(outcome, place), kind="class", of=name,
            note=note, classes=tuple(RIGHT[one] for one in _STATES),
        ),
    ]  # fmt: skip
    inside = np.where(np.isfinite(own.in_set), own.in_set >= 0.5, np.nan).sum(axis=1)
    told = f"conformal sets, {note}"
    size = Column(
        f"width:{name}", f"{title}: classes in the set", "width", _at(inside, place), kind="count", of=name,
        note=told,
    )  # fmt: skip
    return [*columns, size]


def _share_columns(name: str, own: HeldParts, place: npt.NDArray[np.int64], note: str) -> list[Column]:
    columns = []
    told = "of all parts at once" if own.at_once else note
    for at, part in enumerate(own.names):
        title = f"{words(name)}: {words(part)}"
        truth, guess, low, high = (values[:, at] for values in (own.truth, own.made, own.low, own.high))
        columns += [
            Column(
                f"prediction:{part}", f"{title}: prediction", "prediction", _at(guess, place), of=part,
                whole=name, note=note,
            ),
            Column(
                f"error:{part}", f"{title}: error", "error", _at(guess - truth, place), kind="difference",
                of=part, note=note,
            ),
            Column(f"low:{part}", f"{title}: interval from", "low", _at(low, place), of=part, note=told),
            Column(f"high:{part}", f"{title}: interval to", "high", _at(high, place), of=part, note=told),
        ]  # fmt: skip
    return columns


def _at(values: npt.NDArray[np.float64], place: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Values of the predicted regions as a column of all."""
    return np.where(place >= 0, values[place], np.nan).astype(np.float32)
