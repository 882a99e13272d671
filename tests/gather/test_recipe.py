"""A recipe is read whole, and whatever is wrong with it, or with its place, is one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from tests.gather.world import SOMEWHERE, saved

from urbanln.base.errors import InputError
from urbanln.gather import place as places
from urbanln.gather.recipe import read_recipe, recipe_hash
from urbanln.gather.settings import read_key
from urbanln.gather.tiles.template import fill, hosts

RECIPE = (
    SOMEWHERE
    + """
[tiles.aerial]
url = "https://tiles.example.org/{z}/{x}/{y}.jpg"
licence = "CC0-1.0"
attribution = "Somebody"
"""
)


def _recipe(folder: Path, *changes: tuple[str, str], text: str = RECIPE) -> Path:
    return saved(folder, text, *changes)


def test_a_recipe_gives_its_sources_and_its_regions(tmp_path: Path) -> None:
    recipe = read_recipe(_recipe(tmp_path))
    assert list(recipe.sources()) == ["aerial"]
    regions = places.make(recipe, tmp_path)
    assert len(regions.frame) > 10
    assert regions.frame["region_id"].str.startswith("14-").all()
    assert regions.by == "tile:14"
    first = places.make(recipe, tmp_path, limit=3).frame
    assert list(first["region_id"]) == list(regions.frame["region_id"][:3])


def test_how_fast_it_is_fetched_does_not_change_what_comes_out(tmp_path: Path) -> None:
    one = recipe_hash(read_recipe(_recipe(tmp_path)))
    fast = read_recipe(_recipe(tmp_path, ("[tiles", "[fetch]\nconcurrency = 9\n[tiles")))
    assert recipe_hash(fast) == one
    assert recipe_hash(read_recipe(_recipe(tmp_path, ("14", "15")))) != one
    assert recipe_hash(fast, limit=3) != one


@pytest.mark.parametrize(
    ("old", "new", "told", "remedy"),
    [
        ("[tiles.aerial]", "[tile.aerial]", "unknown setting 'tile'", "'tiles'"),
        ("[tiles.aerial]", "[tiles.geometry]", "can be called 'geometry'", ""),
        ("url =", "zom = 3\nurl =", "unknown setting 'tiles.aerial.zom'", "'tiles.aerial.zoom'"),
        ("url =", "zoom = 25\nurl =", "setting 'tiles.aerial.zoom'", "from 0 to 24"),
        ("url =", "zoom = nan\nurl =", "setting 'tiles.aerial.zoom'", "from 0 to 24"),
        ("licence = \"CC0-1.0\"\n", "", "setting 'tiles.aerial.licence': Field required", "licence or terms"),
        ("\"Somebody\"", '""', "setting 'tiles.aerial.attribution'", "whom to name"),
        ("by = ", "bye = ", "unknown setting 'regions.bye'|setting 'regions.by'", ""),
        ("[regions]\nby = \"tile:14\"", "", r"needs a section \[regions\]", "docs/gather.md"),
        ("{y}", "", "needs {z}, {x} and {y}", ""),
        ("{y}", "{yy}", "unknown placeholder {yy}", ""),
        ("https://", "ftp://", "begins with https://", ""),
        ("https://tiles", "https://{z}.tiles", "only {s} may stand in the name of a host", ""),
        ("https://", "https://me:word@", "a password stands in the address", ""),
        ("{y}.jpg", "{y}.jpg?k={key}", "{key} needs the name of an environment variable", ""),
        ("{y}.jpg", "{y}.jpg\\nX: y", "one line of ASCII", ""),
        ("url =", "key = \"sk-123\"\nurl =", "setting 'tiles.aerial.key'", "environment variable"),
        ("bbox = [24.90, 60.15, 24.96, 60.19]", "", "one of them, not by none", ""),
        ("bbox =", "points = \"a.csv\"\nbbox =", "not by bbox and points", ""),
        ("60.15, 24.96, 60.19", "60.15, 24.96, 60.15", "the box is empty", ""),
        ("24.90,", "240.90,", "setting 'place.bbox.0'", ""),
        ("[place]", "[place", "not TOML", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_recipe_is_named(
    tmp_path: Path, old: str, new: str, told: str, remedy: str
) -> None:
    path = _recipe(tmp_path, (old, new))
    with pytest.raises(InputError, match=told) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
    assert remedy in str(caught.value)
    assert "sk-123" not in str(caught.value)


def test_a_recipe_without_a_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no source"):
        read_recipe(_recipe(tmp_path, text=RECIPE.partition("[tiles")[0]))


def test_a_key_comes_from_the_environment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _recipe(tmp_path, ("{y}.jpg", "{y}.jpg?k={key}"), ("url =", 'key = "MAP_KEY"\nurl ='))
    source = read_recipe(path).tiles["aerial"]
    monkeypatch.delenv("MAP_KEY", raising=False)
    with pytest.raises(InputError, match="is not set") as caught:
        read_key(source, "[tiles.aerial]")
    assert caught.value.value == "MAP_KEY"
    monkeypatch.setenv("MAP_KEY", "secret\r\nX-A: b")
    with pytest.raises(InputError, match="holds what is no key") as caught:
        read_key(source, "[tiles.aerial]")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("MAP_KEY", "secret ")
    assert read_key(source, "[tiles.aerial]") == "secret"


@pytest.mark.parametrize(
    ("template", "address"),
    [
        ("https://a.org/{z}/{x}/{y}", "https://a.org/3/5/2"),
        ("https://a.org/{z}/{x}/{-y}", "https://a.org/3/5/5"),
        ("https://a.org/{TileMatrix}/{TileRow}/{TileCol}", "https://a.org/3/2/5"),
        ("https://a.org/t?m=E:{tilematrix}&r={tilerow}&c={tilecol}", "https://a.org/t?m=E:3&r=2&c=5"),
        ("https://a.org/{q}", "https://a.org/121"),
        ("https://a.org/{z}/{x}/{y}?k={key}", "https://a.org/3/5/2?k={key}"),
        ("https://{s}.a.org/{z}/{x}/{y}", "https://b.a.org/3/5/2"),
    ],
)  # fmt: skip
def test_addresses_of_tiles(template: str, address: str) -> None:
    subdomains = ["a", "b"] if "{s}" in template else []
    assert fill(template, 3, 5, 2, subdomains) == address
    assert hosts(template, subdomains) == (["a.a.org", "b.a.org"] if subdomains else ["a.org"])


def _shape(folder: Path, ring: list[list[float]]) -> Path:
    shape = {"type": "Polygon", "coordinates": [ring]}
    value = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": shape}],
    }
    (folder / "place.geojson").write_text(json.dumps(value))
    return _recipe(folder, ("bbox = [24.90, 60.15, 24.96, 60.19]", 'polygon = "place.geojson"'))


@pytest.mark.parametrize(
    ("ring", "told"),
    [
        ([[24.9, 60.1], [25.0, 60.1], [25.0, 60.2], [24.9, 60.2]], "is open"),
        ([[24.9, 60.1], [25.0, 60.2], [25.0, 60.1], [24.9, 60.2], [24.9, 60.1]], "invalid geometry"),
        ([[24.9, 60.1], [25.0, 60.1], [24.9, 60.1], [24.9, 60.1]], "invalid geometry|no area"),
        ([], "no shape"),
        ([[249, 60.1], [250, 60.1], [250, 60.2], [249, 60.2], [249, 60.1]], "outside ±180/±90"),
    ],
    ids=["open", "self-crossing", "flat", "empty", "off the earth"],
)
def test_a_place_that_is_no_area_is_refused(tmp_path: Path, ring: list[list[float]], told: str) -> None:
    recipe = read_recipe(_shape(tmp_path, ring))
    with pytest.raises(InputError, match=told) as caught:
        places.make(recipe, tmp_path)
    assert "place.geojson" in str(caught.value)


def test_rows_of_a_file_are_the_place(tmp_path: Path) -> None:
    shapes = [shapely.box(24.9, 60.1, 25.0, 60.2), shapely.box(10, 50, 11, 51)]
    frame = gpd.GeoDataFrame({"name": ["A", "B"]}, geometry=shapes, crs=4326).to_crs(3857)
    frame.to_file(tmp_path / "all.gpkg")
    box = "bbox = [24.90, 60.15, 24.96, 60.19]"
    path = _recipe(tmp_path, (box, 'polygon = "all.gpkg"\nonly = {name = "B"}'))
    found = places.outline(read_recipe(path).place, tmp_path)
    assert found.symmetric_difference(shapes[1]).area < 1e-6
    path = _recipe(tmp_path, (box, 'polygon = "all.gpkg"\nonly = {name = "C"}'))
    with pytest.raises(InputError, match="no row of the place's file has name = C"):
        places.outline(read_recipe(path).place, tmp_path)


def test_a_box_may_cross_the_antimeridian(tmp_path: Path) -> None:
    recipe = read_recipe(_recipe(tmp_path, ("[24.90, 60.15, 24.96, 60.19]", "[179.9, -16.6, -179.9, -16.5]")))
    assert 20 < len(places.make(recipe, tmp_path).frame) < 200


def test_regions_that_hold_a_point_with_their_districts(tmp_path: Path) -> None:
    table = pd.DataFrame({"long": [24.9, 24.9, 25.0, None], "lat": [60.1, 60.1, 60.2, None]})
    table.to_csv(tmp_path / "houses.csv", index=False)
    halves = [shapely.box(24, 60, 24.95, 61), shapely.box(24.95, 60, 26, 61)]
    gpd.GeoDataFrame({"name": ["west", "east"]}, geometry=halves, crs=4326).to_file(tmp_path / "d.geojson")
    path = _recipe(
        tmp_path,
        ("bbox = [24.90, 60.15, 24.96, 60.19]", 'points = "houses.csv"\nlon = "long"'),
        ('"tile:14"', '"tile:14"\ndistrict = "d.geojson#name"'),
    )
    regions = places.make(read_recipe(path), tmp_path)
    assert list(regions.frame["district"]) == ["west", "east"]
    assert set(regions.made_from) == {"houses.csv", "d.geojson"}
