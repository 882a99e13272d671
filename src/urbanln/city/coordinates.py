"""Longitude and latitude of a table's rows, from two columns or from point geometries, in any CRS."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj

from urbanln.city.checks import WGS84
from urbanln.city.columns import at_row, first, need_columns, number_column
from urbanln.errors import InputError


def point_coordinates(
    frame: pd.DataFrame | gpd.GeoDataFrame, lon: str, lat: str, crs: str, table: str
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of every row in degrees (EPSG:4326), NaN where a row has none.

    Args:
        frame: The table. A table of points (GeoJSON, GeoPackage, GeoParquet) needs no columns.
        lon: Column of longitudes or eastings.
        lat: Column of latitudes or northings.
        crs: Reference system of the columns; for points, of those whose file does not say.
        table: Name of the table, for errors.

    Returns:
        Longitude and latitude, (N,) each.

    Raises:
        InputError: Column missing, value no number, unknown CRS, or values that do not fit the CRS.
    """
    system = _system(crs)
    if isinstance(frame, gpd.GeoDataFrame) and not {lon, lat} <= {str(c) for c in frame.columns}:
        system = frame.crs or system
        x, y = _from_points(frame, table)
    else:
        need_columns(frame.columns, [lon, lat], table)
        x, y = (number_column(frame, c, table, text_numbers=True).to_numpy().copy() for c in (lon, lat))
    absent = np.isnan(x) | np.isnan(y)
    x[absent], y[absent] = np.nan, np.nan
    if absent.all():
        return x, y
    if system.is_geographic:
        _check_degrees(x, y, table)
    elif (np.abs(x[~absent]) <= 180).all() and (np.abs(y[~absent]) <= 90).all():
        raise InputError(
            f"these values look like degrees, not like {system.to_string()}",
            value=(float(x[~absent][0]), float(y[~absent][0])),
            where=table,
            remedy="leave --crs out for longitude and latitude",
        )
    if system.equals(pyproj.CRS(WGS84), ignore_axis_order=True):
        return x, y
    x, y = pyproj.Transformer.from_crs(system, WGS84, always_xy=True).transform(x, y)
    x, y = np.where(absent, np.nan, x), np.where(absent, np.nan, y)
    if (row := first(~np.isfinite(x) & ~absent)) is not None:
        raise InputError(
            f"coordinates outside the area of {system.to_string()}",
            where=at_row(table, row),
            remedy="check --crs",
        )
    return x, y


def _system(crs: str) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise InputError(
            "unknown coordinate reference system", value=crs, where="crs", remedy="for example EPSG:3857"
        ) from error


def _from_points(frame: gpd.GeoDataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
    shapes = frame.geometry
    there = shapes.notna() & ~shapes.is_empty
    if (row := first(there & (shapes.geom_type != "Point"))) is not None:
        raise InputError(
            "the table's geometry must be points, or name columns with the coordinates",
            value=shapes.geom_type.iloc[row],
            where=at_row(table, row),
            remedy="use --lon and --lat, or points such as the centroids",
        )
    x, y = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    x[there], y[there] = shapes[there].x, shapes[there].y
    return x, y


def _check_degrees(x: np.ndarray, y: np.ndarray, table: str) -> None:
    bad = (np.abs(x) > 180) | (np.abs(y) > 90)
    if (row := first(bad)) is None:
        return
    if np.nanmax(np.abs(x)) <= 90 and np.nanmax(np.abs(y)) <= 180:
        remedy = "longitude and latitude look swapped: exchange --lon and --lat"
    else:
        remedy = "wrong CRS? say which one the values are in, for example --crs EPSG:3857"
    raise InputError(
        "coordinates outside ±180/±90 degrees",
        value=f"lon {float(x[row])}, lat {float(y[row])}",
        where=at_row(table, row),
        remedy=remedy,
    )
