"""Ridge regression: one number to choose, chosen by spatial cross-validation inside the known rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from urbanln.base.space import Floats, Ints
from urbanln.probe.columns import Scale, check_validation, chunks, column_scale
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
    are the sum less its own (with fewer rows than columns: products of rows). One decomposition per inner
    fold serves all penalties.

    Args:
        X: (N, D) vectors.
        y: (N,) labels.
        fold: Row numbers; ``inner`` may be None.
        seed: Not used; ridge has nothing random.

    Raises:
        InputError: The fold has no validation part.
    """
    check_validation(fold)
    known = fold.known
    scale = column_scale(X, known)
    parts = _held_parts(fold)
    target = y[known] - y[known].mean()
    fit = _by_rows if len(known) < X.shape[1] else _by_columns
    weight = fit(X, target, known, scale, parts)
    made = [scale.wide(X, fold.test[part]) @ weight for part in chunks(fold.test, X.shape[1])]
    return np.concatenate([np.zeros(0), *made]) + y[known].mean()


def _held_parts(fold: Fold) -> list[npt.NDArray[np.bool_]]:
    """Masks over the known rows: each is held out once while a penalty is judged."""
    if fold.inner is not None:
        numbers = np.unique(fold.inner)
        if len(numbers) > 1:
            return [fold.inner == number for number in numbers]
    return [np.isin(fold.known, fold.val)]


def _best(errors: Floats) -> float:
    """The penalty with the smallest error; the larger of two equals."""
    return float(ALPHAS[len(ALPHAS) - 1 - int(np.argmin(errors[::-1]))])


def _products(
    X: npt.NDArray, target: Floats, known: Ints, scale: Scale, mask: npt.NDArray[np.bool_]
) -> Floats:
    """Sums over some rows of the products of all columns, the label and a 1: (D + 2, D + 2)."""
    size = X.shape[1] + 2
    rows, own = known[mask], target[mask]
    total: Floats = np.zeros((size, size))
    for part in chunks(rows, size):
        wide = np.ones((len(rows[part]), size))
        wide[:, :-2] = scale.wide(X, rows[part])
        wide[:, -2] = own[part]
        total += wide.T @ wide
    return total


def _about(products: Floats, mean: Floats) -> Floats:
    """Sums of products (D + 1, D + 1) of columns and label about a given mean (D + 1,)."""
    shift = np.outer(products[:-1, -1], mean)
    return products[:-1, :-1] - shift - shift.T + products[-1, -1] * np.outer(mean, mean)


def _by_columns(
    X: npt.NDArray, target: Floats, known: Ints, scale: Scale, parts: list[npt.NDArray[np.bool_]]
) -> Floats:
    """Weights (D,) of standardised columns, by sums of products of columns."""
    products = [_products(X, target, known, scale, mask) for mask in parts]
    total = sum(products, start=_products(X, target, known, scale, ~np.any(parts, axis=0)))
    errors: Floats = np.zeros(len(ALPHAS))
    for held in products:
        train = total - held
        rows = train[-1, -1]
        mean = train[:-1, -1] / rows
        fitted, judged = _about(train, mean), _about(held, mean)
        power, axes = np.linalg.eigh(fitted[:-1, :-1])
        along = (axes.T @ fitted[:-1, -1])[:, None] / (np.maximum(power, 0.0)[:, None] + ALPHAS * rows)
        ends = np.vstack([-(axes @ along), np.ones(len(ALPHAS))])  # (D + 1, A): label less prediction
        errors += np.einsum("da,da->a", ends, judged @ ends)
    left = total[:-2, :-2] + _best(errors) * len(known) * np.eye(X.shape[1])
    return np.asarray(np.linalg.solve(left, total[:-2, -2]))


def _by_rows(
    X: npt.NDArray, target: Floats, known: Ints, scale: Scale, parts: list[npt.NDArray[np.bool_]]
) -> Floats:
    """The same weights by products of rows, where these are fewer."""
    Z = scale.wide(X, known)
    kernel = Z @ Z.T
    errors: Floats = np.zeros(len(ALPHAS))
    for held in parts:
        train = ~held
        away = target[train] - target[train].mean()
        power, axes = np.linalg.eigh(_centred(kernel[np.ix_(train, train)]))
        along = (axes.T @ away)[:, None] / (np.maximum(power, 0.0)[:, None] + ALPHAS * train.sum())
        across = kernel[np.ix_(held, train)] - kernel[np.ix_(train, train)].mean(axis=0)
        duals = axes @ along  # (n, A), sums of 0: the mean of the training rows drops out of what follows
        guess = across @ (duals - duals.mean(axis=0)) + target[train].mean()
        errors += ((guess - target[held][:, None]) ** 2).sum(axis=0)
    left = kernel + _best(errors) * len(known) * np.eye(len(known))
    return np.asarray(Z.T @ np.linalg.solve(left, target))


def _centred(kernel: Floats) -> Floats:
    mean = kernel.mean(axis=0)
    return kernel - mean - mean[:, None] + mean.mean()
