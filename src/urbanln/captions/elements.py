"""What a caption brings to the CAPTURE score: the words of its scene graph, as they are compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from urbanln.captions import field_words
from urbanln.captions.parsing.scene_words import MATERIALS, NOT
from urbanln.captions.scene_graph import SceneGraph
from urbanln.captions.wordnet import Pos

Item = tuple[str, ...]
Lemma = Callable[[str, Pos], str]
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


@dataclass(frozen=True)
class Elements:
    """What one caption brings to a comparison: its objects, attributes and relations, each as words.

    Attributes:
        classes: Objects as (name,), attributes as (word, object) or in legacy mode (word,), relations as
            (object, words, object); each sorted.
        absent: What is said not to be there, sorted; compared along with the objects.
    """

    classes: tuple[tuple[Item, ...], tuple[Item, ...], tuple[Item, ...]]
    absent: tuple[Item, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the caption names nothing."""
        return not (any(self.classes) or self.absent)


def strict_elements(graph: SceneGraph, lemma: Lemma) -> Elements:
    """Names as the table of the field has them, places as attributes, relations told from one of their ends.

    Args:
        graph: Of a caption.
        lemma: Gives base forms.
    """
    name: dict[str, str] = {}
    attributes: set[Item] = set()
    objects: set[str] = set()
    for thing in {*graph.objects, *graph.attributes, *graph.places}:
        words = frozenset(_quality(word, lemma) for word in graph.attributes.get(thing, ()))
        names, others = field_words.things_with(lemma(thing, "n"), words)
        # Of terraced houses and detached ones, what else is said of houses goes with either.
        name[thing] = names[0] if len(names) == 1 else field_words.thing_named(lemma(thing, "n"))
        objects |= set(names) if thing in graph.objects else set()
        attributes |= {(word, name[thing]) for word in (*others, *graph.places.get(thing, ()))}
    relations: set[Item] = set()
    for a, verb, b in graph.relations:
        words_between = " ".join(verb.lower().split())
        ours, theirs = (name.get(end) or field_words.thing_named(lemma(end, "n")) for end in (a, b))
        if words_between == "make of" and b in MATERIALS:
            attributes.add((field_words.quality_named(b), ours))
            objects.discard(theirs)
            continue
        relation, turned = field_words.relation_named(words_between)
        if turned or (field_words.goes_both_ways(relation) and theirs < ours):
            ours, theirs = theirs, ours
        relations.add((ours, relation, theirs))
    absent = {field_words.thing_named(lemma(thing, "n")) for thing in graph.absent} - objects
    return Elements(
        (_singles(objects), tuple(sorted(attributes)), tuple(sorted(relations))), absent=_singles(absent)
    )


def legacy_elements(graph: SceneGraph, lemma: Lemma, text: str | None) -> Elements:
    """What the published code compares: nothing that is denied, and no attribute's object.

    Args:
        graph: Of a caption.
        lemma: Gives base forms.
        text: The caption; objects whose words are not in it are dropped. None drops none.
    """
    spoken = None if text is None else _spoken(text, lemma)

    def said(thing: str) -> bool:
        return spoken is None or thing in spoken or spoken.issuperset(thing.split())

    objects = {lemma(thing, "n") for thing in graph.objects}
    owned = {
        (lemma(word, "a"), lemma(thing, "n"))
        for thing, words in graph.attributes.items()
        for word in words
        if " of" not in word and not word.startswith(NOT)
    }
    relations = {
        (lemma(a, "n"), " ".join(verb.lower().split()), lemma(b, "n"))
        for a, verb, b in graph.relations
        if not verb.startswith(NOT)
    }
    return Elements(
        (
            _singles({thing for thing in objects if said(thing)}),
            tuple(sorted((word,) for word, thing in owned if said(thing))),
            tuple(item for item in sorted(relations) if said(item[0]) and said(item[2])),
        )
    )


def _quality(word: str, lemma: Lemma) -> str:
    denied = NOT if word.startswith(NOT) else ""
    return field_words.quality_named(denied + lemma(word.removeprefix(NOT), "a"))


def _spoken(text: str, lemma: Lemma) -> set[str]:
    """The words of a text as they stand, in base forms, and less a final s (WordNet has "lots" too)."""
    words = {word.lower() for word in _WORD.findall(text)}
    return words | {lemma(word, "n") for word in words} | {word.removesuffix("s") for word in words}


def _singles(names: set[str]) -> tuple[Item, ...]:
    return tuple((name,) for name in sorted(names))
