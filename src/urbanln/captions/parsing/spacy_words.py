"""Words with tags and dependencies, as a spaCy pipeline gives them, in half of its time.

Nothing is worked out twice that depends on less than the text: what the first layer makes of a word depends
on the word, its part of speech and base form on it, its tag and its place in the tree. Where a pipeline is
not of the usual small form, spaCy itself does all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from urbanln.captions.parsing.spacy_layers import word_layers

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

_KEPT = 100_000  # words, of a city some thousands
_TOGETHER = 128  # texts; more are hardly faster, and the parser holds 4 kB for each of their words
_USUAL = ["tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer"]


@dataclass(frozen=True)
class Words:
    """The words of a text, one entry each.

    Attributes:
        lower, lemma: In lower case.
        pos, tag, dep: As spaCy names them.
        head: Position of the word each hangs on; its own at the root.
        glued: Whether no space stands before.
    """

    lower: list[str]
    lemma: list[str]
    pos: list[str]
    tag: list[str]
    dep: list[str]
    head: list[int]
    glued: list[bool]

    def within(self, start: int, stop: int) -> Words:
        """Some of them, for themselves: what hangs on a word elsewhere hangs on itself."""
        heads = [head - start for head in self.head[start:stop]]
        return Words(
            self.lower[start:stop],
            self.lemma[start:stop],
            self.pos[start:stop],
            self.tag[start:stop],
            self.dep[start:stop],
            [head if 0 <= head < len(heads) else i for i, head in enumerate(heads)],
            [glued and i > 0 for i, glued in enumerate(self.glued[start:stop])],
        )


def words_of(doc: Doc) -> Words:
    """The words of a text that a whole pipeline has read."""
    return Words(
        lower=[token.lower_ for token in doc],
        lemma=[(token.lemma_ or token.lower_).lower() for token in doc],
        pos=[token.pos_ for token in doc],
        tag=[token.tag_ for token in doc],
        dep=[token.dep_ for token in doc],
        head=[token.head.i for token in doc],
        glued=[bool(i) and not doc[i - 1].whitespace_ for i in range(len(doc))],
    )


class Pipeline:
    """A spaCy pipeline that is asked for words.

    Args:
        nlp: Loaded, without what nobody reads here: names and sentence ends.
    """

    def __init__(self, nlp: Language) -> None:
        self._nlp = nlp
        for _, part in nlp.pipeline:
            if hasattr(getattr(part, "model", None), "walk"):
                _use_numpy(part.model)
        self._usual = nlp.pipe_names == _USUAL and getattr(nlp.get_pipe("lemmatizer"), "mode", "") == "rule"
        if self._usual:
            self._tokens = _Tokens(nlp)
            self._lexicon = _Lexicon(nlp)
            self._layers = word_layers(nlp)

    def read(self, texts: Sequence[str]) -> list[Words]:
        """Words of texts, in order. Not for two threads at once, and memory grows with the texts."""
        found: list[Words] = []
        # Strings and trees are freed with the zone; they would pile up over a city's captions.
        with self._nlp.memory_zone():
            for start in range(0, len(texts), _TOGETHER):
                found += self._read(texts[start : start + _TOGETHER])
        return found

    def _read(self, texts: Sequence[str]) -> list[Words]:
        if not self._usual:
            return [words_of(doc) for doc in self._nlp.pipe(texts, batch_size=_TOGETHER)]
        docs = list(map(self._tokens.doc, texts))
        tok2vec, tagger, parser = (cast(Any, part) for _, part in self._nlp.pipeline[:3])
        vectors = tok2vec.predict(docs) if self._layers is None else self._layers.vectors(docs)
        tok2vec.set_annotations(docs, vectors)
        for part in (tagger, parser):
            part.set_annotations(docs, part.predict(docs))
        return self._lexicon.words(docs)


class _Tokens:
    """The words of texts, cut by the pipeline's rules, which look at what stands between two blanks."""

    def __init__(self, nlp: Language) -> None:
        self._nlp = nlp
        self._known: dict[str, tuple[list[str], list[bool], list[tuple[int, str]]]] = {}

    def doc(self, text: str) -> Doc:
        """A text's words, without anything said of them but what short forms stand for."""
        from spacy.tokens import Doc

        words: list[str] = []
        spaces: list[bool] = []
        norms: list[tuple[int, str]] = []
        for part in text.split(" "):
            found = self._known.get(part) or self._cut(part)
            norms += [(len(words) + at, norm) for at, norm in found[2]] if found[2] else []
            words += found[0]
            spaces += found[1]
        if "" in words:  # blanks in a row are words too
            return self._nlp.make_doc(text)
        spaces[-1] = False
        doc = Doc(self._nlp.vocab, words=words, spaces=spaces)
        for at, norm in norms:
            doc[at].norm_ = norm
        return doc

    def _cut(self, part: str) -> tuple[list[str], list[bool], list[tuple[int, str]]]:
        if len(self._known) > _KEPT:
            self._known.clear()
        tokens = list(self._nlp.make_doc(part)) if part else []
        words = [token.text for token in tokens] or [""]
        spaces = [*(bool(token.whitespace_) for token in tokens[:-1]), True]
        norms = [(token.i, token.norm_) for token in tokens if token.norm != token.lex.norm]
        self._known[part] = (words, spaces, norms)
        return self._known[part]


class _Lexicon:
    """Parts of speech and base forms: the pipeline's rules, asked once about words of one kind.

    They look at a word, its tag and its place in the tree, and at the word beside it only where a rule names
    two, such as "gon" and "na" or "there" and "is".
    """

    def __init__(self, nlp: Language) -> None:
        self._vocab = nlp.vocab
        self._rules = [cast(Any, part) for _, part in nlp.pipeline[3:]]
        self._joined = _joined_words(self._rules[0].patterns)
        self._is_joined: dict[int, bool] = {}
        self._expletive = nlp.vocab.strings.add("expl")
        self._known: dict[tuple[int, ...], tuple[str, str, str, str, str]] = {}

    def words(self, docs: Sequence[Doc]) -> list[Words]:
        """The words of texts with tags and trees."""
        from spacy.attrs import DEP, HEAD, ORTH, SPACY, TAG

        tables = [doc.to_array([ORTH, TAG, DEP, HEAD, SPACY]) for doc in docs]
        keys = [self._keys(*table[:, :3].T.tolist()) if len(table) else [] for table in tables]
        fresh = {
            key: (doc, i)
            for doc, found in zip(docs, keys, strict=True)
            for i, key in enumerate(found)
            if key not in self._known
        }
        if len(self._known) + len(fresh) > _KEPT:
            self._known.clear()
            fresh = {
                key: (doc, i) for doc, found in zip(docs, keys, strict=True) for i, key in enumerate(found)
            }
        self._learn(fresh)
        return [self._one(found, table) for found, table in zip(keys, tables, strict=True)]

    def _one(self, keys: list[tuple[int, ...]], table: np.ndarray) -> Words:
        if not keys:
            return Words([], [], [], [], [], [], [])
        lower, lemma, pos, tag, dep = map(list, zip(*(self._known[key] for key in keys), strict=True))
        heads = table[:, 3].astype(np.int64) + np.arange(len(table))
        glued = [False, *(table[:-1, 4] == 0).tolist()]
        return Words(lower, lemma, pos, tag, dep, heads.tolist(), glued)

    def _keys(self, orth: list[int], tag: list[int], dep: list[int]) -> list[tuple[int, ...]]:
        """What the rules may look at, a word each; zeros where they look at no neighbour."""
        beside = [word if self._joins(word) else 0 for word in orth]
        before = [0, *beside[:-1]]
        after = [*beside[1:], 0]
        there = [False, *(one == self._expletive for one in dep[:-1])]
        return list(zip(orth, tag, dep, before, after, there, strict=True))

    def _joins(self, word: int) -> bool:
        found = self._is_joined.get(word)
        if found is None:
            if len(self._is_joined) > _KEPT:
                self._is_joined.clear()
            found = self._is_joined[word] = self._joined(self._vocab.strings[word].lower())
        return found

    def _learn(self, fresh: dict[tuple[int, ...], tuple[Doc, int]]) -> None:
        """Have the rules read each new word between its neighbours."""
        from spacy.tokens import Doc

        if not fresh:
            return
        tokens = [
            (doc[k] if 0 <= k < len(doc) else None) for doc, i in fresh.values() for k in (i - 1, i, i + 1)
        ]
        read = Doc(
            self._vocab,
            words=["." if token is None else token.text for token in tokens],
            tags=["." if token is None else token.tag_ for token in tokens],
            deps=["punct" if token is None else token.dep_ for token in tokens],
            heads=list(range(len(tokens))),
        )
        for part in self._rules:
            part(read)
        for number, key in enumerate(fresh):
            token = read[3 * number + 1]
            lemma = (token.lemma_ or token.lower_).lower()
            self._known[key] = (token.lower_, lemma, token.pos_, token.tag_, token.dep_)


def _joined_words(patterns: Sequence[dict[str, Any]]) -> Callable[[str], bool]:
    """Tells the words that a rule about two of them names."""
    exact: set[str] = set()
    forms: list[str] = []
    for pattern in patterns:
        for tokens in pattern["patterns"]:
            for token in tokens if len(tokens) > 1 else ():
                word = token.get("LOWER", {})
                if isinstance(word, str):
                    exact.add(word)
                exact |= set(word.get("IN", ())) if isinstance(word, dict) else set()
                forms += [word["REGEX"]] if isinstance(word, dict) and "REGEX" in word else []
    found = [re.compile(form) for form in forms]
    return lambda word: word in exact or any(form.search(word) for form in found)


def _use_numpy(model: Any) -> None:
    """Multiply with numpy's library in place of spaCy's own, which is three times slower."""
    from thinc.api import NumpyOps

    ops = NumpyOps(use_blis=False)
    for node in model.walk():
        node.ops = ops
