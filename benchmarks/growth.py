"""How time, memory and disk grow with the number of pictures, stage by stage.

    python -m benchmarks growth [--sizes 1000 4000 16000 64000] [--stages cache epoch embed vote probe]
        [--most 240] [--json FILE] [--plot FILE.svg]

Synthetic tiles of 64 px, no two alike, with three different captions of about 90 words each, and the CLIP in
the package; making them is not timed. Each stage runs in a process of its own. Networks are loaded before the
clock starts. A straight line has the same milliseconds per picture at every size: a ratio of 1, or below it
where something fixed is spread over more pictures. A stage is not run where a straight line through its last
size takes more than ``--most`` seconds.

Memory is what the stage and the processes it starts hold at most, less what its process held before it began
(given beside it); looked at 20 times a second. Mapped files, such as the kept pixels, do not count.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth_stages import STAGES, make_data, run
from benchmarks.harness import alone, markdown, options, write
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


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print tables; with ``--json`` and ``--plot`` also write files."""
    asked = options(
        __doc__,
        argv,
        sizes=[1000, 4000, 16000, 64000],
        stages=list(STAGES),
        most=240.0,
        json=None,
        plot=None,
    )
    rows = measure(sorted(asked.sizes), asked.stages, asked.most)
    print(tables(rows))
    facts = {"threads": os.environ.get("OMP_NUM_THREADS", "all"), "cores": os.cpu_count()}
    write(asked.json, {**facts, "rows": rows})
    if asked.plot:
        asked.plot.write_text(draw(rows), encoding="utf-8")


def measure(sizes: Sequence[int], stages: Sequence[str], most: float) -> list[Row]:
    """One row per stage and size: what it took, or ``expected_s`` where that was too long.

    Args:
        sizes: Pictures, ascending.
        stages: Names in :data:`benchmarks.growth_stages.STAGES`.
        most: A stage is not run where a straight line through its last size takes longer, in seconds.
    """
    rows: list[Row] = []
    last: dict[str, Row] = {}
    for size in sizes:
        expected = {s: row["seconds"] * size / row["pictures"] for s, row in last.items()}
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            if any(expected.get(stage, 0.0) <= most for stage in stages):
                make_data(root, size)
            for stage in stages:
                row: Row = {"stage": stage, "pictures": size}
                if expected.get(stage, 0.0) > most:
                    row["expected_s"] = expected[stage]
                else:
                    found, peak = alone(run, stage, root, URBANLN_CACHE=str(root / "cache"))
                    row |= found | {"peak_mb": peak}
                    last[stage] = row
                    print(f"{stage}, {size:,} pictures: {row['seconds']:.1f} s", file=sys.stderr)
                rows.append(row)
    return rows


def tables(rows: Sequence[Row]) -> str:
    """Three tables in Markdown: time, memory, disk."""
    return "\n".join(
        [
            _table(rows, "ms per picture", lambda row: 1e3 * row["seconds"] / row["pictures"]),
            _table(rows, "memory, MB above idle", _above_idle, idle=True),
            _table(rows, "disk, kB per picture", lambda row: row["bytes"] / row["pictures"] / 1e3),
        ]
    )


def _above_idle(row: Row) -> float | None:
    return None if row["peak_mb"] is None else max(row["peak_mb"] - row["idle_mb"], 0.0)


def _table(
    rows: Sequence[Row], what: str, value: Callable[[Row], float | None], *, idle: bool = False
) -> str:
    def told(number: float | None) -> str:
        if number is None:
            return "–"
        return f"{number:,.0f}" if idle or number >= 100 else f"{number:.3g}"

    lines = []
    for stage in dict.fromkeys(row["stage"] for row in rows):
        own = [row for row in rows if row["stage"] == stage]
        found = [value(row) for row in own if "seconds" in row]
        late = [f"not run: about {row['expected_s']:,.0f} s expected" for row in own if "expected_s" in row]
        ratio = f"{found[-1] / found[0]:.2f}" if len(found) > 1 and found[0] and found[-1] else "–"
        last = told(own[0].get("idle_mb")) if idle else ratio
        lines.append([stage, *map(told, found), *late, last])
    sizes = dict.fromkeys(f"{row['pictures']:,}" for row in rows)
    return markdown([what, *sizes, "idle" if idle else "largest / smallest"], lines)


def draw(rows: Sequence[Row]) -> str:
    """A standalone SVG of what :func:`measure` found; what was not run is left out.

    Written out by the canvas of the reports, since no plotting library is among the dependencies.
    """
    label = "Time and memory of each stage against the number of pictures"
    canvas = Canvas(2 * _WIDTH + _GAP, _HEIGHT, label)
    canvas.parts.append(_STYLE)
    canvas.rectangle(0, 0, canvas.width, canvas.height, "#ffffff")
    run_rows = [row for row in rows if "seconds" in row]
    _panel(canvas, 0.0, "time, s", run_rows, lambda row: row["seconds"], guide=True)
    _panel(canvas, _WIDTH + _GAP, "peak memory above idle, MB", run_rows, _above_idle)
    return str(canvas.svg()).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _panel(
    canvas: Canvas,
    x0: float,
    title: str,
    rows: Sequence[Row],
    value: Callable[[Row], float | None],
    *,
    guide: bool = False,
) -> None:
    """Both axes logarithmic. The guides rise as a straight line through zero does."""
    canvas.text(x0 + _LEFT, 18, title, "title")
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if (y := value(row)) is not None:
            lines.setdefault(row["stage"], []).append((row["pictures"], max(y, 1e-3)))
    if not lines:
        return
    xs, ys = zip(*(point for line in lines.values() for point in line), strict=True)
    x_ends, y_ends = (min(xs), max(xs) * 1.0001), (min(ys) * 0.8, max(ys) * 1.25)
    left, right, bottom = x0 + _LEFT, x0 + _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (
            math.log(v / low) / math.log(high / low) for v, (low, high) in ((x, x_ends), (y, y_ends))
        )
        return left + across * (right - left), bottom + up * (_TOP - bottom)

    for tick in log_ticks(*y_ends, 6):
        y = place(x_ends[0], tick)[1]
        canvas.line(left, y, right, y, "grid")
        canvas.text(left - 6, y + 4, f"{tick:,g}", anchor="end")
    for tick in sorted(set(xs)):
        x = place(tick, y_ends[0])[0]
        canvas.line(x, bottom, x, _TOP, "grid")
        canvas.text(x, bottom + 16, f"{tick:,.0f}", anchor="middle")
    below = "pictures (dashed: time in proportion to them)" if guide else "pictures"
    canvas.text((left + right) / 2, _HEIGHT - 8, below, anchor="middle")
    for power in range(-9, 9) if guide else ():  # a decade apart, cut at the frame
        rate = 10.0**power  # seconds per picture
        first, last = max(x_ends[0], y_ends[0] / rate), min(x_ends[1], y_ends[1] / rate)
        if first < last:
            canvas.line(*place(first, rate * first), *place(last, rate * last), "guide")
    for name, line in lines.items():
        canvas.path([place(*point) for point in line], name)
        for point in line:
            canvas.circle(*place(*point), 3, name)
    _labels(canvas, {name: place(*line[-1]) for name, line in lines.items()})


def _labels(canvas: Canvas, places: Mapping[str, tuple[float, float]]) -> None:
    """Names behind the ends of the lines, moved apart where they would overlap."""
    lowest = -math.inf
    for name, (x, y) in sorted(places.items(), key=lambda item: item[1][1]):
        lowest = max(y + 4, lowest + _LABEL)
        canvas.text(x + 7, lowest, name, name)
