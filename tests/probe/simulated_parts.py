"""Simulated classes and shares: of the vectors, of the map, of neither."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    made = np.exp(logits - logits.max(axis=1, keepdims=True))
    return made / made.sum(axis=1, keepdims=True)


def world(n: int = 240, classes: int = 3, seed: int = 0):
    """Places on 20 km, vectors without a place, and parts that each of them decides."""
    rng = np.random.default_rng(seed)
    lonlat = np.column_stack([114 + 0.2 * rng.random(n), 30 + 0.2 * rng.random(n)])
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    of_vectors = softmax(3 * vectors[:, :classes].astype(float))
    east, north = (40 * (lonlat - lonlat.mean(axis=0))).T
    waves = np.column_stack([np.sin(east), np.cos(north), np.sin(east + north)])[:, :classes]
    return lonlat, vectors, of_vectors, softmax(3 * waves)


def drawn(parts: np.ndarray, seed: int = 0) -> np.ndarray:
    """A class of each row, drawn by its parts."""
    dice = np.random.default_rng([seed, 1]).random((len(parts), 1))
    return np.array(["field", "town", "water", "wood"])[(parts.cumsum(axis=1) > dice).argmax(axis=1)]
