"""Regions that cover a place are all those that the rule keeps, and the same ones whatever the place."""

from __future__ import annotations

import geopandas as gpd
import h3
import numpy as np
import pandas as pd
import pytest
import shapely

from urbanln.base.errors import InputError
from urbanln.city import covering
from urbanln.city.covering import cover
from urbanln.city.regions import make_regions

BLOB = shapely.Polygon(
    [(24.90, 60.15), (24.99, 60.16), (25.02, 60.20), (24.95, 60.19), (24.93, 60.22), (24.89, 60.20)],
    holes=[[(24.93, 60.17), (24.96, 60.17), (24.96, 60.185), (24.93, 60.185)]],
)
NARROW = shapely.LineString([(24.9, 60.1), (25.1, 60.2)]).buffer(1e-5)
WAYS = ("tile:15", "h3:8", "square:0.5")


def _oracle(place: shapely.Geometry, how: str, keep: str) -> set[str]:
    """Regions found by throwing points densely over the place and its surroundings, then asked one by one."""
    west, south, east, north = place.buffer(0.02).bounds
    lon, lat = (a.ravel() for a in np.meshgrid(np.linspace(west, east, 200), np.linspace(south, north, 200)))
    along = shapely.get_coordinates(shapely.segmentize(place.boundary, 2e-4))
    lon, lat = np.concatenate([lon, along[:, 0]]), np.concatenate([lat, along[:, 1]])
    if how.startswith("square"):  # of the same UTM zone as the place's
        assert 24 < lon.min() < lon.max() < 30
    regions, _ = make_regions(how, lon, lat, pd.Series(dtype="str"))
    rule = {
        "meets": lambda shape: shape.intersection(place).area > 0,
        "middle": lambda shape: place.intersects(shape.centroid),
        "inside": place.covers,
    }[keep]
    return {i for i, shape in zip(regions["region_id"], regions.geometry, strict=True) if rule(shape)}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("keep", covering.KEEP)
def test_what_is_kept_is_what_the_rule_says(how: str, keep: str) -> None:
    found = cover(BLOB, how, keep=keep)
    assert found.crs.to_epsg() == 4326
    assert set(found["region_id"]) == _oracle(BLOB, how, keep)
    assert found["region_id"].is_unique


@pytest.mark.parametrize("how", WAYS)
def test_a_place_narrower_than_its_regions_is_covered_too(how: str) -> None:
    found = cover(NARROW, how)
    assert set(found["region_id"]) == _oracle(NARROW, how, "meets")
    assert found.union_all().buffer(1e-9).covers(NARROW)


def test_tiles_that_share_a_border_only_are_not_met() -> None:
    tile = cover(shapely.Point(24.9, 60.2).buffer(1e-6), "tile:12")
    assert len(tile) == 1
    assert list(cover(tile.geometry.iloc[0], "tile:12")["region_id"]) == list(tile["region_id"])


def test_a_square_is_called_the_same_and_is_the_same_in_any_place() -> None:
    one, other = cover(BLOB, "square:1"), cover(shapely.box(24.9, 60.16, 24.96, 60.2), "square:1")
    both = one.merge(pd.DataFrame(other), on="region_id")
    assert len(both) > 2
    assert all(a.equals(b) for a, b in zip(both["geometry_x"], both["geometry_y"], strict=True))
    name = next(i for i in one["region_id"] if i.startswith("EPSG:32635-1000-385-"))
    metres = one[one["region_id"] == name].to_crs("EPSG:32635").total_bounds
    assert metres[0] == pytest.approx(385_000, abs=1e-3)
    assert metres[2] - metres[0] == pytest.approx(1000, abs=1e-3)


def test_squares_of_a_named_system() -> None:
    found = cover(BLOB, "square:2", crs="EPSG:3067")
    assert found["region_id"].str.startswith("EPSG:3067-2000-").all()


def test_islands_far_apart_and_the_antimeridian_need_not_all_that_lies_between() -> None:
    fiji = shapely.MultiPolygon(
        [shapely.box(179.9, -16.6, 180, -16.5), shapely.box(-180, -16.6, -179.9, -16.5)]
    )
    tiles = cover(fiji, "tile:14")
    assert 50 < len(tiles) < 150
    x = tiles["region_id"].str.split("-").str[1].astype(int)
    assert {x.min(), x.max()} == {0, 2**14 - 1}
    assert len(cover(fiji, "h3:6")) > 5


def test_polygons_of_a_file_are_those_that_meet_the_place(tmp_path: object) -> None:
    shapes = [shapely.box(x, 60, x + 0.1, 60.3) for x in (24.8, 24.9, 25.0, 25.4)]
    file = f"{tmp_path}/areas.geojson"
    gpd.GeoDataFrame({"code": ["w", "x", "y", "z"]}, geometry=shapes, crs=4326).to_file(file)
    assert list(cover(BLOB, f"{file}#code")["region_id"]) == ["w", "x", "y"]
    with pytest.raises(InputError, match="no region lies in the place"):
        cover(BLOB, f"{file}#code", keep="inside")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("tile:25", "the zoom must be between 0 and 24"),
        ("tile:x", "a whole number must follow"),
        ("h3:16", "the H3 resolution must be between"),
        ("square:x", "a number of km must follow"),
        ("square:0.00005", "whole number of metres"),
        ("square:nan", "whole number of metres"),
        ("picture", "has no pictures yet"),
        ("nowhere.gpkg", "a file of polygons that is there"),
    ],
)
def test_what_cannot_be_covered_is_one_clear_error(how: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        cover(BLOB, how)


def test_too_many_regions_are_refused_before_they_are_made() -> None:
    world = shapely.box(-180, -80, 180, 80)
    for how in ("tile:24", "h3:15"):
        with pytest.raises(InputError, match="more than 2,000,000 regions"):
            cover(world, how)
    with pytest.raises(InputError, match="no single UTM zone"):
        cover(world, "square:1")
    with pytest.raises(InputError, match="end at"):
        cover(shapely.box(0, 80, 1, 89), "tile:3")
    with pytest.raises(InputError, match="no such rule"):
        cover(BLOB, "tile:3", keep="most")
    with pytest.raises(InputError, match="projected system of metres"):
        cover(BLOB, "square:1", crs="EPSG:4326")


def test_points_fall_into_the_squares_that_cover_them() -> None:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(24.9, 25.0, 50), rng.uniform(60.15, 60.2, 50)
    regions, ids = make_regions("square:0.5", lon, lat, pd.Series(dtype="str"))
    shapes = regions.set_index("region_id").geometry
    assert all(shapes[i].intersects(shapely.Point(x, y)) for i, x, y in zip(ids, lon, lat, strict=True))
    box = shapely.box(lon.min(), lat.min(), lon.max(), lat.max())
    assert set(ids) <= set(cover(box, "square:0.5")["region_id"])


def test_cells_along_the_border_are_found_by_h3_itself_too() -> None:
    shape = h3.geo_to_h3shape(BLOB) if hasattr(h3, "geo_to_h3shape") else None
    if shape is None or not hasattr(h3, "polygon_to_cells_experimental"):
        pytest.skip("this version of h3 covers by middles only")
    theirs = set(h3.polygon_to_cells_experimental(shape, 9, "overlap"))
    assert set(cover(BLOB, "h3:9")["region_id"]) == theirs
