"""The paper's head: a small network, stopped early on the fold's own validation part."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.neural_network import MLPRegressor

from urbanln.base.space import Floats, Ints
from urbanln.probe.columns import Scale, check_validation, chunks, column_scale
from urbanln.probe.splits import Fold

HIDDEN, LEARNING_RATE, PENALTY = 256, 1e-3, 0.1
EPOCHS, PATIENCE = 60, 8
# Beyond this many steps more epochs bring nothing: 60 epochs of some 25,000 rows.
STEPS, FEWEST_EPOCHS = 6000, 12


def mlp(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """The paper's head, D-256-1 with ReLU, stopped early on the fold's own validation part.

    scikit-learn's network has no dropout (the literature uses .01), and its own early stopping would take
    random rows for validation, so epochs are driven here: up to 60, patience 8 on the fold's validation
    blocks, the weights of the best epoch kept. Above some 25,000 training rows both shrink, so that a fit
    takes about 6000 steps at most. Adam at 1e-3; UrbanCLIP and UrbanVLP use AdamW at 3e-4 for
    up to 100 epochs, and the larger step reaches the same place in fewer. The L2 penalty is
    .1 / 2 |w|² beside the mean squared error: their weight decay of .01 does next to nothing, and with a
    few hundred regions the network then fits noise (on 400 simulated regions with 128 columns, held-out
    R² .40 against .13 for a curved signal in noise).

    Args:
        X: (N, D) vectors, standardised by training rows.
        y: (N,) labels, standardised by training rows.
        fold: Row numbers.
        seed: Of the first weights and the order of rows.

    Raises:
        InputError: The fold has no validation part.
    """
    check_validation(fold)
    scale = column_scale(X, fold.train)
    centre, spread = float(y[fold.train].mean()), float(y[fold.train].std()) or 1.0
    target = ((y - centre) / spread).astype(np.float32)
    rows = len(fold.train)
    batch = int(min(rows, np.clip(rows // 8, 32, 256)))
    network = MLPRegressor(
        hidden_layer_sizes=(HIDDEN,),
        alpha=PENALTY * batch,  # scikit-learn divides it by the rows of the batch
        learning_rate_init=LEARNING_RATE,
        batch_size=batch,
        random_state=np.random.RandomState([seed, rows]),
    )
    _fit_epochs(network, scale, X, target, fold)
    return _predict(network, scale, X, fold.test).astype(np.float64) * spread + centre


def _fit_epochs(network: MLPRegressor, scale: Scale, X: npt.NDArray, target: npt.NDArray, fold: Fold) -> None:
    train, y = scale.rows(X, fold.train), target[fold.train]
    epochs = int(np.clip(STEPS * network.batch_size // len(train), FEWEST_EPOCHS, EPOCHS))
    patience = max(PATIENCE * epochs // EPOCHS, 2)
    best, waited, kept = np.inf, 0, None
    for _ in range(epochs):
        network.partial_fit(train, y)
        error = float(((_predict(network, scale, X, fold.val) - target[fold.val]) ** 2).mean())
        if error < best:
            best, waited = error, 0
            kept = [[part.copy() for part in parts] for parts in (network.coefs_, network.intercepts_)]
        else:
            waited += 1
            if waited >= patience:
                break
    if kept is not None:
        network.coefs_, network.intercepts_ = kept


def _predict(network: MLPRegressor, scale: Scale, X: npt.NDArray, rows: Ints) -> npt.NDArray:
    """Chunk by chunk: a standardised copy of the training rows is enough to hold."""
    made = [network.predict(scale.rows(X, rows[part])) for part in chunks(rows, X.shape[1])]
    return np.concatenate([np.zeros(0, dtype=np.float32), *made])
