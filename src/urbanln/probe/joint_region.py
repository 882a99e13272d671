"""Where all shares of a region are at once: intervals that hold together, and a ball, by conformal scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from urbanln.base.space import Floats, Ints
from urbanln.probe.metrics import conformal_reach, held_share, middle
from urbanln.probe.simplex import total_variation
from urbanln.probe.splits import Fold, each_fold

_LEAST = 0.05  # of the part that is hardest to predict: a part that is always 0 must not decide for all
_WHISKER = 1e-12  # what a subtraction loses


@dataclass(frozen=True, eq=False)
class JointRegion:
    """Where all shares of a region are at once: one number per fold and part, since the errors of the other
    folds decide it.

    Args:
        fold: (S, n) number of the fold that holds a row out, −1 where none does.
        half: (S, K, C) how far each part may be from its prediction; NaN where too few rows are known.
        radius: (S, K) how far the shares may be in total variation, the part of the whole that stands
            elsewhere.
    """

    fold: Ints
    half: Floats
    radius: Floats

    def ends(self, predictions: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends (S, n, C) of each part's interval, within 0 and 1."""
        half = _of_rows(self.half, self.fold)
        return np.clip(predictions - half, 0, 1), np.clip(predictions + half, 0, 1)

    def radii(self) -> Floats:
        """(S, n) radius of each row."""
        return _of_rows(self.radius, self.fold)

    def reached(self, y: Floats, predictions: Floats, blocks: Ints) -> dict[str, float]:
        """How often the intervals hold all shares of a row at once, and the ball holds them.

        Args:
            y: (n, C) shares.
            predictions: (S, n, C).
            blocks: (n,) spatial block of each row.

        Returns:
            ``joint_coverage`` and ``radius_coverage`` with their ends (as of
            :func:`urbanln.probe.metrics.held_share`), ``joint_width`` and ``radius`` (medians).
        """
        low, high = self.ends(predictions)
        known, radii = np.isfinite(low[..., 0]), self.radii()
        hit = known & np.all((low - _WHISKER <= y) & (y <= high + _WHISKER), axis=2)
        near = np.isfinite(radii) & (total_variation(y, predictions) <= radii + _WHISKER)
        intervals, ball = held_share(hit, known, blocks), held_share(near, np.isfinite(radii), blocks)
        return {
            **{f"joint_{name}": value for name, value in intervals.items()},
            "joint_width": middle((high - low)[known]),
            **{f"radius_{name}": value for name, value in ball.items()},
            "radius": middle(radii[np.isfinite(radii)]),
        }


def _of_rows(values: Floats, fold: Ints) -> Floats:
    """What stands per seed and fold, (S, K) or (S, K, C), for each row; NaN where none holds it out."""
    rows = values[np.arange(len(values))[:, None], fold]
    return np.where(fold.reshape(*fold.shape, *[1] * (values.ndim - 2)) < 0, np.nan, rows)


def joint_region(
    y: Floats, predictions: Floats, folds_by_seed: Sequence[Sequence[Fold]], level: float
) -> JointRegion:
    """Intervals that hold all shares of a row at once as often as ``level``, and a ball around a prediction.

    Intervals: a row's score is its largest error over the parts, each in units of the part's mean absolute
    error; a fold's intervals are that unit times the ⌈(m + 1) · level⌉-th smallest score of the m rows held
    out in the other folds of the seed, as the intervals of numbers are. The unit of a fold, too, is that of
    the other folds, so that no row is judged by a unit that it has helped to make: among few rows the level
    would not be reached else. Ball: the same quantile of total variation.

    The level is reached where errors are exchangeable, which those of spatial blocks need not be: what is
    reached is counted.

    Args:
        y: (n, C) shares.
        predictions: (S, n, C) held-out shares, NaN where a row is not held out.
        folds_by_seed: Those of the predictions.
        level: Share of rows that intervals, and balls, shall hold.
    """
    away, far = np.abs(y - predictions), total_variation(y, predictions)
    shape = len(predictions), max(map(len, folds_by_seed))
    fold = np.full(far.shape, -1, dtype=np.int64)
    for seed, number, part in each_fold(folds_by_seed):
        fold[seed, part.test] = number
    unit = np.full((*shape, y.shape[1]), np.nan)
    for seed, number, _ in each_fold(folds_by_seed):
        others = away[seed][(fold[seed] >= 0) & (fold[seed] != number)]
        if len(others := others[np.isfinite(others).all(axis=1)]):
            mean = others.mean(axis=0)
            unit[seed, number] = np.maximum(mean, max(_LEAST * mean.max(), np.finfo(float).tiny))
    score = (away / _of_rows(unit, fold)).max(axis=2)
    of_row = [conformal_reach(errors, folds_by_seed, level) for errors in (score, far)]
    reach, radius = np.full((2, *shape), np.nan)
    for seed, number, part in each_fold(folds_by_seed):
        if len(part.test):  # all rows of a fold have the same
            reach[seed, number], radius[seed, number] = (one[seed, part.test[0]] for one in of_row)
    return JointRegion(fold, reach[..., None] * unit, radius)
