"""Pages of very many regions: nothing vanishes where many share a pixel, the pointer tells what is drawn."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import uvicorn
from PIL import Image
from starlette.staticfiles import StaticFiles
from tests.explore.world import make_content, running, until

from urbanln.explore.answers import Answers
from urbanln.explore.content import Column, Content, Place, Vectors
from urbanln.explore.exporting import export_page
from urbanln.explore.search import VectorSearch
from urbanln.explore.server import listen

SERVED, EXPORTED = (400, 250), (160, 150)
EDGE = 0.0005
Open = Callable[..., Any]


@pytest.fixture(scope="module", params=[SERVED, EXPORTED], ids=["served", "exported"])
def content(request: pytest.FixtureRequest) -> Content:
    """Squares of 50 m, in an order that tells no place; one of a hundred has the rare value."""
    rng = np.random.default_rng(0)
    across, down = request.param
    n = across * down
    at = rng.permutation(n)
    x, y = at % across, at // across
    shapes = shapely.box(24 + x * EDGE, y * EDGE, 24 + (x + 1) * EDGE, (y + 1) * EDGE)
    names = [f"sq-{a}-{b}" for a, b in zip(x, y, strict=True)]
    rare = np.where(rng.random(n) < 0.01, x, np.nan).astype(np.float32)
    none = pd.DataFrame(columns=["row", "view", "captured", "licence", "attribution", "free"])
    captions = pd.DataFrame(columns=["picture", "text", "captioner", "selected", "agreement", "weight"])
    columns = [
        Column("label:east", "east", "label", x.astype(np.float32), "squares", of="east"),
        Column("label:rare", "rare", "label", rare, "squares", of="rare"),
    ]
    place = Place("Many", 0, n, ("made, CC0",))
    return Content(
        title="Many", regions=gpd.GeoDataFrame({"region_id": names}, geometry=shapes, crs=4326),
        lonlat=shapely.get_coordinates(shapely.centroid(shapes)), places=[place],
        columns={one.key: one for one in columns}, pictures=none.astype({"row": int}), captions=captions,
        open_picture=lambda row: b"",
        vectors=Vectors(VectorSearch(rng.normal(size=(n, 4)).astype(np.float32)), np.arange(n)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def address(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the server; and of a host that gives files and parts of them, as any static host does."""
    server, sock, address = listen(content)
    if len(content) == math.prod(EXPORTED):
        folder = tmp_path_factory.mktemp("many") / "page"
        export_page(content, folder)
        server = uvicorn.Server(uvicorn.Config(StaticFiles(directory=folder, html=True), log_level="error"))
    with running(server, sock):
        yield address


def _seen(page: Any, content: Content, rows: np.ndarray) -> np.ndarray:
    """Colours on the screen at the middles of regions, (N, 3)."""
    page.evaluate("Explore.panes.all()[0].map.snapshot().then(() => true)")
    project = "rows => rows.map((row) => Explore.panes.all()[0].map.project(Explore.places.of(row)))"
    box = page.locator(".map").first.bounding_box()
    places = np.add(page.evaluate(project, rows.tolist()), (box["x"], box["y"]))
    shown = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    column, line = np.floor(places).astype(int).T
    return shown[line, column]


def _colours(page: Any) -> np.ndarray:
    names = page.evaluate("Explore.panes.all()[0].scale.colours")
    return np.array([[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in names])


def _coloured(page: Any, seen: np.ndarray) -> np.ndarray:
    """Which of some colours are one of the legend's."""
    return (np.abs(seen[:, None] - _colours(page)[None]).max(axis=2) <= 2).any(axis=1)


def test_few_values_do_not_vanish_among_many_regions(open_page: Open, content: Content) -> None:
    page = open_page()
    assert page.evaluate("Explore.state.content.ids") is None, "ids are not sent at the start"
    page.select_option(".pane-top select >> nth=0", "label:rare")
    until(page, "Explore.panes.all()[0].scale.column.key === 'label:rare'")
    known = np.flatnonzero(np.isfinite(content.columns["label:rare"].values))
    seen = _seen(page, content, known)
    assert _coloured(page, seen).mean() > 0.98
    # Those who are selected, too, whatever lies on their pixels; the others are faint.
    page.select_option(".pane-top select >> nth=0", "label:east")
    until(page, "Explore.panes.all()[0].scale.column.key === 'label:east'")
    chosen = np.linspace(7, len(content) - 7, 9).astype(int)
    page.evaluate("rows => Explore.selection.pick('list', rows)", chosen.tolist())
    until(page, "Explore.selection.count() === 9")
    assert _coloured(page, _seen(page, content, chosen)).all()
    others = np.setdiff1d(np.linspace(0, len(content) - 1, 300).astype(int), chosen)
    assert _coloured(page, _seen(page, content, others)).mean() < 0.1


@pytest.mark.parametrize("webgl", [True, False])
def test_what_is_pointed_at_is_what_lies_there(open_page: Open, content: Content, webgl: bool) -> None:
    page = open_page(webgl=webgl)
    most = page.evaluate("Explore.state.content.tiles.most")
    box = page.locator(".map").first.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    # Closer than the closest tiles, which are then enlarged; and where a region is some pixels wide.
    for row, zoom in ((4, most + 1.6), (17_777, most - 2.3)):
        west, south, east, north = content.regions.geometry.iloc[row].bounds
        aside = (west + 0.8 * (east - west), south + 0.3 * (north - south))
        page.evaluate("to => Explore.panes.jump(to)", {"center": aside, "zoom": zoom})
        seen = _seen(page, content, np.array([row]))
        due = _colours(page)[page.evaluate("row => Explore.panes.all()[0].scale.classes[row]", row)]
        assert np.abs(seen[0] - due).max() <= 2
        page.mouse.move(middle[0] + 1, middle[1])
        page.mouse.move(*middle)
        until(page, f"Explore.state.hovered === {row}")
        page.mouse.click(*middle)
        page.locator("#tab-region h2", has_text=content.regions["region_id"].iloc[row]).wait_for()
        until(page, "document.getElementById('tip').textContent.startsWith('sq-')")
    page.mouse.move(middle[0], box["y"] + box["height"] + 200)
    page.click("#tab-region >> text=Close")
    page.fill("#region-id", content.regions["region_id"].iloc[99])
    page.press("#region-id", "Enter")
    until(page, "Explore.state.row === 99")


def test_what_is_alike_and_what_is_taken_away(open_page: Open, content: Content, tmp_path: Path) -> None:
    page = open_page(webgl=False)
    found = page.evaluate("Explore.source.similar([5], 0, 20)")
    exact = Answers(content).similar([5], k=20)
    assert found["rows"] == exact["rows"]
    np.testing.assert_allclose(found["scores"], exact["scores"], atol=1e-3)
    assert (
        page.evaluate("key => Explore.source.column(key).then((all) => all[5])", f"{found['key']}:pictures")
        > 0.99
    )
    page.evaluate("Explore.selection.pick('list', [17, 12000])")
    page.click("#handle-select")
    with page.expect_download() as taken:
        page.click("text=Take away the selection")
    taken.value.save_as(tmp_path / "taken.geojson")
    frame = gpd.read_file(tmp_path / "taken.geojson")
    assert list(frame["region_id"]) == list(content.regions["region_id"].iloc[[17, 12_000]])
    assert frame.geometry.iloc[1].equals_exact(content.regions.geometry.iloc[12_000], 1e-9)
    assert list(frame["label:east"]) == content.columns["label:east"].values[[17, 12_000]].tolist()


def test_such_an_export_says_that_it_does_not_open_from_disk(
    browsers: Callable[[bool], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = make_content()
    monkeypatch.setattr("urbanln.explore.answers.MOST_REGIONS", 10)
    export_page(small, tmp_path / "page")
    page = browsers(False).new_page()
    page.goto((tmp_path / "page" / "index.html").as_uri())
    page.locator("#trouble").wait_for()
    assert "does not open from disk" in page.inner_text("#trouble")
    assert "python -m http.server" in page.inner_text("#trouble")
    # As it says: a host that gives whole files alone.
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "page"))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *told: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        threading.Thread(target=host.serve_forever).start()
        page.goto(f"http://127.0.0.1:{host.server_port}/")
        page.wait_for_selector("html[data-ready]")
        page.evaluate("Explore.panes.all()[0].map.snapshot().then(() => true)")
        assert page.evaluate("Explore.source.region(7).then((told) => told.id)") == "r7"
        page.close()
        host.shutdown()
