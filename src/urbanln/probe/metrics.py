"""Scores of pooled held-out predictions, and their intervals by resampling spatial blocks and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from urbanln.base.space import Floats, Ints


def r2(truth: Floats, prediction: Floats) -> float:
    """1 - SSE / SST over all rows together, SST about the mean of these same rows; NaN if they are all equal.

    Never the mean of R² over folds or batches: that has another mean in each part and is no R².
    """
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1.0 - float(((truth - prediction) ** 2).sum()) / spread if spread > 0 else float("nan")


def rmse(truth: Floats, prediction: Floats) -> float:
    """Root of the mean squared error, in the unit of the arguments."""
    return float(np.sqrt(((truth - prediction) ** 2).mean()))


def mae(truth: Floats, prediction: Floats) -> float:
    """Mean absolute error, in the unit of the arguments."""
    return float(np.abs(truth - prediction).mean())


def spearman(truth: Floats, prediction: Floats) -> float:
    """Rank correlation, ties at their mean rank; NaN where one side has a single value."""
    a, b = rankdata(truth) - (len(truth) + 1) / 2, rankdata(prediction) - (len(truth) + 1) / 2
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")


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
    if size < 2:
        return np.full(count, np.nan)
    held = np.isfinite(predictions).all(axis=0)
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
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
