"""CityRep's metrics, as it computes them, beside ours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from urbanln.base.space import Floats
from urbanln.cityrep.payloads import Kind

MAIN: Mapping[Kind, str] = {"number": "R2", "classes": "F1_macro", "shares": "KL"}
"""The metric CityRep ranks models by; of shares the lower is the better."""
LEAST = 1e-12


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
    """Means over the classes that occur among truths or predictions; a ratio of nothing counts as 0."""
    size = int(max(truth.max(), made.max())) + 1
    told, said = np.bincount(truth, minlength=size), np.bincount(made, minlength=size)
    right = np.bincount(truth[truth == made], minlength=size)
    there = (told + said) > 0

    def ratio(over: npt.NDArray, under: npt.NDArray) -> float:
        return float(np.divide(over, under, out=np.zeros(size), where=under > 0)[there].mean())

    return {
        "F1_macro": ratio(2 * right, told + said),
        "precision_macro": ratio(right, said),
        "recall_macro": ratio(right, told),
    }


def _of_shares(truth: npt.NDArray, made: npt.NDArray) -> dict[str, float]:
    (p, q) = (np.clip(part.astype(np.float64), LEAST, 1.0) for part in (truth, made))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    away = np.abs(p - q)
    return {
        "KL": float((p * (np.log(p) - np.log(q))).sum(axis=1).mean()),
        "L1": float(away.sum(axis=1).mean()),
        "Chebyshev": float(away.max(axis=1).mean()),
    }
