"""Lines over steps or over the number of labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from urbanln.pages.charts import WIDTH, Canvas, round_ticks
from urbanln.pages.text import quantity

STYLES = ("a", "b", "c", "d", "e")
_BOTTOM = 206.0


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


STEPS = Axis("training step")


def curves(
    label: str,
    lines: Sequence[Curve],
    *,
    y_zero: bool,
    y_label: Callable[[float], str],
    axis: Axis = STEPS,
    y_floor: float = -math.inf,
) -> Markup:
    """Lines, each named at its right end.

    Args:
        label: What a screen reader says instead of the picture.
        lines: What to draw; more than 300 points are averaged in equal bins.
        y_zero: Let the axis begin at 0.
        y_label: How a tick of the y axis is written.
        axis: What x is.
        y_floor: The axis goes no lower; what lies below is drawn at its edge.
    """
    left, right, top = 48.0, WIDTH - 96.0, 10.0
    canvas = Canvas(WIDTH, 240, label)
    thin = [_binned(line) for line in lines if len(line.x)]
    if not thin:
        return canvas.svg()
    places = axis.at(np.concatenate([line.x for line in thin]))
    x0, x1 = float(places.min()), float(places.max())
    y0, y1 = _ends(thin, y_zero, y_floor)

    def spot(x: float, y: float) -> tuple[float, float]:
        across = (float(axis.at(x)) - x0) / (x1 - x0) if x1 > x0 else 0.5
        up = (min(max(y, y0), y1) - y0) / (y1 - y0)
        return left + across * (right - left), _BOTTOM - up * (_BOTTOM - top)

    first = float(thin[0].x[0])
    for tick in round_ticks(y0, y1, 4):
        canvas.line(left, spot(first, tick)[1], right, spot(first, tick)[1], "zero" if tick == 0 else "grid")
        canvas.text(left - 6, spot(first, tick)[1] + 4, y_label(tick), anchor="end")
    for tick in round_ticks(x0, x1, 4) if axis.ticks is None else axis.ticks:
        canvas.text(spot(tick, y0)[0], _BOTTOM + 16, quantity(tick), anchor="middle")
    canvas.text((left + right) / 2, _BOTTOM + 31, axis.title, "axis", "middle")
    ends = []
    for line in thin:
        if line.low is not None and line.high is not None:
            edge = [spot(float(a), float(b)) for a, b in zip(line.x, line.low, strict=True)]
            over = [spot(float(a), float(b)) for a, b in zip(line.x, line.high, strict=True)]
            canvas.path([*edge, *over[::-1]], f"band {line.style}", closed=True)
    for line in thin:
        points = [spot(float(a), float(b)) for a, b in zip(line.x, line.y, strict=True)]
        canvas.path(points, f"curve {line.style}")
        if len(points) == 1 or axis.ticks is not None:
            for point in points:
                canvas.circle(*point, 3, f"end {line.style}")
        ends.append((points[-1][1], line))
    for at, line in _spread(ends, 13.0):
        shown = line.name if len(line.name) <= 15 else line.name[:14] + "…"
        canvas.text(right + 7, at + 4, shown, f"name {line.style}")
    return canvas.svg()


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
