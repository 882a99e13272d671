"""Pixels of a GeoTIFF, in any system and of any kind, as the picture of a region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from PIL import Image
from rasterio.transform import from_bounds
from rasterio.warp import Resampling, reproject

from urbanln.gather.grids import GeoTiff
from urbanln.gather.tiles.picture import EARTH_M, Frame

Floats = npt.NDArray[np.float32]
Pairs = Sequence[tuple[float, float]]
_MERCATOR = "EPSG:3857"
_MARGIN = 3  # pixels around, which its outer ones are mixed with
_POINTS = 21  # of an edge: one that is straight here bends in other systems


def box_of(frame: Frame) -> tuple[float, float, float, float]:
    """West, south, east, north of a frame of zoom 0, in metres of Web-Mercator."""
    half = EARTH_M / 2
    return (
        frame.west * EARTH_M - half, half - frame.south * EARTH_M,
        frame.east * EARTH_M - half, half - frame.north * EARTH_M,
    )  # fmt: skip


def pixels(grid: GeoTiff, frame: Frame, bands: Sequence[int]) -> Floats | None:
    """Values of a frame's pixels, (bands, height, width), NaN where there is none; None where all are.

    A picture coarser than the file gets means of pixels, a finer one what lies between them.

    Args:
        grid: An open GeoTIFF.
        frame: Of zoom 0 (:func:`urbanln.gather.tiles.picture.frame_of`).
        bands: Of the file.
    """
    column, row, width, height = window_of(grid, frame)
    if not width:
        return None
    (across, up), (west, _, _, north) = grid.pixel, grid.bounds
    least = min(_pixels_per_pixel(grid, frame))
    values = grid.read(bands, column, row, width, height, shrink=max(math.floor(least), 1))
    left, top = west + column * across, north - row * up
    found = np.full((len(bands), frame.height, frame.width), np.nan, dtype=np.float32)
    reproject(
        np.ascontiguousarray(values, dtype=np.float32), found,
        src_transform=from_bounds(left, top - height * up, left + width * across, top, *values.shape[:0:-1]),
        src_crs=grid.crs.to_wkt(), src_nodata=np.nan,
        dst_transform=from_bounds(*box_of(frame), frame.width, frame.height), dst_crs=_MERCATOR,
        dst_nodata=np.nan,
        resampling=Resampling.average if least > 1 else Resampling.bilinear,
    )  # fmt: skip
    return None if np.isnan(found).all() else found


def window_of(grid: GeoTiff, frame: Frame) -> tuple[int, int, int, int]:
    """Column, row, width and height of the pixels that a frame needs; width 0 where it needs none."""
    edges = _edges(grid, frame)
    if not np.isfinite(edges).all() or edges[0] > edges[2]:
        return 0, 0, 0, 0
    window = grid.window(np.array([shapely.box(*edges)], dtype=object))
    return _wider(grid, *window) if window[2] else window


def _edges(grid: GeoTiff, frame: Frame) -> tuple[float, float, float, float]:
    """The box of a frame in the grid's system."""
    west, south, east, north = _from_mercator(grid.crs).transform_bounds(*box_of(frame), densify_pts=_POINTS)
    return west, south, east, north


@lru_cache(maxsize=64)
def _from_mercator(crs: pyproj.CRS) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(_MERCATOR, crs, always_xy=True)


def _pixels_per_pixel(grid: GeoTiff, frame: Frame) -> tuple[float, float]:
    """How many of the file's pixels one of the picture takes, across and down."""
    (across, up), edges = grid.pixel, _edges(grid, frame)
    return (edges[2] - edges[0]) / across / frame.width, (edges[3] - edges[1]) / up / frame.height


def _wider(grid: GeoTiff, column: int, row: int, width: int, height: int) -> tuple[int, int, int, int]:
    left, top = max(column - _MARGIN, 0), max(row - _MARGIN, 0)
    right, bottom = min(column + width + _MARGIN, grid.width), min(row + height + _MARGIN, grid.height)
    return left, top, right - left, bottom - top


def as_picture(values: Floats, ranges: Pairs) -> Image.Image:
    """Values as a picture of 8 bits per channel; what is missing is white.

    Args:
        values: (1 or 3, height, width).
        ranges: Darkest and brightest value, for all bands or one each; empty: 0 and 255.
    """
    low, high = np.array(ranges or [(0.0, 255.0)], dtype=np.float64).T
    with np.errstate(invalid="ignore"):
        scaled = (values - low[:, None, None]) / (high - low)[:, None, None] * 255
        levels = np.where(np.isnan(values).any(axis=0), 255, np.clip(np.rint(scaled), 0, 255)).astype(
            np.uint8
        )
    return Image.fromarray(np.moveaxis(np.broadcast_to(levels, (3, *levels.shape[1:])), 0, -1).copy(), "RGB")


def sample(grid: GeoTiff, bands: Sequence[int]) -> Any:
    """Two and 98 hundredths of a file's values, for whoever has to name a stretch."""
    shrink = max(math.ceil(max(grid.width, grid.height) / 500), 1)
    values = grid.read(bands, 0, 0, grid.width, grid.height, shrink=shrink)
    return np.nanpercentile(values, [2, 98]) if np.isfinite(values).any() else np.array([np.nan, np.nan])
