"""The page as a browser's parser sees it: nothing loaded, nothing injected, nothing missing unsaid."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.report.page_reader import Page, map_data, view

from urbanln.base.errors import InputError
from urbanln.report import Example, write_report

HOSTILE = "\x00\x1b\u202e</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;{{ 7*7 }}"
Make = Callable[..., dict[str, Any]]


def write(tmp_path: Path, inputs: dict[str, Any]) -> tuple[str, Page]:
    path = write_report(tmp_path / "report.html", **inputs)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_page_asks_the_network_for_nothing(tmp_path: Path, make: Make) -> None:
    text, page = write(tmp_path, make())
    for _, attrs, _ in page.all(*{tag for tag, _, _ in page.elements}):
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = attrs.get(name) or ""
            assert not value or value.startswith(("#", "data:image/")), (name, value[:80])
    styles = "".join(text for _, _, text in page.all("style"))
    assert not re.search(r"@import|url\(\s*['\"]?(?!['\"]?data:)", styles)
    assert not page.all("link", "iframe", "object", "embed", "base", "form")
    assert "sourceMappingURL" not in text


def test_policy_allows_exactly_the_script_that_is_there(tmp_path: Path, make: Make) -> None:
    _, page = write(tmp_path, make())
    scripts = page.all("script")
    assert [attrs.get("type") for _, attrs, _ in scripts] == ["application/json", None]
    digest = base64.b64encode(hashlib.sha256(scripts[1][2].encode()).digest()).decode()
    policy = next(
        a["content"] for _, a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy


def test_hostile_text_stays_text(tmp_path: Path, make: Make) -> None:
    plain_tags = [tag for tag, _, _ in write(tmp_path, make())[1].elements]
    inputs = make()
    inputs["regions"]["region_id"] = inputs["regions"]["region_id"] + HOSTILE
    predictions, scores = inputs["predictions"], inputs["scores"]
    predictions["region_id"] += HOSTILE
    predictions["indicator"] += HOSTILE
    for row in [*scores["rows"], *scores["verdicts"]]:
        row["indicator"] += HOSTILE
    for verdict in scores["verdicts"]:
        verdict["sentence"] = HOSTILE
    scores["notes"] = [HOSTILE]
    inputs |= {"title": HOSTILE, "notes": [HOSTILE + "\ud800"], "units": {f"population{HOSTILE}": HOSTILE}}
    inputs["run"] = {
        key: HOSTILE if isinstance(v, str) else {HOSTILE: HOSTILE} for key, v in make()["run"].items()
    }
    inputs["examples"] = [Example(e.image_bytes, *[HOSTILE + "\ud800"] * 4) for e in inputs["examples"]]
    text, page = write(tmp_path, inputs)
    tags = [tag for tag, _, _ in page.elements]
    for tag in ("script", "img", "style", "meta"):
        assert tags.count(tag) == plain_tags.count(tag)
    assert not [a for _, a, _ in page.elements if any(name.startswith("on") for name in a)]
    assert "<script>alert(1)" in page.words
    assert "49" not in page.by_id("verdicts-title")[2]
    assert "{{ 7*7 }}" in page.words
    assert not set("\x00\x1b\u202e") & set(text)
    assert map_data(page)["ids"][0].startswith("r0000")
    assert "</script><script>" in map_data(page)["ids"][0]


def test_megabyte_caption_is_cut_and_says_so(tmp_path: Path, make: Make) -> None:
    inputs = make(3, ("population",))
    before = len(write(tmp_path, inputs)[0])
    one = inputs["examples"][0]
    inputs["examples"] = [Example(one.image_bytes, "word " * 200_000, "street", "r0000", "recorded")]
    text, page = write(tmp_path, inputs)
    assert len(text) < before + 5_000
    assert "Cut here: the caption has 1,000,000 characters." in page.words


def test_a_page_of_somebodys_table_speaks_of_no_pictures_nor_training(tmp_path: Path, make: Make) -> None:
    text, _ = write(tmp_path, make())
    assert "<dt>R@10</dt>" in text
    text, _ = write(tmp_path, make() | {"examples": [], "metrics": []})
    assert "<dt>R@10</dt>" not in text
    limits = text[text.index('id="limits"') : text.index('id="glossary"')]
    assert "picture" not in limits


def test_page_can_be_read_without_eyes(tmp_path: Path, make: Make) -> None:
    _, page = write(tmp_path, make())
    assert page.all("html")[0][1]["lang"] == "en"
    levels = [int(tag[1]) for tag, _, _ in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") for _, attrs, _ in page.all("th"))
    assert all(attrs.get("alt") for _, attrs, _ in page.all("img"))
    assert all(a.get("aria-label") or a.get("aria-hidden") for _, a, _ in page.all("svg"))
    ids = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = {(a.get("href") or "")[1:] for _, a, _ in page.all("a")}
    assert links <= set(ids)


def test_same_input_gives_the_same_bytes(tmp_path: Path, make: Make) -> None:
    assert write(tmp_path / "a", make())[0] == write(tmp_path / "b", make())[0]


def test_scores_and_states_are_printed(tmp_path: Path, make: Make) -> None:
    _, page = write(tmp_path, make())
    cells = [text.strip() for _, _, text in page.all("td")]
    assert ".55" in cells
    assert "−.02" in cells
    assert "[.49, .60]" in page.words
    classes = [a["class"] for _, a, _ in page.all("li") if (a.get("class") or "").startswith("verdict")]
    assert classes == ["verdict yes", "verdict undecided", "verdict no"]
    assert "Synthetic city, simulated labels." in page.words
    inputs = make()
    inputs["synthetic"] = False
    assert "ynthetic" not in write(tmp_path, inputs)[1].words


def test_map_shows_the_mean_over_seeds_of_the_block_split(tmp_path: Path, make: Make) -> None:
    inputs = make(4, ("population",))
    frame = inputs["predictions"]
    chosen = frame[(frame.split == "block") & (frame.features == "urbanln") & (frame.region_id == "r0005")]
    _, page = write(tmp_path, inputs)
    data = map_data(page)
    layer, at = data["layers"][0], data["ids"].index("r0005")
    truth, prediction = chosen.truth.iloc[0], chosen.prediction.mean()
    assert view(layer, "prediction")["values"][at] == pytest.approx(prediction, rel=1e-3)
    assert view(layer, "error")["values"][at] == pytest.approx(
        np.log1p(prediction) - np.log1p(truth), abs=1e-3
    )
    assert view(layer, "truth")["unit"] == "people/km²"
    west, south, east, north = data["places"][0]["bounds"]
    assert (west, south) == pytest.approx((114.2, 30.5))
    assert (east, north) == pytest.approx((114.22, 30.52))


def _without(inputs: dict[str, Any], what: str) -> dict[str, Any]:
    scores, frame = inputs["scores"], inputs["predictions"]
    if what == "metrics":
        inputs["metrics"] = []
    elif what == "examples":
        inputs["examples"] = []
    elif what == "readable pictures":
        inputs["examples"] = [Example(b"no picture", "text", "street", "r0000", "recorded")]
    elif what == "block split":
        inputs["predictions"] = frame[frame.split == "random"]
        scores["rows"] = [row for row in scores["rows"] if row["split"] == "random"]
    elif what == "predictions":
        inputs["predictions"] = frame.iloc[:0]
    elif what == "known predictions":
        inputs["predictions"] = frame.assign(prediction=np.nan)
    elif what == "scores":
        inputs["scores"] = {"kind": "scores", "rows": []}
        inputs["predictions"] = frame.iloc[:0]
    elif what == "vectors":
        inputs["scores"] = scores | {"main": None, "baseline": None}
    elif what == "geometry":
        inputs["regions"].geometry = [None] * len(inputs["regions"])
    elif what == "run facts":
        inputs["run"] = {}
    elif what == "intervals":
        for row in scores["rows"]:
            row |= {"r2_low": None, "r2_high": None, "vs": {}}
    return inputs


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("metrics", "No training log was given"),
        ("examples", "No example pictures were given"),
        ("readable pictures", "1 example pictures could not be read"),
        ("block split", "random split only: no block split was scored"),
        ("predictions", "There are no held-out predictions to draw"),
        ("known predictions", "no region has both a truth and a prediction"),
        ("scores", "No indicator was scored"),
        ("vectors", "No vectors were given"),
        ("geometry", "No region has a geometry"),
        ("run facts", "Nothing was recorded about the run"),
        ("intervals", "Scores against floors"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, make: Make, what: str, said: str) -> None:
    _, page = write(tmp_path, _without(make(4), what))
    assert said in page.words


@pytest.mark.parametrize("inputs", [{"side": 1, "indicators": ("population",)}, {"side": 5, "points": True}])
def test_one_region_and_points_are_drawn(tmp_path: Path, make: Make, inputs: dict[str, Any]) -> None:
    _, page = write(tmp_path, make(**inputs))
    data = map_data(page)
    west, south, east, north = data["places"][0]["bounds"]
    assert west < east
    assert south < north
    assert {shape["type"] for shape in data["shapes"]} == {"Point" if inputs.get("points") else "Polygon"}


def test_projected_regions_come_out_in_degrees(tmp_path: Path, make: Make) -> None:
    inputs = make(4)
    inputs["regions"] = inputs["regions"].to_crs("EPSG:32650")
    west, south, _, _ = map_data(write(tmp_path, inputs)[1])["places"][0]["bounds"]
    assert (west, south) == pytest.approx((114.2, 30.5), abs=1e-4)


def test_maps_are_pictures_too_for_a_browser_without_scripts(tmp_path: Path, make: Make) -> None:
    inputs = make(4, ("population", "crime"))
    inputs["predictions"].loc[lambda f: f.region_id == "r0000", ["truth", "prediction"]] = np.nan
    _, page = write(tmp_path, inputs)
    assert "hidden" not in page.by_id("map-still")[1]
    found = [a for _, a, _ in page.all("img") if (a["alt"] or "").startswith("Maps of")]
    assert len(found) == 2
    source = found[0]["src"] or ""
    picture = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
    assert picture.size == (1068, 340)
    layer = map_data(page)["layers"][0]
    brightest = int(np.argmax([v or 0 for v in view(layer, "truth")["values"]]))
    x, y = ((k + 0.5) / 4 for k in (brightest % 4, 3 - brightest // 4))
    narrow = np.cos(np.radians(30.51))
    assert picture.getpixel((int(5 + x * 330 * narrow), int(5 + y * 330))) == (0xFD, 0xE7, 0x25)
    assert picture.getpixel((20, picture.height - 20)) == (0xC9, 0xCE, 0xD3)  # r0000 has no value


def test_page_of_400_regions_stays_small(tmp_path: Path, make: Make) -> None:
    names = ("population", "gdp", "carbon", "night_light", "poi_count", "crime")
    path = write_report(tmp_path / "report.html", **make(20, names))
    assert path.stat().st_size < 3_000_000


def test_missing_column_and_wrong_kind_are_named(tmp_path: Path, make: Make) -> None:
    inputs = make(3)
    wrong = copy.copy(inputs) | {"predictions": inputs["predictions"].drop(columns="truth")}
    with pytest.raises(InputError, match="predictions lack a column") as error:
        write_report(tmp_path / "report.html", **wrong)
    assert error.value.value == "truth"
    with pytest.raises(InputError, match="not a table of scores"):
        write_report(tmp_path / "report.html", **(inputs | {"scores": {"kind": "run"}}))
    assert not list(tmp_path.iterdir())


def test_what_the_probe_finds_can_be_reported(tmp_path: Path, make: Make) -> None:
    run = pytest.importorskip("urbanln.probe.run")
    from urbanln.base.config import ProbeSettings

    inputs = make(8, ("population",))
    ids = inputs["regions"]["region_id"]
    rng = np.random.default_rng(0)
    centres = inputs["regions"].to_crs("EPSG:32650").centroid.to_crs("EPSG:4326")
    vectors = rng.normal(size=(len(ids), 4)).astype(np.float32)
    labels = np.exp(vectors[:, 0] + 5)
    table = pd.DataFrame({"region_id": ids, "vector": list(vectors)})
    found = run.probe_tables(
        {"mine": table, "base": table.assign(vector=list(vectors[:, 1:]))},
        pd.DataFrame({"region_id": ids, "population": labels}),
        pd.DataFrame({"region_id": ids, "lon": centres.x, "lat": centres.y}),
        ProbeSettings(heads=["ridge"], seeds=2, folds=3, block_km=1.0, buffer_km=0.2, bootstrap=100),
        main="mine",
        baseline="base",
        units={"population": "people"},
        jobs=1,
    )
    inputs |= {"scores": found.scores, "predictions": found.predictions, "units": None}
    _, page = write(tmp_path, inputs)
    for text in ("mine (ridge) beats", "under 1 km blocks", "mine (ridge) beats base"):
        assert text in page.words
    assert "coordinates, Gaussian process" in page.words
    assert page.by_id("leakage-title")
    assert page.by_id("reliability-title")
    assert "The intervals hold" in page.words
    assert "Do the vectors add anything to the map?" in page.words
    layer = map_data(page)["layers"][0]
    assert view(layer, "truth")["unit"] == "people"
    assert all(value is not None for value in view(layer, "error")["values"])
