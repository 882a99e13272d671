"""Longitude and latitude of a table's rows: two columns, one of text, or points, in any CRS or datum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely

from urbanln.base.columns import at_row, first, need_columns, number_column, refuse
from urbanln.base.errors import InputError
from urbanln.base.frames import id_text
from urbanln.base.geometry import earth_crs, lonlat_of, without_numbers
from urbanln.base.space import Floats
from urbanln.city.checks import WGS84
from urbanln.city.datum import DATUMS, to_wgs84

OUTSIDE_CHINA = ("refuse", "keep", "shift")
_PLACES = ("Point", "Polygon", "MultiPolygon")
_CHOOSE = "columns called otherwise are named by --lon and --lat (of a recipe: lon and lat)"
_ONE_PLACE_DEGREES = 0.01  # about a kilometre
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_PAIR = rf"^\s*[(\[]?\s*{_NUMBER}\s*[,;\s]\s*{_NUMBER}\s*[)\]]?\s*$"


@dataclass(frozen=True)
class Positions:
    """Where in a table the coordinates stand, and in which system.

    Attributes:
        lon, lat: Columns of longitudes and latitudes, or of eastings and northings.
        crs: Reference system of the columns; for points, of those whose file does not say.
        datum: ``wgs84``, or the Chinese ``gcj02`` or ``bd09`` of the degrees, which no CRS describes.
        lonlat: Column that holds both as text, longitude first (``"(116.4, 39.9)"``); wins over two columns.
        latlon: The same, latitude first.
        outside_china: What points are that lie where no map in ``datum`` is shifted: WGS 84 already
            (``keep``), in the datum too (``shift``), or not known (``refuse`` such a table).
    """

    lon: str = "lon"
    lat: str = "lat"
    crs: str = WGS84
    datum: str = "wgs84"
    lonlat: str | None = None
    latlon: str | None = None
    outside_china: str = "refuse"

    def by_shapes(self, frame: pd.DataFrame) -> bool:
        """Whether positions are those of the table's shapes: no columns are named, and none are called so."""
        if self.lonlat or self.latlon or not isinstance(frame, gpd.GeoDataFrame):
            return False
        named = (self.lon, self.lat) != (Positions.lon, Positions.lat)
        return not named and not {self.lon, self.lat} <= {str(column) for column in frame}

    @property
    def said_crs(self) -> str | None:
        """The reference system, where one was said that is not the usual one."""
        return None if self.crs.upper() == WGS84 else self.crs


class Places(NamedTuple):
    """Where the rows of a table lie.

    Attributes:
        lon, lat: (N,) degrees (EPSG:4326), NaN where a row has none.
        note: What was done to bring them to WGS 84, in words.
    """

    lon: np.ndarray
    lat: np.ndarray
    note: str


def point_coordinates(frame: pd.DataFrame | gpd.GeoDataFrame, where: Positions, table: str) -> Places:
    """Coordinates of every row in degrees (EPSG:4326), NaN where a row has none.

    Args:
        frame: The table. A table of points (GeoJSON, GeoPackage, GeoParquet) needs no columns.
        where: Columns, reference system and datum.
        table: Name of the table, for errors.

    Raises:
        InputError: Column missing, value no number, unknown CRS or datum, values that do not fit the CRS, or
            a Chinese datum of points that no map of China shifts.
    """
    system = earth_crs(where.crs)
    if where.outside_china not in OUTSIDE_CHINA:
        raise InputError(
            "no such choice",
            value=where.outside_china,
            remedy=f"one of {', '.join(OUTSIDE_CHINA)}",
            where="--outside-china",
        )
    if where.lonlat or where.latlon:
        x, y = _from_text(frame, where, table)
    elif where.by_shapes(frame):
        system = earth_crs(frame.crs or system, table)
        x, y = _from_points(frame, table)
    else:
        x, y = _from_columns(frame, where, table)
    absent = np.isnan(x) | np.isnan(y)
    x[absent], y[absent] = np.nan, np.nan
    if absent.all():
        return Places(x, y, "WGS 84")
    if system.is_geographic:
        _check_degrees(x, y, table)
    elif (np.abs(x[~absent]) <= 180).all() and (np.abs(y[~absent]) <= 90).all():
        raise InputError(
            f"these values look like degrees, not like {system.to_string()}",
            value=(float(x[~absent][0]), float(y[~absent][0])),
            where=table,
            remedy="leave --crs out for longitude and latitude",
        )
    if system.equals(pyproj.CRS(WGS84), ignore_axis_order=True) or (
        where.datum != "wgs84" and system.is_geographic  # CGCS2000 and its like, as Chinese files say
    ):
        return _without_shift(x, y, where, table)
    if where.datum != "wgs84":
        raise InputError(
            "a Chinese datum is of longitude and latitude, not of another reference system",
            value=f"{where.datum} and {system.to_string()}",
            where=table,
            remedy="give either --datum or --crs",
        )
    return _reprojected(x, y, system, table)


def _from_columns(frame: pd.DataFrame, where: Positions, table: str) -> tuple[np.ndarray, np.ndarray]:
    need_columns(frame.columns, [where.lon, where.lat], table, choose=_CHOOSE)
    try:
        x, y = (
            number_column(frame, c, table, text_numbers=True).to_numpy().copy()
            for c in (where.lon, where.lat)
        )
    except InputError as error:
        if error.remedy and "--missing" in error.remedy:  # which is of labels
            error.remedy = (
                "write plain degrees such as 116.4; leave both cells empty where a place is not known"
            )
        raise
    if isinstance(frame, gpd.GeoDataFrame) and earth_crs(where.crs).is_geographic:
        _differ(frame, where, table)
        x, y = _filled(frame, x, y, table)
    for code in (-999.0, -9999.0, -99999.0, 999.0, 9999.0):  # no place on earth: what stands for none
        nowhere = (x == code) & (y == code)
        x[nowhere], y[nowhere] = np.nan, np.nan
    return x, y


def _without_shift(x: np.ndarray, y: np.ndarray, where: Positions, table: str) -> Places:
    """Degrees brought from a Chinese datum to WGS 84, where maps in it are shifted."""
    if where.datum == "wgs84":
        return Places(x, y, "WGS 84")
    lon, lat = to_wgs84(x, y, where.datum, everywhere=where.outside_china == "shift")
    written = DATUMS[where.datum]
    there = ~np.isnan(x)
    moved = there & ((lon != x) | (lat != y))
    there &= ~((x == 0) & (y == 0))  # what software writes for "nowhere"
    left = int((there & ~moved).sum())
    if not moved.any():
        raise InputError(
            f"{written} is a datum of maps of China, and no point is where they are shifted",
            value=f"the middle is lon {np.nanmean(x):.4f}, lat {np.nanmean(y):.4f}",
            where=table,
            remedy="leave --datum out, or check which column is the longitude; --outside-china shift takes "
            "the formulas at their word around China too, for example in Taiwan",
        )
    if where.outside_china == "refuse" and (row := first(there & ~moved)) is not None:
        raise InputError(
            f"{left} of {int(there.sum())} points lie where no map in {written} is shifted",
            value=f"lon {x[row]:.4f}, lat {y[row]:.4f}",
            where=at_row(table, row),
            remedy="say what they are: --outside-china keep (WGS 84 already) or --outside-china shift "
            f"({written} as well); or leave their rows out",
        )
    metres = pyproj.Geod(ellps="WGS84").inv(x[moved], y[moved], lon[moved], lat[moved])[2]
    note = (
        f"WGS 84, converted from {written}: {len(metres):,} of {int(there.sum()):,} rows moved by "
        f"{np.min(metres):,.0f} to {np.max(metres):,.0f} m"
    )
    return Places(lon, lat, note)


def _reprojected(x: np.ndarray, y: np.ndarray, system: pyproj.CRS, table: str) -> Places:
    absent, given = np.isnan(x), (x, y)
    x, y = pyproj.Transformer.from_crs(system, WGS84, always_xy=True).transform(x, y)
    x, y = np.where(absent, np.nan, x), np.where(absent, np.nan, y)
    if (row := first(~np.isfinite(x) & ~absent)) is not None:
        raise InputError(
            f"coordinates outside the area of {system.to_string()}",
            value=tuple(float(part[row]) for part in given),
            where=at_row(table, row),
            remedy="check --crs",
        )
    return Places(x, y, f"WGS 84, brought from {system.to_string()}")


def _from_text(frame: pd.DataFrame, where: Positions, table: str) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of one column such as ``"(39.9, 116.4)"``."""
    if where.lonlat and where.latlon:
        raise InputError(
            "the coordinates stand in one column or the other",
            value=(where.lonlat, where.latlon),
            where=table,
            remedy="give either --lonlat-column or --latlon-column",
        )
    name = where.lonlat or where.latlon or ""
    need_columns(frame.columns, [name], table)
    text = id_text(frame[name])
    parts = text.str.extract(_PAIR)
    unfit = parts[0].isna() & text.notna()
    refuse(
        unfit,
        f"'{name}' must hold two numbers, such as (39.9, 116.4)",
        text,
        table,
        "write it so, or empty it",
    )
    one, two = (parts[column].astype("float64").to_numpy().copy() for column in (0, 1))
    return (one, two) if where.lonlat else (two, one)


def _from_points(frame: gpd.GeoDataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions of shapes in their own system; a polygon stands for a point in it."""
    shapes = frame.geometry.to_numpy()
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes) | without_numbers(shapes))
    kinds = pd.Series(frame.geom_type.to_numpy())
    alone = shapely.get_num_geometries(shapes) == 1
    fit = kinds.isin(_PLACES) | ((kinds == "MultiPoint") & alone)
    refuse(
        there & ~fit.to_numpy(),
        "the table's geometry must be points or polygons, or name columns with the coordinates",
        kinds,
        table,
        "use --lon and --lat, or points such as the centroids",
    )
    x, y = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    points, other = shapes[there], (kinds != "Point").to_numpy()[there]
    points[other] = shapely.point_on_surface(points[other])
    x[there], y[there] = shapely.get_x(points), shapely.get_y(points)
    return x, y


def _filled(frame: gpd.GeoDataFrame, x: Floats, y: Floats, table: str) -> tuple[Floats, Floats]:
    """Degrees of columns, and where both are empty those of the row's shape: extracts have none for areas."""
    empty = np.isnan(x) & np.isnan(y) & frame.geom_type.isin(_PLACES).to_numpy()
    if empty.any() and frame.crs is not None:
        x[empty], y[empty] = lonlat_of(frame.geometry[empty], table).T
    return x, y


def _differ(frame: gpd.GeoDataFrame, where: Positions, table: str) -> None:
    """Refuse a table whose columns and points say different places: nobody can tell which ones are meant."""
    points = (frame.geom_type == "Point").to_numpy()
    if frame.crs is None or not points.any() or not earth_crs(frame.crs, table).is_geographic:
        return
    shapes = frame.geometry.to_numpy()
    columns = [number_column(frame, c, table, text_numbers=True).to_numpy() for c in (where.lon, where.lat)]
    off = np.hypot(shapely.get_x(shapes) - columns[0], shapely.get_y(shapes) - columns[1])
    refuse(
        points & (np.nan_to_num(off) > _ONE_PLACE_DEGREES),
        f"the columns '{where.lon}', '{where.lat}' and the table's points say different places",
        lambda row: f"({columns[0][row]:.5f}, {columns[1][row]:.5f}) and {shapes[row].wkt}",
        table,
        "take out the ones that are not meant: drop the columns, or save the table without its geometry",
    )


def _check_degrees(x: np.ndarray, y: np.ndarray, table: str) -> None:
    bad = (np.abs(x) > 180) | (np.abs(y) > 90)
    if (row := first(bad)) is None:
        return
    if np.nanmax(np.abs(x)) <= 90 and np.nanmax(np.abs(y)) <= 180:
        remedy = (
            "longitude and latitude look swapped: exchange --lon and --lat, or --lonlat-column and "
            "--latlon-column"
        )
    elif np.nanmin(x) >= 0 and np.nanmax(x) <= 360 and np.nanmax(np.abs(y)) <= 90:
        remedy = "longitudes from 0 to 360? take 360 off those beyond 180"
    else:
        remedy = "wrong CRS? say which one the values are in, for example --crs EPSG:3857"
    raise InputError(
        "coordinates outside ±180/±90 degrees",
        value=f"lon {float(x[row])}, lat {float(y[row])}",
        where=at_row(table, row),
        remedy=remedy,
    )
