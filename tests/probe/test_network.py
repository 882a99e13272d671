"""The paper's network: seeded, stopped by the fold's own validation part, short on many rows."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.probe import heads as network
from urbanln.probe.columns import Scale
from urbanln.probe.heads import mlp
from urbanln.probe.splits import Fold, random_split


def make(n: int = 200, d: int = 6):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    return X, X[:, 0] + 0.3 * rng.normal(size=n), random_split(rng.random((n, 2)))[0]


def test_the_mlp_depends_on_its_seed_alone() -> None:
    X, y, fold = make()
    first, again, other = (mlp(X, y, fold, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_mlp_stops_on_the_folds_own_validation() -> None:
    """Other validation labels, other best epoch: that part and no random one decides."""
    X, y, fold = make()
    shuffled = y.copy()
    shuffled[fold.val] = -y[fold.val]
    assert np.var(mlp(X, shuffled, fold, 0)) < np.var(mlp(X, y, fold, 0))


@pytest.mark.parametrize(("rows", "epochs"), [(1000, 60), (25_000, 60), (64_000, 24), (10**6, 12)])
def test_many_rows_take_fewer_epochs(rows: int, epochs: int) -> None:
    """Counted with a network that gets better for ever, and never stops by itself."""

    class Counting:
        batch_size, count = 256, 0
        coefs_: tuple = ()
        intercepts_: tuple = ()

        def partial_fit(self, X, y):
            self.count += 1

        def predict(self, X):
            return np.full(len(X), 1 / self.count)

    counting, X = Counting(), np.zeros((rows + 2, 1), dtype=np.float32)
    fold = Fold(np.arange(rows), np.arange(rows, rows + 2), np.arange(0))
    network._fit_epochs(counting, Scale(np.zeros(1), np.ones(1)), X, X[:, 0], fold)  # type: ignore[arg-type]
    assert counting.count == epochs


def test_a_table_of_float32_stays_float32_and_as_it_was() -> None:
    X, y, fold = make()
    before = X.copy()
    mlp(X, y, Fold(fold.train, fold.val, fold.test), 0)
    np.testing.assert_array_equal(X, before)
