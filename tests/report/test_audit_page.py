"""The audit as a page of its own: map, histograms, pictures to look at, coverage; and what is not there."""

from __future__ import annotations

import base64
import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.report.conftest import picture
from tests.report.page_reader import Page, map_data, view

from urbanln.report import Seen, Suspect, write_audit_page
from urbanln.report.histograms import histogram

Make = Callable[..., dict[str, Any]]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
AUDIT = {
    "regions": 16,
    "labels": {"year_built": {"n": 15, "missing": 1, "unit": "year", "transform": "none"}, "gdp": {"n": 16}},
    "pictures": {"satellite": {"pictures": 16, "flat": 1}},
    "captions": {"captions": 1200},
    "found": ["gdp: odd."],
}
STATES = {"picture": "with a picture", "blank": "no imagery", "absent": "nothing there"}


@pytest.fixture
def seen(make: Make) -> Seen:
    regions = make(4)["regions"]
    ids = regions["region_id"]
    years = np.linspace(1950, 2016, 16)
    years[3] = np.nan
    labels = pd.DataFrame({"region_id": ids, "year_built": years, "gdp": np.arange(16.0)})
    states = ["blank"] * 4 + ["picture"] * 12
    pair = [("a", "r0000", picture(60)), ("b", "r0001", picture(60))]
    return Seen(
        regions=regions,
        labels=labels.sample(frac=1, random_state=0),
        pictures=pd.DataFrame({"region_id": ids, "street": np.arange(16) % 3}),
        suspects=[
            Suspect("nearly the same", "satellite", pair),
            Suspect("nearly the same", "satellite", pair[:1]),
            Suspect("cannot be read", "satellite", [("c", "r0002", b"broken"), ("d", "r0003", None)]),
        ],
        rejected=[("x.jpg", "truncated")],
        coverage=pd.DataFrame({"region_id": ids, "tiles": states, "tiles_cover": 0.5}),
        states=STATES,
    )


def page_of(tmp_path: Path, seen: Seen | None, audit: dict[str, Any] = AUDIT) -> Page:
    return Page(write_audit_page(tmp_path / "a.html", "City", audit, seen=seen).read_text(encoding="utf-8"))


def test_one_map_shows_labels_pictures_and_coverage_by_region(tmp_path: Path, seen: Seen) -> None:
    page = page_of(tmp_path, seen)
    data = map_data(page)
    assert [layer["name"] for layer in data["layers"]] == [
        "year built", "GDP", "pictures: street", "tiles cover", "coverage: tiles",
    ]  # fmt: skip
    years = view(data["layers"][0], "year built")
    assert seen.labels is not None
    given = seen.labels.set_index("region_id")["year_built"]
    drawn = np.array(years["values"], dtype=float)
    assert drawn == pytest.approx(given[data["ids"]].to_numpy(), rel=1e-3, nan_ok=True)
    assert np.isnan(drawn).sum() == 1
    assert (years["unit"], years["labels"][-1]) == ("year", "2015")
    tiles = view(data["layers"][4], "coverage: tiles")
    assert [one["name"] for one in tiles["classes"]] == ["with a picture", "no imagery"]
    assert tiles["values"] == [1] * 4 + [0] * 12
    policy = next(a["content"] or "" for _, a, _ in page.all("meta") if a.get("http-equiv"))
    script = page.all("script")[1][2]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert "16 regions · 2 labels · 16 pictures · 1,200 captions" in page.words


def test_pictures_to_look_at_stand_beside_each_other_by_what_is_odd(tmp_path: Path, seen: Seen) -> None:
    page = page_of(tmp_path, seen)
    heads = [text for _, _, text in page.all("h3")]
    assert heads.count("satellite, nearly the same") == heads.count("satellite, cannot be read") == 1
    shown = [a["alt"] for _, a, _ in page.all("img") if (a["alt"] or "").startswith("satellite picture")]
    assert shown == ["satellite picture a", "satellite picture b", "satellite picture a"]
    assert page.words.count("not readable") == 2
    assert "region r0003" in page.words
    assert "1 left out when the city was made" in page.words
    assert "truncated" in page.words


def test_what_a_page_has_no_room_for_is_said(tmp_path: Path, seen: Seen) -> None:
    assert seen.labels is not None
    assert "labels, the table has all" not in page_of(tmp_path, seen).words
    many = pd.DataFrame({f"l{i}": seen.labels["gdp"] for i in range(43)})
    files = [(f"{i}.jpg", "truncated") for i in range(201)]
    page = page_of(tmp_path, replace(seen, labels=seen.labels.join(many), rejected=files))
    assert page.words.count("the first 40 of 45 labels") == 2, "beside the map, beside the histograms"
    assert page.words.count("16 values, 0 missing") + page.words.count("15 values, 1 missing") == 40
    assert "The first 200 are listed" in page.words


def test_ids_and_counts_keep_their_figures(tmp_path: Path, seen: Seen) -> None:
    assert seen.labels is not None
    codes = np.arange(98_101.0, 98_117.0)
    labels = pd.DataFrame({"region_id": seen.labels["region_id"], "zip_code": codes, "population": codes})
    told = {"n": 16, "minimum": 98_101.0, "median": 98_108.0, "maximum": 98_116.0}
    audit = AUDIT | {"labels": {"zip_code": told, "population": told}}
    page = page_of(tmp_path, replace(seen, labels=labels), audit)
    assert "98101 · 98108 · 98116" in page.words
    assert "98,101 · 98,108 · 98,116" in page.words
    layer = next(one for one in map_data(page)["layers"] if one["views"][0]["title"] == "zip code")
    shown = view(layer, "zip code")
    assert sorted(shown["values"]) == codes.tolist()
    assert shown["kind"] == "id"


def test_coverage_is_counted_by_source(tmp_path: Path, seen: Seen) -> None:
    page = page_of(tmp_path, seen)
    heads = [text for _, _, text in page.all("th")]
    assert "with a picture" in heads
    assert "nothing there" not in heads
    assert "12 75 % 4 25 %" in page.words


def test_nothing_is_said_of_what_is_not_there(tmp_path: Path, seen: Seen) -> None:
    there = {a.get("id") for _, a, _ in page_of(tmp_path, seen).all("section")}
    assert there == {"audit", "maps", "labels", "pictures", "coverage", "captions"}
    bare = page_of(tmp_path, None, {"found": [], "labels": {}})
    assert {a.get("id") for _, a, _ in bare.all("section")} == {"audit"}
    assert not bare.all("script")
    points = replace(seen, regions=None, coverage=None, suspects=(), rejected=())
    some = page_of(tmp_path, points, {"found": [], "labels": AUDIT["labels"]})
    assert {a.get("id") for _, a, _ in some.all("section")} == {"audit", "labels"}
    links = {(a.get("href") or "")[1:] for _, a, _ in some.all("a")}
    assert links == {"audit", "labels"}


def test_hostile_names_stay_text(tmp_path: Path, seen: Seen) -> None:
    plain = [tag for tag, _, _ in page_of(tmp_path, seen).elements]
    assert seen.labels is not None
    assert seen.coverage is not None
    odd = replace(
        seen,
        labels=seen.labels.rename(columns={"gdp": HOSTILE}),
        suspects=[replace(one, why=HOSTILE, view=HOSTILE, pictures=[(HOSTILE, HOSTILE, picture())])
                  for one in seen.suspects],
        rejected=[(HOSTILE, HOSTILE)],
        coverage=seen.coverage.rename(columns={"tiles": HOSTILE}),
        states={state: HOSTILE + name for state, name in STATES.items()},
    )  # fmt: skip
    page = page_of(tmp_path, odd)
    tags = [tag for tag, _, _ in page.elements]
    assert tags.count("script") == plain.count("script")
    assert not [a for _, a, _ in page.elements if any(name.startswith("on") for name in a)]
    sources = [a["src"] or "" for _, a, _ in page.all("img")]
    assert all(source.startswith(("data:image/jpeg;base64,", "data:image/png;base64,")) for source in sources)


def test_histogram_counts_what_is_known_between_least_and_largest() -> None:
    values = np.array([0.0, 1.0, 1.0, 2.0, np.nan, 2.0, 2.0, 2.0])
    made = histogram("rooms", "rooms", values, log=False)
    assert made["said"] == "7 values, 1 missing"
    assert made["breaks"] == "1 · 2"
    bars = [float(e.attrib["height"]) for e in ET.fromstring(made["picture"]) if e.tag == "rect"]
    assert bars == pytest.approx([35.0, 70.0, 140.0])
    assert histogram("x", "", np.array([np.nan]), log=True)["picture"] is None


@pytest.mark.parametrize("values", [[5.0, 5.0], [-3.0, 8.0], [0.0, 0.0, 1e12], [-0.5, 2.0], [2016.0]])
@pytest.mark.parametrize("log", [True, False])
def test_histogram_of_any_values_is_a_picture(values: list[float], log: bool) -> None:
    made = histogram("<b>", "<i>", np.array(values), log)
    assert "nan" not in made["picture"]
    tree = ET.fromstring(made["picture"])
    tall = [float(e.attrib["height"]) for e in tree if e.tag == "rect"]
    assert max(tall) == pytest.approx(140.0)
    assert all(44 <= float(e.attrib["x"]) <= 408.5 for e in tree if e.tag == "rect")
