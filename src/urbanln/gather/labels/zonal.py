"""Sums, means and shares of a raster's pixels per region: every pixel by the part of it that lies inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from exactextract import exact_extract
from exactextract.raster import RasterSource

from urbanln.gather.grids import Grid

_CELLS = 30_000_000  # pixels in memory at once
_ROUNDING = 1e-5  # of an area: parts of pixels are numbers of 32 bits

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Zonal:
    """What regions get of a raster.

    Attributes:
        values: (N,) NaN where no pixel with a value lies in a region.
        cover: (N,) share of a region's area that lies on pixels with a value.
        low, high: (N,) least and largest value that lies in a region; NaN where none does.
    """

    values: Floats
    cover: Floats
    low: Floats
    high: Floats


def zonal(
    grid: Grid,
    regions: gpd.GeoDataFrame,
    statistic: Literal["sum", "mean", "share"],
    *,
    band: int = 1,
    classes: Sequence[float] = (),
) -> Zonal:
    """One number per region, in one pass over the pixels that the regions lie on.

    A pixel counts by the part of it that is inside. A sum takes a pixel's value as something that is spread
    over it, as persons are. A mean weighs by ground: in a grid of degrees a pixel's area depends on its
    latitude, in any other system all pixels weigh alike. A share is a mean of zeros and ones.

    Args:
        grid: An open raster.
        regions: Polygons in EPSG:4326.
        statistic: Which.
        band: Of the raster, from 1.
        classes: Values that a share counts.
    """
    shapes = grid.shapes(regions)
    window = grid.window(shapes)
    count = len(shapes)
    if not window[2]:
        nothing = np.full(count, np.nan)
        return Zonal(nothing, np.zeros(count), nothing, nothing)
    on_degrees = grid.crs.is_geographic and statistic != "sum"
    weight = "(coverage_weight=area_spherical_m2)" if on_degrees else ""
    frame = gpd.GeoDataFrame({"row": np.arange(count)}, geometry=shapes, crs=grid.crs)
    ops = [f"value={'sum' if statistic == 'sum' else 'mean'}{weight}", "count=count", "low=min", "high=max"]
    found = exact_extract(
        _Pixels(grid, band, window, classes), frame, ops, strategy="raster-sequential", output="pandas",
        include_cols=["row"], max_cells_in_memory=_CELLS,
    ).sort_values("row")  # fmt: skip
    across, up = grid.pixel
    area = shapely.area(shapes) / (across * up)
    inside = found["count"].to_numpy(dtype=np.float64)
    cover = np.divide(inside, area, out=np.zeros(count), where=area > 0)
    cover = np.where(cover > 1 - _ROUNDING, 1.0, cover)
    values, low, high = (found[name].to_numpy(dtype=np.float64) for name in ("value", "low", "high"))
    there = inside > 0
    return Zonal(np.where(there, values, np.nan), cover, low, high)


class _Pixels(RasterSource):
    """A band of a grid, cut to a window, for exactextract."""

    def __init__(
        self, grid: Grid, band: int, window: tuple[int, int, int, int], classes: Sequence[float]
    ) -> None:
        super().__init__()
        self._grid, self._band, self._window, self._classes = grid, band, window, classes
        self.set_name("pixels")

    def res(self) -> tuple[float, float]:
        return self._grid.pixel

    def extent(self) -> tuple[float, float, float, float]:
        (across, up), (west, _, _, north) = self._grid.pixel, self._grid.bounds
        column, row, width, height = self._window
        left, top = west + column * across, north - row * up
        return left, top - height * up, left + width * across, top

    def nodata_value(self) -> None:
        return None  # NaN

    def srs_wkt(self) -> str:
        return str(self._grid.crs.to_wkt())

    def read_window(self, x0: int, y0: int, nx: int, ny: int) -> npt.NDArray[Any]:
        column, row, _, _ = self._window
        values: npt.NDArray[Any] = self._grid.read([self._band], column + x0, row + y0, nx, ny)[0]
        if not self._classes:
            return np.ascontiguousarray(values)
        inside = np.isin(values, np.array(self._classes, dtype=values.dtype)).astype(np.float32)
        return np.where(np.isnan(values), np.float32(np.nan), inside)
