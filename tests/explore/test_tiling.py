"""Tiles say which region lies where, as geometry says it; no region is too small to be seen."""

from __future__ import annotations

import gzip

import geopandas as gpd
import numpy as np
import pytest
import shapely

from urbanln.base.errors import InputError
from urbanln.explore.tiling import MOST_ZOOM, SIDE, Tiles, pack_tile


def _tiles(shapes: list[shapely.Geometry] | np.ndarray, typical: int = 128) -> Tiles:
    names = [str(i) for i in range(len(shapes))]
    return Tiles(gpd.GeoDataFrame({"region_id": names}, geometry=list(shapes), crs=4326), typical)


def _middles(place: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of the middles of a tile's pixels, by the formulas of slippy maps."""
    at = np.arange(SIDE) + 0.5
    lon = (place[1] + at / SIDE) / 2 ** place[0] * 360 - 180
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (place[2] + at / SIDE) / 2 ** place[0]))))
    return np.meshgrid(lon, lat)


def _pixel(lon: float, lat: float, place: tuple[int, int, int]) -> tuple[int, int]:
    """Row and column of the pixel of a place."""
    lons, lats = _middles(place)
    return int(np.abs(lats[:, 0] - lat).argmin()), int(np.abs(lons[0] - lon).argmin())


@pytest.mark.parametrize("seed", range(3))
def test_every_pixel_is_of_the_region_around_its_middle(seed: int) -> None:
    """Against points in polygons, one by one: areas with holes, islands and regions within others."""
    rng = np.random.default_rng(seed)
    ground = shapely.box(24, 60, 24.4, 60.2)
    seeds = shapely.MultiPoint(rng.uniform([24, 60], [24.4, 60.2], (60, 2)))
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=ground))
    shapes = list(shapely.intersection(cells, ground))
    inner = shapes[7].centroid.buffer(np.sqrt(shapes[7].area) / 6)
    shapes[7] = shapes[7].difference(inner)  # a hole with nothing in it
    around = shapes[20].centroid.buffer(np.sqrt(shapes[20].area) / 5)
    shapes[20] = shapes[20].difference(around)
    shapes.append(around)  # a region in a hole
    shapes[3] = shapely.MultiPolygon([shapes[3], shapely.box(24.6, 60.05, 24.63, 60.07)])
    place = (9, int((24.2 + 180) / 360 * 512), 148)
    drawn = _tiles(shapes, typical=256).draw(place)
    lons, lats = _middles(place)
    points = shapely.points(lons.ravel(), lats.ravel())
    truth = np.zeros(SIDE * SIDE, np.int64)
    edge = np.zeros(SIDE * SIDE, bool)
    across = 360 / 512 / SIDE
    for row, shape in enumerate(shapes):
        truth[shapely.contains(shape, points)] = row + 1
        edge |= shapely.dwithin(shape.boundary, points, 1.5 * across)
    assert (truth > 0).mean() > 0.1
    assert 0 < (~edge).mean() < 1
    np.testing.assert_array_equal(drawn.ravel()[~edge], truth[~edge])


def test_a_tile_is_the_same_whether_it_is_known_who_may_lie_there() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform([24, 60], [25, 60.5], (300, 2))
    tiles = _tiles(shapely.box(*corners.T, *(corners + rng.uniform(0, 0.02, (300, 2))).T))
    place = (9, 290, 148)
    whole = tiles.draw(place)
    assert (whole > 0).any()
    np.testing.assert_array_equal(tiles.draw(place, np.unique(whole[whole > 0]).astype(int) - 1), whole)


def test_no_region_is_too_small_to_be_seen_and_small_ones_lie_on_large() -> None:
    shapes = [shapely.Point(24.5, 60.1), shapely.box(24.4, 60, 24.6, 60.2), shapely.Point(24.0, 60.2)]
    tiles = _tiles([*shapes, shapely.box(26, 60, 26.1, 60.1)])
    place = (8, 145, 74)
    drawn = tiles.draw(place)
    assert [(drawn == one).sum() for one in (1, 3)] == [4, 4], "dots of four pixels"
    assert drawn[_pixel(24.45, 60.1, place)] == 2


def test_a_dot_on_an_edge_is_on_both_tiles() -> None:
    lon = 145 / 256 * 360 - 180
    tiles = _tiles([shapely.Point(lon, 60.1), shapely.Point(lon + 0.01, 60.1)])
    seen = [(tiles.draw((8, x, 74)) == 1).sum() for x in (144, 145)]
    assert sum(seen) == 4
    assert min(seen) > 0


def test_the_last_zoom_is_where_regions_are_large() -> None:
    edge = 0.002
    west, south = np.meshgrid(np.arange(30) * edge, np.arange(30) * edge)
    squares = shapely.box(west, south, west + edge, south + edge).ravel()
    zooms = _tiles(squares).zooms
    across = SIDE * 2**zooms.most * edge / 360
    assert 128 <= across < 256
    assert zooms.typical == pytest.approx(across, rel=1e-3)
    assert SIDE * 2**zooms.crowded * edge / 360 >= 4 > SIDE * 2 ** (zooms.crowded - 1) * edge / 360
    points = _tiles(shapely.centroid(squares)).zooms
    assert points.crowded == points.most, "dots may share pixels at every zoom"
    assert points.typical == 0
    assert 0 < points.most < zooms.most
    assert _tiles([shapely.Point(24, 60)]).zooms.most == 0
    assert _tiles([shapely.Point(24, 60).buffer(1e-9)]).zooms.most == MOST_ZOOM
    assert _tiles([shapely.Polygon()]).zooms.most == 0


def test_a_packed_tile_holds_the_bytes_of_all_pixels_in_turn() -> None:
    drawn = np.arange(SIDE * SIDE, dtype=np.uint32).reshape(SIDE, SIDE) * 4097
    packed = pack_tile(drawn)
    planes = np.frombuffer(gzip.decompress(packed), np.uint8).reshape(4, SIDE, SIDE).astype(np.uint32)
    np.testing.assert_array_equal(sum(planes[i] << np.uint32(8 * i) for i in range(4)), drawn)
    assert pack_tile(drawn) == packed


@pytest.mark.parametrize("place", [(-1, 0, 0), (2, 4, 0), (2, 0, -1), (23, 0, 0)])
def test_tiles_that_do_not_exist_are_refused(place: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="no such tile"):
        _tiles([shapely.box(0, 0, 0.01, 0.01)]).draw(place)
