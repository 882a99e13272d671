"""Of several captions of one picture, the one that the others bear out most."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from urbanln.base.progress import progress
from urbanln.captions.capture import Mode, PhraseVectors, Scorer
from urbanln.captions.elements import Elements
from urbanln.captions.facts import Facts
from urbanln.captions.languages import written_alike
from urbanln.captions.parsing.parse import Parsing, load_parser
from urbanln.captions.scene_graph import Parser, SceneGraph
from urbanln.captions.table import TokenCounter, tidy_candidate
from urbanln.captions.wordnet import Synonyms

TOGETHER = 4_000
"""Texts whose parses and phrases are in memory at once."""
# A lead that quick vectors might turn round: three times the most that they changed one by in 400 pictures.
_CLOSE = 7e-4
_Chunk = list[list[str]]  # the candidates of each of some pictures


@dataclass(frozen=True)
class Vote:
    """What a vote came to.

    Attributes:
        index: The chosen caption; None where all are empty.
        scores: Mean agreement of each caption with the others, equal texts alike; NaN where there is no
            other, 0 for empty ones.
        margin: The winner's score less that of the best other text; NaN where there is none.
        order: The captions that are not empty, best first; equal texts in the order given.
    """

    index: int | None
    scores: tuple[float, ...]
    margin: float
    order: tuple[int, ...]


def vote(
    captions: Sequence[str],
    *,
    parser: Parser | None = None,
    vectors: PhraseVectors | None = None,
    synonyms: Synonyms | None = None,
    mode: Mode = "strict",
    count_tokens: TokenCounter | None = None,
    max_tokens: int = 248,
) -> Vote:
    """Choose the caption with the highest mean CAPTURE score with the others.

    The rules are those of :func:`vote_many`, which is the faster one for many pictures.

    Args:
        captions: Candidates for one picture.
        parser: None takes the default one.
        vectors: None loads MiniLM when it is needed.
        synonyms: None takes the package's WordNet.
        mode: Of the score, see :class:`urbanln.captions.capture.Scorer`.
        count_tokens: Counts the model's tokens, to break ties; without it words are counted.
        max_tokens: The model's length.

    Example:
        >>> captions = ["A park with trees.", "A park with trees and a pond.", "A harbour with ships."]
        >>> vote(captions).order  # doctest: +SKIP
        (0, 1, 2)
    """
    return vote_many(
        [captions],
        parser=parser,
        vectors=vectors,
        synonyms=synonyms,
        mode=mode,
        count_tokens=count_tokens,
        max_tokens=max_tokens,
    )[0]


def vote_many(
    groups: Sequence[Sequence[str]],
    *,
    parser: Parser | None = None,
    vectors: PhraseVectors | None = None,
    synonyms: Synonyms | None = None,
    mode: Mode = "strict",
    count_tokens: TokenCounter | None = None,
    max_tokens: int = 248,
    facts: Facts | None = None,
    processes: int = 0,
) -> list[Vote]:
    """One vote per picture.

    - A caption's score is its mean agreement with all other captions that are not empty. Captions with the
      same text (after :func:`urbanln.captions.table.tidy_text`) are witnesses for one another: they
      agree by 1, or by 0 where the parser finds nothing in them. So a further copy of the winner never
      unseats it.
    - A tie (two captions always tie) goes to the longer text that is within the model's length, then to
      the first in the alphabet. Texts over that length come after those within it, the shortest first.
    - Lengths are compared within one language only, since Chinese says in ten characters what takes English
      fifteen words: a tie between languages goes to the text that was given first.
    - Empty texts, and those without a word, never win and count for nothing. One caption alone wins without
      a score.
    - Scores never depend on the order of the captions, and the winner only in a tie between languages.

    Args:
        groups: The candidates of each picture; missing values count as empty.
        parser: None takes the default one.
        vectors: None loads MiniLM when it is needed.
        synonyms: None takes the package's WordNet.
        mode: Of the score. ``legacy`` scores both ways round and takes the mean.
        count_tokens: Counts the model's tokens, to break ties; without it words are counted.
        max_tokens: The model's length.
        facts: Keeps parses, for example the ledger of a city; None parses anew.
        processes: That parse; 0 for one per core but one, 1 for this one alone.

    Raises:
        InputError: No such mode.
        MissingExtraError: The default parser or vectors are not installed.
    """
    tidy = [[tidy_candidate(text) for text in group] for group in groups]
    if not any(any(group) for group in tidy):
        return [_elect(group, {}, {}) for group in tidy]
    found = votes_of(
        _chunks(tidy), len(tidy), Scorer(mode, vectors, synonyms), parser, count_tokens, max_tokens,
        facts=facts, processes=processes,
    )  # fmt: skip
    return [vote for votes in found for vote in votes]


def votes_of(
    chunks: Iterable[_Chunk],
    total: int,
    scorer: Scorer,
    parser: Parser | None,
    count_tokens: TokenCounter | None,
    max_tokens: int,
    *,
    facts: Facts | None,
    processes: int,
) -> Iterator[list[Vote]]:
    """The votes of each chunk of pictures, so that no more than two chunks are in memory."""
    parser = load_parser("spacy") if parser is None else parser
    parsing = Parsing(parser, facts=facts, processes=processes)
    # While one chunk is compared, the next one is parsed.
    with ThreadPoolExecutor(1) as ahead, parsing, progress("comparing captions", total) as advance:
        for chunk, texts, graphs in _parsed(chunks, parsing, ahead):
            elements = {text: scorer.elements(graph, text) for text, graph in zip(texts, graphs, strict=True)}
            yield _vote_on(chunk, elements, _tie_ranks(texts, count_tokens, max_tokens), scorer)
            advance(len(chunk))


def _parsed(
    chunks: Iterable[_Chunk], parsing: Parsing, ahead: ThreadPoolExecutor
) -> Iterator[tuple[_Chunk, list[str], list[SceneGraph]]]:
    """Each chunk with its distinct texts and their graphs; the one after it is under way by then."""
    under_way: list[tuple[_Chunk, list[str], Future[list[SceneGraph]]]] = []
    for chunk in chunks:
        texts = sorted({text for group in chunk for text in group if text})
        under_way.append((chunk, texts, ahead.submit(parsing.graphs, texts)))
        if len(under_way) > 1:
            earlier, its_texts, graphs = under_way.pop(0)
            yield earlier, its_texts, graphs.result()
    for last, its_texts, graphs in under_way:
        yield last, its_texts, graphs.result()


def _vote_on(
    groups: list[list[str]],
    elements: dict[str, Elements],
    ranks: dict[str, tuple[bool, int, str]],
    scorer: Scorer,
) -> list[Vote]:
    """By quick vectors; where the lead is so small that they might be wrong, by exact ones."""
    agreements = _agreements(groups, elements, scorer, quickly=True)
    votes = [_elect(group, found, ranks) for group, found in zip(groups, agreements, strict=True)]
    close = [i for i, vote in enumerate(votes) if vote.margin <= _CLOSE and len(set(groups[i]) - {""}) > 2]
    again = _agreements([groups[i] for i in close], elements, scorer, quickly=False)
    for i, found in zip(close, again, strict=True):
        votes[i] = _elect(groups[i], found, ranks)
    return votes


def _chunks(groups: list[list[str]]) -> Iterator[list[list[str]]]:
    """Pictures together until they have enough texts to be worth starting parsers for."""
    chunk: list[list[str]] = []
    size = 0
    for group in groups:
        chunk.append(group)
        size += len(group)
        if size >= TOGETHER:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _tie_ranks(
    texts: list[str], count_tokens: TokenCounter | None, max_tokens: int
) -> dict[str, tuple[bool, int, str]]:
    """What decides between equal scores, smallest first."""
    counts = [len(text.split()) for text in texts] if count_tokens is None else count_tokens(texts)
    return {
        text: (count > max_tokens, count if count > max_tokens else -count, text)
        for text, count in zip(texts, map(int, counts), strict=True)
    }


def _agreements(
    groups: list[list[str]], elements: dict[str, Elements], scorer: Scorer, *, quickly: bool
) -> list[dict[tuple[str, str], float]]:
    """For each picture, the agreement of every two distinct texts and of each text with its copies."""
    pairs = [list(combinations(sorted(set(group) - {""}), 2)) for group in groups]
    asked = [(elements[a], elements[b]) for found in pairs for a, b in found]
    scores = np.array(scorer.scores(asked, quickly=quickly))
    if scorer.mode == "legacy":
        scores = (scores + np.array(scorer.scores([(b, a) for a, b in asked], quickly=quickly))) / 2
    values = iter(scores.tolist())
    result = []
    for group, found in zip(groups, pairs, strict=True):
        known = {(text, text): 0.0 if elements[text].empty else 1.0 for text in set(group) - {""}}
        for a, b in found:
            known[a, b] = known[b, a] = next(values)
        result.append(known)
    return result


def _elect(
    group: list[str], agreement: dict[tuple[str, str], float], ranks: dict[str, tuple[bool, int, str]]
) -> Vote:
    copies = Counter(text for text in group if text)
    others = sum(copies.values()) - 1
    scores: dict[str, float] = {"": 0.0}
    for text in copies:
        # fsum rounds once, at the end: the same sum whatever the order of the captions.
        seen = [agreement[text, other] for other, n in copies.items() for _ in range(n - (other == text))]
        scores[text] = math.fsum(seen) / others if others else math.nan
    tied: dict[float, list[str]] = {}
    for text in copies:  # in the order given
        tied.setdefault(-scores[text] if others else 0.0, []).append(text)
    best = [text for score in sorted(tied) for text in _in_tie(tied[score], ranks)]
    place = {text: position for position, text in enumerate(best)}
    order = sorted((i for i, text in enumerate(group) if text), key=lambda i: place[group[i]])
    return Vote(
        index=order[0] if order else None,
        scores=tuple(scores[text] for text in group),
        margin=scores[best[0]] - scores[best[1]] if len(best) > 1 else math.nan,
        order=tuple(order),
    )


def _in_tie(texts: list[str], ranks: dict[str, tuple[bool, int, str]]) -> list[str]:
    """Texts of equal scores, best first."""
    if written_alike(texts):
        return sorted(texts, key=lambda text: ranks[text])
    return sorted(texts, key=lambda text: ranks[text][0])  # stable: else as given
