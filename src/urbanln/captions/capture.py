"""How far two captions agree: the CAPTURE score over objects, attributes and relations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal, Protocol, cast

import numpy as np

from urbanln.base.errors import InputError, require
from urbanln.captions import field_words
from urbanln.captions.opposed import AGAINST, AGREE, bearing, is_firm, is_loose, relation_bearing
from urbanln.captions.parsing.parse import load_parser
from urbanln.captions.parsing.scene_words import MATERIALS, NOT
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
_PENALTY = 0.5
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
    """What one caption brings to a comparison: its objects, attributes and relations, each as words.

    Attributes:
        classes: Objects, attributes as (word, object), relations as (object, words, object).
        absent: What is said not to be there; compared with the objects.
    """

    classes: tuple[tuple[Item, ...], tuple[Item, ...], tuple[Item, ...]]
    absent: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the caption names nothing."""
        return not (any(self.classes) or self.absent)


@dataclass(frozen=True)
class _Matched:
    """One class of a pair after stages 1 and 2; ``against`` counts facts that cannot both be true."""

    size: tuple[int, int]
    count: int
    left: tuple[list[Item], list[Item]]
    against: int = 0

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
        if self.mode == "strict":
            return self._strict_elements(graph)
        spoken = None if text is None else self._spoken(text)

        def said(thing: str) -> bool:
            return spoken is None or thing in spoken or spoken.issuperset(thing.split())

        objects = {self._lemma(thing, "n") for thing in graph.objects}
        owned = {
            (self._lemma(word, "a"), self._lemma(thing, "n"))
            for thing, words in graph.attributes.items()
            for word in words
            if " of" not in word and not word.startswith(NOT)
        }
        relations = {
            (self._lemma(a, "n"), " ".join(verb.lower().split()), self._lemma(b, "n"))
            for a, verb, b in graph.relations
            if not verb.startswith(NOT)
        }
        return Elements(
            (
                tuple((thing,) for thing in sorted(objects) if said(thing)),
                tuple(sorted((word,) for word, thing in owned if said(thing))),
                tuple(item for item in sorted(relations) if said(item[0]) and said(item[2])),
            )
        )

    def _strict_elements(self, graph: SceneGraph) -> Elements:
        """Words as the table of the field has them, places as attributes, relations from one of their ends."""
        name: dict[str, str] = {}
        attributes: set[Item] = set()
        for thing in {*graph.objects, *graph.attributes, *graph.places}:
            words = {
                field_words.quality_named(self._quality(word)) for word in graph.attributes.get(thing, ())
            }
            term, others = field_words.thing_with(self._lemma(thing, "n"), frozenset(words))
            name[thing] = term
            attributes |= {(word, term) for word in (*others, *graph.places.get(thing, ()))}
        objects = {name[thing] for thing in graph.objects}
        relations: set[Item] = set()
        for a, verb, b in graph.relations:
            words = " ".join(verb.lower().split())
            ours, theirs = (name.get(end) or field_words.thing_named(self._lemma(end, "n")) for end in (a, b))
            if words == "make of" and b in MATERIALS:
                attributes.add((field_words.quality_named(theirs), ours))
                objects.discard(theirs)
                continue
            relation, turned = field_words.relation_named(words)
            if turned or (field_words.goes_both_ways(relation) and theirs < ours):
                ours, theirs = theirs, ours
            relations.add((ours, relation, theirs))
        absent = {field_words.thing_named(self._lemma(thing, "n")) for thing in graph.absent} - objects
        return Elements(
            (
                tuple((thing,) for thing in sorted(objects)),
                tuple(sorted(attributes)),
                tuple(sorted(relations)),
            ),
            tuple(sorted(absent)),
        )

    def _quality(self, word: str) -> str:
        if word.startswith(NOT):
            return NOT + self._lemma(word.removeprefix(NOT), "a")
        return self._lemma(word, "a")

    def _spoken(self, text: str) -> set[str]:
        """The words of a text as they stand, in base forms, and less a final s (WordNet has "lots" too)."""
        words = {word.lower() for word in _WORD.findall(text)}
        return words | {self._lemma(word, "n") for word in words} | {word.removesuffix("s") for word in words}

    def scores(self, pairs: Sequence[tuple[Elements, Elements]]) -> list[float]:
        """CAPTURE of each (candidate, reference); the phrases of all pairs are encoded in one go.

        Memory grows with the number of pairs: hand in some thousands at a time.
        """
        matched = [self._matched(a, b) for a, b in pairs]
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

    def _matched(self, a: Elements, b: Elements) -> list[_Matched]:
        if self.mode == "legacy":
            return [self._match_legacy(*classes) for classes in zip(a.classes, b.classes, strict=True)]
        objects, attributes, relations = zip(a.classes, b.classes, strict=True)
        return [
            self._with_absent(self._match(*objects, _POS[0]), a, b),
            self._match_attributes(*attributes),
            self._match_relations(*relations),
        ]

    def _match_legacy(self, ours: Sequence[Item], theirs: Sequence[Item]) -> _Matched:
        left = _pair_up(ours, theirs, lambda x, y: x == y)
        left = _pair_up(*left, lambda x, y: self._alike(x, y, (None,) * len(x)) > 0)
        return _Matched((len(ours), len(theirs)), len(ours) - len(left[0]), left)

    def _match(self, ours: Sequence[Item], theirs: Sequence[Item], kinds: tuple[Pos | None, ...]) -> _Matched:
        both = set(ours) & set(theirs)
        left = ([x for x in ours if x not in both], [y for y in theirs if y not in both])
        left = _without(left, _best_first(*left, partial(self._alike, kinds=kinds)))
        return _Matched((len(ours), len(theirs)), len(ours) - len(left[0]), left)

    def _with_absent(self, objects: _Matched, a: Elements, b: Elements) -> _Matched:
        """Objects with those that are said not to be there: nothing else comes near to them."""
        if not (a.absent or b.absent):
            return objects
        absent = self._match([(x,) for x in a.absent], [(y,) for y in b.absent], _POS[0])
        against = sum(self._shows(b, x) for (x,) in absent.left[0]) + sum(
            self._shows(a, y) for (y,) in absent.left[1]
        )
        size = (objects.size[0] + absent.size[0], objects.size[1] + absent.size[1])
        return _Matched(size, objects.count + absent.count, objects.left, against)

    def _shows(self, elements: Elements, absent: str) -> bool:
        """Whether a caption shows what another says is not there: a red roof where there are no roofs."""
        words = absent.split()
        for (thing,) in elements.classes[0]:
            if self._close(absent, thing, "n") == 0 and thing.split()[-1] != words[-1]:
                continue
            told = {word for word, owner in elements.classes[1] if owner == thing}
            if set(words) <= {*thing.split(), *told} or (self._close(absent, thing, "n") and len(words) == 1):
                return True
        return False

    def _match_attributes(self, ours: Sequence[Item], theirs: Sequence[Item]) -> _Matched:
        """Attributes: counts, places and denials agree or do not, and a loose count alone says nothing."""
        found = self._match(ours, theirs, _POS[1])
        against = _best_first(*found.left, self._attributes_oppose)
        left = _without(found.left, against)
        size = [len(ours), len(theirs)]
        for side in (0, 1):
            size[side] -= sum(is_loose(word) for word, _ in left[side])
        soft = ([x for x in left[0] if not is_firm(x[0])], [y for y in left[1] if not is_firm(y[0])])
        return _Matched((size[0], size[1]), found.count, soft, len(against))

    def _attributes_oppose(self, x: Item, y: Item) -> float:
        return float(bearing(x[0], y[0]) == AGAINST and self._same(x[1], y[1]))

    def _match_relations(self, ours: Sequence[Item], theirs: Sequence[Item]) -> _Matched:
        found = self._match(ours, theirs, _POS[2])
        against = _best_first(*found.left, self._relations_oppose)
        return _Matched(found.size, found.count, _without(found.left, against), len(against))

    def _relations_oppose(self, x: Item, y: Item) -> float:
        (a, ours, b), (c, theirs, d) = x, y
        for turned, ends in ((False, ((a, c), (b, d))), (True, ((a, d), (b, c)))):
            if relation_bearing(ours, theirs, turned) == AGAINST and all(self._same(*end) for end in ends):
                return 1.0
        return 0.0

    def _same(self, a: str, b: str) -> bool:
        return a == b or self._close(a, b, "n") > 0

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
    if not legacy and pos in ("a", "v"):
        told = bearing(a, b) if pos == "a" else relation_bearing(a, b, False)
        if told == AGREE or told == AGAINST:
            return float(told == AGREE)
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
    total, weights, against = 0.0, 0, 0
    for weight, (part, cosines) in zip(_WEIGHTS, classes, strict=True):
        against += part.against
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
    return total / weights / (1 + _PENALTY * against) if weights else 0.0


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


def _best_first(
    ours: Sequence[Item], theirs: Sequence[Item], measure: Callable[[Item, Item], float]
) -> list[tuple[Item, Item]]:
    """Pairs one to one, the closest first, then by words: the same whichever caption comes first."""
    found = []
    for x in ours:
        for y in theirs:
            closeness = measure(x, y)
            if closeness > 0:
                found.append((-closeness, min(x, y), max(x, y), x, y))
    taken: tuple[set[Item], set[Item]] = (set(), set())
    pairs = []
    for *_, x, y in sorted(found):
        if x not in taken[0] and y not in taken[1]:
            taken[0].add(x)
            taken[1].add(y)
            pairs.append((x, y))
    return pairs


def _without(
    left: tuple[list[Item], list[Item]], pairs: list[tuple[Item, Item]]
) -> tuple[list[Item], list[Item]]:
    """What is left when pairs are taken out."""
    ours, theirs = {x for x, _ in pairs}, {y for _, y in pairs}
    return [x for x in left[0] if x not in ours], [y for y in left[1] if y not in theirs]


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
