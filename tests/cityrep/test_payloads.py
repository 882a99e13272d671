"""The clone is read as it is, and what does not hold is one clear error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import ArtefactError, InputError
from urbanln.cityrep.payloads import SYNTHETIC, read_payload, read_tasks


@pytest.fixture
def own(clone: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(clone, tmp_path / "clone")


def test_tasks_are_listed_whether_they_are_there_or_not(clone: Path) -> None:
    tasks = read_tasks(clone)
    assert {task.kind for task in tasks} == {"number", "classes", "shares"}
    assert [task.name for task in tasks if not task.here] == ["btown.landuse.2026"]


def test_a_payload_is_read_by_its_kind(clone: Path) -> None:
    tasks = {task.name: task for task in read_tasks(clone)}
    number = read_payload(tasks["atown.gdp.2024"])
    assert number.y.mean() == pytest.approx(0, abs=1e-5)
    assert number.y.std() == pytest.approx(1, abs=1e-5)
    shares = read_payload(tasks["atown.age_distribution.2024"])
    np.testing.assert_allclose(shares.y.sum(axis=1), 1, atol=1e-6)
    assert shares.outputs == 3
    classes = read_payload(tasks["atown.landuse.2026"])
    assert classes.outputs == classes.y.max() + 1 == 4
    assert classes.cells is None
    assert number.cells is not None


def test_what_is_known_about_a_task_goes_with_it(own: Path) -> None:
    path = own / "data" / "tasks.json"
    specs = json.loads(path.read_text(encoding="utf-8"))
    specs["tasks"]["london.landuse.2026"] = specs["tasks"]["btown.landuse.2026"]
    path.write_text(json.dumps(specs), encoding="utf-8")
    notes = {task.name: task.note for task in read_tasks(own)}
    assert notes["london.landuse.2026"] == SYNTHETIC
    assert notes["atown.landuse.2026"] == ""


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("../../etc.x.2024", {}, "CITY.LABEL.YEAR"),
        ("a.b.2024", {"task_type": "ranking"}, "no such type of task"),
    ],
)
def test_a_registry_is_not_trusted(own: Path, name: str, value: dict[str, str], told: str) -> None:
    (own / "data" / "tasks.json").write_text(json.dumps({"tasks": {name: value}}), encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_tasks(own)


def test_what_is_no_registry_is_said(own: Path) -> None:
    (own / "data" / "tasks.json").write_text('{"tasks": [1]}', encoding="utf-8")
    with pytest.raises(ArtefactError, match="no registry of CityRep's tasks"):
        read_tasks(own)
    with pytest.raises(InputError, match="no such file"):
        read_tasks(own / "data")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.drop(columns="label"), "column 'label' is missing"),
        (lambda f: f.assign(label=f["label"].where(f.index != 3)), "a label is missing"),
        (lambda f: f.assign(sample_id=f["sample_id"].iloc[0]), "occurs twice"),
        (lambda f: f.assign(y=f["y"] + 90), "out of range"),
    ],
)
def test_a_spoiled_payload_is_refused(own: Path, change, told: str) -> None:  # type: ignore[no-untyped-def]
    task = next(task for task in read_tasks(own) if task.name == "atown.gdp.2024")
    change(pd.read_parquet(task.samples)).to_parquet(task.samples)
    with pytest.raises(InputError, match=told):
        read_payload(task)


def test_classes_are_counted_from_zero(own: Path) -> None:
    task = next(task for task in read_tasks(own) if task.name == "atown.landuse.2026")
    frame = pd.read_parquet(task.samples)
    frame.assign(label_id=frame["label_id"] - 0.5).to_parquet(task.samples)
    with pytest.raises(InputError, match="classes are counted from 0"):
        read_payload(task)
