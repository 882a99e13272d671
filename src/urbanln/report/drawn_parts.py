"""Held-out predictions of classes and shares as layers of a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.errors import ArtefactError
from urbanln.pages import maps
from urbanln.pages.text import words
from urbanln.report.audit_labels import CLASS_COLOURS, OTHERS, grouped

PART_VALUES = (
    "truth_class", "parts", "in_set", "truth_parts", "low_parts", "high_parts", "low_joint", "high_joint",
)  # fmt: skip
"""Columns of the predictions that classes and shares have."""
RIGHT = {"right": "right", "near": "wrong, but the truth is in the set", "wrong": "wrong"}
"""How a predicted class did, and what that is called."""
_RIGHT_COLOURS = (maps.CLASSES[1], maps.CLASSES[4], maps.CLASSES[6])


@dataclass(frozen=True, eq=False)
class HeldParts:
    """Held-out parts of one label, means over seeds.

    Args:
        kind: ``"classes"`` or ``"shares"``.
        names: Of the C parts.
        ids: (n,) regions.
        truth: (n,) number of the class, or (n, C) shares.
        made: (n, C) predicted parts.
        in_set: (n, C) of classes: share of seeds in whose conformal set each is; NaN where there is none.
        low: (n, C) of shares: lower ends of their intervals; NaN where there is none.
        high: (n, C) upper ends.
        at_once: Whether these hold all parts of a region at once, and not each by itself, as those of scores
            do that were made before there were others.
    """

    kind: str
    names: tuple[str, ...]
    ids: pd.Index
    truth: npt.NDArray[Any]
    made: npt.NDArray[np.float64]
    in_set: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    at_once: bool

    @property
    def guess(self) -> npt.NDArray[np.int64]:
        """(n,) number of the most probable class, or the largest share."""
        return np.asarray(self.made.argmax(axis=1))

    def outcome(self) -> list[str]:
        """(n,) of classes: a key of :data:`RIGHT` each."""
        right = self.guess == self.truth
        inside = self.in_set[np.arange(len(self.truth)), self.truth] >= 0.5
        return [("right" if a else "near" if b else "wrong") for a, b in zip(right, inside, strict=True)]


def held_parts(scores: Mapping[str, Any], rows: pd.DataFrame) -> dict[str, HeldParts]:
    """By label: classes and shares among the predictions that are drawn.

    Args:
        scores: The content of ``scores.json``.
        rows: Predictions of one predictor under one split.
    """
    found = {}
    for name, label in (scores.get("kinds") or {}).items():
        own = rows[rows["indicator"] == name]
        if len(own):
            found[str(name)] = _held(str(label["kind"]), tuple(map(str, label["names"])), own)
    return found


def _held(kind: str, names: tuple[str, ...], rows: pd.DataFrame) -> HeldParts:
    regions = rows["region_id"].astype(str)
    ids = pd.Index(regions.drop_duplicates())
    place = ids.get_indexer(pd.Index(regions))

    def mean(column: str) -> npt.NDArray[np.float64]:
        known = rows[column].notna().to_numpy() if column in rows else np.zeros(len(rows), dtype=bool)
        total, count = np.zeros((len(ids), len(names))), np.zeros((len(ids), 1))
        if known.any():
            np.add.at(total, place[known], _lists(rows[column][known], len(names)))
            np.add.at(count, place[known], 1)
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)

    truth: npt.NDArray[Any] = mean("truth_parts")
    if kind == "classes":
        first = ~regions.duplicated().to_numpy()
        truth = pd.Index(names).get_indexer(pd.Index(rows["truth_class"][first].astype(str)))
        if (truth < 0).any():
            raise _misfit(rows["truth_class"][first].astype(str).tolist()[int(truth.argmin())])
    at_once = "low_joint" in rows and bool(rows["low_joint"].notna().any())
    ends = ("low_joint", "high_joint") if at_once else ("low_parts", "high_parts")
    made, in_set, low, high = map(mean, ("parts", "in_set", *ends))
    return HeldParts(kind, names, ids, truth, made, in_set, low, high, at_once)


def _lists(column: pd.Series, length: int) -> npt.NDArray[np.float64]:
    """(n, C) the lists of a column."""
    if misfit := [one for one in column if not (isinstance(one, np.ndarray) and one.shape == (length,))]:
        raise _misfit(misfit[0])
    return np.stack(column.tolist()).astype(np.float64)


def _misfit(value: object) -> ArtefactError:
    return ArtefactError(
        "the predictions are not of the classes or shares that the scores name",
        value=value,
        where="predictions.parquet",
        remedy="make both again with 'urbanln probe'",
    )


def part_layers(
    title: str, held: HeldParts, ids: Sequence[str], predicted: Callable[..., dict[str, Any]]
) -> list[dict[str, Any]]:
    """Layers of three views: of classes truth, prediction and whether it is right; of shares one per part.

    Args:
        title: Of the label.
        held: Its predictions.
        ids: The regions drawn.
        predicted: Makes the layer of a number, as :func:`urbanln.report.drawn.predicted`.
    """
    rows = held.ids.get_indexer(pd.Index(ids))
    if held.kind == "classes":
        return [_class_layer(title, held, rows)]

    def at(values: np.ndarray) -> np.ndarray:
        return np.where(rows >= 0, values[rows], np.nan)

    made = []
    for part, name in enumerate(held.names):
        truth, guess, low, high = (
            at(values[:, part]) for values in (held.truth, held.made, held.low, held.high)
        )
        drawn = predicted(f"{title}: {words(name)}", "share", truth, guess, False, (low, high))
        if held.at_once:
            drawn["note"] += " The intervals are those that hold all parts of a region at once."
        made.append(drawn)
    return made


def _class_layer(title: str, held: HeldParts, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    truth = [held.names[number] for number in held.truth]
    # Each name once more, since a class may be predicted that is the truth of no region here.
    _, names = grouped(pd.Series([*truth, *held.names], dtype=object))
    guess = [held.names[number] for number in held.guess]
    outcome = held.outcome()

    def states(of: Sequence[str]) -> list[str | None]:
        known = [one if one in names else OTHERS for one in of]
        return [known[row] if row >= 0 else None for row in rows]

    views = [
        maps.class_view("truth", states(truth), names, CLASS_COLOURS),
        maps.class_view("prediction", states(guess), names, CLASS_COLOURS),
        maps.class_view(
            "right?", [outcome[row] if row >= 0 else None for row in rows], RIGHT, _RIGHT_COLOURS
        ),
    ]
    return maps.layer(title, views, "The prediction is the most probable class, by the mean over seeds.")
