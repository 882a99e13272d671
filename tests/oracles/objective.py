"""Contrast, distillation and the ring of features, one number at a time in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Vector = np.ndarray


@dataclass
class Ring:
    """A queue as a list of slots, each (image, text, id) or empty."""

    size: int
    slots: list[tuple[Vector, Vector, int | tuple[int, ...]] | None] = field(default_factory=list)
    pointer: int = 0

    def push(self, image: np.ndarray, text: np.ndarray, ids: Sequence[int | tuple[int, ...]]) -> None:
        """One pair after the other over the oldest."""
        self.slots = self.slots or [None] * self.size
        for one in zip(image, text, ids, strict=True):
            self.slots[self.pointer] = one
            self.pointer = (self.pointer + 1) % self.size


@dataclass
class Key:
    """One column: its vector, its id, and the row it is the own pair of (or None)."""

    vector: Vector
    id: int | tuple[int, ...]
    row: int | None


def softmax(logits: list[float]) -> list[float]:
    """Exponentials over their sum."""
    top = max(logits)
    total = sum(math.exp(x - top) for x in logits)
    return [math.exp(x - top) / total for x in logits]


def same(one: int | tuple[int, ...], other: int | tuple[int, ...]) -> bool:
    """Equal ids, or tuples of ids that agree somewhere."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return any(a == b for a, b in zip(one, other, strict=True))
    return one == other


def allowed(row: int, own_id: int | tuple[int, ...], keys: list[Key]) -> list[Key]:
    """The own pair, and every key of another id."""
    return [key for key in keys if key.row == row or not same(key.id, own_id)]


def losses(
    queries: np.ndarray,
    teacher_queries: np.ndarray,
    keys: list[Key],
    contrast_keys: list[Key],
    ids: Sequence[int | tuple[int, ...]],
    scale: float,
) -> tuple[float, float, float]:
    """L_C, L_D and H of one direction, means over the rows."""
    contrast, divergence, entropy = [], [], []
    for row, own_id in enumerate(ids):
        seen = allowed(row, own_id, contrast_keys)
        p = softmax([scale * float(queries[row] @ key.vector) for key in seen])
        contrast.append(-math.log(p[[key.row for key in seen].index(row)]))
        seen = allowed(row, own_id, keys)
        p = softmax([scale * float(queries[row] @ key.vector) for key in seen])
        q = softmax([scale * float(teacher_queries[row] @ key.vector) for key in seen])
        divergence.append(sum(b * math.log(b / a) for a, b in zip(p, q, strict=True) if b > 0))
        entropy.append(-sum(b * math.log(b) for b in q if b > 0))
    return float(np.mean(contrast)), float(np.mean(divergence)), float(np.mean(entropy))


def distilled(
    v: np.ndarray,
    t: np.ndarray,
    v_m: np.ndarray,
    t_m: np.ndarray,
    ring: Ring,
    ids: Sequence[int | tuple[int, ...]],
    scale: float,
    mode: str,
) -> tuple[float, float, float]:
    """L_C, L_D and H, means of both directions, in one process."""
    parts = []
    for queries, teacher_queries, own_keys, student_keys, place in ((v, v_m, t_m, t, 1), (t, t_m, v_m, v, 0)):
        live = [Key(own_keys[row], one, row) for row, one in enumerate(ids)]
        queued = [Key(slot[place], slot[2], None) for slot in ring.slots if slot is not None]
        keys = live + queued
        batch = [Key(student_keys[row], one, row) for row, one in enumerate(ids)]
        contrast = batch if mode == "batch" else keys
        parts.append(losses(queries, teacher_queries, keys, contrast, ids, scale))
    return tuple(float(np.mean(part)) for part in zip(*parts, strict=True))  # type: ignore[return-value]
