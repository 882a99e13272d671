"""How good an order of regions is for a query, and means with intervals that keep pairs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from urbanln.probe.metrics import draw_resamples, interval

Floats = npt.NDArray[np.floating]
RESAMPLES = 2000


def average_precision(scores: Floats, right: npt.NDArray[np.bool_]) -> float:
    """Average precision of an order by scores, equal ones in random order: its expectation, exactly.

    So the precision of chance is that of scores which are all equal, and a keyword search which finds its
    word in no caption is worth chance, however the table is sorted.

    Args:
        scores: (N,) the larger, the earlier; NaN last.
        right: (N,) of which one at least is right.
    """
    _, group = np.unique(-_known(scores), return_inverse=True)
    sizes, rights = np.bincount(group), np.bincount(group, weights=right)
    total, before, found = 0.0, 0, 0.0
    for size, hits in zip(sizes, rights, strict=True):
        if hits:
            place = np.arange(size)  # of one right answer among equals, those of the others before it
            others = place * (hits - 1) / max(size - 1, 1)
            total += float((hits / size * (found + 1 + others) / (before + place + 1)).sum())
        before, found = before + int(size), found + float(hits)
    return total / found


def joined(*scores: Floats) -> Floats:
    """Several orders as one: minus the mean of the ranks, equal ones at their mean rank."""
    return -np.mean([rankdata(-_known(one)) for one in scores], axis=0)


def _known(scores: Floats) -> Floats:
    return np.where(np.isnan(scores), -np.inf, scores)


class Means:
    """Means of columns over rows, and of their differences, with 95 % intervals by drawing blocks anew.

    Args:
        columns: (N,) values by name.
        blocks: (N,) block of each row, numbered from 0; each row for itself by default.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[float]], blocks: npt.NDArray[np.int64] | None = None
    ) -> None:
        self._names = list(columns)
        values = np.column_stack([np.asarray(one, dtype=float) for one in columns.values()])
        blocks = np.arange(len(values)) if blocks is None else blocks
        drawn = draw_resamples(blocks, 1, RESAMPLES).block_draws
        sums = np.stack([np.bincount(blocks, weights=one) for one in values.T], axis=1)
        self._means = values.mean(axis=0)
        self._samples = (drawn @ sums) / (drawn @ np.bincount(blocks))[:, None]

    def of(self, name: str, less: str = "") -> tuple[float, float, float]:
        """Mean, low and high of a column, or of it less another one."""
        i = self._names.index(name)
        mean, samples = self._means[i], self._samples[:, i]
        if less:
            j = self._names.index(less)
            mean, samples = mean - self._means[j], samples - self._samples[:, j]
        return float(mean), *interval(samples)

    def show(self, name: str, less: str = "", digits: int = 3) -> str:
        """As ".123 [.100, .150]", a difference with its sign."""
        mean, low, high = (_short(one, digits) for one in self.of(name, less))
        return f"{mean} [{low}, {high}]"


def _short(value: float, digits: int) -> str:
    text = f"{abs(value):.{digits}f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + text.removeprefix("0") if abs(value) < 1 else sign + text
