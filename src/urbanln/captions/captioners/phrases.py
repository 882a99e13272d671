"""Numbers into words: amounts, grades, lists, places, and a choice among phrasings that never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

_AMOUNTS = (
    (0.01, "next to nothing"),
    (0.03, "hardly any"),
    (0.07, "about a twentieth"),
    (0.12, "about a tenth"),
    (0.18, "about a sixth"),
    (0.225, "about a fifth"),
    (0.29, "about a quarter"),
    (0.365, "about a third"),
    (0.45, "about two fifths"),
    (0.55, "about half"),
    (0.635, "about three fifths"),
    (0.705, "about two thirds"),
    (0.78, "about three quarters"),
    (0.88, "more than four fifths"),
    (0.97, "nearly all"),
)


class Phrases:
    """Chooses among phrasings by hash: the same seed and key always choose the same one."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def choose(self, key: str, *options: T) -> T:
        """One of ``options``, each about equally often over many seeds."""
        digest = hashlib.blake2b(f"{self._seed}\n{key}".encode(), digest_size=8).digest()
        return options[int.from_bytes(digest, "big") % len(options)]


def amount(share: float) -> str:
    """A share in words: ``0.34`` → "about a third"."""
    return graded(share, *_AMOUNTS, (2.0, "all"))


def graded(value: float, *steps: tuple[float, T]) -> T:
    """What stands beside the first limit above ``value``; the last one when it is above all."""
    return next((word for limit, word in steps if value < limit), steps[-1][1])


def join(words: Sequence[str], last: str = "and") -> str:
    """``["a", "b", "c"]`` → "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def corner_list(shares: Mapping[str, float], way: int = 0) -> str:
    """Where something lies, from its share in each of four quarters, as the end of a sentence.

    Args:
        shares: Quarter → share of that quarter, four of them, not all zero.
        way: 0, 1 or 2: which phrasing.
    """
    total = sum(shares.values())
    parts = {corner: share / total for corner, share in shares.items()}
    ranked = sorted(parts, key=lambda corner: -parts[corner])
    first, second, last = ranked[0], ranked[1], ranked[-1]
    if parts[first] - parts[last] < 0.12:
        return ("is spread over all four quarters", "lies in every quarter alike", "is evenly distributed")[
            way
        ]
    if parts[first] > 0.55:
        return (
            f"lies mostly in the {first}",
            f"is gathered in the {first}",
            f"is found above all in the {first}",
        )[way]
    if parts[first] + parts[second] > 0.7:
        half = _half(first, second)
        where = f"the {half}" if half else f"the {first} and the {second}"
        return (f"lies mainly in {where}", f"keeps mainly to {where}", f"is concentrated in {where}")[way]
    most = (f"is thickest in the {first}", f"lies most in the {first}", f"is strongest in the {first}")[way]
    return f"{most} and {'absent from' if shares[last] < 0.01 else 'least in'} the {last}"


def _half(one: str, other: str) -> str:
    """The half two neighbouring quarters make ("upper left", "upper right" → "upper half")."""
    shared = [word for word in one.split() if word in other.split()]
    return f"{shared[0]} half" if shared else ""
