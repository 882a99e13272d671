"""From the place of a recipe to the regions of the city."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from urbanln.base.columns import need_columns
from urbanln.base.errors import InputError, placed
from urbanln.base.files import hash_file
from urbanln.base.frames import id_text, read_frame
from urbanln.base.geometry import uncut
from urbanln.city.checks import check_regions
from urbanln.city.coordinates import Positions, point_coordinates
from urbanln.city.covering import cover
from urbanln.city.regions import districts_of, make_regions
from urbanln.gather.local_files import with_companions
from urbanln.gather.recipe import Place, Recipe

_OPEN = "closed linestring"  # what GEOS says of a ring that is not closed


@dataclass(frozen=True)
class Regions:
    """What a place is divided into.

    Attributes:
        frame: ``region_id`` and ``geometry`` in EPSG:4326; ``district`` where one was asked for.
        by: How, with paths resolved.
        made_from: Names and SHA-256 of the files they were made from.
    """

    frame: gpd.GeoDataFrame
    by: str
    made_from: dict[str, str]


def make(recipe: Recipe, folder: Path, *, limit: int | None = None) -> Regions:
    """The regions of a recipe.

    Args:
        recipe: The recipe.
        folder: What its paths are relative to.
        limit: Only the first regions, in the order of their kind.

    Raises:
        InputError: The place cannot be read, is open, crosses itself or is empty; or no region is kept
            (:func:`urbanln.city.covering.cover`).
    """
    place, asked = recipe.place, recipe.regions
    by = _resolved(asked.by, folder)
    with placed("[regions]"):
        if place.points:
            frame = _around_points(place, folder, by)
        else:
            frame = cover(outline(place, folder), by, keep=asked.keep, crs=asked.crs or None)
    frame = frame.head(limit) if limit else frame
    if asked.district:
        middles = frame.geometry.representative_point()
        named = districts_of(_resolved(asked.district, folder), middles.x.to_numpy(), middles.y.to_numpy())
        if named.isna().all():
            what, remedy = "no region is in any district", "check that both files are of one city"
            raise InputError(what, value=asked.district, where="[regions] district", remedy=remedy)
        frame = frame.assign(district=named.to_numpy())
    made_from = {path.name: hash_file(path) for path in files_of(recipe, folder)}
    return Regions(frame.reset_index(drop=True), by, made_from)


def files_of(recipe: Recipe, folder: Path) -> list[Path]:
    """The files that a place and its regions are made from, as far as they are there."""
    place, asked = recipe.place, recipe.regions
    named = (place.polygon or place.points, asked.by, asked.district)
    found = [path for text in named if text and (path := _file(text, folder)) is not None]
    return [one for path in found for one in with_companions(path)]


def outline(place: Place, folder: Path) -> shapely.Geometry:
    """The ground of a place given by polygons or by a box: one polygon or multipolygon in EPSG:4326.

    Raises:
        InputError: There is none, it is open, crosses itself, has no area or no CRS.
    """
    if place.bbox is not None:
        west, south, east, north = place.bbox
        if west < east:
            return shapely.box(west, south, east, north)
        return shapely.MultiPolygon(
            [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
        )
    path = folder / place.polygon
    frame = _read(path, list(place.only))
    for column, value in place.only.items():
        need_columns(frame.columns, [column], str(path))
        chosen = id_text(frame[column]) == value
        if not chosen.any():
            some = ", ".join(map(str, frame[column].dropna().unique()[:5]))
            what = f"no row of the place's file has {column} = {value}"
            raise InputError(what, value=value, where=path, remedy=f"there are, for example: {some}")
        frame = frame[chosen]
    return _ground(frame, path)


def _ground(frame: gpd.GeoDataFrame, path: Path) -> shapely.Geometry:
    frame = frame[~(frame.geometry.isna() | frame.geometry.is_empty)].reset_index(drop=True)
    if frame.empty:
        raise InputError("the file of the place has no shape", where=path, remedy="give a file of polygons")
    kinds = set(frame.geom_type) - {"Polygon", "MultiPolygon"}
    if kinds:
        remedy = "draw the place as a polygon; a table of points is named under points"
        raise InputError("a place is a polygon", value=", ".join(sorted(kinds)), where=path, remedy=remedy)
    tidy = check_regions(
        gpd.GeoDataFrame(
            {"region_id": frame.index.astype("str")}, geometry=frame.geometry.to_numpy(), crs=frame.crs
        ),
        reproject=True,
        table=str(path),
    )
    ground = shapely.union_all(tidy.geometry.to_numpy())
    if not ground.area:
        raise InputError("the place has no area", where=path, remedy="draw it as a polygon with an inside")
    assert not uncut(np.array([ground], dtype=object)).any()
    return ground


def _read(path: Path, text: list[str]) -> gpd.GeoDataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GDAL's on open rings, which are refused below
            frame = read_frame(path, text=text)
    except InputError as error:
        if _OPEN in str(error.value):
            what = "a polygon of the place is open: its first and its last point differ"
            remedy = "repeat the first point at the end, or save it with a program that does (QGIS)"
            raise InputError(what, where=path, remedy=remedy) from error
        raise
    if not isinstance(frame, gpd.GeoDataFrame):
        remedy = "give GeoJSON, GeoPackage or GeoParquet"
        raise InputError("the file of the place has no geometry", where=path, remedy=remedy)
    return frame


def _around_points(place: Place, folder: Path, by: str) -> gpd.GeoDataFrame:
    """The regions that hold one of the points, each once."""
    path = folder / place.points
    frame = read_frame(path, ungrouped=(place.lon, place.lat))
    lon, lat, _ = point_coordinates(frame, Positions(place.lon, place.lat), str(path))
    there = ~np.isnan(lon)
    if by == "picture":
        what, remedy = (
            "a place has no pictures yet, so they cannot be its regions",
            "tile:18, h3:9 or square:1",
        )
        raise InputError(what, value=by, where="by", remedy=remedy)
    regions, ids = make_regions(by, lon[there], lat[there], pd.Series(dtype="str"))
    return regions[regions["region_id"].isin(ids.dropna())]


def _resolved(text: str, folder: Path) -> str:
    """What divides a place, a file by its path from here."""
    path = _file(text, folder)
    if path is None:
        return text
    _, sign, column = text.rpartition("#")
    return str(path) if (folder / text).exists() else f"{path}{sign}{column}"


def _file(text: str, folder: Path) -> Path | None:
    """The file that a text names, with or without ``#COLUMN`` behind it; None where it names none."""
    for name in (text, text.rpartition("#")[0]):
        if name and (folder / name).is_file():
            return folder / name
    return None
