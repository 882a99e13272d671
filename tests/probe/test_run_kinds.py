"""A probe of classes, shares and numbers side by side: rows, verdicts, tables, files."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from tests.probe.simulated_parts import drawn, world

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.base.files import read_table
from urbanln.base.kinds import LabelKind
from urbanln.probe.kinds import main_score
from urbanln.probe.labels import prepare_labels
from urbanln.probe.leakage import part_leakage
from urbanln.probe.run import ProbeResult, probe_tables
from urbanln.probe.saved import save_result
from urbanln.probe.splits import Fold
from urbanln.probe.verdict import find_row, make_verdicts

KINDS = {
    "land": LabelKind("classes", ("land",)),
    "zone": LabelKind("classes", ("zone",)),
    "age": LabelKind("shares", ("young", "middle", "old")),
}
SETTINGS = ProbeSettings(
    heads=("ridge",), seeds=1, folds=4, block_km=4, buffer_km=0.5, curve=(50,), bootstrap=200,
    splits=("block",), floors=("coordinates-nearest", "coordinates-gp"),
)  # fmt: skip


def tables(n: int = 240):
    lonlat, vectors, of_vectors, of_map = world(n)
    ids = [f"r{number}" for number in range(n)]
    land = drawn(of_vectors).astype(object)
    land[:4] = None
    labels = {"region_id": ids, "land": land, "zone": drawn(of_map), "income": vectors[:, 0].astype(float)}
    labels |= dict(zip(KINDS["age"].columns, of_vectors.T, strict=True))
    where = pd.DataFrame({"region_id": ids, "lon": lonlat[:, 0], "lat": lonlat[:, 1]})
    given = {
        "ours": pd.DataFrame({"region_id": ids, "vector": list(vectors)}),
        "noise": pd.DataFrame({"region_id": ids, "vector": list(vectors[:, 4:])}),
    }
    return given, pd.DataFrame(labels), where


@pytest.fixture(scope="module")
def found() -> ProbeResult:
    given, labels, where = tables()
    return probe_tables(given, labels, where, SETTINGS, baseline="noise", kinds=KINDS, jobs=1)


def test_every_row_has_its_main_score_and_a_numbers_is_its_r2(found: ProbeResult) -> None:
    names = {"land": "macro_f1", "zone": "macro_f1", "age": "kl_skill", "income": "r2"}
    for row in found.scores["rows"]:
        assert row["score_name"] == names[row["indicator"]]
        assert main_score(row).low <= row["score"] <= main_score(row).high
        if row["kind"] == "number":
            same = {key: row[f"r2{key}"] for key in ("", "_low", "_high", "_sd", "_seeds")}
            assert same == {key: row[f"score{key}"] for key in same}
        else:
            assert "r2" not in row
            assert [
                part["name"] for part in row["by_part"] if -1 < part["morans_i"] < 1 and part["morans_p"]
            ] == (found.scores["kinds"][row["indicator"]]["names"])
        assert 0 < row["morans_p"] <= 1
    assert found.scores["labels"] == ["land", "zone", "income", "age"]
    assert found.scores["kinds"]["age"] == {"kind": "shares", "names": ["young", "middle", "old"]}
    assert found.scores["regions"]["labelled"] == {"land": 236, "zone": 240, "income": 240, "age": 240}


def test_numbers_beside_other_kinds_are_as_they_are_alone(found: ProbeResult) -> None:
    given, labels, where = tables()
    alone = probe_tables(given, labels[["region_id", "income"]], where, SETTINGS, baseline="noise", jobs=1)
    rows = [row for row in found.scores["rows"] if row["indicator"] == "income"]
    assert rows == alone.scores["rows"]


def test_verdicts_say_what_is_true_in_words_of_the_kind(found: ProbeResult) -> None:
    said = {(v["indicator"], v["features"], v["against"]): v for v in found.scores["verdicts"]}
    first = {name: next(v for (i, f, _), v in said.items() if (i, f) == (name, "ours")) for name in KINDS}
    assert [first[name]["beats"] for name in ("land", "zone", "age")] == ["yes", "no", "yes"]
    assert first["land"]["sentence"].endswith("macro F1.")
    assert "beats the mean share under 4 km blocks" in first["age"]["sentence"]
    assert "KL skill. No coordinates floor lies above it here." in first["age"]["sentence"]
    joint = next(v for (i, f, _), v in said.items() if (i, f) == ("zone", "coordinates + ours"))
    assert joint["beats"] != "yes"
    assert said["land", "ours", "noise"]["beats"] == "yes"


def test_what_guessing_reaches_is_no_gain(found: ProbeResult) -> None:
    """A head that knows nothing has more macro F1 than the most frequent class alone."""
    scores = json.loads(json.dumps(found.scores))
    row = find_row(scores, indicator="land", split="block", features="ours", head="ridge")
    assert row is not None
    assert row["chance"] == pytest.approx(1 / 3)
    row |= {"score_low": 0.3}
    verdict = next(v for v in make_verdicts(scores) if (v["indicator"], v["features"]) == ("land", "ours"))
    assert verdict["low"] > 0
    assert verdict["beats"] == "undecided"
    assert "guessing by frequency alone reaches .33" in verdict["sentence"]


def test_the_curve_is_in_the_main_score(found: ProbeResult) -> None:
    points = {(p["indicator"], p["features"]): p for p in found.scores["curves"]}
    assert points["land", "ours"]["score"] > points["land", "mean"]["score"]
    assert "r2" not in points["land", "ours"]
    assert points["income", "ours"]["r2"] == points["income", "ours"]["score"]


def test_tables_tell_every_kind_and_the_csv_is_flat(found: ProbeResult, tmp_path) -> None:
    save_result(tmp_path, found)
    text = (tmp_path / "scores.md").read_text()
    assert "macro F1 of classes (land, zone), R² of labels (income), KL skill of shares (age)" in text
    flat = pd.read_csv(tmp_path / "scores.csv")
    assert not any(re.search(r"[\[{]", str(value)) for value in flat.to_numpy().ravel())
    land = flat[flat["indicator"] == "land"]
    assert land["r2"].isna().all()
    assert land["log_loss"].notna().all()


def test_predictions_are_lists_in_the_order_of_the_names(found: ProbeResult, tmp_path) -> None:
    save_result(tmp_path, found)
    read = read_table(tmp_path / "predictions.parquet", kind="predictions")
    chosen = read[(read["split"] == "block") & (read["features"] == "ours") & (read["seed"] == 0)]
    by = dict(iter(chosen.groupby("indicator", observed=True)))
    names = found.scores["kinds"]["land"]["names"]
    parts = np.stack(by["land"]["parts"].tolist())
    assert parts.shape == (236, 3)
    assert by["land"]["predicted_class"].tolist() == [names[at] for at in parts.argmax(axis=1)]
    _, labels, _ = tables()
    truth = labels.set_index("region_id")["land"].loc[by["land"]["region_id"].astype(str)]
    assert by["land"]["truth_class"].tolist() == truth.tolist()
    inside = np.stack(by["land"]["in_set"].tolist())
    assert inside.any(axis=1).mean() > 0.9
    assert by["income"]["truth_class"].isna().all()
    assert by["income"]["prediction"].notna().all()
    low, high, share = (np.stack(by["age"][f"{name}_parts"].tolist()) for name in ("low", "high", "truth"))
    assert ((low <= share) & (share <= high)).mean() > 0.8
    wide = [np.stack(by["age"][f"{name}_joint"].tolist()) for name in ("low", "high")]
    assert ((wide[0] <= share) & (share <= wide[1])).all(axis=1).mean() > 0.8
    assert ((wide[0] <= low + 1e-6) & (high <= wide[1] + 1e-6)).mean() > 0.9, (
        "wider, so that all hold at once"
    )
    assert by["age"]["radius"].between(1e-4, 1).all()
    assert by["land"]["radius"].isna().all()
    assert by["land"]["low_joint"].isna().all()
    assert by["age"][["truth", "prediction"]].isna().all(axis=None)


def test_without_vectors_the_map_is_held_against_what_is_frequent() -> None:
    _, labels, where = tables(200)
    alone = SETTINGS.model_copy(update={"curve": (), "floors": ("coordinates-nearest",)})
    found = probe_tables({}, labels, where, alone, kinds=KINDS, jobs=1)
    said = {verdict["indicator"]: verdict for verdict in found.scores["verdicts"]}
    assert said["zone"]["beats"] == "yes"
    assert "beats the floor of the most frequent class" in said["zone"]["sentence"]
    assert said["land"]["beats"] != "yes", "of the vectors, not of the map"
    assert said["age"]["beats"] == "no"
    assert "does not beat the mean share" in said["age"]["sentence"]


def test_a_table_of_numbers_alone_has_no_columns_of_parts() -> None:
    given, labels, where = tables(100)
    quick = SETTINGS.model_copy(update={"floors": (), "joint": False, "curve": ()})
    alone = probe_tables(given, labels[["region_id", "income"]], where, quick, jobs=1)
    assert "parts" not in alone.predictions
    assert alone.scores["kinds"] == {}


def test_a_head_that_fits_no_kind_is_refused_before_anything_is_scored() -> None:
    given, labels, where = tables(100)
    wrong = SETTINGS.model_copy(update={"heads": ("ridge", "sklearn.svm:SVR")})
    with pytest.raises(InputError, match="no scikit-learn classifier"):
        probe_tables(given, labels, where, wrong, kinds=KINDS)


def test_text_that_nobody_called_classes_is_skipped_and_said() -> None:
    given, labels, where = tables(100)
    quick = SETTINGS.model_copy(update={"floors": (), "joint": False, "curve": ()})
    with pytest.raises(InputError, match="not numbers"):
        probe_tables(given, labels[["region_id", "zone", "income"]], where, quick)


def test_leakage_of_classes_names_those_that_nothing_is_learned_of() -> None:
    lonlat = np.column_stack([114 + np.arange(40) / 100, np.full(40, 30.0)])
    labels = prepare_labels(["a"] * 15 + ["b"] * 15 + ["c"] * 10, lonlat, kind="classes")
    folds = [
        Fold(np.arange(10), np.arange(10, 15), np.arange(15, 40)),
        Fold(*np.split(np.arange(40), [20, 32])),
    ]
    told = part_leakage([folds], labels)
    assert told["twins"] is None
    assert told["found"] == [
        "2 classes are held out in some of 2 folds where none of them is learned from: 'b' in 1, 'c' in 1.",
        "In 1 of 2 folds all labels learned from are equal.",
    ]
    alone = prepare_labels(["a"] * 15 + ["b"] * 25, lonlat, kind="classes")
    assert part_leakage([folds], alone)["found"][0] == (
        "In 1 of 2 folds the class 'b' is held out, and none of it is learned from."
    )


def test_many_classes_that_nothing_is_learned_of_are_one_sentence() -> None:
    """Thirty pairs of neighbours, each of its own class, are otherwise thirty sentences under every table."""
    lonlat = np.column_stack([114 + np.arange(60) / 100, np.full(60, 30.0)])
    labels = prepare_labels([f"c{i // 2}" for i in range(60)], lonlat, kind="classes")
    folds = [Fold(np.arange(20, 60), np.arange(0), np.arange(20))]
    (said,) = part_leakage([folds], labels)["found"]
    assert said.startswith("10 classes are held out in some of 1 folds")
    assert said.endswith("'c0' in 1, 'c1' in 1, 'c2' in 1, 'c3' in 1, 'c4' in 1 … and 5 more.")
