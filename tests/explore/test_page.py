"""The page in a browser: what it draws, shows, selects, hands over and restores, served and from disk."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from tests.explore.world import EDGE, PHONE, make_content, served, until

from urbanln.explore.answers import Answers
from urbanln.explore.content import Column, Content, Place
from urbanln.explore.exporting import export_page
from urbanln.explore.taken import take
from urbanln.pages.maps import CLASSES, GREY
from urbanln.pages.text import Kind, written

INERT = "A red lake. <img src=x onerror=alert(1)> A street."
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def content() -> Content:
    """The made city with all kinds of columns, and a caption that would be markup if it were let."""
    made = make_content()
    rows = np.arange(EDGE * EDGE, dtype=np.float32)
    more = [
        Column("error:price", "price: error", "error", rows - 12, "USD", "difference", of="price"),
        Column("cluster", "cluster of looks", "cluster", rows % 3, kind="class", classes=("a", "b", "<c>")),
        Column("layout:x", "layout, x", "layout", rows % EDGE),
        Column("layout:y", "layout, y", "layout", rows // EDGE),
    ]
    captions = made.captions.copy()
    captions.loc[0, "text"] = INERT
    return replace(made, captions=captions, columns={**made.columns, **{one.key: one for one in more}})


@pytest.fixture(scope="module")
def address(content: Content) -> Iterator[str]:
    with served(content) as address:
        yield address


def _least_squares(values: list[float], k: int) -> float:
    """The least squared distance to class means over all ways to cut sorted values, tried one by one."""
    ways = itertools.combinations(range(1, len(values)), k - 1)
    cut = [np.split(np.sort(values), list(way)) for way in ways]
    return min(sum(float(((part - part.mean()) ** 2).sum()) for part in way) for way in cut)


def test_class_breaks_are_those_of_their_definitions(open_page: Open) -> None:
    page = open_page()
    rng = np.random.default_rng(3)
    for k in (2, 3, 4):
        values = [round(float(v), 3) for v in np.exp(rng.normal(0, 1, 11))]
        breaks = page.evaluate("([v, k]) => Explore.breaks.natural(v, k)", [values, k])
        parts = [np.array(values)[np.digitize(values, breaks) == c] for c in range(k)]
        found = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
        assert found == pytest.approx(_least_squares(values, k))
    find = "([v, kind, k]) => Explore.breaks.find(Float32Array.from(v), kind, k).inner"
    assert page.evaluate(find, [list(range(9)), "quantile", 4]) == [2, 4, 6]
    assert page.evaluate(find, [[0, 1, 1, 1, 8], "equal", 4]) == [2, 4, 6]
    assert page.evaluate(find, [[-4, 1, 4, 2, -1], "diverging", 4]) == pytest.approx([-2, 0, 2], rel=0.03)
    assert page.evaluate(find, [[5, 5, 5], "quantile", 4]) == []


def test_no_two_classes_share_a_colour_but_those_behind_which_are_grey(open_page: Open) -> None:
    page = open_page(webgl=False)
    for count in (1, 8, 9, 20):
        hues = page.evaluate("(count) => Explore.columns.hues(count)", count)
        assert len(hues) == count
        assert len(set(hues)) == min(count, len(CLASSES))
        assert count <= len(CLASSES) or hues[7:] == [GREY] * (count - 7)


def test_values_are_written_as_in_reports(open_page: Open) -> None:
    page = open_page(webgl=False)
    values = [0, 7, 1.5, 2016, 9_999, 10_000, 98_178, 98_178.4, -12_345, 1_234_567, 2.5e6, 1e18]
    for kind in get_args(Kind):
        shown = page.evaluate("([v, kind]) => v.map((one) => urbanln.told(one, kind))", [values, kind])
        assert shown == [written(value, kind) for value in values], kind


@pytest.mark.parametrize("drawn_by", ["shapes", "canvas", "tiles", "tiles on canvas"])
def test_regions_have_the_colours_of_their_classes(
    open_page: Open, content: Content, drawn_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if drawn_by.startswith("tiles"):  # as a city of very many regions
        monkeypatch.setattr("urbanln.explore.answers.MOST_REGIONS", 10)
    webgl = "canvas" not in drawn_by
    page = open_page(webgl=webgl)
    assert page.evaluate("Boolean(Explore.state.content.tiles)") == drawn_by.startswith("tiles")
    page.select_option(".pane-top select >> nth=0", "error:price")
    until(page, "Explore.panes.all()[0].scale.column.key === 'error:price'")
    if "tiles" in drawn_by:
        page.evaluate("Explore.panes.all()[0].map.snapshot().then(() => true)")
    elif webgl:
        still = "new Promise((r) => { map.once('idle', r); map.triggerRepaint(); })"
        page.evaluate(f"() => {{ const map = Explore.panes.all()[0].map.library; return {still}; }}")
    box = page.locator(".map").first.bounding_box()
    shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for row in (0, 7, 12, 17, 35):
        lon, lat = content.lonlat[row]
        x, y = page.evaluate("p => Explore.panes.all()[0].map.project(p)", [float(lon), float(lat)])
        due = page.evaluate(
            "r => { const s = Explore.panes.all()[0].scale; return s.colours[s.classes[r]] }", row
        )
        pixel = shown.getpixel((round(box["x"] + x), round(box["y"] + y)))
        assert np.abs(np.subtract(pixel, [int(due[i : i + 2], 16) for i in (1, 3, 5)])).max() <= 2, row
    assert page.locator("#no-webgl").is_visible() is not webgl
    with page.expect_download() as taken:
        page.click("#picture")
    high = 2 * page.evaluate("Explore.panes.all()[0].map.size()[1]")  # the legend, below, has all colours
    saved = Image.open(taken.value.path()).convert("RGB")
    saved = saved.crop((0, 0, saved.width, high)).getcolors(1 << 24) or []
    there = "Explore.panes.all()[0].scale"
    colours = page.evaluate(f"{there}.colours.filter((_, i) => {there}.counts[i])")
    assert {tuple(bytes.fromhex(one[1:])) for one in colours} <= {one for _, one in saved}


def test_a_map_that_is_fitted_before_it_is_drawn_is_neither_blank_nor_deaf(
    open_page: Open, content: Content
) -> None:
    # A browser so slow that MapLibre never comes to draw: what stands in its place has to stay.
    page = open_page(before="Worker.prototype.postMessage = () => {}")
    page.evaluate("Explore.panes.fit()")
    assert page.locator(".early").count() == 1
    box = page.locator(".map").first.bounding_box()
    shown = Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")
    colours = page.evaluate("Explore.panes.all()[0].scale.colours")
    seen = {one for _, one in shown.getcolors(1 << 20) or []}
    assert {tuple(bytes.fromhex(one[1:])) for one in colours} <= seen
    place = [float(v) for v in content.lonlat[15]]
    x, y = page.evaluate("p => Explore.panes.all()[0].map.project(p)", place)
    page.locator(".map").first.click(position={"x": x, "y": y})
    assert page.evaluate("Explore.state.row") == 15


def test_the_first_screen_says_what_can_be_asked_and_what_the_vectors_are_worth(
    open_page: Open, content: Content
) -> None:
    page = open_page()
    panel = page.locator("#tab-region")
    assert content.verdicts[0]["indicator"] in panel.locator("table").inner_text()
    assert "you see its pictures" in panel.inner_text()
    told = "Explore.about.first().map((one) => one.textContent).join(' ')"
    assert "you see what is known of it" in page.evaluate(
        f"(Explore.state.content.can.pictures = false, {told})"
    )
    panel.get_by_text(content.queries[0]).click()
    page.locator("#tab-search .found li").first.wait_for(state="attached")
    assert page.locator("#tab-search").is_visible()


def test_a_region_tells_what_is_known_of_it_and_its_texts_stay_texts(open_page: Open) -> None:
    page = open_page()
    page.fill("#region-id", "r0")
    page.press("#region-id", "Enter")
    panel = page.locator("#tab-region")
    panel.locator("blockquote").wait_for()
    assert INERT in panel.inner_text()
    assert panel.locator("blockquote img").count() == 0
    assert "label 0 · predicted 1 · interval −1 to 3" in panel.inner_text()
    until(page, "document.querySelector('#tab-region .thumb img').naturalWidth > 0")
    # By keyboard: from region to region, from the one in the middle on.
    page.focus(".maplibregl-canvas")
    page.keyboard.press("ArrowUp")
    first = page.evaluate("Explore.state.hovered")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("Explore.state.row") == first + EDGE + 1
    until(page, f"document.getElementById('said').textContent === 'Region r{first + EDGE + 1}'")


def test_what_is_alike_and_what_words_find_colour_the_map(open_page: Open, content: Content) -> None:
    page = open_page()
    page.evaluate("Explore.choose(4)")
    page.click("#tab-region >> text=Find similar")
    page.locator("#tab-similar .found li").first.wait_for()
    found = [int(one.split("r")[1]) for one in page.locator("#tab-similar .found .link").all_inner_texts()]
    assert {row % 3 for row in found[:11]} == {4 % 3}  # the pictures of the same colour
    # The map shows the likeness of all regions, not of those found alone.
    key = page.evaluate("Explore.panes.all()[0].choice.key")
    until(page, f"Explore.panes.all()[0].scale.column.key === '{key}'")
    assert page.evaluate("Explore.panes.all()[0].scale.missing") == 0
    shown = page.evaluate("Array.from(Explore.panes.all()[0].values)")
    answers = Answers(content)
    vectors = content.vectors
    assert vectors is not None
    np.testing.assert_allclose(shown, vectors.search.scores(answers.direction([4])), atol=1e-6)
    assert page.locator(".legend .at.chosen").count() == page.locator(".legend .at.least").count() == 1
    assert "r4 1" in page.locator(".legend .marked").inner_text()
    page.evaluate("Explore.choose(5)")
    page.click("#handle-similar")
    until(page, "document.querySelector('#tab-similar figcaption').textContent.includes('r5')")
    assert "r5" in page.locator(".legend .marked").inner_text()
    red = io.BytesIO()
    Image.new("RGB", (30, 30), (220, 20, 20)).save(red, "PNG")
    page.set_input_files(
        "#own-picture", {"name": "mine.png", "mimeType": "image/png", "buffer": red.getvalue()}
    )
    page.locator("#tab-similar h3", has_text="Like your picture").wait_for()
    found = [int(one.split("r")[1]) for one in page.locator("#tab-similar .found .link").all_inner_texts()]
    assert {row % 3 for row in found} == {0}  # the twelve red ones
    page.fill("#words", "red roof")
    page.press("#words", "Enter")
    page.locator("#tab-search .way").first.wait_for()
    answer = page.evaluate("Explore.source.text('red roof')")
    for name, title in (("pictures", "By pictures"), ("captions", "By captions")):
        way = page.locator("#tab-search .way", has_text=title)
        assert answer["by"][name]["sentence"] in way.inner_text()
        assert way.locator("details").count() == (not answer["by"][name]["above"])  # not claimed: folded away
    page.evaluate("document.querySelectorAll('#tab-search details').forEach((one) => { one.open = true; })")
    page.locator("#tab-search .way >> nth=1 >> text=Why? >> nth=0").click()
    page.locator("#tab-search .phrases li").first.wait_for()
    assert page.locator("#trouble").is_hidden()


def test_a_swatch_selects_its_class_of_values_that_lie_close(open_page: Open) -> None:
    counts, selected = open_page(webgl=False).evaluate(
        """async () => {
          const values = Float32Array.from({ length: Explore.state.content.n }, (_, i) => 2 ** 24 + 2 * i);
          Explore.columns.add({ key: "large", title: "large", group: "label", kind: "id" }, values);
          await Explore.panes.colour("large");
          const selected = [];
          for (const swatch of document.querySelectorAll(".swatch")) {
            const done = new Promise((go) => Explore.on("selection", go));
            swatch.click();
            await done;
            selected.push(Explore.selection.count());
          }
          return [Explore.panes.all()[0].scale.counts, selected];
        }"""
    )
    assert selected == counts
    assert len(counts) == 7


def test_a_filter_of_prices_is_spaced_by_their_logarithms_and_says_so(open_page: Open) -> None:
    page = open_page(webgl=False)
    page.click("#handle-select")
    page.evaluate(
        """() => {
          const values = Float32Array.from({ length: Explore.state.content.n }, (_, i) => 1000 * 1.3 ** i);
          Explore.columns.add({ key: "rent", title: "rent", group: "label", kind: "number" }, values);
        }"""
    )
    page.get_by_label("Add a filter").select_option("rent")
    filter_ = page.get_by_role("group", name="Filter by rent")
    assert "log scale" in filter_.inner_text()
    assert "log scale" not in page.get_by_role("group", name="Filter by price").inner_text()
    filter_.locator(".lower").evaluate("one => { one.value = 100; one.dispatchEvent(new Event('input')); }")
    until(page, "Explore.selection.count() === 18")
    assert filter_.locator(".lower").input_value() == "100"
    filter_.locator(".upper").evaluate("one => { one.value = 100; one.dispatchEvent(new Event('input')); }")
    until(page, "Explore.selection.count() === 0")
    filter_.locator(".upper").evaluate("one => { one.value = 200; one.dispatchEvent(new Event('input')); }")
    until(page, "Explore.selection.count() === 18")


def test_a_selection_is_filtered_drawn_listed_and_taken_away(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    page.click("#handle-select")
    page.locator(".filter .lower").focus()
    page.keyboard.press("End")  # at least the largest price
    until(page, "Explore.selection.count() === 1")
    page.click("button:text-is('Clear')")
    # A swatch of the legend selects the regions of its class.
    for c in (0, 3, 6):
        page.click(f".swatch >> nth={c}")
        until(page, f"Explore.selection.count() === Explore.panes.all()[0].scale.counts[{c}]")
        assert page.evaluate(
            "c => Explore.selection.rows().every((row) => Explore.panes.all()[0].scale.classes[row] === c)", c
        )
        page.click("button:text-is('Clear')")
        until(page, "Explore.selection.count() === 0")
    # Around the left half of the layout, whose axis across is the column of squares.
    sheet = page.locator(".scatter .lasso").first
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    for x, y in ((0.5, 0.01), (0.5, 0.99), (0.003, 0.99)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
    page.mouse.up()
    until(page, "Explore.selection.count() === 18")
    page.click("text=By a list of ids")
    page.fill("#ids", "r0, r1\nr5")
    page.click("#tab-select details >> text=Select these")
    until(page, "Explore.selection.count() === 2")  # listed and drawn
    with page.expect_download() as taken:
        page.click("text=Take away the selection")
    taken.value.save_as(tmp_path / "taken.geojson")
    frame = gpd.read_file(tmp_path / "taken.geojson")
    assert list(frame["region_id"]) == ["r0", "r1"]
    assert list(frame["label:price"]) == [0, 1]
    with page.expect_download() as taken:
        page.click("#picture")
    taken.value.save_as(tmp_path / "maps.png")
    assert len(Image.open(tmp_path / "maps.png").convert("RGB").getcolors(1 << 24) or []) > 10


BENT = "{'view':['a'],'selection':[1,[2,3]],'panes':[1],'region':5,'similar':{'rows':7},'ground':1,'tab':[]}"


@pytest.mark.parametrize("link", ["null", "7", "%", BENT])
def test_a_link_that_is_none_opens_the_page(open_page: Open, link: str) -> None:
    page = open_page(f"#{link}", webgl=False)
    assert page.locator("#trouble").is_hidden()
    assert page.evaluate("[Explore.state.row, Explore.selection.count()]") == [None, 0]


def test_a_link_restores_the_view(open_page: Open) -> None:
    page = open_page(webgl=False)  # four maps in software would take long
    page.check("#two")
    page.evaluate("Explore.panes.colour('cluster', 1)")
    page.evaluate("Explore.selection.range('label:price', 3, 20)")
    page.evaluate("Explore.search.run('red roof')")
    page.evaluate("Explore.choose(8)")
    page.evaluate("Explore.panes.jump({ center: [0.02, 0.03], zoom: 11 })")
    until(page, "location.hash.includes('r8') && location.hash.includes('11')")
    told = (
        "[Explore.state.row, Explore.state.query, Explore.selection.rows(), Explore.panes.view(), "
        "Explore.panes.all().map((pane) => pane.choice.key)]"
    )
    before = page.evaluate(told)
    again = open_page(page.evaluate("location.hash"), webgl=False)
    after = again.evaluate(told)
    assert after[:3] == before[:3]
    assert after[3]["zoom"] == pytest.approx(11, abs=0.01)
    assert after[4] == before[4]


def test_ends_of_the_legend_never_touch_whatever_the_width(open_page: Open) -> None:
    page = open_page(webgl=False)
    page.evaluate("Explore.columns.format = (column, value) => (12345 + value).toLocaleString('en-US')")
    page.evaluate("Explore.panes.all().forEach(Explore.legend.draw)")
    # Ends of every legend that is shown: how many, and whether one begins before the last one ended.
    told = (
        "[...document.querySelectorAll('.legend')].filter((one) => one.clientWidth).map((one) => "
        "[...one.querySelectorAll('.ends span')].map((end) => end.getBoundingClientRect()))"
    )
    apart = (
        "boxes.every((one) => one.length > 1 && one.every((end, i) => !i || end.left > one[i - 1].right + 4))"
    )
    for width, two in (
        (1400, False),
        *((wide, True) for wide in range(1440, 760, -20)),
        (390, False),
        (1400, False),
    ):
        page.set_viewport_size({"width": width, "height": 800})
        page.set_checked("#two", two)
        until(page, f"((boxes) => boxes.length === {1 + two} && {apart})({told})")
    until(page, f"{told}[0].length === 8")  # all of them again, once the page has seen its new width


def test_an_export_answers_from_disk(open_page: Open, content: Content, tmp_path: Path) -> None:
    export_page(content, tmp_path / "page")
    page = open_page((tmp_path / "page" / "index.html").as_uri())
    # The whole city is seen at first: the map is as large as its box, also where its data are there at once.
    canvas = "Explore.panes.all()[0].map.library.getCanvas().clientHeight"
    assert page.evaluate(f"{canvas} - Explore.panes.all()[0].map.size()[1]") == 0
    page.evaluate("Explore.choose(4)")
    until(page, "document.querySelector('#tab-region .thumb img').naturalWidth > 0")
    page.click("#tab-region >> text=Find similar")
    page.locator("#tab-similar .found li").first.wait_for()
    until(page, "Explore.panes.all()[0].scale.column.title === 'Like r4'")
    assert page.evaluate("Explore.panes.all()[0].scale.missing") == 0, "the likeness of all is coloured"
    page.click("#handle-search")
    page.click("#tab-search >> text=a red roof")
    page.locator("#tab-search .way").first.wait_for()
    page.click("#handle-about")
    assert "Like a picture of yours: this is an export" in page.inner_text("#tab-about")
    page.click("#handle-select")
    with page.expect_download() as taken:
        page.click("text=Take away all regions")
    taken.value.save_as(tmp_path / "taken.json")
    found = json.loads((tmp_path / "taken.json").read_text())["features"]
    served = json.loads(take(content, np.arange(EDGE * EDGE), list(content.columns.values()), "geojson"))
    assert [one["properties"] for one in found] == [one["properties"] for one in served["features"]]


def test_who_follows_a_result_is_led_there_and_finds_the_list_again(open_page: Open) -> None:
    page = open_page(webgl=False)
    page.evaluate("Explore.similar.of([4])")
    page.locator("#tab-similar .found .link >> nth=11").focus()
    place = "document.getElementById('panel').scrollTop"
    left = page.evaluate(place)
    assert left > 100
    page.keyboard.press("Enter")
    until(page, "document.activeElement.matches('#tab-region h2')")
    assert page.evaluate(place) == 0
    page.click("#handle-similar")
    assert page.evaluate(place) == left


def test_a_region_of_another_city_is_shown_with_its_city(
    open_page: Open, content: Content, tmp_path: Path
) -> None:
    cities = [Place("South", 0, 12), Place("North", 12, EDGE * EDGE)]
    export_page(replace(content, places=cities, queries=()), tmp_path / "page")
    page = open_page((tmp_path / "page" / "index.html").as_uri(), webgl=False)
    assert page.locator("#city").input_value() == "0"
    page.evaluate("Explore.choose(35)")
    assert page.locator("#city").input_value() == "1"
    x, y = page.evaluate("Explore.panes.all()[0].map.project(Explore.places.of(35))")
    box = page.locator(".map").first.bounding_box()
    assert 0 < x < box["width"]
    assert 0 < y < box["height"]


def test_of_a_column_without_values_nothing_has_a_colour(
    open_page: Open, content: Content, tmp_path: Path
) -> None:
    nothing = Column("label:none", "none", "label", np.full(EDGE * EDGE, np.nan, np.float32))
    columns = {"label:none": nothing, **content.columns}
    export_page(replace(content, columns=columns, queries=()), tmp_path / "page")
    page = open_page((tmp_path / "page" / "index.html").as_uri(), webgl=False)
    assert page.evaluate("Explore.panes.all()[0].choice.key") == "label:price", "which has some"
    page.select_option(".pane-top select >> nth=0", "label:none")
    until(page, "document.querySelector('.legend').textContent.includes('36 without a value')")
    assert page.locator(".legend .swatch").count() == 0


def test_nothing_is_wider_than_a_phone(open_page: Open) -> None:
    page = open_page(webgl=False, size=PHONE, color_scheme="dark", reduced_motion="reduce")
    page.evaluate("Explore.choose(4)")
    page.evaluate("Explore.similar.of([4])")
    page.evaluate("Explore.search.run('a red roof by a street')")
    page.check("#two")
    for name in ("region", "similar", "search", "select", "about"):
        page.click(f"#handle-{name}")
        assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"], name
    # Dark: the ground is, and what is written on it is light.
    ground, ink = page.evaluate(
        "['background-color', 'color'].map((k) => getComputedStyle(document.body).getPropertyValue(k))"
    )
    light = [sum(map(int, one.strip("rgb()").split(","))) for one in (ground, ink)]
    assert light[0] < 150 < 500 < light[1]


@pytest.mark.parametrize("webgl", [True, False])
def test_paper_is_light_and_has_maps_and_legends(open_page: Open, content: Content, webgl: bool) -> None:
    page = open_page(webgl=webgl, color_scheme="dark")
    page.evaluate("Explore.choose(4)")
    wide = page.evaluate("Explore.panes.all()[0].map.size()[0]")
    places = page.evaluate("v => v.map(Explore.panes.all()[0].map.project)", content.lonlat.tolist())
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    ground, ink = page.evaluate(
        "['background-color', 'color'].map((k) => getComputedStyle(document.body).getPropertyValue(k))"
    )
    assert [ground, ink] == ["rgb(255, 255, 255)", "rgb(23, 33, 43)"]
    assert page.locator("#find").is_hidden()
    sheet = page.locator(".map .on-paper")
    box = sheet.bounding_box()
    shown = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    assert min(shown.getpixel((round(box["x"]) + 3, round(box["y"]) + 3))) > 240, "light around the regions"
    for row in (0, 17, 35):
        x, y = np.array(places[row]) * box["width"] / wide
        pixel = shown.getpixel((round(box["x"] + x), round(box["y"] + y)))
        colour = page.evaluate(
            "r => { const s = Explore.panes.all()[0].scale; return s.colours[s.classes[r]] }", row
        )
        assert np.abs(np.subtract(pixel, [int(colour[i : i + 2], 16) for i in (1, 3, 5)])).max() <= 12, row
    exact = "getComputedStyle(document.querySelector('.swatch')).getPropertyValue('print-color-adjust')"
    assert page.evaluate(exact) == "exact", "the legend keeps its colours"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert sheet.count() == 0


def test_dots_drawn_without_webgl_cover_each_other_in_their_own_order(open_page: Open) -> None:
    page = open_page(webgl=False)
    # Two regions as dots at one place: the later one is seen, whatever its class.
    told = page.evaluate(
        """() => {
          const seen = [];
          for (const classes of [[0, 1], [1, 0]]) {
            const pen = document.createElement("canvas").getContext("2d"), n = Explore.state.content.n;
            const view = { center: Explore.places.of(0), zoom: 0 };
            const scale = { classes: new Int16Array(n).fill(classes[0]), colours: ["#ff0000", "#0000ff"] };
            scale.classes[0] = scale.classes[n - 1] = classes[1];
            Explore.stillMap.draw(pen, view, [40, 40], scale, null, null, null);
            seen.push(Array.from(pen.getImageData(20, 20, 1, 1).data));
          }
          return seen;
        }"""
    )
    assert told == [[0, 0, 255, 255], [255, 0, 0, 255]]
