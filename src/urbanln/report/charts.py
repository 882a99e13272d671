"""Charts as small SVG texts: score plots, scatters, curves.

They are written out directly instead of by a plotting library, so that the page's style sheet rules their
type and colour, every mark stays a few bytes, and the same numbers give the same bytes on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

from urbanln.report.text import clean, interval, quantity, score

_WIDTH = 420


@dataclass
class Canvas:
    """An SVG picture under construction; x to the right, y downwards, in CSS pixels."""

    width: float
    height: float
    label: str
    parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """A straight line of the style-sheet class ``style``."""
        self.parts.append(f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, x: float, y: float, text: str, style: str = "tick", anchor: str = "start") -> None:
        """Escaped text at a baseline point."""
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(
            f'<text class="{style}" x="{x:.1f}" y="{y:.1f}"{anchored}>{escape(clean(text, 120))}</text>'
        )

    def circle(self, x: float, y: float, radius: float, style: str) -> None:
        """A dot."""
        self.parts.append(f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>')

    def path(self, points: Sequence[tuple[float, float]], style: str, closed: bool = False) -> None:
        """A line through ``points``, or the area they bound."""
        if points:
            steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            self.parts.append(f'<path class="{style}" d="M{steps}{"Z" if closed else ""}"/>')

    def svg(self) -> Markup:
        """The finished picture, safe to print into a page."""
        head = (
            f'<svg class="chart" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(clean(self.label, 600))}">'
        )
        return Markup(head + "".join(self.parts) + "</svg>")  # noqa: S704 (every text above is escaped)


def round_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers from ``low`` to ``high``."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most ``most`` numbers of the form 1, 2, 3 or 5 times a power of ten inside ``low`` … ``high``."""
    if high <= 0:
        return [low, high] if high > low else [low]
    lowest = math.floor(math.log10(max(low, high * 1e-6, 1e-3)))
    powers = [10.0**p for p in range(lowest, math.ceil(math.log10(high)) + 1)]
    fine = sorted(p * m for p in powers for m in (1, 2, 5))
    for ticks in (fine, sorted(p * m for p in powers for m in (1, 3)), powers):
        inside = [t for t in ticks if low <= t <= high]
        if len(inside) <= most:
            break
    if len(inside) > most:
        inside = inside[:: math.ceil(len(inside) / most)]
    return inside if len(inside) >= 2 else round_ticks(low, high, 3)


def axis_score(value: float) -> str:
    """A score at an axis, without needless decimals: ``0``, ``.5``, ``1``."""
    digits = 0 if value == round(value) else 1 if value * 10 == round(value * 10) else 2
    return score(value, digits)


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
    """The rows of one split with the floors drawn as lines: ``floors`` maps a name to its R²."""

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
    left, right, row = 128.0, _WIDTH - 92.0, 22.0
    height = 14 + sum(30 + row * len(g.rows) for g in groups) + 30
    canvas = Canvas(_WIDTH, height, label)

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
            style = "floor-coordinates" if name == "coordinates" else "floor-mean"
            canvas.line(place(value), top, place(value), y - 12, style)
        y += 6
    return canvas.svg()


def _dot_row(
    canvas: Canvas, dot: Dot, y: float, place: Callable[[float], float], ends: tuple[float, float], split: str
) -> None:
    style = "main" if dot.main else "other"
    shown = dot.name if len(dot.name) <= 19 else dot.name[:18] + "…"
    canvas.text(0, y + 4, shown, "row-main" if dot.main else "row")
    canvas.text(_WIDTH, y + 4, f"{score(dot.r2)} {interval(dot.low, dot.high)}".strip(), "value", "end")
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


@dataclass(frozen=True)
class Curve:
    """A line of a curve chart; ``style`` is one of ``a``, ``b``, ``c`` (colour and dash) or ``chance``."""

    name: str
    x: np.ndarray
    y: np.ndarray
    style: str


def curves(label: str, lines: Sequence[Curve], *, y_zero: bool, y_label: Callable[[float], str]) -> Markup:
    """Lines over training steps, each named at its right end.

    Args:
        label: What a screen reader says instead of the picture.
        lines: What to draw; more than 300 points are averaged in equal bins.
        y_zero: Let the axis begin at 0.
        y_label: How a tick of the y axis is written.
    """
    left, right, top, bottom = 48.0, _WIDTH - 62.0, 10.0, 206.0
    canvas = Canvas(_WIDTH, 240, label)
    thin = [(line, *_binned(line.x, line.y)) for line in lines if len(line.x)]
    if not thin:
        return canvas.svg()
    xs, ys = np.concatenate([x for _, x, _ in thin]), np.concatenate([y for _, _, y in thin])
    x0, x1 = float(xs.min()), float(xs.max())
    y0, y1 = 0.0 if y_zero else float(ys.min()), float(ys.max())
    y0, y1 = (y0, y1) if y1 > y0 else (y0 - 0.5, y1 + 0.5)
    pad = 0.05 * (y1 - y0)
    y0, y1 = (y0 if y_zero else y0 - pad), y1 + pad

    def spot(x: float, y: float) -> tuple[float, float]:
        across = (x - x0) / (x1 - x0) if x1 > x0 else 0.5
        return left + across * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

    for tick in round_ticks(y0, y1, 4):
        canvas.line(left, spot(x0, tick)[1], right, spot(x0, tick)[1], "grid")
        canvas.text(left - 6, spot(x0, tick)[1] + 4, y_label(tick), anchor="end")
    for tick in round_ticks(x0, x1, 4):
        canvas.text(spot(tick, y0)[0], bottom + 16, quantity(tick), anchor="middle")
    canvas.text((left + right) / 2, bottom + 31, "training step", "axis", "middle")
    ends = []
    for line, x, y in thin:
        points = [spot(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        canvas.path(points, f"curve {line.style}")
        if len(points) == 1:
            canvas.circle(*points[0], 3, f"end {line.style}")
        ends.append((points[-1][1], line))
    for at, line in _spread(ends, 13.0):
        canvas.text(right + 6, at + 4, line.name, f"name {line.style}")
    return canvas.svg()


def _binned(x: np.ndarray, y: np.ndarray, bins: int = 300) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= bins:
        return x, y
    parts = np.array_split(np.arange(len(x)), bins)
    return np.array([x[p].mean() for p in parts]), np.array([y[p].mean() for p in parts])


def _spread(ends: list[tuple[float, Curve]], gap: float) -> list[tuple[float, Curve]]:
    """The names' heights, moved apart so that none lies on another."""
    placed: list[tuple[float, Curve]] = []
    for at, line in sorted(ends, key=lambda end: end[0]):
        placed.append((max(at, placed[-1][0] + gap) if placed else at, line))
    beyond = max(placed[-1][0] - 206.0, 0.0) if placed else 0.0
    return [(at - beyond, line) for at, line in placed]
