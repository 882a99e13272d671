"""The vote the slow way: whole texts one at a time through spaCy's own pipeline, phrases in float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import spacy

from urbanln.captions.capture import PhraseVectors
from urbanln.captions.parsing.scene_rules import Reader
from urbanln.captions.parsing.spacy_parser import SpacyParser, plain_turns, tidy
from urbanln.captions.parsing.spacy_words import words_of
from urbanln.captions.scene_graph import SceneGraph


class WholeTexts:
    """Reads texts as they stand, with every part of the pipeline."""

    version = "whole"

    def __init__(self) -> None:
        self.nlp = spacy.load(SpacyParser().model)

    def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
        return [Reader(words_of(self.nlp(plain_turns(tidy(text))))).read() for text in texts]


class ExactOnly:
    """Vectors without their quick form."""

    def __init__(self, vectors: PhraseVectors) -> None:
        self._vectors = vectors
        self.version = vectors.version

    def encode(self, phrases: Sequence[str]) -> np.ndarray:
        return self._vectors.encode(phrases)
