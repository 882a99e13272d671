"""Conformal prediction intervals per region, and the coverage that they really reach."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, Ints
from urbanln.probe.metrics import draw_resamples, interval
from urbanln.probe.splits import Fold


def conformal_intervals(
    y: Floats, predictions: Floats, folds_by_seed: Sequence[Sequence[Fold]], level: float
) -> tuple[Floats, Floats]:
    """An interval around every held-out prediction, from the errors of the other folds.

    Cross-conformal (Vovk 2015, Ann. Math. Artif. Intell. 74): a fold's interval is its prediction plus and
    minus the ⌈(n + 1) level⌉-th smallest absolute error of the n rows held out in the other folds of the
    same seed. The level is reached where errors of the folds are exchangeable. Across spatial blocks they
    need not be, and the models behind the other folds' errors have seen this fold's labels; what is
    reached is counted by :func:`coverage` and told beside the interval, never assumed.

    Args:
        y: (N,) labels.
        predictions: (S, N) held-out predictions of each seed on the scale of ``y``, NaN where none.
        folds_by_seed: S lists of folds, those of the predictions.
        level: Share of truths that the interval shall hold, between 0 and 1.

    Returns:
        Lower and upper ends, (S, N) each, on the scale of ``y``. NaN where there is no prediction, and where
        the other folds have too few rows for the level (a single fold has no others).

    Raises:
        InputError: The level is not between 0 and 1, or shapes do not fit.
    """
    if not 0 < level < 1:
        raise InputError("the level of an interval lies between 0 and 1", value=level)
    if predictions.shape != (len(folds_by_seed), len(y)):
        raise InputError(
            "predictions are one row per seed and one column per label",
            value=predictions.shape,
            where=f"{len(folds_by_seed)} seeds, {len(y)} labels",
        )
    half = np.full(predictions.shape, np.nan)
    for seed, folds in enumerate(folds_by_seed):
        error = np.abs(y - predictions[seed])
        for number, fold in enumerate(folds):
            others = [part.test for at, part in enumerate(folds) if at != number]
            rows = np.concatenate([np.zeros(0, dtype=np.int64), *others])
            half[seed, fold.test] = _half_width(error[rows], level)
    return predictions - half, predictions + half


def coverage(truth: Floats, low: Floats, high: Floats, blocks: Ints) -> dict[str, float]:
    """How many truths the intervals really hold, and how wide they are.

    Args:
        truth: (N,) labels, on the scale of the ends.
        low: (S, N) lower ends, NaN where there is no interval; such a row does not count.
        high: (S, N) upper ends.
        blocks: (N,) spatial block of each row, numbered from 0: rows of a block err together, so the
            interval of the coverage is made by resampling blocks and seeds.

    Returns:
        ``coverage``; ``coverage_low`` and ``coverage_high``, the ends of its 95 % interval (NaN with a
        single block); ``width_median``. All NaN where there is no interval at all.
    """
    known = np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return dict.fromkeys(("coverage", "coverage_low", "coverage_high", "width_median"), math.nan)
    # A whisker: where labels have twins intervals may be points, and the way to the unit and back rounds.
    whisker = 1e-12 * float(np.abs(truth).max())
    held = known & (low - whisker <= truth) & (truth <= high + whisker)
    draws = draw_resamples(blocks, len(low))

    def resampled(mask: np.ndarray) -> Floats:
        per_block = np.stack([np.bincount(blocks, weights=row, minlength=draws.n_blocks) for row in mask])
        return np.einsum("rb,sb,rs->r", draws.block_draws, per_block, draws.seed_draws, optimize=True)

    counted = resampled(known)
    samples = np.divide(resampled(held), counted, out=np.full(len(counted), np.nan), where=counted > 0)
    ends = interval(samples) if draws.n_blocks > 1 else (math.nan, math.nan)
    return {
        "coverage": float(held.sum() / known.sum()),
        "coverage_low": ends[0],
        "coverage_high": ends[1],
        "width_median": float(np.median((high - low)[known])),
    }


def _half_width(errors: Floats, level: float) -> float:
    known = np.sort(errors[np.isfinite(errors)])
    # A whisker off, so that (n + 1) level = 9.000000000000002 is the ninth and not the tenth.
    rank = math.ceil((len(known) + 1) * level - 1e-9)
    return float(known[rank - 1]) if 0 < rank <= len(known) else math.nan
