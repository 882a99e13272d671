"""Map tiles of very many regions, drawn here: a browser that draws 20,000 shapes at ease chokes on a million.

A tile shows every region that lies on it. What is smaller than a few pixels is drawn as that many pixels
around its middle, what is larger by its shape; what has no value goes first, so that it covers nothing that
has one.
"""

from __future__ import annotations

import io

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image, ImageDraw

from urbanln.base.errors import InputError
from urbanln.base.space import MERCATOR_LATITUDE, Floats, on_mercator

SIDE = 512
MOST_ZOOM = 22
_SMALL = 4  # pixels; smaller regions are squares, and none is smaller than two
_LEAST = 2


class Tiles:
    """The regions laid out for drawing.

    Args:
        regions: In EPSG:4326.
    """

    def __init__(self, regions: gpd.GeoDataFrame) -> None:
        self._shapes = np.asarray(regions.geometry.values, dtype=object)
        boxes = shapely.bounds(self._shapes)
        west, north = _square(boxes[:, 0], boxes[:, 3])
        east, south = _square(boxes[:, 2], boxes[:, 1])
        self._boxes = np.column_stack([west, north, east, south])

    def at(self, lon: float, lat: float, reach: float) -> int | None:
        """The region around a place, else the nearest middle within a reach; None where there is none.

        Args:
            lon: Longitude, degrees.
            lat: Latitude, degrees.
            reach: Of a dot, as a share of the width of the whole map.
        """
        x, y = (float(one[0]) for one in _square(np.array([lon]), np.array([lat])))
        west, north, east, south = self._boxes.T
        around = np.flatnonzero((west <= x) & (x <= east) & (north <= y) & (y <= south))
        held = around[shapely.intersects(self._shapes[around], shapely.points(lon, lat))]
        if len(held):
            return int(held[0])
        away = np.hypot((west + east) / 2 - x, (north + south) / 2 - y)
        away[~np.isfinite(away)] = np.inf
        nearest = int(np.argmin(away))
        return nearest if away[nearest] <= reach else None

    def draw(
        self, place: tuple[int, int, int], classes: npt.NDArray[np.int64],
        colours: list[tuple[int, int, int]],
        faint: npt.NDArray[np.bool_] | None = None,
    ) -> bytes:  # fmt: skip
        """A tile as PNG, 512 pixels a side.

        Args:
            place: Zoom, column, row.
            classes: (N,) class of each region, −1 without a value.
            colours: Of the classes, and last of what has none.
            faint: (N,) regions that are drawn faintly.

        Raises:
            InputError: No such tile.
        """
        zoom, column, row = place
        if not (0 <= zoom <= MOST_ZOOM and 0 <= column < 2**zoom and 0 <= row < 2**zoom):
            what, remedy = (
                "no such tile",
                f"zoom from 0 to {MOST_ZOOM}, column and row from 0 below 2 to its power",
            )
            raise InputError(what, value=f"{zoom}/{column}/{row}", where="tile", remedy=remedy)
        edge = SIDE * 2.0**zoom
        boxes = self._boxes * edge - np.array([column, row, column, row]) * SIDE
        # A square is two pixels at least, so one beside the tile may reach in.
        on = (boxes[:, 2] > -_LEAST) & (boxes[:, 0] < SIDE + _LEAST)
        on &= (boxes[:, 3] > -_LEAST) & (boxes[:, 1] < SIDE + _LEAST)
        rows = np.flatnonzero(on)
        palette = np.array([(*one, 255) for one in colours], np.uint8)
        inks = palette[np.where(classes[rows] < 0, len(colours) - 1, classes[rows])]
        if faint is not None:
            inks[faint[rows], 3] = 46
        order = np.argsort((classes[rows] >= 0) & (inks[:, 3] == 255), kind="stable")
        rows, inks = rows[order], inks[order]
        size = np.maximum(boxes[rows, 2] - boxes[rows, 0], boxes[rows, 3] - boxes[rows, 1])
        picture = np.zeros((SIDE, SIDE, 4), np.uint8)
        small = size < _SMALL
        _dots(picture, boxes[rows[small]], size[small], inks[small])
        image = Image.fromarray(picture)
        self._areas(image, rows[~small], inks[~small], edge, (column * SIDE, row * SIDE))
        out = io.BytesIO()
        image.save(out, "PNG", compress_level=1)
        return out.getvalue()

    def _areas(
        self, image: Image.Image, rows: npt.NDArray[np.int64], inks: npt.NDArray[np.uint8], edge: float,
        corner: tuple[int, int],
    ) -> None:  # fmt: skip
        pen = ImageDraw.Draw(image, "RGBA")
        for row, ink in zip(rows, inks, strict=True):
            for part in shapely.get_parts(self._shapes[row]):
                lon, lat = np.asarray(shapely.get_coordinates(shapely.get_exterior_ring(part))).T
                x, y = _square(lon, lat)
                points = np.column_stack([x * edge - corner[0], y * edge - corner[1]])
                if len(points) > 2:
                    line = (255, 255, 255, 110)
                    pen.polygon(
                        [tuple(one) for one in points.tolist()], fill=tuple(ink.tolist()), outline=line
                    )


def _dots(picture: npt.NDArray[np.uint8], boxes: Floats, size: Floats, inks: npt.NDArray[np.uint8]) -> None:
    """Squares of two to four pixels around the middles, the last one on top."""
    wide = np.clip(np.round(size), _LEAST, _SMALL).astype(int)
    left = np.floor((boxes[:, 0] + boxes[:, 2] - wide) / 2).astype(int)
    top = np.floor((boxes[:, 1] + boxes[:, 3] - wide) / 2).astype(int)
    for across in range(_SMALL):
        for down in range(_SMALL):
            x, y = left + across, top + down
            there = (across < wide) & (down < wide) & (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
            picture[y[there], x[there]] = inks[there]


def _square(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """On the square of Web Mercator; what lies beyond it stands at its edge."""
    return on_mercator(lon, np.clip(lat, -MERCATOR_LATITUDE, MERCATOR_LATITUDE))
