"""Scores of a transfer between cities, and how its rows look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.files import plain
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats, Ints
from urbanln.probe.kinds import SCORE_NAMES
from urbanln.probe.labels import Labels
from urbanln.probe.metrics import Resamples, bootstrap_r2, interval, r2, rmse, spearman
from urbanln.probe.part_metrics import part_samples, part_score
from urbanln.probe.simplex import evened, one_more

MIN_ROWS = 10  # of a source to fit on, of a target to score on; fewer give no R² worth printing
COLUMNS = (
    "indicator", "source", "target", "features", "head", "k", "n", "n_source", "transform", "r2", "r2_low",
    "r2_high", "rmse", "rmse_log", "spearman", "level_shift", "kind", "score_name", "score", "score_low",
    "score_high", "vs", "reason",
)  # fmt: skip
CONSTANT_FLOORS = ("mean", "nearest-distribution", "target-mean")


@dataclass(frozen=True, eq=False)
class Pair:
    """One indicator, from one or several cities to another.

    Args:
        indicator: Its name.
        source: City fitted on, or ``"all others"``.
        target: City predicted.
        labels: Labelled rows of all cities, on one scale.
        known: Positions in ``labels`` of the source's rows.
        test: Positions in ``labels`` of the target's rows.
    """

    indicator: str
    source: str
    target: str
    labels: Labels
    known: Ints
    test: Ints


def blank_row(
    indicator: str, source: str = "", target: str = "", *, k: int | None = None, reason: str | None = None
) -> dict[str, Any]:
    """A row without a number: what it is about, and the reason."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    return row | {
        "indicator": indicator, "source": source, "target": target, "k": k, "vs": {}, "reason": reason
    }  # fmt: skip


def pair_rows(
    pair: Pair, k: int, found: Mapping[str, Floats], heads: Mapping[str, str], resamples: Resamples
) -> list[dict[str, Any]]:
    """Rows of one pair and ``k``: scores on the target, differences on the same rows and resamples.

    Args:
        pair: What was fitted and predicted.
        k: Labelled regions of the target that were used.
        found: By name of the table or floor: (S, n) predictions of the target's rows on the scale of ``y``,
            (S, n, C) of classes and shares, NaN where a row is not scored in that seed.
        heads: Head by the same names; ``"none"`` for a floor.
        resamples: Of the target's blocks and the seeds.
    """
    blank = blank_row(pair.indicator, pair.source, pair.target, k=k)
    scored = {name: values for name, values in found.items() if _rows(values).any(axis=1).all()}
    if not scored:
        reason = f"with {k} labelled regions fewer than {MIN_ROWS} others are left to score in {pair.target}"
        return [blank | {"reason": reason}]
    kind, y = pair.labels.kind, pair.labels.y[pair.test]
    level = {name: _level(kind, y, values) for name, values in scored.items()}
    samples = {name: _samples(kind, y, values, resamples) for name, values in scored.items()}

    def gap(name: str, other: str) -> dict[str, float]:
        low, high = interval(samples[name] - samples[other])
        return {"diff": level[name] - level[other], "low": low, "high": high}

    rows = []
    for name, values in scored.items():
        low, high = interval(samples[name])
        numbers = {
            "features": name,
            "head": heads[name],
            "n": round(float(np.mean(_rows(values).sum(axis=1)))),
            "n_source": len(pair.known),
            "transform": pair.labels.transform,
            "kind": kind,
            "score_name": SCORE_NAMES[kind],
            "score": level[name],
            "score_low": low,
            "score_high": high,
            "vs": {other: gap(name, other) for other in scored if other != name},
        }
        if kind == "number":
            numbers |= _of_numbers(pair, name, values) | {
                "r2": level[name], "r2_low": low, "r2_high": high
            }  # fmt: skip
        rows.append(blank | plain(numbers))
    return rows


def _rows(values: Floats) -> npt.NDArray[np.bool_]:
    """(S, n) whether a row is scored in a seed."""
    return np.asarray(np.isfinite(values.reshape(*values.shape[:2], -1)).all(axis=2))


def _of_numbers(pair: Pair, name: str, values: Floats) -> dict[str, float | None]:
    y, truth = pair.labels.y[pair.test], pair.labels.truth[pair.test]
    return {
        "rmse": _mean_over_seeds(rmse, truth, pair.labels.restore(values)),
        "rmse_log": _mean_over_seeds(rmse, y, values),
        "spearman": None if name in CONSTANT_FLOORS else _mean_over_seeds(spearman, y, values),
        "level_shift": float(np.median(y) - np.median(pair.labels.y[pair.known])),
    }


def _level(kind: Kind, y: Floats, values: Floats) -> float:
    """The main score, mean over seeds."""
    if kind == "number":
        return _mean_over_seeds(r2, y, values)
    return float(np.mean([part_score(kind, y, made, _own_mean(y, made)) for made in values]))


def _own_mean(y: Floats, made: Floats) -> Floats:
    """(n, C) the mean share of the rows that are scored, which nobody knows who has no label there."""
    held = np.isfinite(made).all(axis=1)
    return np.tile(evened(y[held].mean(axis=0), one_more(int(held.sum()))), (len(y), 1))


def _mean_over_seeds(score: Callable[[Floats, Floats], float], truth: Floats, values: Floats) -> float:
    """The mean of a score over seeds, each on the rows that it scores."""
    return float(np.mean([score(truth[np.isfinite(p)], p[np.isfinite(p)]) for p in values]))


def _samples(kind: Kind, y: Floats, values: Floats, resamples: Resamples) -> Floats:
    """The main score of every resample (R,), seed by seed: with k > 0 each seed scores rows of its own."""
    if kind != "number":
        bases = np.stack([_own_mean(y, made) for made in values])
        return part_samples(kind, y, values, bases, resamples)
    whole = np.ones((len(resamples.seed_draws), 1))
    own = Resamples(resamples.blocks, resamples.block_draws, whole)
    by_seed = np.stack([bootstrap_r2(y, p[None, :], own) for p in values], axis=1)  # (R, S)
    return np.asarray((resamples.seed_draws * by_seed).sum(axis=1))
