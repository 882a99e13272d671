"""How far two captions agree: the CAPTURE score over objects, attributes and relations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np

from urbanln.base.errors import InputError, require
from urbanln.captions.elements import Elements, legacy_elements, strict_elements
from urbanln.captions.matching import LegacyMatcher, Matched, StrictMatcher
from urbanln.captions.parsing.parse import load_parser
from urbanln.captions.scene_graph import Parser, SceneGraph
from urbanln.captions.table import tidy_text
from urbanln.captions.wordnet import Synonyms, load_wordnet

Mode = Literal["strict", "legacy"]
# The published weights .5, .5 and .2 as whole numbers, so that three perfect classes make exactly 1.
_WEIGHTS = (5, 5, 2)
_EPS = 1e-6
# Similarities are counted in steps of 1e-4: the encoder's rounding (1e-7) seldom shows, and sums of whole
# numbers are the same in any order.
_STEPS = 10_000
_CACHED = 100_000
# Elements that are the same which one contradiction outweighs: of facts in the whole score, of looks among
# attributes. At 2 and 0, paraphrases of long texts fall behind changed facts; at 8, or at 4 for looks, on
# which captioners often differ, the vote chooses worse captions.
_AGAINST, _UNLIKE = 4, 1


class PhraseVectors(Protocol):
    """Turns phrases into vectors whose dot product says how alike they are."""

    @property
    def version(self) -> str:
        """Scores of different versions are not comparable."""

    def encode(self, phrases: Sequence[str]) -> np.ndarray:
        """(N, D) float32 of length 1; a phrase has the same vector whatever stands beside it."""


@runtime_checkable
class QuickVectors(PhraseVectors, Protocol):
    """Vectors that can also be had faster and less exactly, good enough where nothing hangs on little."""

    def encode_quickly(self, phrases: Sequence[str]) -> np.ndarray:
        """As ``encode``, but that cosines may differ by some thousandths."""


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
    - British and American words for one thing of a town are one (:mod:`urbanln.captions.field_words`).
    - What a text says is not there is an element like an object, and agrees with nothing but the same denial.
      Counts, directions and denials agree or do not, they are never half alike; "several" beside no count
      says nothing. "A left of B" is "B right of A".
    - Facts weigh more than words (:mod:`urbanln.captions.opposed`): with m elements the same and k facts that
      contradict each other (there and not there, two and three, left and right, a relation turned round),
      the score is multiplied by m/(m + 4k), and the F of attributes by m/(m + k) for looks that do not go
      together (red and blue, brick and glass). It is a share, as long captions state more than short ones.
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
            raise InputError(
                "no such mode of the CAPTURE score",
                value=mode,
                remedy="'strict' or 'legacy'",
                where="vote.mode",
            )
        self.mode = mode
        self._vectors = vectors
        self._synonyms = load_wordnet() if synonyms is None else synonyms
        # Caches of functions that do not know this scorer: it goes, with its vectors, when nobody needs it.
        self._lemma = lru_cache(_CACHED)(self._synonyms.lemma)
        self._matcher = (StrictMatcher if mode == "strict" else LegacyMatcher)(self._synonyms)

    def elements(self, graph: SceneGraph, text: str | None = None) -> Elements:
        """Bring a scene graph's words to their base forms, ready for comparison.

        Args:
            graph: Parse of a caption.
            text: The caption; ``legacy`` drops objects whose words are not in it (a parser may invent).
        """
        if self.mode == "strict":
            return strict_elements(graph, self._lemma)
        return legacy_elements(graph, self._lemma, text)

    def scores(self, pairs: Sequence[tuple[Elements, Elements]], *, quickly: bool = False) -> list[float]:
        """CAPTURE of each (candidate, reference); the phrases of all pairs are encoded in one go.

        Memory grows with the number of pairs: hand in some thousands at a time.

        Args:
            pairs: To compare.
            quickly: By vectors that are had faster and differ a little, where there are such
                (:class:`QuickVectors`).
        """
        matched = [self._matcher.match(a, b) for a, b in pairs]
        left = [part.left for parts in matched for part in parts if part.open]
        phrases = dict.fromkeys(" ".join(item) for sides in left for side in sides for item in side)
        row_of = {phrase: row for row, phrase in enumerate(phrases)}
        table = self._encode(list(row_of), quickly)
        finish = _strict if self.mode == "strict" else _legacy
        return [finish([(part, _cosines(part, row_of, table)) for part in parts]) for parts in matched]

    def score(self, candidate: Elements, reference: Elements) -> float:
        """CAPTURE of one pair."""
        return self.scores([(candidate, reference)])[0]

    def _encode(self, phrases: list[str], quickly: bool) -> np.ndarray:
        if not phrases:
            return np.zeros((0, 1))
        if self._vectors is None:
            self._vectors = load_vectors()
        quick = quickly and isinstance(self._vectors, QuickVectors)
        encode = cast(QuickVectors, self._vectors).encode_quickly if quick else self._vectors.encode
        # In double precision a dot product does not depend, to 1e-15, on the shape of the product it is in.
        return np.asarray(encode(phrases), dtype=np.float64)


def _strict(classes: Iterable[tuple[Matched, np.ndarray | None]]) -> float:
    total, weights, same, against = 0.0, 0, 0, 0
    for weight, (part, cosines) in zip(_WEIGHTS, classes, strict=True):
        same += part.count
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
            total += (
                weight
                * (2 * precision * recall / (precision + recall))
                * _standing(part.count, _UNLIKE * part.unlike)
            )
    return total / weights * _standing(same, _AGAINST * against) if weights else 0.0


def _standing(same: int, against: int) -> float:
    """What contradictions leave of an agreement."""
    return same / (same + against) if against else 1.0


def _legacy(classes: Iterable[tuple[Matched, np.ndarray | None]]) -> float:
    total = 0.0
    for weight, (part, cosines) in zip(_WEIGHTS, classes, strict=True):
        ours, theirs = (0.0, 0.0) if cosines is None else (cosines.max(1).sum(), cosines.max(0).sum())
        precision = (part.count + float(ours)) / (part.size[0] + _EPS)
        recall = (part.count + float(theirs)) / (part.size[1] + _EPS)
        total += weight * (2 * precision * recall / (precision + recall + _EPS))
    return total / sum(_WEIGHTS)


def _cosines(part: Matched, row_of: dict[str, int], table: np.ndarray) -> np.ndarray | None:
    """(ours, theirs) cosines of what stages 1 and 2 left; None where a side has nothing left."""
    if not part.open:
        return None
    rows = [[row_of[" ".join(item)] for item in side] for side in part.left]
    # Always the same way round, as a product and its transpose may differ in the last bit.
    if part.left[0] <= part.left[1]:
        return cast(np.ndarray, table[rows[0]] @ table[rows[1]].T)
    return cast(np.ndarray, (table[rows[1]] @ table[rows[0]].T).T)


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
        0 to 1 (in legacy mode it may fall below 0). In strict mode a text scores exactly 1 with itself,
        whatever the parser makes of it; but for that, captions in which the parser finds nothing score 0.

    Raises:
        InputError: No such mode.
        MissingExtraError: The default parser or vectors are not installed.
    """
    scorer = Scorer(mode, vectors, synonyms)
    if mode == "strict" and tidy_text(candidate) and tidy_text(candidate) == tidy_text(reference):
        return 1.0
    a, b = (load_parser("spacy") if parser is None else parser).parse([candidate, reference])
    return scorer.score(scorer.elements(a, candidate), scorer.elements(b, reference))


def score_graphs(a: SceneGraph, b: SceneGraph, *, mode: Mode = "strict", **parts: Any) -> float:
    """CAPTURE of two scene graphs; ``vectors`` and ``synonyms`` as in :func:`capture_score`."""
    scorer = Scorer(mode, **parts)
    return scorer.score(scorer.elements(a), scorer.elements(b))
