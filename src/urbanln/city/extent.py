"""Where rows lie, at a glance: their extent; rows at (0, 0), far from all others, in several polygons."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from urbanln.base.errors import InputError
from urbanln.base.space import Floats

Mask = npt.NDArray[np.bool_]
_EARTH_KM = 6371.0088
_ISLAND_KM = 500.0  # from (0, 0), in the Gulf of Guinea, to the nearest city it is 570 km
_ONE_PLACE_KM = 3.0  # a large campus; a picture of zoom 14 at the equator
_FAR_KM, _FAR = 50.0, 10.0  # at least, and times the distance within which three quarters lie


def km_between(lon: Floats, lat: Floats, other_lon: Floats | float, other_lat: Floats | float) -> Floats:
    """Great-circle distance in km, pair by pair, from positions in degrees."""
    a, b, c, d = (np.radians(np.asarray(x, dtype=np.float64)) for x in (lon, lat, other_lon, other_lat))
    half = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    return np.asarray(2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def _middle(lon: Floats, lat: Floats) -> tuple[float, float]:
    """The median position; longitudes are turned so that no map is cut at the antimeridian."""
    turn = np.degrees(np.angle(np.exp(1j * np.radians(lon)).mean()))
    return float(np.median((lon - turn + 180) % 360 - 180) + turn), float(np.median(lat))


@dataclass(frozen=True)
class Extent:
    """The box around positions.

    Attributes:
        west, east, south, north: Degrees; west is larger than east where the box crosses the antimeridian.
        width_km, height_km: Through the middle.
    """

    west: float
    east: float
    south: float
    north: float
    width_km: float
    height_km: float

    @classmethod
    def around(cls, lon: Floats, lat: Floats) -> Extent:
        """The extent of (N,) positions in degrees, N one or more."""
        turn = _middle(lon, lat)[0]
        east_of = (lon - turn + 180) % 360 - 180
        south, north = float(lat.min()), float(lat.max())
        at = np.radians((south + north) / 2)
        across, along = float(np.ptp(east_of)), north - south
        per_degree = np.pi * _EARTH_KM / 180
        west, east = (float((turn + x + 180) % 360 - 180) for x in (east_of.min(), east_of.max()))
        width, height = float(across * np.cos(at) * per_degree), float(along * per_degree)
        return cls(west, east, south, north, width, height)

    def __str__(self) -> str:
        """In words: ``lon 116.20 to 116.50, lat 39.80 to 40.00, 25 × 22 km``."""
        digits = 2 if max(self.width_km, self.height_km) >= 10 else 4
        size = " × ".join(f"{km:.0f}" if km >= 10 else f"{km:.2g}" for km in (self.width_km, self.height_km))
        lon, lat = f"lon {self.west:.{digits}f} to {self.east:.{digits}f}", f"{self.south:.{digits}f}"
        return f"{lon}, lat {lat} to {self.north:.{digits}f}, {size} km"


def null_island(lon: Floats, lat: Floats) -> Mask:
    """(N,) rows at exactly (0, 0), which is what software writes for "nowhere".

    None where the others lie around there, or there are none.

    Args:
        lon, lat: (N,) degrees, NaN where missing.
    """
    zero = (lon == 0) & (lat == 0)
    rest = ~zero & ~np.isnan(lon)
    if not zero.any() or not rest.any():
        return np.zeros(len(lon), dtype=bool)
    x, y = _middle(lon[rest], lat[rest])
    away = km_between(np.array([0.0]), np.array([0.0]), x, y)[0] > _ISLAND_KM
    return zero if away else np.zeros(len(lon), dtype=bool)


def far_rows(lon: Floats, lat: Floats) -> tuple[Mask, Floats, float]:
    """Rows far from the others: over 50 km and ten times as far as three quarters of all from the middle.

    Args:
        lon, lat: (N,) degrees, finite.

    Returns:
        (N,) mask, (N,) km from the median position, and the distance within which three quarters lie.
    """
    if len(lon) < 4:
        return np.zeros(len(lon), dtype=bool), np.zeros(len(lon)), 0.0
    x, y = _middle(lon, lat)
    away = km_between(lon, lat, x, y)
    usual = float(np.quantile(away, 0.75))
    return away > max(_FAR_KM, _FAR * usual), away, usual


def check_places(rows: pd.DataFrame, table: str) -> None:
    """Refuse an id (or a picture) whose rows lie kilometres apart: they cannot be one place.

    Args:
        rows: ``key`` (what a row is about), ``id``, ``lon``, ``lat``; the index numbers the rows.
        table: Name of the table, for errors.

    Raises:
        InputError: Names the id whose rows lie farthest apart, and how far.
    """
    placed = rows[rows["lon"].notna() & rows["key"].notna()]
    if not placed["key"].duplicated().any():
        return
    start = placed.groupby("key", sort=False)[["lon", "lat"]].transform("first")
    away = km_between(*(f[c].to_numpy() for f in (placed, start) for c in ("lon", "lat")))
    if not (apart := away > _ONE_PLACE_KM).any():
        return
    row = int(np.argmax(away))
    key = placed["key"].iloc[row]
    name = key if pd.isna(placed["id"].iloc[row]) else placed["id"].iloc[row]
    ids = placed["key"][apart].nunique()
    raise InputError(
        f"{ids} id{'s stand' if ids > 1 else ' stands'} at places over {_ONE_PLACE_KM:g} km apart",
        value=f"{name}: {away[row]:,.1f} km between rows {placed.index[placed['key'] == key][0]} and "
        f"{placed.index[row]}",
        where=f"{table} (the first row is 0)",
        remedy="name another column (--id-column, --image-column), or --trust-ids: the first row counts",
    )


def odd_places(rows: pd.DataFrame, lon_column: str, lat_column: str) -> list[str]:
    """What is odd about where rows lie, in words.

    Args:
        rows: ``lon``, ``lat`` in degrees; the index numbers the rows.
        lon_column, lat_column: Columns that they were read from.
    """
    said = []
    if lon_column.lower().startswith("lat") or lat_column.lower().startswith(("lon", "lng")):
        said.append(f"longitude is read from '{lon_column}', latitude from '{lat_column}': are they swapped?")
    far, away, usual = far_rows(rows["lon"].to_numpy(), rows["lat"].to_numpy())
    if far.any():
        row = int(np.argmax(away))
        at = f"row {rows.index[row]} at lon {rows['lon'].iloc[row]:.4f}, lat {rows['lat'].iloc[row]:.4f}"
        said.append(
            f"{int(far.sum())} rows lie far from the others, kept: {at} is {away[row]:,.0f} km from the "
            f"middle, three quarters of all within {usual:.3g} km"
        )
    return said


def in_several(shapes: gpd.GeoDataFrame, lon: np.ndarray, lat: np.ndarray) -> list[str]:
    """Points inside several polygons, in words; a common border is no overlap.

    Args:
        shapes: Regions with ``region_id``, EPSG:4326.
        lon, lat: (N,) degrees.
    """
    areas = shapes.geometry.to_numpy()[(shapes.geom_type != "Point").to_numpy()]
    point, polygon = shapely.STRtree(areas).query(shapely.points(lon, lat), predicate="within")
    several = np.bincount(point, minlength=len(lon)) > 1
    if not several.any():
        return []
    names = shapes["region_id"].iloc[np.sort(polygon[point == int(np.argmax(several))])].head(2)
    return [
        f"{int(several.sum())} points lie in several polygons, which overlap ({' and '.join(names)}); "
        "the first in the file takes them"
    ]
