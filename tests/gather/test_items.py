"""STAC items choose the files: those on the place, of the days and as clear as asked for, clearest first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from tests.gather.rasters import write_tif
from tests.gather.world import saved, serving

from urbanln.base.errors import ArtefactError, InputError, StorageError
from urbanln.gather import run

BOX = (24.90, 60.15, 24.97, 60.19)
RECIPE = """
[place]
name = "Somewhere"
bbox = [24.92, 60.16, 24.93, 60.165]

[regions]
by = "tile:16"

[rasters.sentinel]
items = "items.json"
asset = "rgb"
gsd_m = 10
licence = "CC0-1.0"
attribution = "Somebody"

[fetch]
private = ["127.0.0.1"]
retries = 0
"""


def _recipe(folder: Path, *changes: tuple[str, str]) -> Path:
    return saved(folder, RECIPE, *changes)


def _item(
    name: str, day: str | None, cloud: float | None, href: str = "", west: float = 24.9
) -> dict[str, Any]:
    shape = shapely.box(west, 60.15, west + 0.07, 60.19)
    return {
        "type": "Feature", "id": name, "geometry": json.loads(shapely.to_geojson(shape)),
        "properties": {"datetime": day, "eo:cloud_cover": cloud},
        "assets": {"rgb": {"href": href or f"{name}.tif"}, "meta": {"href": "meta.json"}},
    }  # fmt: skip


ITEMS = [
    _item("cloudy", "2023-06-01T10:00:00Z", 60), _item("old", "2021-06-01T10:00:00Z", 3),
    _item("clear", "2023-06-02T10:00:00Z", 3), _item("later", "2023-07-02T10:00:00.123Z", 3),
    _item("unknown", None, None), _item("far", "2023-06-02T10:00:00Z", 0, west=10.0),
]  # fmt: skip


def _files(recipe: Path) -> list[str]:
    (source,) = run.prepare(recipe).sources
    return [Path(file).stem for file in source.settings.files]  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for one in ITEMS:
        write_tif(tmp_path / f"{one['id']}.tif", np.full((3, 20, 20), 9, np.uint8), BOX)
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": ITEMS}))
    return tmp_path


def test_items_on_the_place_come_clearest_first_and_then_newest(folder: Path) -> None:
    assert _files(_recipe(folder)) == ["later", "clear", "old", "cloudy", "unknown"]
    assert _files(_recipe(folder, ("gsd_m", "max_cloud = 10\ngsd_m"))) == ["later", "clear", "old"]
    days = ("gsd_m", "since = 2023-01-01\nuntil = 2023-06-02\ngsd_m")
    assert _files(_recipe(folder, days)) == ["clear", "cloudy"]
    ready = run.prepare(_recipe(folder, days))
    assert {"sentinel: items.json", "sentinel: clear.tif", "sentinel: cloudy.tif"} == set(ready.files)


def test_a_list_may_be_geoparquet(folder: Path) -> None:
    days = [one["properties"]["datetime"] for one in ITEMS]
    frame = gpd.GeoDataFrame(
        {
            "id": [one["id"] for one in ITEMS],
            "datetime": pd.to_datetime(days, utc=True, format="ISO8601"),
            "eo:cloud_cover": [one["properties"]["eo:cloud_cover"] for one in ITEMS],
            "assets": [one["assets"] for one in ITEMS],
        },
        geometry=[shapely.from_geojson(json.dumps(one["geometry"])) for one in ITEMS], crs=4326,
    )  # fmt: skip
    frame.to_parquet(folder / "items.parquet")
    change = ("items.json", "items.parquet")
    assert _files(_recipe(folder, change)) == ["later", "clear", "old", "cloudy", "unknown"]
    frame.drop(columns="assets").to_parquet(folder / "items.parquet")
    with pytest.raises(InputError, match="no list of STAC items"):
        run.prepare(_recipe(folder, change))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"rgb"', '"visual"', "an item has no such asset"),
        ("items.json", "none.json", "no such file"),
        ("items.json", "recipe.toml", "no list of STAC items"),
        ("gsd_m", 'files = ["a.tif"]\ngsd_m', "one of them"),
        ("gsd_m", "since = 2024-01-01\ngsd_m", "no item of the list fits"),
        ("gsd_m", "since = 2024-01-01\nuntil = 2023-01-01\ngsd_m", "after until"),
        ("items.json", "odd.json", "no list of STAC items"),
        ("items.json", "s3.json", "this is no address"),
    ],
)  # fmt: skip
def test_what_is_no_list_for_this_place_is_one_clear_error(
    folder: Path, old: str, new: str, told: str
) -> None:
    (folder / "odd.json").write_text('{"features": [{"id": 3}]}')
    (folder / "s3.json").write_text(json.dumps([_item("x", None, None, "s3://bucket/x.tif")]))
    with pytest.raises((InputError, ArtefactError), match=told):
        run.prepare(_recipe(folder, (old, new)))


def test_a_list_leads_only_to_hosts_that_the_recipe_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URBANLN_CACHE", str(folder / "cache"))
    field = np.random.default_rng(0).integers(1, 255, (3, 90, 90)).astype(np.uint8)
    data = write_tif(folder / "a.tif", field, BOX).read_bytes()
    with serving() as server:
        server.behave = lambda handler, place: handler.part(data)
        (folder / "items.json").write_text(json.dumps([_item("a", None, None, f"{server.url}/a.tif")]))
        with pytest.raises(StorageError, match="does not name this host"):
            run.gather(_recipe(folder), folder / "city")
        assert not server.asked
        named = _recipe(folder, ("gsd_m", 'hosts = ["127.0.0.1"]\ngsd_m'))
        states = run.gather(named, folder / "city").coverage["sentinel"]
    assert set(states) == {"picture"}
