"""Pictures of regions: a tile as it came, or a mosaic of tiles at a stated resolution."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import geopandas as gpd
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.space import on_mercator

EARTH_M = 2 * math.pi * 6_378_137  # around the equator of Web-Mercator
MAX_EDGE = 4096
_QUALITY = 92


@dataclass(frozen=True)
class Frame:
    """Where the picture of a region lies in the tiles of a zoom.

    Attributes:
        zoom: Of the tiles.
        west, north, east, south: Edges in tiles, counted from the north-western corner of the map.
        width, height: Of the picture in pixels.
    """

    zoom: int
    west: float
    north: float
    east: float
    south: float
    width: int
    height: int

    def tiles(self) -> list[tuple[int, int]]:
        """Columns and rows of the tiles it lies on, row by row."""
        last = 2**self.zoom - 1
        columns = range(math.floor(self.west), min(math.ceil(self.east), last + 1))
        rows = range(math.floor(self.north), min(math.ceil(self.south), last + 1))
        return [(x, y) for y in rows for x in columns]


def frames_of(regions: gpd.GeoDataFrame, zoom: int, gsd_m: float) -> list[Frame]:
    """The frames around regions.

    Args:
        regions: ``region_id`` and ``geometry`` in EPSG:4326.
        zoom, gsd_m: See :func:`frame_of`.

    Raises:
        InputError: Some cross the antimeridian, or a picture would be larger than 4,096 pixels.
    """
    boxes, ids = regions.bounds.to_numpy(), list(regions["region_id"])
    across = [region for region, box in zip(ids, boxes, strict=True) if box[2] - box[0] > 180]
    if across:
        more = f" and {len(across) - 3:,} more" if len(across) > 3 else ""
        raise InputError(
            f"{len(across):,} regions cross the antimeridian, and no picture does",
            value=", ".join(across[:3]) + more,
            where="regions",
            remedy='take map tiles as regions, by = "tile:ZOOM", which end there; or another place',
        )
    return [frame_of(tuple(box), zoom, gsd_m, region) for box, region in zip(boxes, ids, strict=True)]


def frame_of(bounds: tuple[float, float, float, float], zoom: int, gsd_m: float, region: str) -> Frame:
    """The frame around a region, which does not cross the antimeridian.

    Args:
        bounds: West, south, east, north of the region in degrees, within ±85.05 of latitude.
        zoom: Of the tiles.
        gsd_m: Metres on the ground per pixel, at the middle latitude of the region.
        region: Its id, for errors.

    Raises:
        InputError: The picture would be larger than 4,096 pixels.
    """
    west, south, east, north = bounds
    (x0, y0), (x1, y1) = _position(west, north, zoom), _position(east, south, zoom)
    metres = EARTH_M / 2**zoom * math.cos(math.radians((south + north) / 2))  # per tile, on the ground
    width, height = (max(round((b - a) * metres / gsd_m), 1) for a, b in ((x0, x1), (y0, y1)))
    if max(width, height) > MAX_EDGE:
        raise InputError(
            f"the picture of a region would have more than {MAX_EDGE:,} pixels on a side",
            value=f"{region}: {width:,} × {height:,}",
            where="gsd_m",
            remedy="give more metres per pixel (gsd_m), or take smaller regions",
        )
    return Frame(zoom, x0, y0, x1, y1, width, height)


def _position(lon: float, lat: float, zoom: int) -> tuple[float, float]:
    x, y = on_mercator(lon, lat)
    return float(x) * 2**zoom, float(y) * 2**zoom


def zoom_for(gsd_m: float, latitude: float, tile_px: int) -> int:
    """The least zoom whose pixels are no coarser than a resolution.

    Args:
        gsd_m: Metres on the ground per pixel.
        latitude: Degrees; pixels are the coarser the nearer to the equator.
        tile_px: Edge of a tile.
    """
    metres = EARTH_M * math.cos(math.radians(latitude)) / tile_px
    return max(math.ceil(math.log2(metres / gsd_m) - 1e-6), 0)


def mosaic(
    frame: Frame, tile: Callable[[int, int], Image.Image | None], tile_px: int
) -> tuple[Image.Image, float]:
    """The picture of a region, cut out of its tiles and brought to its resolution.

    Args:
        frame: Where it lies.
        tile: The picture of a tile by column and row; None where there is none, which stays white.
        tile_px: Edge of a tile.

    Returns:
        The picture, and the share of it that is there.
    """
    tiles = frame.tiles()
    (left, top), (right, bottom) = tiles[0], tiles[-1]
    size = ((right - left + 1) * tile_px, (bottom - top + 1) * tile_px)
    canvas, there = Image.new("RGB", size, "white"), 0.0
    for x, y in tiles:
        if (picture := tile(x, y)) is not None:
            canvas.paste(picture, ((x - left) * tile_px, (y - top) * tile_px))
            across = min(frame.east, x + 1) - max(frame.west, x)
            there += across * (min(frame.south, y + 1) - max(frame.north, y))
    x0, x1 = ((edge - left) * tile_px for edge in (frame.west, frame.east))
    y0, y1 = ((edge - top) * tile_px for edge in (frame.north, frame.south))
    share = there / ((frame.east - frame.west) * (frame.south - frame.north))
    return canvas.resize((frame.width, frame.height), Image.Resampling.LANCZOS, box=(x0, y0, x1, y1)), share


def as_jpeg(picture: Image.Image) -> bytes:
    """A picture as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
