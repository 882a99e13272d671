"""Columns of the saved predictions that classes and shares have: names of classes, and a list of parts per
row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from urbanln.probe.measured import AnyScores
from urbanln.probe.part_scores import PartScores


def part_columns(scored: Sequence[AnyScores]) -> dict[str, Any]:
    """Columns of classes and shares, null in rows of other kinds; none at all where there are numbers alone.

    Args:
        scored: Scores of each predictor; its rows follow one another, seed by seed, as those of numbers do.

    Returns:
        ``truth_class`` and ``predicted_class`` (the most probable one), text; and lists of float32 as long as
        the label's ``names`` in ``scores.json``: ``parts`` (probabilities or shares), ``in_set`` of classes
        (1 in the conformal set, 0 not), and of shares ``truth_parts``, ``low_parts`` and ``high_parts``
        (ends of each part's conformal interval by itself), ``low_joint`` and ``high_joint`` (of the
        intervals that hold all parts at once); and ``radius``, float32, of the ball in total variation.
    """
    if all(own.kind == "number" for own in scored):
        return {}
    hard = [own for own in scored if isinstance(own, PartScores) and own.kind == "classes"]
    names = pd.Index(list(dict.fromkeys(name for own in hard for name in own.names)))
    made: dict[str, Any] = {
        "truth_class": _classes(scored, names, lambda own: np.asarray(own.truth)[None]),
        "predicted_class": _classes(scored, names, lambda own: own.predictions.argmax(axis=2)),
        "parts": _lists(scored, ("classes", "shares"), lambda own: own.predictions),
        "in_set": _lists(scored, ("classes",), lambda own: own.low),
        "truth_parts": _lists(scored, ("shares",), lambda own: own.truth[None]),
        "low_parts": _lists(scored, ("shares",), lambda own: own.low),
        "high_parts": _lists(scored, ("shares",), lambda own: own.high),
        "low_joint": _lists(scored, ("shares",), lambda own: own.at_once()[0]),
        "high_joint": _lists(scored, ("shares",), lambda own: own.at_once()[1]),
        "radius": _radii(scored),
    }
    return {name: column for name, column in made.items() if column is not None}


def _radii(scored: Sequence[AnyScores]) -> npt.NDArray[np.float32] | None:
    """The radius in each row of shares; NaN elsewhere."""
    if not any(own.kind == "shares" for own in scored):
        return None
    pieces = []
    for own in scored:
        joint = own.joint if isinstance(own, PartScores) else None
        blank = np.full(own.predictions.shape[:2], np.nan)
        pieces.append((blank if joint is None else joint.radii()).astype(np.float32).reshape(-1))
    return np.concatenate(pieces)


def _classes(
    scored: Sequence[AnyScores], names: pd.Index, codes: Callable[[PartScores], npt.NDArray[Any]]
) -> pd.Categorical[str] | None:
    """The name of a class in each row of classes that is held out."""
    if not len(names):
        return None
    pieces = []
    for own in scored:
        shape = own.predictions.shape[:2]
        piece = np.full(shape, -1, dtype=np.int16)
        if isinstance(own, PartScores) and own.kind == "classes":
            held = np.isfinite(own.predictions).all(axis=2)
            number = names.get_indexer(pd.Index(own.names)).astype(np.int16)
            piece[held] = number[np.broadcast_to(codes(own), shape)[held]]
        pieces.append(piece.reshape(-1))
    return pd.Categorical.from_codes(np.concatenate(pieces), names)


def _lists(
    scored: Sequence[AnyScores], kinds: tuple[str, ...], values: Callable[[PartScores], npt.NDArray[Any]]
) -> pd.Series | None:
    """A list per row of these kinds; null elsewhere, and where a row is not held out or has none."""
    if not any(own.kind in kinds for own in scored):
        return None
    flat, lengths = [], []
    for own in scored:
        seeds, rows = own.predictions.shape[:2]
        length = np.zeros(seeds * rows, dtype=np.int64)
        if isinstance(own, PartScores) and own.kind in kinds:
            parts = np.broadcast_to(values(own), own.predictions.shape).reshape(seeds * rows, -1)
            held = np.isfinite(own.predictions).all(axis=2).reshape(-1) & np.isfinite(parts).all(axis=1)
            flat.append(parts[held].astype(np.float32).reshape(-1))
            length[held] = parts.shape[1]
        lengths.append(length)
    length = np.concatenate(lengths)
    offsets = pa.array(np.concatenate([[0], np.cumsum(length)]), type=pa.int64())
    lists = pa.LargeListArray.from_arrays(offsets, np.concatenate(flat), mask=pa.array(length == 0))
    return pd.Series(lists, dtype=pd.ArrowDtype(lists.type))
