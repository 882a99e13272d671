"""Kinds of labels: whose column is whose, and what a column of each kind may hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind, check_label, class_counts, label_kinds, much_alike, quoted, simplex

AGE = LabelKind("shares", ("young", "old"))
USE = LabelKind("classes", ("use",))


def test_every_label_in_the_order_of_the_columns() -> None:
    found = label_kinds(["region_id", "gdp", "young", "use", "old"], {"use": USE, "age": AGE})
    assert list(found.items()) == [
        ("gdp", LabelKind("number", ("gdp",))),
        ("age", AGE),
        ("use", USE),
    ]


@pytest.mark.parametrize(
    ("noted", "what"),
    [
        ({"age": LabelKind("shares", ("young", "odl"))}, r"'odl' is missing(.|\n)*did you mean 'old'"),
        ({"old": AGE}, "called like a column"),
        ({"age": LabelKind("shares", ("old",))}, "two parts or more"),
        ({"age": AGE, "old": LabelKind("classes", ("old",))}, "stands in two labels"),
        ({"age": AGE, "others": LabelKind("shares", ("old", "use"))}, r"two labels(.|\n)*age and others"),
        ({"age": LabelKind("shares", ("old", "old"))}, "stands in two labels"),
    ],
)
def test_columns_that_are_not_there_or_of_two_labels(noted: dict[str, LabelKind], what: str) -> None:
    with pytest.raises(InputError, match=what):
        label_kinds(["young", "old", "use"], noted)


def test_columns_are_tidied_as_what_they_are() -> None:
    frame = pd.DataFrame({"use": ["a", "", None], "young": [0.25, np.nan, 1], "old": [0.75, np.nan, 0]})
    use = check_label(frame, "use", USE, "t")["use"]
    assert use.tolist()[:1] == ["a"]
    assert use.isna().tolist() == [False, True, True]
    assert isinstance(use.dtype, pd.StringDtype)
    age = check_label(frame, "age", AGE, "t")
    assert list(age.columns) == ["young", "old"]
    np.testing.assert_array_equal(age.to_numpy(), [[0.25, 0.75], [np.nan, np.nan], [1, 0]])


@pytest.mark.parametrize(
    ("young", "old", "what"),
    [
        (0.5, 0.502, r"do not sum to one(.|\n)*0\.5, 0\.502(.|\n)*row 1"),
        (0.5, np.nan, "a part of 'age' is missing"),
        (1.2, -0.2, "negative"),
        ("half", "half", "must be a numeric column"),
    ],
)
def test_parts_that_are_no_shares(young: object, old: object, what: str) -> None:
    frame = pd.DataFrame({"young": [1.0, young], "old": [0.0005, old]})
    with pytest.raises(InputError, match=what):
        check_label(frame, "age", AGE, "t")


def test_words_that_nothing_calls_classes_are_refused_with_the_line_that_does() -> None:
    frame = pd.DataFrame({"use": ["a", "b"]})
    with pytest.raises(InputError, match=r'kind = "classes" under \[indicators\.use\]'):
        check_label(frame, "use", LabelKind("number", ("use",)), "t")
    with pytest.raises(InputError, match="'use' must be text"):
        check_label(pd.DataFrame({"use": [1, 2]}), "use", USE, "t")


def test_classes_are_counted_the_most_frequent_first_and_equal_ones_by_name() -> None:
    counts = class_counts(pd.Series(["b", "c", "a", "c", None, "b"]))
    assert list(counts.items()) == [("b", 2), ("c", 2), ("a", 1)]


def test_names_that_people_write_differently() -> None:
    names = ["Forest", "forest ", "low-density", "Low Density", "low_density", "Łódź", "Lodz", "é", "e\u0301"]
    assert much_alike(names) == [
        ("Forest", "forest "),
        ("low-density", "Low Density", "low_density"),
        ("é", "e\u0301"),
    ]


def test_shares_are_divided_by_their_sum() -> None:
    np.testing.assert_allclose(simplex([[1, 3], [np.nan, np.nan]]), [[0.25, 0.75], [np.nan, np.nan]])


def test_a_name_in_a_sentence_is_no_longer_than_a_line() -> None:
    assert quoted("field") == "'field'"
    assert len(quoted("x" * 1000)) == 62
    assert quoted("x" * 60) == repr("x" * 60)
