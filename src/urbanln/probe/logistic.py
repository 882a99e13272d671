"""Multinomial logistic regression, the ridge of classes and shares; its strength is chosen as ridge's is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from urbanln.base.softmax import softmax
from urbanln.base.space import Floats
from urbanln.probe.columns import Scale, check_validation, chunks, column_scale
from urbanln.probe.ridge import held_parts
from urbanln.probe.simplex import divergence, evened, one_more
from urbanln.probe.splits import Fold

# Penalty per training row, strongest first; the range is that of ridge.
STRENGTHS: Floats = np.logspace(3, -4, 15)
PATIENCE = 2  # weaker ones tried after the best: the loss falls and rises once along them
FLAT = 1e-10  # share of the largest variance below which a direction holds nothing
STEPS, FLATTEST = 500, 1e-7
CLOSE, ENOUGH = 1e-11, 1e-7  # changes of the loss that end a fit: the last one, and those that choose
WIDE_VALUES = 2**25  # 256 MB in float64; larger tables are turned into float32


class Fit(NamedTuple):
    """A fitted model along the directions of :class:`_Turned`.

    Args:
        there: (C,) which classes occur among the rows fitted on; the others have no chance.
        weight: (r + 1, c) of the classes that occur; the last row is their level.
    """

    there: npt.NDArray[np.bool_]
    weight: Floats

    def logits(self, rows: npt.NDArray) -> Floats:
        """Logits (m, c) of turned rows (m, r), of the classes that occur; two of them differ by log-odds."""
        made: Floats = rows @ self.weight[:-1].astype(rows.dtype) + self.weight[-1]
        return made

    def parts(self, rows: npt.NDArray) -> Floats:
        """Parts (m, C) of turned rows (m, r)."""
        made = np.zeros((len(rows), len(self.there)))
        made[:, self.there] = softmax(self.logits(rows))
        return made


def logistic(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """Multinomial logistic regression with an L2 penalty, its strength chosen by the fold's inner folds.

    min over W, b of the mean of −Σ t log softmax(xW + b) plus α/2 ‖W‖², columns standardised by all known
    rows. The t may be any parts that sum to one: for classes this is the log loss, for shares their
    Kullback-Leibler divergence but for a constant. The strength with the smallest loss, pooled over the
    held-out inner rows, is kept (the larger of two equals), and the model fitted again on all known rows.
    Strengths are tried from the strongest on, each fit beginning where the one before ended, until two in a
    row have brought nothing: weak ones take longest, and the loss falls and rises once along them.

    Columns are turned to their principal directions and stretched there so that the loss bends alike along
    all (Böhning 1992 bounds its curvature by that of least squares), which leaves L-BFGS little to do.

    Args:
        X: (N, D) vectors.
        y: (N, C) parts that sum to one; one-hot for classes.
        fold: Row numbers; ``inner`` may be None.
        seed: Not used; nothing is random.

    Raises:
        InputError: The fold has no validation part.
    """
    turned, model = _fitted(X, y, fold)
    made = [model.parts(turned.new(X, fold.test[part])) for part in chunks(fold.test, X.shape[1])]
    return np.concatenate([np.zeros((0, y.shape[1])), *made])


def logits(X: npt.NDArray, y: Floats, fold: Fold) -> Floats:
    """What :func:`logistic` takes the softmax of, (m, C); −inf for a class that the known rows lack.

    They are sums over the columns, so that what a vector is made of can be told apart.

    Args:
        X: See there, like ``y`` and ``fold``.

    Raises:
        InputError: The fold has no validation part.
    """
    turned, model = _fitted(X, y, fold)
    made = np.full((len(fold.test), y.shape[1]), -np.inf)
    made[:, model.there] = model.logits(turned.new(X, fold.test))
    return made


class _Turned(NamedTuple):
    """Known rows along their principal directions: rows (n, r), their variances (r,), axes (D, r)."""

    rows: npt.NDArray
    variance: Floats
    axes: Floats
    scale: Scale

    def new(self, X: npt.NDArray, rows: npt.NDArray) -> npt.NDArray:
        """Other rows along the same directions."""
        return self.scale.wide(X, rows) @ self.axes


def _fitted(X: npt.NDArray, y: Floats, fold: Fold) -> tuple[_Turned, Fit]:
    """The directions of the known rows, and the model of all of them under the strength that was chosen."""
    check_validation(fold)
    turned = _turn(X, fold)
    target = y[fold.known]
    strength = _chosen(turned, target, held_parts(fold))
    return turned, _fit(turned, target, np.ones(len(target), dtype=bool), strength)


def _turn(X: npt.NDArray, fold: Fold) -> _Turned:
    known, width = fold.known, X.shape[1]
    scale = column_scale(X, known)
    by_rows = len(known) < width
    if by_rows:
        Z = scale.wide(X, known)
        variance, vectors = np.linalg.eigh(Z @ Z.T / len(known))
    else:
        gram: Floats = np.zeros((width, width))
        for part in chunks(known, width):
            Z = scale.wide(X, known[part])
            gram += Z.T @ Z
        variance, vectors = np.linalg.eigh(gram / len(known))
    kept = variance > FLAT * max(float(variance[-1]), 1e-300)
    variance, vectors = variance[kept], vectors[:, kept]
    axes = Z.T @ (vectors / np.sqrt(variance * len(known))) if by_rows else vectors
    dtype = np.float32 if len(known) * axes.shape[1] > WIDE_VALUES else np.float64
    rows = np.empty((len(known), axes.shape[1]), dtype=dtype)
    for part in chunks(known, width):
        rows[part] = scale.wide(X, known[part]) @ axes
    return _Turned(rows, variance, axes, scale)


def _chosen(turned: _Turned, target: Floats, parts: list[npt.NDArray[np.bool_]]) -> float:
    """The strength with the smallest loss on the rows held out."""
    fits: list[Fit | None] = [None] * len(parts)
    best, lowest, waited = float(STRENGTHS[0]), np.inf, 0
    for strength in STRENGTHS.tolist():
        loss = 0.0
        for number, held in enumerate(parts):
            fit = _fit(turned, target, ~held, strength, fits[number], ENOUGH)
            fits[number] = fit
            made = evened(fit.parts(turned.rows[held]), one_more(int((~held).sum())))
            loss += float(divergence(target[held], made).sum())
        best, lowest, waited = (strength, loss, 0) if loss < lowest else (best, lowest, waited + 1)
        if waited >= PATIENCE:
            break
    return best


def _fit(
    turned: _Turned,
    target: Floats,
    mask: npt.NDArray[np.bool_],
    strength: float,
    before: Fit | None = None,
    close: float = CLOSE,
) -> Fit:
    """The model of the masked rows; the others are looked at with weight 0, which spares a copy of them."""
    rows, total = turned.rows, float(mask.sum())
    share = target[mask].mean(axis=0)
    there = share > 0
    own, level = target[:, there], share[there]
    shape = (rows.shape[1] + 1, int(there.sum()))
    if shape[1] == 1:
        return Fit(there, np.zeros(shape))
    bends = level * (1 - level)
    stretch = 1 / np.sqrt(np.append(turned.variance, 1.0)[:, None] * bends + strength)
    stretch[-1] = 1 / np.sqrt(bends)
    weigh = mask / total

    def loss(flat: Floats) -> tuple[float, Floats]:
        weight = flat.reshape(shape) * stretch
        logits = rows @ weight[:-1].astype(rows.dtype) + weight[-1]
        logits -= logits.max(axis=1, keepdims=True)
        made = np.exp(logits)
        sums = made.sum(axis=1)
        value = weigh @ (np.log(sums) * own.sum(axis=1) - np.einsum("nc,nc->n", own, logits))
        away = (made / sums[:, None] - own) * weigh[:, None]
        slope = np.empty(shape)
        slope[:-1] = rows.T @ away.astype(rows.dtype) + strength * weight[:-1]
        slope[-1] = away.sum(axis=0)
        value += 0.5 * strength * float((weight[:-1] ** 2).sum())
        return float(value), (slope * stretch).ravel()

    start = np.zeros(shape)
    start[-1] = np.log(level) / stretch[-1]
    if before is not None:
        start = before.weight / stretch
    from scipy.optimize import minimize  # takes a tenth of a second, and is for classes and shares alone

    options = {"maxiter": STEPS, "maxcor": 20, "gtol": FLATTEST, "ftol": close}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return Fit(there, found.x.reshape(shape) * stretch)
