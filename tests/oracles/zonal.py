"""Zonal statistics by the definition: every pixel's ground cut out of the region, one after the other."""

from __future__ import annotations

import numpy as np
import shapely


def cut(
    values: np.ndarray, bounds: tuple[float, float, float, float], shape: shapely.Geometry
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, parts inside and middle y of all pixels that a shape lies on.

    Args:
        values: (H, W), rows from the north; NaN: none.
        bounds: West, south, east, north.
        shape: In the same system.
    """
    height, width = values.shape
    west, south, east, north = bounds
    across, up = (east - west) / width, (north - south) / height
    found = []
    for row in range(height):
        for column in range(width):
            left, top = west + column * across, north - row * up
            pixel = shapely.box(left, top - up, left + across, top)
            part = pixel.intersection(shape).area / pixel.area
            if part:
                found.append((values[row, column], part, top - up / 2))
    return tuple(np.array(found, dtype=float).reshape(-1, 3).T)  # type: ignore[return-value]


def statistic(
    values: np.ndarray,
    bounds: tuple[float, float, float, float],
    shape: shapely.Geometry,
    kind: str,
    *,
    degrees: bool,
    classes: tuple[float, ...] = (),
) -> tuple[float, float]:
    """The value of a region and the share of it that is covered."""
    number, part, middle = cut(values, bounds, shape)
    there = ~np.isnan(number)
    number, part, middle = number[there], part[there], middle[there]
    height, width = values.shape
    pixel = (bounds[2] - bounds[0]) / width * (bounds[3] - bounds[1]) / height
    cover = part.sum() * pixel / shape.area
    if not len(number):
        return np.nan, 0.0
    if kind == "sum":
        return float((number * part).sum()), cover
    half = np.radians((bounds[3] - bounds[1]) / height / 2)
    y = np.radians(middle)
    ground = part * (np.sin(y + half) - np.sin(y - half) if degrees else 1.0)
    counted = np.isin(number, classes) if kind == "share" else number
    return float((counted * ground).sum() / ground.sum()), cover
