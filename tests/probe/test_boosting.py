"""Boosted trees: as many as the validation part wants, along components where a table is wide."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor

from urbanln.probe import heads as module
from urbanln.probe.columns import column_scale, leading_axes
from urbanln.probe.heads import WIDEST, boost, boosting
from urbanln.probe.metrics import r2
from urbanln.probe.splits import random_split


def make(n: int = 300, d: int = 4):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    return X, np.sin(2 * X[:, 0]) + 0.3 * rng.normal(size=n), random_split(rng.random((n, 2)))[0]


def test_the_number_of_trees_is_the_one_with_the_smallest_validation_error() -> None:
    X, y, fold = make()
    order = np.concatenate([fold.train, fold.val])
    options = {"learning_rate": module.TREE_RATE, "max_leaf_nodes": module.LEAVES, "random_state": 0}

    def fitted(trees: int, rows):
        return HistGradientBoostingRegressor(max_iter=trees, early_stopping=False, **options).fit(
            X[rows], y[rows]
        )

    errors = [
        ((fitted(trees, fold.train).predict(X[fold.val]) - y[fold.val]) ** 2).mean() for trees in range(1, 80)
    ]
    expected = fitted(1 + int(np.argmin(errors)), order).predict(X[fold.test])
    ours = boost(X[order], y[order], len(fold.train), X[fold.test], 0)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    np.testing.assert_array_equal(boosting(X, y, fold, 0), ours)


def test_where_no_tree_helps_the_mean_is_predicted() -> None:
    X, y, fold = make()
    lied = y.copy()
    lied[fold.val] = y[fold.train].mean() - (X[fold.val, 0] + np.sin(2 * X[fold.val, 0])) * 3
    np.testing.assert_allclose(boosting(X, lied, fold, 0), lied[fold.known].mean())


def test_a_wide_table_is_seen_along_its_leading_components() -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(400, 5)) * [3, 1, 1, 1, 1]  # the first one leads
    X = (factors @ rng.normal(size=(5, WIDEST + 72)) + 0.1 * rng.normal(size=(400, WIDEST + 72))).astype("f4")
    y = np.abs(factors[:, 0]) + 0.1 * rng.normal(size=400)
    fold = random_split(rng.random((400, 2)))[0]
    scale = column_scale(X, fold.known)
    ours = leading_axes(X, fold.known, scale, 5)
    theirs = PCA(5).fit(scale.wide(X, fold.known)).components_.T
    np.testing.assert_allclose(np.abs(np.sum(ours * theirs, axis=0)), 1, rtol=1e-6)
    assert r2(y[fold.test], boosting(X, y, fold, 0)) > 0.5


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_trees_take_one_thread_in_a_process_that_loads_them_within_a_limit() -> None:
    """The limit does not hold for what is loaded later: threads that wait for one another on taken cores."""
    code = """
import os, sys
import numpy as np
from threadpoolctl import threadpool_limits
from urbanln.probe.heads import boost
X = np.random.default_rng(0).normal(size=(400, 4))
assert "sklearn" not in sys.modules
with threadpool_limits(1):
    boost(X[:300], X[:300, 0] ** 2, 250, X[300:], 0)
print(len(os.listdir("/proc/self/task")))
"""
    seen = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": at_most},
        ).stdout
        for at_most in ("1", "4")
    ]
    assert seen[0] == seen[1] != b""
