"""The measures of the captions benchmark, against scenes and choices made by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from benchmarks.caption_measures import (
    captioners_by_merit,
    choices,
    count_errors,
    error_shares,
    interval,
)
from benchmarks.grounding_auc import within_names
from benchmarks.harness import markdown
from sklearn.metrics import roc_auc_score


def _scene(view: str, *names: str) -> dict:
    return {"view": view, "objects": [{"name": name} for name in names]}


SCENES = {
    "p": _scene("satellite", "tree", "park", "river", "pond"),
    "q": _scene("satellite", "tree"),
    "r": _scene("street", "tree", "sky"),
}
TEXTS = pd.DataFrame(
    [
        ("p", "a", "Trees, a park, a river and a pond."),  # all right
        ("p", "b", "Trees and a bus."),  # one of two right, three missed
        ("p", "c", "Trees in a park beside a river, and trees, trees, trees."),
        ("q", "a", "A bus."),
        ("q", "b", "Trees."),
        ("q", "c", "A tree."),
        ("r", "a", "A tree under the sky."),
    ],
    columns=["image_id", "captioner", "caption"],
)


def test_errors_are_those_counted_by_hand() -> None:
    errors = count_errors(TEXTS, SCENES).set_index(["image_id", "captioner"])
    assert errors.loc[("p", "b"), ["named", "true", "hits"]].tolist() == [2, 4, 1]
    assert errors.loc[("p", "c"), "f1"] == pytest.approx(6 / 7)
    assert errors.loc[("q", "a"), "f1"] == 0
    assert errors.loc[("r", "a"), "view"] == "street"
    assert errors.loc[("p", "a"), "words"] == 8


def test_shares_are_over_all_texts_together() -> None:
    errors = count_errors(TEXTS, SCENES)
    of_b = error_shares(errors[errors["captioner"] == "b"])
    assert of_b["hallucinated"] == pytest.approx(1 / 3)  # named tree, bus, tree
    assert of_b["missed"] == pytest.approx(3 / 5)
    assert of_b["texts"] == 2
    nothing = error_shares(errors.iloc[:0])
    assert math.isnan(nothing["missed"])


def test_choices_are_scored_by_hand() -> None:
    errors = count_errors(TEXTS, SCENES)
    voted = pd.DataFrame(
        [("p", "c", True), ("p", "a", False), ("q", "b", True), ("r", "a", True)],
        columns=["image_id", "captioner", "selected"],
    )
    found = choices(errors, voted)
    # The picture "r" has one candidate: nothing to choose.
    assert found["vote"] == {"best": 0.5, "f1": pytest.approx((6 / 7 + 1) / 2)}
    assert found["longest"]["f1"] == pytest.approx((6 / 7 + 0) / 2)  # "A bus." is as long as "A tree."
    f1 = {"a": (1 + 0) / 2, "b": (1 / 3 + 1) / 2, "c": (6 / 7 + 1) / 2}
    assert found["random"]["f1"] == pytest.approx(sum(f1.values()) / 3)
    assert found["random"]["best"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert found["best single (by truth)"]["f1"] == pytest.approx(f1["c"])
    assert found["median single (by truth)"]["f1"] == pytest.approx(f1["b"])
    assert found["best of all (by truth)"] == {"best": 1.0, "f1": 1.0}


def test_where_the_single_captioner_has_nothing_the_next_one_steps_in() -> None:
    errors = count_errors(TEXTS, SCENES)
    errors = errors[~((errors["image_id"] == "p") & (errors["captioner"] == "c"))]
    voted = pd.DataFrame({"image_id": ["p", "q"], "captioner": ["a", "c"], "selected": True})
    assert captioners_by_merit(errors)[0] == "c"
    # "c" has no text on "p": the second best, "b", speaks there.
    assert choices(errors, voted)["best single (by truth)"]["f1"] == pytest.approx((1 / 3 + 1) / 2)


def test_intervals_are_students() -> None:
    found = interval([0.1, 0.2, 0.3, 0.4, 0.5])
    assert found.mean == pytest.approx(0.3)
    assert found.half == pytest.approx(2.7764451 * 0.15811388 / math.sqrt(5))
    assert found.show() == "0.300 ± 0.196"
    assert found.show(2, sign=True) == "+0.30 ± 0.20"
    assert interval([0.5]).show() == "0.500"


def test_tables_are_markdown() -> None:
    assert markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


def test_a_grounder_that_never_looks_is_no_better_than_a_coin_within_names() -> None:
    rng = np.random.default_rng(0)
    often = np.linspace(0.05, 0.95, 12)
    truth = (rng.random((200, 12)) < often).astype(int)
    blind = np.tile(often, (200, 1))
    assert roc_auc_score(truth.ravel(), blind.ravel()) > 0.7
    assert within_names(truth, blind) == 0.5
    assert within_names(truth, truth + 0.1 * rng.random(truth.shape)) == 1.0
