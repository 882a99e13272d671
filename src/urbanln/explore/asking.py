"""Queries of words and pictures, and what carries an answer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.explore import evidence
from urbanln.explore.answers import Answers
from urbanln.explore.content import Column, Reader, Vectors
from urbanln.explore.keywords import Keywords
from urbanln.explore.words import standing, words_of
from urbanln.pages.text import clean

MOST_LETTERS = 4000
_HITS = 100
_KEPT = 32  # queries whose scores are held
Floats = npt.NDArray[np.float32]


class Asking:
    """Text search, pictures brought along, and evidence; the scores of the last queries can be mapped.

    Args:
        answers: Of the same content.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers, self.content = answers, answers.content
        self._kept: OrderedDict[str, tuple[Floats, dict[str, Column]]] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def _texts(self) -> list[str]:
        """The selected captions of each region as one text."""
        table = self.content.captions
        chosen = table[table["selected"].astype(bool)]
        region = self.content.pictures["row"].to_numpy()[chosen["picture"].to_numpy(dtype=np.int64)]
        texts = [""] * len(self.content)
        for row, text in zip(region, chosen["text"], strict=True):
            texts[row] = f"{texts[row]} {text}".strip()
        return texts

    @cached_property
    def _said(self) -> list[str]:
        return [word for text in self._texts for word in words_of(text)]

    @cached_property
    def _keywords(self) -> Keywords:
        return Keywords(self._texts)

    def column(self, key: str) -> Column:
        """A column of the content, or the scores of a query by ``q:KEY:pictures``, ``:captions``, ``:words``.

        Raises:
            InputError: No such column, or a query of long ago.
        """
        query, _, by = key.rpartition(":")
        with self._lock:
            kept = self._kept.get(query)
        if kept is None or by not in kept[1]:
            if key.startswith("q:"):
                raise InputError(
                    "this query is no longer held", value=key, where="key", remedy="ask it again"
                )
            return self.answers.column(key)
        return kept[1][by]

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
        by: dict[str, Any] = {"pictures": None, "captions": None}
        columns: dict[str, Column] = {}
        for name, vectors in (("pictures", self.content.vectors), ("captions", self.content.spoken)):
            if vectors is not None:
                by[name], columns[name] = self._by_vectors(text, query, vectors, reader, name)
        words = self._keywords.scores(text)
        columns["words"] = Column("", f"words of “{text[:40]}” in captions", "similarity", words)
        by["words"] = _ranked(np.where(words > 0, words, np.nan)) if len(self._said) else None
        key = f"q:{hash_bytes(text.encode())[:12]}"
        self._keep(key, query, columns)
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
        vectors = self.content.vectors
        assert vectors is not None
        scores = self._everywhere(vectors, vectors.search.scores(query))
        key = f"q:{hash_bytes(data)[:12]}"
        self._keep(key, query, {"pictures": Column("", "likeness to the picture", "similarity", scores)})
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
            if column.group != "prediction":
                what, remedy = "there is nothing to explain about this", "ask about a prediction or a query"
                raise InputError(what, value=key, where="key", remedy=remedy)
            return evidence.prediction(self.content, row, column.of, column.log, pictures, reader)
        with self._lock:
            kept = self._kept.get(key)
        if kept is None:
            raise InputError("this query is no longer held", value=key, where="key", remedy="ask it again")
        query = kept[0] / np.linalg.norm(kept[0])
        return {
            "phrases": evidence.phrases(self._texts[row], query, reader),
            "parts": evidence.parts(self.content, pictures, query, reader),
            "note": evidence.LEFT_OUT,
        }

    def _reader(self) -> Reader:
        if self.content.reader is None or self.content.vectors is None:
            remedy = self.content.why_not.get("text") or "start explore with --vectors and --model"
            raise InputError("there is no model to read with", where="explore", remedy=remedy)
        return self.content.reader

    def _by_vectors(
        self, text: str, query: Floats, vectors: Vectors, reader: Reader, name: str
    ) -> tuple[dict[str, Any], Column]:
        def score(texts: Sequence[str]) -> list[Floats]:
            return [vectors.search.scores(one) for one in reader.texts(texts)]

        scores = vectors.search.scores(query)
        stands = standing(text, scores, self._said, score)
        known = scores[np.isfinite(scores)]
        everywhere = self._everywhere(vectors, scores)
        told = {
            **_ranked(everywhere), "mean": float(known.mean()), "sd": float(known.std()),
            "null": {"shuffled": list(stands.shuffled), "random": list(stands.random)},
            "height": stands.height, "above": stands.above, "sentence": stands.sentence(),
        }  # fmt: skip
        return told, Column("", f"“{text[:40]}” by {name}", "similarity", everywhere)

    def _everywhere(self, vectors: Vectors, scores: Floats) -> Floats:
        found = np.full(len(self.content), np.nan, np.float32)
        found[vectors.rows] = scores
        return found

    def _keep(self, key: str, query: Floats, columns: dict[str, Column]) -> None:
        with self._lock:
            self._kept[key] = (query, columns)
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


def _ranked(scores: Floats) -> dict[str, Any]:
    known = np.flatnonzero(np.isfinite(scores))
    order = known[np.argsort(-scores[known], kind="stable")][:_HITS]
    return {"rows": [int(one) for one in order], "scores": [float(one) for one in scores[order]]}
