"""Shapes as foreign tables hold them: which column, which reference system, where their middle lies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyproj
import shapely

from urbanln.base.columns import first
from urbanln.base.errors import InputError
from urbanln.base.space import Floats

GEOMETRY_NAMES = (
    "geometry",
    "geom",
    "wkb_geometry",
    "the_geom",
    "wkb",
    "wkt",
    "shape",
    "geog",
    "geography",
    ".geo",
)
"""What a column of shapes is called where nothing else says that it is one."""
_WKT = re.compile(
    r"\s*(?:SRID=(\d+);)?\s*((?:(?:MULTI)?(?:POINT|POLYGON|LINESTRING)|GEOMETRYCOLLECTION)\b.*)",
    re.IGNORECASE | re.DOTALL,
)
_GEOJSON = re.compile(r'\s*\{\s*"(?:type|geodesic|coordinates)"\s*:.*\}\s*', re.DOTALL)  # Earth Engine's .geo
_HEX_WKB = re.compile(r"\s*0[01][0-9A-Fa-f]{16,}\s*")
_EARTH_AXIS_M = (6.3e6, 6.4e6)  # every ellipsoid of the earth, and the sphere; the moon has 1.7e6
_POLE_DEGREES = 89.9
_READ_AS = "shapes read as"


def geometry_name(frame: pd.DataFrame) -> str | None:
    """The column of a plain table that holds shapes as WKB, WKT or GeoJSON, None where there is none.

    A column counts that is called as one of ``GEOMETRY_NAMES`` and whose first value is bytes of WKB, their
    hexadecimal digits, WKT, or GeoJSON as Earth Engine writes it.
    """
    lower = {str(name).lower(): str(name) for name in frame.columns}
    for name in GEOMETRY_NAMES:
        if name in lower:
            there = frame[lower[name]].dropna()
            if len(there) and _is_shape(there.iloc[0]):
                return lower[name]
    return None


def as_geometry(
    frame: pd.DataFrame | gpd.GeoDataFrame, where: str | Path, *, crs: str | None = None
) -> pd.DataFrame | gpd.GeoDataFrame:
    """A table with its shapes as shapes: WKB or WKT is read, and :func:`shapes_said` says as what.

    DuckDB and warehouses write shapes as WKB into Parquet without saying so, and a CSV holds WKT.

    Args:
        frame: The table; one that has shapes already, or none, comes back as it is.
        where: Name of the table, for errors.
        crs: Reference system of the shapes. Left out: the one EWKB names, else degrees (EPSG:4326) where all
            values fit.

    Raises:
        InputError: A value is no shape, or they are not in degrees and nothing says in what.
    """
    if isinstance(frame, gpd.GeoDataFrame) or (name := geometry_name(frame)) is None:
        return frame
    shapes = _parsed(frame[name], name, where)
    system, said = _system_of(shapes, name, where, crs)
    form = "GeoJSON" if name.lower() == ".geo" else "WKB or WKT"
    series = gpd.GeoSeries(shapes, index=frame.index, crs=system)
    found = gpd.GeoDataFrame(frame.drop(columns=name), geometry=series)
    found.attrs = {**frame.attrs, _READ_AS: f"'{name}' holds {form} without a CRS, read as {said}"}
    return found


def shapes_said(frame: pd.DataFrame) -> str:
    """How the shapes of a table were read, in brackets, for the line that says what was read of it.

    Empty where its file says it itself.
    """
    return f" ({frame.attrs[_READ_AS]})" if _READ_AS in frame.attrs else ""


def _is_shape(value: object) -> bool:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[:1]) in (b"\x00", b"\x01") and len(value) >= 9
    forms = (_WKT, _HEX_WKB, _GEOJSON)
    return isinstance(value, str) and any(form.fullmatch(value) for form in forms)


def _parsed(column: pd.Series, name: str, where: str | Path) -> npt.NDArray[np.object_]:
    shapes = np.full(len(column), None, dtype=object)
    for row in np.flatnonzero(column.notna().to_numpy()):
        try:
            shapes[row] = _shape(column.iloc[row])
        except (shapely.errors.ShapelyError, TypeError, ValueError) as error:
            raise InputError(
                f"'{name}' holds shapes as WKB or WKT, and this is none",
                value=str(column.iloc[row])[:60],
                where=f"{where}, row {row} (the first is 0)",
                remedy="mend the cell, or empty it",
            ) from error
    return shapes


def _shape(value: Any) -> shapely.Geometry:
    if not isinstance(value, str):
        return shapely.from_wkb(bytes(value))
    if _GEOJSON.fullmatch(value):
        return shapely.from_geojson(value)
    if (found := _WKT.fullmatch(value)) is None:
        return shapely.from_wkb(value.strip())
    srid, text = found.groups()
    return shapely.set_srid(shapely.from_wkt(text), int(srid or 0))


def _system_of(
    shapes: npt.NDArray[np.object_], name: str, where: str | Path, crs: str | None
) -> tuple[pyproj.CRS, str]:
    """The reference system of shapes that do not say it in the usual place, and in words where it is from."""
    there = shapes[~shapely.is_missing(shapes)]
    srids = sorted({int(number) for number in shapely.get_srid(there) if number})
    if crs is not None:
        return earth_crs(crs, where), crs
    if len(srids) > 1:
        raise InputError(
            f"'{name}' mixes reference systems",
            value=srids,
            where=where,
            remedy="write all shapes in one system, or name it with --crs",
        )
    if srids:
        return earth_crs(f"EPSG:{srids[0]}", where), f"EPSG:{srids[0]}, which its EWKB names"
    bounds = shapely.bounds(there[~shapely.is_empty(there)])
    unfit = (np.abs(bounds[:, [0, 2]]) > 180).any(axis=1) | (np.abs(bounds[:, [1, 3]]) > 90).any(axis=1)
    if (row := first(unfit)) is not None:
        raise InputError(
            f"'{name}' holds WKB or WKT without a CRS, and its values are not degrees",
            value=[float(edge) for edge in bounds[row].round(3)],
            where=where,
            remedy="write the table as GeoParquet or GeoPackage with its CRS, for example with geopandas",
        )
    return pyproj.CRS("EPSG:4326"), "longitude and latitude (EPSG:4326)"


def earth_crs(crs: object, where: str | Path = "crs") -> pyproj.CRS:
    """A reference system, checked to be one of the earth.

    Args:
        crs: Whatever pyproj reads: ``"EPSG:3857"``, WKT, a CRS.
        where: Named in errors.

    Raises:
        InputError: Unknown, of the moon or of another body, or of no place at all (a local grid).
    """
    try:
        system = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise InputError(
            "unknown coordinate reference system", value=str(crs), where=where, remedy="for example EPSG:3857"
        ) from error
    ellipsoid = system.ellipsoid
    low, high = _EARTH_AXIS_M
    if ellipsoid is None or not low <= ellipsoid.semi_major_metre <= high:
        body = "of no place on earth" if ellipsoid is None else f"of another body ({ellipsoid.name})"
        raise InputError(
            f"this coordinate reference system is {body}",
            value=system.name,
            where=where,
            remedy="name the system the values are in, for example EPSG:4326 for longitude and latitude",
        )
    return system


def lonlat_of(shapes: gpd.GeoSeries, where: str | Path = "geometry") -> Floats:
    """A point inside every shape: (N, 2) longitude and latitude in degrees, NaN where there is no shape.

    A point of the surface lies in its polygon, which a centroid need not.

    Args:
        shapes: Points, lines or polygons with a CRS.
        where: Named in errors.

    Raises:
        InputError: No CRS, or one that is not of the earth.
    """
    if shapes.crs is None:
        raise InputError(
            "shapes without a coordinate reference system (CRS)",
            where=where,
            remedy="set it before: frame.set_crs(4326) for degrees",
        )
    earth_crs(shapes.crs, where)
    points = shapes.to_crs(4326).representative_point()
    return np.column_stack([points.x.to_numpy(), points.y.to_numpy()]).astype(np.float64)


def crossing(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """(N,) whether a shape lies on both sides of the antimeridian; shapes in degrees.

    It does when it is wider than half the world: parts at −180 and at 180, as RFC 7946 cuts them.
    """
    bounds = shapely.bounds(shapes)
    with np.errstate(invalid="ignore"):
        return np.asarray(bounds[:, 2] - bounds[:, 0] > 180)


def without_numbers(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """(N,) whether a coordinate of a shape is NaN, so that nobody knows where it lies."""
    coordinates, of = shapely.get_coordinates(shapes, return_index=True)
    found = np.zeros(len(shapes), dtype=bool)
    found[of[np.isnan(coordinates).any(axis=1)]] = True
    return found


def uncut(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """(N,) whether an edge of a shape jumps from one side of the antimeridian to the other.

    As they stand such shapes cover the rest of the world instead. An edge along a pole, or once around the
    world, is none.
    """
    bad = np.zeros(len(shapes), dtype=bool)
    for row in np.flatnonzero(crossing(shapes)):
        for ring in shapely.get_rings(shapely.get_parts(shapes[row])):
            x, y = shapely.get_coordinates(ring).T
            step = np.abs(np.diff(x))
            bad[row] |= bool(((step > 180) & (step < 360) & (np.abs(y[1:]) < _POLE_DEGREES)).any())
    return bad


def centres(shapes: gpd.GeoSeries) -> Floats:
    """Centres of shapes that cross the antimeridian: (N, 2) degrees, each in a projection of its own.

    Args:
        shapes: In EPSG:4326, cut at the antimeridian.
    """
    found = np.empty((len(shapes), 2))
    for row, shape in enumerate(shapes.to_numpy()):
        lon, lat = np.radians(shapely.get_coordinates(shape).T)
        middle = np.degrees(np.arctan2(np.sin(lon).mean(), np.cos(lon).mean()))
        local = pyproj.CRS.from_dict(
            {"proj": "laea", "datum": "WGS84", "lon_0": middle, "lat_0": np.degrees(lat.mean())}
        )
        project = pyproj.Transformer.from_crs(4326, local, always_xy=True)
        flat = shapely.transform(shape, lambda x, y: project.transform(x, y), interleaved=False)  # noqa: B023
        centre = shapely.centroid(flat)
        found[row] = project.transform(centre.x, centre.y, direction="INVERSE")
    return found
