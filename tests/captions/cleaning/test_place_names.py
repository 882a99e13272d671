"""Names of places found in captions and written over."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanln.captions.cleaning.place_names import PlaceNames

PLACES = PlaceNames(["Nice", "la Boca", "place", "这"])


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("A street in Beijing, China.", "A street in this place."),
        ("Beijing's roofs, a sign of Beijing’s rise.", "This place's roofs, a sign of this place’s rise."),
        ("A road in Chaoyang District, Beijing, China, with trees.", "A road in this place, with trees."),
        ("An Istanbul street, the Tokyo skyline.", "A local street, the local skyline."),
        ("The busy Beijing street at Beijing Zoo.", "The busy local street at the local Zoo."),
        ("In the United States and the Netherlands.", "In this place and this place."),
        ("The U.S. has roads. So has the U.K.", "This place has roads. So has this place."),
        ("In downtown Shanghai, in a modern Lagos.",
         "In the downtown part of this place, in a modern place."),
        ("Life in Ho Chi Minh City unfolds.", "Life in this place unfolds."),
        ("BEIJING stands on a sign. Homes of la Boca.", "This place stands on a sign. Homes of this place."),
        ("In Nice. 北京市，中国的街道。", "In this place. 这里的街道。"),
        ("A Beijing-style roof.", "A local-style roof."),
        ("The Philippines' coast.", "This place's coast."),
        ("A road in Turkey.", "A road in this place."),
        ("Between Greece and Turkey.", "Between this place."),
    ],
)  # fmt: skip
def test_names_are_hidden_and_the_sentence_stays_one(text: str, hidden: str) -> None:
    assert PLACES.hide(text) == hidden
    assert PLACES.hide(hidden) == hidden
    assert not PLACES.mentions(hidden)


@pytest.mark.parametrize(
    "text",
    [
        "Roast Turkey, china plates and a nice place.",
        "A portrait of Michael Jordan by Virginia.",
        "Signs with Chinese characters, a Parisian cafe, Beijinger roofs, Chinatown.",
        "Tell us of it; a chilean, oman, polandish road.",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert PLACES.hide(text) == text


def test_a_row_of_names_is_one_mention_with_all_of_them() -> None:
    (mention,) = PLACES.mentions("It is in Haidian District, Beijing, China.")
    assert mention.names == ("Haidian", "Beijing", "China")
    assert (mention.start, mention.end) == (9, 41)


@pytest.mark.parametrize(
    ("folder", "text", "hidden"),
    [
        ("city", "City roads in a large city.", "City roads in a large city."),
        ("reading", "People reading in Reading.", "People reading in this place."),
        ("riverton", "The Riverton skyline, riverton, RIVERTON.", "The local skyline, riverton, this place."),
        ("new-haven_2", "Homes of New Haven 2.", "Homes of this place."),
        ("2020", "In 2020 a road.", "In 2020 a road."),
        ("北", "北边", "这里边"),
    ],
)
def test_a_name_in_small_letters_is_a_folders(folder: str, text: str, hidden: str) -> None:
    assert PlaceNames([folder]).hide(text) == hidden


def test_a_quotation_mark_after_a_name_is_no_genitive() -> None:
    assert PLACES.hide("A sign 'Bank of China' in red.") == "A sign 'Bank of this place' in red."


WORDS = st.sampled_from(
    ["Beijing", "China", "New", "York", "City", "the", "an", "downtown", "street", "in", "Zoo", "is", "U.S.",
     "Turkey", "place", "北京", "中国", "Beijing's", "States'", "United"]
)  # fmt: skip
TEXTS = st.lists(st.tuples(WORDS, st.sampled_from([" ", ", ", ". ", "-", ""])), max_size=12)


@given(TEXTS.map(lambda parts: "".join(map("".join, parts))))
def test_hidden_text_names_nothing_sure(text: str) -> None:
    hidden = PLACES.hide(text)
    for name in ("Beijing", "China", "New York", "北京", "United States"):
        assert all(name not in mention.names for mention in PLACES.mentions(hidden))


@pytest.mark.parametrize("piece", ["Beijing ", "New ", "Beijing, ", "a" * 1000, "(", "北京", "the ", "U."])
def test_a_long_text_takes_a_moment(piece: str) -> None:
    started = time.process_time()
    PLACES.hide(piece * (400_000 // len(piece)))
    assert time.process_time() - started < 5
