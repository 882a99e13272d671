"""Heads: nothing of the test side leaks into a fit, and whatever may be given as a head is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from urbanln.base.errors import InputError
from urbanln.probe.heads import HEADS, boosting, find_head, mlp
from urbanln.probe.metrics import r2
from urbanln.probe.ridge import ridge
from urbanln.probe.splits import Fold, random_split


def make(n: int = 120, d: int = 6, seed: int = 0):
    rng = np.random.default_rng(seed)
    lonlat = rng.random((n, 2)) * 0.3 + [116, 40]
    X = (rng.normal(size=(n, d)) * np.logspace(-2, 2, d) + 5).astype(np.float32)
    return lonlat, X, (X[:, 0] - 5) * 100 + 0.3 * rng.normal(size=n)


@pytest.mark.parametrize("d", [6, 140])  # as they are; more columns than rows, and along components
@pytest.mark.parametrize("name", list(HEADS))
def test_nothing_of_the_test_side_reaches_a_fit(name: str, d: int) -> None:
    lonlat, X, y = make(d=d)
    fold = random_split(lonlat)[0]
    before = HEADS[name](X, y, fold, 3)
    moved, lied = X.copy(), y.copy()
    moved[fold.test[1:]] *= -3
    lied[fold.test] = -1e9
    after = HEADS[name](moved, lied, fold, 3)
    assert after[0] == before[0]
    assert not np.allclose(after[1:], before[1:])


@pytest.mark.parametrize("head", [mlp, boosting])
def test_mlp_and_boosting_learn_what_ridge_cannot(head) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = np.abs(X[:, 0]) + 0.1 * rng.normal(size=300)
    fold = random_split(rng.random((300, 2)))[0]
    assert r2(y[fold.test], head(X, y, fold, 0)) > 0.7 > 0.2 > r2(y[fold.test], ridge(X, y, fold))


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


@pytest.mark.parametrize("name", list(HEADS))
def test_a_constant_label_is_predicted_and_a_fold_without_test_rows_gives_none(name: str) -> None:
    lonlat, X, y = make(40)
    fold = random_split(lonlat)[0]
    np.testing.assert_allclose(HEADS[name](X, np.full(40, 3.0), fold, 0), 3.0, atol=0.1)
    if name != "boosting":  # scikit-learn's trees want a row
        assert HEADS[name](X, y, replace(fold, test=np.arange(0)), 0).shape == (0,)


def test_find_head_takes_names_functions_regressors_and_classes() -> None:
    def my_head(X, y, fold, seed):
        return np.zeros(len(fold.test))

    assert find_head("ridge") == ("ridge", ridge)
    assert find_head(my_head) == ("my_head", my_head)
    assert find_head(Ridge(alpha=2.0))[0] == find_head(Ridge)[0] == "Ridge"
    assert find_head("sklearn.linear_model:Ridge")[0] == "sklearn.linear_model:Ridge"
    with pytest.raises(InputError, match="no such head"):
        find_head("forest")
    with pytest.raises(InputError, match="no scikit-learn regressor"):
        find_head(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(HEADS))
def test_folds_that_cannot_serve_are_refused(name: str) -> None:
    lonlat, X, y = make(40)
    empty = Fold(np.arange(30), np.arange(0), np.arange(30, 40))
    with pytest.raises(InputError, match="validation row"):
        HEADS[name](X, y, empty, 0)
    with pytest.raises(InputError, match="one number per known row"):
        HEADS[name](X, y, replace(random_split(lonlat)[0], inner=np.zeros(3, dtype=np.int64)), 0)
