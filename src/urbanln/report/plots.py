"""The charts of the report: score plots, scatters, matrices, and lines over steps or numbers of labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from urbanln.pages.charts import WIDTH, Canvas, DotPlot, axis_score, log_ticks, round_ticks
from urbanln.pages.text import cut, finite, interval, quantity, score

STYLES = ("a", "b", "c", "d", "e")  # of curves
_BOTTOM = 206.0  # of the curves' axis
# Of a matrix: orange below 0, blue above; light enough at both ends for dark numbers (contrast above 7).
_BELOW, _ZERO, _ABOVE = (0xF4, 0xA5, 0x82), (0xF7, 0xF7, 0xF7), (0x86, 0xBC, 0xDD)


@dataclass(frozen=True)
class Dot:
    """One row of a score plot: a feature table's main score under one split."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    main: bool = False


@dataclass(frozen=True)
class SplitDots:
    """The rows of one split; ``floors`` maps ``"mean"`` and ``"strongest"`` to where vertical lines stand."""

    split: str
    title: str
    rows: tuple[Dot, ...]
    floors: dict[str, float]


def forest(label: str, groups: Sequence[SplitDots], ends: tuple[float, float], axis: str) -> Markup:
    """Scores with intervals, one row per feature table, grouped by split; floors as vertical lines.

    Args:
        label: What a screen reader says before it reads the rows out.
        groups: The splits from top to bottom.
        ends: Of the axis, equal for all indicators so that their plots compare; what goes beyond ends
            in an arrow at the edge.
        axis: Printed below it.
    """
    row = 22.0
    height = 14 + sum(30 + row * len(g.rows) for g in groups) + 30
    canvas = Canvas(WIDTH, height, label)
    plot = DotPlot(canvas, 140.0, WIDTH - 92.0, *ends)
    plot.axis(8, height - 30, 4, axis_score)
    canvas.text((plot.left + plot.right) / 2, height - 3, axis, anchor="middle")
    y = 14.0
    for group in groups:
        said: list[str] = []
        canvas.text(0, y + 6, group.title, "group")
        top, y = y - 2, y + 24
        for dot in group.rows:
            text = f"{score(dot.value)} {interval(dot.low, dot.high)}".strip()
            said.append(f"{dot.name} {text}{plot.said(dot.value, dot.low, dot.high)}")
            plot.row(
                y, cut(dot.name, 21), text, dot.value, (dot.low, dot.high),
                main=dot.main, hollow=group.split == "random",
            )  # fmt: skip
            y += row
        for name, value in group.floors.items():
            x = plot.place(value)
            canvas.line(x, top, x, y - 12, f"floor-{name}")
        y += 6
        canvas.label += f". {group.title}: {'; '.join(said)}"
    return canvas.svg()


def scatter(
    label: str, truth: np.ndarray, prediction: np.ndarray, *, log: bool, unit: str, most: int = 2000
) -> Markup:
    """Truth (N,) against held-out prediction (N,) with the line of equality; NaN pairs are left out.

    Args:
        label: What a screen reader says instead of the picture.
        truth, prediction: In the indicator's unit.
        log: Draw both axes by ln(1 + x), as the heads were fitted.
        unit: Printed at the axes.
        most: Points drawn at most (evenly picked), to keep the page small.
    """
    known = np.isfinite(truth) & np.isfinite(prediction)
    if log:
        known &= (truth > -1) & (prediction > -1)
    truth, prediction = truth[known], prediction[known]
    canvas = Canvas(320, 320, label)
    if not len(truth):
        canvas.text(160, 160, "no region has both a truth and a prediction", anchor="middle")
        return canvas.svg()
    step = math.ceil(len(truth) / most)
    bend: Callable[[np.ndarray], np.ndarray] = np.log1p if log else np.asarray
    both = np.concatenate([truth, prediction])
    ends = bend(np.array([both.min(), both.max()], dtype=float))
    margin = 0.04 * (ends[1] - ends[0]) or 1.0
    low, high = ends[0] - margin, ends[1] + margin

    def spot(value: np.ndarray) -> np.ndarray:
        return (bend(np.asarray(value, dtype=float)) - low) / (high - low) * 256

    ticks = np.array(log_ticks(both.min(), both.max()) if log else round_ticks(both.min(), both.max(), 4))
    for tick, at in zip(ticks, spot(ticks), strict=True):
        canvas.line(56 + at, 10, 56 + at, 266, "grid")
        canvas.line(56, 266 - at, 312, 266 - at, "grid")
        canvas.text(56 + at, 281, quantity(tick), anchor="middle")
        canvas.text(50, 270 - at, quantity(tick), anchor="end")
    canvas.line(56, 266, 312, 10, "equal")
    for x, y in zip(spot(truth[::step]), spot(prediction[::step]), strict=True):
        canvas.circle(56 + x, 266 - y, 2.4, "point")
    suffix = f", {unit}" if unit else ""
    canvas.text(184, 300, f"truth{suffix}", "axis", "middle")
    canvas.parts.append('<g transform="rotate(-90 10 138)">')
    canvas.text(10, 138, "prediction", "axis", "middle")
    canvas.parts.append("</g>")
    return canvas.svg()


def shade(value: float) -> str:
    """The colour of an R²: orange to white below 0 (full at −1), white to blue above (full at 1)."""
    ends = (_ZERO, _ABOVE) if value >= 0 else (_ZERO, _BELOW)
    share = min(abs(value), 1.0)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(*ends, strict=True))


def matrix(
    label: str, rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], float | None]
) -> Markup:
    """Numbers in coloured cells; one that is missing stays empty.

    Args:
        label: What a screen reader says instead of the picture.
        rows: Names at the left: fitted on.
        columns: Names on top: predicted.
        cells: R² by (row, column); no entry where the two are the same.
    """
    left, top, row = 104.0, 34.0, 34.0
    wide = min(max((WIDTH - left) / max(len(columns), 1), 46.0), 96.0)
    canvas = Canvas(max(left + wide * len(columns), WIDTH), top + row * len(rows) + 4, label)
    most = max(int(wide / 6.4), 4)
    for j, name in enumerate(columns):
        canvas.text(left + (j + 0.5) * wide, top - 8, cut(name, most), "row", "middle")
    for i, name in enumerate(rows):
        y = top + i * row
        canvas.text(0, y + 0.62 * row, cut(name, 15), "row")
        for j, column in enumerate(columns):
            x = left + j * wide
            value = finite(cells.get((name, column)))
            canvas.rectangle(x, y, wide - 2, row - 2, "#ffffff" if value is None else shade(value))
            if (name, column) in cells:
                canvas.text(x + wide / 2 - 1, y + 0.62 * row, score(value), "cell", "middle")
    return canvas.svg()


@dataclass(frozen=True)
class Curve:
    """A line of a curve chart.

    Args:
        name: Printed at its right end.
        x, y: (N,) points.
        style: One of ``STYLES`` (colour and dash) or ``chance``.
        low, high: (N,) ends of a band around the line; none where not given.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    style: str
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True)
class Axis:
    """The axis to the right.

    Args:
        title: Printed below it.
        ticks: Values that are written; round ones where not given.
        log: Place values evenly in ln(1 + x).
    """

    title: str
    ticks: Sequence[float] | None = None
    log: bool = False

    def at(self, x: np.ndarray | float) -> np.ndarray:
        """Place of a value before it is scaled to pixels."""
        return np.log1p(x) if self.log else np.asarray(x, dtype=float)


def curves(
    label: str,
    lines: Sequence[Curve],
    *,
    y_zero: bool,
    y_label: Callable[[float], str],
    axis: Axis,
    y_floor: float = -math.inf,
) -> Markup:
    """Lines, each named at its right end.

    Args:
        label: What a screen reader says instead of the picture.
        lines: What to draw; more than 300 points are averaged in equal bins.
        y_zero: Let the axis begin at 0.
        y_label: How a tick of the y axis is written.
        axis: What x is.
        y_floor: The axis goes no lower; a dot or a band that goes below ends in an arrow there.
    """
    left, right, top = 48.0, WIDTH - 96.0, 10.0
    canvas = Canvas(WIDTH, 240, label)
    thin = [_binned(line) for line in lines if len(line.x)]
    if not thin:
        return canvas.svg()
    places = axis.at(np.concatenate([line.x for line in thin]))
    x0, x1 = float(places.min()), float(places.max())
    y0, y1 = _ends(thin, y_zero, y_floor)

    def across(x: float) -> float:
        return left + ((float(axis.at(x)) - x0) / (x1 - x0) if x1 > x0 else 0.5) * (right - left)

    def up(y: float) -> float:
        return _BOTTOM - (min(max(y, y0), y1) - y0) / (y1 - y0) * (_BOTTOM - top)

    def spots(line: Curve, values: np.ndarray) -> list[tuple[float, float]]:
        return [(across(float(x)), up(float(y))) for x, y in zip(line.x, values, strict=True)]

    for tick in round_ticks(y0, y1, 4):
        canvas.line(left, up(tick), right, up(tick), "zero" if tick == 0 else "grid")
        canvas.text(left - 6, up(tick) + 4, y_label(tick), anchor="end")
    for tick in round_ticks(x0, x1, 4) if axis.ticks is None else axis.ticks:
        canvas.text(across(tick), _BOTTOM + 16, quantity(tick), anchor="middle")
    canvas.text((left + right) / 2, _BOTTOM + 31, axis.title, "axis", "middle")
    for line in thin:
        if line.low is not None and line.high is not None:
            band = [*spots(line, line.low), *spots(line, line.high)[::-1]]
            canvas.path(band, f"band {line.style}", closed=True)
    ends = []
    for line in thin:
        points = spots(line, line.y)
        canvas.path(points, f"curve {line.style}")
        for point in points if len(points) == 1 or axis.ticks is not None else ():
            canvas.circle(*point, 3, f"end {line.style}")
        _go_below(canvas, line, y0, across)
        ends.append((points[-1][1], line))
    for at, line in _spread(ends, 13.0):
        canvas.text(right + 7, at + 4, cut(line.name, 15), f"name {line.style}")
    return canvas.svg()


def _go_below(canvas: Canvas, line: Curve, y0: float, across: Callable[[float], float]) -> None:
    """Arrows where a line or its band goes on below the axis, for eyes and for screen readers."""
    below = (line.y if line.low is None else np.minimum(line.y, line.low)) < y0
    for x in map(across, map(float, line.x[below])):
        arrow = [(x, _BOTTOM + 7), (x - 4, _BOTTOM), (x + 4, _BOTTOM)]
        canvas.path(arrow, f"end {line.style}", closed=True)
    if below.any():
        canvas.label += f" Below the axis: {line.name} at {', '.join(map(quantity, line.x[below]))}."


def _ends(lines: Sequence[Curve], y_zero: bool, y_floor: float) -> tuple[float, float]:
    drawn = [part for line in lines for part in (line.y, line.low, line.high) if part is not None]
    ys = np.concatenate(drawn)
    y0, y1 = 0.0 if y_zero else max(float(ys.min()), y_floor), float(ys.max())
    y0, y1 = (y0, y1) if y1 > y0 else (y0 - 0.5, y0 + 0.5)
    pad = 0.05 * (y1 - y0)
    return (y0 if y_zero else y0 - pad), y1 + pad


def _binned(line: Curve, bins: int = 300) -> Curve:
    if len(line.x) <= bins:
        return line
    parts = np.array_split(np.arange(len(line.x)), bins)
    x, y = (np.array([values[p].mean() for p in parts]) for values in (line.x, line.y))
    return Curve(line.name, x, y, line.style)


def _spread(ends: list[tuple[float, Curve]], gap: float) -> list[tuple[float, Curve]]:
    """The names' heights, moved apart so that none lies on another."""
    placed: list[tuple[float, Curve]] = []
    for at, line in sorted(ends, key=lambda end: end[0]):
        placed.append((max(at, placed[-1][0] + gap) if placed else at, line))
    beyond = max(placed[-1][0] - _BOTTOM, 0.0) if placed else 0.0
    return [(at - beyond, line) for at, line in placed]
