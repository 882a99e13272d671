"""Retrieval, chance and its interval, one query and one order at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np


def slow_places(
    query: np.ndarray, key: np.ndarray, query_ids: np.ndarray, key_ids: np.ndarray
) -> tuple[list[int], list[int]]:
    """Per query: wrong keys that are no farther than the nearest right one, and right keys."""
    ahead, right = [], []
    for vector, ids in zip(query, query_ids, strict=True):
        good = [any(a == b and a >= 0 for a, b in zip(ids, own, strict=True)) for own in key_ids]
        near = [float(vector @ other) for other in key]
        best = max((s for s, g in zip(near, good, strict=True) if g), default=-np.inf)
        ahead.append(sum(s > best - 1e-9 for s, g in zip(near, good, strict=True) if not g))
        right.append(sum(good))
    return ahead, right


def slow_chance(right: Sequence[int], keys: int, k: int) -> float:
    """Share of queries with a right one among k keys drawn from all, over every way to draw them."""
    found = []
    for count in right:
        draws = list(combinations(range(keys), min(k, keys)))
        found.append(sum(any(j < count for j in draw) for draw in draws) / len(draws))
    return float(np.mean(found))
