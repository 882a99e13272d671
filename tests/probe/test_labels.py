"""Labels made ready: what leaves, what scale they are on, and that it can be turned back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanln.base.errors import InputError
from urbanln.probe.labels import prepare_labels
from urbanln.probe.units import group_numbers, labelled

PLACES = [[116 + 0.01 * i, 40] for i in range(4)]


def test_log_drops_zeros_and_counts_them_apart_from_what_is_missing() -> None:
    labels = prepare_labels([0, np.nan, 1, np.e], PLACES, transform="log")
    assert (labels.transform, labels.missing, labels.dropped_zeros) == ("log", 1, 1)
    np.testing.assert_allclose(labels.y, [0, 1])
    assert labels.rows.tolist() == [2, 3]
    kept = prepare_labels([0, np.nan, 1, np.e], PLACES)
    assert (kept.transform, kept.missing, kept.dropped_zeros) == ("log1p", 1, 0)
    np.testing.assert_allclose(kept.y, np.log1p([0, 1, np.e]))


def test_a_negative_label_is_left_as_it_is_or_refused() -> None:
    assert prepare_labels([-1, 0, 1, 2], PLACES).y.tolist() == [-1, 0, 1, 2]
    assert prepare_labels([1, 2, 3, 4], PLACES, transform="none").y.tolist() == [1, 2, 3, 4]
    for transform in ("log", "log1p"):
        with pytest.raises(InputError, match="negative label has no logarithm") as error:
            prepare_labels([-1, 0, 1, 2], PLACES, transform=transform, where="indicator gdp")
        assert "indicator gdp" in str(error.value)
    with pytest.raises(InputError, match="no such transform"):
        prepare_labels([1, 2, 3, 4], PLACES, transform="sqrt")
    with pytest.raises(InputError, match="no region has a label"):
        prepare_labels([0, 0, 0, 0], PLACES, transform="log")


@given(
    values=st.lists(st.floats(0.01, 1e9), min_size=4, max_size=4, unique=True),
    transform=st.sampled_from(["auto", "log1p", "log", "none"]),
)
def test_every_scale_can_be_turned_back(values: list[float], transform: str) -> None:
    labels = prepare_labels(values, PLACES, transform=transform)
    np.testing.assert_allclose(labels.restore(labels.y), values, rtol=1e-9)


def test_cities_lie_apart_and_columns_follow_the_rows() -> None:
    labels = prepare_labels(
        [1, np.nan, 3, 4],
        PLACES,
        groups=list("abcd"),
        cities=["x", "x", "y", "y"],
        districts=["n", "n", "s", "s"],
    )
    assert labels.groups is not None
    assert labels.groups.tolist() == ["a", "c", "d"]
    assert labels.cities is not None
    assert labels.cities.tolist() == ["x", "y", "y"]
    assert labels.districts is not None
    assert labels.districts.tolist() == ["n", "s", "s"]
    assert np.linalg.norm(labels.metres[0] - labels.metres[1]) > 1e7
    assert np.linalg.norm(labels.metres[1] - labels.metres[2]) < 1000


def test_missing_districts_and_groups_stay_missing_and_columns_must_fit() -> None:
    labels = prepare_labels(
        [1, 2, np.nan, 4], PLACES, ["p", np.nan, "q", np.nan], districts=["a", np.nan, "b", None]
    )
    assert labels.districts is not None
    assert labels.groups is not None
    assert labels.districts[0] == "a"
    assert [value != value for value in labels.districts[1:2]] == [True]  # NaN, not the text "nan"
    assert labels.districts[2] is None
    assert labelled(labels.districts, 3, "districts").tolist() == [0, -1, -1]
    assert len(set(group_numbers(labels.groups, 3))) == 3
    for name in ("groups", "cities", "districts"):
        with pytest.raises(InputError, match=f"{name} are one value per row"):
            prepare_labels([1, 2, 3, 4], PLACES, **{name: ["a"] * 5})
    with pytest.raises(InputError, match="a region has no city"):
        prepare_labels([1, 2, 3, 4], PLACES, cities=["a", "a", None, "b"])
    with pytest.raises(InputError, match="positions are not numbers"):
        prepare_labels([1, 2, 3, 4], [["east", "north"]] * 4)
