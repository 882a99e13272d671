"""Gradient-boosted trees, stopped early on the fold's own validation part."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor

from urbanln.base.space import Floats
from urbanln.probe.columns import check_validation, column_scale, leading_axes
from urbanln.probe.splits import Fold

# Trees of 15 leaves hold interactions of three or four columns; a few hundred regions carry no more.
LEAVES, LEARNING_RATE = 15, 0.1
TREES, PATIENCE = 300, 10
WIDEST = 128


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
    options = {"learning_rate": LEARNING_RATE, "max_leaf_nodes": LEAVES, "random_state": seed}
    search = HistGradientBoostingRegressor(
        max_iter=TREES, early_stopping=True, n_iter_no_change=PATIENCE, tol=0.0, **options
    )
    search.fit(X[:train], y[:train], X_val=X[train:], y_val=y[train:])
    # The scores are negative losses; the first one is that of the mean, without any tree.
    trees = int(np.argmax(search.validation_score_))
    if trees == 0:
        return np.full(len(X_new), y.mean())
    model = HistGradientBoostingRegressor(max_iter=trees, early_stopping=False, **options).fit(X, y)
    return np.asarray(model.predict(X_new), dtype=np.float64)
