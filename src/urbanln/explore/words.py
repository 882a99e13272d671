"""Whether a text found anything: held against the same words in random order, and against other words.

A cosine of a text and a picture means nothing by itself. So a query's best regions are held against what
other queries of as many words reach by chance on the same regions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from urbanln.base.files import hash_bytes

Floats = npt.NDArray[np.float32]
TRIES = 20
"""Random queries of each kind: to stand above all of them by chance happens to one query in 21."""
_BEST = 10
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@dataclass(frozen=True)
class Standing:
    """How a query's best regions stand out.

    Attributes:
        height: By how much the mean of its ten best lies over the mean of all.
        shuffled: The same of its own words in random order; empty where there is one word.
        random: The same of other words, drawn from the captions as often as they are said there.
    """

    height: float
    shuffled: tuple[float, ...]
    random: tuple[float, ...]

    @property
    def above(self) -> bool | None:
        """Whether the query reaches more than every random one; None where there is none."""
        return self.height > max(self.random) if self.random else None

    def sentence(self) -> str:
        """What may be claimed."""
        if not self.random:
            return "There are no captions to draw other words from, so nothing is claimed."
        if not self.above:
            beyond = sum(one >= self.height for one in self.random)
            return (
                f"Nothing is claimed: {beyond} of {len(self.random)} random queries of as many other words "
                "stand out as far."
            )
        if self.shuffled and self.height <= max(self.shuffled):
            return (
                f"It stands out farther than {len(self.random)} random queries; but its own words in another "
                "order do as well, so the order of words tells nothing."
            )
        of_order = ", and than its own words in other orders" if self.shuffled else ""
        return f"It stands out farther than {len(self.random)} random queries of as many words{of_order}."


def words_of(text: str) -> list[str]:
    """The words of a text, lower case."""
    return _WORD.findall(text.lower())


def height_of(scores: Floats) -> float:
    """By how much the mean of the ten best lies over the mean of all; NaN are left out."""
    known = scores[np.isfinite(scores)]
    best = np.partition(known, -min(_BEST, len(known)))[-min(_BEST, len(known)) :]
    return float(best.mean(dtype=np.float64) - known.mean(dtype=np.float64))


def rivals(text: str, said: Sequence[str]) -> tuple[list[str], list[str]]:
    """Random queries to hold a text against: its words in other orders, and other words.

    Args:
        text: The query; the same text has the same rivals.
        said: All words of the captions, as often as they are said.

    Returns:
        ``TRIES`` of each; no orders of a single word, no other words where nothing is said.
    """
    words = words_of(text)
    rng = np.random.default_rng(int(hash_bytes(text.encode())[:12], 16))
    orders = [" ".join(rng.permutation(words)) for _ in range(TRIES)] if len(set(words)) > 1 else []
    if not len(said) or not words:
        return orders, []
    pool = np.asarray(said, dtype=object)
    return orders, [" ".join(rng.choice(pool, len(words))) for _ in range(TRIES)]


def standing(
    text: str, scores: Floats, said: Sequence[str], score: Callable[[Sequence[str]], Sequence[Floats]]
) -> Standing:
    """Hold a query's scores against those of random queries on the same regions.

    Args:
        text: The query.
        scores: (N,) its scores, NaN where a region has none.
        said: See :func:`rivals`.
        score: Texts to their scores, (N,) each.
    """
    orders, others = rivals(text, said)
    heights = [height_of(one) for one in score([*orders, *others])] if orders or others else []
    return Standing(height_of(scores), tuple(heights[: len(orders)]), tuple(heights[len(orders) :]))
