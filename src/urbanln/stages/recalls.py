"""Recall out of where right answers stand: per picture, with intervals, beside chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.config import RANKS
from urbanln.base.space import Floats
from urbanln.probe.metrics import interval

DIRECTIONS = ("picture → text", "text → picture")
RULES = ("single truth", "equal captions")
SEED = 0
"""Of the resamples of pictures."""
_CHUNK = 4_000_000  # draws held at once


def chance(right: np.ndarray, keys: np.ndarray, k: int) -> Floats:
    """Probability that a right key is among the first k of a random order, exactly.

    Args:
        right: (Q,) right keys of each query.
        keys: (Q,) keys in all.
        k: How many are looked at.
    """
    none = np.ones(len(right))
    for i in range(k):
        none *= np.where(i < keys, np.clip(keys - right - i, 0, None) / np.clip(keys - i, 1, None), 1)
    return np.asarray(1 - none)


@dataclass(frozen=True, eq=False)
class Tally:
    """What the queries about each picture found, (N,) per picture.

    Attributes:
        image_id: The pictures.
        queries: Queries about each.
        hits: By k: those with a right answer among the first k.
        chance: By k: as many as a random order is expected to give.
    """

    image_id: pd.Index
    queries: Floats
    hits: dict[int, Floats]
    chance: dict[int, Floats]


def tally(found: pd.DataFrame, direction: str, rule: str) -> Tally:
    """Sum up by picture, which is what is drawn anew for an interval.

    Args:
        found: From :func:`urbanln.stages.retrieve.places`.
        direction: One of ``DIRECTIONS``.
        rule: One of ``RULES``.
    """
    rows = found[found["direction"] == direction]
    number, names = pd.factorize(rows["image_id"])
    ahead, right, keys = (rows[name].to_numpy() for name in (f"ahead {rule}", f"right {rule}", "keys"))

    def summed(values: Any = None) -> Floats:
        return np.bincount(number, weights=values, minlength=len(names)).astype(np.float64)

    return Tally(
        pd.Index(names), summed(), {k: summed(ahead < k) for k in RANKS},
        {k: summed(chance(right, keys, k)) for k in RANKS},
    )  # fmt: skip


def resample(columns: Floats, count: int, seed: int = SEED) -> Floats:
    """Sums over pictures drawn with replacement, (R, C); equal draws for equal numbers of pictures.

    Args:
        columns: (N, C) what each picture brings.
        count: Resamples R.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    size = len(columns)
    found = []
    step = max(1, _CHUNK // size)
    for start in range(0, count, step):
        rows = min(step, count - start)
        drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        found.append(np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size) @ columns)
    return np.concatenate(found)


def scores(found: Mapping[str, pd.DataFrame], count: int) -> list[dict[str, Any]]:
    """Recalls of all models with intervals, beside chance.

    Args:
        found: From :func:`urbanln.stages.retrieve.places`, by model; the others are compared with the first.
        count: Resamples.
    """
    rows = []
    for direction in DIRECTIONS:
        for rule in RULES:
            tallies = {name: tally(frame, direction, rule) for name, frame in found.items()}
            first = next(iter(tallies.values()))
            columns = [one.hits[k] for one in tallies.values() for k in RANKS]
            sums = resample(np.column_stack([first.queries, *columns]), count)
            drawn = (sums[:, 1:] / sums[:, :1]).reshape(len(sums), len(tallies), len(RANKS))
            total = first.queries.sum()
            for m, (name, one) in enumerate(tallies.items()):
                for r, k in enumerate(RANKS):
                    low, high = interval(drawn[:, m, r])
                    row = {
                        "model": name, "direction": direction, "rule": rule, "k": k,
                        "recall": float(one.hits[k].sum() / total), "low": low, "high": high,
                        "chance": float(one.chance[k].sum() / total),
                    }  # fmt: skip
                    if m:
                        ends = interval(drawn[:, m, r] - drawn[:, 0, r])
                        diff = float((one.hits[k].sum() - first.hits[k].sum()) / total)
                        row |= {"diff": diff, "diff_low": ends[0], "diff_high": ends[1]}
                    rows.append(row)
    return rows
