"""Squares of km as regions: of a projected system, so that each is the same one wherever it was found."""

from __future__ import annotations

import math

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyproj
import shapely

from urbanln.base.errors import InputError
from urbanln.base.geometry import earth_crs

_WGS84 = "EPSG:4326"
_UTM_SPAN_DEGREES = 12.0
Bounds = tuple[float, float, float, float]


class Squares:
    """A grid of squares over the earth, drawn in a projected system.

    Their corners are multiples of the edge in that system: ``"EPSG:32635-1000-385-6672"`` is the square of
    1,000 m whose south-western corner lies at 385,000 m east and 6,672,000 m north.

    Args:
        edge_km: A whole number of metres, from 0.001 to 1,000 km.
        bounds: West, south, east, north of what they are to cover, in degrees.
        crs: A projected system of metres; by default the UTM zone of the middle of ``bounds``.

    Raises:
        InputError: The edge is no whole number of metres, the system is not one of metres, or none was named
            where no single UTM zone does.
    """

    def __init__(self, edge_km: float, bounds: Bounds, crs: str | None = None) -> None:
        metres = edge_km * 1000
        if not (math.isfinite(metres) and 1 <= metres <= 1e6 and abs(metres - round(metres)) < 1e-6):
            raise InputError(
                "the edge of a square is a whole number of metres",
                value=edge_km,
                where="regions",
                remedy="give km from 0.001 to 1000 with at most three decimals, e.g. square:0.5",
            )
        self._edge = round(metres)
        system = _metres(bounds, crs)
        self._name = system.to_string()
        self._forward = pyproj.Transformer.from_crs(_WGS84, system, always_xy=True)
        self._back = pyproj.Transformer.from_crs(system, _WGS84, always_xy=True)

    def at(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """(N, 2) column and row of the square that holds each position."""
        xy = np.column_stack(self._forward.transform(np.asarray(lon), np.asarray(lat)))
        return np.floor(xy / self._edge).astype(np.int64)

    def ids(self, cells: npt.NDArray[np.int64]) -> list[str]:
        """Ids of squares, (N, 2) columns and rows."""
        return [f"{self._name}-{self._edge}-{x}-{y}" for x, y in cells]

    def shapes(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """Squares in degrees, (N, 2) columns and rows; neighbours share their corners."""
        corners = (cells[:, None, :] + np.array([(0, 0), (1, 0), (1, 1), (0, 1)])) * float(self._edge)
        lon, lat = self._back.transform(corners[..., 0], corners[..., 1])
        return np.asarray(shapely.polygons(np.stack([lon, lat], axis=-1)))

    def regions(self, cells: npt.NDArray[np.int64]) -> gpd.GeoDataFrame:
        """Squares as regions, in the order of (N, 2) columns and rows."""
        ids = pd.Series(self.ids(cells), dtype="str")
        return gpd.GeoDataFrame({"region_id": ids}, geometry=list(self.shapes(cells)), crs=_WGS84)


def square_regions(lon: np.ndarray, lat: np.ndarray, edge_km: float) -> tuple[gpd.GeoDataFrame, pd.Series]:
    """Regions are the squares that hold a point; see :class:`Squares`.

    Args:
        lon: (N,) degrees.
        lat: (N,) degrees.
        edge_km: Edge in km.

    Returns:
        The squares, sorted by (column, row), and the region id of each point.

    Raises:
        InputError: See :class:`Squares`.
    """
    bounds = (float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))
    squares = Squares(edge_km, bounds)
    cells = squares.at(lon, lat)
    return squares.regions(np.unique(cells, axis=0)), pd.Series(squares.ids(cells), dtype="str")


def _metres(bounds: Bounds, crs: str | None) -> pyproj.CRS:
    """The system that squares are drawn in."""
    if crs is None:
        west, south, east, north = bounds
        if east - west > _UTM_SPAN_DEGREES or south < -80 or north > 84:
            raise InputError(
                "no single UTM zone shows a place this wide, or this near a pole, without bending it",
                value=f"lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}",
                where="regions",
                remedy="name a system of metres that does (crs), e.g. EPSG:6933, or take H3 cells",
            )
        middle = shapely.box(west, south, east, north)
        return gpd.GeoSeries([middle], crs=_WGS84).estimate_utm_crs()
    system = earth_crs(crs)
    if not system.is_projected or any(axis.unit_conversion_factor != 1 for axis in system.axis_info):
        what, remedy = "squares in km need a projected system of metres", "e.g. EPSG:3067, or leave it out"
        raise InputError(what, value=system.to_string(), where="crs", remedy=remedy)
    return system
