"""Which facts agree, which cannot both be true, and which say nothing of each other."""

from __future__ import annotations

import pytest

from urbanln.captions.opposed import bearing, count_of, relation_bearing


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("two/three", -1), ("two/2", 1), ("two/pair", 1), ("twelve/dozen", 1), ("20/twenty", 1),
        ("25/26", -1), ("one/single", 1), ("one/several", -1), ("five/several", 1), ("two/many", -1),
        ("few/many", -1), ("several/many", 1), ("about twenty/twenty", 1), ("about ten/dozen", 1),
        ("about ten/fifty", -1), ("left/right", -1), ("top left/left", 1), ("top left/bottom right", -1),
        ("left/top", -1), ("left/center", -1), ("north/northeast", 1), ("north/south", -1),
        ("north/east", -1),
        ("left/north", 0), ("foreground/background", -1), ("red/blue", -1), ("red/dark red", 0),
        ("light blue/dark green", -1), ("beige/cream", 0), ("gray/silver", 0), ("brick/concrete", -1),
        ("wide/narrow", -1), ("large/tiny", -1), ("large/big", 0), ("two-story/three-story", -1),
        ("red/old", 0), ("red/two", 0), ("red/not red", -1), ("not red/not blue", 0), ("not red/blue", 0),
    ],
)  # fmt: skip
def test_words_about_one_thing(pair: str, told: int) -> None:
    a, b = pair.split("/")
    assert bearing(a, b) == bearing(b, a) == told


@pytest.mark.parametrize(
    ("pair", "turned", "told"),
    [
        ("left of/left of", True, -1), ("left of/in left of", False, 0), ("north of/northeast of", False, 1),
        ("north of/east of", False, -1), ("north of/northeast of", True, -1),
        ("in north of/in south of", False, -1),
        ("in front of/in front of", True, -1), ("over/on", False, 1), ("over/on", True, -1),
        ("next to/far from", False, -1), ("near/next to", False, 0), ("in/outside", False, -1),
        ("along/cross", False, -1), ("cross/not cross", False, -1), ("cross/not cross", True, 0),
        ("overtake/overtake", True, -1), ("on/with", False, 0),
    ],
)  # fmt: skip
def test_relations_between_the_same_things(pair: str, turned: bool, told: int) -> None:
    a, b = pair.split("/")
    assert relation_bearing(a, b, turned) == relation_bearing(b, a, turned) == told


@pytest.mark.parametrize("word", ["", "red", "²", "٣x", "1234567890", "about", "not two"])
def test_what_is_no_count(word: str) -> None:
    assert count_of(word) is None
