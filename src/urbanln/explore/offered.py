"""Queries to offer where nobody named any: what captions of several regions speak of, in their own words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from urbanln.explore.words import words_of

MOST_OFFERED = 6
_LONGEST = 3  # words; more are said of few regions
_COMMON = 0.3  # of the regions with captions; what is said of more tells nothing of where
_PART = re.compile(r"[^.,;:!?()\[\]\"\n]+")
# Of the picture itself, or of looking at it, and of a place in it: no thing to look for.
_FRAME = frozenset(
    words_of(
        """aerial area areas center centre corner city details dominant features image images land layout
        looking notice overview photo photograph picture pictures present satellite scene shows structure
        tile tiles urban use view visible north south east west northern southern eastern western"""
    )
)


def offered(texts: Sequence[str]) -> tuple[str, ...]:
    """Up to six runs of two or three words with none between that carries nothing, the most regions first.

    No two share a word, so that they ask for different things. Words that carry nothing are English ones.

    Args:
        texts: All selected captions of each region as one text; empty where a region has none.
    """
    held = Counter(run for text in texts for run in _runs(text))
    most = _COMMON * sum(bool(text) for text in texts)
    chosen: list[str] = []
    taken: set[str] = set()
    for run, count in sorted(held.items(), key=lambda one: (-one[1], -one[0].count(" "), one[0])):
        if count < 2 or count > most or len(chosen) == MOST_OFFERED:
            continue
        if not taken.intersection(words := run.split()):
            chosen.append(run)
            taken.update(words)
    return tuple(chosen)


def _runs(text: str) -> set[str]:
    found: set[str] = set()
    for part in _PART.findall(text):
        run: list[str] = []
        for word in [*words_of(part), ""]:
            if word and word not in ENGLISH_STOP_WORDS and word not in _FRAME:
                run.append(word)
                continue
            for wide in range(2, _LONGEST + 1):
                found.update(" ".join(run[at : at + wide]) for at in range(len(run) - wide + 1))
            run = []
    return found
