"""Map tiles of very many regions: a browser that draws 20,000 shapes at ease chokes on a million.

A tile says which region each of its pixels belongs to, and nothing of any column: the page colours it, tells
what lies under the pointer, and what is selected, without asking again. What is smaller than a few pixels is
drawn as that many pixels around its middle, what is larger by its shape; smaller regions lie on larger ones.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError
from urbanln.base.space import MERCATOR_LATITUDE, Floats, on_mercator

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint32]
SIDE = 512
MOST_ZOOM = 20
_SMALL = 4  # pixels; smaller regions are squares, and none is smaller than two
_LEAST = 2
_APART = (
    16  # what has no extent is a dot of two pixels; an eighth of the way to the next one looks like a dot
)
_SAMPLE = 1000  # places whose neighbours tell how far apart regions without an extent lie


@dataclass(frozen=True)
class Zooms:
    """Which tiles there are.

    Attributes:
        most: The last zoom; a page that goes closer enlarges these tiles.
        crowded: Up to this zoom several regions may share a pixel.
        typical: Pixels across of the region in the middle of all sizes, at the last zoom; 0 for points.
    """

    most: int
    crowded: int
    typical: float


class Tiles:
    """The regions laid out for drawing.

    Args:
        regions: In EPSG:4326.
        typical: Pixels across that a region has in the closest tiles, at most twice as many; more are
            sharper edges and more tiles.
    """

    def __init__(self, regions: gpd.GeoDataFrame, typical: int = 128) -> None:
        self._shapes = np.asarray(regions.geometry.values, dtype=object)
        bounds = shapely.bounds(self._shapes)
        west, north = _square(bounds[:, 0], bounds[:, 3])
        east, south = _square(bounds[:, 2], bounds[:, 1])
        self._ends = west, north, east, south
        self._size = np.maximum(east - west, south - north)
        self.zooms = self._zooms(typical)

    def _zooms(self, typical: int) -> Zooms:
        known = self._size[np.isfinite(self._size)]
        if not len(known):
            return Zooms(0, 0, 0.0)
        across = float(np.median(known))
        wide = across or _APART * self._apart()
        most = int(np.clip(np.ceil(np.log2(typical / (SIDE * wide))), 0, MOST_ZOOM)) if wide else 0
        least = float(np.percentile(known, 1))
        crowded = int(np.clip(np.ceil(np.log2(_SMALL / (SIDE * least))), 0, most)) if least else most
        return Zooms(most, crowded, SIDE * across * 2.0**most)

    def _apart(self) -> float:
        """How far the next region is, where they are points."""
        west, north, _, _ = self._ends
        middles = np.column_stack([west, north])
        middles = np.unique(middles[np.isfinite(middles).all(axis=1)], axis=0)
        if len(middles) < 2:
            return 0.0
        some = middles[np.linspace(0, len(middles) - 1, min(_SAMPLE, len(middles))).astype(int)]
        return float(np.median(cKDTree(middles).query(some, k=2)[0][:, 1]))

    def draw(self, place: tuple[int, int, int], rows: Ints | None = None) -> Rows:
        """The region of each pixel, (512, 512): its row + 1, 0 where there is none.

        Args:
            place: Zoom, column, row.
            rows: Regions that can lie there, if it is known; all by default.

        Raises:
            InputError: No such tile.
        """
        zoom, column, row = place
        if not (0 <= zoom <= self.zooms.most and 0 <= column < 2**zoom and 0 <= row < 2**zoom):
            raise InputError(
                "no such tile", value=f"{zoom}/{column}/{row}", where="tile",
                remedy=f"zoom from 0 to {self.zooms.most}, column and row from 0 below 2 to its power",
            )  # fmt: skip
        edge, corner = SIDE * 2.0**zoom, np.array([column, row]) * float(SIDE)
        rows = self._on(edge, corner, rows)
        # The largest first, so that the smaller lie on them; equal ones in the order of their rows.
        rows = rows[np.argsort(-self._size[rows], kind="stable")]
        size = self._size[rows] * edge
        large = int(np.searchsorted(-size, -_SMALL, side="right"))
        image = Image.new("I", (SIDE, SIDE))
        _areas(image, rows[:large], self._shapes[rows[:large]], edge, corner)
        drawn = np.array(image, dtype=np.uint32)
        west, north, east, south = (one[rows[large:]] * edge for one in self._ends)
        middles = np.column_stack([(west + east) / 2, (north + south) / 2]) - corner
        _dots(drawn, middles, size[large:], rows[large:])
        return drawn

    def occupied(self, zoom: int) -> Iterator[tuple[tuple[int, int, int], Ints]]:
        """The tiles of a zoom that anything can lie on, each with the regions that can, in order.

        Args:
            zoom: Up to the last one.
        """
        count, reach = 2**zoom, _LEAST / SIDE
        rows = np.flatnonzero(np.isfinite(self._size))
        west, north, east, south = (one[rows] * count for one in self._ends)
        low = np.clip(np.floor(np.column_stack([west, north]) - reach), 0, count - 1).astype(np.int64)
        high = np.clip(np.floor(np.column_stack([east, south]) + reach), 0, count - 1).astype(np.int64)
        wide, tall = (high - low + 1).T
        each = wide * tall
        # All tiles of each region: its number of tiles, counted through.
        place = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
        across = np.repeat(wide, each)
        column = np.repeat(low[:, 0], each) + place % across
        line = np.repeat(low[:, 1], each) + place // across
        tile = line * count + column
        order = np.argsort(tile, kind="stable")
        found, first = np.unique(tile[order], return_index=True)
        for number, some in zip(
            found.tolist(), np.split(np.repeat(rows, each)[order], first[1:]), strict=True
        ):
            yield (zoom, number % count, number // count), some

    def _on(self, edge: float, corner: Floats, rows: Ints | None) -> Ints:
        """Regions that reach into a tile; a square is two pixels at least, so one beside it may."""
        west, north, east, south = self._ends if rows is None else (one[rows] for one in self._ends)
        left, top = (corner - _LEAST) / edge
        right, bottom = (corner + SIDE + _LEAST) / edge
        found = np.flatnonzero((east > left) & (west < right) & (south > top) & (north < bottom))
        return found if rows is None else rows[found]


def pack_tile(drawn: Rows) -> bytes:
    """A tile as it is sent and stored: first the lowest bytes of all pixels, then the next ones, in gzip.

    Neighbours' high bytes are equal, so that the whole is a twentieth of what numbers one by one come to.
    """
    planes = drawn.astype("<u4").reshape(-1, 1).view(np.uint8).T
    return gzip.compress(planes.tobytes(), compresslevel=6, mtime=0)


def _areas(
    image: Image.Image, rows: Ints, shapes: npt.NDArray[np.object_], edge: float, corner: Floats
) -> None:
    parts, owner = shapely.get_parts(shapes, return_index=True)
    flat = shapely.get_dimensions(parts) == 2
    parts, owner = parts[flat], owner[flat]
    outer, at = shapely.get_coordinates(shapely.get_exterior_ring(parts), return_index=True)
    pixels = _pixels(outer, edge, corner)
    ends = np.searchsorted(at, np.arange(len(parts) + 1))
    holes = shapely.get_num_interior_rings(parts)
    pen = ImageDraw.Draw(image)
    for i, row in enumerate((rows[owner] + 1).tolist()):
        line = pixels[ends[i] : ends[i + 1]].ravel().tolist()
        if not holes[i]:
            pen.polygon(line, fill=row)
            continue
        mask = Image.new("1", image.size)
        cut = ImageDraw.Draw(mask)
        cut.polygon(line, fill=1)
        for ring in shapely.get_rings(parts[i])[1:]:
            cut.polygon(_pixels(shapely.get_coordinates(ring), edge, corner).ravel().tolist(), fill=0)
        image.paste(row, mask=mask)


def _pixels(lonlat: Floats, edge: float, corner: Floats) -> Floats:
    return np.column_stack(_square(*lonlat.T)) * edge - corner


def _dots(drawn: Rows, middles: Floats, size: Floats, rows: Ints) -> None:
    """Squares of two to four pixels around the middles, the last one on top."""
    wide = np.clip(np.round(size), _LEAST, _SMALL).astype(int)
    left, top = np.floor(middles - wide[:, None] / 2).astype(int).T
    most = int(wide.max(initial=0))
    for across in range(most):
        for down in range(most):
            x, y = left + across, top + down
            there = (across < wide) & (down < wide) & (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
            drawn[y[there], x[there]] = rows[there] + 1


def _square(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """On the square of Web Mercator; what lies beyond it stands at its edge."""
    return on_mercator(lon, np.clip(lat, -MERCATOR_LATITUDE, MERCATOR_LATITUDE))
