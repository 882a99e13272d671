"""How time, memory and disk grow with the number of pictures, stage by stage.

    python -m benchmarks growth [--sizes 1000 4000 16000 64000] [--stages ingest cache embed probe …]
        [--most 240] [--keep FOLDER] [--json FILE] [--plot FILE.svg]

Synthetic tiles of 64 px, no two alike, each a region with a caption of about 90 words (the vote has three
different ones), and the CLIP in the package; making them is not timed. Each stage runs in a process of its
own. Networks are loaded before the clock starts. A straight line has the same milliseconds per picture at
every size: a ratio of 1, or below it where something fixed is spread over more pictures. A stage is not run
where a straight line through its last size takes more than ``--most`` seconds.

Memory is what the stage and the processes it starts hold at most, less what its process held before it began
(given beside it); looked at 20 times a second. Mapped files, such as the kept pixels, do not count.

``--json`` keeps each figure as soon as it is there, and what is there is not measured again; ``--keep`` keeps
the tiles as well, a folder of each size (4 kB a picture).
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.growth_stages import STAGES, make_data, run
from benchmarks.harness import alone, markdown, options, write
from urbanln.pages.charts import Canvas, log_ticks

# Okabe and Ito's colours, told apart with any kind of colour vision; labels stand at the lines besides.
_COLOURS = {
    "cache": "#0072b2", "epoch": "#d55e00", "embed": "#009e73", "vote": "#aa4499", "probe": "#444444",
    "ingest": "#56b4e9", "report": "#8a8a8a", "explore": "#e69f00", "export": "#882255",
    "audit_pictures": "#117733", "audit_labels": "#999933", "audit_captions": "#332288", "leakage": "#661100",
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
        keep=None,
        json=None,
        plot=None,
    )
    facts = {"threads": os.environ.get("OMP_NUM_THREADS", "all"), "cores": os.cpu_count()}
    rows: list[Row] = []
    if asked.json and asked.json.exists():
        rows = [row for row in json.loads(asked.json.read_text())["rows"] if "seconds" in row]
    for _ in measure(sorted(asked.sizes), asked.stages, asked.most, rows, asked.keep):
        write(asked.json, {**facts, "rows": rows})
    print(tables(rows))
    if asked.plot:
        asked.plot.write_text(draw(rows), encoding="utf-8")


def measure(
    sizes: Sequence[int], stages: Sequence[str], most: float, rows: list[Row], keep: Path | None = None
) -> Iterator[Row]:
    """One row per stage and size: what it took, or ``expected_s`` where that was too long.

    Args:
        sizes: Pictures, ascending.
        stages: Names in :data:`benchmarks.growth_stages.STAGES`.
        most: A stage is not run where a straight line through its last size takes longer, in seconds.
        rows: What was measured before, which is not measured again; further rows are added.
        keep: Folder where the tiles stay.

    Yields:
        Each row that was added.
    """
    for size in sizes:
        there = {(row["stage"], row["pictures"]) for row in rows}
        missing = [stage for stage in stages if (stage, size) not in there]
        expected = {stage: _expected(rows, stage, size) for stage in missing}
        with _folder(keep, size) as root:
            if fitting := [stage for stage in missing if expected[stage] <= most]:
                make_data(root, size, fitting)
            for stage in missing:
                row: Row = {"stage": stage, "pictures": size}
                if expected[stage] > most:
                    row["expected_s"] = expected[stage]
                else:
                    found, peak = alone(run, stage, root, URBANLN_CACHE=str(root / "cache"))
                    row |= found | {"peak_mb": peak}
                    print(f"{stage}, {size:,} pictures: {row['seconds']:.1f} s", file=sys.stderr)
                rows.append(row)
                yield row


def _expected(rows: Sequence[Row], stage: str, size: int) -> float:
    """Seconds by a straight line through the largest size that was measured; 0 where none was."""
    own = [row for row in rows if row["stage"] == stage and "seconds" in row and row["pictures"] <= size]
    last = max(own, key=lambda row: row["pictures"], default=None)
    return last["seconds"] * size / last["pictures"] if last else 0.0


@contextmanager
def _folder(keep: Path | None, size: int) -> Iterator[Path]:
    """The folder of a size: kept, or gone afterwards."""
    if keep:
        root = keep / str(size)
        root.mkdir(parents=True, exist_ok=True)
        yield root.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def tables(rows: Sequence[Row]) -> str:
    """Tables in Markdown: time by the clock and of all cores, memory, disk."""
    return "\n".join(
        [
            _table(rows, "ms per picture", lambda row: 1e3 * row["seconds"] / row["pictures"]),
            _table(rows, "the same, of all cores", lambda row: 1e3 * row["cpu_s"] / row["pictures"]),
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

    sizes = sorted({row["pictures"] for row in rows})
    lines = []
    for stage in dict.fromkeys(row["stage"] for row in rows):
        own = {row["pictures"]: row for row in rows if row["stage"] == stage}
        run_rows = [own[size] for size in sizes if "seconds" in own.get(size, {})]
        cells = []
        for size in sizes:
            row = own.get(size, {})
            late = f"not run: about {row['expected_s']:,.0f} s expected" if "expected_s" in row else "–"
            cells.append(told(value(row)) if "seconds" in row else late)
        ends = [value(row) for row in (run_rows[0], run_rows[-1])] if len(run_rows) > 1 else [None, None]
        ratio = f"{ends[1] / ends[0]:.2f}" if ends[0] and ends[1] else "–"
        last = told(run_rows[0]["idle_mb"] if run_rows else None) if idle else ratio
        lines.append([stage.replace("_", " "), *cells, last])
    return markdown([what, *(f"{size:,}" for size in sizes), "idle" if idle else "largest / smallest"], lines)


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
