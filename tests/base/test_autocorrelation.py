"""Moran's I and the variogram against slow twins and fields of known range."""

from __future__ import annotations

import numpy as np
import pytest
from tests.oracles import autocorrelation as oracle

from urbanln.base import autocorrelation as module
from urbanln.base.autocorrelation import morans_i, morans_i_of_parts
from urbanln.base.errors import InputError
from urbanln.base.space import CITY_GAP_M, spacing_km
from urbanln.base.variogram import variogram


@pytest.mark.parametrize(("n", "k"), [(5, 8), (40, 3), (60, 8)])
def test_morans_i_equals_the_textbook(n: int, k: int) -> None:
    rng = np.random.default_rng(n)
    places, values = rng.uniform(0, 1000, (n, 2)), rng.normal(size=n)
    assert morans_i(values, places, k=k).i == pytest.approx(oracle.morans_i(values, places, min(k, n - 1)))


def test_a_smooth_field_is_told_from_noise_and_from_a_chess_board() -> None:
    places = oracle.grid(12)
    column, row = places.T / 1000
    smooth = morans_i(column, places)
    assert smooth.i > 0.8
    assert smooth.p == 0.005
    board = morans_i((column + row) % 2, places, k=4)
    assert board.i < -0.7
    assert board.p == 1.0
    assert smooth.expected == pytest.approx(-1 / 143)


def test_it_is_the_values_that_are_shuffled_whether_the_shufflings_are_kept_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    metres = rng.uniform(0, 9000, (60, 2))
    smooth = np.sin(metres[:, 0] / 4000) + rng.normal(size=60)
    shares = []
    for places in (0, 2**22):
        monkeypatch.setattr(module, "_KEPT_PLACES", places)
        shares.append(morans_i(smooth, metres, permutations=99, seed=3).p)
    drawn = np.random.default_rng(3)
    shuffled = [morans_i(drawn.permutation(smooth), metres, permutations=0).i for _ in range(99)]
    found = morans_i(smooth, metres, permutations=0).i
    assert shares == [(1 + sum(one >= found for one in shuffled)) / 100] * 2
    assert 0.01 < shares[0] < 1


def test_the_test_keeps_its_level_on_noise() -> None:
    places = oracle.grid(8)
    rng = np.random.default_rng(0)
    p = [morans_i(rng.normal(size=64), places, permutations=39, seed=s).p for s in range(200)]
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.09


def test_what_is_missing_is_left_out_and_what_is_undefined_is_nan() -> None:
    places = oracle.grid(6)
    values = np.random.default_rng(1).normal(size=36)
    holes = values.copy()
    holes[::5] = np.nan
    there = np.isfinite(holes)
    assert morans_i(holes, places).i == pytest.approx(morans_i(values[there], places[there]).i)
    assert np.isnan(morans_i(np.ones(36), places).i)
    assert np.isnan(morans_i([1.0, 2.0], places[:2]).p)
    assert np.isnan(morans_i(values, places, permutations=0).p)
    with pytest.raises(InputError, match="one value and one position"):
        morans_i(values[1:], places)
    with pytest.raises(InputError, match="neighbour"):
        morans_i(values, places, k=0)


def test_of_several_columns_each_is_as_alone_and_together_they_are_weighted_by_variance() -> None:
    rng = np.random.default_rng(5)
    places, columns = rng.uniform(0, 1000, (50, 2)), rng.normal(size=(50, 3)) * [1, 5, 0.2]
    together, each = morans_i_of_parts(np.column_stack([columns, np.ones(50)]), places)
    expected = [oracle.morans_i(column, places, 8) for column in columns.T]
    assert [one.i for one in each[:3]] == pytest.approx(expected)
    assert together.i == pytest.approx(np.average(expected, weights=columns.var(axis=0)))
    assert np.isnan(each[3].i)
    assert np.isnan(each[3].p)
    holes = np.vstack([columns, [[np.nan, 1, 1]]])
    same, _ = morans_i_of_parts(holes, np.vstack([places, [[5.0, 5.0]]]))
    assert same == morans_i_of_parts(columns, places)[0]
    for empty in (np.ones((9, 2)), columns[:2]):
        assert np.isnan(morans_i_of_parts(empty, places[: len(empty)])[0].i)
    assert np.isnan(morans_i_of_parts(columns, places, permutations=0)[0].p)
    with pytest.raises(InputError, match="one value and one position"):
        morans_i_of_parts(columns[1:], places)


def test_parts_that_sum_to_nothing_err_in_pairs() -> None:
    """Of two parts one is the other's negative, and all together say what each does."""
    places, field = oracle.grid(9), np.random.default_rng(0).normal(size=81)
    together, each = morans_i_of_parts(np.column_stack([field, -field]), places)
    alone = morans_i(field, places)
    assert together.i == pytest.approx(alone.i)
    assert each[0].p == each[1].p == together.p == alone.p, "the same neighbours and shufflings"


def test_rows_are_shuffled_whole_so_one_test_keeps_its_level_over_parts_that_hang_together() -> None:
    places = oracle.grid(8)
    rng = np.random.default_rng(0)
    p = []
    for seed in range(200):
        noise = rng.dirichlet([1, 1, 4, 9], 64)
        p.append(morans_i_of_parts(noise, places, permutations=39, seed=seed)[0].p)
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.09
    planted = rng.dirichlet([1, 1, 4, 9], 64)
    planted[:, :2] += 0.4 * np.column_stack([places[:, 0], -places[:, 0]]) / 8000
    together, each = morans_i_of_parts(planted, places)
    assert together.p == each[0].p == 0.005
    assert each[3].p > 0.05


def test_neighbours_stay_in_their_city_and_points_at_one_place_are_no_trouble() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.uniform(0, 1000, (5, 2)), rng.uniform(0, 1000, (30, 2)) + np.array([CITY_GAP_M, 0])
    # Eight neighbours, of which the first five have four at home.
    both = morans_i(np.r_[np.zeros(5), np.ones(30)] + rng.normal(0, 0.01, 35), np.r_[one, other])
    assert both.i > 0.9
    stacked = morans_i(rng.normal(size=40), np.zeros((40, 2)))
    assert abs(stacked.i) < 0.7


def test_semivariances_equal_the_textbook() -> None:
    rng = np.random.default_rng(3)
    places, values = rng.uniform(0, 9000, (60, 2)), rng.normal(size=60)
    found = variogram(values, places, lags=6, max_km=5)
    edges = np.geomspace(1.2 * 1000 * spacing_km(places), 5000, 6)
    low = np.r_[0, edges[:-1]]
    expected = [oracle.semivariance(values, places, a, b) for a, b in zip(low, edges, strict=True)]
    expected = [(gamma, n) for gamma, n in expected if n >= 30]
    np.testing.assert_allclose(found.gamma, [gamma for gamma, _ in expected])
    assert list(found.pairs) == [n for _, n in expected]


@pytest.mark.parametrize(("side", "range_km", "nugget"), [(64, 9, 0.0), (50, 6, 0.3)])
def test_the_range_of_a_known_field_is_found(side: int, range_km: float, nugget: float) -> None:
    places = oracle.grid(side)
    ranges, sills = [], []
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(0, np.sqrt(nugget), side**2)
        found = variogram(oracle.gaussian_field(side, range_km, seed) + noise, places)
        ranges.append(found.range_km)
        sills.append(found.sill)
        assert not found.limited
    assert np.median(ranges) == pytest.approx(range_km, rel=0.25)
    assert np.median(sills) == pytest.approx(1 + nugget, rel=0.15)


def test_noise_has_no_range_and_a_trend_none_that_the_map_can_show() -> None:
    for side in (10, 20, 40):
        places = oracle.grid(side)
        for seed in range(5):
            found = variogram(np.random.default_rng(seed).normal(size=side**2), places)
            assert found.range_km == 0
            assert found.nugget == found.sill
    places = oracle.grid(30)
    trend = variogram(places[:, 0] + oracle.gaussian_field(30, 4, 0) * 100, places)
    assert trend.limited
    assert trend.range_km >= trend.distance_km[-1]


def test_a_sample_of_pairs_finds_what_all_pairs_find() -> None:
    places, values = oracle.grid(90), oracle.gaussian_field(90, 9, 4)
    some = np.random.default_rng(0).permutation(len(places))[:1900]
    sampled, all_of_some = variogram(values, places), variogram(values[some], places[some])
    assert sampled.range_km == pytest.approx(all_of_some.range_km, rel=0.25)
    again = variogram(values, places)
    np.testing.assert_array_equal(sampled.gamma, again.gamma)


def test_too_few_points_or_one_place_give_no_range() -> None:
    assert np.isnan(variogram([1.0, 2.0], [[0.0, 0.0], [1.0, 0.0]]).range_km)
    assert np.isnan(variogram(np.arange(50.0), np.zeros((50, 2))).range_km)
    assert spacing_km(np.zeros((3, 2))) == np.inf
