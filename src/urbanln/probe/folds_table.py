"""Folds as a table: which region stood on which side, for every split, seed and fold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.probe.leakage import each_fold
from urbanln.probe.splits import Fold

SIDES = ("train", "val", "test", "buffer")


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
    """All folds as one table, to be saved beside the scores.

    Args:
        parts: Folds with the names of their indicators and their split.

    Returns:
        A row for each region of each fold: ``indicators`` (joined by ", "), ``split``, ``seed``, ``fold``,
        ``region_id``, ``side``: ``"train"``, ``"val"``, ``"test"``, or ``"buffer"`` for what is in none of
        them. Text is categorical, numbers are int16: 100,000 regions take 13 MB a seed of five folds.
    """
    known = list(parts)
    names = [", ".join(part.indicators) for part in known]
    regions = pd.Index(pd.unique(np.concatenate([np.asarray(part.ids, dtype=object) for part in known])))
    columns: dict[str, list[npt.NDArray[Any]]] = {c: [] for c in ("part", "seed", "fold", "region", "side")}
    for number, part in enumerate(known):
        region = regions.get_indexer(pd.Index(part.ids, dtype=object)).astype(np.int32)
        for seed, fold_number, fold in each_fold(part.folds_by_seed):
            side = np.full(len(region), SIDES.index("buffer"), dtype=np.int8)
            for code, rows in enumerate((fold.train, fold.val, fold.test)):
                side[rows] = code
            for column, value in (("part", number), ("seed", seed), ("fold", fold_number)):
                columns[column].append(np.full(len(region), value, dtype=np.int16))
            columns["region"].append(region)
            columns["side"].append(side)
    whole = {column: np.concatenate(values) for column, values in columns.items()}

    def text(of_part: Sequence[str]) -> pd.Categorical:
        words = list(dict.fromkeys(of_part))
        code = np.array([words.index(word) for word in of_part])
        return _categorical(code[whole["part"]], words)

    return pd.DataFrame(
        {
            "indicators": text(names),
            "split": text([part.split for part in known]),
            "seed": whole["seed"],
            "fold": whole["fold"],
            "region_id": _categorical(whole["region"], regions),
            "side": _categorical(whole["side"], SIDES),
        }
    )


def _categorical(codes: npt.NDArray[np.integer], words: Sequence[str] | pd.Index) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, pd.Index(words))
