"""How soon commands answer, and how long the demo takes, beside another build.

    python -m benchmarks commands --against BUILD [--repeat 5] [--demo 0] [--json FILE]

``BUILD`` is a work tree of any build since 6317c8a, read in place. Builds take turns, each command in a
process of its own: two helps until they end, and a probe of a small city until it says its first word, which
is when its imports are done. (The city is too small for the folds, so nothing is timed but that.) ``--demo
1`` runs the whole demo of both besides, once in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import ends, markdown, options, ratio, write

_ROOT = Path(__file__).parents[1]
_REGIONS = 40
BUILDS = ("other", "this")


def main(argv: Sequence[str] | None = None) -> None:
    """Time both builds in turn and print a table."""
    asked = options(__doc__, argv, against=Path, repeat=5, demo=0, json=None)
    sources = dict(zip(BUILDS, (asked.against.resolve() / "src", _ROOT / "src"), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            (("--help",), asked.repeat, False),
            (("probe", "--help"), asked.repeat, False),
            (("probe", "city", "--vectors", "x=vectors.parquet", "--out", "scores"), asked.repeat, True),
            (("demo", "--out", "demo-{round}"), asked.demo, False),
        ]
        places = {name: _small_city(Path(folder) / name, source) for name, source in sources.items()}
        rows = [_beside(words, repeat, first, sources, places) for words, repeat, first in cases if repeat]
    shown = [
        [f"`urbanln {row['what']}`", f"{row['other_s']:.2f}", f"{row['this_s']:.2f}",
         f"{row['ratio']:.2f} ({ends(row['range'])})"]
        for row in rows
    ]  # fmt: skip
    print(markdown(["", "other, s", "this, s", "this / other"], shown))
    write(asked.json, rows)


def _small_city(folder: Path, source: Path) -> Path:
    """A city made by the build that will read it, and vectors for it."""
    folder.mkdir()
    _started(("synthetic", "city", "--regions", str(_REGIONS)), source, folder).communicate()
    table = pd.read_parquet(folder / "city" / "regions.parquet", columns=["region_id"])
    table["vector"] = list(np.random.default_rng(0).normal(size=(len(table), 8)).astype(np.float32))
    table.to_parquet(folder / "vectors.parquet")
    return folder


def _beside(
    words: Sequence[str], repeat: int, first: bool, sources: dict[str, Path], places: dict[str, Path]
) -> dict[str, Any]:
    """Seconds of a command in both builds, the first round of which warms up but for the demo."""
    seconds: dict[str, list[float]] = {name: [] for name in sources}
    warm_up = int(words[0] != "demo")
    for turn in range(repeat + warm_up):
        for name, source in sources.items():
            command = [word.format(round=turn) for word in words]
            spent = _seconds(command, source, places[name], first)
            if turn >= warm_up:
                seconds[name].append(spent)
    return {
        "what": " ".join(words[:2] if words[-1] == "--help" else words[:1])
        + (", first line" if first else ""),
        "other_s": float(np.median(seconds["other"])),
        "this_s": float(np.median(seconds["this"])),
        **ratio(seconds["this"], seconds["other"]),
        "seconds": seconds,
    }


def _seconds(words: Sequence[str], source: Path, folder: Path, first: bool) -> float:
    begun = time.perf_counter()
    with _started(words, source, folder) as process:
        said = process.stdout.read(1) if first and process.stdout else b""
        spent = time.perf_counter() - begun
        told = said + process.communicate()[0]
        if not first:
            spent = time.perf_counter() - begun
    if not told or (process.returncode and not first):
        raise SystemExit(f"urbanln {' '.join(words)} failed:\n{told.decode(errors='replace')}")
    return spent


def _started(words: Sequence[str], source: Path, folder: Path) -> subprocess.Popen[bytes]:
    """``urbanln`` of one build, both outputs in one."""
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "urbanln", *words],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
