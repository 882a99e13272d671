"""What is taken away from an export, made in the page, is what the server hands over."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyproj
import pytest
from geopandas.testing import assert_geodataframe_equal
from shapely import MultiPolygon, Point, box
from tests.explore.world import make_content

from urbanln.explore.content import Column, Content
from urbanln.explore.exporting import export_page
from urbanln.explore.taken import TYPES, take


@pytest.fixture(scope="module")
def content() -> Content:
    """The made city with all kinds of shapes, ids like numbers and formulas, and numbers of all sizes."""
    made = make_content(reads=False)
    n = len(made)
    rng = np.random.default_rng(5)
    shapes = made.regions.geometry.to_numpy().copy()
    shapes[0] = box(0, 0, 0.009, 0.009).difference(box(0.002, 0.002, 0.004, 0.005))
    shapes[1] = MultiPolygon([box(0.01, 0, 0.012, 0.002), box(0.014, 0, 0.016, 0.002)])
    shapes[2] = Point(0.025, 0.005)
    ids = ["007", "=1+1", "-5", 'a "b", c', "Õ\u2028", *(f"r{i}" for i in range(5, n))]
    sizes = (rng.normal(size=n) * 10.0 ** rng.integers(-12, 12, n)).astype(np.float32)
    halves = (np.arange(n) / 128).astype(np.float32)
    steps = np.where(np.arange(n) % 4 == 3, np.nan, np.arange(n) % 3).astype(np.float32)
    sums = np.where(np.arange(n) == 4, np.nan, np.arange(n) * 1e9 + 0.25)
    more = [
        Column("label:sum", "sum", "label", sums.astype(np.float32), exact=sums),
        Column("label:size", "size", "label", sizes),
        Column("label:half", "half", "label", halves),
        Column("label:zip", "zip code", "label", np.arange(98_101, 98_101 + n).astype(np.float32)),
        Column("cluster", "cluster", "cluster", steps, kind="class", classes=("a", "b, c", "=d")),
    ]
    regions = made.regions.assign(region_id=ids).set_geometry(gpd.GeoSeries(list(shapes), crs=4326))
    return replace(made, regions=regions, columns={**made.columns, **{one.key: one for one in more}})


@pytest.fixture(scope="module")
def address(content: Content, tmp_path_factory: pytest.TempPathFactory) -> str:
    return Path(export_page(content, tmp_path_factory.mktemp("export") / "page")[0]).as_uri()


def test_files_of_an_export_are_those_of_the_server(open_page: Callable[..., Any], content: Content) -> None:
    page = open_page(webgl=False)
    assert page.evaluate("Explore.state.content.can.take") == list(TYPES)
    columns = list(content.columns.values())
    keys = [one.key for one in columns]
    read = """async ([rows, form, keys]) => {
      const blob = await Explore.source.take(rows, form, keys);
      return Array.from(new Uint8Array(await blob.arrayBuffer()));
    }"""
    for rows in (np.arange(len(content)), np.array([7, 2, 3])):
        made = {form: bytes(page.evaluate(read, [rows.tolist(), form, keys])) for form in TYPES}
        served = {form: take(content, rows, columns, form) for form in TYPES}  # type: ignore[arg-type]
        tables = [pd.read_csv(io.BytesIO(one["csv"]), dtype={"region_id": str}) for one in (made, served)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
        features = [json.loads(one["geojson"])["features"] for one in (made, served)]
        assert [one["properties"] for one in features[0]] == [one["properties"] for one in features[1]]
        assert [one["geometry"] for one in features[0]] == [one["geometry"] for one in features[1]]
        frames = [gpd.read_parquet(io.BytesIO(one["parquet"])) for one in (made, served)]
        assert_geodataframe_equal(*frames)
        np.testing.assert_array_equal(frames[0]["label:size"], content.columns["label:size"].values[rows])
        geo = [
            json.loads(pq.read_schema(io.BytesIO(one["parquet"])).metadata[b"geo"]) for one in (made, served)
        ]
        assert geo[0].pop("creator") != geo[1].pop("creator")
        systems = [pyproj.CRS(one["columns"]["geometry"].pop("crs")) for one in geo]
        assert systems[0] == systems[1]
        assert geo[0] == geo[1]
