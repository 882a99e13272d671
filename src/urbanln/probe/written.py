"""The tables saved beside the scores, a row per region: held-out predictions, and the folds.

Text is categorical and numbers are small, so that millions of rows fit: Parquet keeps them so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.space import Ints
from urbanln.probe.cells import Cell, Predictor
from urbanln.probe.measured import AnyScores
from urbanln.probe.splits import Fold, each_fold
from urbanln.probe.written_parts import part_columns

SIDES = ("train", "val", "test", "buffer")


def predictions_table(
    cells: Sequence[Cell], scored: Sequence[Mapping[Predictor, AnyScores]], ids: npt.NDArray[Any]
) -> pd.DataFrame:
    """A row for each region, indicator, split, predictor and seed.

    100,000 regions under two splits, five seeds and ten predictors (ten million rows) take 330 MB instead
    of several GB. Predictions are float32, which holds seven digits; truths stay as they were given.

    Args:
        cells: Indicator and split of each.
        scored: AnyScores by predictor of each cell.
        ids: (N,) region ids.

    Returns:
        ``region_id``, ``indicator``, ``split``, ``features``, ``head``, ``seed``, ``truth``, ``prediction``,
        ``low``, ``high`` (ends of the conformal interval; these four in the label's own unit), ``fold``.
        Floors have head ``"none"``. Where there are classes or shares, which have none of these four, also
        :func:`urbanln.probe.written_parts.part_columns`.
    """
    parts = [
        (cell, who, own) for cell, by_who in zip(cells, scored, strict=True) for who, own in by_who.items()
    ]
    shapes = [own.predictions.shape[:2] for _, _, own in parts]
    sizes = [seeds * rows for seeds, rows in shapes]
    of_part = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
    fold_of = {id(cell.folds_by_seed): _fold_numbers(cell) for cell in cells}

    def column(
        dtype: npt.DTypeLike, values: Callable[[Cell, AnyScores], npt.ArrayLike], numbers: bool = False
    ) -> npt.NDArray[Any]:
        made = np.empty(sum(sizes), dtype=dtype)
        ends = np.cumsum(sizes)
        for (cell, _, own), shape, size, stop in zip(parts, shapes, sizes, ends, strict=True):
            none = numbers and own.kind != "number"
            made[stop - size : stop] = np.broadcast_to(np.nan if none else values(cell, own), shape).reshape(
                -1
            )
        return made

    regions = column(np.int32, lambda cell, own: cell.labels.rows)
    return pd.DataFrame(
        {
            "region_id": pd.Categorical.from_codes(regions, pd.Index(list(ids))),
            "indicator": _words([cell.indicator for cell, _, _ in parts], of_part),
            "split": _words([cell.split for cell, _, _ in parts], of_part),
            "features": _words([who[0] for _, who, _ in parts], of_part),
            "head": _words([who[1] for _, who, _ in parts], of_part),
            "seed": column(np.int16, lambda cell, own: np.arange(len(own.predictions))[:, None]),
            "truth": column(np.float64, lambda cell, own: own.truth, numbers=True),
            "prediction": column(np.float32, lambda cell, own: own.predictions, numbers=True),
            "low": column(np.float32, lambda cell, own: own.low, numbers=True),
            "high": column(np.float32, lambda cell, own: own.high, numbers=True),
            "fold": column(np.int16, lambda cell, own: fold_of[id(cell.folds_by_seed)]),
            **part_columns([own for _, _, own in parts]),
        }
    )


class SplitFolds(NamedTuple):
    """Folds as :func:`folds_table` writes them.

    Args:
        indicators: Names of the indicators that share these folds.
        split: Name of the split.
        folds_by_seed: Folds of every seed.
        ids: (N,) region ids in the order of the folds' row numbers.
    """

    indicators: Sequence[str]
    split: str
    folds_by_seed: Sequence[Sequence[Fold]]
    ids: npt.NDArray[Any]


def folds_table(parts: Iterable[SplitFolds]) -> pd.DataFrame:
    """All folds as one table.

    Args:
        parts: Folds with the names of their indicators and their split.

    Returns:
        A row for each region of each fold: ``indicators`` (joined by ", "), ``split``, ``seed``, ``fold``,
        ``region_id``, ``side``: ``"train"``, ``"val"``, ``"test"``, or ``"buffer"`` for what is in none of
        them. 100,000 regions take 13 MB a seed of five folds.
    """
    known = list(parts)
    regions = pd.Index(pd.unique(np.concatenate([np.asarray(part.ids, dtype=object) for part in known])))
    pieces: list[list[npt.NDArray[Any]]] = []
    for number, part in enumerate(known):
        region = regions.get_indexer(pd.Index(part.ids, dtype=object)).astype(np.int32)
        for seed, fold_number, fold in each_fold(part.folds_by_seed):
            side = np.full(len(region), SIDES.index("buffer"), dtype=np.int8)
            for code, rows in enumerate((fold.train, fold.val, fold.test)):
                side[rows] = code
            facts = [np.full(len(region), value, np.int16) for value in (number, seed, fold_number)]
            pieces.append([*facts, region, side])
    of_part, seeds, numbers, region, side = map(np.concatenate, zip(*pieces, strict=True))
    return pd.DataFrame(
        {
            "indicators": _words([", ".join(part.indicators) for part in known], of_part),
            "split": _words([part.split for part in known], of_part),
            "seed": seeds,
            "fold": numbers,
            "region_id": pd.Categorical.from_codes(region, regions),
            "side": pd.Categorical.from_codes(side, pd.Index(SIDES)),
        }
    )


def _words(named: Sequence[str], of_part: npt.NDArray[np.integer]) -> pd.Categorical[str]:
    """The word of each row: that of its part."""
    words = list(dict.fromkeys(named))
    codes = np.array([words.index(word) for word in named], dtype=np.int16)
    return pd.Categorical.from_codes(codes[of_part], pd.Index(words))


def _fold_numbers(cell: Cell) -> Ints:
    """(S, n) fold that holds a row out, -1 where none does."""
    numbers = np.full((len(cell.folds_by_seed), len(cell.labels.rows)), -1, dtype=np.int64)
    for seed, number, fold in each_fold(cell.folds_by_seed):
        numbers[seed, fold.test] = number
    return numbers
