"""What a text says is in a picture: objects, their attributes, and relations between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from urbanln.captions.parsing.scene_words import LOOSE_QUANTITIES, NOT, NUMBERS


@dataclass(frozen=True)
class SceneGraph:
    """The things a text names.

    Attributes:
        objects: Lemmatised nouns, sorted, each once.
        attributes: Object → its attributes, lemmatised, sorted; objects without any are left out.
        relations: (subject, relation, object), sorted, each once.
        absent: What the text says is not there, sorted: "no red roofs" gives "red roof". None of it is in
            ``objects``, so that whoever asks what is shown never meets it.
        places: Object → where in the picture or the town it is ("left", "bottom right", "northeast"), sorted.

    What is denied of an object that is there begins with "not": the attribute "not red", the relation "not
    cross".
    """

    objects: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relations: tuple[tuple[str, str, str], ...] = ()
    absent: tuple[str, ...] = ()
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def merge_graphs(graphs: Sequence[SceneGraph]) -> SceneGraph:
    """What several sentences of one text say together; what one of them shows is not absent.

    Example:
        >>> merge_graphs([SceneGraph(("car",)), SceneGraph(("tree",), absent=("car", "road"))])
        SceneGraph(objects=('car', 'tree'), attributes={}, relations=(), absent=('road',), places={})
    """
    if len(graphs) == 1:
        return graphs[0]
    objects = {name for graph in graphs for name in graph.objects}
    absent = {name for graph in graphs for name in graph.absent}
    return SceneGraph(
        objects=tuple(sorted(objects)),
        attributes=_together([graph.attributes for graph in graphs]),
        relations=tuple(sorted({relation for graph in graphs for relation in graph.relations})),
        absent=tuple(sorted(absent - objects)),
        places=_together([graph.places for graph in graphs]),
    )


def _together(found: Sequence[Mapping[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    told: dict[str, set[str]] = {}
    for one in found:
        for name, words in one.items():
            told.setdefault(name, set()).update(words)
    return {name: tuple(sorted(words)) for name, words in sorted(told.items())}


class Parser(Protocol):
    """Turns texts into scene graphs: a pure function of each text."""

    @property
    def version(self) -> str:
        """Part of the key under which parses are cached: another version, other parses."""

    def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
        """One graph per text, in order."""


@runtime_checkable
class PortableParser(Parser, Protocol):
    """A parser that reads a text piece by piece, and that other processes can load anew.

    Others parse whole texts, in this process only.
    """

    def pieces(self, text: str) -> list[str]:
        """What a text is made of: its graph is those of its pieces together (:func:`merge_graphs`)."""

    def parse_pieces(self, pieces: Sequence[str]) -> list[SceneGraph]:
        """One graph per piece, in order: a pure function of each."""

    @property
    def model(self) -> str:
        """What :class:`urbanln.captions.parsing.spacy_parser.SpacyParser` makes an equal parser of."""


def graph_to_json(graph: SceneGraph) -> dict[str, Any]:
    """A graph as a JSON value."""
    return {
        "objects": list(graph.objects),
        "attributes": {name: list(found) for name, found in graph.attributes.items()},
        "relations": [list(relation) for relation in graph.relations],
        "absent": list(graph.absent),
        "places": {name: list(found) for name, found in graph.places.items()},
    }


def graph_from_json(value: Mapping[str, Any]) -> SceneGraph:
    """The graph that :func:`graph_to_json` was given."""
    return SceneGraph(
        objects=tuple(value["objects"]),
        attributes={name: tuple(found) for name, found in value["attributes"].items()},
        relations=tuple((subject, relation, thing) for subject, relation, thing in value["relations"]),
        # Graphs of parsers that know neither may have been kept without them.
        absent=tuple(value.get("absent", ())),
        places={name: tuple(found) for name, found in value.get("places", {}).items()},
    )


def phrases(graph: SceneGraph, *, attributes: bool) -> list[str]:
    """What to look for in the picture, one phrase per thing said.

    Args:
        graph: Of a text.
        attributes: ``True``: "red roof" for each attribute of an object, the bare noun for one without;
            ``False``: bare nouns, as the CAPTURE authors' construction checks descriptions of parts.
            Quantities are left out: a detector finds a house, not "two house"; so is what is denied.

    Returns:
        By object, each phrase once.
    """
    found: list[str] = []
    for name in graph.objects:
        seen = [a for a in graph.attributes.get(name, ()) if attributes and not _is_unseen(a)]
        found += [f"{attribute} {name}" for attribute in seen] or [name]
    return list(dict.fromkeys(found))


def _is_unseen(attribute: str) -> bool:
    quantity = attribute in LOOSE_QUANTITIES or attribute in NUMBERS.values() or attribute.isdigit()
    return quantity or attribute.startswith(NOT)
