"""Scores of pooled held-out predictions with their intervals, and intervals around each prediction.

Intervals of scores come from resampling spatial blocks and seeds, those around predictions are conformal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, Ints
from urbanln.probe.splits import Fold


def r2(truth: Floats, prediction: Floats) -> float:
    """1 - SSE / SST over all rows together, SST about the mean of these same rows; NaN if they are all equal.

    Never the mean of R² over folds or batches: that has another mean in each part and is no R².
    """
    if all_equal(truth):
        return math.nan
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1.0 - float(((truth - prediction) ** 2).sum()) / spread if spread > 0 else math.nan


def all_equal(values: Floats) -> bool:
    """Whether there is one value only: told by the range, since a mean may be off in the last digit."""
    return len(values) == 0 or bool(values.min() == values.max())


def rmse(truth: Floats, prediction: Floats) -> float:
    """Root of the mean squared error, in the unit of the arguments."""
    return float(np.sqrt(((truth - prediction) ** 2).mean()))


def mae(truth: Floats, prediction: Floats) -> float:
    """Mean absolute error, in the unit of the arguments."""
    return float(np.abs(truth - prediction).mean())


def spearman(truth: Floats, prediction: Floats) -> float:
    """Rank correlation, ties at their mean rank; NaN where one side has a single value."""
    a, b = (_ranks(values) - (len(truth) + 1) / 2 for values in (truth, prediction))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else math.nan


def _ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])


@dataclass(frozen=True)
class Difference:
    """The main score minus that of another predictor, on the same folds and resamples, 95 % interval."""

    diff: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """Draws shared by everything compared on the same rows, so that differences are paired.

    Args:
        blocks: (N,) block of each row, numbered from 0.
        block_draws: (R, B) how often each block is in each resample.
        seed_draws: (R, S) weight of each seed in each resample; a row sums to 1.
    """

    blocks: Ints
    block_draws: Floats
    seed_draws: Floats

    @property
    def n_blocks(self) -> int:
        """Number of blocks resampled."""
        return self.block_draws.shape[1]


def draw_resamples(blocks: Ints, seeds: int, count: int = 1000, seed: int = 0) -> Resamples:
    """Draw as many blocks as there are, and as many seeds, with replacement, ``count`` times.

    Neighbouring rows err alike, so rows are no independent draws; blocks nearly are. Seeds are resampled
    beside them, so that the interval holds their spread too.

    Args:
        blocks: (N,) block of each row, numbered from 0.
        seeds: Number of repetitions.
        count: Resamples; 1000 place the ends of a 95 % interval well enough for two digits.
        seed: Of the draws.
    """
    rng = np.random.default_rng([seed, 3])
    size = int(blocks.max()) + 1
    block_draws = rng.multinomial(size, np.full(size, 1 / size), size=count).astype(np.float64)
    seed_draws = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=count) / seeds
    return Resamples(blocks, block_draws, seed_draws)


def bootstrap_r2(truth: Floats, predictions: Floats, resamples: Resamples) -> Floats:
    """R², averaged over seeds, of every resample, (R,); NaN with a single block.

    SST is about the mean of all held-out rows, not about each resample's own: with few blocks the latter
    is too small by the share of variance between blocks, and the interval would slide below the estimate.

    Args:
        truth: (N,) labels.
        predictions: (S, N) held-out predictions of each seed; a row that is NaN in one of them is left out.
        resamples: From :func:`draw_resamples` for these rows.
    """
    count, size = resamples.block_draws.shape
    held = np.isfinite(predictions).all(axis=0)
    if size < 2 or all_equal(truth[held]):
        return np.full(count, np.nan)
    blocks, y = resamples.blocks[held], truth[held] - truth[held].mean()

    def per_block(values: Floats) -> Floats:
        return resamples.block_draws @ np.bincount(blocks, weights=values, minlength=size)

    spread = per_block(y * y)
    error = np.stack([per_block((truth[held] - p[held]) ** 2) for p in predictions], axis=1)  # (R, S)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = 1 - error / np.where(spread > 1e-12 * spread.max(), spread, np.nan)[:, None]
    return np.asarray((resamples.seed_draws * score).sum(axis=1))


def interval(samples: Floats, level: float = 0.95) -> tuple[float, float]:
    """The middle ``level`` of resamples; (NaN, NaN) where none could be computed."""
    known = samples[np.isfinite(samples)]
    if len(known) == 0:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


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
        raise InputError(
            "the level of an interval lies between 0 and 1",
            value=level,
            where="probe.level",
            remedy="give a number between 0 and 1",
        )
    if predictions.shape != (len(folds_by_seed), len(y)):
        raise InputError(
            "predictions are one row per seed and one column per label",
            value=predictions.shape,
            where=f"{len(folds_by_seed)} seeds, {len(y)} labels",
            remedy="give predictions of shape (seeds, labels)",
        )
    half = conformal_reach(np.abs(y - predictions), folds_by_seed, level)
    return predictions - half, predictions + half


def conformal_reach(errors: Floats, folds_by_seed: Sequence[Sequence[Fold]], level: float) -> Floats:
    """The error (S, N) that ``level`` of the rows held out in the other folds of a seed keep within.

    Args:
        errors: (S, N) how badly a held-out prediction fits the truth, NaN where there is none.
        folds_by_seed: S lists of folds, those of the predictions.
        level: Between 0 and 1.

    Returns:
        The ⌈(n + 1) · level⌉-th smallest of the others' n errors, NaN where there are too few.
    """
    reach = np.full(errors.shape, np.nan)
    for seed, folds in enumerate(folds_by_seed):
        for number, fold in enumerate(folds):
            others = [errors[seed][part.test] for at, part in enumerate(folds) if at != number]
            reach[seed, fold.test] = _half_width(np.concatenate([[], *others]), level)
    return reach


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
    return held_share(held, known, blocks) | {"width_median": middle((high - low)[known])}


def held_share(held: npt.NDArray[Any], known: npt.NDArray[Any], blocks: Ints) -> dict[str, float]:
    """The share that is held of what is known, with its 95 % interval over blocks and seeds.

    Args:
        held: (S, N) whether a truth is held, or the share of its parts that are.
        known: (S, N) whether it counts, of the same kind.
        blocks: (N,) spatial block of each row, numbered from 0.

    Returns:
        ``coverage``, ``coverage_low`` and ``coverage_high``; NaN where nothing counts, and ends with one
        block.
    """
    if not known.any():
        return dict.fromkeys(("coverage", "coverage_low", "coverage_high"), math.nan)
    draws = draw_resamples(blocks, len(held))

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
    }


def middle(values: Floats) -> float:
    """The median; NaN of nothing."""
    return float(np.median(values)) if values.size else math.nan


def _half_width(errors: Floats, level: float) -> float:
    known = np.sort(errors[np.isfinite(errors)])
    # A whisker off, so that (n + 1) level = 9.000000000000002 is the ninth and not the tenth.
    rank = math.ceil((len(known) + 1) * level - 1e-9)
    return float(known[rank - 1]) if 0 < rank <= len(known) else math.nan
