"""Which regions look most alike: exact cosine search over vectors that may lie on disk.

The directions in which the vectors differ most are kept in memory for all regions, a quarter of the numbers.
What the rest of a vector can add to a cosine is bounded by Cauchy and Schwarz; so most regions are ruled out
unread, and the answer is still that of the whole product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError

Floats = npt.NDArray[np.float32]

_CHUNK = 32_768  # rows at a time: some tens of MB
_SAMPLE = 50_000  # rows that the directions are found from; the bound holds for any directions
_FIRST = 1024  # rows read before the bound is used, at least
_SLACK = 1e-5  # what sums of float32 may be off by, for unit vectors
_SCAN = 0.2  # share of rows from which on reading all in order is faster than reading these


@dataclass(frozen=True)
class Hits:
    """The most similar rows.

    Attributes:
        rows: (k,) row numbers, most similar first, equal ones in the order of the table.
        scores: (k,) cosines, float32.
        read: How many vectors were read for it.
    """

    rows: npt.NDArray[np.int64]
    scores: Floats
    read: int


class VectorSearch:
    """Exact search for the nearest vectors by cosine.

    Args:
        vectors: (N, D) float32, in memory or mapped from a file; never copied as a whole. Rows of length 0
            have no direction and are never found.
        share: Of a row's D numbers that are kept in memory, a quarter by default, where on region vectors of
            trained models all but some thousandths of the variance lie; 0: nothing is kept, all is read each
            time.

    Raises:
        InputError: No rows, or values that are not finite.
    """

    def __init__(self, vectors: Floats, share: float = 0.25) -> None:
        if vectors.ndim != 2 or not vectors.size:
            raise InputError(
                "there are no vectors to search in",
                value=vectors.shape,
                where="vectors",
                remedy="give a table of vectors with rows",
            )
        self.vectors = vectors
        self.lengths = np.empty(len(vectors), np.float32)
        for rows in self._chunks():
            part = vectors[rows]
            self.lengths[rows] = np.sqrt(np.einsum("ij,ij->i", part, part))
        if not np.isfinite(self.lengths).all():
            row = int(np.flatnonzero(~np.isfinite(self.lengths))[0])
            raise InputError(
                "a vector has values that are not finite, or too large",
                value=f"row {row}",
                where="vectors",
                remedy="leave this region out, or make its vector again",
            )
        self._inverse = np.divide(1, self.lengths, where=self.lengths > 0, out=np.zeros_like(self.lengths))
        self._keep(int(share * vectors.shape[1]))

    @property
    def held(self) -> int:
        """Bytes held beside the vectors."""
        kept = (self._heads, self._rests, self.lengths, self._inverse, self._basis, self._mean)
        return sum(one.nbytes for one in kept)

    def __len__(self) -> int:
        return len(self.vectors)

    def units(self, rows: npt.NDArray[np.int64]) -> Floats:
        """The unit vectors of some rows, (R, D); rows of length 0 stay so.

        Args:
            rows: Row numbers.
        """
        return np.asarray(self.vectors[rows] * self._inverse[rows, None], dtype=np.float32)

    def unit(self, rows: npt.NDArray[np.int64]) -> Floats:
        """The mean direction of some rows: of their unit vectors, (D,).

        Args:
            rows: Row numbers.

        Raises:
            InputError: No row has a direction.
        """
        mean = self.units(rows).mean(axis=0, dtype=np.float64)
        return self._direction(mean)

    def scores(self, query: npt.ArrayLike, rows: npt.NDArray[np.int64] | None = None) -> Floats:
        """Cosines of all rows, or of some, with a vector; NaN for rows of length 0.

        Args:
            query: (D,), of any length but 0.
            rows: Row numbers.
        """
        unit = self._direction(query)
        if rows is None:
            found = np.concatenate([self.vectors[part] @ unit for part in self._chunks()])
            found *= self._inverse
        else:
            found = self._exact(rows, unit)
        lengths = self.lengths if rows is None else self.lengths[rows]
        found[lengths == 0] = np.nan
        return found

    def top(self, query: npt.ArrayLike, k: int = 100, allowed: npt.NDArray[np.bool_] | None = None) -> Hits:
        """The k rows with the largest cosine, exactly as the whole product would give them.

        Args:
            query: (D,), of any length but 0.
            k: How many; fewer come back where fewer are allowed.
            allowed: (N,), rows that may be found; all by default.

        Raises:
            InputError: The query has no direction, or another number of values than the vectors.
        """
        unit = self._direction(query)
        open_ = self.lengths > 0 if allowed is None else allowed & (self.lengths > 0)
        k = min(k, int(open_.sum()))
        if k == 0:
            return Hits(np.empty(0, np.int64), np.empty(0, np.float32), 0)
        if not self._heads.shape[1]:
            return _best(*self._scan(open_, unit), k)
        inner = (self._basis.T @ unit).astype(np.float32)
        outer = float(np.sqrt(max(float(unit @ unit) - float(inner @ inner), 0.0)))
        guess = self._heads @ inner
        guess += np.float32(self._mean @ unit)
        guess[~open_] = -np.inf
        some = _largest(guess, max(_FIRST, 4 * k))
        some = some[open_[some]]
        found = self._exact(some, unit)
        # Who cannot reach the k-th of these, even with all the rest of its vector along the query, is out.
        least = np.partition(found, -k)[-k] if len(found) >= k else -np.inf
        np.add(guess, np.float32(outer) * self._rests, out=guess)
        left = guess >= least - _SLACK
        left[some] = False
        rest = np.flatnonzero(left)
        if len(rest) > _SCAN * len(self):
            return _best(*self._scan(open_, unit), k)
        rows = np.concatenate([some, rest])
        return _best(rows, np.concatenate([found, self._exact(rest, unit)]), k)

    def _direction(self, query: npt.ArrayLike) -> Floats:
        asked = np.asarray(query, dtype=np.float64)
        length = float(np.linalg.norm(asked))
        if asked.shape != (self.vectors.shape[1],) or not 0 < length < np.inf:
            raise InputError(
                "this is no vector to search with",
                value=f"shape {asked.shape}, length {length:g}",
                where="query",
                remedy=f"give {self.vectors.shape[1]} finite numbers that are not all 0",
            )
        return np.asarray(asked / length, dtype=np.float32)

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, len(self.vectors), _CHUNK):
            yield slice(start, min(start + _CHUNK, len(self.vectors)))

    def _keep(self, size: int) -> None:
        """The mean direction, the directions that matter, and what is left of each row beside them."""
        n, width = self.vectors.shape
        some = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).round().astype(np.int64))
        unit = self.units(some)
        self._mean = unit.mean(axis=0, dtype=np.float64).astype(np.float32)
        unit -= self._mean
        _, basis = np.linalg.eigh((unit.T @ unit).astype(np.float64))
        self._basis = np.ascontiguousarray(basis[:, width - size :], dtype=np.float32)
        self._heads = np.empty((n, size), np.float32)
        self._rests = np.empty(n, np.float32)
        for rows in self._chunks():
            part = self.vectors[rows] * self._inverse[rows, None] - self._mean
            heads = part @ self._basis
            # Measured, not by subtracting squares, which would lose small rests to rounding.
            self._rests[rows] = np.linalg.norm(part - heads @ self._basis.T, axis=1)
            self._heads[rows] = heads

    def _exact(self, rows: npt.NDArray[np.int64], unit: Floats) -> Floats:
        ordered = np.sort(rows)
        back = np.searchsorted(ordered, rows)
        parts = [self.vectors[ordered[i : i + _CHUNK]] @ unit for i in range(0, len(ordered), _CHUNK)]
        found = np.concatenate(parts) if parts else np.empty(0, np.float32)
        return np.asarray(found * self._inverse[ordered], dtype=np.float32)[back]

    def _scan(self, open_: npt.NDArray[np.bool_], unit: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
        rows = np.flatnonzero(open_)
        return rows, np.concatenate([self.vectors[part] @ unit for part in self._chunks()])[
            rows
        ] * self._inverse[rows]


def _largest(values: Floats, k: int) -> npt.NDArray[np.int64]:
    """Rows of the k largest values, in any order; argpartition of the few above a sampled value is faster."""
    if k >= len(values):
        return np.arange(len(values))
    step = max(1, len(values) // 8192)
    sample = values[::step]
    rank = min(len(sample) - 1, 2 * k // step + 8)
    floor = np.partition(sample, len(sample) - 1 - rank)[len(sample) - 1 - rank]
    above = np.flatnonzero(values >= floor)
    if len(above) < k:
        above = np.arange(len(values))
    return above[np.argpartition(values[above], len(above) - k)[len(above) - k :]]


def _best(rows: npt.NDArray[np.int64], scores: Floats, k: int) -> Hits:
    if len(rows) > k:
        # Equal scores at the border: the earlier rows are taken.
        least = np.partition(scores, -k)[-k]
        keep = scores >= least
        kept, cosines = rows[keep], scores[keep]
    else:
        kept, cosines = rows, scores
    order = np.lexsort((kept, -cosines))[:k]
    return Hits(kept[order], cosines[order], len(rows))
