"""The page's parts: number format, ticks, scales, charts, curves."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from importlib import resources

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from urbanln.pages import charts, maps
from urbanln.pages.still import stills
from urbanln.pages.text import clean, interval, kind_of, quantity, score, words, written
from urbanln.report import plots
from urbanln.report.details import training_charts
from urbanln.report.drawn import predicted


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123, ".12"),
        (-0.03, "−.03"),
        (1, "1.00"),
        (-3.4, "−3.40"),
        (-0.001, ".00"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_scores_have_one_format(value: float | None, text: str) -> None:
    assert score(value) == text
    assert interval(-0.05, 0.19) == "[−.05, .19]"
    assert interval(None, 0.19) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0312, "0.0312"),
        (9.996, "10"),
        (999.6, "1000"),
        (1987.2, "1987"),
        (-2016, "−2016"),
        (9_999.6, "10,000"),
        (12_345, "12,300"),
        (-1_250_000, "−1.25 M"),
        (999_900, "1 M"),
        (3.2e9, "3.2 bn"),
        (math.inf, "–"),
    ],
)
def test_quantities_have_three_figures(value: float, text: str) -> None:
    assert quantity(value) == text


@pytest.mark.parametrize(
    ("name", "values", "kind", "texts"),
    [
        ("zipcode", [98_178, 98_001, np.nan], "id", ["98178", "98001", "–"]),
        ("district_id", [1_234_567, 3], "id", ["1234567", "3"]),
        ("year_built", [1995, 2016], "year", ["1995", "2016"]),
        (
            "population",
            [47_812, 9_999, 1_234_567, -12_345],
            "count",
            ["47,812", "9999", "1,234,567", "−12,345"],
        ),
        ("price", [12_345.6, 12_345.0], "number", ["12,300", "12,300"]),
        ("idle_hours", [12_345, 0], "count", ["12,345", "0"]),
        ("gdp", [np.nan], "number", ["–"]),
    ],
)
def test_whole_numbers_of_labels_are_written_as_they_are(
    name: str, values: list[float], kind: str, texts: list[str]
) -> None:
    assert kind_of(name, values) == kind
    assert [written(value, kind_of(name, values)) for value in values] == texts


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e13, max_value=1e13))
def test_quantity_keeps_the_number_to_half_a_percent(value: float) -> None:
    text = quantity(value).replace("−", "-").replace(",", "")
    for word, scale in ((" T", 1e12), (" bn", 1e9), (" M", 1e6), ("", 1.0)):
        if text.endswith(word):
            number = float(text.removesuffix(word) or 0) * scale
            break
    assert number == pytest.approx(value, rel=0.00501, abs=1e-300)


@given(st.text(max_size=300))
def test_clean_text_can_be_written_and_embedded(text: str) -> None:
    shown = clean(text)
    shown.encode("utf-8")
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    embedded = maps.embed_json({"id": text})
    assert not set("<>&\u2028\u2029") & set(embedded)
    assert json.loads(embedded) == {"id": text}


def test_names_are_written_as_read() -> None:
    assert words("night_light") == "night light"
    assert words("poi_count") == "POI count"


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_round_ticks_lie_inside_and_are_few(low: float, span: float) -> None:
    high = low + span
    ticks = charts.round_ticks(low, high, 5)
    assert 1 <= len(ticks) <= 7
    assert all(low - span * 1e-6 <= t <= high + span * 1e-6 for t in ticks)


@given(st.floats(0, 1e5), st.floats(1.5, 1e6))
def test_log_ticks_lie_inside_and_are_few(low: float, factor: float) -> None:
    high = (low + 0.1) * factor
    ticks = charts.log_ticks(low, high)
    assert len(ticks) <= 6
    assert ticks == sorted(ticks)
    assert all(low <= t * (1 + 1e-9) and t <= high * (1 + 1e-9) for t in ticks)


def test_forest_places_dots_by_their_score() -> None:
    rows = tuple(plots.Dot(name, r2, r2 - 0.1, r2 + 0.1) for name, r2 in (("a", 0.0), ("b", 0.5), ("c", 1.0)))
    picture = plots.forest(
        "label", [plots.SplitDots("block", "Block", rows, {"mean": 0.0})], (0.0, 1.0), "R²"
    )
    dots = [float(e.attrib["cx"]) for e in ET.fromstring(picture) if e.tag == "circle"]
    assert dots[1] == pytest.approx((dots[0] + dots[2]) / 2)
    assert dots[0] < dots[2]


def test_score_beyond_the_axis_is_an_arrow() -> None:
    rows = (plots.Dot("far", -4.0, -5.0, -3.0),)
    picture = plots.forest("label", [plots.SplitDots("block", "Block", rows, {})], (-0.5, 1.0), "R²")
    assert "<circle" not in picture
    assert "beyond" in picture
    assert "−4.00 [−5.00, −3.00]" in picture


def test_interval_cut_at_the_axis_ends_in_an_arrow_and_is_said() -> None:
    """On the side where it goes on, once, beside the dot that is where it was."""
    rows = (plots.Dot("a", 0.2, -0.9, 0.4), plots.Dot("b", 0.2, -0.9, 1.3), plots.Dot("c", 0.2, -0.5, 1.0))
    picture = plots.forest("label", [plots.SplitDots("block", "Block", rows, {})], (-0.5, 1.0), "R²")
    tree = ET.fromstring(picture)
    tips = [float(e.attrib["d"][1:].split()[0]) for e in tree if "beyond" in e.attrib.get("class", "")]
    left, right = 140.0, charts.WIDTH - 92.0
    assert tips == [left - 6, left - 6, right + 6]
    assert len([e for e in tree if e.tag == "circle"]) == 3
    said = tree.attrib["aria-label"].split("; ")
    assert [text.partition(" (beyond the axis ")[2] for text in said] == [
        "to the left)",
        "to the left and the right)",
        "",
    ]


def test_dots_without_a_value_cover_none_that_has_one() -> None:
    """Drawn before the others, in whatever order regions come and whatever the panel lacks."""
    spot = {"type": "Point", "coordinates": [114.0, 30.0]}
    far = {"type": "Point", "coordinates": [114.1, 30.1]}
    truth, prediction = np.array([5.0, np.nan, 1.0]), np.array([np.nan, 5.0, 1.0])
    (made,) = stills([spot, spot, far], [predicted("x", "", truth, prediction, log=False)])
    picture = Image.open(io.BytesIO(base64.b64decode(made["source"].partition(",")[2])))
    for panel in (0, 1):
        assert picture.getpixel((panel * 364 + 5, picture.height - 6)) == (0xFD, 0xE7, 0x25)


def test_scatter_leaves_out_what_is_unknown_and_escapes() -> None:
    truth = np.array([1.0, 10.0, np.nan, 100.0])
    picture = plots.scatter("<b>", truth, np.array([2.0, 9.0, 5.0, np.inf]), log=True, unit='"<i>')
    assert picture.count("<circle") == 2
    assert "<b>" not in picture
    assert "<i>" not in picture
    ET.fromstring(picture)


def test_scale_of_the_error_is_symmetric_and_shared_scale_follows_the_truth() -> None:
    truth = np.array([1.0, 10.0, 100.0, 1000.0])
    views = predicted("x", "u", truth, truth * np.array([2.0, 1.0, 0.5, np.nan]), log=True)["views"]
    true, guessed, wrong = views
    assert wrong["stops"] == pytest.approx([-v for v in wrong["stops"][::-1]])
    assert wrong["values"][3] is None
    assert guessed["values"][3] is None
    assert guessed["stops"] == true["stops"]
    assert truth.min() <= true["stops"][0] < true["stops"][-1] <= truth.max()
    steps = np.diff(np.log1p(true["stops"]))
    assert steps == pytest.approx(np.full(8, steps[0]))


@pytest.mark.parametrize("values", [[np.nan, np.nan], [5.0, 5.0], [-5.0, 3.0], [0.0, 0.0]])
def test_scales_rise_whatever_the_values(values: list[float]) -> None:
    for view in predicted("x", "", np.array(values), np.array(values), log=True)["views"]:
        assert np.all(np.diff(view["stops"]) > 0)


def test_classes_have_one_colour_each_and_only_those_there_are_listed() -> None:
    """A class keeps its colour whichever others there are; what is in none is grey."""
    names = {"picture": "with a picture", "blank": "no imagery", "absent": "nothing there"}
    whole = maps.class_view("tiles", ["picture", "blank", "absent"], names)
    view = maps.class_view("tiles", ["absent", "picture", None, "odd"], names)
    assert view["values"] == [1, 0, None, None]
    assert view["classes"] == [whole["classes"][0], whole["classes"][2]]
    assert [one["name"] for one in view["classes"]] == ["with a picture", "nothing there"]
    spots = [{"type": "Point", "coordinates": [114 + x / 10, 30.0]} for x in range(4)]
    (made,) = stills(spots, [maps.layer("tiles", [view])])
    picture = Image.open(io.BytesIO(base64.b64decode(made["source"].partition(",")[2])))
    colours = ["#{:02x}{:02x}{:02x}".format(*picture.getpixel((5 + i * 110, 5))) for i in range(4)]
    assert colours == [*(one["colour"] for one in view["classes"][::-1]), "#c9ced3", "#c9ced3"]
    assert (made["scale"], made["titles"]) == ("", "tiles")


def test_only_outlines_of_many_corners_are_simplified() -> None:
    squares = gpd.GeoSeries(gpd.points_from_xy(np.linspace(0, 9, 9000), np.zeros(9000))).buffer(
        4e-4, cap_style="square"
    )
    for shapes, told in ((squares, False), (squares.iloc[:300].buffer(3e-4, 64), True)):
        frame = gpd.GeoDataFrame({"region_id": np.arange(len(shapes)).astype(str)}, geometry=shapes, crs=4326)
        _, drawn, notes = maps.region_shapes(frame)
        assert any("simplified" in note for note in notes) == told
        assert (len(drawn[0]["coordinates"][0]) < len(shapes.iloc[0].exterior.coords)) == told


def test_run_taken_up_again_is_one_curve() -> None:
    first = [{"event": "step", "step": i, "loss": 9.0} for i in range(1, 6)]
    again = [{"event": "step", "step": i, "loss": 5.0 - i / 10} for i in range(4, 9)]
    charts_made = training_charts([*first, {"event": "start"}, *again, {"event": "step", "step": None}])
    assert [c["title"] for c in charts_made] == ["Training loss"]
    assert charts_made[0]["summary"] == "loss from 9.00 to 4.20 over 8 steps."


def test_chance_stands_beside_recall() -> None:
    checks = [{"event": "validation", "step": s, "i2t_r10": s / 100, "n": 50} for s in (10, 20)]
    made = training_charts(checks)
    assert len(made) == 1
    assert "R@10 by chance: .20" in made[0]["summary"]


def test_maps_and_still_pictures_of_them_have_the_same_colours() -> None:
    script = resources.files("urbanln.pages").joinpath("templates", "map_common.js").read_text("utf-8")
    found = re.findall(r"const (VIRIDIS|DIVERGING|CLASSES) = (\[.*?\]);", script)
    assert {name: tuple(json.loads(colours)) for name, colours in found} == {
        "VIRIDIS": maps.VIRIDIS, "DIVERGING": maps.DIVERGING, "CLASSES": maps.CLASSES,
    }  # fmt: skip
