"""Phrases of a text, and whether a text names a phrase."""

from __future__ import annotations

import re
from itertools import islice

from urbanln.captions.scene_graph import SceneGraph, phrases

LONGEST, MOST = 60, 80
_IRREGULAR = {"person": "people", "child": "children", "foot": "feet", "leaf": "leaves", "shelf": "shelves"}


def phrases_of(text: str, graph: SceneGraph, *, part: bool) -> list[str]:
    """What to look for in a picture of which a text speaks: only words that stand in the text.

    Args:
        text: The text.
        graph: What it says.
        part: Whether it describes a part: then bare nouns only, as CAPTURE's authors check parts. Otherwise
            each noun with each of its attributes, and each noun by itself.

    Returns:
        Up to 80 phrases of up to 60 characters, each once.
    """
    found = phrases(graph, attributes=False)
    if not part:
        found += [phrase for phrase in phrases(graph, attributes=True) if phrase not in found]
    short = [phrase for phrase in found if len(phrase) <= LONGEST]
    return list(islice((phrase for phrase in short if mentions(text, phrase)), MOST))


def mentions(text: str, phrase: str) -> bool:
    """Whether a text names a phrase, in the singular or the plural, in any case.

    Example:
        >>> mentions("Two red Buses stop.", "red bus"), mentions("a carpet", "car")
        (True, False)
    """
    words = phrase.split()
    if not words:
        return False
    forms = [*(re.escape(word) for word in words[:-1]), _forms(words[-1])]
    return re.search(r"(?<!\w)" + r"[\s-]+".join(forms) + r"(?!\w)", text, re.IGNORECASE) is not None


def _forms(noun: str) -> str:
    forms = {noun, noun + "s", noun + "es", _IRREGULAR.get(noun, noun)}
    if noun.endswith("y"):
        forms.add(noun[:-1] + "ies")
    if noun.endswith("man"):
        forms.add(noun[:-3] + "men")
    return "(?:" + "|".join(re.escape(form) for form in sorted(forms)) + ")"


def without_longer(rejected: list[str]) -> list[str]:
    """The phrases but those that end in another of them: who must not say "bus" need not be told "red bus".

    Example:
        >>> without_longer(["bus", "red bus", "green car"])
        ['bus', 'green car']
    """
    known = set(rejected)

    def ends_in_another(phrase: str) -> bool:
        words = phrase.split()
        return any(" ".join(words[start:]) in known for start in range(1, len(words)))

    return [phrase for phrase in rejected if not ends_in_another(phrase)]


def denies(graph: SceneGraph, phrase: str) -> bool:
    """Whether a text names a phrase only to say that it is not there: "no cars", "no red cars".

    Args:
        graph: What the text says.
        phrase: Named in the text.

    Example:
        >>> denies(SceneGraph(("road",), absent=("red car",)), "car")
        True
    """
    if any(_ends_alike(phrase, name) for name in graph.objects):
        return False
    return any(_ends_alike(phrase, name) for name in graph.absent)


def _ends_alike(a: str, b: str) -> bool:
    return f" {a}".endswith(f" {b}") or f" {b}".endswith(f" {a}")
