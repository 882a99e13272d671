"""Evidence for a page from disk: nothing is computed there, so some of it is prepared, and which is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import UrbanLNError
from urbanln.base.progress import progress
from urbanln.explore.asking import Asking
from urbanln.explore.content import Column, Floats
from urbanln.probe.names import NO_HEAD

_FIRST = 10  # of each query: the regions it found first, by each way
_EACH = 5  # of each prediction: so many highest, lowest, and farthest from the label
_MOST = 120  # predictions in all, some seconds of a small model: of many labels fewer each


class Explaining:
    """The evidence that an export holds.

    Args:
        asking: What is asked.

    Attributes:
        evidence: By ``ROW KEY``, as :meth:`Asking.evidence`.
        whose: By key of a query or a prediction: what the explained regions have in common, and their rows.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self.evidence: dict[str, Any] = {}
        self.whose: dict[str, dict[str, list[int]]] = {}

    def query(self, told: Mapping[str, Any]) -> None:
        """Prepare why a query found its first regions.

        Args:
            told: The answer to it.
        """
        found = [row for by in told["by"].values() if by for row in by["rows"][:_FIRST]]
        self._keep(told["key"], {"found first": list(dict.fromkeys(found))})

    def predictions(self) -> None:
        """Prepare what the highest and lowest predictions of each label lean on, and the largest errors; of
        classes some that are right and some that are not."""
        content = self._asking.content
        columns = content.columns.values()
        made = [one for one in columns if one.group == "prediction" and one.head != NO_HEAD]
        if content.reader is None or content.vectors is None or not made:
            return
        seen = np.zeros(len(content), dtype=bool)
        seen[content.vectors.rows] = True
        seen &= np.bincount(content.pictures["row"], minlength=len(content)) > 0
        each = max(1, min(_EACH, _MOST // (3 * len(made))))
        with progress("explaining predictions", len(made)) as advance:
            for one in made:
                off = content.columns.get(f"error:{one.of}")
                if one.kind == "class":
                    groups = _outcomes(one, off, seen, each)
                else:
                    groups = {
                        "highest": _first(-one.values, seen, each),
                        "lowest": _first(one.values, seen, each),
                    }
                    if off is not None:
                        groups["largest errors"] = _first(-np.abs(off.values), seen, each)
                self._keep(one.key, groups)
                advance(1)

    def _keep(self, key: str, groups: Mapping[str, Sequence[int]]) -> None:
        for row in dict.fromkeys(row for rows in groups.values() for row in rows):
            try:
                self.evidence[f"{row} {key}"] = self._asking.evidence(row, key)
            except (UrbanLNError, OSError):
                continue  # a picture that cannot be read, too few regions with a label: it is not among them
        kept = {
            name: [row for row in rows if f"{row} {key}" in self.evidence] for name, rows in groups.items()
        }
        if any(kept.values()):
            self.whose[key] = kept


def _outcomes(
    column: Column, off: Column | None, seen: npt.NDArray[np.bool_], k: int
) -> dict[str, list[int]]:
    """Rows of predicted classes, k of each way they turned out, from all over the table."""
    known = np.isfinite(column.values) & seen
    if off is None:
        return {"predicted": _spread(known, k)}
    return {name: _spread(known & (off.values == at), k) for at, name in enumerate(off.classes)}


def _spread(mask: npt.NDArray[np.bool_], k: int) -> list[int]:
    rows = np.flatnonzero(mask)
    return (
        [int(rows[at]) for at in np.unique(np.linspace(0, len(rows) - 1, k).astype(int))] if len(rows) else []
    )


def _first(values: Floats, seen: npt.NDArray[np.bool_], k: int) -> list[int]:
    """Rows of the k smallest values among regions that were seen, smallest first."""
    known = np.flatnonzero(np.isfinite(values) & seen)
    return [int(row) for row in known[np.argsort(values[known], kind="stable")][:k]]
