"""Labels made ready: what leaves, what scale they are on, and that it can be turned back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanln.base.errors import InputError
from urbanln.probe.audit import audit_labels
from urbanln.probe.labels import auto_transform, prepare_labels, skewness
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


RNG = np.random.default_rng(0)
SHAPES = {
    "years": (RNG.integers(1900, 2025, 300), "none"),
    "old years": (1900 + RNG.geometric(0.03, 300).clip(max=124), "none"),
    "years of renovation": (np.where(np.arange(300) % 20 == 0, RNG.integers(1950, 2015, 300), 0), "none"),
    "prices": (RNG.lognormal(12, 0.6, 300).round(-3), "log1p"),
    "counts": (RNG.geometric(1 / 30, 300), "log1p"),
    "sparse counts": (RNG.poisson(0.3, 300) * RNG.geometric(0.1, 300), "log1p"),
    "percentages": (RNG.beta(5, 5, 300) * 100, "none"),
    "small percentages": (RNG.beta(1, 12, 300) * 100, "log1p"),
    "left-skewed percentages": (100 - RNG.beta(1, 12, 300) * 100, "none"),
    "change": (RNG.lognormal(3, 1, 300) - 30, "none"),
    "celsius": (RNG.normal(15, 3, 300), "none"),
    "kelvin": (288 + RNG.gamma(2, 4, 300), "none"),
    "shares": (RNG.beta(1, 30, 300) * 0.1, "none"),
    "equal": (np.full(300, 0.1), "none"),
    "zeros": (np.zeros(300), "none"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_a_label_decides_and_the_audit_says_the_same(name: str) -> None:
    values, expected = np.asarray(SHAPES[name][0], dtype=float), SHAPES[name][1]
    assert auto_transform(values) == expected
    lonlat = np.column_stack([116 + 0.01 * (np.arange(300) % 20), 40 + 0.01 * (np.arange(300) // 20)])
    ids = [str(i) for i in range(300)]
    where = pd.DataFrame({"region_id": ids, "lon": lonlat[:, 0], "lat": lonlat[:, 1]})
    found = audit_labels(pd.DataFrame({"region_id": ids, "x": values}), where, permutations=0)
    assert found.labels["x"].transform == expected
    if np.ptp(values) > 0:
        assert prepare_labels(values, lonlat).transform == expected
        told = "a value is negative, or a logarithm would not" in "".join(found.lines())
        assert told == (expected == "none")


def test_the_skewness_of_equal_values_is_0_though_their_mean_is_not_exact() -> None:
    values = np.full(3000, 0.1)
    assert values.std() > 0  # in the last digit
    assert skewness(values) == 0
    assert np.isnan(skewness(values[:2]))
    assert skewness(np.array([0.0, 0, 3])) == pytest.approx(1 / np.sqrt(2))
