"""Labels of points, lines and polygons by the definition: one region and one thing at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pyproj
import shapely

GEOD = pyproj.Geod(ellps="WGS84")


def holders(
    regions: Sequence[shapely.Geometry], points: Sequence[tuple[float, float]]
) -> list[tuple[int, int]]:
    """Pairs of region and point: all regions that a point is within, else the first that it borders on."""
    found = []
    for number, (x, y) in enumerate(points):
        point = shapely.Point(x, y)
        inside = [at for at, region in enumerate(regions) if region.contains(point)]
        border = [at for at, region in enumerate(regions) if region.touches(point)]
        found += [(at, number) for at in inside or border[:1]]
    return found


def square_metres(shape: shapely.Geometry) -> float:
    """Geodesic area along edges that are straight in degrees."""
    return abs(GEOD.geometry_area_perimeter(shapely.segmentize(shape, 1e-3))[0])


def metres(line: shapely.Geometry) -> float:
    """Geodesic length."""
    return float(GEOD.geometry_length(line))
