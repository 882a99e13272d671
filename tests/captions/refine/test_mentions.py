from __future__ import annotations

import time

import pytest

from urbanln.captions.refine.mentions import LONGEST, MOST, denies, mentions, phrases_of, without_longer
from urbanln.captions.scene_graph import SceneGraph


@pytest.mark.parametrize(
    ("text", "phrase", "said"),
    [
        ("Two red Buses stop.", "red bus", True),
        ("A red-roofed house.", "red roofed house", True),
        ("People walk on pavements.", "person", True),
        ("Skies over factories.", "factory", True),
        ("A carpet in a treehouse.", "car", False),
        ("A carpet in a treehouse.", "tree", False),
        ("A red car and a blue bus.", "red bus", False),
        ("anything", "", False),
        ("a (b) c", "(b)", True),
    ],
)
def test_phrases_are_found_as_words(text: str, phrase: str, said: bool) -> None:
    assert mentions(text, phrase) is said


def test_parts_give_bare_nouns_and_whole_descriptions_attributes_too() -> None:
    text = "A red bus beside two trees; the roof is flat."
    graph = SceneGraph(("bus", "roof", "tree", "lorry"), {"bus": ("red",), "roof": ("flat",)}, ())
    assert phrases_of(text, graph, part=True) == ["bus", "roof", "tree"]
    # "flat roof" does not stand there as such, and nobody said anything of a lorry.
    assert phrases_of(text, graph, part=False) == ["bus", "roof", "tree", "red bus"]


def test_shorter_phrases_stand_for_longer_ones() -> None:
    assert without_longer(["red bus", "bus", "big red bus", "bus stop"]) == ["bus", "bus stop"]


@pytest.mark.parametrize(
    ("phrase", "denied"),
    [("car", True), ("red car", True), ("road", False), ("bus", False), ("scar", False), ("pool", True)],
)
def test_what_is_named_as_absent_only_is_denied(phrase: str, denied: bool) -> None:
    graph = SceneGraph(("road", "red bus"), absent=("blue bus", "pool", "red car"))
    assert denies(graph, phrase) is denied


def test_absent_things_and_denied_looks_are_not_looked_for() -> None:
    graph = SceneGraph(("roof",), {"roof": ("not red",)}, absent=("car",), places={"roof": ("left",)})
    assert phrases_of("The not red roof on the left, and no car.", graph, part=False) == ["roof"]


def test_a_hostile_graph_is_bounded() -> None:
    words = [f"thing{number}" for number in range(3000)]
    graph = SceneGraph((*words, "x" * 5000), {}, ())
    began = time.process_time()
    found = phrases_of(" ".join(words)[:8000], graph, part=False)
    assert len(found) == MOST
    assert max(map(len, found)) <= LONGEST
    assert time.process_time() - began < 10
