"""The mean vector of the pixels of a region, every pixel by its ground inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from exactextract import exact_extract
from exactextract.raster import RasterSource

from urbanln.gather.grids import Grid

Floats = npt.NDArray[np.float64]
_PARTS = 4_000_000  # parts of pixels in memory at once
_NUMBERS = 16_000_000  # and numbers of their vectors


class Means:
    """Mean vectors of regions, over one file after the other.

    Args:
        regions: Polygons in EPSG:4326.
        dimensions: Of a vector.
    """

    def __init__(self, regions: gpd.GeoDataFrame, dimensions: int) -> None:
        self._regions = regions
        self._sums = np.zeros((len(regions), dimensions))
        self._ground = np.zeros(len(regions))
        self.cover = np.zeros(len(regions))
        """(N,) share of a region's area on pixels with a vector; above 1 where files overlap."""

    def add(self, grid: Grid, bands: Sequence[int], value: Callable[[Any], Any] | None = None) -> None:
        """Take the pixels of a file.

        A pixel counts where none of its bands is missing, by the ground of its part inside: in a grid of
        degrees that depends on its latitude.

        Args:
            grid: The file.
            bands: That are the vector, in this order.
            value: What makes values of the numbers that are read; None: they are.
        """
        shapes = grid.shapes(self._regions)
        across, up = grid.pixel
        pixels = np.maximum(shapely.area(shapes) / (across * up), 1e-300)
        for row, cells, part in _parts(grid, shapes):
            for few in _strips(cells, len(bands), grid.width):
                rows, columns = np.divmod(cells[few], grid.width)
                top, left = rows.min(), columns.min()
                high, wide = int(rows.max() - top + 1), int(columns.max() - left + 1)
                read = grid.read(bands, int(left), int(top), wide, high)[:, rows - top, columns - left]
                vectors = (read if value is None else value(read)).astype(np.float64)
                there = np.isfinite(vectors).all(axis=0)
                weight = (part[few] * _ground(grid, rows))[there]
                self._sums[row] += vectors[:, there] @ weight
                self._ground[row] += weight.sum()
                self.cover[row] += part[few][there].sum() / pixels[row]

    def vectors(self) -> Floats:
        """(N, D) the means; NaN where no pixel with a vector lies in a region."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self._sums / self._ground[:, None])


def _ground(grid: Grid, rows: npt.NDArray[np.int64]) -> Floats:
    """Area of pixels, in square metres; in a grid of degrees of the sphere."""
    across, up = grid.pixel
    if not grid.crs.is_geographic:
        metres = grid.crs.axis_info[0].unit_conversion_factor
        return np.full(len(rows), across * up * metres**2)
    north = np.radians(grid.bounds[3] - rows * up)
    return 6_371_007.0**2 * np.radians(across) * (np.sin(north) - np.sin(north - np.radians(up)))


def _parts(
    grid: Grid, shapes: npt.NDArray[np.object_]
) -> Iterator[tuple[int, npt.NDArray[np.int64], Floats]]:
    """For each shape that lies on a grid: its row, its pixels' numbers in the grid and their parts inside."""
    windows = [grid.window(np.array([shape], dtype=object)) for shape in shapes]
    held: list[int] = []
    for row, (_, _, width, height) in enumerate(windows):
        if not width:
            continue
        if held and sum(windows[one][2] * windows[one][3] for one in held) + width * height > _PARTS:
            yield from _cut(grid, shapes, held)
            held = []
        held.append(row)
    yield from _cut(grid, shapes, held)


def _cut(
    grid: Grid, shapes: npt.NDArray[np.object_], rows: list[int]
) -> Iterator[tuple[int, npt.NDArray[np.int64], Floats]]:
    if not rows:
        return
    frame = gpd.GeoDataFrame({"row": rows}, geometry=shapes[rows], crs=grid.crs)
    found = exact_extract(
        _Nothing(grid), frame, ["cell_id", "coverage"], include_cols=["row"], output="pandas"
    )
    for row, cells, part in zip(found["row"], found["cell_id"], found["coverage"], strict=True):
        yield int(row), np.asarray(cells, dtype=np.int64), np.asarray(part, dtype=np.float64)


def _strips(cells: npt.NDArray[np.int64], bands: int, width: int) -> Iterator[npt.NDArray[np.int64]]:
    """Places of pixels whose rows are read at once, so that their vectors fit into memory."""
    rows, columns = np.divmod(cells, width)
    wide = int(np.ptp(columns)) + 1 if len(cells) else 1
    high = max(_NUMBERS // (bands * wide), 1)
    for top in range(int(rows.min(initial=0)), int(rows.max(initial=-1)) + 1, high):
        few = np.flatnonzero((rows >= top) & (rows < top + high))
        if len(few):
            yield few


class _Nothing(RasterSource):
    """The pixels of a grid without their values: only where they lie is asked."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self._grid = grid
        self.set_name("pixels")

    def res(self) -> tuple[float, float]:
        return self._grid.pixel

    def extent(self) -> tuple[float, float, float, float]:
        return self._grid.bounds

    def nodata_value(self) -> None:
        return None

    def srs_wkt(self) -> str:
        return str(self._grid.crs.to_wkt())

    def read_window(self, x0: int, y0: int, nx: int, ny: int) -> npt.NDArray[np.uint8]:
        return np.zeros((ny, nx), dtype=np.uint8)
