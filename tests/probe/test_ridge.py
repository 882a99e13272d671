"""Ridge against scikit-learn's, penalty by penalty and inner fold by inner fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.oracles import probe as oracle

from urbanln.probe import columns
from urbanln.probe.ridge import ALPHAS, ridge
from urbanln.probe.splits import Fold, block_split


def make(n: int, d: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    lonlat = rng.random((n, 2)) * 0.3 + [116, 40]
    X = (rng.normal(size=(n, d)) * np.logspace(-2, 2, d) + 5).astype(np.float32)
    X[:, 1] = 3.0  # a column without spread
    return lonlat, X, (X[:, 0] - 5) * 100 + rng.normal(size=n)


@pytest.mark.parametrize("d", [4, 60, 200])
@pytest.mark.parametrize("spatial", [True, False])
def test_ridge_equals_the_slow_one(d: int, spatial: bool) -> None:
    lonlat, X, y = make(120, d)
    for fold in block_split(lonlat, edge_km=5, buffer_km=1):
        assert fold.inner is not None
        if not spatial:
            fold = replace(fold, inner=None)
        expected = oracle.ridge(X.astype(np.float64), y, fold, ALPHAS)
        np.testing.assert_allclose(ridge(X, y, fold), expected, rtol=1e-5, atol=1e-5)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    lonlat, X, y = make(400, 8)
    fold = block_split(lonlat, edge_km=5, buffer_km=1)[0]
    whole = ridge(X, y, fold)
    monkeypatch.setattr(columns, "CHUNK_VALUES", 8 * 70)
    assert len(list(columns.chunks(fold.known, 8))) > 3
    np.testing.assert_allclose(ridge(X, y, fold), whole, rtol=1e-9)


def test_inner_folds_of_whole_groups_find_what_random_rows_hide() -> None:
    """Each group has a code of its own in the columns: it tells a label within the group alone."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    level = rng.normal(size=40)
    X = np.hstack([np.eye(40)[groups] + 0.01 * rng.normal(size=(400, 40)), rng.normal(size=(400, 1))])
    y = level[groups] + 0.3 * X[:, -1]
    test = groups >= 32
    known = np.flatnonzero(~test)
    val = known[::5]
    fold = Fold(np.setdiff1d(known, val), val, np.flatnonzero(test))
    spatial = replace(fold, inner=groups[known] % 4)
    error, spatial_error = (((ridge(X, y, f) - y[test]) ** 2).mean() for f in (fold, spatial))
    assert spatial_error < error


def test_of_two_equal_penalties_the_larger_is_kept() -> None:
    X, y = np.zeros((30, 3)), np.arange(30.0)
    fold = Fold(np.arange(15), np.arange(15, 20), np.arange(20, 30), np.arange(20) % 4)
    np.testing.assert_allclose(ridge(X, y, fold), y[:20].mean())
    few = replace(fold, inner=np.zeros(20, dtype=np.int64))  # a single inner fold is none
    np.testing.assert_allclose(ridge(X, y, few), y[:20].mean())
