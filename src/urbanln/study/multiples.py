"""Small multiples: the gain of each part over each factor that a study moved away from its centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from urbanln.pages.charts import Canvas, round_ticks
from urbanln.pages.text import cut, finite, score
from urbanln.study.gains import COSTS, PAYS, expected, gain_text, range_text, verdict

_ACROSS, _PANEL, _GAP, _TALL, _ROW = 3, 234.0, 56.0, 96.0, 172.0
_LEFT, _TOP, _BAND = 44.0, 44.0, 7.0
GAINS = ("part", "condition", "with − without", "predicted", "found")
"""Columns of :func:`gains_table`."""

Row = Mapping[str, Any]


def panels(rows: Sequence[Row]) -> list[tuple[str, list[tuple[str, list[tuple[str, Row]]]]]]:
    """Of each part the factors it was looked at over, and of each the gains by level, in order.

    A part that was looked at in the centre alone has one panel without a factor.
    """
    found = []
    for part in dict.fromkeys(row["part"] for row in rows):
        own = [row for row in rows if row["part"] == part]
        centre = [row for row in own if not row["moved"]]
        moved: dict[str, list[Row]] = {}
        for row in own:
            if row["moved"]:
                moved.setdefault(row["moved"], []).append(row)
        factors = []
        for factor, there in moved.items():
            points = [(row["at"][factor], row) for row in [*centre, *there] if factor in row["at"]]
            if all(isinstance(level, int | float) for level, _ in points):
                points.sort(key=lambda point: point[0])
            factors.append((factor, [(_level(level), row) for level, row in points]))
        found.append((part, factors or [("", [(row["condition"], row) for row in centre])]))
    return found


def multiples(rows: Sequence[Row], measure: str, heading: str) -> Markup:
    """One picture of all panels: dots with intervals, full where 0 is left out, on what was predicted.

    Args:
        rows: Gains of one split and head.
        measure: What is gained.
        heading: What the picture is of.
    """
    grid = [(part, *panel) for part, factors in panels(rows) for panel in factors]
    # As wide with one panel as with three: a page draws all pictures at its own width.
    size = _LEFT + _ACROSS * (_PANEL + _GAP) - _GAP, _ROW * -(-len(grid) // _ACROSS) - 10
    canvas = Canvas(*size, f"Gain in {measure} of each part, {heading}: ")
    values = [
        value for row in rows for value in (row["gain_low"], row["gain_high"], *(row["predicted"] or ()))
    ]
    known = [value for value in map(finite, values) if value is not None]
    low, high = min([-0.01, *known]), max([0.01, *known])
    margin = 0.06 * (high - low)
    said = []
    for number, (part, factor, points) in enumerate(grid):
        left, top = _LEFT + number % _ACROSS * (_PANEL + _GAP), number // _ACROSS * _ROW + _TOP
        canvas.text(left, top - 26, cut(part, 34), "row-main")
        _Panel(canvas, left, top, low - margin, high + margin).draw(factor, points)
        said += [f"{part}, {row['condition']} {gain_text(row)}" for _, row in points]
    canvas.label += "; ".join(dict.fromkeys(said))
    return canvas.svg()


class _Panel:
    """One part over one factor."""

    def __init__(self, canvas: Canvas, left: float, top: float, low: float, high: float) -> None:
        self.canvas, self.left, self.top, self.low, self.high = canvas, left, top, low, high

    def y(self, value: float) -> float:
        return self.top + (self.high - value) / (self.high - self.low) * _TALL

    def draw(self, factor: str, points: Sequence[tuple[str, Row]]) -> None:
        canvas, right = self.canvas, self.left + _PANEL
        canvas.text(self.left, self.top - 10, cut(factor, 34), "group")
        for tick in round_ticks(self.low, self.high, 5):
            canvas.line(self.left, self.y(tick), right, self.y(tick), "zero" if tick == 0 else "grid")
            canvas.text(self.left - 5, self.y(tick) + 4, score(tick, 3, sign=True), anchor="end")
        for k, (level, row) in enumerate(points):
            x = self.left + (k + 0.5) * _PANEL / len(points)
            canvas.text(x, self.top + _TALL + 16, cut(level, 28), anchor="middle")
            if row["predicted"] is not None:
                a, b = (self.y(end) for end in row["predicted"])
                corners = [(x - _BAND, a), (x + _BAND, a), (x + _BAND, b), (x - _BAND, b)]
                canvas.path(corners, "band a", closed=True)
            if row["gain"] is None:
                continue
            if row["gain_low"] is not None:
                canvas.line(x, self.y(row["gain_low"]), x, self.y(row["gain_high"]), "range main")
            style = "full" if verdict(row) in (PAYS, COSTS) else "hollow"
            canvas.circle(x, self.y(row["gain"]), 4.5, f"dot main {style}")


def _level(level: str | float) -> str:
    return level if isinstance(level, str) else f"{level:,g}"


def gains_table(rows: Sequence[Row]) -> list[list[str]]:
    """Part, condition, gain, what was predicted, and what comes of it, as texts."""
    lines = []
    for row in rows:
        found = [kind := verdict(row)]
        if row["stands"] and kind in (PAYS, COSTS):
            found.append("even among so many")
        if told := expected(row):
            found.append(told)
        gain, predicted = gain_text(row), range_text(row["predicted"])
        lines.append([row["part"], row["condition"], gain, predicted, ", ".join(found)])
    return lines
