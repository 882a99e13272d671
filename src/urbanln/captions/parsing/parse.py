"""Many texts parsed, each once and none twice, on several processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.progress import progress
from urbanln.captions.facts import Facts
from urbanln.captions.parsing.parse_workers import parse_in_processes
from urbanln.captions.scene_graph import Parser, PortableParser, SceneGraph, graph_from_json, graph_to_json

BATCH = 256  # texts handed over, parsed and cached at a time
_SMALL = 4 * BATCH  # starting processes takes longer than parsing so few


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
    for number, found in parse_in_processes(
        [[texts[key] for key in batch] for batch in batches], parser.recipe, count
    ):
        yield batches[number], [graph_from_json(value) for value in found]


def _cores() -> int:
    """Cores this process may use: fewer than the machine has in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
