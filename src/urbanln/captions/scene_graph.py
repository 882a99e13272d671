"""What a text says is in a picture: objects, their attributes, and relations between them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from urbanln.captions.facts import Facts
from urbanln.captions.parsing.scene_words import LOOSE_QUANTITIES, NUMBERS
from urbanln.errors import InputError, require
from urbanln.files import hash_bytes
from urbanln.progress import progress

BATCH = 256  # texts handed over, parsed and cached at a time
_SMALL = 4 * BATCH  # starting processes takes longer than parsing so few


@dataclass(frozen=True)
class SceneGraph:
    """The things a text names.

    Attributes:
        objects: Lemmatised nouns, sorted, each once.
        attributes: Object → its attributes, lemmatised, sorted; objects without any are left out.
        relations: (subject, relation, object), sorted, each once.
    """

    objects: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relations: tuple[tuple[str, str, str], ...] = ()


class Parser(Protocol):
    """Turns texts into scene graphs: a pure function of each text."""

    @property
    def version(self) -> str:
        """Part of the key under which parses are cached: another version, other parses."""

    def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
        """One graph per text, in order."""


@runtime_checkable
class PortableParser(Parser, Protocol):
    """A parser that other processes can load anew; those that cannot parse in this process only."""

    @property
    def recipe(self) -> tuple[str, str]:
        """What :func:`load_parser` makes an equal parser of."""


def load_parser(name: str, model: str = "") -> Parser:
    """A parser by name.

    Args:
        name: ``"spacy"`` (rules on a small tagger; the default everywhere) or ``"factual"`` (the T5 model
            that the published CAPTURE score uses, slower by far).
        model: Name or folder of its model; empty for its usual one.

    Raises:
        InputError: There is no such parser, or its model is not there.
        MissingExtraError: A package it needs is not installed.
    """
    if name == "spacy":
        from urbanln.captions.parsing.spacy_parser import SpacyParser

        return SpacyParser(model)
    if name == "factual":
        factual = require("urbanln.captions.networks.factual")
        parser: Parser = factual.FactualParser(model) if model else factual.FactualParser()
        return parser
    raise InputError("no such parser", value=name, remedy='choose "spacy" or "factual"')


def parse_all(
    texts: Sequence[str], parser: Parser, *, facts: Facts | None = None, processes: int = 0
) -> list[SceneGraph]:
    """Parse many texts, each distinct one once, and none that was parsed before.

    Args:
        texts: In any order, with repeats.
        parser: What parses them.
        facts: Where parses are kept, under ``parse:VERSION`` and the text's SHA-256; ``None`` keeps none.
        processes: That parse at once; 0 for one per core, 1 for this one alone. Few texts, and parsers that
            cannot be loaded anew, are parsed in this process in any case. The graphs do not depend on it.

    Returns:
        One graph per text, in order.

    Raises:
        InputError: ``processes`` is negative, or a parsing process failed or died.
    """
    if processes < 0:
        raise InputError("the number of processes is negative", value=processes, remedy="0: one per core")
    keys = [hash_bytes(text.encode("utf-8", "surrogatepass")) for text in texts]
    distinct = dict(zip(keys, texts, strict=True))
    kind = f"parse:{parser.version}"
    known = facts.get_facts(kind, list(distinct)) if facts is not None else {}
    graphs = {key: graph_from_json(value) for key, value in known.items()}
    # By hash: which texts share a batch then depends neither on their order nor on the processes.
    missing = sorted(distinct.keys() - graphs.keys())
    batches = [missing[start : start + BATCH] for start in range(0, len(missing), BATCH)]
    with progress("parsing captions", len(missing)) as advance:
        for batch, found in _parse_batches(batches, distinct, parser, processes):
            graphs.update(zip(batch, found, strict=True))
            if facts is not None:
                facts.put_facts(
                    kind, {key: graph_to_json(graph) for key, graph in zip(batch, found, strict=True)}
                )
            advance(len(batch))
    return [graphs[key] for key in keys]


def _parse_batches(
    batches: list[list[str]], texts: Mapping[str, str], parser: Parser, processes: int
) -> Iterator[tuple[list[str], list[SceneGraph]]]:
    count = min(processes or _cores(), len(batches))
    if count < 2 or not isinstance(parser, PortableParser) or len(batches) * BATCH <= _SMALL:
        for batch in batches:
            yield batch, parser.parse([texts[key] for key in batch])
        return
    from urbanln.captions.parsing.parse_workers import parse_in_processes

    for number, found in parse_in_processes(
        [[texts[key] for key in batch] for batch in batches], parser.recipe, count
    ):
        yield batches[number], [graph_from_json(value) for value in found]


def _cores() -> int:
    """Cores this process may use: fewer than the machine has in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def graph_to_json(graph: SceneGraph) -> dict[str, Any]:
    """A graph as a JSON value."""
    return {
        "objects": list(graph.objects),
        "attributes": {name: list(found) for name, found in graph.attributes.items()},
        "relations": [list(relation) for relation in graph.relations],
    }


def graph_from_json(value: Mapping[str, Any]) -> SceneGraph:
    """The graph that :func:`graph_to_json` was given."""
    return SceneGraph(
        objects=tuple(value["objects"]),
        attributes={name: tuple(found) for name, found in value["attributes"].items()},
        relations=tuple((subject, relation, thing) for subject, relation, thing in value["relations"]),
    )


def phrases(graph: SceneGraph, *, attributes: bool) -> list[str]:
    """What to look for in the picture, one phrase per thing said.

    Args:
        graph: Of a text.
        attributes: ``True``: "red roof" for each attribute of an object, the bare noun for one without;
            ``False``: bare nouns, as the CAPTURE authors' construction checks descriptions of parts.
            Quantities are left out: a detector finds a house, not "two house".

    Returns:
        By object, each phrase once.
    """
    found: list[str] = []
    for name in graph.objects:
        seen = [a for a in graph.attributes.get(name, ()) if attributes and not _is_quantity(a)]
        found += [f"{attribute} {name}" for attribute in seen] or [name]
    return list(dict.fromkeys(found))


def _is_quantity(attribute: str) -> bool:
    return attribute in LOOSE_QUANTITIES or attribute in NUMBERS.values() or attribute.isdigit()
