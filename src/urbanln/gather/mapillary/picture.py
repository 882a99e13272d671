"""Which views a region is shown by, and perspective views of panoramas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from urbanln.gather.mapillary.parse import View

DIRECTIONS = (0, 90, 180, 270)
"""Degrees to the right of a panorama's middle in which its four views look."""


def spread(views: Sequence[View], wanted: int) -> list[View]:
    """Views far from each other: first the one nearest to the mean, then always the one farthest from all.

    The order in which they are given plays no part; of two that are as far, the lower id comes first. Whoever
    wants more gets the same, and more behind them.

    Args:
        views: Of one region, each once.
        wanted: How many, at most.
    """
    views = sorted(views, key=lambda view: (len(view.id), view.id))
    if not views:
        return []
    lon, lat = np.array([(view.lon, view.lat) for view in views]).T
    metres = 111_320 * np.stack([lon * math.cos(math.radians(float(lat.mean()))), lat], axis=1)
    chosen = [int(np.argmin(_distances(metres, metres.mean(axis=0))))]
    nearest = _distances(metres, metres[chosen[0]])
    while len(chosen) < min(wanted, len(views)):
        nearest[chosen[-1]] = -1.0
        chosen.append(int(np.argmax(nearest)))
        taken = nearest < 0
        nearest = np.where(taken, -1.0, np.minimum(nearest, _distances(metres, metres[chosen[-1]])))
    return [views[one] for one in chosen]


def _distances(metres: npt.NDArray[np.float64], place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """To the millimetre, so that no rounding decides between two."""
    east, north = (metres - place).T
    return np.asarray(np.hypot(east, north).round(3), dtype=np.float64)


def is_whole(panorama: Image.Image) -> bool:
    """Whether it shows all directions: it is twice as wide as high."""
    return abs(panorama.width - 2 * panorama.height) <= 0.01 * panorama.width


def cut(panorama: Image.Image, direction: float) -> Image.Image:
    """A perspective view, 90 degrees wide and high, out of a panorama.

    Args:
        panorama: Equirectangular, RGB; its middle column is straight ahead, its middle row the horizon.
        direction: Degrees to the right of straight ahead.

    Returns:
        A square, a quarter of the panorama's width; bilinear, across the seam too.
    """
    pixels = np.asarray(panorama)
    height, width = pixels.shape[:2]
    edge = max(width // 4, 1)
    steps = (np.arange(edge) + 0.5) / edge * 2 - 1
    across, down = np.meshgrid(steps, steps)
    lon = np.arctan(across) + math.radians(direction)  # straight ahead is 1
    lat = np.arctan2(-down, np.hypot(across, 1.0))
    column = (lon / (2 * math.pi) + 0.5) * width - 0.5
    row = np.clip((0.5 - lat / math.pi) * height - 0.5, 0, height - 1)
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    right_part, lower_part = (column - left)[..., None], (row - top)[..., None]
    below, left, right = np.minimum(top + 1, height - 1), left % width, (left + 1) % width
    upper = pixels[top, left] * (1 - right_part) + pixels[top, right] * right_part
    lower = pixels[below, left] * (1 - right_part) + pixels[below, right] * right_part
    mixed = upper * (1 - lower_part) + lower * lower_part
    return Image.fromarray(np.rint(mixed).astype(np.uint8))
