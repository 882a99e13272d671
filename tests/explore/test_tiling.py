"""Tiles show every region where it lies, and what is pointed at is what is drawn there."""

from __future__ import annotations

import io

import geopandas as gpd
import numpy as np
import pytest
import shapely
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.explore.tiling import SIDE, Tiles

COLOURS = [(255, 0, 0), (0, 0, 255), (9, 9, 9)]


def _tiles(shapes: list[shapely.Geometry]) -> Tiles:
    names = [str(i) for i in range(len(shapes))]
    return Tiles(gpd.GeoDataFrame({"region_id": names}, geometry=shapes, crs=4326))


def _drawn(tiles: Tiles, place: tuple[int, int, int], classes: list[int], **how: object) -> np.ndarray:
    data = tiles.draw(place, np.array(classes), COLOURS, **how)
    return np.asarray(Image.open(io.BytesIO(data)))


def _where(lon: float, lat: float, place: tuple[int, int, int]) -> tuple[int, int]:
    """Row and column of a pixel, by the formula of slippy maps."""
    n = 2 ** place[0]
    x = (lon + 180) / 360 * n - place[1]
    y = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * n - place[2]
    return int(y * SIDE), int(x * SIDE)


def test_areas_lie_where_they_lie() -> None:
    tiles = _tiles([shapely.box(24, 60, 24.4, 60.2), shapely.box(24.4, 60, 24.8, 60.2)])
    place = (8, 145, 74)
    picture = _drawn(tiles, place, [0, -1])
    assert tuple(picture[_where(24.2, 60.1, place)]) == (255, 0, 0, 255)
    assert tuple(picture[_where(24.6, 60.1, place)]) == (9, 9, 9, 255), "no value"
    assert picture[_where(24.6, 60.4, place)][3] == 0, "nobody lies there"
    faint = _drawn(tiles, place, [0, 1], faint=np.array([False, True]))
    assert faint[_where(24.6, 60.1, place)][3] < 128 < faint[_where(24.2, 60.1, place)][3]


def test_no_region_is_too_small_to_be_seen_and_none_without_value_covers_one_with() -> None:
    dots = [shapely.Point(24.5, 60.1), shapely.Point(24.5, 60.1), shapely.Point(24.0, 60.2)]
    tiles = _tiles(dots)
    place = (8, 145, 74)
    for classes in ([1, -1, 0], [-1, 1, 0]):
        picture = _drawn(tiles, place, classes)
        assert tuple(picture[_where(24.5, 60.1, place)]) == (0, 0, 255, 255)
        assert (picture[..., 3] > 0).sum() == 8, "two dots of four pixels"


def test_a_dot_on_an_edge_is_on_both_tiles() -> None:
    lon = 145 / 256 * 360 - 180
    tiles = _tiles([shapely.Point(lon, 60.1)])
    seen = [(_drawn(tiles, (8, x, 74), [0])[..., 3] > 0).sum() for x in (144, 145)]
    assert sum(seen) == 4
    assert min(seen) > 0


def test_what_is_pointed_at() -> None:
    tiles = _tiles([shapely.box(24, 60, 24.4, 60.2), shapely.Point(25, 61)])
    assert tiles.at(24.1, 60.1, 0) == 0
    assert tiles.at(25.001, 61, 1e-5) == 1
    assert tiles.at(26, 61, 1e-5) is None


@pytest.mark.parametrize("place", [(-1, 0, 0), (2, 4, 0), (2, 0, -1), (23, 0, 0)])
def test_tiles_that_do_not_exist_are_refused(place: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="no such tile"):
        _tiles([shapely.Point(0, 0)]).draw(place, np.array([0]), COLOURS)
