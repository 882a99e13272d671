"""Heads: small regressors on frozen vectors. Everything they fit or choose comes from the fold's own rows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.neural_network import MLPRegressor

from urbanln.errors import InputError
from urbanln.probe.space import Floats
from urbanln.probe.splits import Fold

# Penalty per training row: standardised columns make one grid fit any table.
ALPHAS: Floats = np.logspace(-4, 3, 22)
HIDDEN, LEARNING_RATE, PENALTY = 256, 1e-3, 0.1
EPOCHS, PATIENCE = 60, 8


class Head(Protocol):
    """A regressor as the probe sees it; a function of one's own can stand in."""

    def __call__(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int) -> Floats:
        """Fit on ``fold.train`` and ``fold.val`` alone and predict ``fold.test``.

        Args:
            X: (N, D) vectors of all rows.
            y: (N,) labels of all rows; those of ``fold.test`` are not to be read.
            fold: Row numbers.
            seed: Of anything drawn at random.

        Returns:
            Predictions in the order of ``fold.test``.
        """
        ...


def ridge(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """Ridge regression, its strength chosen on the fold's own validation part.

    Columns and labels are standardised by training rows. The penalty with the smallest validation error
    (the larger of two equals) is kept, and the model fitted again on training and validation together.
    One decomposition serves all penalties.

    Args:
        X: (N, D) vectors.
        y: (N,) labels.
        fold: Row numbers.
        seed: Not used; ridge has nothing random.

    Raises:
        InputError: The fold has no validation part.
    """
    _check_validation(fold)
    val_predictions = _ridge_path(X[fold.train], y[fold.train], X[fold.val], ALPHAS)
    errors = ((val_predictions - y[fold.val][:, None]) ** 2).mean(axis=0)
    best = len(ALPHAS) - 1 - int(np.argmin(errors[::-1]))
    known = fold.known
    return _ridge_path(X[known], y[known], X[fold.test], ALPHAS[best : best + 1])[:, 0]


def mlp(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """The paper's head, D-256-1 with ReLU, stopped early on the fold's own validation part.

    scikit-learn's network has no dropout (the literature uses .01), and its own early stopping would take
    random rows for validation, so epochs are driven here: up to 60, patience 8 on the fold's validation
    blocks, the weights of the best epoch kept. Adam at 1e-3; UrbanCLIP and UrbanVLP use AdamW at 3e-4 for
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
    _check_validation(fold)
    mean, scale = _standard(X[fold.train])
    centre, spread = float(y[fold.train].mean()), float(y[fold.train].std()) or 1.0
    train, val, test = (
        # A row beyond a million spreads would overflow float32.
        np.clip((X[rows] - mean) / scale, -1e6, 1e6).astype(np.float32)
        for rows in (fold.train, fold.val, fold.test)
    )
    target = ((y - centre) / spread).astype(np.float32)
    batch = int(min(len(train), np.clip(len(train) // 8, 32, 256)))
    network = MLPRegressor(
        hidden_layer_sizes=(HIDDEN,),
        alpha=PENALTY * batch,  # scikit-learn divides it by the rows of the batch
        learning_rate_init=LEARNING_RATE,
        batch_size=batch,
        random_state=np.random.RandomState([seed, len(train)]),
    )
    _fit_epochs(network, train, target[fold.train], val, target[fold.val])
    return np.asarray(network.predict(test), dtype=np.float64) * spread + centre


HEADS: dict[str, Head] = {"ridge": ridge, "mlp": mlp}


def find_head(head: str | Head) -> tuple[str, Head]:
    """Name and function of a head given by name or as a function.

    Raises:
        InputError: No head of that name.
    """
    if not isinstance(head, str):
        return getattr(head, "__name__", type(head).__name__), head
    if head not in HEADS:
        raise InputError("no such head", value=head, remedy=f"there are: {', '.join(HEADS)}")
    return head, HEADS[head]


def _fit_epochs(
    network: MLPRegressor, train: npt.NDArray, y: npt.NDArray, val: npt.NDArray, y_val: npt.NDArray
) -> None:
    best, waited, kept = np.inf, 0, None
    for _ in range(EPOCHS):
        network.partial_fit(train, y)
        error = float(((network.predict(val) - y_val) ** 2).mean())
        if error < best:
            best, waited = error, 0
            kept = [[part.copy() for part in parts] for parts in (network.coefs_, network.intercepts_)]
        else:
            waited += 1
            if waited >= PATIENCE:
                break
    if kept is not None:
        network.coefs_, network.intercepts_ = kept


def _check_validation(fold: Fold) -> None:
    if len(fold.val) == 0 or len(fold.train) < 2:
        raise InputError(
            "a fold needs two training rows and a validation row", value=(len(fold.train), len(fold.val))
        )


def _standard(X: npt.NDArray) -> tuple[Floats, Floats]:
    """Mean and scale of the columns; one without spread gets an endless scale: it is 0 in every row."""
    mean = X.mean(axis=0, dtype=np.float64)
    scale = X.std(axis=0, dtype=np.float64)
    scale[scale <= 1e-7 * np.maximum(np.abs(mean), 1e-30)] = np.inf
    return mean, scale


def _ridge_path(X: npt.NDArray, y: Floats, X_new: npt.NDArray, alphas: Floats) -> Floats:
    """Predictions (M, A) for new rows under each penalty ``alpha * rows``."""
    mean, scale = _standard(X)
    Z, Z_new = (X - mean) / scale, (X_new - mean) / scale
    axes, power = _principal(Z)
    centre = float(y.mean())
    along = axes.T @ (Z.T @ (y - centre))  # (r,)
    shrunk = along[:, None] / (power[:, None] + alphas[None, :] * len(Z))  # (r, A)
    return (Z_new @ axes) @ shrunk + centre


def _principal(Z: Floats) -> tuple[Floats, Floats]:
    """Right singular vectors (D, r) and squared singular values (r,), by the smaller Gram matrix."""
    rows, columns = Z.shape
    if rows >= columns:
        power, axes = np.linalg.eigh(Z.T @ Z)
        return axes, np.maximum(power, 0.0)
    power, left = np.linalg.eigh(Z @ Z.T)
    keep = power > 1e-10 * max(float(power[-1]), 1e-30)
    return Z.T @ left[:, keep] / np.sqrt(power[keep]), power[keep]
