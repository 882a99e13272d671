"""Label-efficiency curve: what a predictor reaches when few regions have a label to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from urbanln.base.space import Floats
from urbanln.probe.labels import Labels
from urbanln.probe.metrics import Resamples, bootstrap_r2, interval, r2
from urbanln.probe.splits import MIN_TRAIN, Fold


def curve_sizes(folds_by_seed: Sequence[Sequence[Fold]], sizes: Sequence[int]) -> list[int]:
    """The numbers of labels that every fold of every seed can give, ascending.

    Args:
        folds_by_seed: Folds of every seed.
        sizes: Numbers asked for; one below ``MIN_TRAIN`` is no training set and is left out.
    """
    smallest = min(len(fold.known) for folds in folds_by_seed for fold in folds)
    return [k for k in sorted(set(sizes)) if MIN_TRAIN <= k <= smallest]


def curve_point(labels: Labels, predictions: Floats, resamples: Resamples) -> dict[str, Any]:
    """One point of the curve: ``r2`` (log, mean over seeds) and its 95 % interval, over all held-out rows.

    Args:
        labels: The labelled rows.
        predictions: (S, n) held-out predictions on the scale of ``labels.y``, NaN where a row is never
            held out.
        resamples: From :func:`urbanln.probe.score.label_resamples`.
    """
    held = ~(predictions != predictions).any(axis=0)
    low, high = interval(bootstrap_r2(labels.y, predictions, resamples))
    per_seed = [r2(labels.y[held], row[held]) for row in predictions]
    return {"r2": sum(per_seed) / len(per_seed), "r2_low": low, "r2_high": high}
