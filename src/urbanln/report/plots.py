"""Score plots and scatters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from urbanln.pages.charts import WIDTH, Canvas, axis_score, log_ticks, round_ticks
from urbanln.pages.text import interval, quantity, score


@dataclass(frozen=True)
class Dot:
    """One row of a score plot: a feature table's R² under one split."""

    name: str
    r2: float | None
    low: float | None
    high: float | None
    main: bool = False


@dataclass(frozen=True)
class SplitDots:
    """The rows of one split; ``floors`` maps ``"mean"`` and ``"strongest"`` to the R² of vertical lines."""

    split: str
    title: str
    rows: tuple[Dot, ...]
    floors: dict[str, float]


def forest(label: str, groups: Sequence[SplitDots], ends: tuple[float, float], axis: str) -> Markup:
    """R² with intervals, one row per feature table, grouped by split; floors as vertical lines.

    Args:
        label: What a screen reader says instead of the picture.
        groups: The splits from top to bottom.
        ends: Of the R² axis, equal for all indicators so that their plots compare; what lies beyond is
            drawn at the edge with an arrow.
        axis: Printed below it.
    """
    low, high = ends
    left, right, row = 140.0, WIDTH - 92.0, 22.0
    height = 14 + sum(30 + row * len(g.rows) for g in groups) + 30
    canvas = Canvas(WIDTH, height, label)

    def place(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    y, bottom = 14.0, height - 30
    for tick in round_ticks(low, high, 4):
        canvas.line(place(tick), 8, place(tick), bottom, "zero" if tick == 0 else "grid")
        canvas.text(place(tick), bottom + 14, axis_score(tick), anchor="middle")
    canvas.text((left + right) / 2, height - 3, axis, anchor="middle")
    for group in groups:
        canvas.text(0, y + 6, group.title, "group")
        top, y = y - 2, y + 24
        for dot in group.rows:
            _dot_row(canvas, dot, y, place, ends, group.split)
            y += row
        for name, value in group.floors.items():
            canvas.line(place(value), top, place(value), y - 12, f"floor-{name}")
        y += 6
    return canvas.svg()


def _dot_row(
    canvas: Canvas, dot: Dot, y: float, place: Callable[[float], float], ends: tuple[float, float], split: str
) -> None:
    style = "main" if dot.main else "other"
    shown = dot.name if len(dot.name) <= 21 else dot.name[:20] + "…"
    canvas.text(0, y + 4, shown, "row-main" if dot.main else "row")
    canvas.text(WIDTH, y + 4, f"{score(dot.r2)} {interval(dot.low, dot.high)}".strip(), "value", "end")
    if dot.r2 is None:
        return
    if dot.low is not None and dot.high is not None:
        canvas.line(place(dot.low), y, place(dot.high), y, f"range {style}")
    if dot.r2 < ends[0] or dot.r2 > ends[1]:
        x, way = place(dot.r2), -1 if dot.r2 < ends[0] else 1
        canvas.path([(x + 6 * way, y), (x, y - 4), (x, y + 4)], f"beyond {style}", closed=True)
        return
    canvas.circle(place(dot.r2), y, 4.5, f"dot {style} {'hollow' if split == 'random' else 'full'}")


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
