"""Join counts and variograms of classes and shares, against the textbook counted pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from tests.oracles import autocorrelation as oracle

from urbanln.base.autocorrelation import join_counts
from urbanln.base.errors import InputError
from urbanln.base.space import CITY_GAP_M, spacing_km
from urbanln.base.variogram import variogram, variogram_of_parts


@pytest.mark.parametrize(("n", "k", "classes"), [(40, 8, 3), (25, 4, 2), (9, 20, 4)])
def test_join_counts_equal_the_textbook(n: int, k: int, classes: int) -> None:
    rng = np.random.default_rng(n)
    places, codes = (
        rng.uniform(0, 9000, (n, 2)),
        np.r_[np.arange(classes), rng.integers(0, classes, n - classes)],
    )
    found = join_counts(codes, places, k=k)
    same, of = oracle.joins(codes, places, k)
    assert found.same == pytest.approx(same)
    np.testing.assert_allclose(found.of, of)
    counts = np.bincount(codes)
    assert found.expected == pytest.approx(sum(c * (c - 1) for c in counts) / (n * (n - 1)))


def test_halves_of_a_map_are_told_from_noise_and_from_a_chess_board() -> None:
    places = oracle.grid(12)
    x, y = (places / 1000).astype(int).T
    halves, board = join_counts(x < 6, places), join_counts((x + y) % 2, places, k=4)
    assert halves.same > 0.9
    assert (halves.p, halves.z > 10) == (0.005, True)
    assert board.same < 0.1
    assert (board.p, board.z < -10) == (1.0, True)


def test_the_test_of_joins_keeps_its_level_on_noise_and_its_mean_is_the_expected_one() -> None:
    places = oracle.grid(8)
    found = [
        join_counts(
            np.random.default_rng(seed).choice(3, 64, p=[0.6, 0.3, 0.1]), places, permutations=99, seed=seed
        )
        for seed in range(100)
    ]
    assert 0 <= np.mean([one.p <= 0.05 for one in found]) <= 0.12
    assert np.mean([one.same - one.expected for one in found]) == pytest.approx(0, abs=0.01)
    assert np.mean([one.z for one in found]) == pytest.approx(0, abs=0.3)


def test_joins_stay_in_their_city_and_what_says_nothing_is_nan() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.uniform(0, 1000, (5, 2)), rng.uniform(0, 1000, (30, 2)) + np.array([CITY_GAP_M, 0])
    assert join_counts([0] * 5 + [1] * 30, np.r_[one, other]).same == 1
    for codes in ([1, 1, 1, 1], [0, 1], []):
        nothing = join_counts(codes, one[: len(codes)])
        assert np.isnan([nothing.same, nothing.p, nothing.z]).all()
    assert np.isnan(join_counts([0, 1, 1, 0], one[:4], permutations=0).p)
    with pytest.raises(InputError, match="neighbour"):
        join_counts([0, 1, 1, 0], one[:4], k=0)
    with pytest.raises(InputError, match="one value and one position"):
        join_counts([0, 1, 1], one[:4])


def _lags(places: np.ndarray) -> list[tuple[float, float]]:
    edges = np.geomspace(1.2 * 1000 * spacing_km(places), 5000, 6)
    return list(zip(np.r_[0, edges[:-1]], edges, strict=True))


def test_variograms_of_classes_and_shares_equal_the_textbook() -> None:
    rng = np.random.default_rng(3)
    places = rng.uniform(0, 9000, (60, 2))
    codes, shares = rng.integers(0, 4, 60), rng.dirichlet([1, 2, 3], 60)
    for given, slow, rows in ((codes, oracle.unlike, codes), (shares, oracle.apart, shares)):
        found = variogram_of_parts(given, places, lags=6, max_km=5)
        pairs = [oracle.semivariance(np.zeros(60), places, a, b)[1] for a, b in _lags(places)]
        expected = [
            slow(rows, places, a, b) for (a, b), n in zip(_lags(places), pairs, strict=True) if n >= 30
        ]
        np.testing.assert_allclose(found.gamma, expected)
    of_one_hot = variogram_of_parts(np.eye(4)[codes], places, lags=6, max_km=5)
    np.testing.assert_allclose(of_one_hot.gamma, variogram_of_parts(codes, places, lags=6, max_km=5).gamma)


def test_classes_cut_out_of_a_field_reach_as_far_as_it_does() -> None:
    places, found = oracle.grid(40), {}
    for reach in (4, 12):
        fields = [oracle.gaussian_field(40, reach, seed) for seed in range(3)]
        classes = [variogram_of_parts(np.digitize(one, [-0.7, 0.7]), places).range_km for one in fields]
        shares = np.exp(np.stack(fields, 1))
        parts = variogram_of_parts(shares / shares.sum(1, keepdims=True), places).range_km
        found[reach] = (np.median(classes), parts)
        assert reach / 2.5 < np.median(classes) < 1.5 * reach
        assert reach / 1.6 < parts < 1.6 * reach
    assert found[12][0] > 1.5 * found[4][0]


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.95, 0.05], [0.4, 0.3, 0.2, 0.05, 0.03, 0.02]])
def test_classes_dealt_out_at_random_have_no_range(shares: list[float]) -> None:
    places = oracle.grid(16)
    drawn = [np.random.default_rng(seed).choice(len(shares), 256, p=shares) for seed in range(12)]
    assert sum(variogram_of_parts(codes, places).range_km > 0 for codes in drawn) <= 1


def test_rows_with_a_gap_are_left_out_and_too_few_give_nothing() -> None:
    rng = np.random.default_rng(4)
    places, shares = rng.uniform(0, 9000, (60, 2)), rng.dirichlet([1, 1], 60)
    shares[::5] = np.nan
    there = np.isfinite(shares).all(axis=1)
    np.testing.assert_array_equal(
        variogram_of_parts(shares, places).gamma, variogram_of_parts(shares[there], places[there]).gamma
    )
    assert np.isnan(variogram_of_parts([0, 1], places[:2]).range_km)
    assert variogram_of_parts(np.zeros(60), places).range_km == 0
    assert len(variogram(np.arange(2.0), places[:2]).gamma) == 0
