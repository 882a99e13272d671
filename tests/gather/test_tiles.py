"""Tiles become pictures: as they came, or a mosaic whose pixels lie where they belong."""

from __future__ import annotations

import io
import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.gather.world import flat, tile

from urbanln.base.errors import InputError
from urbanln.city.regions import map_tiles
from urbanln.gather.names import file_names
from urbanln.gather.rasters.api import Rasters
from urbanln.gather.rasters.settings import RasterSource
from urbanln.gather.source import Answer
from urbanln.gather.tiles.api import Tiles
from urbanln.gather.tiles.parse import Seen, blank_looks, see
from urbanln.gather.tiles.picture import Frame, frame_of, mosaic, zoom_for
from urbanln.gather.tiles.settings import TileSource

PX = 64


def _settings(**more: object) -> TileSource:
    given = {"url": "https://a.org/{z}/{x}/{y}", "licence": "x", "attribution": "y", "tile_px": PX}
    return TileSource.model_validate(given | more)


def _ground(lon: float, lat: float) -> tuple[float, float, float]:
    """A colour that says where on the earth a pixel lies, the same in every tile."""
    return (lon * 2000) % 200 + 20, (lat * 3000) % 200 + 20, 90.0


def _painted(zoom: int, x: int, y: int) -> Image.Image:
    """A tile on which every pixel has the colour of its middle's place."""
    steps = (np.arange(PX) + 0.5) / PX
    lon = (x + steps) / 2**zoom * 360 - 180
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + steps) / 2**zoom))))
    red, green, blue = _ground(lon[None, :], lat[:, None])
    full = np.broadcast_arrays(red, green, blue)
    return Image.fromarray(np.stack(full, axis=-1).round().astype(np.uint8))


@pytest.mark.parametrize("kind", ["tiles", "rasters"])
def test_pictures_across_the_antimeridian_are_refused_with_their_regions(tmp_path: Path, kind: str) -> None:
    corners = [(-180.0, -179.9), (179.9, 180.0)]
    both = shapely.MultiPolygon([shapely.box(west, -16.6, east, -16.5) for west, east in corners])
    here = shapely.box(179.5, -16.6, 179.6, -16.5)
    ids = ["a", "across 1", "across 2", "across 3", "across 4"]
    regions = gpd.GeoDataFrame({"region_id": ids}, geometry=[here, *[both] * 4], crs=4326)
    (tmp_path / "fiji.tif").touch()
    terms = {"licence": "x", "attribution": "y", "gsd_m": 50}
    with pytest.raises(InputError, match="4 regions cross the antimeridian, and no picture does") as caught:
        if kind == "tiles":
            Tiles("a", _settings(gsd_m=50), regions, "districts.gpkg")
        else:
            settings = RasterSource.model_validate(terms | {"files": ["fiji.tif"]}).at(tmp_path)
            Rasters("a", settings, regions, "districts.gpkg")
    assert caught.value.value == "across 1, across 2, across 3 and 1 more"


def test_pixels_of_a_mosaic_lie_where_they_belong() -> None:
    west, south, east, north = 24.9401, 60.1702, 24.9702, 60.1801
    frame = frame_of((west, south, east, north), 15, 10.0, "r")
    picture, share = mosaic(frame, lambda x, y: _painted(15, x, y), PX)
    assert share == pytest.approx(1)
    kilometre = 111.32 * math.cos(math.radians((south + north) / 2))
    assert picture.width == pytest.approx((east - west) * kilometre * 100, abs=1)
    assert picture.height == pytest.approx((north - south) * 111.32 * 100, rel=0.01)
    lon = west + (np.arange(picture.width) + 0.5) / picture.width * (east - west)
    lat = north - (np.arange(picture.height) + 0.5) / picture.height * (north - south)
    red, green, _ = _ground(lon[None, :], lat[:, None])
    pixels = np.asarray(picture, dtype=float)
    # Where the colour jumps back, neighbouring pixels mix; elsewhere a pixel is right to a few steps of 256.
    off = np.maximum(np.abs(pixels[..., 0] - red), np.abs(pixels[..., 1] - green))
    assert np.median(off) < 1.5
    assert (off < 6).mean() > 0.6


def test_what_is_missing_of_a_mosaic_is_white_and_counted() -> None:
    frame = Frame(4, 2.0, 3.0, 4.0, 4.0, 128, 64)
    picture, share = mosaic(frame, lambda x, y: None if x == 3 else Image.new("RGB", (PX, PX)), PX)
    assert share == 0.5
    assert picture.getpixel((10, 30)) == (0, 0, 0)
    assert picture.getpixel((120, 30)) == (255, 255, 255)


@given(
    st.floats(0.1, 1000), st.floats(-80, 80), st.sampled_from([64, 256, 512])
)  # fmt: skip
def test_the_zoom_is_the_least_that_is_fine_enough(gsd: float, latitude: float, px: int) -> None:
    def metres(zoom: int) -> float:
        return 2 * math.pi * 6_378_137 * math.cos(math.radians(latitude)) / px / 2**zoom

    zoom = zoom_for(gsd, latitude, px)
    assert metres(zoom) <= gsd * 1.001
    assert zoom == 0 or metres(zoom - 1) > gsd * 0.999


def test_tiles_of_the_regions_are_taken_as_they_are() -> None:
    regions = map_tiles(np.array([(5, 6), (5, 7)]), 4)
    source = Tiles("a", _settings(), regions, "tile:4")
    assert [one.url for one in source.first()] == ["https://a.org/4/5/6", "https://a.org/4/5/7"]
    assert source.pictures() == 2


def test_neighbouring_regions_ask_for_a_shared_tile_once() -> None:
    shapes = [shapely.box(24.90, 60.15, 24.92, 60.16), shapely.box(24.92, 60.15, 24.94, 60.16)]
    regions = gpd.GeoDataFrame({"region_id": ["a", "b"]}, geometry=shapes, crs=4326)
    source = Tiles("a", _settings(gsd_m=30), regions, "square:1")
    urls = [one.url for one in source.first()]
    assert len(urls) == len(set(urls))
    assert len(urls) < sum(len(frame.tiles()) for frame in source._frames)


@pytest.mark.parametrize(
    ("settings", "by", "told"),
    [
        ({}, "square:1", "need a resolution"),
        ({"zoom": 15}, "tile:14", "need a resolution"),
        ({"zoom": 10, "gsd_m": 1}, "tile:14", "too coarse for 1 m"),
        ({"gsd_m": 1e-4}, "tile:14", "too coarse for 0.0001 m"),
        ({"gsd_m": 0.05}, "tile:14", "more than 4,096 pixels"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(settings: dict[str, object], by: str, told: str) -> None:
    regions = map_tiles(np.array([(9325, 4740)]), 14)
    with pytest.raises(InputError, match=told):
        Tiles("a", _settings(**settings), regions, by)


def test_a_tile_is_seen_for_what_it_is() -> None:
    assert see(None, PX).state == "unanswered"
    assert see(Answer(404, b""), PX).state == "absent"
    assert see(Answer(200, tile(1, 2, 3)[:400]), PX).state == "broken"
    assert see(Answer(200, tile(1, 2, 3, 128)), PX).state == "broken"
    one, other = see(Answer(200, tile(1, 2, 3)), PX), see(Answer(200, tile(1, 2, 4)), PX)
    assert one.state == other.state == "picture"
    assert one.look != other.look
    # Of one colour, though the files differ: written by two servers of one service.
    assert see(Answer(200, flat((9, 9, 9))), PX).look == see(Answer(200, flat((9, 9, 9)) + b"\0"), PX).look


def test_a_tile_that_is_transparent_all_over_is_no_imagery_even_once() -> None:
    for alpha, state in ((0, "blank"), (1, "picture"), (255, "picture")):
        buffer = io.BytesIO()
        Image.new("RGBA", (PX, PX), (255, 255, 255, alpha)).save(buffer, "PNG")
        assert see(Answer(200, buffer.getvalue()), PX).state == state


def test_no_imagery_is_what_many_places_show_alike() -> None:
    seen = [Seen("picture", "same")] * 5 + [Seen("picture", str(n)) for n in range(9)] + [Seen("absent")] * 9
    assert blank_looks(seen, 5) == {"same"}
    assert blank_looks(seen, 6) == set()
    assert blank_looks(seen, 0) == set()


def test_ids_become_names_of_files_that_differ() -> None:
    ids = ["18-1-2", "a/b", "a_b", "../x", "A", "a", "ü", "x" * 300, "EPSG:32635-1000-1-2", ".hidden"]
    names = file_names(ids)
    assert names["18-1-2"] == "18-1-2"
    assert len({name.casefold() for name in names.values()}) == len(ids)
    for name in names.values():
        assert len(name) < 120
        assert not name.startswith(".")
        assert name.isascii()
        assert "/" not in name
