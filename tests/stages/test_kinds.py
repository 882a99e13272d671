"""Labels that are no numbers, wherever a city's labels are read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from tests.cli.test_cli import run

import urbanln
from urbanln.base.config import Settings, load_settings
from urbanln.base.errors import InputError
from urbanln.city.meta import IndicatorNote, Meta
from urbanln.city.store import City
from urbanln.explore.answers import Answers
from urbanln.explore.taken import take
from urbanln.probe.saved import save_result
from urbanln.stages.explore import Asked, content_of
from urbanln.stages.probe import run_probe
from urbanln.stages.report import report_run

SIDE = 6
AGE = ("young", "middle_aged", "old")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> City:
    """36 points with a number, classes and shares; the last region has nothing but the number."""
    folder = tmp_path_factory.mktemp("kinds") / "town"
    n = SIDE**2
    ids = [f"r{i:02d}" for i in range(n)]
    x, y = np.divmod(np.arange(n), SIDE)
    regions = gpd.GeoDataFrame(
        {"region_id": ids}, geometry=shapely.points(10 + x * 0.01, 50 + y * 0.01), crs=4326
    )
    ages = np.random.default_rng(0).dirichlet([2, 3, 1], n)
    use = np.where(x < 2, "housing", np.where(y < 1, "port", "field")).astype(object)
    ages[-1], use[-1] = np.nan, None
    labels = pd.DataFrame(
        {"region_id": ids, "price": x + y + 0.5, "use": use, **dict(zip(AGE, ages.T, strict=True))}
    )
    notes = {"use": IndicatorNote(kind="classes"), "age": IndicatorNote(kind="shares", columns=AGE)}
    empty = pd.DataFrame(columns=["image_id", "region_id", "view", "path", "lon", "lat"])
    return City.create(
        folder, meta=Meta(name="town", indicators=notes), regions=regions, images=empty, indicators=labels
    )


def test_the_page_to_question_shows_classes_by_name_and_a_column_per_part(town: City) -> None:
    content = content_of([town], Asked(), Settings())
    shown = {one["key"]: one for one in Answers(content).overview()["columns"]}
    assert [key for key in shown if key.startswith("label:")] == [
        "label:price", "label:use", *(f"label:{part}" for part in AGE)
    ]  # fmt: skip
    use = shown["label:use"]
    assert (use["kind"], use["classes"], use["missing"]) == ("class", ["field", "housing", "port"], 1)
    assert shown["label:middle_aged"]["title"] == "age: middle aged"
    rows = np.arange(len(content))
    frame = pd.read_csv(io.BytesIO(take(content, rows, list(content.columns.values()), "csv")))
    assert frame["label:use"].fillna("-").tolist() == town.indicators["use"].fillna("-").tolist()
    np.testing.assert_array_equal(frame["label:old"], town.indicators["old"])


def test_a_part_of_shares_is_no_label_to_probe(town: City, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such indicator(.|\n)*price, use, age"):
        run_probe(town, {}, load_settings(), indicators=["young"])


def test_every_kind_is_probed_reported_and_questioned(town: City, tmp_path: Path) -> None:
    """One city, its three labels: scores, a page with maps and a confusion, columns to colour by."""
    rng = np.random.default_rng(1)
    codes = town.indicators["use"].map({"field": 0, "housing": 1, "port": 2}).fillna(0).to_numpy(int)
    vectors = np.eye(3)[codes] + rng.normal(0, 0.2, (len(codes), 3))
    table = pd.DataFrame({"region_id": town.regions["region_id"], "vector": list(vectors.astype("float32"))})
    overrides = ["probe.splits=['random']", "probe.seeds=2", "probe.heads=['ridge']", "probe.curve=[]"]
    settings = load_settings(
        overrides=[*overrides, "probe.floors=['coordinates-nearest']", "probe.bootstrap=100"]
    )
    found = run_probe(town, {"ours": table}, settings)
    rows = [row for row in found.scores["rows"] if row["features"] == "ours"]
    assert {row["indicator"]: row["score_name"] for row in rows} == {
        "price": "r2", "use": "macro_f1", "age": "kl_skill",
    }  # fmt: skip
    save_result(tmp_path / "scores", found)
    page = report_run(town, tmp_path / "scores", tmp_path / "page.html").read_text()
    for said in ("Classes and shares, part by part", "macro F1 of the classes", "KL skill of the shares"):
        assert said in page
    assert "Confusion of use" in page
    assert "wrong, but the truth is in the set" in page or "right" in page
    content = content_of([town], Asked(scores=tmp_path / "scores"), Settings())
    shown = {one["key"]: one for one in Answers(content).overview()["columns"]}
    predicted, own = shown["prediction:use"], shown["label:use"]
    assert (predicted["kind"], predicted["classes"]) == ("class", own["classes"])
    values = content.columns
    same = values["prediction:use"].values == values["label:use"].values
    right = values["error:use"].values == 1
    known = np.isfinite(values["label:use"].values)
    np.testing.assert_array_equal(same[known], right[known])
    assert same[known].mean() > 0.8
    for part in AGE:
        gap = values[f"prediction:{part}"].values - values[f"label:{part}"].values
        np.testing.assert_allclose(values[f"error:{part}"].values, gap, atol=1e-6)
    region = Answers(content).region(0)
    ends = {one["label"]: one.get("ends") for one in region["predictions"]}
    assert ends == {"price": "", "use": None, **dict.fromkeys(AGE, "of all parts at once")}
    assert region["values"]["prediction:use"] is not None
    with pytest.raises(InputError, match="no such indicator"):
        run_probe(town, {"ours": table}, settings, indicators=["old"])


def test_the_audit_of_a_city_looks_at_every_kind(town: City, tmp_path: Path) -> None:
    found = urbanln.audit(town)
    assert {name: one.as_json()["kind"] for name, one in found.labels.labels.items()} == {
        "price": "number", "use": "classes", "age": "shares",
    }  # fmt: skip
    assert list(urbanln.audit(town, labels=["age"]).labels.labels) == ["age"]
    with pytest.raises(InputError, match=r"no such indicator(.|\n)*price, use, age"):
        urbanln.audit(town, labels=["young"])
    with pytest.raises(InputError, match="a city says of itself"):
        urbanln.audit(town, classes=["use"])
    page, out = tmp_path / "a.html", tmp_path / "a.json"
    assert run("audit", town.folder, "--page", page, "--out", out) == 0
    kept = json.loads(out.read_text())
    assert kept["labels"]["age"]["columns"] == list(AGE)
    assert [one["name"] for one in kept["labels"]["use"]["classes"]] == ["field", "housing", "port"]
    assert "age: middle aged" in page.read_text()


def test_the_audit_of_a_table_is_told_what_is_what(
    town: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = town.indicators.assign(lon=town.regions.geometry.x, lat=town.regions.geometry.y)
    table["old"] = table["old"] * 100  # of these, parts of one are no shares
    with pytest.raises(InputError, match="sum to 1, or to 100, in 0 of 35 rows"):
        urbanln.audit(table, shares=["age=young,middle_aged,old"])
    table[["young", "middle_aged"]] *= 100
    found = urbanln.audit(table, classes=["use"], shares={"age": AGE})
    assert list(found.labels.labels) == ["use", "age"]
    assert found.notes == ["label age: its parts sum to 100, and are divided by it"]
    np.testing.assert_allclose(
        [part.mean for part in found.labels.labels["age"].parts], town.indicators[list(AGE)].mean(), atol=1e-9
    )
    rounded = table.assign(old=table["old"] + 0.5)
    assert "but for 0.5 at most" in urbanln.audit(rounded, shares={"age": AGE}, share_tolerance=0.01).notes[1]
    table.to_csv(tmp_path / "t.csv", index=False)
    words = ["--classes", "use", "--shares", "age=young,middle_aged,old", "--missing", "use=port"]
    assert run("audit", "--labels", tmp_path / "t.csv", *words, "--page", tmp_path / "t.html") == 0
    said = capsys.readouterr().out
    assert "labels use (classes), age (shares: young, middle_aged, old)" in said
    assert "31 regions of 2 classes, 5 missing" in said
    assert run("audit", town.folder, "--classes", "use") == 2
    assert urbanln.audit(table).labels.labels.keys() == {"price", *AGE}  # as nothing says otherwise
