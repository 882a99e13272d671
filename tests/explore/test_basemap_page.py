"""A map of streets in a browser: below the regions, faded, named, linked, saved, exported, asked for."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.explore import streets
from tests.explore.world import PHONE, make_content, served, until

from urbanln.explore.basemap import Basemap, read_basemap
from urbanln.explore.content import Content
from urbanln.explore.exporting import export_page

Open = Callable[..., Any]
MAGENTA = (255, 0, 255)
SMALL = {"width": 1100, "height": 640}  # software draws it sooner
OUTSIDE, ROW = (-0.006, 0.03), 17  # west of the squares; a square away from its road
LAND = (0xF4, 0xF3, 0xEF)
LONG = "<i>A corner of many words</i>"


def _read(path: Path) -> Basemap:
    found = read_basemap(str(path), "")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The made city over streets; its south-western square has a long name, and three more share a name."""
    made = make_content(reads=False)
    names = [None] * len(made)
    names[0] = LONG
    names[20] = names[21] = names[27] = "Three"
    folder = tmp_path_factory.mktemp("streets")
    regions = made.regions.assign(name=names)
    return replace(made, regions=regions, basemap=_read(streets.street_file(folder / "s.pmtiles")))


@pytest.fixture(scope="module")
def address(content: Content) -> Iterator[str]:
    with served(content) as address:
        yield address


def _settle(page: Any) -> None:
    """Until every tile is drawn."""
    page.evaluate(
        "() => { const map = Explore.panes.all()[0].map.library;"
        " return new Promise((r) => { map.once('idle', r); map.triggerRepaint(); }); }"
    )


def _seen(page: Any, place: tuple[float, float]) -> np.ndarray:
    """The colour on the screen at a place, degrees."""
    box = page.locator(".map").first.bounding_box()
    x, y = page.evaluate("p => Explore.panes.all()[0].map.project(p)", list(place))
    shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return np.array(shown.getpixel((round(box["x"] + x), round(box["y"] + y))))


def _due(page: Any, below: tuple[int, int, int], strength: float) -> np.ndarray:
    due = page.evaluate(
        "r => { const s = Explore.panes.all()[0].scale; return s.colours[s.classes[r]] }", ROW
    )
    own = np.array([int(due[i : i + 2], 16) for i in (1, 3, 5)])
    return np.round(own * strength + np.array(below) * (1 - strength))


def _names(page: Any) -> list[str]:
    told = page.evaluate(
        "() => { const pane = Explore.panes.all()[0];"
        " return Explore.names.choose(pane.map.view(), pane.map.size(), pane.found); }"
    )
    boxes = [(x, y) for _, x, y, _ in told]
    assert all(abs(a[1] - b[1]) >= 15 or abs(a[0] - b[0]) > 15 for a in boxes for b in boxes if a != b)
    return [one[0] for one in told]


def test_streets_lie_below_the_regions_and_can_be_faded(
    open_page: Open, content: Content, tmp_path: Path
) -> None:
    page = open_page(size=SMALL)
    _settle(page)
    place = tuple(content.lonlat[ROW])
    assert np.abs(_seen(page, OUTSIDE) - LAND).max() <= 2
    assert np.abs(_seen(page, place) - _due(page, LAND, 0.65)).max() <= 3
    assert page.locator(".credit").inner_text() == "© Mappers alert(1)"
    assert set(_names(page)) == {"Squareham", "<b>Bold</b>", "Three"}  # no room in one square's width
    assert page.locator(".names").get_attribute("aria-hidden") == "true"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    printed = page.evaluate(
        "() => { const c = document.querySelector('.printed');"
        " return Array.from(c.getContext('2d').getImageData(3, c.height / 3, 1, 1).data); }"
    )
    assert np.abs(np.subtract(printed[:3], LAND)).max() <= 2, "what is printed has the streets"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".printed").count() == 0
    with page.expect_download() as taken:
        page.click("#picture")
    taken.value.save_as(tmp_path / "maps.png")
    colours = Image.open(tmp_path / "maps.png").convert("RGB").getcolors(1 << 24) or []
    land = sum(count for count, one in colours if np.abs(np.subtract(one, LAND)).max() <= 2)
    assert land > 20_000, "the saved picture has the streets"
    page.click(".ground-open")
    page.locator(".ground input[type=range]").focus()
    page.keyboard.press("End")
    _settle(page)
    assert np.abs(_seen(page, place) - _due(page, LAND, 1)).max() <= 2
    page.keyboard.press("Home")
    page.uncheck(".ground >> text=Names of places")
    until(page, "location.hash.includes(\"'ground':[1,0.1,0]\")")
    again = open_page(page.evaluate("location.hash"), size=SMALL)
    _settle(again)
    assert np.abs(_seen(again, place) - _due(again, LAND, 0.1)).max() <= 3
    again.click(".ground-open")
    assert not again.is_checked(".ground >> text=Names of places")
    again.uncheck(".ground >> text=Map of streets")
    _settle(again)
    assert np.abs(_seen(again, place) - _due(again, LAND, 1)).max() <= 2
    assert again.locator(".credit").is_hidden()
    again.keyboard.press("Escape")
    assert again.locator(".ground").is_hidden()


def test_streets_lie_below_tiles_too(
    open_page: Open, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urbanln.explore.answers.MOST_REGIONS", 10)  # as a city of very many regions
    page = open_page(size=SMALL)
    _settle(page)
    assert page.evaluate("Boolean(Explore.panes.all()[0].map.library.getLayer('tiles'))")
    assert np.abs(_seen(page, OUTSIDE) - LAND).max() <= 2
    place = tuple(content.lonlat[ROW])
    assert np.abs(_seen(page, place) - _due(page, LAND, 0.65)).max() <= 3
    assert set(_names(page)) == {"Squareham", "<b>Bold</b>", "Three"}
    page.click(".ground-open")
    page.uncheck(".ground >> text=Map of streets")
    _settle(page)
    assert np.abs(_seen(page, place) - _due(page, LAND, 1)).max() <= 2


def test_without_webgl_the_page_says_so_and_names_regions(open_page: Open) -> None:
    page = open_page(webgl=False, size=PHONE, color_scheme="dark")
    assert "The map of streets is left out." in page.locator("#no-webgl").inner_text()
    assert page.locator(".credit").is_hidden()
    for center, zoom, named in (([0.025, 0.03], 12.6, ["Three"]), ([0.005, 0.005], 14, [LONG])):
        page.evaluate("view => Explore.panes.jump(view)", {"center": center, "zoom": zoom})
        assert _names(page) == named
    page.click(".ground-open")
    assert page.locator(".ground >> text=Map of streets").count() == 0
    page.uncheck(".ground >> text=Names of places")
    box = page.locator(".ground").bounding_box()
    assert box["x"] >= 0
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("kind", ["pictures", "shapes"])
def test_an_export_has_its_streets_from_disk(
    open_page: Open, content: Content, kind: str, tmp_path: Path
) -> None:
    if kind == "pictures":
        made = _read(streets.picture_file(tmp_path / "p.pmtiles"))
        content = replace(content, basemap=made)
    export_page(content, tmp_path / "page")
    page = open_page((tmp_path / "page" / "index.html").as_uri(), size=SMALL)
    _settle(page)
    below = MAGENTA if kind == "pictures" else LAND
    assert np.abs(_seen(page, OUTSIDE) - below).max() <= 2
    assert np.abs(_seen(page, tuple(content.lonlat[ROW])) - _due(page, below, 0.65)).max() <= 3
    credit = {"pictures": "Painters", "shapes": "© Mappers alert(1)"}[kind]
    assert page.locator(".credit").inner_text() == credit
    # The first view is the whole city's, also where the page has its data at once.
    due = (
        "() => Explore.places.fit(Explore.state.content.cities[0].bounds,"
        " Explore.panes.all()[0].map.size()).zoom"
    )
    assert page.evaluate("Explore.panes.view().zoom") == pytest.approx(page.evaluate(due), abs=1e-3)


def test_a_host_that_is_gone_is_said_and_nothing_else_waits(
    browsers: Callable[[bool], Any], content: Content, tmp_path: Path
) -> None:
    gone = read_basemap("http://127.0.0.1:9/{z}/{x}/{y}.png", "somebody")  # where nobody listens
    export_page(replace(content, basemap=gone), tmp_path / "page")
    context = browsers(True).new_context(viewport=PHONE)
    page = context.new_page()
    page.goto((tmp_path / "page" / "index.html").as_uri())
    page.locator(".credit", has_text="127.0.0.1:9 does not give every part of the map of streets").wait_for()
    page.locator(".early").wait_for(state="detached")
    assert np.abs(_seen(page, tuple(content.lonlat[ROW])) - _due(page, (0xF7, 0xF9, 0xFA), 0.65)).max() <= 3
    context.close()


def test_an_address_is_asked_and_no_other(open_page: Open, content: Content, tmp_path: Path) -> None:
    told: list[tuple[str, str | None]] = []

    class Painter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append((self.path, self.headers["Referer"]))
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(streets.picture_tile(MAGENTA))

        def log_message(self, *_: object) -> None:
            pass

    painter = ThreadingHTTPServer(("127.0.0.1", 0), Painter)
    thread = threading.Thread(target=painter.serve_forever)
    thread.start()
    origin = f"http://127.0.0.1:{painter.server_port}"
    try:
        there = replace(content, basemap=read_basemap(origin + "/{z}/{x}/{y}.png", "© somebody"))
        with served(there) as address:
            page = open_page(address, also=address, size=SMALL)
            _settle(page)
            assert np.abs(_seen(page, OUTSIDE) - MAGENTA).max() <= 2
            assert page.locator(".credit").inner_text() == "© somebody"
        assert told
        assert {referrer for _, referrer in told} == {address}, "it learns no more than whose page asks"
        told.clear()
        export_page(there, tmp_path / "page")
        page = open_page((tmp_path / "page" / "index.html").as_uri(), also=origin, size=SMALL)
        _settle(page)
        assert np.abs(_seen(page, OUTSIDE) - MAGENTA).max() <= 2
        assert {referrer for _, referrer in told} == {None}
    finally:
        painter.shutdown()
        painter.server_close()
        thread.join()
