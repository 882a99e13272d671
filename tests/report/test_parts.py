"""Classes and shares on the page: tables by part, confusion, layers of maps; what does not fit is refused."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import ArtefactError
from urbanln.report.drawn import predicted
from urbanln.report.drawn_parts import held_parts, part_layers
from urbanln.report.parts import part_tables

CLASSES = ["field", "town"]
ROW = {
    "indicator": "land", "split": "block", "features": "ours", "head": "ridge", "kind": "classes",
    "score_name": "macro_f1", "score": 0.7, "score_low": 0.6, "score_high": 0.8, "balanced_accuracy": 0.71,
    "accuracy": 0.75, "log_loss": 0.5, "chance": 0.5, "confusion": [[6.0, 2.0], [1.0, 3.0]], "n": 12,
    "by_part": [
        {"name": "field", "n": 8, "f1": 0.8, "recall": 0.75, "coverage": 1.0, "coverage_low": 0.9,
         "morans_i": 0.312},
        {"name": "town", "n": 4, "f1": 0.67, "recall": 0.75, "coverage": None},
    ],
}  # fmt: skip


def scores(**changed) -> dict:
    row = {**ROW, **changed}
    kinds = {"land": {"kind": "classes", "names": CLASSES}}
    return {"main": "ours", "settings": {"heads": ["ridge"]}, "rows": [row], "kinds": kinds}


def predictions(**changed) -> pd.DataFrame:
    """Two seeds of three regions."""
    parts = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6], [0.6, 0.4]]
    columns = {
        "region_id": ["a", "b", "c"] * 2, "indicator": "land", "seed": [0] * 3 + [1] * 3,
        "truth_class": ["field", "field", "field"] * 2, "parts": list(map(np.array, parts)),
        "in_set": list(map(np.array, [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] * 2)),
    }  # fmt: skip
    return pd.DataFrame({**columns, **changed})


def test_a_table_by_class_with_its_confusion_as_shares_of_each_true_class() -> None:
    (item,) = part_tables(scores())
    assert item["facts"] == (
        "balanced accuracy .71, accuracy .75, log loss .50 nats, macro F1 of guessing .50"
    )
    assert [row["first"] for row in item["rows"]] == [".80", ".67"]
    assert [row["moran"] for row in item["rows"]] == [".31", "–"]
    assert "field: .75 right, most often called field" in item["picture"]
    assert sorted(re.findall(r">(\.\d\d)<", item["picture"])) == [".25", ".25", ".75", ".75"]
    assert part_tables(scores(confusion=[[1.0]]))[0]["picture"] is None
    assert part_tables(scores(kind="number", by_part=None)) == []


def test_the_map_says_what_is_right_by_the_mean_over_seeds() -> None:
    held = held_parts(scores(), predictions())["land"]
    np.testing.assert_allclose(held.made, [[0.8, 0.2], [0.4, 0.6], [0.4, 0.6]])
    assert held.outcome() == ["right", "wrong", "near"]
    (layer,) = part_layers("land", held, ["c", "elsewhere", "a"], predicted)
    truth, guess, right = layer["views"]
    assert truth["values"] == [0, None, 0]
    assert [one["name"] for one in guess["classes"]] == ["field", "town"]
    assert guess["values"] == [1, None, 0]
    assert [one["name"] for one in right["classes"]] == ["right", "wrong, but the truth is in the set"]
    assert right["values"] == [1, None, 0]


@pytest.mark.parametrize(
    "changed",
    [
        {"truth_class": ["field", "sea", "field"] * 2},
        {"parts": [np.array([1.0])] * 6},
        {"parts": [0.5] * 6},
    ],
)
def test_predictions_of_other_classes_are_refused(changed: dict) -> None:
    with pytest.raises(ArtefactError, match="not of the classes or shares"):
        held_parts(scores(), predictions(**changed))


def test_shares_are_layers_like_numbers() -> None:
    found = scores()
    found["kinds"] = {"age": {"kind": "shares", "names": ["young", "old"]}}
    lists = list(map(np.array, [[0.5, 0.5], [0.2, 0.8]]))
    rows = pd.DataFrame(
        {"region_id": ["a", "b"], "indicator": "age", "truth_parts": lists, "parts": lists[::-1]}
    )
    held = held_parts(found, rows)["age"]
    assert not held.at_once
    ends = list(map(np.array, [[0.1, 0.2], [0.3, 0.4]]))
    both = rows.assign(low_parts=ends, high_parts=ends, low_joint=ends[::-1], high_joint=ends[::-1])
    wider = held_parts(found, both)["age"]
    np.testing.assert_allclose(wider.low, [[0.3, 0.4], [0.1, 0.2]])
    assert "hold all parts of a region at once" in part_layers("age", wider, ["b"], predicted)[0]["note"]
    young, old = part_layers("age", held, ["b", "a"], predicted)
    assert "at once" not in young["note"]
    assert (young["name"], old["name"]) == ("age: young", "age: old")
    np.testing.assert_allclose(young["views"][2]["values"], [0.3, -0.3])
