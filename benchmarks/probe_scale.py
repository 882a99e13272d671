"""How long heads take on a large table, and how much memory they need.

    python -m benchmarks probe_scale [--regions 100000] [--dim 512] [--json FILE]

One label, one block split of five folds, one seed. Every head runs in a process of its own, through the same
function as in a probe (one thread), so that the peaks of memory can be compared: that of the whole process,
Python and its packages included. The label is a curved function of the vectors and the map, in noise.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.harness import alone, markdown, options, peak_mb, timed, write
from urbanln.probe.held_out import held_out
from urbanln.probe.metrics import r2
from urbanln.probe.splits import block_split

_FACTORS = 64
HEADS = ("ridge", "mlp", "boosting")
_COLUMNS = {
    "what": ("what", ""), "s": ("seconds", ".0f"), "CPU s": ("cpu_s", ".0f"), "R²": ("r2", ".3f"),
    "table MB": ("table_mb", ".0f"), "before MB": ("before_mb", ".0f"), "peak MB": ("peak_mb", ".0f"),
    "peak / table": ("ratio", ".2f"),
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every head and print a table."""
    asked = options(__doc__, argv, regions=100_000, dim=512, json=None)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{asked.regions:,} regions × {asked.dim}, 5 folds; load before: {load:.1f}\n", flush=True)
    rows = [alone(measure, head, asked.regions, asked.dim)[0] for head in HEADS]
    print(markdown(list(_COLUMNS), [[f"{row[key]:{how}}" for key, how in _COLUMNS.values()] for row in rows]))
    print(f"Together {sum(row['seconds'] for row in rows):.0f} s, one after the other.")
    write(asked.json, rows)


def measure(head: str, regions: int, dim: int) -> dict[str, Any]:
    """Held-out predictions of all regions by one head; making the table does not count."""
    lonlat, X, y = vectors_and_label(regions, dim)
    folds = block_split(lonlat, edge_km=5, buffer_km=1)
    before, cpu = peak_mb(), time.process_time()
    seconds, predicted = timed(held_out, head, X, y, folds, 0)
    cpu, table, peak = time.process_time() - cpu, X.nbytes / 2**20, peak_mb()
    return {
        "what": head,
        "regions": regions,
        "dim": dim,
        "seconds": seconds,
        "cpu_s": cpu,
        "r2": r2(y, predicted),
        "table_mb": table,
        "before_mb": before,
        "peak_mb": peak,
        "ratio": peak / table,
    }


def vectors_and_label(regions: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (N, 2), one per km²; vectors (N, D) of 64 factors; a label of factors and map; in noise."""
    rng = np.random.default_rng(0)
    edge = np.sqrt(regions) / 111
    lonlat = rng.random((regions, 2)) * [edge / np.cos(np.radians(40)), edge] + [116, 40]
    shares = np.sqrt(1 + np.arange(_FACTORS))[:, None]
    mixing = rng.standard_normal((_FACTORS, dim), dtype=np.float32) / shares
    X, y = np.empty((regions, dim), dtype=np.float32), np.empty(regions)
    for start in range(0, regions, 2000):
        part = slice(start, min(start + 2000, regions))
        factors = rng.standard_normal((part.stop - start, _FACTORS), dtype=np.float32)
        X[part] = factors @ mixing + 0.5 * rng.standard_normal((len(factors), dim), dtype=np.float32)
        y[part] = factors[:, 0] + np.abs(factors[:, 1]) + factors[:, 30] + np.sin(2 * factors[:, 2])
    return lonlat, X, y + np.sin(lonlat[:, 0] * 40) / 2 + 0.5 * rng.standard_normal(regions)
