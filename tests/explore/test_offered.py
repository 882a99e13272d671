"""Queries that are offered where nobody named any."""

from __future__ import annotations

from urbanln.explore.offered import MOST_OFFERED, offered

_PLACES = [
    "The aerial image shows a large parking lot and some tall trees.",
    "There is a parking lot, next to a football field.",
    "Many tall trees stand around the football field.",
    "Parking lot; and a Parking Lot again.",
    *(f"A quiet street of kind {name}" for name in ("one", "two", "three", "four", "five", "six", "seven")),
    "",
]


def test_what_several_regions_speak_of_is_offered_in_their_own_words() -> None:
    # "quiet street" is said of most; "large parking lot" and "tall trees stand" of one.
    assert offered(_PLACES) == ("parking lot", "football field", "tall trees")


def test_no_two_share_a_word_and_there_are_few() -> None:
    colours = ["red", "blue", "green", "white", "brown", "grey", "black", "pink"]
    things = ["roofs", "gardens", "courts", "barns", "lakes", "paths", "cranes", "tanks"]
    texts = [f"{colour} {thing}. {colour} cars." for colour, thing in zip(colours, things, strict=True)] * 2
    found = offered(texts)
    assert len(found) == MOST_OFFERED
    words = [word for one in found for word in one.split()]
    assert len(words) == len(set(words))


def test_nothing_is_offered_where_nothing_is_said_twice() -> None:
    assert offered([]) == offered(["", ""]) == offered(["tall trees", "a parking lot"]) == ()
