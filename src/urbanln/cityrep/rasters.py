"""Rasters of vectors, a band per dimension, brought to the samples of a task. Needs the extra ``raster``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyproj
from rasterio.transform import from_bounds
from rasterio.warp import Resampling, reproject

from urbanln.base.errors import InputError
from urbanln.cityrep.payloads import Payload
from urbanln.gather.grids import GeoTiff, open_grid

Single = npt.NDArray[np.float32]
_SAME_DEG = 1e-9  # by so much the corners of one grid may differ


def raster_vectors(file: Path, payload: Payload) -> Single:
    """The vector of every sample, (N, D), NaN where the raster says none.

    Args:
        file: A GeoTIFF; a band is read at a time, so a whole city's may be larger than memory.
        payload: The samples. Where their task has a raster, ``file`` is brought to its grid by the mean over
            each cell, weighted by area; on the same grid already, cells are looked up. Else the pixel under
            each sample's point is taken.

    Raises:
        InputError: No such file, no GeoTIFF, or without a place on the ground.
    """
    with open_grid(file) as grid:
        made = np.full((len(payload), grid.bands), np.nan, dtype=np.float32)
        if payload.cells is None or not payload.task.raster.is_file():
            _under_points(grid, payload, made)
            return made
        with open_grid(payload.task.raster) as labels:
            columns, rows = payload.cells.T
            if columns.max() >= labels.width or rows.max() >= labels.height or payload.cells.min() < 0:
                remedy = "give the table and the raster of one release"
                raise InputError(
                    "samples lie beyond the raster of their labels", value=(labels.width, labels.height),
                    where=payload.task.raster, remedy=remedy,
                )  # fmt: skip
            rows = labels.height - 1 - rows if labels.flipped else rows  # read from here, north is first
            same = _same_grid(grid, labels)
            for band in range(grid.bands):
                values = grid.read([band + 1], 0, 0, grid.width, grid.height)[0].astype(np.float32)
                made[:, band] = (values if same else _mean_on(grid, values, labels))[rows, columns]
    return made


def _same_grid(one: GeoTiff, other: GeoTiff) -> bool:
    size = (one.width, one.height) == (other.width, other.height)
    return size and one.crs == other.crs and np.allclose(one.bounds, other.bounds, rtol=0, atol=_SAME_DEG)


def _mean_on(grid: GeoTiff, values: Single, labels: GeoTiff) -> Single:
    """A band on the grid of the labels: the mean over each cell, of what has a value."""
    onto = np.full((labels.height, labels.width), np.nan, dtype=np.float32)
    reproject(
        source=values,
        destination=onto,
        src_transform=from_bounds(*grid.bounds, grid.width, grid.height),
        src_crs=grid.crs.to_wkt(),
        src_nodata=np.nan,
        dst_transform=from_bounds(*labels.bounds, labels.width, labels.height),
        dst_crs=labels.crs.to_wkt(),
        dst_nodata=np.nan,
        resampling=Resampling.average,
    )
    return onto


def _under_points(grid: GeoTiff, payload: Payload, made: Single) -> None:
    """The pixel under each point; what lies beside the raster stays NaN."""
    to_grid = pyproj.Transformer.from_crs(4326, grid.crs, always_xy=True)
    x, y = to_grid.transform(*payload.lonlat.T)
    (across, up), (west, _, _, north) = grid.pixel, grid.bounds
    with np.errstate(invalid="ignore"):
        columns, rows = np.floor((x - west) / across), np.floor((north - y) / up)
        inside = (columns >= 0) & (columns < grid.width) & (rows >= 0) & (rows < grid.height)
    columns, rows = columns[inside].astype(np.int64), rows[inside].astype(np.int64)
    for band in range(grid.bands if inside.any() else 0):
        values = grid.read([band + 1], 0, 0, grid.width, grid.height)[0]
        made[inside, band] = values[rows, columns]
