"""CityRep's metrics, as it computes them, beside ours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from urbanln.base.kinds import Kind
from urbanln.base.space import Floats

MAIN: Mapping[Kind, str] = {"number": "R2", "classes": "F1_macro", "shares": "KL"}
"""The metric CityRep ranks models by; of shares the lower is the better."""
LEAST = 1e-12


def better(metric: str) -> int:
    """1 where more of a metric is better, −1 where less is."""
    return -1 if metric == MAIN["shares"] else 1


def metrics(kind: Kind, truth: npt.NDArray, made: npt.NDArray) -> dict[str, float]:
    """CityRep's metrics of held-out samples, by the names it gives them.

    Args:
        kind: Of label.
        truth: (M,) numbers on the scale of the task, (M,) numbers of classes, or (M, C) shares.
        made: (M,) predictions, or (M, C) probabilities or shares.
    """
    if kind == "number":
        return _of_numbers(truth.astype(np.float64), made.astype(np.float64).reshape(-1))
    return _of_classes(truth, made.argmax(axis=1)) if kind == "classes" else _of_shares(truth, made)


def _of_numbers(truth: Floats, made: Floats) -> dict[str, float]:
    away = truth - made
    square = float((away**2).mean())
    spread = float(((truth - truth.mean()) ** 2).mean())
    score = 1 - square / spread if spread > 0 else float("nan")
    return {"R2": score, "MAE": float(np.abs(away).mean()), "MSE": square, "RMSE": float(np.sqrt(square))}


def _of_classes(truth: npt.NDArray, made: npt.NDArray) -> dict[str, float]:
    size = int(max(truth.max(), made.max())) + 1
    confusion = np.bincount(truth * size + made, minlength=size**2).reshape(size, size)
    told, said, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    there = (told + said) > 0
    return {
        "F1_macro": confusion_f1(confusion),
        "precision_macro": float(_ratio(right, said)[there].mean()),
        "recall_macro": float(_ratio(right, told)[there].mean()),
    }


def confusion_f1(confusion: npt.NDArray) -> float:
    """Macro F1 over the classes that occur among truths or predictions.

    Args:
        confusion: (C, C) how often a true class (row) was called another (column).
    """
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(_ratio(2 * np.diag(confusion), both)[both > 0].mean())


def _ratio(over: npt.NDArray, under: npt.NDArray) -> Floats:
    """A ratio of nothing counts as 0."""
    return np.divide(over, under, out=np.zeros(len(under)), where=under > 0)


def shares_divergence(truth: npt.NDArray, made: npt.NDArray) -> Floats:
    """Kullback-Leibler divergence of each row (M,), with shares of at least 1e-12 as CityRep has them."""
    p, q = _clipped(truth), _clipped(made)
    return np.asarray((p * (np.log(p) - np.log(q))).sum(axis=1))


def _clipped(shares: npt.NDArray) -> Floats:
    made = np.clip(shares.astype(np.float64), LEAST, 1.0)
    return np.asarray(made / made.sum(axis=1, keepdims=True))


def _of_shares(truth: npt.NDArray, made: npt.NDArray) -> dict[str, float]:
    away = np.abs(_clipped(truth) - _clipped(made))
    return {
        "KL": float(shares_divergence(truth, made).mean()),
        "L1": float(away.sum(axis=1).mean()),
        "Chebyshev": float(away.max(axis=1).mean()),
    }
