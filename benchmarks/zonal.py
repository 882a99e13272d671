"""Sums of a large raster per region, by ``urbanln gather`` and by exactextract called by hand.

    python -m benchmarks zonal [--edge 20000] [--regions 10000] [--repeat 2] [--json FILE]

A raster of that many pixels a side (float32, nodata declared, blocks of 512), and hexagons over all of it.
Ours also tells what share of a region is covered, and its least and largest value; by hand is the sum alone,
with either of exactextract's ways. Processes of their own take turns; each tells the most memory it held.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.transform import Affine
from rasterio.windows import Window

from benchmarks.harness import alone, ends, markdown, options, peak_mb, ratio, write

_WEST, _NORTH, _PIXEL = 20.0, 62.0, 0.0001
_BLOCK, _NONE = 512, -99999.0


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table; with ``--json`` also write the figures."""
    asked = options(__doc__, argv, edge=20_000, regions=10_000, repeat=2, json=None)
    ways = ("ours", "raster-sequential", "feature-sequential")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raster.tif"
        make(path, asked.edge)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for _ in range(asked.repeat):
            for way in ways:
                found[way].append(alone(sums, way, path, asked.edge, asked.regions)[0])
    totals = [one["total"] for runs in found.values() for one in runs]
    assert np.ptp(totals) <= 1e-6 * abs(totals[0]), totals
    seconds = {way: [one["seconds"] for one in runs] for way, runs in found.items()}
    worked = {way: [one["worked"] for one in runs] for way, runs in found.items()}
    rows, figures = [], {}
    for way in ways:
        over, work = ratio(seconds["ours"], seconds[way]), ratio(worked["ours"], worked[way])
        peak = max(one["mb"] for one in found[way])
        figures[way] = {"seconds": seconds[way], "mb": peak, "ours_over_it": over, "work": work}
        rows.append(
            [
                way, f"{np.median(seconds[way]):.1f}", f"{over['ratio']:.2f}", ends(over["range"]),
                f"{np.median(worked[way]):.1f}", f"{work['ratio']:.2f}", f"{peak:,.0f}",
            ]
        )  # fmt: skip
    head = ["way", "s", "ours / it", "range", "s of the processor", "ours / it", "MB at most"]
    print(markdown(head, rows))
    write(asked.json, figures)


def make(path: Path, edge: int) -> None:
    """Write a raster block by block."""
    rng = np.random.default_rng(0)
    block = rng.gamma(1, 5, (_BLOCK, _BLOCK)).astype(np.float32)
    block[:40, :40] = _NONE
    grid = Affine(_PIXEL, 0, _WEST, 0, -_PIXEL, _NORTH)
    shape = {"width": edge, "height": edge, "count": 1, "dtype": "float32"}
    tiled = {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK}
    with rasterio.open(
        path, "w", driver="GTiff", transform=grid, crs="EPSG:4326", nodata=_NONE, **shape, **tiled
    ) as file:
        for top in range(0, edge, _BLOCK):
            for left in range(0, edge, _BLOCK):
                high, wide = min(_BLOCK, edge - top), min(_BLOCK, edge - left)
                file.write(block[:high, :wide], 1, window=Window(left, top, wide, high))


def sums(way: str, path: str, edge: int, count: int) -> dict[str, float]:
    """The sums in one way: seconds, MB at most, and the sum of all."""
    regions = _hexagons(edge * _PIXEL, count)
    start, work = time.perf_counter(), time.process_time()
    if way == "ours":
        from urbanln.gather.grids import open_grid
        from urbanln.gather.labels.zonal import zonal

        with open_grid(path) as grid:
            values = zonal(grid, regions, "sum").values
    else:
        from exactextract import exact_extract

        table = exact_extract(path, regions, ["sum"], strategy=way, output="pandas")
        values = table["sum"].to_numpy()
    worked = time.process_time() - work
    return {
        "seconds": time.perf_counter() - start,
        "worked": worked,
        "mb": peak_mb(),
        "total": float(np.nansum(values)),
    }


def _hexagons(width: float, count: int) -> gpd.GeoDataFrame:
    """About so many hexagons, side by side over the raster."""
    side = width / np.ceil(np.sqrt(count))
    turn = np.radians(np.arange(30, 390, 60))
    ring = np.column_stack([np.cos(turn), np.sin(turn)]) * side / np.sqrt(3)
    steps = np.arange(side / 2, width, side)
    x, y = (part.ravel() for part in np.meshgrid(steps, steps))
    middles = np.column_stack([_WEST + x + np.where(np.round(y / side) % 2, side / 2, 0), _NORTH - y])
    shapes = shapely.polygons(middles[:, None] + ring[None])
    return gpd.GeoDataFrame({"region_id": np.arange(len(shapes)).astype(str)}, geometry=shapes, crs=4326)
