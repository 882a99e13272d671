"""Ridge regression: one number to choose, chosen by spatial cross-validation inside the known rows.

Nothing dear depends on a label: all labels of a fold share their products and decompositions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from urbanln.base.space import Floats, Ints
from urbanln.probe.columns import Scale, check_validation, chunks, column_scale
from urbanln.probe.shifted import Shifted
from urbanln.probe.splits import Fold

# Penalty per training row: standardised columns make one grid fit any table.
ALPHAS: Floats = np.logspace(-4, 3, 22)


def ridge(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """Ridge regression, its strength chosen by the fold's inner folds, else by its validation part.

    Columns are standardised once, by all known rows; each inner training set is centred on its own mean.
    The penalty with the smallest squared error, pooled over the held-out inner rows, is kept (the larger of
    two equals), and the model fitted again on all known rows. A penalty is ``alpha`` times the rows it is
    fitted on, so that it means the same to the inner fits and to the last one.

    Inner folds are whole spatial units. A strength chosen on random rows would be that for guessing a
    region between its neighbours, which is too small for a region far from all that is known.

    The rows are read once: products of columns are summed per inner fold, and those of its training side
    are the sum less its own (with fewer rows than columns: products of rows). One reduction per inner
    fold serves all penalties and all labels; each label chooses its own.

    Args:
        X: (N, D) vectors.
        y: (N,) labels, or (N, L) of several.
        fold: Row numbers; ``inner`` may be None.
        seed: Not used; ridge has nothing random.

    Raises:
        InputError: The fold has no validation part.
    """
    check_validation(fold)
    known = fold.known
    scale = column_scale(X, known)
    parts = held_parts(fold)
    mean = y[known].mean(axis=0)
    target = (y[known] - mean).reshape(len(known), -1)
    fit = _by_rows if len(known) < X.shape[1] else _by_columns
    weight = fit(X, target, known, scale, parts)
    made = [scale.wide(X, fold.test[part]) @ weight for part in chunks(fold.test, X.shape[1])]
    return np.concatenate([np.zeros((0, target.shape[1])), *made]).reshape(-1, *y.shape[1:]) + mean


def held_parts(fold: Fold) -> list[npt.NDArray[np.bool_]]:
    """Masks over the known rows: each is held out once while a penalty is judged."""
    if fold.inner is not None:
        numbers = np.unique(fold.inner)
        if len(numbers) > 1:
            return [fold.inner == number for number in numbers]
    return [np.isin(fold.known, fold.val)]


def _best(errors: Floats) -> list[float]:
    """The penalty with the smallest error of each label (A, L); the larger of two equals."""
    return [float(ALPHAS[at]) for at in len(ALPHAS) - 1 - np.argmin(errors[::-1], axis=0)]


def _products(
    X: npt.NDArray, target: Floats, known: Ints, scale: Scale, mask: npt.NDArray[np.bool_]
) -> Floats:
    """Sums over some rows of the products of all columns, labels and a 1: (D + L + 1, D + L + 1)."""
    width = X.shape[1]
    size = width + target.shape[1] + 1
    rows, own = known[mask], target[mask]
    total: Floats = np.zeros((size, size))
    for part in chunks(rows, size):
        wide = np.ones((len(rows[part]), size))
        wide[:, :width] = scale.wide(X, rows[part])
        wide[:, width:-1] = own[part]
        total += wide.T @ wide
    return total


def _about(products: Floats, mean: Floats) -> Floats:
    """Sums of products (D + L, D + L) of columns and labels about given means (D + L,)."""
    shift = np.outer(products[:-1, -1], mean)
    return products[:-1, :-1] - shift - shift.T + products[-1, -1] * np.outer(mean, mean)


def _under_all(left: Floats, right: Floats, rows: float) -> Floats:
    """Solutions (n, A, L) under every penalty, given both sides (n, n) and (n, L) without one."""
    shifted = Shifted(left)
    solved = np.moveaxis(shifted.solved(shifted.turned(right), ALPHAS * rows)[0], 0, 1)  # (n, A, L)
    return shifted.back(solved.reshape(len(left), -1)).reshape(solved.shape)


def _by_columns(
    X: npt.NDArray, target: Floats, known: Ints, scale: Scale, parts: list[npt.NDArray[np.bool_]]
) -> Floats:
    """Weights (D, L) of standardised columns, by sums of products of columns."""
    width = X.shape[1]
    products = [_products(X, target, known, scale, mask) for mask in parts]
    total = sum(products, start=_products(X, target, known, scale, ~np.any(parts, axis=0)))
    errors: Floats = np.zeros((len(ALPHAS), target.shape[1]))
    for held in products:
        train = total - held
        rows = train[-1, -1]
        mean = train[:-1, -1] / rows
        fitted, judged = _about(train, mean), _about(held, mean)
        weight = _under_all(fitted[:width, :width], fitted[:width, width:], rows)
        spread = (judged[:width, :width] @ weight.reshape(width, -1)).reshape(weight.shape)
        # The square of label less prediction, summed without a look at the rows.
        errors += np.diag(judged)[width:] + np.einsum(
            "dal,dal->al", weight, spread - 2 * judged[:width, None, width:]
        )
    left = total[:width, :width]
    return _solved(left, total[:width, width:-1], errors, len(known))


def _by_rows(
    X: npt.NDArray, target: Floats, known: Ints, scale: Scale, parts: list[npt.NDArray[np.bool_]]
) -> Floats:
    """The same weights by products of rows, where these are fewer."""
    Z = scale.wide(X, known)
    kernel = Z @ Z.T
    errors: Floats = np.zeros((len(ALPHAS), target.shape[1]))
    for held in parts:
        train = ~held
        own = kernel[np.ix_(train, train)]
        mean = target[train].mean(axis=0)
        duals = _under_all(_centred(own), target[train] - mean, float(train.sum()))
        # Sums of 0: the mean of the training rows drops out of what follows.
        duals = (duals - duals.mean(axis=0)).reshape(len(duals), -1)
        guess = (kernel[np.ix_(held, train)] - own.mean(axis=0)) @ duals
        errors += ((guess.reshape(-1, *errors.shape) + mean - target[held][:, None]) ** 2).sum(axis=0)
    return np.asarray(Z.T @ _solved(kernel, target, errors, len(known)))


def _solved(left: Floats, right: Floats, errors: Floats, rows: int) -> Floats:
    """Each label's column of the right side, (n, L), under the penalty that did best for it."""
    solved = np.empty_like(right)
    for label, alpha in enumerate(_best(errors)):
        solved[:, label] = np.linalg.solve(left + alpha * rows * np.eye(len(left)), right[:, label])
    return solved


def _centred(kernel: Floats) -> Floats:
    mean = kernel.mean(axis=0)
    return kernel - mean - mean[:, None] + mean.mean()
