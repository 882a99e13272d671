"""Heads: small regressors on frozen vectors. Everything they fit or choose comes from the fold's own rows.

Here the paper's network, boosted trees and a regressor of one's own; ridge has a file of its own.
"""

from __future__ import annotations

import importlib
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neural_network import MLPRegressor

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, Ints
from urbanln.probe.columns import Scale, check_validation, chunks, column_scale, leading_axes
from urbanln.probe.ridge import ridge
from urbanln.probe.splits import Fold

# The network.
HIDDEN, MLP_RATE, PENALTY = 256, 1e-3, 0.1
EPOCHS, MLP_PATIENCE = 60, 8
# Beyond this many steps more epochs bring nothing: 60 epochs of some 25,000 rows.
STEPS, FEWEST_EPOCHS = 6000, 12
# The trees: 15 leaves hold interactions of three or four columns; a few hundred regions carry no more.
LEAVES, TREE_RATE = 15, 0.1
TREES, TREE_PATIENCE = 300, 10
WIDEST = 128


class Head(Protocol):
    """A regressor as the probe sees it; a function of one's own can stand in."""

    def __call__(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int) -> Floats:
        """Fit on ``fold.train`` and ``fold.val`` alone and predict ``fold.test``.

        Args:
            X: (N, D) vectors of all rows.
            y: (N,) labels; the probe shows those of ``fold.train`` and ``fold.val`` alone, NaN elsewhere.
            fold: Row numbers.
            seed: Of anything drawn at random.

        Returns:
            One finite number per row of ``fold.test``, in its order.
        """
        ...


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
    own = y[fold.train]
    centre, spread = float(own.mean()), 1.0 if own.min() == own.max() else float(own.std())
    target = ((y - centre) / spread).astype(np.float32)
    rows = len(fold.train)
    batch = int(min(rows, np.clip(rows // 8, 32, 256)))
    network = MLPRegressor(
        hidden_layer_sizes=(HIDDEN,),
        alpha=PENALTY * batch,  # scikit-learn divides it by the rows of the batch
        learning_rate_init=MLP_RATE,
        batch_size=batch,
        random_state=np.random.RandomState([seed, rows]),
    )
    _fit_epochs(network, scale, X, target, fold)
    return _predict(network, scale, X, fold.test).astype(np.float64) * spread + centre


def _fit_epochs(network: MLPRegressor, scale: Scale, X: npt.NDArray, target: npt.NDArray, fold: Fold) -> None:
    train, y = scale.rows(X, fold.train), target[fold.train]
    epochs = int(np.clip(STEPS * network.batch_size // len(train), FEWEST_EPOCHS, EPOCHS))
    patience = max(MLP_PATIENCE * epochs // EPOCHS, 2)
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


def boosting(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """Histogram gradient boosting; how many trees is chosen on the fold's own validation part.

    The number of trees with the smallest validation error is then fitted on all known rows, as ridge does.
    A table of more than 128 columns is seen along the 128 leading principal components of its known rows
    (columns standardised). Trees cut along axes, and the axes of an embedding mean nothing by themselves;
    components are at least ordered by what varies, and time and memory stay within bounds: trees want
    float64.

    Args:
        X: (N, D) vectors.
        y: (N,) labels.
        fold: Row numbers.
        seed: Of the draws for the borders of bins.

    Raises:
        InputError: The fold has no validation part.
    """
    check_validation(fold)
    order = np.concatenate([fold.train, fold.val])
    if X.shape[1] <= WIDEST:
        return boost(X[order], y[order], len(fold.train), X[fold.test], seed)
    scale = column_scale(X, order)
    axes = leading_axes(X, order, scale, WIDEST)
    # In float64 at once, since scikit-learn would copy anything else.
    seen = scale.rows(X, order, axes, np.float64)
    return boost(seen, y[order], len(fold.train), scale.rows(X, fold.test, axes, np.float64), seed)


def boost(X: npt.NDArray, y: Floats, train: int, X_new: npt.NDArray, seed: int) -> Floats:
    """Predictions (M,) for new rows by trees whose number was chosen on the last of the known ones.

    Args:
        X: (n, D) known rows.
        y: (n,) their labels.
        train: The first so many are fitted on and the others choose the number of trees; then all are
            fitted on. Parts of one array, so that a large one is not copied.
        X_new: (M, D) rows to predict.
        seed: Of the draws for the borders of bins.
    """
    options = {"learning_rate": TREE_RATE, "max_leaf_nodes": LEAVES, "random_state": seed}
    search = HistGradientBoostingRegressor(
        max_iter=TREES, early_stopping=True, n_iter_no_change=TREE_PATIENCE, tol=0.0, **options
    )
    search.fit(X[:train], y[:train], X_val=X[train:], y_val=y[train:])
    # The scores are negative losses; the first one is that of the mean, without any tree.
    trees = int(np.argmax(search.validation_score_))
    if trees == 0:
        return np.full(len(X_new), y.mean())
    model = HistGradientBoostingRegressor(max_iter=trees, early_stopping=False, **options).fit(X, y)
    return np.asarray(model.predict(X_new), dtype=np.float64)


class RegressorHead:
    """A scikit-learn regressor as the probe sees it; a copy of it is fitted on each fold's known rows.

    Columns are standardised by the known rows; labels stay as they are. Where the regressor has a
    ``random_state`` that is None, the probe's seed is put in. What it chooses by itself it chooses as it
    was told to: with random inner folds, if those are scikit-learn's default.

    Args:
        regressor: An estimator, not fitted.
        name: What it is called in scores and errors.
    """

    def __init__(self, regressor: BaseEstimator, name: str) -> None:
        self.regressor, self.__name__ = regressor, name

    def __call__(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
        """Fit on the known rows and predict the held-out ones; see :class:`Head`.

        Raises:
            InputError: The regressor failed.
        """
        check_validation(fold)
        known = fold.known
        scale = column_scale(X, known)
        model = clone(self.regressor)
        open_states = [
            name
            for name, value in model.get_params().items()
            if name.rpartition("__")[2] == "random_state" and value is None
        ]
        model.set_params(**dict.fromkeys(open_states, seed))
        try:
            model.fit(scale.rows(X, known), y[known])
            return np.asarray(model.predict(scale.rows(X, fold.test)), dtype=np.float64).reshape(-1)
        except Exception as error:
            text = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
            raise InputError(
                "the regressor failed",
                value=text,
                where=self.__name__,
                remedy="try it alone on these labels, or leave this head out",
            ) from error


def regressor_head(regressor: object, name: str | None = None) -> RegressorHead:
    """The head made from a scikit-learn estimator or its class.

    Args:
        regressor: An estimator, or a class that needs no arguments.
        name: What it is called; by default as its class.

    Raises:
        InputError: It is no scikit-learn regressor, or its class needs arguments.
    """
    kind = regressor if isinstance(regressor, type) else type(regressor)
    name = name or kind.__name__
    remedy = "a head is a name, a function (X, y, fold, seed), or a scikit-learn regressor"
    if not issubclass(kind, BaseEstimator):
        raise InputError("this is no scikit-learn regressor", value=name, remedy=remedy, where="probe.heads")
    if isinstance(regressor, type):
        try:
            regressor = regressor()
        except TypeError as error:
            raise InputError(
                "the regressor cannot be made without arguments",
                value=str(error),
                where=name,
                remedy="pass it made, from Python",
            ) from error
    if not is_regressor(regressor):
        raise InputError("this is no scikit-learn regressor", value=name, remedy=remedy, where="probe.heads")
    return RegressorHead(regressor, name)


def load_regressor(text: str) -> RegressorHead:
    """The head named by ``module:Class``, for example ``sklearn.svm:SVR``.

    Raises:
        InputError: No such module, no such class in it, or no regressor.
    """
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, TypeError, ValueError) as error:
        raise InputError(
            "the module of this head cannot be imported",
            value=text,
            where=str(error),
            remedy="check the name, and install its package",
        ) from error
    except AttributeError as error:
        raise InputError(
            "no such class in the module of this head",
            value=text,
            where=str(error),
            remedy="check the name: module:Class",
        ) from error
    return regressor_head(found, text)


HEADS: dict[str, Head] = {"ridge": ridge, "mlp": mlp, "boosting": boosting}


def find_head(head: str | Head | BaseEstimator | type) -> tuple[str, Head]:
    """Name and function of a head.

    Args:
        head: One of ``HEADS`` by name; ``"module:Class"``, a scikit-learn regressor or its class, fitted on
            standardised known rows (:class:`RegressorHead`); or a function.

    Raises:
        InputError: No head of that name, no such class, or neither a regressor nor a function.
    """
    if isinstance(head, str) and ":" in head:
        head = load_regressor(head)
    elif isinstance(head, str):
        if head not in HEADS:
            raise InputError(
                "no such head",
                value=head,
                remedy=f"there are: {', '.join(HEADS)}; or module:Class of a scikit-learn regressor",
                where="probe.heads",
            )
        return head, HEADS[head]
    elif isinstance(head, BaseEstimator | type) or not callable(head):
        head = regressor_head(head)
    return getattr(head, "__name__", type(head).__name__), head
