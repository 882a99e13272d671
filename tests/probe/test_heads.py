"""Floors and heads against slow twins, and proof that nothing of the test side leaks into a fit."""

from __future__ import annotations

import numpy as np
import pytest
from tests.oracles import probe as oracle

from urbanln.errors import InputError
from urbanln.probe.floors import coordinate_knn, mean_floor
from urbanln.probe.heads import ALPHAS, HEADS, find_head, mlp, ridge
from urbanln.probe.metrics import r2
from urbanln.probe.splits import Fold, block_split, random_split


def make(n: int = 120, d: int = 6, seed: int = 0):
    rng = np.random.default_rng(seed)
    lonlat = rng.random((n, 2)) * 0.3 + [116, 40]
    X = (rng.normal(size=(n, d)) * np.logspace(-2, 2, d) + 5).astype(np.float32)
    return lonlat, X, (X[:, 0] - 5) * 100 + 0.3 * rng.normal(size=n)


def test_coordinate_knn_equals_the_slow_one() -> None:
    lonlat, _, y = make(80)
    lonlat[:10], y[:10] = lonlat[10:20], y[10:20]  # twins of one label: no ties to break
    for k in (1, 5, 1000):
        folds = random_split(lonlat, seed=1)
        np.testing.assert_allclose(
            coordinate_knn(lonlat, y, folds, k=k), oracle.knn(lonlat, y, folds, k), rtol=2e-4, atol=1e-3
        )


def test_floors_look_only_at_what_they_may_and_leave_the_rest_open() -> None:
    lonlat, _, y = make(40)
    fold = Fold(train=np.arange(20), val=np.arange(20, 25), test=np.arange(30, 40))
    changed = y.copy()
    changed[25:] += 1e6
    for floor in (mean_floor, lambda v, f: coordinate_knn(lonlat, v, f)):
        held = floor(y, [fold])
        assert np.isnan(held[:30]).all()
        assert np.isfinite(held[30:]).all()
        np.testing.assert_array_equal(held, floor(changed, [fold]))
    np.testing.assert_allclose(mean_floor(y, [fold])[30:], y[:25].mean())


def test_a_smooth_field_is_read_off_the_map_at_random_but_not_across_blocks() -> None:
    lonlat = np.random.default_rng(0).random((1200, 2)) * 0.4 + [116, 40]
    y = np.sin(lonlat[:, 0] * 60) + np.cos(lonlat[:, 1] * 70)
    near = r2(y, coordinate_knn(lonlat, y, random_split(lonlat)))
    far = r2(y, coordinate_knn(lonlat, y, block_split(lonlat, edge_km=5, buffer_km=2)))
    assert near > 0.9
    assert far < 0.3


@pytest.mark.parametrize("d", [4, 200])
def test_ridge_equals_the_normal_equations(d: int) -> None:
    lonlat, X, y = make(120, d)
    X[:, 1] = 3.0  # a column without spread
    for fold in block_split(lonlat, edge_km=5, buffer_km=1):
        expected = oracle.ridge(X.astype(np.float64), y, fold, ALPHAS)
        np.testing.assert_allclose(ridge(X, y, fold), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", list(HEADS))
def test_nothing_of_the_test_side_reaches_a_fit(name: str) -> None:
    lonlat, X, y = make()
    fold = random_split(lonlat)[0]
    before = HEADS[name](X, y, fold, 3)
    moved, lied = X.copy(), y.copy()
    moved[fold.test[1:]] = 1e4
    lied[fold.test] = -1e9
    after = HEADS[name](moved, lied, fold, 3)
    assert after[0] == before[0]
    assert not np.allclose(after[1:], before[1:])


def test_the_mlp_learns_what_ridge_cannot_and_depends_on_its_seed_alone() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = np.abs(X[:, 0]) + 0.1 * rng.normal(size=300)
    fold = random_split(rng.random((300, 2)))[0]
    first, again, other = (mlp(X, y, fold, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert r2(y[fold.test], first) > 0.7 > 0.2 > r2(y[fold.test], ridge(X, y, fold))


def test_the_mlp_stops_on_the_folds_own_validation() -> None:
    """Other validation labels, other best epoch: that part and no random one decides."""
    lonlat, X, y = make(200)
    fold = random_split(lonlat)[0]
    shuffled = y.copy()
    shuffled[fold.val] = -y[fold.val]
    assert np.var(mlp(X, shuffled, fold, 0)) < np.var(mlp(X, y, fold, 0))


@pytest.mark.parametrize("name", list(HEADS))
def test_a_column_constant_in_training_says_nothing_and_a_giant_overflows_nothing(name: str) -> None:
    lonlat, X, y = make()
    fold = random_split(lonlat)[0]
    X[:, 2] = 7.0
    before = HEADS[name](X, y, fold, 0)
    X[fold.test, 2] = 1e4
    np.testing.assert_array_equal(HEADS[name](X, y, fold, 0), before)
    X[fold.val[0], 0] = 3e38
    X[fold.train, 0] *= 1e-30
    assert np.isfinite(HEADS[name](X, y, fold, 0)).all()


def test_bad_calls() -> None:
    lonlat, X, y = make(40)
    empty = Fold(np.arange(30), np.arange(0), np.arange(30, 40))
    for head in HEADS.values():
        with pytest.raises(InputError, match="validation row"):
            head(X, y, empty, 0)
    with pytest.raises(InputError, match="no such head"):
        find_head("forest")
    for bad in (np.full(40, np.nan), y[:, None]):
        with pytest.raises(InputError, match="finite number per row"):
            mean_floor(bad, [empty])
    with pytest.raises(InputError, match="one or more"):
        coordinate_knn(lonlat, y, [empty], k=0)
    with pytest.raises(InputError, match="differ in number"):
        coordinate_knn(lonlat[:-1], y, [empty])
