"""Held-out predictions of the floors of the map and of CityRep's head, under each split, and their scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.softmax import softmax
from urbanln.base.space import Floats
from urbanln.cityrep.head import head_held_out
from urbanln.cityrep.payloads import Payload
from urbanln.cityrep.scored import Score, as_row, by_seed, pooled
from urbanln.cityrep.splits import BUFFERED, SEEDS, Parts, block_numbers, buffered_folds, their_parts
from urbanln.cityrep.vectors import Source, vectors_of
from urbanln.probe.floors import FLOORS
from urbanln.probe.part_floors import part_floor
from urbanln.probe.splits import Fold
from urbanln.probe.threads import one_thread

NO_HEAD, HEAD = "none", "cityrep-mlp"
MAP_FLOORS = tuple(FLOORS)
Predict = Callable[[Parts], npt.NDArray]


def floor_row(payload: Payload, floor: str, split: str, buffer_km: float) -> dict[str, Any]:
    """The score of a floor under a split: a row of ``cityrep.json``.

    Args:
        payload: The samples.
        floor: One of :data:`urbanln.probe.floors.FLOORS`.
        split: ``"block"``, ``"random"`` or ``"block+buffer"``.
        buffer_km: Of the last.
    """
    begun = time.process_time()
    target, kind = _target(payload), payload.task.kind

    def predict(parts: Parts) -> npt.NDArray:
        fold = parts.fold()
        with one_thread():
            if kind == "number":
                return FLOORS[floor](payload.metres, target, [fold], parts.seed)[parts.test]
            hard = kind == "classes"
            return part_floor(floor, payload.metres, target, [fold], parts.seed, hard)[parts.test]

    score = _scored(payload, split, buffer_km, predict)
    return _row(score, payload, begun, features=floor, head=NO_HEAD, split=split)


def vectors_row(payload: Payload, source: Source, split: str, buffer_km: float) -> dict[str, Any]:
    """The score of vectors under CityRep's head and a split: a row of ``cityrep.json``.

    Args:
        payload: The samples.
        source: Where the vectors come from.
        split: ``"block"``, ``"random"`` or ``"block+buffer"``.
        buffer_km: Of the last.

    Raises:
        InputError: See :func:`urbanln.cityrep.vectors.vectors_of`.
    """
    begun = time.process_time()
    X, missing = vectors_of(source, payload)

    def predict(parts: Parts) -> npt.NDArray:
        made = head_held_out(X, payload, parts)
        return made[:, 0] if payload.task.kind == "number" else softmax(made)

    score = _scored(payload, split, buffer_km, predict)
    return _row(score, payload, begun, features=source.name, head=HEAD, split=split, missing=missing)


def _scored(payload: Payload, split: str, buffer_km: float, predict: Predict) -> Score:
    if split != BUFFERED:
        seeds = their_parts(payload, split)
        return by_seed(payload, [parts.test for parts in seeds], [predict(parts) for parts in seeds])
    folds = buffered_folds(payload, buffer_km)
    parts = [_as_parts(fold, seed) for fold, seed in zip(folds, SEEDS, strict=True)]
    return pooled(payload, _together(payload, parts, predict), block_numbers(payload))


def _as_parts(fold: Fold, seed: int) -> Parts:
    return Parts(seed, fold.train, fold.val, fold.test)


def _together(payload: Payload, seeds: Sequence[Parts], predict: Predict) -> npt.NDArray:
    """Predictions of all samples, each from the fold that holds it out."""
    made = [predict(parts) for parts in seeds]
    everywhere = np.empty((len(payload), *made[0].shape[1:]))
    for parts, own in zip(seeds, made, strict=True):
        everywhere[parts.test] = own
    return everywhere


def _target(payload: Payload) -> Floats:
    """What floors learn: numbers, a 1 at a sample's class, or shares."""
    if payload.task.kind == "classes":
        return np.eye(payload.outputs)[payload.y]
    return payload.y.astype(np.float64)


def _row(score: Score, payload: Payload, begun: float, missing: int = 0, **names: str) -> dict[str, Any]:
    cpu_s = round(time.process_time() - begun, 2)
    return as_row(score, payload, **names, theirs=False, missing=missing, cpu_s=cpu_s)
