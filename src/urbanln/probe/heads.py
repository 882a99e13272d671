"""Heads: small models on frozen vectors. Everything they fit or choose comes from the fold's own rows.

Here boosted trees, and which heads there are for each kind of label; ridge, logistic regression and the
paper's network have files of their own, and so has a model of one's own (:mod:`urbanln.probe.own_head`).
scikit-learn is imported where it is used: it takes a second, and not every probe needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats
from urbanln.probe.columns import check_validation, column_scale, leading_axes
from urbanln.probe.logistic import logistic
from urbanln.probe.network import mlp, softmax_mlp
from urbanln.probe.own_head import load_head, own_head
from urbanln.probe.ridge import ridge
from urbanln.probe.splits import Fold
from urbanln.probe.threads import one_thread

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

# The trees: 15 leaves hold interactions of three or four columns; a few hundred regions carry no more.
LEAVES, TREE_RATE = 15, 0.1
TREES, TREE_PATIENCE = 300, 10
WIDEST = 128


# Known rows, their labels, how many of them to fit on at first, new rows, seed: predictions.
Boost: TypeAlias = Callable[[npt.NDArray, Floats, int, npt.NDArray, int], Floats]


class Head(Protocol):
    """A model as the probe sees it; a function of one's own can stand in."""

    def __call__(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int) -> Floats:
        """Fit on ``fold.train`` and ``fold.val`` alone and predict ``fold.test``.

        Args:
            X: (N, D) vectors of all rows.
            y: (N,) labels; the probe shows those of ``fold.train`` and ``fold.val`` alone, NaN elsewhere.
                Of classes and shares (N, C) parts that sum to one.
            fold: Row numbers.
            seed: Of anything drawn at random.

        Returns:
            One finite number per row of ``fold.test``, in its order; of classes and shares (M, C), which need
            not sum to one.
        """
        ...


def boosting(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0, fit: Boost | None = None) -> Floats:
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
        fit: What fits the trees; by default :func:`boost`.

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
    return (fit or boost)(seen, y[order], len(fold.train), new, seed)


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


def boost_classes(X: npt.NDArray, y: Floats, train: int, X_new: npt.NDArray, seed: int) -> Floats:
    """Probabilities (M, C) by trees of each class under one softmax; arguments as of :func:`boost`.

    A class that the first rows lack cannot be judged by them: rows of it are left out while the number of
    trees is chosen, and fitted on afterwards.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    classes = y.argmax(axis=1)
    options = {"learning_rate": TREE_RATE, "max_leaf_nodes": LEAVES, "random_state": seed}
    judged = train + np.flatnonzero(np.isin(classes[train:], classes[:train]))
    made = np.tile(y.mean(axis=0), (len(X_new), 1))
    if len(judged) == 0 or len(np.unique(classes[:train])) < 2:
        return made
    search = HistGradientBoostingClassifier(
        max_iter=TREES, early_stopping=True, n_iter_no_change=TREE_PATIENCE, tol=0.0, **options
    )
    with one_thread(user_api="openmp"):
        search.fit(X[:train], classes[:train], X_val=X[judged], y_val=classes[judged])
        trees = int(np.argmax(search.validation_score_))
        if trees:
            model = HistGradientBoostingClassifier(max_iter=trees, early_stopping=False, **options)
            made = np.zeros_like(made)
            made[:, np.unique(classes)] = model.fit(X, classes).predict_proba(X_new)
    return made


# Those of numbers take labels (N, L) as well as (N,), and answer in kind. Shares are boosted part by part
# with squared error, a proper score too (Brier 1950), whose best answer is the same mean share that KL
# wants; the cross-entropy of shares would need every row once per part, and log-ratios have no zeros.
HEADS: dict[str, Head] = {"ridge": ridge, "mlp": mlp, "boosting": boosting}
HEADS_OF: dict[Kind, dict[str, Head]] = {
    "number": HEADS,
    "classes": {"ridge": logistic, "mlp": softmax_mlp, "boosting": partial(boosting, fit=boost_classes)},
    "shares": {"ridge": logistic, "mlp": softmax_mlp, "boosting": boosting},
}


def find_head(head: str | Head | BaseEstimator | type, kind: Kind = "number") -> tuple[str, Head]:
    """Name and function of a head.

    Args:
        head: One of ``HEADS`` by name; ``"module:Class"``, a scikit-learn model or its class, fitted on
            standardised known rows (:class:`urbanln.probe.own_head.OwnHead`); or a function.
        kind: Of the labels. ``"ridge"`` is its sibling, multinomial logistic regression, for classes and
        shares.

    Raises:
        InputError: No head of that name, no such class, neither a model nor a function, or a model of another
            kind of labels.
    """
    if isinstance(head, str) and ":" in head:
        head = load_head(head, kind)
    elif isinstance(head, str):
        if head not in HEADS:
            raise InputError(
                "no such head",
                value=head,
                remedy=f"there are: {', '.join(HEADS)}; or module:Class of a scikit-learn model",
                where="probe.heads",
            )
        return head, HEADS_OF[kind][head]
    elif isinstance(head, type) or hasattr(head, "get_params") or not callable(head):
        head = own_head(head, kind=kind)
    return getattr(head, "__name__", type(head).__name__), head
