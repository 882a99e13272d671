"""How long heads take on a large table, and how much memory they need.

    python -m benchmarks.probe_scale [--regions 100000] [--dim 512] [--heads ridge mlp boosting] [--floors]
                                     [--json FILE]

One label, one block split of five folds, one seed. Every head runs in a process of its own, through the same
function as in a probe (one thread), so that the peaks of memory can be compared: that of the whole process,
Python and its packages included. The label is a curved function of the vectors and the map, in noise.
``--floors`` measures those that the map alone gives, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from urbanln.base.space import to_metres
from urbanln.probe.floors import FLOORS
from urbanln.probe.held_out import held_out
from urbanln.probe.metrics import r2
from urbanln.probe.splits import block_split

KM2_PER_REGION = 1.0
FACTORS = 64


def main() -> None:
    """Measure every head and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--regions", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--heads", nargs="+", default=["ridge", "mlp", "boosting"])
    parser.add_argument("--floors", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help="measure this one in this process and print JSON")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.regions, args.dim)))
        return
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{args.regions:,} regions × {args.dim}, 5 folds; load before: {load:.1f}\n")
    print("| what | s | CPU s | R² | table MB | before MB | peak MB | peak / table |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    rows = []
    for name in (*args.heads, *(FLOORS if args.floors else ())):
        row = _in_a_process(name, args.regions, args.dim)
        numbers = (
            f"{row['table_mb']:.0f} | {row['before_mb']:.0f} | {row['peak_mb']:.0f} | {row['ratio']:.2f}"
        )
        print(
            f"| {name} | {row['seconds']:.0f} | {row['cpu_s']:.0f} | {row['r2']:.3f} | {numbers} |",
            flush=True,
        )
        rows.append(row)
    print(f"\nTogether {sum(row['seconds'] for row in rows):.0f} s, one after the other.")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def _in_a_process(name: str, regions: int, dim: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.probe_scale", "--one", name]
    command += ["--regions", str(regions), "--dim", str(dim)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def measure(name: str, regions: int, dim: int) -> dict[str, Any]:
    """Held-out predictions of all regions by one head or floor; making the table does not count."""
    lonlat, X, y = make_city(regions, dim)
    folds = block_split(lonlat, edge_km=5, buffer_km=1)
    before = _peak_mb()
    work: Callable[[], np.ndarray] = lambda: held_out(name, X, y, folds, 0)  # noqa: E731
    if name in FLOORS:
        work = lambda: FLOORS[name](to_metres(lonlat), y, folds, 0)  # noqa: E731
    start, cpu = time.perf_counter(), time.process_time()
    predicted = work()
    table = X.nbytes / 2**20
    return {
        "what": name,
        "regions": regions,
        "dim": dim,
        "seconds": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "r2": r2(y, predicted),
        "table_mb": table,
        "before_mb": before,
        "peak_mb": _peak_mb(),
        "ratio": _peak_mb() / table,
    }


def make_city(regions: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (N, 2), vectors (N, D) of 64 factors and noise, and a label of factors and map, in noise."""
    rng = np.random.default_rng(0)
    edge = np.sqrt(regions * KM2_PER_REGION) / 111
    lonlat = rng.random((regions, 2)) * [edge / np.cos(np.radians(40)), edge] + [116, 40]
    mixing = rng.standard_normal((FACTORS, dim), dtype=np.float32) / np.sqrt(1 + np.arange(FACTORS))[:, None]
    X, y = np.empty((regions, dim), dtype=np.float32), np.empty(regions)
    for start in range(0, regions, 2000):
        part = slice(start, min(start + 2000, regions))
        factors = rng.standard_normal((part.stop - start, FACTORS), dtype=np.float32)
        X[part] = factors @ mixing + 0.5 * rng.standard_normal((len(factors), dim), dtype=np.float32)
        y[part] = factors[:, 0] + np.abs(factors[:, 1]) + factors[:, 30] + np.sin(2 * factors[:, 2])
    return lonlat, X, y + np.sin(lonlat[:, 0] * 40) / 2 + 0.5 * rng.standard_normal(regions)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
