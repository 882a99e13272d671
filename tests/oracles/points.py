"""Vectors of regions by position, one region and one point at a time."""

from __future__ import annotations

import math

import numpy as np
import pyproj


def mean_inside_or_nearest(
    points: np.ndarray, values: np.ndarray, bounds: np.ndarray, centres: np.ndarray, reach_km: float
) -> tuple[list[int], np.ndarray, int, int]:
    """Rows, vectors, how many took the points inside a rectangle, how many the nearest on the ellipsoid."""
    geod = pyproj.Geod(ellps="WGS84")
    rows, vectors, inside, near = [], [], 0, 0
    for number, ((west, south, east, north), (lon, lat)) in enumerate(zip(bounds, centres, strict=True)):
        within = [i for i, (x, y) in enumerate(points) if west <= x <= east and south <= y <= north]
        if within:
            rows.append(number)
            vectors.append(values[within].mean(axis=0))
            inside += 1
            continue
        best, distance = -1, math.inf
        for i, (x, y) in enumerate(points):
            metres = geod.inv(lon, lat, x, y)[2]
            if metres < distance:
                best, distance = i, metres
        if distance <= 1000 * reach_km:
            rows.append(number)
            vectors.append(values[best])
            near += 1
    return rows, np.array(vectors), inside, near
