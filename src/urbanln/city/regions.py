"""Ways to divide a city into regions: polygons given, H3 cells, map tiles, squares, or one per picture.

Each returns the regions (GeoDataFrame in EPSG:4326 with ``region_id``) and the region of every point.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import shapely.affinity

from urbanln.base.columns import first, need_columns, refuse
from urbanln.base.errors import InputError
from urbanln.base.frames import read_frame
from urbanln.base.geometry import shapes_said
from urbanln.base.ids import read_ids
from urbanln.base.saying import say
from urbanln.base.space import MERCATOR_LATITUDE, on_mercator
from urbanln.base.written import AS_IT_IS, Written
from urbanln.city.checks import WGS84, check_regions
from urbanln.city.squares import square_regions

_ID_NAMES = ("region_id", "id", "geoid", "code", "name")
MAX_ZOOM = 24
_SHOWN = 5
_NAME_IDS = "name the column of ids: FILE#COLUMN"


def _coordinates(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    if (row := first(~((np.abs(lon) <= 180) & (np.abs(lat) <= 90)))) is not None:
        raise InputError(
            "a point is outside ±180/±90 degrees or missing",
            value=(float(lon[row]), float(lat[row])),
            where=f"point {row} (the first is 0)",
            remedy="give degrees, and check that lon and lat are not exchanged",
        )
    return lon, lat


def _whole(value: int, low: int, high: int, what: str) -> int:
    if not low <= value <= high:
        raise InputError(
            f"{what} must be between {low} and {high}",
            value=value,
            where=what,
            remedy=f"give a number from {low} to {high}",
        )
    return value


def h3_regions(lon: np.ndarray, lat: np.ndarray, resolution: int) -> tuple[gpd.GeoDataFrame, pd.Series]:
    """Regions are the H3 cells that hold a point.

    Args:
        lon: (N,) degrees.
        lat: (N,) degrees.
        resolution: 0 to 15; 8 has edges of about 0.5 km, 9 of about 0.2 km.

    Returns:
        The cells, sorted by id (the H3 index), and the region id of each point.

    Raises:
        InputError: A point off the earth, or no such resolution.
    """
    import h3

    lon, lat = _coordinates(lon, lat)
    _whole(resolution, 0, 15, "the H3 resolution")
    ids = [h3.latlng_to_cell(y, x, resolution) for x, y in zip(lon, lat, strict=True)]
    return h3_cells(sorted(set(ids))), pd.Series(ids, dtype="str")


def h3_cells(ids: list[str]) -> gpd.GeoDataFrame:
    """H3 cells as regions, in the order of their ids."""
    import h3

    return _frame(ids, [_ring([(x, y) for y, x in h3.cell_to_boundary(cell)]) for cell in ids])


def _ring(corners: list[tuple[float, float]]) -> shapely.Geometry:
    """A polygon of the corners, cut in two where it crosses the antimeridian."""
    xs = [x for x, _ in corners]
    if max(xs) - min(xs) <= 180:
        return shapely.Polygon(corners)
    east = shapely.Polygon([(x + 360 if x < 0 else x, y) for x, y in corners])
    west = shapely.affinity.translate(east, xoff=-360)
    world = shapely.box(-180, -90, 180, 90)
    return shapely.union_all([east.intersection(world), west.intersection(world)])


def tile_regions(lon: np.ndarray, lat: np.ndarray, zoom: int) -> tuple[gpd.GeoDataFrame, pd.Series]:
    """Regions are the XYZ map tiles (Web-Mercator) that hold a point.

    Args:
        lon: (N,) degrees.
        lat: (N,) degrees, within ±85.05.
        zoom: 0 to 24; tiles of zoom 18 are 153 m wide at the equator.

    Returns:
        The tiles, sorted by (x, y), with ids ``"zoom-x-y"``, and the region id of each point.

    Raises:
        InputError: A point off the map, or no such zoom.
    """
    lon, lat = _coordinates(lon, lat)
    _whole(zoom, 0, MAX_ZOOM, "the zoom")
    if (row := first(np.abs(lat) > MERCATOR_LATITUDE)) is not None:
        raise InputError(
            "map tiles end at ±85.05 degrees of latitude",
            value=float(lat[row]),
            where=f"point {row} (the first is 0)",
            remedy="use H3 cells or polygons instead",
        )
    x, y = tile_columns(lon, zoom), tile_rows(lat, zoom)
    ids = [f"{zoom}-{a}-{b}" for a, b in zip(x, y, strict=True)]
    return map_tiles(np.unique(np.column_stack([x, y]), axis=0), zoom), pd.Series(ids, dtype="str")


def tile_columns(lon: np.ndarray, zoom: int) -> np.ndarray:
    """Columns of the tiles at some longitudes in degrees, counted from the west."""
    return np.clip(np.floor(on_mercator(lon, 0.0)[0] * 2**zoom), 0, 2**zoom - 1).astype(np.int64)


def tile_rows(lat: np.ndarray, zoom: int) -> np.ndarray:
    """Rows of the tiles at some latitudes within ±85.05 degrees, counted from the north."""
    return np.clip(np.floor(on_mercator(0.0, lat)[1] * 2**zoom), 0, 2**zoom - 1).astype(np.int64)


def map_tiles(tiles: np.ndarray, zoom: int) -> gpd.GeoDataFrame:
    """Map tiles as regions.

    Args:
        tiles: (N, 2) columns and rows.
        zoom: Of all of them.

    Returns:
        The regions in the order given, with ids ``"zoom-x-y"``.
    """
    side = 2**zoom
    corners_x = np.column_stack([tiles[:, 0], tiles[:, 0] + 1]) / side * 360 - 180
    corners_y = np.column_stack([tiles[:, 1] + 1, tiles[:, 1]])
    corners_y = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * corners_y / side))))
    shapes = shapely.box(corners_x[:, 0], corners_y[:, 0], corners_x[:, 1], corners_y[:, 1])
    return _frame([f"{zoom}-{a}-{b}" for a, b in tiles], shapes)


def one_per_picture(lon: np.ndarray, lat: np.ndarray, ids: pd.Series) -> tuple[gpd.GeoDataFrame, pd.Series]:
    """Every picture is a region of its own: a point with the picture's id.

    Args:
        lon: (N,) degrees.
        lat: (N,) degrees.
        ids: (N,) ids, each once.

    Returns:
        The points and the region id of each, which is ``ids``.

    Raises:
        InputError: A point off the earth.
    """
    lon, lat = _coordinates(lon, lat)
    ids = ids.reset_index(drop=True).astype("str")
    return _frame(list(ids), shapely.points(lon, lat)), ids


def polygon_regions(
    polygons: gpd.GeoDataFrame | Path | str,
    lon: np.ndarray,
    lat: np.ndarray,
    *,
    id_column: str | None = None,
    predicate: str = "intersects",
    written: Written = AS_IT_IS,
    crs: str | None = None,
    tell: bool = True,
) -> tuple[gpd.GeoDataFrame, pd.Series]:
    """Regions are the polygons given; all of them are kept, also those without a point.

    Args:
        polygons: A frame, or a GeoJSON, GeoPackage, Shapefile or GeoParquet file, in any declared CRS.
        lon: (N,) degrees.
        lat: (N,) degrees.
        id_column: Column of ids. Left out: the first of region_id, id, geoid, code that is there, name where
            its values are unique, or else ``p0, p1, …`` in the order of the file.
        predicate: ``"intersects"`` counts a point on a border as inside (so none falls between two
            neighbours), ``"within"`` does not. Of several polygons the first in the file takes the point.
        written, crs: How a file is written, and the system of shapes that name none
            (:func:`urbanln.base.frames.read_frame`).
        tell: Say on stderr which column the ids are of.

    Returns:
        The polygons, and the region id of each point: missing where it is outside every polygon.

    Raises:
        InputError: A column or the CRS is missing, an id is doubled, a shape is no polygon or invalid.
    """
    lon, lat = _coordinates(lon, lat)
    name = "polygons" if isinstance(polygons, gpd.GeoDataFrame) else str(polygons)
    frame = polygons
    if not isinstance(frame, gpd.GeoDataFrame):
        frame = _read(Path(frame), id_column, written, crs)
    frame = frame.reset_index(drop=True)
    column = _id_column(frame, id_column, name)
    ids = read_ids(frame, column, name, instead=_NAME_IDS) if column else None
    frame["region_id"] = [f"p{i}" for i in range(len(frame))] if ids is None else ids
    frame = _with_shape(frame, name)
    refuse(frame["region_id"].isna(), f"an id of '{column}' is empty", frame["region_id"], name, _NAME_IDS)
    doubled = frame["region_id"].duplicated()
    refuse(doubled, f"an id of '{column}' is doubled", frame["region_id"], name, _NAME_IDS)
    if tell:
        called = f"id {column}" if column else "no column of ids, so p0, p1, … in order"
        say(f"polygons of {name}: {called}, {len(frame)} polygons{shapes_said(frame)}")
    regions = check_regions(frame[["region_id", frame.geometry.name]], reproject=True, table=name)
    points = regions.geom_type == "Point"
    refuse(points, "polygons are needed, this is a point", regions["region_id"], name, "give a polygon")
    tree = shapely.STRtree(regions.geometry.to_numpy())
    point, polygon = tree.query(shapely.points(lon, lat), predicate=predicate)
    holder = np.full(len(lon), len(regions))
    np.minimum.at(holder, point, polygon)
    inside = holder < len(regions)
    ids = pd.Series([None] * len(lon), dtype="str")
    ids[inside] = regions["region_id"].to_numpy()[holder[inside]]
    return regions, ids


def _read(path: Path, id_column: str | None, written: Written, crs: str | None) -> gpd.GeoDataFrame:
    if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".shp"):
        written = replace(written, encoding=None)  # which was said of the table: this file knows its own
    frame = read_frame(path, text=_written_ids(id_column), written=written, crs=crs)
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InputError(
            "this file has no geometry", where=path, remedy="give GeoJSON, GeoPackage or GeoParquet"
        )
    return frame


def _with_shape(frame: gpd.GeoDataFrame, name: str) -> gpd.GeoDataFrame:
    """The rows that have a shape; how many have none is said on stderr."""
    none = frame.geometry.isna() | frame.geometry.is_empty
    if none.all():
        raise InputError("no row has a shape", where=name, remedy="give a file of polygons")
    if none.any():
        some = ", ".join(frame["region_id"].astype(str)[none].head(_SHOWN))
        more = " …" if none.sum() > _SHOWN else ""
        say(f"{name}: {none.sum()} of {len(frame)} rows without a shape left out ({some}{more})")
    return frame[~none].reset_index(drop=True)


def _written_ids(wanted: str | None) -> list[str]:
    """Columns to keep as written, since they may hold the ids."""
    if wanted is not None:
        return [wanted]
    return [form for name in _ID_NAMES for form in (name, name.upper(), name.capitalize(), name.title())]


def _id_column(frame: gpd.GeoDataFrame, wanted: str | None, name: str) -> str | None:
    if wanted is not None:
        need_columns(frame.columns, [wanted], name)
        return wanted
    lower = {str(column).lower(): column for column in frame.columns}
    for candidate in _ID_NAMES:
        column = lower.get(candidate)
        usable = column is not None and frame[column].notna().all() and frame[column].is_unique
        if column is not None and (candidate != "name" or usable):
            return str(column)
    return None


def make_regions(
    how: str, lon: np.ndarray, lat: np.ndarray, ids: pd.Series, **reading: Any
) -> tuple[gpd.GeoDataFrame, pd.Series]:
    """Divide as a short text says.

    Args:
        how: ``picture``, ``h3:RESOLUTION``, ``tile:ZOOM``, ``square:KM``, or a file of polygons
            (``file.gpkg``, or ``file.gpkg#COLUMN`` where COLUMN holds the ids).
        lon: (N,) degrees.
        lat: (N,) degrees.
        ids: (N,) ids of the pictures, used by ``picture``.
        reading: ``written``, ``crs`` and ``tell`` of :func:`polygon_regions`, for a file.

    Returns:
        The regions and the region id of each point.

    Raises:
        InputError: The text says nothing known, or the division is not possible.
    """
    kind, rest = way_of(how)
    if kind == "picture":
        return one_per_picture(lon, lat, ids)
    if kind == "square":
        return square_regions(*_coordinates(lon, lat), float(rest))
    if kind in ("h3", "tile"):
        divide = h3_regions if kind == "h3" else tile_regions
        return divide(lon, lat, int(rest))
    what = "regions must be picture, h3:RESOLUTION, tile:ZOOM, square:KM or a file of polygons that is there"
    return _polygons_of(how, lon, lat, what, "regions", **reading)


def way_of(how: str) -> tuple[str, str]:
    """Take apart what regions are to be: their kind, and the number behind it; of a file, an empty kind.

    Raises:
        InputError: No number follows, or one that is out of range.
    """
    kind, _, rest = how.partition(":")
    if how == "picture":
        return kind, ""
    if kind in ("h3", "tile"):
        if not rest.isdecimal():
            remedy = "h3:9 or tile:18"
            raise InputError("a whole number must follow", value=how, where="regions", remedy=remedy)
        what, most = ("the H3 resolution", 15) if kind == "h3" else ("the zoom", MAX_ZOOM)
        _whole(int(rest), 0, most, what)
        return kind, rest
    if kind == "square":
        try:
            float(rest)
        except ValueError as error:
            remedy = "square:1 for squares of 1 km"
            raise InputError(
                "a number of km must follow", value=how, where="regions", remedy=remedy
            ) from error
        return kind, rest
    return "", how


def districts_of(polygons: str, lon: np.ndarray, lat: np.ndarray, **reading: Any) -> pd.Series:
    """The district each point is in: the id of the polygon that holds it, missing where none does.

    Args:
        polygons: A file of polygons, or ``file.gpkg#COLUMN`` where COLUMN holds the names.
        lon: (N,) degrees.
        lat: (N,) degrees.
        reading: As of :func:`make_regions`.

    Raises:
        InputError: No such file (nor a column of that name, where ingest asks), or no polygons in it.
    """
    what = "districts must be a column of the table or a file of polygons that is there"
    return _polygons_of(polygons, lon, lat, what, "district", **reading)[1]


def _polygons_of(
    text: str, lon: np.ndarray, lat: np.ndarray, what: str, where: str, **reading: Any
) -> tuple[gpd.GeoDataFrame, pd.Series]:
    """The polygons of ``file.gpkg`` or ``file.gpkg#COLUMN``; a file may have "#" in its own name."""
    path, hash_sign, column = text.rpartition("#")
    if not hash_sign or Path(text).exists():
        path, column = text, ""
    if not Path(path).exists():
        raise InputError(what, value=text, where=where, remedy="check the path, or the name of the column")
    return polygon_regions(Path(path), lon, lat, id_column=column or None, **reading)


def _frame(ids: list[str], shapes: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"region_id": pd.Series(ids, dtype="str")}, geometry=shapes, crs=WGS84)
