"""Held-out predictions of all predictors as one table, small enough for millions of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.space import Ints
from urbanln.probe.cells import Cell, Predictor
from urbanln.probe.score import Scores


def predictions_table(
    cells: Sequence[Cell], scored: Sequence[Mapping[Predictor, Scores]], ids: npt.NDArray[Any]
) -> pd.DataFrame:
    """A row for each region, indicator, split, predictor and seed.

    Text is categorical, so that 100,000 regions under two splits, five seeds and ten predictors (ten
    million rows) take 330 MB instead of several GB; Parquet keeps it so, as dictionaries. Predictions are
    float32, which holds seven digits; truths stay as they were given.

    Args:
        cells: Indicator and split of each.
        scored: Scores by predictor of each cell.
        ids: (N,) region ids.

    Returns:
        ``region_id``, ``indicator``, ``split``, ``features``, ``head``, ``seed``, ``truth``, ``prediction``,
        ``low``, ``high`` (ends of the conformal interval; these four in the label's own unit), ``fold``.
        Floors have head ``"none"``.
    """
    parts = [
        (cell, who, own) for cell, by_who in zip(cells, scored, strict=True) for who, own in by_who.items()
    ]
    sizes = [own.predictions.size for _, _, own in parts]
    ends = np.cumsum([0, *sizes])
    fold_of = {id(cell.folds_by_seed): _fold_numbers(cell) for cell in cells}

    def column(dtype: npt.DTypeLike, values: Callable[[Cell, Scores], npt.ArrayLike]) -> npt.NDArray[Any]:
        made = np.empty(ends[-1], dtype=dtype)
        for (cell, _, own), start, stop in zip(parts, ends[:-1], ends[1:], strict=True):
            made[start:stop] = np.broadcast_to(values(cell, own), own.predictions.shape).reshape(-1)
        return made

    def words(named: Sequence[str]) -> pd.Categorical[str]:
        known = list(dict.fromkeys(named))
        codes = np.array([known.index(name) for name in named], dtype=np.int16)
        return pd.Categorical.from_codes(np.repeat(codes, sizes), pd.Index(known))

    regions = column(np.int32, lambda cell, own: cell.labels.rows)
    seeds = column(np.int16, lambda cell, own: np.arange(len(own.predictions))[:, None])
    return pd.DataFrame(
        {
            "region_id": pd.Categorical.from_codes(regions, pd.Index(list(ids))),
            "indicator": words([cell.indicator for cell, _, _ in parts]),
            "split": words([cell.split for cell, _, _ in parts]),
            "features": words([who[0] for _, who, _ in parts]),
            "head": words([who[1] for _, who, _ in parts]),
            "seed": seeds,
            "truth": column(np.float64, lambda cell, own: own.truth),
            "prediction": column(np.float32, lambda cell, own: own.predictions),
            "low": column(np.float32, lambda cell, own: own.low),
            "high": column(np.float32, lambda cell, own: own.high),
            "fold": column(np.int16, lambda cell, own: fold_of[id(cell.folds_by_seed)]),
        }
    )


def _fold_numbers(cell: Cell) -> Ints:
    """(S, n) fold that holds a row out, -1 where none does."""
    numbers = np.full((len(cell.folds_by_seed), len(cell.labels.rows)), -1, dtype=np.int64)
    for seed, folds in enumerate(cell.folds_by_seed):
        for number, fold in enumerate(folds):
            numbers[seed, fold.test] = number
    return numbers
