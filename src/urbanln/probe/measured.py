"""What a predictor reaches on held-out rows: scores of numbers, and paired differences of any label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from urbanln.base.autocorrelation import morans_i
from urbanln.base.errors import InputError
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats, Ints
from urbanln.probe.kinds import SCORE_NAMES, MainScore
from urbanln.probe.labels import Labels, Transform
from urbanln.probe.metrics import (
    Difference,
    Resamples,
    bootstrap_r2,
    conformal_intervals,
    coverage,
    interval,
    mae,
    r2,
    rmse,
    spearman,
)
from urbanln.probe.part_metrics import part_samples, part_score
from urbanln.probe.part_scores import PartScores, mean_share, measure_parts
from urbanln.probe.splits import Fold

LEVEL = 0.9


@dataclass(frozen=True, eq=False)
class Scores:
    """What a predictor reaches on held-out rows; means over seeds of scores on all rows pooled.

    Args:
        n: Rows scored.
        missing: Rows left out because they have no label.
        dropped_zeros: Rows left out because 0 has no logarithm (only under the transform ``"log"``).
        transform: ``"log1p"``, ``"log"`` or ``"none"``; "log" below means this scale.
        r2: R² in log, against the mean of the pooled held-out rows.
        r2_sd: Its standard deviation over seeds (0 with one seed).
        r2_low: Lower end of the 95 % interval by block bootstrap; NaN with a single block.
        r2_high: Upper end.
        r2_seeds: R² of each seed.
        r2_unit: R² in the label's own unit.
        rmse_log: Root mean squared error in log.
        mae_log: Mean absolute error in log.
        rmse: Root mean squared error in the label's own unit.
        mae: Mean absolute error in the label's own unit.
        spearman: Rank correlation; NaN for constant predictions.
        morans_i: Moran's I of the residuals in log, meaned over seeds: what the map still holds.
        morans_p: Its pseudo p-value.
        coverage: Share of truths inside their conformal intervals; NaN where there are none.
        coverage_low: Lower end of its 95 % interval by block bootstrap.
        coverage_high: Upper end.
        width: Median width of the conformal intervals in the label's own unit.
        n_blocks: Blocks the intervals of scores are made from.
        rows: (n,) rows of the input that have a label.
        truth: (n,) labels in their own unit.
        predictions: (seeds, n) held-out predictions in the label's own unit.
        low: (seeds, n) lower ends of the conformal intervals in the label's own unit.
        high: (seeds, n) upper ends.
        samples: (R,) R² of every resample.
        vs: Paired differences by name of the other predictor.
        adds: What the vectors add to the map: R² of both together less that of the map alone, paired,
            under the same head. None where it was not asked for.
    """

    n: int
    missing: int
    dropped_zeros: int
    transform: Transform
    r2: float
    r2_sd: float
    r2_low: float
    r2_high: float
    r2_seeds: tuple[float, ...]
    r2_unit: float
    rmse_log: float
    mae_log: float
    rmse: float
    mae: float
    spearman: float
    morans_i: float
    morans_p: float
    coverage: float
    coverage_low: float
    coverage_high: float
    width: float
    n_blocks: int
    rows: Ints = field(repr=False)
    truth: Floats = field(repr=False)
    predictions: Floats = field(repr=False)
    low: Floats = field(repr=False)
    high: Floats = field(repr=False)
    samples: Floats = field(repr=False)
    vs: dict[str, Difference] = field(default_factory=dict)
    adds: Difference | None = None

    @property
    def kind(self) -> Kind:
        """``"number"``."""
        return "number"

    @property
    def score_name(self) -> str:
        """``"r2"``, the main score of numbers, which those below repeat."""
        return SCORE_NAMES["number"]

    @property
    def score(self) -> float:
        """R²."""
        return self.r2

    @property
    def score_sd(self) -> float:
        """Its standard deviation over seeds."""
        return self.r2_sd

    @property
    def score_low(self) -> float:
        """Lower end of its interval."""
        return self.r2_low

    @property
    def score_high(self) -> float:
        """Upper end."""
        return self.r2_high

    @property
    def score_seeds(self) -> tuple[float, ...]:
        """Of each seed."""
        return self.r2_seeds


AnyScores: TypeAlias = Scores | PartScores


def measure(
    labels: Labels,
    predictions: Floats,
    resamples: Resamples,
    folds_by_seed: Sequence[Sequence[Fold]],
    level: float = LEVEL,
) -> AnyScores:
    """Scores of held-out predictions.

    Args:
        labels: The labelled rows.
        predictions: (S, n) on the scale of ``labels.y``, (S, n, C) of classes and shares; a row that is NaN
        in
            one seed is left out.
        resamples: Blocks drawn, the same for everything that is compared.
        folds_by_seed: Folds behind the predictions, for the conformal intervals.
        level: Share of truths that an interval shall hold.

    Raises:
        InputError: Fewer than two rows were held out.
    """
    held = _held(predictions)
    if held.sum() < 2:
        what = "fewer than two rows were held out"
        raise InputError(
            what, value=int(held.sum()), where="predictions", remedy="label more regions, or use fewer folds"
        )
    if labels.kind != "number":
        return measure_parts(labels, predictions, resamples, folds_by_seed, level)
    samples = bootstrap_r2(labels.y, predictions, resamples)
    r2_low, r2_high = interval(samples)
    residuals = (labels.y - predictions.mean(axis=0))[held]
    moran = morans_i(residuals, labels.metres[held])
    # Ends are turned back before they are counted: a share does not change by it, and the width is in units.
    low, high = (
        labels.restore(end) for end in conformal_intervals(labels.y, predictions, folds_by_seed, level)
    )
    reached = coverage(labels.truth, low, high, resamples.blocks)
    return Scores(
        n=int(held.sum()),
        missing=labels.missing,
        dropped_zeros=labels.dropped_zeros,
        transform=labels.transform,
        r2_low=r2_low,
        r2_high=r2_high,
        morans_i=moran.i,
        morans_p=moran.p,
        coverage=reached["coverage"],
        coverage_low=reached["coverage_low"],
        coverage_high=reached["coverage_high"],
        width=reached["width_median"],
        n_blocks=resamples.n_blocks,
        rows=labels.rows,
        truth=labels.truth,
        predictions=labels.restore(predictions),
        low=low,
        high=high,
        samples=samples,
        **_errors(labels, predictions, held),
    )


def _held(predictions: Floats) -> npt.NDArray[np.bool_]:
    """(n,) rows that are predicted in every seed, whole."""
    return np.asarray(np.isfinite(predictions.reshape(*predictions.shape[:2], -1)).all(axis=(0, 2)))


def _errors(labels: Labels, predictions: Floats, held: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Scores of the pooled held-out rows, in log and in the label's own unit, as means over seeds."""
    y, truth = labels.y[held], labels.truth[held]
    logs = [p[held] for p in predictions]
    units = [p[held] for p in labels.restore(predictions)]
    seeds = tuple(r2(y, p) for p in logs)
    return {
        "r2": float(np.mean(seeds)),
        "r2_sd": float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0,
        "r2_seeds": seeds,
        "r2_unit": float(np.mean([r2(truth, p) for p in units])),
        "rmse_log": float(np.mean([rmse(y, p) for p in logs])),
        "mae_log": float(np.mean([mae(y, p) for p in logs])),
        "rmse": float(np.mean([rmse(truth, p) for p in units])),
        "mae": float(np.mean([mae(truth, p) for p in units])),
        "spearman": float(np.mean([spearman(y, p) for p in logs])),
    }


def difference(scores: AnyScores, other: AnyScores) -> Difference:
    """Paired difference in the main score: same rows, same folds, same resamples."""
    low, high = interval(scores.samples - other.samples)
    return Difference(scores.score - other.score, low, high)


def main_score_of(
    labels: Labels,
    predictions: Floats,
    resamples: Resamples,
    folds_by_seed: Sequence[Sequence[Fold]],
) -> MainScore:
    """The main score alone, mean over seeds, with its interval; arguments as of :func:`measure`.

    Args:
        labels, predictions, resamples: As there.
        folds_by_seed: Folds that give the mean share of the known rows, which KL skill is measured from.
    """
    rows = _held(predictions)
    if labels.kind == "number":
        low, high = interval(bootstrap_r2(labels.y, predictions, resamples))
        seeds = [r2(labels.y[rows], own[rows]) for own in predictions]
    else:
        made = np.where(rows[:, None], predictions, np.nan)
        base = mean_share(labels, folds_by_seed)
        low, high = interval(part_samples(labels.kind, labels.y, made, base, resamples))
        seeds = [part_score(labels.kind, labels.y, own, at) for own, at in zip(made, base, strict=True)]
    return MainScore(sum(seeds) / len(seeds), low, high)
