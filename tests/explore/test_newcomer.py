"""Somebody who has read nothing: finds regions like one they click, searches, reads why, takes a file away.

A real city by the real stages, served; everything by what is written on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from tests.explore.world import DESK, PHONE, served
from tests.train.fake_city import caption_of

from urbanln.base.config import load_settings
from urbanln.city.store import City
from urbanln.explore.content import Content
from urbanln.explore.words import words_of

pytest.importorskip("torch", reason="a text is read by a model")


@pytest.fixture(scope="module")
def content(city: City, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Content:
    from urbanln.stages.embed import embed_city
    from urbanln.stages.explore import Asked, content_of

    settings = load_settings(None, ["embed.view=satellite"])
    table = embed_city(city, str(clip_folder), tmp_path_factory.mktemp("vectors") / "v.parquet", settings)
    return content_of([city], Asked(vectors=str(table), model=str(clip_folder)), settings)


@pytest.fixture(scope="module")
def address(content: Content) -> Iterator[str]:
    with served(content) as address:
        yield address


def test_who_names_no_query_is_offered_what_captions_speak_of(content: Content) -> None:
    texts = [" ".join(words_of(text)) for text in content.said()]
    assert content.queries
    assert all(sum(one in text for text in texts) > 1 for one in content.queries)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_newcomer_asks_reads_and_takes_away(
    open_page: Callable[..., Any], city: City, tmp_path: Path, size: dict[str, int]
) -> None:
    page = open_page(size=size)
    at = shapely.centroid(city.regions.geometry.iloc[6])
    x, y = page.evaluate("p => Explore.panes.all()[0].map.project(p)", [at.x, at.y])
    page.locator(".map").first.click(position={"x": x, "y": y})
    panel = page.locator("#panel")
    panel.get_by_role("heading", name="r006").wait_for()
    assert caption_of(6) in panel.inner_text()
    panel.get_by_role("button", name="Find similar").click()
    panel.get_by_role("heading", name="Like r006").wait_for()
    found = panel.locator(".found .link")
    assert found.count() == 12
    found.first.click()
    panel.get_by_role("heading", name="Neighbours").wait_for()
    page.get_by_placeholder("Describe what to look for").fill(caption_of(6))
    page.keyboard.press("Enter")
    panel.get_by_role("heading", name="By pictures").wait_for()
    why = panel.get_by_role("button", name="Why").first
    why.click()
    panel.locator(".evidence .phrases li").first.wait_for()
    assert "left out by itself" in panel.locator(".evidence:not(:empty)").inner_text()
    page.get_by_label("Colour by").select_option("label:label")
    page.get_by_role("tab", name="Select").click()
    page.get_by_role("button", name="Select 0").first.click()
    panel.get_by_role("heading", name="of 24 regions selected").wait_for()
    chosen = page.evaluate("Explore.selection.rows()")
    assert 0 < len(chosen) < 24
    _taken(page, city, chosen, tmp_path)


def _taken(page: Any, city: City, chosen: list[int], folder: Path) -> None:
    """The selection in each format, as others open it, holds what the city's tables hold."""
    files = {}
    for form, name in (("geojson", "GeoJSON"), ("csv", "CSV"), ("parquet", "GeoParquet")):
        page.get_by_label("Format").select_option(label=name)
        with page.expect_download() as download:
            page.get_by_role("button", name="Take away the selection").click()
        assert download.value.suggested_filename == f"{city.name}-selection.{form}"
        files[form] = folder / download.value.suggested_filename
        download.value.save_as(files[form])
    regions = city.regions.iloc[chosen].reset_index(drop=True)
    labels = city.indicators.set_index("region_id").loc[regions["region_id"], "label"].to_numpy()
    frames = [
        gpd.read_file(files["geojson"]), pyogrio.read_dataframe(files["geojson"]),
        gpd.read_parquet(files["parquet"]), pd.read_csv(files["csv"]),
    ]  # fmt: skip
    for frame in frames:
        assert list(frame["region_id"]) == list(regions["region_id"])
        np.testing.assert_array_equal(frame["label:label"], labels)
        np.testing.assert_allclose(
            frame["lon"], shapely.get_x(shapely.centroid(regions.geometry.to_numpy())), atol=1e-6
        )
        if isinstance(frame, gpd.GeoDataFrame):
            assert frame.crs == regions.crs
            assert frame.geometry.geom_equals_exact(regions.geometry, 1e-9).all()
