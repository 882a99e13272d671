"""The table of WordNet that the package ships: complete, and read as WordNet is."""

from __future__ import annotations

import gzip
from importlib import resources
from itertools import combinations, pairwise

import pytest

from urbanln.captions.wordnet import WordNet, load_wordnet

_FOLDER = resources.files("urbanln.captions") / "wordnet_table"


def test_every_synset_is_there_and_the_file_is_small_and_reproducible() -> None:
    packed = (_FOLDER / "wordnet.txt.gz").read_bytes()
    assert len(packed) <= 1_200_000
    assert packed[4:8] == b"\0\0\0\0"  # no time of making
    lines = gzip.decompress(packed).decode().splitlines()
    starts = [i for i, line in enumerate(lines) if line[:2] in ("= ", "! ")] + [len(lines)]
    sizes = {lines[a]: b - a - 1 for a, b in pairwise(starts)}
    # Princeton's own count of synsets, wnstats(7WN).
    assert [sizes[f"= {pos}"] for pos in "nvar"] == [82115, 13767, 18156, 3621]
    assert "Princeton" in (_FOLDER / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("word", "pos", "lemma"),
    [
        ("buildings", "n", "building"),
        ("Geese", "n", "goose"),
        ("men", "n", "man"),
        ("leaves", "n", "leaf"),
        ("bus", "n", "bus"),
        ("gas", "n", "gas"),
        ("parking lots", "n", "parking lot"),
        ("apartment blocks", "n", "apartment block"),
        ("greenest", "a", "green"),
        ("taller", "a", "tall"),
        ("surrounds", "v", "surround"),
        ("xyzzys", "n", "xyzzys"),
        ("", "n", ""),
        ("___", "n", ""),
        ("café ☂", "n", "café ☂"),
    ],
)
def test_base_forms(word: str, pos: str, lemma: str) -> None:
    assert load_wordnet().lemma(word, pos) == lemma  # type: ignore[arg-type]


def test_base_forms_stay_as_they_are() -> None:
    wordnet = load_wordnet()
    for word in ("building", "grass", "glasses", "parking lot", "larger", "children"):
        once = wordnet.lemma(word)
        assert wordnet.lemma(once) == once


def test_synonyms_by_part_of_speech_and_sense() -> None:
    wordnet = load_wordnet()
    assert wordnet.synonyms("edifices", "n") == {"building", "edifice"}
    assert "mansion" in wordnet.synonyms("house", "n")  # a sign of the zodiac
    assert "mansion" not in wordnet.synonyms("house", "n", 3)
    assert "parking_lot" in wordnet.synonyms("park", "n")
    assert "parking_lot" not in wordnet.synonyms("park", "n", 3)
    assert wordnet.synonyms("parking lot") == wordnet.synonyms("Parking_lot")
    assert wordnet.synonyms("green", "a") != wordnet.synonyms("green")
    assert wordnet.synonyms("xyzzy") == frozenset()
    assert wordnet.synonyms("") == frozenset()


def test_sharing_a_sense_works_both_ways() -> None:
    wordnet = load_wordnet()
    words = ("building", "edifice", "car", "automobile", "lot", "mountain", "road", "route", "park", "sea")
    for senses in (1, 2, 3, None):
        for a, b in combinations(words, 2):
            assert (a in wordnet.synonyms(b, "n", senses)) == (b in wordnet.synonyms(a, "n", senses))


def test_a_table_of_ones_own() -> None:
    lines = ["= n", "strada via#2", "via", "! n", "vie via", "= v", "! v", "= a", "! a", "= r", "! r"]
    wordnet = WordNet(lines)
    assert wordnet.lemma("vie") == "via"
    assert wordnet.synonyms("strada", "n") == {"strada", "via"}
    assert wordnet.synonyms("via", "n", 1) == {"via"}
