"""What a predictor of classes or shares reaches on held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.autocorrelation import Moran, morans_i_of_parts
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats, Ints
from urbanln.probe.joint_region import JointRegion, joint_region
from urbanln.probe.kinds import SCORE_NAMES
from urbanln.probe.labels import Labels
from urbanln.probe.metrics import Difference, Resamples, held_share, interval, middle
from urbanln.probe.part_floors import part_floor
from urbanln.probe.part_metrics import (
    class_f1,
    class_recall,
    class_sets,
    confusion,
    count_classes,
    mean_of_classes,
    part_samples,
    part_score,
    share_intervals,
)
from urbanln.probe.simplex import divergence
from urbanln.probe.splits import Fold


@dataclass(frozen=True, eq=False)
class PartScores:
    """What a predictor of classes or shares reaches; means over seeds of scores on all rows pooled.

    Args:
        kind: ``"classes"`` or ``"shares"``.
        names: Of the C parts.
        n: Rows scored.
        missing: Rows left out because they have no label.
        score: Macro F1 of classes; of shares 1 − mean KL / mean KL of the known rows' mean share.
        score_sd: Its standard deviation over seeds (0 with one seed).
        score_low: Lower end of the 95 % interval by block bootstrap; NaN with a single block.
        score_high: Upper end.
        score_seeds: Of each seed.
        own: The kind's other scores. Classes: ``chance`` (macro F1 of guessing by frequency, the most that
            can be had without knowing anything: 1 / number of classes that occur), ``accuracy``,
            ``balanced_accuracy``, ``log_loss`` (nats),
            ``set_size`` (mean size of the conformal sets), ``confusion`` (C rows of truths, C columns of
            predictions, mean over seeds). Shares: ``kl`` (nats), ``mae`` (of all parts), ``width`` (median
            width of the intervals); ``joint_coverage`` with its ends and ``joint_width``, of the intervals
            that shall hold all parts at once; ``radius`` (median) and ``radius_coverage`` with its ends, of
            the ball in total variation.
        by_part: Of each part: ``name``; ``n`` and ``f1``, ``recall`` of a class, ``mean`` and ``mae`` of a
            share; ``coverage`` with its ends; ``morans_i``, ``morans_p`` of its residuals.
        morans_i: Moran's I of the residuals of all parts together (:func:`residuals_alike`).
        morans_p: Its pseudo p-value.
        coverage: Share of truths inside their conformal sets, or of parts inside their intervals.
        coverage_low: Lower end of its 95 % interval by block bootstrap.
        coverage_high: Upper end.
        n_blocks: Blocks the intervals of scores are made from.
        rows: (n,) rows of the input that have a label.
        truth: (n,) number of the class among ``names``, or (n, C) shares.
        predictions: (seeds, n, C) held-out parts.
        low: (seeds, n, C) lower ends of the intervals of shares; of classes 1 in the conformal set, 0 not.
        high: (seeds, n, C) upper ends; of classes the same as ``low``.
        samples: (R,) main score of every resample.
        joint: Of shares, where all parts of a row are at once.
        vs: Paired differences in the main score by name of the other predictor.
        adds: What the vectors add to the map, as of :class:`urbanln.probe.measured.Scores`.
    """

    kind: Kind
    names: tuple[str, ...]
    n: int
    missing: int
    score: float
    score_sd: float
    score_low: float
    score_high: float
    score_seeds: tuple[float, ...]
    own: dict[str, Any]
    by_part: list[dict[str, Any]]
    morans_i: float
    morans_p: float
    coverage: float
    coverage_low: float
    coverage_high: float
    n_blocks: int
    rows: Ints = field(repr=False)
    truth: Floats = field(repr=False)
    predictions: Floats = field(repr=False)
    low: Floats = field(repr=False)
    high: Floats = field(repr=False)
    samples: Floats = field(repr=False)
    joint: JointRegion | None = field(default=None, repr=False)
    vs: dict[str, Difference] = field(default_factory=dict)
    adds: Difference | None = None

    @property
    def score_name(self) -> str:
        """``"macro_f1"`` or ``"kl_skill"``."""
        return SCORE_NAMES[self.kind]

    def at_once(self) -> tuple[Floats, Floats]:
        """Ends (seeds, n, C) of the intervals that hold all parts of a row at once; NaN of classes."""
        blank = np.full(self.predictions.shape, np.nan)
        return (blank, blank) if self.joint is None else self.joint.ends(self.predictions)


def mean_share(labels: Labels, folds_by_seed: Sequence[Sequence[Fold]]) -> Floats:
    """(S, n, C) the mean share of the rows known to each, which KL skill is measured from: the mean floor."""
    hard = labels.kind == "classes"
    floors = [part_floor("mean", labels.metres, labels.y, folds, 0, hard) for folds in folds_by_seed]
    return np.stack(floors)


def measure_parts(
    labels: Labels,
    predictions: Floats,
    resamples: Resamples,
    folds_by_seed: Sequence[Sequence[Fold]],
    level: float,
) -> PartScores:
    """Scores of held-out parts; see :func:`urbanln.probe.measured.measure`."""
    kind, y = labels.kind, labels.y
    held = np.asarray(np.isfinite(predictions).all(axis=(0, 2)))
    scored = np.where(held[None, :, None], predictions, np.nan)
    references = mean_share(labels, folds_by_seed)
    samples = part_samples(kind, y, scored, references, resamples)
    low, high = interval(samples)
    seeds = tuple(part_score(kind, y, made, base) for made, base in zip(scored, references, strict=True))
    told = _classes if kind == "classes" else _shares
    found = told(labels, predictions, held, resamples.blocks, folds_by_seed, level)
    together, each = residuals_alike(labels, predictions, held)
    for part, moran in zip(found["by_part"], each, strict=True):
        part |= {"morans_i": moran.i, "morans_p": moran.p}
    return PartScores(
        kind=kind,
        names=labels.names,
        n=int(held.sum()),
        missing=labels.missing,
        score=float(np.mean(seeds)),
        score_sd=float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0,
        score_low=low,
        score_high=high,
        score_seeds=seeds,
        n_blocks=resamples.n_blocks,
        rows=labels.rows,
        truth=labels.truth,
        predictions=predictions,
        samples=samples,
        morans_i=together.i,
        morans_p=together.p,
        **found,
    )


def residuals_alike(
    labels: Labels, predictions: Floats, held: npt.NDArray[np.bool_]
) -> tuple[Moran, list[Moran]]:
    """Moran's I of truth less the mean prediction over seeds: of all parts together, and of each.

    Of a class the truth is 1 at its regions, so that one measure serves classes and shares.

    Args:
        labels: The labelled rows.
        predictions: (S, n, C).
        held: (n,) rows that are predicted in every seed.
    """
    residuals = labels.y[held] - predictions[:, held].mean(axis=0)
    return morans_i_of_parts(residuals, labels.metres[held])


def _classes(
    labels: Labels,
    predictions: Floats,
    held: npt.NDArray[np.bool_],
    blocks: Ints,
    folds_by_seed: Sequence[Sequence[Fold]],
    level: float,
) -> dict[str, Any]:
    """What is told of classes alone."""
    y, own = labels.y[held], predictions[:, held]
    one = np.zeros(len(y), dtype=np.int64)
    counts = [count_classes(y, made, one, 1) for made in own]
    f1, recall = (np.mean([of(each)[0] for each in counts], axis=0) for of in (class_f1, class_recall))
    sets = class_sets(labels.y, predictions, folds_by_seed, level)
    known = np.asarray(np.isfinite(sets).all(axis=2))
    hit = known & (np.einsum("snc,nc->sn", sets, labels.y) > 0)
    by_part = []
    for number, name in enumerate(labels.names):
        of_class = labels.truth == number
        reached = held_share(hit & of_class, known & of_class, blocks)
        numbers = {"n": int(y[:, number].sum()), "f1": float(f1[number]), "recall": float(recall[number])}
        by_part.append({"name": name, **numbers, **reached})
    numbers = {
        "chance": 1 / int((y.sum(axis=0) > 0).sum()),
        "accuracy": float(np.mean([each.right.sum() / len(y) for each in counts])),
        "balanced_accuracy": float(np.mean([mean_of_classes(class_recall(each))[0] for each in counts])),
        "log_loss": float(divergence(y, own).mean()),
        "set_size": float(sets[known].sum(axis=1).mean()) if known.any() else float("nan"),
        "confusion": confusion(y, own).tolist(),
    }
    return {"own": numbers, "by_part": by_part, "low": sets, "high": sets, **held_share(hit, known, blocks)}


def _shares(
    labels: Labels,
    predictions: Floats,
    held: npt.NDArray[np.bool_],
    blocks: Ints,
    folds_by_seed: Sequence[Sequence[Fold]],
    level: float,
) -> dict[str, Any]:
    """What is told of shares alone."""
    y, own = labels.y[held], predictions[:, held]
    low, high = share_intervals(labels.y, predictions, folds_by_seed, level)
    known = np.isfinite(low) & np.isfinite(high)
    hit = known & (low - 1e-12 <= labels.y) & (labels.y <= high + 1e-12)
    away = np.abs(own - y).mean(axis=(0, 1))
    by_part = [
        {"name": name, "mean": float(y[:, part].mean()), "mae": float(away[part])}
        | held_share(hit[..., part], known[..., part], blocks)
        for part, name in enumerate(labels.names)
    ]
    numbers = {
        "kl": float(divergence(y, own).mean()),
        "mae": float(away.mean()),
        "width": middle((high - low)[known]),
    }
    pooled = held_share(hit.mean(axis=2), np.asarray(known.all(axis=2)), blocks)
    joint = joint_region(labels.y, predictions, folds_by_seed, level)
    numbers |= joint.reached(labels.y, predictions, blocks)
    return {"own": numbers, "by_part": by_part, "low": low, "high": high, "joint": joint, **pooled}
