"""Of several captions of one picture, the one that the others bear out most."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.progress import progress
from urbanln.captions.capture import Mode, PhraseVectors, Scorer
from urbanln.captions.elements import Elements
from urbanln.captions.facts import Facts
from urbanln.captions.languages import written_alike
from urbanln.captions.parsing.parse import Parsing, load_parser
from urbanln.captions.scene_graph import Parser, SceneGraph
from urbanln.captions.table import (
    TokenCounter,
    candidates_table,
    check_columns,
    spoken_candidates,
    tidy_candidate,
)
from urbanln.captions.wordnet import Synonyms
from urbanln.city.checks import CAPTION_COLUMNS, empty_captions

_TOGETHER = 4_000  # texts whose parses and phrases are in memory at once
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
        processes: That parse; 0 for one per core.

    Raises:
        InputError: No such mode.
        MissingExtraError: The default parser or vectors are not installed.
    """
    tidy = [[tidy_candidate(text) for text in group] for group in groups]
    if not any(any(group) for group in tidy):
        return [_elect(group, {}, {}) for group in tidy]
    found = _votes(
        _chunks(tidy), len(tidy), Scorer(mode, vectors, synonyms), parser, count_tokens, max_tokens,
        facts=facts, processes=processes,
    )  # fmt: skip
    return [vote for votes in found for vote in votes]


def _votes(
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
        if size >= _TOGETHER:
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


def vote_table(
    candidates: pd.DataFrame,
    *,
    parser: Parser | None = None,
    vectors: PhraseVectors | None = None,
    synonyms: Synonyms | None = None,
    mode: Mode = "strict",
    count_tokens: TokenCounter | None = None,
    max_tokens: int = 248,
    weights: Literal["winner", "soft"] = "winner",
    temperature: float = 0.05,
    facts: Facts | None = None,
    processes: int = 0,
) -> pd.DataFrame:
    """The caption table after a vote: of each image the chosen text first, then the others by score.

    Args:
        candidates: Columns ``image_id``, ``captioner``, ``caption``; the images keep the order of their
            first row.
        parser: As for :func:`vote_many`, like ``vectors``, ``synonyms``, ``mode``, ``max_tokens``, ``facts``
            and ``processes``.
        count_tokens: Counts the model's tokens; without it ``tokens`` is missing.
        weights: ``"winner"``: 1 for the chosen text, 0 for the others; ``"soft"``: softmax of the scores,
            so that training may draw another text now and then.
        temperature: Of the softmax: texts that differ by this much in score differ e-fold in weight.

    Returns:
        The columns of ``captions.parquet``, one row per distinct text of an image. ``agreement`` is the
        score; ``margin`` is the score less the best other text's: the chosen one's lead, the others' lag
        (0 or less). Both are missing for a text without another.

    Raises:
        InputError: A column is missing; no such weights; temperature not above 0.
        MissingExtraError: The default parser or vectors are not installed.
    """
    if weights not in ("winner", "soft"):
        raise InputError("no such weights", value=weights, remedy="'winner' or 'soft'", where="vote.weights")
    if not temperature > 0:
        what = "the temperature of soft weights must be above 0"
        raise InputError(what, value=temperature, where="vote.temperature", remedy="give a number above 0")
    check_columns(candidates, "candidate captions")
    blocks = _Blocks(candidates, count_tokens)
    first = next(blocks, None)
    if first is None:
        return empty_captions()
    found = _votes(
        chain([first], blocks), candidates["image_id"].nunique(), Scorer(mode, vectors, synonyms), parser,
        None if count_tokens is None else blocks.counted, max_tokens, facts=facts, processes=processes,
    )  # fmt: skip
    softness = temperature if weights == "soft" else None
    return pd.concat([_ranked(*blocks.take(), votes, softness) for votes in found], ignore_index=True)


class _Blocks(Iterator[_Chunk]):
    """Candidates some images at a time, tidied only then: a city's are in memory once, and once more chosen.

    Args:
        candidates: As of :func:`vote_table`.
        count_tokens: Counts the model's tokens.
    """

    def __init__(self, candidates: pd.DataFrame, count_tokens: TokenCounter | None) -> None:
        self._rows, self._count = _blocks(candidates), count_tokens
        self._waiting: deque[tuple[pd.DataFrame, dict[Any, list[str]]]] = deque()

    def __next__(self) -> _Chunk:
        for rows in self._rows:
            table = candidates_table(rows, self._count)
            if table.empty:
                continue
            # Not the table's rows: there equal texts have collapsed, here they are witnesses.
            by_image = spoken_candidates(rows).groupby("image_id", sort=False)
            self._waiting.append((table, {image: list(texts) for image, texts in by_image["caption"]}))
            return list(self._waiting[-1][1].values())
        raise StopIteration

    def counted(self, texts: list[str]) -> list[int]:
        """Tokens of texts of the block that was not taken yet."""
        table = self._waiting[0][0]
        known = dict(zip(table["caption"], table["tokens"], strict=True))
        return [int(known[text]) for text in texts]

    def take(self) -> tuple[pd.DataFrame, dict[Any, list[str]]]:
        """The table and the texts of each image of the first block that was not taken yet."""
        return self._waiting.popleft()


def _blocks(candidates: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """All rows of some images at a time, in the order of their first ones."""
    codes = pd.factorize(candidates["image_id"])[0]
    order = codes.argsort(kind="stable")  # images that are missing come first, and are dropped later
    start = 0
    for end in (np.flatnonzero(np.diff(codes[order], append=-2)) + 1).tolist():
        if end - start >= _TOGETHER or end == len(order):
            yield candidates.iloc[order[start:end]]
            start = end


def _ranked(
    table: pd.DataFrame, texts_of: dict[Any, list[str]], votes: list[Vote], temperature: float | None
) -> pd.DataFrame:
    rows = []
    for (image, texts), found in zip(texts_of.items(), votes, strict=True):
        best = list(dict.fromkeys(texts[i] for i in found.order))
        scores = dict(zip(texts, found.scores, strict=True))
        values = np.array([scores[text] for text in best])
        lead = values - values[0]
        lead[0] = found.margin
        shares = np.zeros(len(best))
        shares[0] = 1.0
        if temperature is not None and len(best) > 1:
            shares = np.exp((values - values[0]) / temperature)
            shares /= shares.sum()
        rows += [(image, *row) for row in zip(best, range(len(best)), shares, values, lead, strict=True)]
    columns = ["image_id", "caption", "rank", "weight", "agreement", "margin"]
    kept = table[["image_id", "caption", "captioner", "n_candidates", "tokens"]]
    frame = pd.DataFrame(rows, columns=columns).merge(kept, on=["image_id", "caption"], validate="1:1")
    frame["selected"] = frame["rank"] == 0
    return frame[list(CAPTION_COLUMNS)]
