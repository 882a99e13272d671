"""Units: dealt evenly, cut only where they will not do, whole in validation; missing labels are no unit."""

from __future__ import annotations

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanln.base.errors import InputError
from urbanln.probe.units import (
    crossed,
    deal,
    enough_units,
    filled,
    group_numbers,
    h3_resolution,
    inner_folds,
    labelled,
    validation,
)

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 9))
def test_units_that_will_not_do_are_cut_and_stay_within_their_unit(sizes: list[int], seed: int) -> None:
    units = np.repeat(np.arange(len(sizes)), sizes) * 3
    finer = enough_units(units, np.random.default_rng(seed).random((len(units), 2)) * 1000)
    for piece in set(finer):
        assert len(set(units[finer == piece])) == 1
    if len(sizes) >= 3 and 2 * max(sizes) <= len(units):
        assert len(set(finer)) == len(sizes)
    if len(units) >= 4:
        counts = np.unique(finer, return_counts=True)[1]
        assert len(counts) >= 3
        assert 2 * counts.max() <= len(units)


def test_a_unit_alone_is_cut_into_sixteen_squares_and_one_place_into_rows() -> None:
    grid = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0)), -1).reshape(-1, 2) * 100
    pieces = enough_units(np.zeros(64, dtype=np.int64), grid)
    assert np.array_equal(np.bincount(pieces), np.full(16, 4))
    for piece in range(16):
        assert np.ptp(grid[pieces == piece], axis=0).max() == 100
    assert enough_units(np.zeros(5, dtype=np.int64), np.ones((5, 2))).tolist() == [0, 1, 2, 3, 4]
    assert enough_units(np.zeros(4, dtype=np.int64), None).tolist() == [0, 1, 2, 3]


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, folds=st.integers(2, 5), seed=st.integers(0, 9))
def test_units_are_dealt_whole_and_evenly(sizes: list[int], folds: int, seed: int) -> None:
    units = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rng = np.random.default_rng(seed)
    if len(sizes) < folds:
        with pytest.raises(InputError, match="fewer"):
            deal(units, folds, rng, "use fewer")
        return
    fold = deal(units, folds, rng, "use fewer")
    assert all(len(set(fold[units == unit])) == 1 for unit in range(len(sizes)))
    rows = np.bincount(fold, minlength=folds)
    assert rows.min() > 0
    assert rows.max() - rows.min() <= max(sizes)  # of the greedy rule: largest first, to the emptiest fold


def test_equal_units_are_dealt_by_the_seed_alone() -> None:
    deals = [deal(np.arange(20), 5, np.random.default_rng(seed), "").tolist() for seed in range(200)]
    assert all(np.bincount(one).tolist() == [4] * 5 for one in deals)
    together = np.mean([one[0] == one[1] for one in deals])
    assert abs(together - 3 / 19) < 4 * np.sqrt(3 / 19 * 16 / 19 / 200)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=9), seed=st.integers(0, 9))
def test_validation_and_inner_folds_are_whole_units(sizes: list[int], seed: int) -> None:
    units = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.arange(len(units)) * 2
    train, val = validation(rows, units, 0.2, np.random.default_rng(seed))
    assert sorted([*train, *val]) == rows.tolist()
    assert min(len(train), len(val)) > 0
    assert not set(units[train // 2]) & set(units[val // 2])
    assert len(val) <= max(1.5, 0.2 * len(rows) + 0.5) or len(val) == min(sizes)
    inner = inner_folds(units + 7, np.random.default_rng(seed))
    assert set(inner) == set(range(min(5, len(sizes))))
    assert all(len(set(inner[units == unit])) == 1 for unit in range(len(sizes)))


def test_missing_labels_are_no_unit_and_no_group_is_shared_by_them() -> None:
    assert labelled(["b", None, "", "a", float("nan"), "b", 7], 7, "districts").tolist() == [
        2, -1, -1, 1, -1, 2, 0,
    ]  # fmt: skip
    groups = group_numbers(["p", None, "q", "", "p"], 5)
    assert groups[0] == groups[4]
    assert len(set(groups)) == 4
    assert group_numbers([None, None], 2).tolist() == [0, 1]
    metres = np.array([[0.0, 0], [9, 0], [4, 0], [6, 0]])
    assert filled(np.array([5, 8, -1, -1]), metres).tolist() == [5, 8, 5, 8]
    assert crossed(np.array([0, 0, 1, 1]), np.array([3, 4, 3, 3])).tolist() == [0, 1, 2, 2]
    with pytest.raises(InputError, match="districts are one value per row"):
        labelled(["a"], 2, "districts")


def test_the_h3_resolution_is_that_of_the_nearest_edge() -> None:
    for edge in (0.01, 0.5, 1.4, 5, 6.7, 6.9, 8, 10, 1000):
        gap = [abs(h3.average_hexagon_edge_length(r, unit="km") - edge) for r in range(16)]
        assert gap[h3_resolution(edge)] == min(gap)
    assert (h3_resolution(5), h3_resolution(8)) == (6, 5)
    with pytest.raises(InputError, match="positive number of km"):
        h3_resolution(0)


def test_units_are_cut_as_one_by_one() -> None:
    rng = np.random.default_rng(3)
    # Two cities, one unit with more than half of the rows, one of a single place.
    metres = rng.random((60, 2)) * [4000, 1500] + np.repeat([[0, 0], [1e8, 0]], 30, axis=0)
    units = np.repeat([7, 1, 4], [40, 15, 5])
    metres[units == 4] = metres[-1]
    slow = np.zeros(60, dtype=int)
    for unit in (1, 4, 7):
        own = metres[units == unit]
        side = np.ptp(own, axis=0).max()
        edge = 1.001 * side / 4 if side else 1.0
        column, row = ((own - own.min(axis=0)) // edge).astype(int).T
        slow[units == unit] = 100 * unit + 10 * column + row
    np.testing.assert_array_equal(enough_units(units, metres), np.unique(slow, return_inverse=True)[1])
