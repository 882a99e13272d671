"""What a page of the audit draws of labels of each kind: layers of its map, and a picture of their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.kinds import class_counts
from urbanln.base.written import as_floats
from urbanln.pages import maps
from urbanln.pages.charts import WIDTH, Canvas
from urbanln.pages.text import clean, count, cut, kind_of, score, share, words
from urbanln.report.histograms import histogram

MOST_LABELS = 40
"""As many a page has room for."""
OTHERS = "\0others"
CLASS_COLOURS = (
    *(one for one in maps.CLASSES if one != maps.GREY),
    maps.GREY,
)  # the last is that of the others
_ROW, _NAME, _VALUE, _LONGEST = 22.0, 150.0, 92.0, 20


@dataclass(frozen=True)
class Drawn:
    """One label of a frame.

    Attributes:
        name: Of the label.
        columns: It stands in.
        found: What the audit says of it.
    """

    name: str
    columns: tuple[str, ...]
    found: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """``number``, ``classes`` or ``shares``."""
        return str(self.found.get("kind") or "number")

    @property
    def unit(self) -> str:
        """Of its values."""
        return clean(self.found.get("unit"), 60)

    @property
    def log(self) -> bool:
        """Whether its values are scored as logarithms."""
        return self.found.get("transform") == "log1p"


def drawn_labels(frame: pd.DataFrame | None, labels: Mapping[str, Any]) -> list[Drawn]:
    """The labels of a frame, in order.

    Args:
        frame: ``region_id`` and the columns of the labels.
        labels: What the audit says of each.
    """
    there = [] if frame is None else [str(column) for column in frame.columns if column != "region_id"]
    parts = {name: part for name, part in labels.items() if isinstance(part, Mapping)}
    owner = {str(c): name for name, part in parts.items() for c in part.get("columns") or [name]}
    columns: dict[str, list[str]] = {}
    for column in there:
        columns.setdefault(owner.get(column, column), []).append(column)
    return [Drawn(name, tuple(of), parts.get(name, {})) for name, of in columns.items()]


def numbers(values: pd.Series) -> np.ndarray:
    """A column of numbers; infinite ones are missing."""
    found = as_floats(values).to_numpy(dtype=float)
    return np.where(np.isfinite(found), found, np.nan)


def label_layers(frame: pd.DataFrame, labels: Sequence[Drawn], rows: np.ndarray) -> Iterator[dict[str, Any]]:
    """Layers of a map: one per number and per part of shares, and one per label of classes.

    Args:
        frame: As of :func:`drawn_labels`.
        labels: To draw.
        rows: (R,) row of each region drawn, −1 where the frame has none.
    """

    def at(values: np.ndarray) -> np.ndarray:
        return np.where(rows >= 0, np.append(values, np.nan)[rows], np.nan)

    for one in labels:
        shown = words(one.name)
        if one.kind == "classes":
            states, names = grouped(frame[one.columns[0]])
            placed = [states[row] if row >= 0 else None for row in rows]
            yield maps.layer(shown, [maps.class_view(shown, placed, names, CLASS_COLOURS)])
            continue
        placed_at = {column: at(numbers(frame[column])) for column in one.columns}
        common = np.concatenate(list(placed_at.values()))  # parts are to be compared
        for column, values in placed_at.items():
            title = shown if one.kind == "number" else f"{shown}: {words(column)}"
            stops = maps.spread(common, one.log)
            kind = kind_of(column, numbers(frame[column]))
            yield maps.layer(title, [maps.ramp_view(title, values, stops, one.unit, kind)])


def grouped(classes: pd.Series) -> tuple[list[str | None], dict[str, str]]:
    """Classes by row, and their names: the most frequent, and the others as one where colours run out."""
    counts = class_counts(classes.astype("str").where(classes.notna()))
    own = list(counts.index if len(counts) <= len(CLASS_COLOURS) else counts.index[: len(CLASS_COLOURS) - 1])
    names = {name: clean(name, 60) for name in own}
    if len(counts) > len(own):
        names[OTHERS] = f"{len(counts) - len(own)} others"
    known = classes.notna()
    states = [
        (str(value) if str(value) in names else OTHERS) if there else None
        for value, there in zip(classes, known, strict=True)
    ]
    return states, names


def label_figures(frame: pd.DataFrame | None, labels: Sequence[Drawn]) -> list[dict[str, Any]]:
    """A picture and its sentences per label: a histogram, bars of counts, or bars of mean shares.

    Args:
        frame: As of :func:`drawn_labels`.
        labels: To draw.
    """
    if frame is None:
        return []
    made = []
    for one in labels:
        if one.kind == "classes":
            made.append(_class_bars(one, frame[one.columns[0]]))
        elif one.kind == "shares":
            made.append(_part_bars(one, frame[list(one.columns)]))
        else:
            made.append(histogram(one.name, one.unit, numbers(frame[one.columns[0]]), one.log))
    return made


def _class_bars(one: Drawn, classes: pd.Series) -> dict[str, Any]:
    _, names = grouped(classes)
    counts = class_counts(classes.astype("str").where(classes.notna()))
    known = int(counts.sum())
    said = f"{count(known)} regions, {count(len(classes) - known)} missing"
    values = [
        (
            clean(name, 60),
            float(n),
            f"{count(n)} · {share(n / known)}",
            CLASS_COLOURS[min(at, len(names) - 1)],
        )
        for at, (name, n) in enumerate(counts.head(_LONGEST).items())
    ]
    if more := len(counts) - len(values):
        said += f"; {count(more)} rarer classes are not shown"
    return _bars(one.name, f"Regions by class of {words(one.name)}: {said}", said, values)


def _part_bars(one: Drawn, parts: pd.DataFrame) -> dict[str, Any]:
    means = parts.apply(numbers).mean().dropna().sort_values(ascending=False, kind="stable")
    known = int(parts.notna().all(axis=1).sum())
    said = f"mean share of {count(known)} regions, {count(len(parts) - known)} missing"
    values = [
        (words(name), float(mean), score(mean), maps.VIRIDIS[3])
        for name, mean in means.head(_LONGEST).items()
    ]
    return _bars(one.name, f"Mean shares of {words(one.name)}: {said}", said, values)


def _bars(name: str, label: str, said: str, values: Sequence[tuple[str, float, str, str]]) -> dict[str, Any]:
    """Bars with names before and values behind them."""
    entry: dict[str, Any] = {"name": words(name), "unit": "", "said": said, "breaks": "", "picture": None}
    most = max((value for _, value, _, _ in values), default=0)
    if not most:
        return entry
    told = "; ".join(f"{title} {shown}" for title, _, shown, _ in values)
    canvas = Canvas(WIDTH, _ROW * len(values) + 8, f"{label}; {told}")
    for at, (title, value, shown, colour) in enumerate(values):
        y = 4 + _ROW * at
        canvas.text(_NAME - 8, y + 15, cut(title, _LONGEST), "tick", "end")
        wide = value / most * (WIDTH - _NAME - _VALUE)
        canvas.rectangle(_NAME, y + 3, max(wide, 0.5), _ROW - 6, colour)
        canvas.text(_NAME + max(wide, 0.5) + 6, y + 15, shown)
    return entry | {"picture": canvas.svg()}
