"""Where sentences end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanln.base.sentences import is_finished, join_sentences, normalise, split_sentences
from urbanln.captions.table import tidy_text


@pytest.mark.parametrize(
    "sentences",
    [
        ["A road.", "Trees!", "Is it wide?", "Perhaps…"],
        ["The lane is 3.5 m wide, e.g. for bikes.", "Approx. 20 cars wait."],
        ["Mr. Li and J. Smith wait at No. 5.", "The sign says no.", "Then nothing."],
        ["1. Roofs are red.", "2. Trees are green."],
        ["Cars, buses, etc. fill it.", "It has shops, cafes, etc.", "All are open."],
        ['A sign reads "Open."', "(It is old.)", "The end"],
        ["It opens at 9 a.m. and closes early.", "The U.S. flag hangs there."],
        ["http://a.example/b.html stands on it.", "No blank.Between these"],
    ],
)
def test_sentences_come_apart_and_together_again(sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert split_sentences(text) == sentences
    assert join_sentences(sentences) == text


def test_full_width_marks_need_no_blank() -> None:
    assert split_sentences("一条街道。很宽！有树吗？ Yes.") == ["一条街道。", "很宽！", "有树吗？", "Yes."]
    assert join_sentences(["一条街道。", "很宽！"]) == "一条街道。很宽！"


@given(st.text(alphabet="aB1 .!?…。,\"')I", max_size=80).map(tidy_text))
def test_nothing_is_lost_but_blanks(text: str) -> None:
    sentences = split_sentences(text)
    assert "".join(sentences).replace(" ", "") == text.replace(" ", "")
    assert all(sentence == sentence.strip() != "" for sentence in sentences)


@pytest.mark.parametrize(
    ("text", "finished"),
    [("a.", True), ('"a."', True), ("a!)", True), ("街。」", True), ("a", False), ("a,", False), ("", False)],
)
def test_what_counts_as_finished(text: str, finished: bool) -> None:
    assert is_finished(text) is finished


def test_sentences_that_say_the_same_are_told() -> None:
    assert normalise("A Road, wide.") == normalise("a road wide!") != normalise("A road, narrow.")
    assert normalise("...") != normalise("!!!")


@pytest.mark.parametrize("piece", [".", ". ", "a.", "a ", "No. ", '."', "。", "A. b "])
def test_a_megabyte_of_anything_takes_a_moment(piece: str) -> None:
    started = time.process_time()
    split_sentences(piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 5
