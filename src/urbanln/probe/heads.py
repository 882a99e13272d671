"""Heads: small regressors on frozen vectors. Everything they fit or choose comes from the fold's own rows.

Here boosted trees and a regressor of one's own; ridge and the paper's network have files of their own.
scikit-learn is imported where it is used: it takes a second, and not every probe needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.space import Floats
from urbanln.probe.columns import check_validation, column_scale, leading_axes
from urbanln.probe.network import mlp
from urbanln.probe.ridge import ridge
from urbanln.probe.splits import Fold
from urbanln.probe.threads import one_thread

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

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


def boosting(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """Histogram gradient boosting; how many trees is chosen on the fold's own validation part.

    The number of trees with the smallest validation error is then fitted on all known rows, as ridge does.
    A table of more than 128 columns is seen along the 128 leading principal components of its known rows
    (columns standardised). Trees cut along axes, and the axes of an embedding mean nothing by themselves;
    components are at least ordered by what varies, and time and memory stay within bounds: trees want
    float64.

    Args:
        X: (N, D) vectors.
        y: (N,) labels, or (N, L) of several.
        fold: Row numbers.
        seed: Of the draws for the borders of bins.

    Raises:
        InputError: The fold has no validation part.
    """
    check_validation(fold)
    order = np.concatenate([fold.train, fold.val])
    seen, new = X[order], X[fold.test]
    if X.shape[1] > WIDEST:
        scale = column_scale(X, order)
        axes = leading_axes(X, order, scale, WIDEST)
        # In float64 at once, since scikit-learn would copy anything else.
        seen, new = (scale.rows(X, rows, axes, np.float64) for rows in (order, fold.test))
    return boost(seen, y[order], len(fold.train), new, seed)


def boost(X: npt.NDArray, y: Floats, train: int, X_new: npt.NDArray, seed: int) -> Floats:
    """Predictions for new rows by trees whose number was chosen on the last of the known ones.

    Args:
        X: (n, D) known rows.
        y: (n,) their labels, or (n, L) of several.
        train: The first so many are fitted on and the others choose the number of trees; then all are
            fitted on. Parts of one array, so that a large one is not copied.
        X_new: (M, D) rows to predict.
        seed: Of the draws for the borders of bins.

    Returns:
        (M,) or (M, L).
    """
    if y.ndim == 2:
        return np.column_stack([boost(X, label, train, X_new, seed) for label in y.T])
    from sklearn.ensemble import HistGradientBoostingRegressor

    options = {"learning_rate": TREE_RATE, "max_leaf_nodes": LEAVES, "random_state": seed}
    search = HistGradientBoostingRegressor(
        max_iter=TREES, early_stopping=True, n_iter_no_change=TREE_PATIENCE, tol=0.0, **options
    )
    # A caller's limit does not hold for the threads of a library that is only loaded by the import above.
    with one_thread(user_api="openmp"):
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
        from sklearn.base import clone

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
    from sklearn.base import BaseEstimator, is_regressor

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


# These take labels (N, L) as well as (N,), and answer in kind.
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
    elif isinstance(head, type) or hasattr(head, "get_params") or not callable(head):
        head = regressor_head(head)
    return getattr(head, "__name__", type(head).__name__), head
