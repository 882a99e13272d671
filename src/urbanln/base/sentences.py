"""Texts into sentences and back: one splitter for cleaning, audit and parsing."""

from __future__ import annotations

import re
from collections.abc import Sequence


def word_set(text: str) -> frozenset[str]:
    """The words of a text that are separated by blanks."""
    return frozenset(text.split())


# A run of marks always matches, and what stands around it is looked at afterwards: with a condition inside
# the pattern, a megabyte of full stops would be tried from every one of them.
_MARKS = re.compile(r"[.!?…。！？]+[\"'”’»)\]}*」』）]*")
_WIDE = frozenset("。！？")
_FINAL = frozenset(".!?…。！？")
_CLOSING = "\"'”’»)]}*」』） "
_WORD = re.compile(r"[^\W_]+")
# Never the last word of a sentence.
_TITLES = word_set(
    """mr mrs ms dr prof st mt ft approx ca cf vs e.g i.e eg ie fig figs no nos vol inc ltd jr sr dept est
    max min"""
)
# The last word of a sentence where a capital follows.
_PERHAPS = word_set("etc al a.m p.m u.s u.k u.s.a co ave blvd rd hwy bldg")
_REACH = 24


def split_sentences(text: str) -> list[str]:
    """Cut a text after each sentence; abbreviations, initials, decimals and list numbers do not end one.

    Takes time linear in the length of any text.

    Args:
        text: Any text; white space at the cuts goes, so tidy it first.

    Returns:
        The sentences in order, none empty; the last may be unfinished.

    Example:
        >>> split_sentences("A road of approx. 3.5 m, e.g. for bikes. Dr. Li waits! And")
        ['A road of approx. 3.5 m, e.g. for bikes.', 'Dr. Li waits!', 'And']
    """
    sentences: list[str] = []
    start = 0
    for marks in _MARKS.finditer(text):
        if _ends_sentence(text, start, marks):
            sentences.append(text[start : marks.end()].strip())
            start = marks.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def join_sentences(sentences: Sequence[str]) -> str:
    """Put sentences in a row: a blank between them, but none after a full-width mark.

    Example:
        >>> join_sentences(["A road.", "A tree."])
        'A road. A tree.'
    """
    parts = [sentence + ("" if sentence.rstrip(_CLOSING)[-1:] in _WIDE else " ") for sentence in sentences]
    return "".join(parts).strip()


def is_finished(text: str) -> bool:
    """Whether a text ends with a sentence's final mark, perhaps inside quotation marks or brackets.

    Example:
        >>> is_finished('He said "yes."'), is_finished("a road with")
        (True, False)
    """
    return text.rstrip(_CLOSING)[-1:] in _FINAL


def normalise(sentence: str) -> str:
    """A sentence without case, punctuation and spacing, for telling whether two say the same.

    Example:
        >>> normalise("A road,  with trees.")
        'a road with trees'
    """
    return " ".join(_WORD.findall(sentence.casefold())) or sentence


def _ends_sentence(text: str, start: int, marks: re.Match[str]) -> bool:
    if marks.group()[0] in _WIDE:
        return True
    after = text[marks.end() : marks.end() + 2]
    if not after or not after[0].isspace():
        return False
    if marks.group() != ".":
        return True
    # Only so far back as an abbreviation is long, so that a megabyte without a blank costs nothing.
    before = text[max(start, marks.start() - _REACH) : marks.start()].split()
    word = before[-1].lstrip("(\"'“‘[") if before else ""
    following = after[1:]
    if word.casefold() in _TITLES:
        # "No." ends a sentence unless a number follows.
        return word.casefold() in ("no", "max", "min") and not following.isdigit()
    if word.casefold() in _PERHAPS:
        return following.isupper()
    if len(word) == 1 and word.isalpha() and word.isupper():
        return word == "I"
    return not (word.isdigit() and text[start : marks.start()].strip() == word)
