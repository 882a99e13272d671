"""The paper's network: seeded, stopped by the fold's own validation part, short on many rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from urbanln.probe import network
from urbanln.probe.columns import column_scale
from urbanln.probe.network import mlp, softmax_mlp
from urbanln.probe.simplex import divergence, evened, one_more
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


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "patience"),
    [(20, 20, 60, 8), (300, 37, 60, 8), (25_000, 256, 60, 8), (64_000, 256, 24, 3), (10**6, 256, 12, 2)],
)
def test_many_rows_take_fewer_epochs(rows: int, batch: int, epochs: int, patience: int) -> None:
    assert network.schedule(rows) == (batch, epochs, patience)


@pytest.mark.parametrize(("n", "d"), [(30, 2), (160, 6)])
def test_networks_are_those_of_scikit_learn_fitted_one_by_one(n: int, d: int) -> None:
    """First weights, batches, a last batch that is smaller, penalty, Adam, stopping and the weights kept."""
    X, y, fold = make(n, d)
    labels = np.column_stack([y, np.abs(X[:, 1]), np.random.default_rng(1).normal(size=n), np.ones(n)])
    ours = mlp(X, labels, fold, 3)
    theirs = [one_by_one(X, label, fold, 3) for label in labels.T]
    stopped = {epochs for _, epochs in theirs}
    assert len(stopped) > 1, "labels stop at different epochs"
    np.testing.assert_allclose(ours, np.column_stack([made for made, _ in theirs]), atol=2e-5)


def test_a_network_does_not_depend_on_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor on how many are fitted at once, nor on how many weights are moved at a time."""
    X, y, fold = make()
    labels = np.column_stack([y, y**2, -y])
    whole = mlp(X, labels, fold, 0)
    np.testing.assert_allclose(mlp(X, y**2, fold, 0), whole[:, 1], rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(network, "AT_ONCE", 1)
    np.testing.assert_allclose(mlp(X, labels, fold, 0), whole, rtol=1e-9, atol=1e-9)


def one_by_one(X: np.ndarray, y: np.ndarray, fold: Fold, seed: int) -> tuple[np.ndarray, int]:
    """The same network by scikit-learn, and the epochs it took."""
    batch, epochs, patience = network.schedule(len(fold.train))
    scale, own = column_scale(X, fold.train), y[fold.train]
    centre, spread = own.mean(), own.std() or 1.0
    seen, target = scale.rows(X, np.arange(len(X))), ((y - centre) / spread).astype(np.float32)
    one = MLPRegressor(
        hidden_layer_sizes=(network.HIDDEN,),
        alpha=network.PENALTY * batch,  # scikit-learn divides it by the rows of the batch
        learning_rate_init=network.RATE,
        batch_size=batch,
        random_state=np.random.RandomState([seed, len(fold.train)]),
    )
    best, waited, kept, epoch = np.inf, 0, np.zeros(0), 0
    while epoch < epochs and waited < patience:
        one.partial_fit(seen[fold.train], target[fold.train])
        epoch += 1
        error = float(((one.predict(seen[fold.val]) - target[fold.val]) ** 2).mean())
        best, waited = (error, 0) if error < best else (best, waited + 1)
        kept = one.predict(seen[fold.test]) if waited == 0 else kept
    return kept * spread + centre, epoch


def test_a_network_of_classes_is_that_of_scikit_learn() -> None:
    """First weights of several outputs, softmax, cross-entropy, penalty, and the epoch that is kept."""
    X, y, fold = make(160, 6)
    classes = np.digitize(y, [-0.4, 0.4])
    target = np.eye(3)[classes]
    batch, epochs, patience = network.schedule(len(fold.train))
    seen = column_scale(X, fold.train).rows(X, np.arange(len(X)))
    one = MLPClassifier(
        hidden_layer_sizes=(network.HIDDEN,),
        alpha=network.PENALTY * batch,
        learning_rate_init=network.RATE,
        batch_size=batch,
        random_state=np.random.RandomState([3, len(fold.train)]),
    )
    best, waited, kept, epoch = np.inf, 0, np.zeros(0), 0
    while epoch < epochs and waited < patience:
        one.partial_fit(seen[fold.train], classes[fold.train], classes=[0, 1, 2])
        epoch += 1
        made = evened(one.predict_proba(seen[fold.val]).astype(float), one_more(len(fold.train)))
        error = float(divergence(target[fold.val], made).mean())
        best, waited = (error, 0) if error < best else (best, waited + 1)
        kept = one.predict_proba(seen[fold.test]) if waited == 0 else kept
    assert epoch < epochs, "it stops before the last epoch"
    np.testing.assert_allclose(softmax_mlp(X, target, fold, 3), kept, atol=2e-5)


def test_a_network_of_shares_comes_near_what_they_are_of() -> None:
    X, y, fold = make(300, 4)
    shares = np.exp(np.column_stack([y, -X[:, 1], X[:, 2] * X[:, 3]]))
    shares /= shares.sum(axis=1, keepdims=True)
    made = softmax_mlp(X, shares, fold, 0)
    np.testing.assert_allclose(made.sum(axis=1), 1, atol=1e-6)
    mean = np.tile(shares[fold.known].mean(axis=0), (len(fold.test), 1))
    lost = [float(divergence(shares[fold.test], guess).mean()) for guess in (made, mean)]
    assert lost[0] < 0.6 * lost[1]


def test_a_table_of_float32_stays_float32_and_as_it_was() -> None:
    X, y, fold = make()
    before = X.copy()
    mlp(X, y, Fold(fold.train, fold.val, fold.test), 0)
    np.testing.assert_array_equal(X, before)
