"""Which texts are written alike."""

from __future__ import annotations

import pytest

from urbanln.captions.languages import language_of, script_of, written_alike

SAID = {
    "English": "A wide road runs past brick houses, and there is a park near the river.",
    "German": "Eine breite Straße führt an Backsteinhäusern vorbei, und neben dem Fluss ist ein Park.",
    "French": "Une large route longe des maisons en brique, et un parc est près de la rivière.",
    "Spanish": "Una calle ancha con casas de ladrillo, y hay un parque cerca del río.",
    "Italian": "Una strada larga con case di mattoni e un parco vicino al fiume.",
    "Portuguese": "Uma rua larga com casas de tijolo e um parque perto do rio.",
    "Dutch": "Een brede weg langs bakstenen huizen met een park naast het water.",
}


@pytest.mark.parametrize("language", SAID)
def test_a_language_is_told_by_its_small_words(language: str) -> None:
    assert language_of(SAID[language]) == language
    others = [text for name, text in SAID.items() if name != language]
    assert not any(written_alike([SAID[language], other]) for other in others)
    assert written_alike([SAID[language], "red roof"])


@pytest.mark.parametrize("text", ["red roof", "Las Vegas street", "", "12", "A road in Los Angeles."])
def test_few_words_tell_no_language(text: str) -> None:
    assert language_of(text) == ""


@pytest.mark.parametrize(
    ("text", "script"),
    [("道路と緑の公園", "CJK"), ("넓은 도로", "CJK"), ("широкая дорога", "CYRILLIC"), ("طريق واسع", "ARABIC"),
     ("A road (路)", "LATIN"), ("路旁有 a road 和许多高大的绿树", "CJK"), ("123 …", "")],
)  # fmt: skip
def test_a_script_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script
