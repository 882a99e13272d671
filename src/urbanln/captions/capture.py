"""How far two captions agree: the CAPTURE score over objects, attributes and relations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, Protocol, cast

import numpy as np

from urbanln.base.errors import InputError, require
from urbanln.captions.parsing.parse import load_parser
from urbanln.captions.scene_graph import Parser, SceneGraph
from urbanln.captions.wordnet import Pos, Synonyms, load_wordnet

Mode = Literal["strict", "legacy"]
Item = tuple[str, ...]
# The published weights .5, .5 and .2 as whole numbers, so that three perfect classes make exactly 1.
_WEIGHTS = (5, 5, 2)
_EPS = 1e-6
# The park of "car park" is WordNet's fifth, the house that is a sign of the zodiac its twelfth: rarer senses
# than these make false synonyms in captions.
_SENSES = 3
# Similarities are counted in steps of 1e-4: the encoder's rounding (1e-7) seldom shows, and sums of whole
# numbers are the same in any order.
_STEPS = 10_000
_CACHED = 500_000
_Names = Callable[[str, Pos | None], frozenset[str]]
_POS: tuple[tuple[Pos | None, ...], ...] = (("n",), ("a", "n"), ("n", "v", "n"))
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


class PhraseVectors(Protocol):
    """Turns phrases into vectors whose dot product says how alike they are."""

    @property
    def version(self) -> str:
        """Scores of different versions are not comparable."""

    def encode(self, phrases: Sequence[str]) -> np.ndarray:
        """(N, D) float32 of length 1; a phrase has the same vector whatever stands beside it."""


def load_vectors(name_or_folder: str = "minilm") -> PhraseVectors:
    """A sentence encoder.

    Args:
        name_or_folder: See :class:`urbanln.captions.networks.sentence_vectors.SentenceVectors`.

    Raises:
        MissingExtraError: torch, transformers or the package with MiniLM is not installed.
        InputError: No such folder or name.
    """
    module = require("urbanln.captions.networks.sentence_vectors")
    return cast(PhraseVectors, module.SentenceVectors(name_or_folder))


@dataclass(frozen=True)
class Elements:
    """What one caption brings to a comparison: its objects, attributes and relations, each as words."""

    classes: tuple[tuple[Item, ...], tuple[Item, ...], tuple[Item, ...]]

    @property
    def empty(self) -> bool:
        """Whether the caption names nothing."""
        return not any(self.classes)


@dataclass(frozen=True)
class _Matched:
    """One class of a pair after stages 1 and 2."""

    size: tuple[int, int]
    count: int
    left: tuple[list[Item], list[Item]]

    @property
    def open(self) -> bool:
        """Whether stage 3 has something to compare."""
        return bool(self.left[0] and self.left[1])


class Scorer:
    """Compares captions by CAPTURE (arXiv 2405.19092; algorithms of capture_metric 0.1.12).

    For each class: (1) equal elements are matched one to one; (2) of the rest, synonyms are matched one to
    one; (3) of what is left, every element counts with its best cosine on the other side, which gives sums
    m_C and m_G. P = m_C/|C|, R = m_G/|G|, F = 2PR/(P+R), and the score is the mean of the three F weighted
    5:5:2.

    ``strict`` keeps this formula and mends what the published code gets wrong:

    - Synonyms share one of their three most frequent senses in WordNet (nouns with nouns, adjectives with
      adjectives), or one term ends like the other and has all its words ("parking lot" and "lot", not "street
      lamp" and "street"). The published code takes substrings ("tree" and "street") and any overlap of
      the synonyms of all senses ("park" and "parking lot").
    - An attribute stays with its object, as a relation does with its two: "a red roof, a grey car" is not
      "a grey roof, a red car".
    - A class that is empty in both is left out of the mean; empty in one it gives 0. No eps: equal captions
      score exactly 1.
    - Synonyms are matched closest first, in an order that does not know which caption is which, and cosines
      are cut to [0, 1] and rounded to four decimals. So the score is in [0, 1] and, bit for bit, symmetric.

    ``legacy`` counts as published, over sorted lists (there the order is that of a hash); attributes lose
    their objects, an empty class gives 0, cosines may be negative, and swapping the captions may change
    the score a little. Three parts differ: the noun gate looks for an object's words among all words of the
    caption, as there is no tagger here; the authors' list of stop words is not applied; and of several base
    forms the likeliest counts, not the shortest ("glasses", not "glass").

    Args:
        mode: ``"strict"`` or ``"legacy"``.
        vectors: None loads MiniLM, at the first phrase that needs it.
        synonyms: None loads the package's WordNet.

    Raises:
        InputError: No such mode.
    """

    def __init__(
        self, mode: Mode = "strict", vectors: PhraseVectors | None = None, synonyms: Synonyms | None = None
    ) -> None:
        if mode not in ("strict", "legacy"):
            raise InputError("no such mode of the CAPTURE score", value=mode, remedy="'strict' or 'legacy'")
        self.mode = mode
        self._vectors = vectors
        self._synonyms = load_wordnet() if synonyms is None else synonyms
        # Caches of functions that do not know this scorer: it goes, with its vectors, when nobody needs it.
        self._lemma = lru_cache(_CACHED)(self._synonyms.lemma)
        names = lru_cache(_CACHED)(partial(_names_of, self._synonyms, mode))
        self._close = lru_cache(_CACHED)(partial(_closeness, names, mode))

    def elements(self, graph: SceneGraph, text: str | None = None) -> Elements:
        """Bring a scene graph's words to their base forms, ready for comparison.

        Args:
            graph: Parse of a caption.
            text: The caption; ``legacy`` drops objects whose words are not in it (a parser may invent).
        """
        strict = self.mode == "strict"
        spoken = None if strict or text is None else self._spoken(text)

        def said(thing: str) -> bool:
            return spoken is None or thing in spoken or spoken.issuperset(thing.split())

        objects = {self._lemma(thing, "n") for thing in graph.objects}
        owned = {
            (self._lemma(word, "a"), self._lemma(thing, "n"))
            for thing, words in graph.attributes.items()
            for word in words
            if strict or " of" not in word
        }
        relations = {
            (self._lemma(a, "n"), " ".join(verb.lower().split()), self._lemma(b, "n"))
            for a, verb, b in graph.relations
        }
        owned = {item for item in owned if said(item[1])}
        attributes: Iterable[Item] = sorted(owned) if strict else sorted((word,) for word, _ in owned)
        return Elements(
            (
                tuple((thing,) for thing in sorted(objects) if said(thing)),
                tuple(attributes),
                tuple(item for item in sorted(relations) if said(item[0]) and said(item[2])),
            )
        )

    def _spoken(self, text: str) -> set[str]:
        """The words of a text as they stand, in base forms, and less a final s (WordNet has "lots" too)."""
        words = {word.lower() for word in _WORD.findall(text)}
        return words | {self._lemma(word, "n") for word in words} | {word.removesuffix("s") for word in words}

    def scores(self, pairs: Sequence[tuple[Elements, Elements]]) -> list[float]:
        """CAPTURE of each (candidate, reference); the phrases of all pairs are encoded in one go.

        Memory grows with the number of pairs: hand in some thousands at a time.
        """
        matched = [
            [self._match(*classes) for classes in zip(a.classes, b.classes, _POS, strict=True)]
            for a, b in pairs
        ]
        left = [part.left for parts in matched for part in parts if part.open]
        phrases = dict.fromkeys(" ".join(item) for sides in left for side in sides for item in side)
        row_of = {phrase: row for row, phrase in enumerate(phrases)}
        table = self._encode(list(row_of))
        finish = _strict if self.mode == "strict" else _legacy
        return [finish([(part, _cosines(part, row_of, table)) for part in parts]) for parts in matched]

    def score(self, candidate: Elements, reference: Elements) -> float:
        """CAPTURE of one pair."""
        return self.scores([(candidate, reference)])[0]

    def _encode(self, phrases: list[str]) -> np.ndarray:
        if not phrases:
            return np.zeros((0, 1))
        if self._vectors is None:
            self._vectors = load_vectors()
        # In double precision a dot product does not depend, to 1e-15, on the shape of the product it is in.
        return np.asarray(self._vectors.encode(phrases), dtype=np.float64)

    def _match(self, ours: Sequence[Item], theirs: Sequence[Item], kinds: tuple[Pos | None, ...]) -> _Matched:
        size = (len(ours), len(theirs))
        if self.mode == "strict":
            both = set(ours) & set(theirs)
            left = ([x for x in ours if x not in both], [y for y in theirs if y not in both])
            left = self._closest_first(*left, kinds)
        else:
            left = _pair_up(ours, theirs, lambda x, y: x == y)
            left = _pair_up(*left, lambda x, y: self._alike(x, y, (None,) * len(x)) > 0)
        return _Matched(size, len(ours) - len(left[0]), left)

    def _closest_first(
        self, ours: list[Item], theirs: list[Item], kinds: tuple[Pos | None, ...]
    ) -> tuple[list[Item], list[Item]]:
        """What is left when synonyms are matched: by falling closeness, then by words, alike either way."""
        found = []
        for x in ours:
            for y in theirs:
                closeness = self._alike(x, y, kinds)
                if closeness > 0:
                    found.append((-closeness, min(x, y), max(x, y), x, y))
        taken: tuple[set[Item], set[Item]] = (set(), set())
        for *_, x, y in sorted(found):
            if x not in taken[0] and y not in taken[1]:
                taken[0].add(x)
                taken[1].add(y)
        return [x for x in ours if x not in taken[0]], [y for y in theirs if y not in taken[1]]

    def _alike(self, x: Item, y: Item, kinds: tuple[Pos | None, ...]) -> float:
        """Closeness of the two least close words of two elements; 0 unless all are synonyms."""
        least = 1.0
        for a, b, pos in zip(x, y, kinds, strict=True):
            if a != b:
                least = min(least, self._close(a, b, pos))
            if least == 0:
                break
        return least


def _closeness(names: _Names, mode: Mode, a: str, b: str, pos: Pos | None) -> float:
    """1 for terms that contain one another, else the shared part of their synonyms, 0 for no synonyms."""
    legacy = mode == "legacy"
    if (a in b or b in a) if legacy else _contains(a.split(), b.split()):
        return 1.0
    ours, theirs = names(a, pos), names(b, pos)
    if legacy:
        return len(ours & theirs) / (len(ours | theirs) + _EPS)
    if a.replace(" ", "_") not in theirs and b.replace(" ", "_") not in ours:
        return 0.0
    return len(ours & theirs) / len(ours | theirs)


def _names_of(synonyms: Synonyms, mode: Mode, word: str, pos: Pos | None) -> frozenset[str]:
    if mode == "legacy":
        return synonyms.synonyms(word, pos, None)
    return frozenset(map(str.lower, synonyms.synonyms(word, pos, _SENSES)))


def _strict(classes: Iterable[tuple[_Matched, np.ndarray | None]]) -> float:
    total, weights = 0.0, 0
    for weight, (part, cosines) in zip(_WEIGHTS, classes, strict=True):
        if part.size == (0, 0):
            continue
        weights += weight
        if 0 in part.size:
            continue
        sums = (part.count * _STEPS, part.count * _STEPS)
        if cosines is not None:
            steps = np.rint(cosines.clip(0, 1) * _STEPS).astype(np.int64)
            sums = (sums[0] + int(steps.max(1).sum()), sums[1] + int(steps.max(0).sum()))
        precision, recall = (s / (_STEPS * n) for s, n in zip(sums, part.size, strict=True))
        if precision + recall > 0:
            total += weight * (2 * precision * recall / (precision + recall))
    return total / weights if weights else 0.0


def _legacy(classes: Iterable[tuple[_Matched, np.ndarray | None]]) -> float:
    total = 0.0
    for weight, (part, cosines) in zip(_WEIGHTS, classes, strict=True):
        ours, theirs = (0.0, 0.0) if cosines is None else (cosines.max(1).sum(), cosines.max(0).sum())
        precision = (part.count + float(ours)) / (part.size[0] + _EPS)
        recall = (part.count + float(theirs)) / (part.size[1] + _EPS)
        total += weight * (2 * precision * recall / (precision + recall + _EPS))
    return total / sum(_WEIGHTS)


def _cosines(part: _Matched, row_of: dict[str, int], table: np.ndarray) -> np.ndarray | None:
    """(ours, theirs) cosines of what stages 1 and 2 left; None where a side has nothing left."""
    if not part.open:
        return None
    rows = [[row_of[" ".join(item)] for item in side] for side in part.left]
    # Always the same way round, as a product and its transpose may differ in the last bit.
    if part.left[0] <= part.left[1]:
        return cast(np.ndarray, table[rows[0]] @ table[rows[1]].T)
    return cast(np.ndarray, (table[rows[1]] @ table[rows[0]].T).T)


def _pair_up(
    ours: Sequence[Item], theirs: Sequence[Item], fits: Callable[[Item, Item], bool]
) -> tuple[list[Item], list[Item]]:
    """What is left when, in order, each of ours takes the first of theirs that is free and fits."""
    free, left = list(theirs), []
    for x in ours:
        index = next((index for index, y in enumerate(free) if fits(x, y)), None)
        if index is None:
            left.append(x)
        else:
            del free[index]
    return left, free


def _contains(a: list[str], b: list[str]) -> bool:
    """Whether all words of one term are in the other and both end alike, so name one kind of thing."""
    return bool(a and b) and a[-1] == b[-1] and (set(a) <= set(b) or set(b) <= set(a))


def capture_score(
    candidate: str,
    reference: str,
    *,
    mode: Mode = "strict",
    parser: Parser | None = None,
    vectors: PhraseVectors | None = None,
    synonyms: Synonyms | None = None,
) -> float:
    """How far two captions agree, by the CAPTURE score; see :class:`Scorer` for the formula.

    Args:
        candidate: A caption.
        reference: Another; in strict mode the two may be swapped.
        mode: ``"strict"``, or ``"legacy"`` as the published code counts.
        parser: None loads the default one at each call: hand one in to score many.
        vectors: None loads MiniLM, likewise.
        synonyms: None takes the package's WordNet.

    Returns:
        0 to 1 (in legacy mode it may fall below 0). Captions in which the parser finds nothing score 0.

    Raises:
        InputError: No such mode.
        MissingExtraError: The default parser or vectors are not installed.
    """
    scorer = Scorer(mode, vectors, synonyms)
    a, b = (load_parser("spacy") if parser is None else parser).parse([candidate, reference])
    return scorer.score(scorer.elements(a, candidate), scorer.elements(b, reference))


def score_graphs(a: SceneGraph, b: SceneGraph, *, mode: Mode = "strict", **parts: Any) -> float:
    """CAPTURE of two scene graphs; ``vectors`` and ``synonyms`` as in :func:`capture_score`."""
    scorer = Scorer(mode, **parts)
    return scorer.score(scorer.elements(a), scorer.elements(b))
