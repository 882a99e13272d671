"""A whole run on the made clone: what is written, what is kept, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.base.files import read_table
from urbanln.cityrep import head, payloads
from urbanln.cityrep.payloads import read_payload, read_tasks
from urbanln.cityrep.run import run_cityrep
from urbanln.cityrep.splits import split_digest, their_parts
from urbanln.probe.metrics import r2


@pytest.fixture
def own(clone: Path, tmp_path: Path) -> Path:
    """A copy of the clone, with results of two models as CityRep has them, and digests of its splits."""
    own = shutil.copytree(clone, tmp_path / "clone")
    rows = [
        {"model": m, "model_label": m.upper(), "task_id": name, "n_samples": 10, "R2": score, "R2_std": 0.1}
        for m, score in (("one", 0.9), ("two", -0.5))
        for name in ("atown.gdp.2024", "btown.gdp.2024", "atown.elsewhere.2024", "atown.landuse.2026")
    ]
    (own / "results" / "main_eval").mkdir(parents=True)
    frame = pd.DataFrame(rows).assign(KL=np.nan, F1_macro=np.nan)
    frame.to_csv(own / "results" / "main_eval" / "summary.csv", index=False)
    task = next(task for task in read_tasks(own) if task.name == "atown.gdp.2024")
    payload = read_payload(task)
    listed = [
        ("block10_5seed_mlp1024", split_digest(payload, "block", their_parts(payload, "block"))),
        ("random_5seed_mlp1024", "0" * 64),
    ]
    (own / "splits").mkdir()
    pd.DataFrame(
        [{"protocol_id": name, "task_id": task.name, "sha256": digest} for name, digest in listed]
    ).to_csv(own / "splits" / "manifest.csv", index=False)
    return own


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of two epochs; run in this process, so that they are these."""
    monkeypatch.setattr(head, "EPOCHS", 2)


def run(clone: Path, out: Path, **given: Any) -> dict[str, Any]:
    given = {"labels": ["gdp"], "splits": ["block"], "floors": ["coordinates-nearest"], "jobs": 1} | given
    page = run_cityrep(clone, out, **given)
    assert page == out / "cityrep.html"
    found: dict[str, Any] = json.loads((out / "cityrep.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.usefixtures("quick")
def test_a_run_leaves_rows_means_ranks_and_a_page(own: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for city in ("atown", "btown"):
        frame = pd.read_parquet(own / "data" / "tasks" / f"{city}.gdp.2024" / "samples.parquet")
        seen = frame[["sample_id"]].assign(e0=np.log(frame["label"]), e1=1.0)
        seen.to_parquet(tmp_path / f"{city}.parquet")
    out = tmp_path / "out"
    found = run(own, out, vectors=[f"mine={tmp_path}/{{city}}.parquet"], splits=["block", "block+buffer"])
    told = capsys.readouterr().err
    assert "atown.gdp.2024 (" in told
    assert "CityRep's best ONE .90" in told
    assert found["split_files"] == {"compared": 2, "equal": 1}
    frame = read_table(out / "cityrep.parquet", kind="cityrep")
    assert len(frame) == len(found["rows"]) == 2 * (2 * 3 + 2)
    assert set(frame.loc[frame["theirs"], "features"]) == {"ONE", "TWO"}
    assert set(frame.loc[frame["theirs"], "split"]) == {"block"}, "theirs is not under our split"
    rows = {(r["task"], r["features"], r["split"]): r for r in found["rows"]}
    pooled = rows["atown.gdp.2024", "coordinates-nearest", "block+buffer"]
    assert pooled["low"] < pooled["score"] < pooled["high"]
    assert len(rows["atown.gdp.2024", "coordinates-nearest", "block"]["score_seeds"]) == 5
    first = next(row for row in found["ranks"] if row["split"] == "block")
    assert (first["features"], first["rank"], first["of"]) == ("ONE", 1.0, 5)
    page = (out / "cityrep.html").read_text(encoding="utf-8")
    assert "ONE (CityRep)" in page
    assert "the strongest floor of the map is above all of CityRep’s models on 0 of 1 labels" in page
    assert "Task by task, on 0 of 2." in page
    assert "1 of 2 are CityRep&#39;s own files" in page
    assert "| ONE (CityRep) | .90 |" in (out / "cityrep.md").read_text(encoding="utf-8")


def test_a_row_by_hand(own: Path, tmp_path: Path) -> None:
    """The mean of five seeds, each on its own held-out samples: not the score of all of them together."""
    found = run(own, tmp_path / "out", floors=["mean"], cities=["atown"])
    payload = read_payload(next(task for task in read_tasks(own) if task.name == "atown.gdp.2024"))
    told = []
    for parts in their_parts(payload, "block"):
        known, test = np.concatenate([parts.train, parts.val]), parts.test
        told.append(r2(payload.y[test], np.full(len(test), payload.y[known].astype(float).mean())))
    row = next(row for row in found["rows"] if row["features"] == "mean")
    assert row["score_seeds"] == pytest.approx(told, abs=1e-6)
    assert row["score"] == pytest.approx(np.mean(told), abs=1e-6)
    assert row["score_sd"] == pytest.approx(np.std(told), abs=1e-6)


@pytest.mark.usefixtures("quick")
def test_what_is_there_is_kept_and_what_has_changed_is_made_again(own: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "atown.csv"
    payload = read_payload(next(task for task in read_tasks(own) if task.name == "atown.gdp.2024"))
    values = pd.DataFrame({"sample_id": payload.ids, "e0": payload.y, "e1": 1.0})
    values.to_csv(table, index=False)
    given = {"cities": ["atown"], "vectors": [f"mine={tmp_path}/{{city}}.csv"]}
    first = run(own, out, **given)
    cells = sorted((out / "cells").rglob("*.json"))
    assert len(cells) == 4, "mean, coordinates, mine; the splits"
    before = {cell: cell.stat().st_mtime_ns for cell in cells}
    assert run(own, out, **given)["rows"] == first["rows"]
    assert {cell: cell.stat().st_mtime_ns for cell in cells} == before
    values.assign(e0=np.arange(len(values)) % 7).to_csv(table, index=False)
    damaged = next(cell for cell in cells if cell.name.startswith("coordinates-nearest"))
    damaged.write_text('{"made_of": ', encoding="utf-8")
    again = run(own, out, **given)
    changed = {cell.name for cell in cells if cell.stat().st_mtime_ns != before[cell]}
    assert changed == {"coordinates-nearest.block.json", "mine.block.json"}
    by_name = [{row["features"]: row["score"] for row in one["rows"]} for one in (first, again)]
    assert by_name[0]["coordinates-nearest"] == by_name[1]["coordinates-nearest"]
    assert by_name[0]["mine"] != by_name[1]["mine"]


def test_classes_and_shares_are_scored_by_cityreps_metrics(own: Path, tmp_path: Path) -> None:
    given = {"labels": [], "cities": ["atown"], "splits": ["random", "block+buffer"]}
    found = run(own, tmp_path / "out", **given)
    rows = {(row["label"], row["features"], row["split"]): row for row in found["rows"]}
    assert rows["landuse", "coordinates-nearest", "random"]["metric"] == "F1_macro"
    floor, near = (rows["age_distribution", name, "random"] for name in ("mean", "coordinates-nearest"))
    assert near["metric"] == "KL"
    assert 0 < near["score"] < floor["score"], "labels are smooth, and less is better"
    for label in ("landuse", "age_distribution"):
        row = rows[label, "coordinates-nearest", "block+buffer"]
        assert row["low"] < row["score"] < row["high"]
    best = next(row for row in found["means"] if row["label"] == "age_distribution")
    assert best["features"] == "coordinates-nearest"


def test_what_counts_in_no_mean_is_told_city_by_city(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(payloads.NOTES, "atown.gdp", "its source is poor")
    found = run(own, tmp_path / "out", cities=["atown"])
    assert found["left_out_of_means"] == ["atown.gdp.2024"]
    assert found["means"] == found["ranks"] == []
    page = (tmp_path / "out" / "cityrep.html").read_text(encoding="utf-8")
    assert "atown.gdp.2024: its source is poor." in page
    assert "Label by label" not in page
    assert "City by city" in page
    assert "ONE (CityRep)" in page


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cities": ["ctown"]}, "nothing of this name"),
        ({"labels": ["landuse"], "cities": ["btown"]}, "holds no samples"),
        ({"splits": ["checkerboard"]}, "no such split"),
        ({"floors": ["pixels"]}, "no such floor"),
        ({"vectors": ["mine=nowhere/{city}.tif"]}, "none of these vectors is there"),
        ({"published": "nowhere"}, "no results of CityRep"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(
    own: Path, tmp_path: Path, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        run(own, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(own: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cityrep.html").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not part of scores of CityRep"):
        run(own, tmp_path / "out")
