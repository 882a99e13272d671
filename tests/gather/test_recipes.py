"""The recipes that come along can be read, and with files of the kind that they name they can be planned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from tests.gather.rasters import write_tif

from urbanln.gather import run
from urbanln.gather.labels.settings import JoinedLabel, PlacedLabel, PointLabel, RasterLabel, ShapeLabel
from urbanln.gather.local_files import hosts_of
from urbanln.gather.recipe import Recipe, read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = sorted(path.stem for path in RECIPES.glob("*.toml"))
ROWS = 12


def test_there_are_the_cities_of_the_paper_and_two_to_run() -> None:
    assert {"beijing", "shanghai", "shenzhen", "new-york", "helsinki", "king-county"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_planned_where_its_files_are(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text((RECIPES / path.name).read_text())
    recipe = read_recipe(path)
    _files(recipe, tmp_path)
    ready = run.prepare(path, limit=30)
    report = run.plan(ready, sample=False)
    assert [plan.name for plan in report.plans] == list(recipe.sources())
    assert report.regions
    assert "\n".join(report.lines())
    for source in ready.sources:
        if source.settings.__class__.__module__.endswith("labels.settings"):
            built = source.build(lambda _: None, tmp_path)
            assert built.coverage.isin(["label", "partial", "absent"]).all()
            assert "label" in set(built.coverage), source.name


def _files(recipe: Recipe, folder: Path) -> None:
    """Small files of the kind that each section names, over the place or its beginning."""
    place = recipe.place
    box = place.bbox or (-74.02, 40.70, -73.94, 40.78)
    grid = shapely.box(
        *np.array(np.meshgrid(*[np.linspace(box[n], box[n + 2], 4)[:-1] for n in (0, 1)])).reshape(2, -1),
        *_ends(box),
    )
    if place.polygon:
        gpd.GeoDataFrame({"BoroCode": [1]}, geometry=[shapely.box(*box)], crs=4326).to_crs(2263).to_file(
            folder / place.polygon
        )
    if place.points:
        pd.DataFrame({place.lon: [-122.3, -122.1], place.lat: [47.5, 47.6]}).to_csv(folder / place.points)
    file, _, column = recipe.regions.by.partition("#")
    ids = [f"36061{number:06}" for number in range(len(grid))]
    if column:
        gpd.GeoDataFrame({column: ids}, geometry=grid, crs=4269).to_file(folder / file)
    tables: dict[str, dict[str, Any]] = {}
    for one in recipe.labels.values():
        if isinstance(one, RasterLabel):
            _raster(folder / one.raster, box, one.band)
        elif isinstance(one, PlacedLabel):
            if one.within:
                gpd.GeoDataFrame(geometry=[shapely.box(*box)], crs=4326).to_file(folder / one.within)
            tables.setdefault(one.file, {}).update(_columns(one, grid))
        elif isinstance(one, JoinedLabel):
            values = {one.ids: [f"1400000US{name}" for name in ids], one.column: np.arange(len(ids)) + 30_000}
            pd.DataFrame(values).to_csv(folder / one.table, index=False)
    for name, columns in tables.items():
        frame = gpd.GeoDataFrame(columns, crs=4326) if "geometry" in columns else pd.DataFrame(columns)
        frame.to_parquet(folder / name) if name.endswith("parquet") else frame.to_csv(folder / name)
    for pictures in recipe.rasters.values():
        _items(folder / pictures.items, pictures.asset, pictures.hosts, box)


def _ends(box: tuple[float, ...]) -> Iterable[np.ndarray]:
    return np.array(np.meshgrid(*[np.linspace(box[n], box[n + 2], 4)[1:] for n in (0, 1)])).reshape(2, -1)


def _raster(path: Path, box: tuple[float, ...], bands: int) -> None:
    west, south, east, north = box
    around = (west - 0.1, south - 0.1, east + 0.1, north + 0.1)
    write_tif(path, np.ones((bands, 30, 40), dtype=np.float32), around)


def _columns(one: PlacedLabel, grid: np.ndarray) -> Mapping[str, Any]:
    """Columns of a table in which a few rows count."""
    found: dict[str, Any] = {
        name: (values * ROWS)[: len(grid)] for kind in one.only for name, values in kind.items()
    }
    found |= {one.id: range(len(grid))} if one.id else {}
    found |= {one.day: [f"{one.since}T00:00:00.000"] * len(grid)} if one.day else {}
    corners = shapely.bounds(grid)[:, :2] + 1e-3
    if isinstance(one, PointLabel) and one.file.endswith("csv"):
        return found | {one.lon: corners[:, 0], one.lat: corners[:, 1]}
    if isinstance(one, ShapeLabel) and one.statistic in ("length", "density"):
        return found | {"geometry": shapely.boundary(grid)}
    return found | {"geometry": grid if isinstance(one, ShapeLabel) else shapely.points(corners)}


def _items(path: Path, asset: str, hosts: tuple[str, ...], box: tuple[float, ...]) -> None:
    """A list as a catalogue's search gives it."""
    href = f"https://{hosts[0]}/{asset}.tif"
    assert hosts_of([href]) == list(hosts)
    shape = json.loads(shapely.to_geojson(shapely.box(*box)))
    item = {
        "type": "Feature", "id": "one", "geometry": shape, "assets": {asset: {"href": href}},
        "properties": {"datetime": "2021-07-01T00:00:00Z", "eo:cloud_cover": 1.0},
    }  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
