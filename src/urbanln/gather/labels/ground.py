"""Regions as ground that is measured: what of them a file tells of, square metres, metres.

Edges are straight in degrees, as those of regions are; areas are those of the ellipsoid (in an equal-area
projection, along edges of 0.02 degrees at most), lengths are geodesic.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from urbanln.base.errors import InputError
from urbanln.base.space import Floats
from urbanln.gather.place import outline
from urbanln.gather.recipe import Place

Geometries = npt.NDArray[np.object_]
Ints = npt.NDArray[np.int64]
_CHORD_DEG = 0.02  # edges are straight in degrees and bend in the projection: 0.1 m at this length
_ALL = 1 - 1e-9
_POINTS = 500_000  # shapes of points in memory at once


@dataclass(frozen=True)
class Ground:
    """What of regions a file tells of.

    Attributes:
        shapes: (N,) polygons in EPSG:4326, empty where it tells of nothing.
        square_m: (N,) their areas.
        cover: (N,) share of the region's area that they are; None where nobody said what it tells of.
    """

    shapes: Geometries
    square_m: Floats
    cover: Floats | None

    def unsaid(self, none: npt.NDArray[np.bool_], box: tuple[float, ...]) -> list[str]:
        """What has to be said of regions that are 0 though nobody said what the file tells of.

        Args:
            none: (N,) regions in which nothing lies.
            box: West, south, east, north of all that the file has.
        """
        if self.cover is not None or not none.any():
            return []
        far = int((none & ~shapely.intersects(self.shapes, shapely.box(*box))).sum())
        beyond = f"; {far:,} of them lie beyond all that it has" if far else ""
        return [
            f"{int(none.sum()):,} regions have none and are 0, as if the file told of all of them; within "
            f"says what it tells of{beyond}"
        ]


def ground_of(regions: gpd.GeoDataFrame, within: str) -> Ground:
    """What of regions a file tells of.

    Args:
        regions: In EPSG:4326.
        within: File of polygons that says it; empty: all.

    Raises:
        InputError: The file cannot be used, see :func:`urbanln.gather.place.outline`.
    """
    shapes = regions.geometry.to_numpy()
    whole = square_metres(shapes)
    if not within:
        return Ground(shapes, whole, None)
    known = outline(Place(name="within", polygon=within), Path())
    shapely.prepare(known)
    inside = shapely.covers(known, shapes)
    found = shapes.copy()
    found[~inside] = of_dimension(shapely.intersection(shapes[~inside], known), 2)
    area = np.where(inside, whole, square_metres(found))
    cover = np.divide(area, whole, out=np.zeros(len(whole)), where=whole > 0)
    return Ground(found, area, np.where(inside | (cover > _ALL), 1.0, cover))


def need_overlap(box: tuple[float, ...], regions: gpd.GeoDataFrame, file: str, check: str) -> None:
    """Refuse a file of another place; regions may be the first few, so that nothing need lie in one.

    Args:
        box: West, south, east, north of what the file has, in degrees.
        regions: In EPSG:4326.
        file: For the error.
        check: What to look at besides.

    Raises:
        InputError: It is elsewhere.
    """
    place = regions.total_bounds
    if not shapely.box(*box).intersects(shapely.box(*place)):
        told = [", ".join(f"{float(edge):.4f}" for edge in edges) for edges in (box, place)]
        raise InputError(
            "the file is of another place",
            value=f"file {told[0]}; regions {told[1]} (west, south, east, north)",
            where=file,
            remedy=f"take the file of this place; if it is, {check} (--limit takes the first few regions)",
        )


def of_dimension(shapes: Geometries, dimension: int) -> Geometries:
    """What of shapes is points (0), lines (1) or polygons (2), each as one shape.

    Args:
        shapes: As cutting leaves them: collections where they also touch.
        dimension: Which.
    """
    mixed = np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION)
    other = shapely.get_dimensions(shapes) != dimension
    found = np.where(other, shapely.Polygon(), shapes)
    for at in mixed:
        parts = shapely.get_parts(shapes[at])
        found[at] = shapely.union_all(parts[shapely.get_dimensions(parts) == dimension])
    return found


def square_metres(shapes: Geometries) -> Floats:
    """(N,) areas on the ellipsoid.

    Args:
        shapes: Polygons in EPSG:4326.
    """
    flat = pyproj.Transformer.from_crs(4326, 6933, always_xy=True).transform
    bent = shapely.transform(
        shapely.segmentize(shapes, _CHORD_DEG), lambda x, y: flat(x, y), interleaved=False
    )
    return np.asarray(shapely.area(bent), dtype=np.float64)


def metres(lines: Geometries) -> Floats:
    """(N,) geodesic lengths.

    Args:
        lines: In EPSG:4326; what is no line has none.
    """
    parts, of = shapely.get_parts(lines, return_index=True)
    xy, part = shapely.get_coordinates(parts, return_index=True)
    going = part[1:] == part[:-1]
    begin, end = xy[:-1][going], xy[1:][going]
    long = pyproj.Geod(ellps="WGS84").inv(begin[:, 0], begin[:, 1], end[:, 0], end[:, 1])[2]
    return np.bincount(of[part[1:][going]], weights=long, minlength=len(lines)).astype(np.float64)


def holders(shapes: Geometries, lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
    """Which points lie in which regions.

    A point within several regions, which then overlap, is in each of them. One on a common border is in the
    first of those it borders on, and in none of them if it is within another.

    Args:
        shapes: (N,) polygons in EPSG:4326.
        lon, lat: (P,) degrees.

    Returns:
        Numbers of the region and of the point of every pair, by point.
    """
    pairs = [np.empty((2, 0), dtype=np.int64)]
    for start in range(0, len(lon), _POINTS):
        points = shapely.points(lon[start : start + _POINTS], lat[start : start + _POINTS])
        region, point = shapely.STRtree(points).query(shapes, predicate="intersects")
        order = np.lexsort((region, point))
        region, point = region[order], point[order]
        several = np.bincount(point, minlength=len(points))[point] > 1
        border = np.zeros(len(point), dtype=bool)
        border[several] = shapely.touches(shapes[region[several]], points[point[several]])
        inside = np.bincount(point[~border], minlength=len(points))[point] > 0
        first = np.append(True, point[1:] != point[:-1])[: len(point)]
        pairs.append(np.stack([region, point + start])[:, np.where(inside, ~border, first)])
    region, point = np.concatenate(pairs, axis=1)
    return region, point
