"""Scores of held-out predictions: CityRep's by seed, ours pooled, with an interval over blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from urbanln.base.kinds import Kind
from urbanln.base.space import Floats
from urbanln.cityrep.metrics import MAIN, confusion_f1, metrics, shares_divergence
from urbanln.cityrep.payloads import Payload
from urbanln.probe.metrics import Resamples, bootstrap_r2, draw_resamples, interval

RESAMPLES = 1000


class Score(NamedTuple):
    """A score, in CityRep's main metric of the label's kind.

    Attributes:
        value: Mean over seeds, or pooled.
        seeds: By seed; one where predictions were pooled.
        others: CityRep's metrics, means over seeds.
        samples: (R,) of resampled blocks, the same blocks for all that is scored on a task; empty where seeds
            hold out different samples.
    """

    value: float
    seeds: tuple[float, ...]
    others: dict[str, float]
    samples: Floats

    @property
    def ends(self) -> tuple[float, float]:
        """The 95 % interval over blocks; NaN where none was made."""
        return interval(self.samples)


def by_seed(payload: Payload, tests: list[npt.NDArray], made: list[npt.NDArray]) -> Score:
    """CityRep's score: of each seed's held-out samples, then their mean.

    Args:
        payload: The samples.
        tests: Numbers of the held-out samples of each seed.
        made: Predictions for them.
    """
    kind = payload.task.kind
    found = [metrics(kind, payload.y[test], part) for test, part in zip(tests, made, strict=True)]
    means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    seeds = tuple(one[MAIN[kind]] for one in found)
    return Score(means[MAIN[kind]], seeds, means, np.empty(0))


def pooled(payload: Payload, made: npt.NDArray, blocks: npt.NDArray[np.int64]) -> Score:
    """The score of all samples, each held out once, and that of resampled blocks.

    Args:
        payload: The samples.
        made: (N,) predictions, or (N, C) probabilities or shares.
        blocks: (N,) block of each sample.
    """
    kind = payload.task.kind
    found = metrics(kind, payload.y, made)
    numbers = np.unique(blocks, return_inverse=True)[1].astype(np.int64)
    draws = draw_resamples(numbers, 1, RESAMPLES)
    samples = _resampled(kind, payload.y, made, draws)
    return Score(found[MAIN[kind]], (found[MAIN[kind]],), found, samples)


def _resampled(kind: Kind, truth: npt.NDArray, made: npt.NDArray, draws: Resamples) -> Floats:
    size = draws.n_blocks
    if size < 2:
        return np.full(len(draws.block_draws), np.nan)
    if kind == "number":
        return bootstrap_r2(truth.astype(np.float64), made.astype(np.float64)[None], draws)
    counts = draws.block_draws @ np.bincount(draws.blocks, minlength=size)
    if kind == "shares":
        away = np.bincount(draws.blocks, weights=shares_divergence(truth, made), minlength=size)
        return np.asarray(draws.block_draws @ away / counts)
    said, classes = made.argmax(axis=1), made.shape[1]
    pairs = (draws.blocks * classes + truth) * classes + said
    confusion = np.bincount(pairs, minlength=size * classes**2).reshape(size, -1)
    return np.array([confusion_f1(row.reshape(classes, -1)) for row in draws.block_draws @ confusion])


def as_row(score: Score, payload: Payload, **names: Any) -> dict[str, Any]:
    """A row of ``cityrep.json``: what was scored, and its score."""
    low, high = score.ends
    task = payload.task
    return {
        "task": task.name, "city": task.city, "label": task.label, "kind": task.kind, **names,
        "n": len(payload), "metric": MAIN[task.kind], "score": score.value,
        "score_sd": float(np.std(score.seeds)), "score_seeds": list(score.seeds), "low": low, "high": high,
        "metrics": score.others, "samples": score.samples.round(6).tolist(),
    }  # fmt: skip
