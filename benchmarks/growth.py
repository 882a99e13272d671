"""How time, memory and disk grow with the number of pictures, stage by stage.

    python -m benchmarks growth [--sizes 1000 4000 16000 64000] [--stages cache epoch embed vote probe]
        [--most 240] [--json FILE] [--plot FILE.svg]

Synthetic tiles of 64 px, no two alike, with three different captions of about 90 words each, and the CLIP in
the package; making them is not timed. Each stage runs in a process of its own. Networks are loaded before the
clock starts. A straight line has the same milliseconds per picture at every size: a ratio of 1, or below it
where something fixed is spread over more pictures.

Memory is what the stage and the processes it starts hold at most, less what its process held before it began
(given beside it); looked at 20 times a second. Mapped files, such as the kept pixels, do not count.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth_plot import draw
from benchmarks.growth_stages import STAGES, make_data, memory_mb

_NEEDS = {"epoch": "torch", "cache": "torch", "embed": "torch", "vote": "spacy"}
_EXTRAS = {"torch": "train", "spacy": "nlp"}
_COMMAND = (sys.executable, "-m", "benchmarks.growth_stages")
_PAUSE_SECONDS = 0.05
Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print tables; with ``--json`` and ``--plot`` also write files."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks growth", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 4000, 16000, 64000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--most", type=float, default=240, help="seconds a stage may be expected to take")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="SVG file")
    args = parser.parse_args(argv)
    rows = measure(sorted(args.sizes), _usable(args.stages), args.most)
    print(tables(rows))
    if args.json:
        facts = {"threads": os.environ.get("OMP_NUM_THREADS", "all"), "cores": os.cpu_count()}
        args.json.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    if args.plot:
        args.plot.write_text(draw(rows), encoding="utf-8")


def _usable(stages: Sequence[str]) -> list[str]:
    missing = {s: _NEEDS[s] for s in stages if s in _NEEDS and not importlib.util.find_spec(_NEEDS[s])}
    for stage, package in missing.items():
        print(f"{stage} is left out: it needs pip install 'urbanln[{_EXTRAS[package]}]'", file=sys.stderr)
    return [stage for stage in stages if stage not in missing]


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
                if expected.get(stage, 0.0) > most:
                    rows.append({"stage": stage, "pictures": size, "expected_s": expected[stage]})
                    continue
                last[stage] = {"stage": stage, "pictures": size, **_in_a_process(stage, root)}
                rows.append(last[stage])
                print(f"{stage}, {size:,} pictures: {last[stage]['seconds']:.1f} s", file=sys.stderr)
    return rows


def _in_a_process(stage: str, root: Path) -> Row:
    """What the stage says of itself, and the peak of its memory as seen from here."""
    command = [*_COMMAND, stage, str(root)]
    said, told = root / "said", root / "told"
    with said.open("w") as out, told.open("w") as errors:
        env = {**os.environ, "URBANLN_CACHE": str(root / "cache")}
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=env)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, memory_mb(process.pid) or 0.0)
            time.sleep(_PAUSE_SECONDS)
    if process.returncode:
        raise SystemExit(f"{stage} failed:\n{told.read_text()}")
    row: Row = json.loads(said.read_text().splitlines()[-1])
    return row | {"peak_mb": peak or None}


def tables(rows: Sequence[Row]) -> str:
    """Three tables in Markdown: time, memory, disk."""
    return "\n\n".join(
        [
            _table(rows, "ms per picture", lambda row: 1e3 * row["seconds"] / row["pictures"], _more_digits),
            _table(rows, "memory, MB above idle", _above_idle, "{:,.0f}".format, idle=True),
            _table(
                rows, "disk, kB per picture", lambda row: row["bytes"] / row["pictures"] / 1e3, _more_digits
            ),
        ]
    )


def _above_idle(row: Row) -> float | None:
    return None if row["peak_mb"] is None else max(row["peak_mb"] - row["idle_mb"], 0.0)


def _more_digits(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _table(
    rows: Sequence[Row],
    what: str,
    value: Callable[[Row], float | None],
    told: Callable[[float], str],
    *,
    idle: bool = False,
) -> str:
    sizes = list(dict.fromkeys(row["pictures"] for row in rows))
    last = "idle" if idle else "largest / smallest"
    lines = [
        f"| {what} | {' | '.join(f'{n:,}' for n in sizes)} | {last} |",
        "|---|" + "---:|" * (len(sizes) + 1),
    ]
    for stage in dict.fromkeys(row["stage"] for row in rows):
        own = [row for row in rows if row["stage"] == stage]
        found = [value(row) for row in own if "seconds" in row]
        cells = [_cell(row, value, told) for row in own]
        ratio = f"{found[-1] / found[0]:.2f}" if len(found) > 1 and found[0] and found[-1] else "–"
        held = own[0].get("idle_mb")
        cells.append(ratio if not idle else "–" if held is None else told(held))
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Row, value: Callable[[Row], float | None], told: Callable[[float], str]) -> str:
    if "expected_s" in row:
        return f"not run: about {row['expected_s']:,.0f} s expected"
    found = value(row)
    return "–" if found is None else told(found)
