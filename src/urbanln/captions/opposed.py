"""Facts that bear each other out, or cannot both be true: counts, directions, colours, materials, denials."""

from __future__ import annotations

import math
from functools import lru_cache

from urbanln.base.sentences import word_set
from urbanln.captions.parsing.scene_words import ABOUT, LOOSE_QUANTITIES, NOT, NUMBERS, SHADES

AGREE, OPEN, AGAINST = 1, 0, -1
"""What two words about one thing say of each other; open: neither."""

# A loose quantity is a wide range, and ranges that meet agree: "five" are "several", "two" are not "many".
_LOOSE = {
    "few": (2, 6),
    "couple": (2, 2),
    "pair": (2, 2),
    "handful": (2, 8),
    "several": (3, math.inf),
    "many": (7, math.inf),
}
_ALSO_MANY = word_set("numerous countless lots much more most multiple dozens")
_NUMBER_WORDS = {
    **{word: int(digits) for digits, word in NUMBERS.items()},
    **dict.fromkeys(word_set("single lone sole solitary"), 1), "both": 2, "dozen": 12, "thirteen": 13,
    "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90, "hundred": 100,
}  # fmt: skip

# (frame, right, up): directions are compared within a frame only.
_PICTURE, _MAP, _DEPTH = "picture", "map", "depth"
_DIRECTIONS = {
    "left": (_PICTURE, -1, 0), "right": (_PICTURE, 1, 0), "top": (_PICTURE, 0, 1),
    "bottom": (_PICTURE, 0, -1), "top left": (_PICTURE, -1, 1), "top right": (_PICTURE, 1, 1),
    "bottom left": (_PICTURE, -1, -1), "bottom right": (_PICTURE, 1, -1), "center": (_PICTURE, 0, 0),
    "north": (_MAP, 0, 1), "south": (_MAP, 0, -1), "east": (_MAP, 1, 0), "west": (_MAP, -1, 0),
    "northeast": (_MAP, 1, 1), "northwest": (_MAP, -1, 1),
    "southeast": (_MAP, 1, -1), "southwest": (_MAP, -1, -1), "foreground": (_DEPTH, 0, 1),
    "background": (_DEPTH, 0, -1),
}  # fmt: skip
_PLACES = {
    **{f"{word} of": ("side", right, up) for word, (_, right, up) in _DIRECTIONS.items()},
    **{f"in {word} of": ("part", right, up) for word, (_, right, up) in _DIRECTIONS.items()},
    "in front of": (_DEPTH, 0, 1), "behind": (_DEPTH, 0, -1), "over": ("height", 0, 1),
    "on": ("height", 0, 1), "under": ("height", 0, -1),
}  # fmt: skip

# On a scale, words of one group go together, those of different groups do not; a word may be in several.
_SCALES = (
    "white cream beige | beige tan cream brown | brown maroon | gray silver | black | red maroon orange"
    " | orange gold yellow | green teal turquoise | blue teal turquoise | purple violet | pink",
    "brick | concrete cement | wood bamboo | metal steel iron aluminum copper | glass"
    " | stone rock marble granite"
    " | asphalt | gravel pebble dirt | cobblestone stone | sand dirt | grass | tile ceramic | thatch straw",
    "large big huge vast | small little tiny",
    "wide broad | narrow",
    "tall high high-rise | low low-rise short",
    "dense | sparse scattered",
    "old historic ancient | new modern",
    "unoccupied deserted quiet | full crowded busy packed congested",
    "open | closed shut",
    "wet flooded | dry",
    "paved asphalt | unpaved",
    "straight | curved winding curving",
    "flat | pitched gabled sloping sloped hipped",
    "single-story | two-story | three-story | four-story | multistory",
    "parked stationary | moving",
)
_NEAR_AND_FAR = ("next to near | far from", "in | outside", "along parallel to | cross")


def _read(
    scales: tuple[str, ...], known: tuple[str, ...] = ()
) -> dict[str, list[frozenset[tuple[int, int]]]]:
    """Word → on each scale that has it, its groups."""
    found: dict[str, list[frozenset[tuple[int, int]]]] = {}
    for number, scale in enumerate(scales):
        groups: dict[str, set[tuple[int, int]]] = {}
        for group, line in enumerate(scale.split(" | ")):
            names = [name for name in known if name in line] or line.split()
            for name in names:
                groups.setdefault(name, set()).add((number, group))
        for name, places in groups.items():
            found.setdefault(name, []).append(frozenset(places))
    return found


_GROUPS = _read(_SCALES)
_FAR = _read(_NEAR_AND_FAR, ("next to", "near", "far from", "parallel to", "along", "outside"))


@lru_cache(100_000)
def count_of(word: str) -> tuple[float, float] | None:
    """The least and the most that a quantity may mean; None for any other word.

    Example:
        >>> count_of("two"), count_of("12"), count_of("several"), count_of("red")
        ((2, 2), (12, 12), (3, inf), None)
    """
    if word in _LOOSE:
        return _LOOSE[word]
    if word.startswith(ABOUT):
        about = count_of(word.removeprefix(ABOUT))
        return about and (about[0] / 2, about[1] * 2)
    if word in LOOSE_QUANTITIES:
        return _LOOSE["many"] if word in _ALSO_MANY else (2, math.inf)
    number = _NUMBER_WORDS.get(
        word, int(word) if word.isascii() and word.isdigit() and len(word) < 9 else None
    )
    return None if number is None else (number, number)


def is_firm(word: str) -> bool:
    """Whether a word is a fact that nothing else comes near to: a count, a direction, a denial."""
    return count_of(word) is not None or word in _DIRECTIONS or word.startswith(NOT)


def is_loose(word: str) -> bool:
    """Whether a word is a quantity that tells pictures apart only where the other text counts as well."""
    return word in LOOSE_QUANTITIES and word not in ("couple", "pair")


@lru_cache(100_000)
def bearing(a: str, b: str) -> int:
    """What two words about one thing say of each other.

    Example:
        >>> bearing("two", "three"), bearing("five", "several"), bearing("top left", "left")
        (-1, 1, 1)
        >>> bearing("red", "not red"), bearing("red", "blue"), bearing("red", "old")
        (-1, -1, 0)
    """
    if a.startswith(NOT) != b.startswith(NOT):
        return AGAINST if a.removeprefix(NOT) == b.removeprefix(NOT) else OPEN
    if a.startswith(NOT):
        return OPEN
    counts = count_of(a), count_of(b)
    if counts[0] and counts[1]:
        return AGREE if counts[0][0] <= counts[1][1] and counts[1][0] <= counts[0][1] else AGAINST
    if a in _DIRECTIONS and b in _DIRECTIONS:
        return _turns(_DIRECTIONS[a], _DIRECTIONS[b])
    return _scaled(_GROUPS.get(_plain(a), []), _GROUPS.get(_plain(b), []))


@lru_cache(100_000)
def relation_bearing(a: str, b: str, turned: bool) -> int:
    """What two relations between the same things say of each other.

    Args:
        a: A relation as :func:`urbanln.captions.field_words.relation_named` names it.
        b: Another.
        turned: Whether the second goes the other way round.

    Example:
        >>> relation_bearing("left of", "left of", True), relation_bearing("north of", "northeast of", False)
        (-1, 1)
    """
    if a.startswith(NOT) != b.startswith(NOT):
        return AGAINST if not turned and a.removeprefix(NOT) == b.removeprefix(NOT) else OPEN
    if a == b:
        return AGAINST if turned else AGREE
    at, to = (_PLACES.get(word) for word in (a, b))
    if at and to:
        return _turns(at, (to[0], -to[1], -to[2]) if turned else to)
    return OPEN if turned else _scaled(_FAR.get(a, []), _FAR.get(b, []))


def _turns(a: tuple[str, int, int], b: tuple[str, int, int]) -> int:
    if a[0] != b[0]:
        return OPEN
    if a[1:] == b[1:]:
        return AGREE
    return AGREE if a[1] * b[1] + a[2] * b[2] > 0 else AGAINST


def _scaled(a: list[frozenset[tuple[int, int]]], b: list[frozenset[tuple[int, int]]]) -> int:
    for ours in a:
        for theirs in b:
            if next(iter(ours))[0] == next(iter(theirs))[0] and not ours & theirs:
                return AGAINST
    return OPEN


def _plain(word: str) -> str:
    """A colour without its shade."""
    shade, _, colour = word.partition(" ")
    return colour if shade in SHADES else word
