"""Classes and shares as labels: what is one, what is missing, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.base.errors import InputError
from urbanln.probe.kinds import main_score, score_words
from urbanln.probe.labels import prepare_labels

PLACES = np.column_stack([114 + np.arange(6) / 100, np.full(6, 30.0)])
NAMES = ("young", "old")


def test_classes_are_names_in_order_and_what_is_empty_is_missing() -> None:
    labels = prepare_labels(["wood", "", None, "field", "wood", "field"], PLACES, kind="classes")
    assert labels.names == ("field", "wood")
    assert labels.rows.tolist() == [0, 3, 4, 5]
    assert labels.truth.tolist() == [1, 0, 1, 0]
    assert labels.y.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]
    assert (labels.kind, labels.transform, labels.missing) == ("classes", "none", 2)


def test_whole_numbers_are_codes_whatever_their_type() -> None:
    labels = prepare_labels([3, 3.0, np.nan, 11.0, 11, 3.0], PLACES, kind="classes")
    assert labels.names == ("11", "3")
    assert labels.truth.tolist() == [1, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([None] * 6, "no region has a class"),
        (["a"] * 6, "of one class"),
        (list("abcdef"), "too many to learn"),
        (["a"] * 5, "one value per row"),
    ],
)
def test_what_are_no_classes_is_refused(classes: list[str | None], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        prepare_labels(classes, PLACES, where="indicator land", kind="classes")
    assert "land" in str(caught.value)


def test_shares_are_divided_by_their_sum_and_a_row_that_lacks_one_is_missing() -> None:
    given = [[0.5, 0.5], [0.2, 0.8004], [np.nan, 1], [1, 0], [np.nan, np.nan], [0.3, 0.7]]
    labels = prepare_labels(given, PLACES, kind="shares", names=NAMES)
    assert labels.rows.tolist() == [0, 1, 3, 5]
    np.testing.assert_allclose(labels.y.sum(axis=1), 1, atol=1e-15)
    assert (labels.missing, labels.names) == (2, NAMES)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.6], "sum to 1"),
        ([-0.1, 1.1], "not negative"),
        ([np.inf, 0], "sum to 1"),
        (["much", 0], "not numbers"),
    ],
)
def test_what_are_no_shares_is_refused(row: list[float], message: str) -> None:
    given = [[0.5, 0.5], [0.2, 0.8], row, [1, 0], [0, 1], [0.3, 0.7]]
    with pytest.raises(InputError, match=message):
        prepare_labels(given, PLACES, kind="shares", names=NAMES)


def test_equal_shares_and_names_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="nothing to predict"):
        prepare_labels([[0.5, 0.5]] * 6, PLACES, kind="shares", names=NAMES)
    with pytest.raises(InputError, match="one name per column"):
        prepare_labels([[0.5, 0.5]] * 6, PLACES, kind="shares", names=("young",))


def test_the_main_score_of_rows_old_and_new() -> None:
    assert main_score({"r2": 0.5, "r2_low": 0.4, "r2_high": 0.6}) == (0.5, 0.4, 0.6)
    new = {"score": 0.7, "score_low": None, "score_high": 0.8, "score_name": "macro_f1"}
    assert main_score(new) == (0.7, None, 0.8)
    assert (score_words(new), score_words({})) == ("macro F1", "R²")
