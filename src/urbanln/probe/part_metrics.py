"""Scores of classes and shares on pooled held-out rows, resamples, and sets and intervals of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from urbanln.base.kinds import Kind
from urbanln.base.space import Floats, Ints
from urbanln.probe.metrics import Resamples, conformal_reach
from urbanln.probe.simplex import divergence
from urbanln.probe.splits import Fold


class Counts(NamedTuple):
    """How often each class was met; the last axis is that of the C classes.

    Args:
        right: Rows of a class that were predicted as it.
        guessed: Rows predicted as a class.
        there: Rows of a class.
    """

    right: Floats
    guessed: Floats
    there: Floats


def count_classes(y: Floats, made: Floats, blocks: Ints, size: int) -> Counts:
    """Counts (B, C) by block; a row's predicted class is its most probable one, the first of equals.

    Args:
        y: (n, C) one-hot.
        made: (n, C) probabilities.
        blocks: (n,) block of each row.
        size: B.
    """
    classes = y.shape[1]
    truth, guess = y.argmax(axis=1), made.argmax(axis=1)

    def counted(code: Ints, weights: npt.NDArray[np.bool_] | None = None) -> Floats:
        cells = np.bincount(blocks * classes + code, weights, minlength=size * classes)
        return cells.astype(np.float64).reshape(size, classes)

    return Counts(counted(truth, truth == guess), counted(guess), counted(truth))


def class_f1(counts: Counts) -> Floats:
    """F1 of each class, 2 right / (guessed + there); NaN for one that does not occur among the truths."""
    total = counts.guessed + counts.there
    f1 = np.divide(2 * counts.right, total, out=np.zeros(total.shape), where=total > 0)
    return np.where(counts.there > 0, f1, np.nan)


def class_recall(counts: Counts) -> Floats:
    """The share of each class's rows that were predicted as it; NaN for one that does not occur."""
    blank = np.full(counts.there.shape, np.nan)
    return np.divide(counts.right, counts.there, out=blank, where=counts.there > 0)


def mean_of_classes(values: Floats) -> Floats:
    """Mean over the last axis of the classes that occur; NaN where none does."""
    there = np.isfinite(values)
    count = there.sum(axis=-1)
    total = np.where(there, values, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def macro_f1(y: Floats, made: Floats) -> float:
    """F1 of pooled rows, averaged over the classes that occur among their truths."""
    counts = count_classes(y, made, np.zeros(len(y), dtype=np.int64), 1)
    return float(mean_of_classes(class_f1(counts))[0])


def kl_skill(y: Floats, made: Floats, reference: Floats) -> float:
    """1 − mean KL / mean KL of the reference, over pooled rows; NaN where the reference is perfect."""
    base = float(divergence(y, reference).sum())
    return 1 - float(divergence(y, made).sum()) / base if base > 0 else np.nan


def part_score(kind: Kind, y: Floats, made: Floats, reference: Floats) -> float:
    """The main score of one seed: macro F1 of classes, KL skill of shares.

    Args:
        kind: ``"classes"`` or ``"shares"``.
        y: (n, C) truths.
        made: (n, C) predictions; a row that is NaN is left out.
        reference: (n, C) the mean share of the rows known to each.
    """
    held = np.isfinite(made).all(axis=1)
    if kind == "classes":
        return macro_f1(y[held], made[held])
    return kl_skill(y[held], made[held], reference[held])


def part_samples(
    kind: Kind, y: Floats, predictions: Floats, references: Floats, resamples: Resamples
) -> Floats:
    """The main score, averaged over seeds, of every resample, (R,); NaN with a single block.

    A class that a resample has not drawn keeps the F1 that it has among all rows. Left out, a rare class,
    which is hard, would be missing from every third resample or more, and the interval would slide above
    the score.

    Args:
        kind: As of :func:`part_score`, like ``y``.
        y: (n, C) truths.
        predictions: (S, n, C), NaN where a row is not scored in that seed.
        references: (S, n, C).
        resamples: From :func:`urbanln.probe.metrics.draw_resamples` for these rows.
    """
    count, size = resamples.block_draws.shape
    if size < 2:
        return np.full(count, np.nan)
    scores = np.empty((count, len(predictions)))
    for seed, (made, reference) in enumerate(zip(predictions, references, strict=True)):
        held = np.isfinite(made).all(axis=1)
        blocks = resamples.blocks[held]
        if kind == "classes":
            by_block = count_classes(y[held], made[held], blocks, size)
            drawn = class_f1(Counts(*(resamples.block_draws @ counts for counts in by_block)))
            whole = class_f1(Counts(*(counts.sum(axis=0) for counts in by_block)))
            scores[:, seed] = mean_of_classes(np.where(np.isnan(drawn), whole, drawn))
            continue
        far, base = (
            resamples.block_draws @ np.bincount(blocks, divergence(y[held], parts[held]), minlength=size)
            for parts in (made, reference)
        )
        scores[:, seed] = 1 - np.divide(far, base, out=np.full(count, np.nan), where=base > 0)
    return np.asarray((resamples.seed_draws * scores).sum(axis=1))


def confusion(y: Floats, predictions: Floats) -> Floats:
    """(C, C) rows by true (first axis) and predicted class, meaned over seeds.

    Args:
        y: (n, C) one-hot.
        predictions: (S, n, C) probabilities.
    """
    classes = y.shape[1]
    codes = classes * y.argmax(axis=1) + predictions.argmax(axis=2)
    counted = np.bincount(codes.ravel(), minlength=classes**2).reshape(classes, classes)
    return np.asarray(counted / len(predictions))


def class_sets(
    y: Floats, predictions: Floats, folds_by_seed: Sequence[Sequence[Fold]], level: float
) -> npt.NDArray[np.float64]:
    """Conformal sets of classes, (S, n, C): 1 in the set, 0 not, NaN where there is none.

    Cross-conformal as the intervals of numbers. A class is in a row's set if 1 − p of it is no more than the
    ⌈(m + 1) · level⌉-th smallest 1 − p of the true class among the m rows held out in the *other* folds of
    the seed: the sets that are smallest on average (least ambiguous sets: Sadinle, Lei and Wasserman 2019,
    JASA 114). They hold the truth as often as said over all rows, not for each class: how often for each is
    counted and told. A set can be empty.

    Args:
        y: (n, C) one-hot.
        predictions: (S, n, C) probabilities, NaN where a row is not held out.
        folds_by_seed: Those of the predictions.
        level: Share of truths that the sets shall hold.
    """
    strange = 1 - predictions
    true = np.einsum("snc,nc->sn", strange, y)
    reach = conformal_reach(true, folds_by_seed, level)[..., None]
    known = np.isfinite(reach) & np.isfinite(strange)
    return np.where(known, strange <= reach + 1e-12, np.nan)


def share_intervals(
    y: Floats, predictions: Floats, folds_by_seed: Sequence[Sequence[Fold]], level: float
) -> tuple[Floats, Floats]:
    """Conformal intervals of each part by itself, lower and upper ends (S, n, C), within 0 and 1.

    They are those of numbers (:func:`urbanln.probe.metrics.conformal_intervals`) part by part: they say
    nothing of all parts together, which :mod:`urbanln.probe.joint_region` does.
    """
    away = np.abs(y - predictions)
    parts = [conformal_reach(away[..., part], folds_by_seed, level) for part in range(y.shape[1])]
    half = np.stack(parts, axis=-1)
    return np.clip(predictions - half, 0, 1), np.clip(predictions + half, 0, 1)
