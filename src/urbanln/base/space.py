"""Positions on the ground: checked degrees, local metres, square blocks, nearest distances."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyproj
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# Web Mercator ends here: the latitude at which the world is a square.
MERCATOR_LATITUDE = math.degrees(math.atan(math.sinh(math.pi)))
CITY_GAP_M = 1e8  # wider than the earth: cities stay apart whatever their extent


def check_lonlat(lonlat: npt.ArrayLike) -> Floats:
    """The positions as (N, 2) float64 longitude, latitude in degrees (EPSG:4326).

    Raises:
        InputError: Not two columns of numbers, a value that is missing, or one out of range.
    """
    try:
        points = np.asarray(lonlat, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "positions are not numbers",
            value=str(error),
            where="positions",
            remedy="give an array (N, 2) of degrees",
        ) from error
    if points.ndim != 2 or points.shape[1] != 2:
        raise InputError(
            "positions are two columns: longitude and latitude",
            value=points.shape,
            where="positions",
            remedy="give an array (N, 2) of degrees",
        )
    with np.errstate(invalid="ignore"):
        bad = ~((np.abs(points[:, 0]) <= 180) & (np.abs(points[:, 1]) <= 90))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            "a position is missing or out of range",
            value=tuple(points[row].tolist()),
            where=f"row {row}",
            remedy="longitude first, then latitude, in degrees (EPSG:4326)",
        )
    return points


def on_mercator(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Places on the square of Web Mercator: x from 0 in the west to 1, y from 0 in the north to 1.

    Args:
        lon: Degrees.
        lat: Degrees within ``MERCATOR_LATITUDE``; beyond it y is beyond 0 or 1.
    """
    up = np.arcsinh(np.tan(np.radians(lat))) / np.pi
    return (np.asarray(lon, dtype=np.float64) + 180) / 360, (1 - up) / 2


def to_metres(lonlat: npt.ArrayLike, cities: npt.ArrayLike | None = None) -> Floats:
    """Project to local metres, (N, 2): azimuthal equidistant around the middle of the points.

    Distances from the middle are exact; between any two points within 300 km of it they are right to
    better than 0.1 %. The antimeridian needs no care, since the middle is taken on the sphere.

    Args:
        lonlat: (N, 2) longitude, latitude in degrees.
        cities: (N,) city of each point. Every city is projected around its own middle, and cities lie
            ``CITY_GAP_M`` apart, so that no block, buffer or neighbour reaches from one into another.

    Raises:
        InputError: See :func:`check_lonlat`.
    """
    points = check_lonlat(lonlat)
    if len(points) == 0:
        return points
    if cities is not None:
        names, number = np.unique(np.asarray(cities).astype(str), return_inverse=True)
        metres = np.empty_like(points)
        for city in range(len(names)):
            own = number == city
            metres[own] = to_metres(points[own]) + np.array([city * CITY_GAP_M, 0.0])
        return metres
    lon, lat = np.radians(points.T)
    x, y, z = (np.cos(lat) * np.cos(lon)).mean(), (np.cos(lat) * np.sin(lon)).mean(), np.sin(lat).mean()
    middle = {"lon_0": np.degrees(np.arctan2(y, x)), "lat_0": np.degrees(np.arctan2(z, np.hypot(x, y)))}
    local = pyproj.CRS.from_dict({"proj": "aeqd", "datum": "WGS84", "units": "m", **middle})
    project = pyproj.Transformer.from_crs(4326, local, always_xy=True)
    return np.column_stack(project.transform(points[:, 0], points[:, 1])).astype(np.float64)


def square_blocks(metres: Floats, edge_km: float, offset: tuple[float, float] = (0.0, 0.0)) -> Ints:
    """Number of the square block each point lies in, (N,), counted from 0 without gaps.

    Args:
        metres: (N, 2) positions in metres.
        edge_km: Edge of a block in km.
        offset: Shift of the grid as a share of an edge, each in [0, 1); the unshifted grid starts at the
            south-western corner of the points.

    Raises:
        InputError: The edge is not a positive number.
    """
    if not (np.isfinite(edge_km) and edge_km > 0):
        raise InputError(
            "the edge of a block is a positive number of km",
            value=edge_km,
            where="block_km",
            remedy="give a number above 0",
        )
    if len(metres) == 0:
        return np.zeros(0, dtype=np.int64)
    cells = np.floor((metres - metres.min(axis=0)) / (1000 * edge_km) + np.asarray(offset)).astype(np.int64)
    _, numbers = np.unique(cells, axis=0, return_inverse=True)
    return numbers.reshape(-1).astype(np.int64)


def nearest_metres(points: Floats, others: Floats) -> Floats:
    """Distance in metres from each point to the nearest of the others, (N,); infinite when there is none."""
    if len(others) == 0 or len(points) == 0:
        return np.full(len(points), np.inf)
    return np.asarray(cKDTree(others).query(points)[0], dtype=np.float64)


def spacing_km(metres: Floats) -> float:
    """Median distance in km from a place to the nearest other one; infinite where there is none."""
    return spacing_metres(metres) / 1000


def spacing_metres(metres: Floats) -> float:
    """Median distance in metres from a place to the nearest other one; infinite where there is none."""
    apart = np.unique(metres, axis=0)
    if len(apart) < 2:
        return np.inf
    return float(np.median(cKDTree(apart).query(apart, k=2)[0][:, 1]))
