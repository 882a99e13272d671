"""Growth as a picture: time and memory against the number of pictures, one line per stage.

Written out as SVG by the canvas of the reports, since no plotting library is among the dependencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from urbanln.pages.charts import Canvas, log_ticks

# Okabe and Ito's colours, told apart with any kind of colour vision; labels stand at the lines besides.
_COLOURS = {
    "cache": "#0072b2", "epoch": "#d55e00", "embed": "#009e73", "vote": "#aa4499", "probe": "#444444",
}  # fmt: skip
_WIDTH, _HEIGHT, _GAP = 360.0, 300.0, 40.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 48.0, 34.0, 44.0
_LABEL = 13.0  # between two labels, at least
_STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}.grid{stroke:#ddd}"
    ".guide{stroke:#bbb;stroke-dasharray:3 4}path{fill:none;stroke-width:2}"
    + "".join(
        f".{n}{{stroke:{c}}}circle.{n}{{fill:{c}}}text.{n}{{fill:{c};stroke:none}}"
        for n, c in _COLOURS.items()
    )
    + "</style>"
)
Row = dict[str, Any]
Points = dict[str, list[tuple[float, float]]]


def draw(rows: Sequence[Row]) -> str:
    """A standalone SVG of the rows of :func:`benchmarks.growth.measure`; what was not run is left out."""
    canvas = Canvas(
        2 * _WIDTH + _GAP, _HEIGHT, "Time and memory of each stage against the number of pictures"
    )
    canvas.parts.append(_STYLE)
    canvas.rectangle(0, 0, canvas.width, canvas.height, "#ffffff")
    _panel(canvas, 0.0, "time, s", _points(rows, lambda row: row["seconds"]), guide=True)
    memory = _points(rows, lambda row: row["peak_mb"] and max(row["peak_mb"] - row["idle_mb"], 1.0))
    _panel(canvas, _WIDTH + _GAP, "peak memory above idle, MB", memory)
    return str(canvas.svg()).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _points(rows: Sequence[Row], value: Callable[[Row], float | None]) -> Points:
    found: Points = {}
    for row in rows:
        if "seconds" in row and (y := value(row)):
            found.setdefault(row["stage"], []).append((float(row["pictures"]), y))
    return found


def _panel(canvas: Canvas, x0: float, title: str, lines: Points, *, guide: bool = False) -> None:
    """Both axes logarithmic. The guides rise as a straight line through zero does."""
    canvas.text(x0 + _LEFT, 18, title, "title")
    if not lines:
        return
    xs, ys = ([point[k] for line in lines.values() for point in line] for k in (0, 1))
    ends = (min(xs), max(xs) * 1.0001), (min(ys) * 0.8, max(ys) * 1.25)
    across = (x0 + _LEFT, x0 + _WIDTH - _RIGHT)
    down = (_HEIGHT - _BOTTOM, _TOP)

    def place(x: float, y: float) -> tuple[float, float]:
        return _on(x, ends[0], across), _on(y, ends[1], down)

    for tick in log_ticks(*ends[1], 6):
        y = place(ends[0][0], tick)[1]
        canvas.line(across[0], y, across[1], y, "grid")
        canvas.text(across[0] - 6, y + 4, f"{tick:,g}", anchor="end")
    for tick in sorted(set(xs)):
        x = place(tick, ends[1][0])[0]
        canvas.line(x, down[0], x, down[1], "grid")
        canvas.text(x, down[0] + 16, f"{tick:,.0f}", anchor="middle")
    below = "pictures (dashed: time in proportion to them)" if guide else "pictures"
    canvas.text(sum(across) / 2, _HEIGHT - 8, below, anchor="middle")
    if guide:
        _guides(canvas, ends, place)
    for name, line in lines.items():
        canvas.path([place(*point) for point in line], name)
        for point in line:
            canvas.circle(*place(*point), 3, name)
    _labels(canvas, {name: place(*line[-1]) for name, line in lines.items()})


def _on(value: float, ends: tuple[float, float], screen: tuple[float, float]) -> float:
    low, high = (math.log(end) for end in ends)
    return screen[0] + (math.log(value) - low) / (high - low or 1.0) * (screen[1] - screen[0])


def _guides(
    canvas: Canvas,
    ends: tuple[tuple[float, float], tuple[float, float]],
    place: Callable[[float, float], tuple[float, float]],
) -> None:
    """Dashed lines along which time is proportional to pictures, a decade apart, cut at the frame."""
    (left, right), (low, high) = ends
    for power in range(math.floor(math.log10(low / right)), math.ceil(math.log10(high / left)) + 1):
        rate = 10.0**power  # seconds per picture
        first, last = max(left, low / rate), min(right, high / rate)
        if first < last:
            canvas.line(*place(first, rate * first), *place(last, rate * last), "guide")


def _labels(canvas: Canvas, places: dict[str, tuple[float, float]]) -> None:
    """Names behind the ends of the lines, moved apart where they would overlap."""
    lowest = -math.inf
    for name, (x, y) in sorted(places.items(), key=lambda item: item[1][1]):
        lowest = max(y + 4, lowest + _LABEL)
        canvas.text(x + 7, lowest, name, name)
