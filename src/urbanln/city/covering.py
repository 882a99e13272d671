"""Regions that cover a place: map tiles, H3 cells, squares in km, polygons of a file.

:mod:`urbanln.city.regions` divides points; here there is an outline and no point yet. Which of the regions
along the border belong to it is one rule for all kinds (``KEEP``), and a region is the same, id and shape,
whatever outline it was found by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from urbanln.base.errors import InputError
from urbanln.base.geometry import crossing
from urbanln.base.space import MERCATOR_LATITUDE
from urbanln.city.checks import WGS84
from urbanln.city.regions import (
    h3_cells,
    make_regions,
    map_tiles,
    tile_columns,
    tile_rows,
    way_of,
)
from urbanln.city.squares import Squares

KEEP = ("meets", "middle", "inside")
"""A region along the border is kept when it shares ground with the place, when its middle lies in it, or when
all of it does."""
MOST_REGIONS = 2_000_000
_CHUNK = 100_000
_FEWER = "choose larger regions, or a smaller place"


def cover(
    place: shapely.Geometry, how: str, *, keep: str = "meets", crs: str | None = None
) -> gpd.GeoDataFrame:
    """The regions that cover a place.

    Args:
        place: Polygon or multipolygon in EPSG:4326, cut at the antimeridian where it crosses it.
        how: ``tile:ZOOM``, ``h3:RESOLUTION``, ``square:KM`` or a file of polygons (``file.gpkg``, or
            ``file.gpkg#COLUMN`` where COLUMN holds the ids).
        keep: One of ``KEEP``.
        crs: Projected system of the squares in metres; by default the UTM zone of the place's middle.

    Returns:
        ``region_id`` and ``geometry`` in EPSG:4326, sorted by what they are (column and row of tiles and
        squares, index of cells, order of the file).

    Raises:
        InputError: The text says nothing known, there is no region that is kept, or there are more than
            ``MOST_REGIONS``.
    """
    if keep not in KEEP:
        remedy = f"one of {', '.join(KEEP)}"
        raise InputError("no such rule for regions along the border", value=keep, where="keep", remedy=remedy)
    kind, rest = way_of(how)
    if kind == "tile":
        found = tiles_over(place, int(rest), keep)
    elif kind == "h3":
        found = cells_over(place, int(rest), keep)
    elif kind == "square":
        found = squares_over(place, float(rest), keep, crs)
    elif kind == "picture":
        what = "a place has no pictures yet, so they cannot be its regions"
        remedy = "tile:18, h3:9, square:1 or a file of polygons"
        raise InputError(what, value=how, where="regions", remedy=remedy)
    else:
        none = np.array([])
        shapes, _ = make_regions(how, none, none, pd.Series(dtype="str"))
        found = shapes[_kept(place, shapes.geometry.to_numpy(), keep)].reset_index(drop=True)
    if found.empty:
        what = {"meets": "meets", "middle": "has its middle in", "inside": "lies in"}[keep]
        raise InputError(
            f"no region {what} the place",
            value=how,
            where=f"place {_bounds(place)}",
            remedy="choose smaller regions, another rule (keep), or check that both are of one city",
        )
    return found


def tiles_over(place: shapely.Geometry, zoom: int, keep: str) -> gpd.GeoDataFrame:
    """Map tiles (Web-Mercator) that cover a place; see :func:`cover`.

    Raises:
        InputError: The place reaches beyond ±85.05 degrees, or needs too many of them.
    """
    west, south, east, north = place.bounds
    if max(abs(south), abs(north)) > MERCATOR_LATITUDE:
        what, value = "map tiles end at ±85.05 degrees of latitude", f"{south:.4f} to {north:.4f}"
        raise InputError(what, value=value, where="place", remedy="use H3 cells, squares or polygons instead")
    found = []
    for part in shapely.get_parts(place):  # of islands far apart, what lies between is not looked at
        west, south, east, north = part.bounds
        columns = tile_columns(np.array([west, east]), zoom)
        rows = tile_rows(np.array([north, south]), zoom)
        found.append((int(columns[0]), int(columns[1]) + 1, int(rows[0]), int(rows[1]) + 1))
    tiles = _grid(place, found, keep, lambda xy: map_tiles(xy, zoom).geometry.to_numpy(), f"tile:{zoom}")
    return map_tiles(tiles, zoom)


def squares_over(
    place: shapely.Geometry, edge_km: float, keep: str, crs: str | None = None
) -> gpd.GeoDataFrame:
    """Squares of a projected system that cover a place; see :func:`cover`.

    Raises:
        InputError: See :class:`urbanln.city.squares.Squares`; or the place needs too many of them.
    """
    squares = Squares(edge_km, place.bounds, crs)
    found = []
    for part in shapely.get_parts(place):
        # Edges bend in the projection: points along them, and a square more on each side.
        span = max(np.ptp(shapely.get_coordinates(part), axis=0))
        cells = squares.at(*shapely.get_coordinates(shapely.segmentize(part, max(span / 100, 1e-9))).T)
        (low_x, low_y), (high_x, high_y) = cells.min(axis=0), cells.max(axis=0)
        found.append((int(low_x) - 1, int(high_x) + 2, int(low_y) - 1, int(high_y) + 2))
    return squares.regions(_grid(place, found, keep, squares.shapes, f"square:{edge_km:g}"))


def cells_over(place: shapely.Geometry, resolution: int, keep: str) -> gpd.GeoDataFrame:
    """H3 cells that cover a place; see :func:`cover`.

    Raises:
        InputError: It needs too many of them.
    """
    import h3

    area = _square_km(place)
    _refuse_many(area / h3.average_hexagon_area(resolution, unit="km^2"), f"h3:{resolution}")
    # Cells whose middle lies inside, those around them, and those along the outline, which in a narrow place
    # have no neighbour with its middle inside.
    apart = 0.5 * h3.average_hexagon_edge_length(resolution, unit="km") / 111.2
    cells: set[str] = set()
    for part in shapely.get_parts(place):
        outer, *holes = ([(y, x) for x, y in ring.coords] for ring in (part.exterior, *part.interiors))
        cells.update(h3.polygon_to_cells(h3.LatLngPoly(outer, *holes), resolution))
        line = shapely.get_coordinates(shapely.segmentize(part.boundary, apart))
        cells.update(h3.latlng_to_cell(y, x, resolution) for x, y in line)
    around = {near for cell in cells for near in h3.grid_disk(cell, 1)}
    candidates = h3_cells(sorted(around))
    return candidates[_kept(place, candidates.geometry.to_numpy(), keep)].reset_index(drop=True)


def _grid(
    place: shapely.Geometry,
    ranges: list[tuple[int, int, int, int]],
    keep: str,
    shapes: Callable[[npt.NDArray[np.int64]], Any],
    how: str,
) -> npt.NDArray[np.int64]:
    """(N, 2) columns and rows of the cells that are kept, sorted, of ranges that may overlap."""
    _refuse_many(sum((b - a) * (d - c) for a, b, c, d in ranges) / 50, how)  # a coast fills little of its box
    kept = [np.empty((0, 2), dtype=np.int64)]
    for low_x, high_x, low_y, high_y in ranges:
        tall = high_y - low_y
        step = max(_CHUNK // tall, 1)
        for start in range(low_x, high_x, step):
            columns = np.arange(start, min(start + step, high_x), dtype=np.int64)
            cells = np.column_stack(
                [np.repeat(columns, tall), np.tile(np.arange(low_y, high_y), len(columns))]
            )
            kept.append(cells[_kept(place, shapes(cells), keep)])
    found = np.unique(np.concatenate(kept), axis=0)
    _refuse_many(len(found), how)
    return found


def _kept(place: shapely.Geometry, shapes: npt.NDArray[np.object_], keep: str) -> npt.NDArray[np.bool_]:
    shapely.prepare(place)
    if keep == "inside":
        return np.asarray(shapely.covers(place, shapes))
    if keep == "middle":
        both = crossing(shapes)
        middles = shapely.centroid(shapes)
        middles[both] = shapely.point_on_surface(shapes[both])
        return np.asarray(shapely.intersects(place, middles))
    near = np.asarray(shapely.intersects(place, shapes))
    near[near] = ~shapely.touches(place, shapes[near])  # a common border is no common ground
    return near


def _refuse_many(count: float, how: str) -> None:
    if count > MOST_REGIONS:
        raise InputError(
            f"these would be more than {MOST_REGIONS:,} regions, about {count:.2g}",
            value=how,
            where="regions",
            remedy=_FEWER,
        )


def _square_km(place: shapely.Geometry) -> float:
    return float(gpd.GeoSeries([place], crs=WGS84).to_crs("EPSG:6933").area.iloc[0] / 1e6)


def _bounds(place: shapely.Geometry) -> str:
    west, south, east, north = place.bounds
    return f"lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}"
