"""The caption table after a vote, made some pictures at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.spool import some_rows
from urbanln.captions.capture import Mode, PhraseVectors, Scorer
from urbanln.captions.consensus import TOGETHER, Vote, votes_of
from urbanln.captions.facts import Facts
from urbanln.captions.scene_graph import Parser
from urbanln.captions.table import TokenCounter, candidates_table, check_columns, spoken_candidates
from urbanln.captions.wordnet import Synonyms
from urbanln.city.checks import CAPTION_COLUMNS, empty_captions


def vote_table(candidates: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """What :func:`vote_blocks` gives, as one frame.

    Args:
        candidates: As there, like the ``options``.
    """
    blocks = list(vote_blocks(candidates, **options))
    return pd.concat(blocks, ignore_index=True) if blocks else empty_captions()


def vote_blocks(
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
) -> Iterator[pd.DataFrame]:
    """The caption table after a vote: of each image the chosen text first, then the others by score.

    No more of it is in memory than the candidates of some thousand texts, twice.

    Args:
        candidates: Columns ``image_id``, ``captioner``, ``caption``; the images keep the order of their
            first row.
        parser: As for :func:`urbanln.captions.consensus.vote_many`, like ``vectors``, ``synonyms``, ``mode``,
            ``max_tokens``, ``facts`` and ``processes``.
        count_tokens: Counts the model's tokens; without it ``tokens`` is missing.
        weights: ``"winner"``: 1 for the chosen text, 0 for the others; ``"soft"``: softmax of the scores,
            so that training may draw another text now and then.
        temperature: Of the softmax: texts that differ by this much in score differ e-fold in weight.

    Yields:
        Some images' rows: the columns of ``captions.parquet``, one row per distinct text of an image.
        ``agreement`` is the score; ``margin`` is the score less the best other text's: the chosen one's lead,
        the others' lag (0 or less). Both are missing for a text without another.

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
        return
    found = votes_of(
        chain([first], blocks), candidates["image_id"].nunique(), Scorer(mode, vectors, synonyms), parser,
        None if count_tokens is None else blocks.counted, max_tokens, facts=facts, processes=processes,
    )  # fmt: skip
    softness = temperature if weights == "soft" else None
    for votes in found:
        yield _ranked(*blocks.take(), votes, softness)


class _Blocks(Iterator[list[list[str]]]):
    """Candidates some images at a time, tidied only then.

    Args:
        candidates: As of :func:`vote_blocks`.
        count_tokens: Counts the model's tokens.
    """

    def __init__(self, candidates: pd.DataFrame, count_tokens: TokenCounter | None) -> None:
        self._rows, self._count = _blocks(candidates), count_tokens
        self._waiting: deque[tuple[pd.DataFrame, dict[Any, list[str]]]] = deque()

    def __next__(self) -> list[list[str]]:
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
        if end - start >= TOGETHER or end == len(order):
            yield some_rows(candidates, order[start:end])
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
