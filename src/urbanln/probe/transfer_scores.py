"""Scores of a transfer between cities, and how its rows look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from urbanln.base.space import Floats, Ints
from urbanln.probe.labels import Labels
from urbanln.probe.metrics import Resamples, bootstrap_r2, interval, r2, rmse, spearman

MIN_ROWS = 10  # of a source to fit on, of a target to score on; fewer give no R² worth printing
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


def blank_row(indicator: str, source: str, target: str) -> dict[str, Any]:
    """A row without a number: what it is about, and room for the reason."""
    numbers = ("n", "n_source", "transform", "r2", "r2_low", "r2_high", "rmse", "rmse_log", "spearman")
    empty = dict.fromkeys((*numbers, "level_shift"))
    who = {"indicator": indicator, "source": source, "target": target, "features": None, "head": None}
    return who | {"k": None} | empty | {"vs": {}, "reason": None}


def pair_rows(
    pair: Pair, k: int, found: Mapping[str, Floats], heads: Mapping[str, str], resamples: Resamples
) -> list[dict[str, Any]]:
    """Rows of one pair and ``k``: scores on the target, differences on the same rows and resamples.

    Args:
        pair: What was fitted and predicted.
        k: Labelled regions of the target that were used.
        found: By name of the table or floor: (S, n) predictions of the target's rows on the scale of ``y``,
            NaN where a row is not scored in that seed.
        heads: Head by the same names; ``"none"`` for a floor.
        resamples: Of the target's blocks and the seeds.
    """
    blank = blank_row(pair.indicator, pair.source, pair.target) | {"k": k}
    scored = {name: values for name, values in found.items() if np.isfinite(values).any(axis=1).all()}
    if not scored:
        reason = f"with {k} labelled regions fewer than {MIN_ROWS} others are left to score in {pair.target}"
        return [blank | {"reason": reason}]
    y, truth = pair.labels.y[pair.test], pair.labels.truth[pair.test]
    medians = np.median(y), np.median(pair.labels.y[pair.known])
    samples = {name: _samples(y, values, resamples) for name, values in scored.items()}
    rows = []
    for name, values in scored.items():
        held = [np.isfinite(p) for p in values]
        low, high = interval(samples[name])
        restored = pair.labels.restore(values)
        constant = name in CONSTANT_FLOORS
        ranks = [spearman(y[h], p[h]) for h, p in zip(held, values, strict=True)]
        numbers = {
            "n": round(float(np.mean([h.sum() for h in held]))),
            "n_source": len(pair.known),
            "r2": _mean_r2(y, values),
            "r2_low": low,
            "r2_high": high,
            "rmse": float(np.mean([rmse(truth[h], p[h]) for h, p in zip(held, restored, strict=True)])),
            "rmse_log": float(np.mean([rmse(y[h], p[h]) for h, p in zip(held, values, strict=True)])),
            "spearman": math.nan if constant else float(np.mean(ranks)),
            "level_shift": float(medians[0] - medians[1]),
        }
        rows.append(
            blank
            | {"features": name, "head": heads[name]}
            | {"transform": pair.labels.transform}
            | _plain(numbers)
            | {"vs": _differences(name, y, scored, samples)}
        )
    return rows


def _differences(
    name: str, y: Floats, scored: Mapping[str, Floats], samples: Mapping[str, Floats]
) -> dict[str, dict[str, float | None]]:
    gaps = {}
    for other in scored:
        if other != name:
            low, high = interval(samples[name] - samples[other])
            diff = _mean_r2(y, scored[name]) - _mean_r2(y, scored[other])
            gaps[other] = _plain({"diff": diff, "low": low, "high": high})
    return gaps


def _mean_r2(y: Floats, values: Floats) -> float:
    return float(np.mean([r2(y[np.isfinite(p)], p[np.isfinite(p)]) for p in values]))


def _samples(y: Floats, values: Floats, resamples: Resamples) -> Floats:
    """R² of every resample (R,), seed by seed, since with k > 0 each seed scores rows of its own."""
    whole = np.ones((len(resamples.seed_draws), 1))
    own = Resamples(resamples.blocks, resamples.block_draws, whole)
    by_seed = np.stack([bootstrap_r2(y, p[None, :], own) for p in values], axis=1)  # (R, S)
    return np.asarray((resamples.seed_draws * by_seed).sum(axis=1))


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """None for what is not finite, so that JSON can hold it."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()}
