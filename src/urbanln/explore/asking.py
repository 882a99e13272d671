"""Queries of words and pictures, and what carries an answer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.explore import evidence, leaning
from urbanln.explore.answers import Answers
from urbanln.explore.content import Column, Reader, Vectors
from urbanln.explore.keywords import Keywords
from urbanln.explore.words import standing, words_of
from urbanln.pages.text import clean

MOST_LETTERS = 4000
_HITS = 100
_KEPT = 32  # queries that can be mapped and explained
_MAPPED = 8  # columns of scores that are held; others are made again: 4 bytes a region each
Floats = npt.NDArray[np.float32]
_T = TypeVar("_T")


class _Lately(Generic[_T]):
    """The last things that were asked for, by key."""

    def __init__(self, most: int) -> None:
        self._most, self._held, self._lock = most, OrderedDict[str, _T](), threading.Lock()

    def get(self, key: str) -> _T | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def keep(self, key: str, value: _T) -> None:
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            while len(self._held) > self._most:
                self._held.popitem(last=False)


@dataclass(frozen=True, eq=False)
class _Query:
    """What was asked for: its direction, and how the scores of all regions are made by each way."""

    vector: Floats
    scores: Mapping[str, Callable[[], Column]]


class Asking:
    """Likeness, text search, pictures brought along, and evidence; the last queries can be mapped: what all
    regions score is computed when it is asked for.

    Args:
        answers: Of the same content.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers, self.content = answers, answers.content
        self._queries: _Lately[_Query] = _Lately(_KEPT)
        self._columns: _Lately[Column] = _Lately(_MAPPED)

    @cached_property
    def _texts(self) -> list[str]:
        return self.content.said()

    @cached_property
    def _said(self) -> list[str]:
        return [word for text in self._texts for word in words_of(text)]

    @cached_property
    def _keywords(self) -> Keywords:
        return Keywords(self._texts)

    def column(self, key: str) -> Column:
        """A column of the content, or all regions' scores of a query: ``q:KEY:pictures``, ``q:KEY:captions``,
        ``q:KEY:words``.

        Raises:
            InputError: No such column, or a query of long ago.
        """
        if not key.startswith("q:"):
            return self.answers.column(key)
        column = self._columns.get(key)
        if column is None:
            query, _, by = key.rpartition(":")
            make = self._query(query).scores.get(by)
            if make is None:
                return self.answers.column(key)
            column = make()
            self._columns.keep(key, column)
        return column

    def similar(self, rows: list[int], far_km: float = 0.0, k: int = _HITS) -> dict[str, Any]:
        """As :meth:`Answers.similar`, with the key by which the likeness of all regions can be had.

        Args:
            rows: See there.
            far_km: See there.
            k: See there, 100 by default, as many as a text finds.

        Raises:
            InputError: See there.
        """
        direction = self.answers.direction(rows)
        found = self.answers.alike(direction, self.answers.check_rows(rows), far_km, k)
        return {
            "key": self._keep(direction.tobytes(), direction, {"pictures": self.content.vectors}),
            **found,
        }

    def text(self, text: str) -> dict[str, Any]:
        """Regions by a text: by their pictures, by what their captions mean, by the words in these.

        Raises:
            InputError: No words, too many letters, or nothing to read the text with.
        """
        text = clean(text, MOST_LETTERS + 1).strip()
        if not words_of(text) or len(text) > MOST_LETTERS:
            raise InputError(
                "this is no text to search for", value=text[:60], where="text",
                remedy=f"give some words, {MOST_LETTERS:,} letters at most",
            )  # fmt: skip
        reader = self._reader()
        query = reader.texts([text])[0]
        tokens = int(reader.tokens([text])[0])
        read = {"pictures": self.content.vectors, "captions": self.content.spoken}
        key = self._keep(text.encode(), query, read, text)
        by: dict[str, Any] = {
            name: self._by_vectors(text, query, vectors, reader, f"{key}:{name}") if vectors else None
            for name, vectors in read.items()
        }
        words = self.column(f"{key}:words").values
        by["words"] = None
        if len(self._said):
            best = _ranked(np.where(words > 0, words, np.nan))
            by["words"] = {**best, "total": int((words > 0).sum())}
        return {
            "key": key, "tokens": tokens, "positions": reader.positions, "by": by,
            "cut": tokens > reader.positions,
        }  # fmt: skip

    def picture(self, data: bytes, k: int = _HITS) -> dict[str, Any]:
        """Regions most alike to a picture that somebody brought.

        Raises:
            InputError: It is no picture, or there is nothing to read it with.
        """
        query = self._reader().picture(data)
        key = self._keep(data, query, {"pictures": self.content.vectors})
        return {"key": key, **self.answers.alike(query, k=k)}

    def evidence(self, row: int, key: str) -> dict[str, Any]:
        """What carries a region's likeness to a query: each phrase and part left out, and what that takes
        away.

        Args:
            row: Of the region.
            key: Of a query that was asked.

        Raises:
            InputError: No such region, or the query is no longer held.
        """
        row = int(self.answers.check_rows([row])[0])
        reader = self._reader()
        pictures = self.answers.pictures_of(row, self.content.vectors.views if self.content.vectors else ())
        if not key.startswith("q:"):
            column = self.answers.column(key)
            if column.group != "prediction" or not np.isfinite(column.values[row]):
                what, remedy = ("there is nothing to explain about this", "ask about a prediction or a query")
                raise InputError(what, value=key, where="key", remedy=remedy)
            return leaning.prediction(self.content, row, column, pictures, reader)
        vector = self._query(key).vector
        query = vector / np.linalg.norm(vector)
        return {
            "phrases": evidence.phrases(self._texts[row], query, reader),
            "parts": evidence.parts(self.content, pictures, query, reader),
            "note": evidence.LEFT_OUT,
        }

    def _query(self, key: str) -> _Query:
        held = self._queries.get(key)
        if held is None:
            raise InputError("this query is no longer held", value=key, where="key", remedy="ask it again")
        return held

    def _reader(self) -> Reader:
        if self.content.reader is None or self.content.vectors is None:
            remedy = self.content.why_not.get("text") or "start explore with --vectors and --model"
            raise InputError("there is no model to read with", where="explore", remedy=remedy)
        return self.content.reader

    def _by_vectors(
        self, text: str, query: Floats, vectors: Vectors, reader: Reader, key: str
    ) -> dict[str, Any]:
        def score(texts: Sequence[str]) -> list[Floats]:
            return [vectors.search.scores(one) for one in reader.texts(texts)]

        everywhere = self.column(key).values
        scores = everywhere[vectors.rows]
        stands = standing(text, scores, self._said, score)
        known = scores[np.isfinite(scores)]
        return {
            **_ranked(everywhere), "mean": float(known.mean()), "sd": float(known.std()),
            "null": {"shuffled": list(stands.shuffled), "random": list(stands.random)},
            "height": stands.height, "above": stands.above, "sentence": stands.sentence(),
        }  # fmt: skip

    def _keep(self, asked: bytes, query: Floats, read: Mapping[str, Vectors | None], text: str = "") -> str:
        """The key of a query, which is held from now on."""
        ways: dict[str, Callable[[], Column]] = {
            name: partial(self._likeness, vectors, query, f"“{text[:40]}” by {name}" if text else "likeness")
            for name, vectors in read.items()
            if vectors
        }
        if text:
            ways["words"] = partial(self._words, text)
        key = f"q:{hash_bytes(asked)[:12]}"
        self._queries.keep(key, _Query(query, ways))
        return key

    def _likeness(self, vectors: Vectors, query: Floats, title: str) -> Column:
        found = np.full(len(self.content), np.nan, np.float32)
        found[vectors.rows] = vectors.search.scores(query)
        return Column("", title, "similarity", found)

    def _words(self, text: str) -> Column:
        return Column("", f"words of “{text[:40]}” in captions", "similarity", self._keywords.scores(text))


def _ranked(scores: Floats) -> dict[str, Any]:
    known = np.flatnonzero(np.isfinite(scores))
    order = known[np.argsort(-scores[known], kind="stable")][:_HITS]
    return {"rows": [int(one) for one in order], "scores": [float(one) for one in scores[order]]}
