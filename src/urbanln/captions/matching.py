"""Stages 1 and 2 of the CAPTURE score: what two captions both say, and what they say against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from urbanln.captions.elements import Elements, Item
from urbanln.captions.opposed import AGAINST, OPEN, bearing, is_firm, is_loose, relation_bearing
from urbanln.captions.wordnet import Pos, Synonyms

# The park of "car park" is WordNet's fifth, the house that is a sign of the zodiac its twelfth: rarer senses
# than these make false synonyms in captions.
_SENSES = 3
_CACHED = 100_000
_EPS = 1e-6
_Kinds = tuple[Pos | None, ...]
_Pairs = list[tuple[Item, Item]]
_Left = tuple[list[Item], list[Item]]
_OBJECT: _Kinds = ("n",)
_ATTRIBUTE: _Kinds = ("a", "n")
_RELATION: _Kinds = ("n", "v", "n")


@dataclass(frozen=True)
class Matched:
    """One class of a pair after stages 1 and 2.

    Attributes:
        size: Elements of either caption.
        count: Pairs that say the same.
        left: What stage 3 may compare.
        against: Pairs of facts that cannot both be true: there or not, two or three, left or right.
        unlike: Pairs of looks that do not go together: red and blue, brick and glass.
    """

    size: tuple[int, int]
    count: int
    left: _Left
    against: int = 0
    unlike: int = 0

    @property
    def open(self) -> bool:
        """Whether stage 3 has something to compare."""
        return bool(self.left[0] and self.left[1])


class LegacyMatcher:
    """Matches as the published code does: substrings, and all senses of WordNet.

    Args:
        synonyms: Of words.
    """

    def __init__(self, synonyms: Synonyms) -> None:
        names = lru_cache(_CACHED)(lambda word: synonyms.synonyms(word, None, None))
        self._alike = lru_cache(_CACHED)(partial(_overlap, names))

    def match(self, a: Elements, b: Elements) -> list[Matched]:
        """The three classes of two captions."""
        return [self._match(*classes) for classes in zip(a.classes, b.classes, strict=True)]

    def _match(self, ours: Sequence[Item], theirs: Sequence[Item]) -> Matched:
        left = _pair_up(ours, theirs, lambda x, y: x == y)
        left = _pair_up(*left, lambda x, y: all(map(self._alike, x, y)))
        return Matched((len(ours), len(theirs)), len(ours) - len(left[0]), left)


class StrictMatcher:
    """Matches synonyms closest first, compares facts, and finds those that contradict each other.

    Args:
        synonyms: Of words.
    """

    def __init__(self, synonyms: Synonyms) -> None:
        def names(word: str, pos: Pos | None) -> frozenset[str]:
            return frozenset(map(str.lower, synonyms.synonyms(word, pos, _SENSES)))

        # Not a cached method: that would keep the matcher alive.
        self._close = lru_cache(_CACHED)(partial(_closeness, lru_cache(_CACHED)(names)))

    def match(self, a: Elements, b: Elements) -> list[Matched]:
        """The three classes of two captions, what is absent among the objects."""
        objects, attributes, relations = zip(a.classes, b.classes, strict=True)
        return [
            self._with_absent(self._match(*objects, _OBJECT), a, b),
            self._attributes(*attributes),
            self._relations(*relations),
        ]

    def _match(self, ours: Sequence[Item], theirs: Sequence[Item], kinds: _Kinds) -> Matched:
        both = set(ours) & set(theirs)
        left = ([x for x in ours if x not in both], [y for y in theirs if y not in both])
        left = _without(left, _best_first(*left, partial(self._alike, kinds)))
        return Matched((len(ours), len(theirs)), len(ours) - len(left[0]), left)

    def _alike(self, kinds: _Kinds, x: Item, y: Item) -> float:
        """Closeness of the two least close words of two elements; 0 unless all are synonyms."""
        least = 1.0
        for a, b, pos in zip(x, y, kinds, strict=True):
            if a != b:
                least = min(least, self._close(a, b, pos))
            if least == 0:
                break
        return least

    def _same(self, a: str, b: str) -> bool:
        return a == b or self._close(a, b, "n") > 0

    def _with_absent(self, objects: Matched, a: Elements, b: Elements) -> Matched:
        if not (a.absent or b.absent):
            return objects
        absent = self._match(a.absent, b.absent, _OBJECT)
        shown = [self._shows(b, x) for x in absent.left[0]] + [self._shows(a, y) for y in absent.left[1]]
        size = (objects.size[0] + absent.size[0], objects.size[1] + absent.size[1])
        return replace(objects, size=size, count=objects.count + absent.count, against=sum(shown))

    def _shows(self, elements: Elements, absent: Item) -> bool:
        """Whether a caption shows what another one denies: who has no red roofs may have grey ones."""
        *told, last = absent[0].split()
        for (thing,) in elements.classes[0]:
            if self._close(absent[0], thing, "n") > 0 and not told:
                return True
            words = thing.split()
            looks = {word for word, owner in elements.classes[1] if owner == thing}
            if words[-1:] == [last] and {*words, *looks} >= set(told):
                return True
        return False

    def _attributes(self, ours: Sequence[Item], theirs: Sequence[Item]) -> Matched:
        found = self._match(ours, theirs, _ATTRIBUTE)
        against = _best_first(*found.left, self._attributes_oppose)
        left = _without(found.left, against)
        # Who says "several" and who does not count at all do not differ.
        loose = [sum(is_loose(word) for word, _ in side) for side in left]
        firm = sum(is_firm(x[0]) or is_firm(y[0]) for x, y in against)
        return Matched(
            size=(found.size[0] - loose[0], found.size[1] - loose[1]),
            count=found.count,
            left=([x for x in left[0] if not is_firm(x[0])], [y for y in left[1] if not is_firm(y[0])]),
            against=firm,
            unlike=len(against) - firm,
        )

    def _attributes_oppose(self, x: Item, y: Item) -> float:
        return float(bearing(x[0], y[0]) == AGAINST and self._same(x[1], y[1]))

    def _relations(self, ours: Sequence[Item], theirs: Sequence[Item]) -> Matched:
        found = self._match(ours, theirs, _RELATION)
        against = _best_first(*found.left, self._relations_oppose)
        return replace(found, left=_without(found.left, against), against=len(against))

    def _relations_oppose(self, x: Item, y: Item) -> float:
        (a, ours, b), (c, theirs, d) = x, y
        for turned, ends in ((False, ((a, c), (b, d))), (True, ((a, d), (b, c)))):
            if relation_bearing(ours, theirs, turned) == AGAINST and all(self._same(*end) for end in ends):
                return 1.0
        return 0.0


def _closeness(names: Callable[[str, Pos | None], frozenset[str]], a: str, b: str, pos: Pos | None) -> float:
    """1 for terms that contain one another or facts that agree, else the shared part of their synonyms."""
    told = OPEN
    if pos == "a":
        told = bearing(a, b)
    elif pos == "v":
        told = relation_bearing(a, b, False)
    if told != OPEN:
        return float(told != AGAINST)
    if _contains(a.split(), b.split()):
        return 1.0
    ours, theirs = names(a, pos), names(b, pos)
    if a.replace(" ", "_") not in theirs and b.replace(" ", "_") not in ours:
        return 0.0
    return len(ours & theirs) / len(ours | theirs)


def _overlap(names: Callable[[str], frozenset[str]], a: str, b: str) -> float:
    if a in b or b in a:
        return 1.0
    ours, theirs = names(a), names(b)
    return len(ours & theirs) / (len(ours | theirs) + _EPS)


def _contains(a: list[str], b: list[str]) -> bool:
    """Whether all words of one term are in the other and both end alike, so name one kind of thing."""
    return bool(a and b) and a[-1] == b[-1] and (set(a) <= set(b) or set(b) <= set(a))


def _best_first(
    ours: Sequence[Item], theirs: Sequence[Item], measure: Callable[[Item, Item], float]
) -> _Pairs:
    """Pairs one to one, the closest first, then by words: the same whichever caption comes first."""
    found = []
    for x in ours:
        for y in theirs:
            closeness = measure(x, y)
            if closeness > 0:
                found.append((-closeness, min(x, y), max(x, y), x, y))
    taken: tuple[set[Item], set[Item]] = (set(), set())
    pairs = []
    for *_, x, y in sorted(found):
        if x not in taken[0] and y not in taken[1]:
            taken[0].add(x)
            taken[1].add(y)
            pairs.append((x, y))
    return pairs


def _without(left: _Left, pairs: _Pairs) -> _Left:
    ours, theirs = {x for x, _ in pairs}, {y for _, y in pairs}
    return [x for x in left[0] if x not in ours], [y for y in left[1] if y not in theirs]


def _pair_up(ours: Sequence[Item], theirs: Sequence[Item], fits: Callable[[Item, Item], bool]) -> _Left:
    """What is left when, in order, each of ours takes the first of theirs that is free and fits."""
    free, left = list(theirs), []
    for x in ours:
        index = next((index for index, y in enumerate(free) if fits(x, y)), None)
        if index is None:
            left.append(x)
        else:
            del free[index]
    return left, free
