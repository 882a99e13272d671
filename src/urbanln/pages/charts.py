"""Charts as small SVG texts: the canvas they are drawn on, rows of dots, and the ticks of axes.

They are written out directly instead of by a plotting library, so that the page's style sheet rules their
type and colour, every mark stays a few bytes, and the same numbers give the same bytes on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from urbanln.pages.text import clean, score

WIDTH = 420  # of a chart beside another one, in CSS pixels before scaling


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

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle; ``colour`` as ``#rrggbb``, since it is computed."""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self.parts.append(f'<rect class="box" {place} fill="{colour}"/>')

    def path(self, points: Sequence[tuple[float, float]], style: str, closed: bool = False) -> None:
        """A line through ``points``, or the area they bound."""
        if points:
            steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            self.parts.append(f'<path class="{style}" d="M{steps}{"Z" if closed else ""}"/>')

    def svg(self) -> Markup:
        """The finished picture, safe to print into a page."""
        head = (
            f'<svg class="chart" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(clean(self.label, 3000))}">'
        )
        return Markup(head + "".join(self.parts) + "</svg>")  # noqa: S704 (every text above is escaped)


@dataclass(frozen=True)
class DotPlot:
    """Rows of dots with intervals on one axis; what goes beyond it ends in an arrow there.

    Args:
        canvas: What it is drawn on; names begin at its left edge, values end at its right one.
        left, right: Where the axis begins and ends, in pixels.
        low, high: Values there.
    """

    canvas: Canvas
    left: float
    right: float
    low: float
    high: float

    def place(self, value: float) -> float:
        """Pixels of a value, that of the nearest end where it lies beyond."""
        inside = min(max(value, self.low), self.high)
        return self.left + (inside - self.low) / (self.high - self.low) * (self.right - self.left)

    def axis(self, top: float, bottom: float, count: int, label: Callable[[float], str]) -> None:
        """About ``count`` lines from ``top`` to ``bottom``, each with its value below."""
        for tick in round_ticks(self.low, self.high, count):
            self.canvas.line(self.place(tick), top, self.place(tick), bottom, "zero" if tick == 0 else "grid")
            self.canvas.text(self.place(tick), bottom + 14, label(tick), anchor="middle")

    def row(
        self,
        y: float,
        name: str,
        text: str,
        dot: float | None,
        ends: tuple[float | None, float | None],
        *,
        main: bool,
        hollow: bool = False,
    ) -> None:
        """One row: its name, the value as ``text``, the dot and its interval, where they are known."""
        style = "main" if main else "other"
        self.canvas.text(0, y + 4, name, "row-main" if main else "row")
        self.canvas.text(self.canvas.width, y + 4, text, "value", "end")
        if dot is None:
            return
        low, high = ends
        if low is not None and high is not None:
            self.canvas.line(self.place(low), y, self.place(high), y, f"range {style}")
        inside = self.low <= dot <= self.high
        if inside:
            self.canvas.circle(self.place(dot), y, 4.5, f"dot {style} {'hollow' if hollow else 'full'}")
        size = 3.5 if inside else 5.0
        for end, tip in self._beyond(dot, low, high):
            x = self.place(end)
            self.canvas.path([(x + tip * 6, y), (x, y - size), (x, y + size)], f"beyond {style}", closed=True)

    def _beyond(self, *values: float | None) -> list[tuple[float, int]]:
        """The ends of the axis that a row goes beyond, each with the direction there: −1 or 1."""
        known = [value for value in values if value is not None]
        left, right = any(v < self.low for v in known), any(v > self.high for v in known)
        return [end for end, there in (((self.low, -1), left), ((self.high, 1), right)) if there]

    def said(self, *values: float | None) -> str:
        """What a screen reader is told of a row that goes on beyond the axis; nothing where none does."""
        sides = ["left" if tip < 0 else "right" for _, tip in self._beyond(*values)]
        return f" (beyond the axis to the {' and the '.join(sides)})" if sides else ""


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
