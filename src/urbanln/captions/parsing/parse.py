"""Many texts parsed, each once and none twice, on several processes: each loads the parser once.

Plain child processes rather than a pool: they never import the caller's script again, so that parsing works
from a notebook and from a script without a main guard, and one that dies is noticed at once.

    python -m urbanln.captions.parsing.parse PARSER MODEL < batches > graphs

Batches of texts and their graphs are a JSON line each.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from urbanln.base.errors import InputError, UrbanLNError, require
from urbanln.base.files import hash_bytes
from urbanln.base.progress import progress
from urbanln.captions.facts import Facts
from urbanln.captions.parsing.spacy_parser import SpacyParser
from urbanln.captions.scene_graph import Parser, PortableParser, SceneGraph, graph_from_json, graph_to_json

BATCH = 256  # texts handed over, parsed and cached at a time
_SMALL = 4 * BATCH  # starting processes takes longer than parsing so few


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
        return SpacyParser(model)
    if name == "factual":
        factual = require("urbanln.captions.networks.factual")
        return cast(Parser, factual.FactualParser(model or factual.MODEL))
    raise InputError("no such parser", value=name, remedy='choose "spacy" or "factual"', where="vote.parser")


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
        raise InputError(
            "the number of processes is negative",
            value=processes,
            remedy="0: one per core",
            where="vote.processes",
        )
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


def parse_in_processes(
    batches: Sequence[Sequence[str]], recipe: tuple[str, str], processes: int
) -> Generator[tuple[int, list[Any]], None, None]:
    """Parse batches of texts on several processes, handed out one at a time.

    Args:
        batches: Texts; each batch is parsed by one process.
        recipe: The parser, as :func:`load_parser` takes it.
        processes: How many.

    Yields:
        A batch's number and its graphs as JSON values, as they are finished.

    Raises:
        InputError: A process could not load the parser, or died.
    """
    workers: list[_Worker] = []
    free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def parse(number: int) -> tuple[int, list[Any]]:
        worker = free.get()
        try:
            return number, worker.parse(batches[number])
        finally:
            free.put(worker)

    with ThreadPoolExecutor(processes) as threads:
        try:
            for _ in range(processes):
                workers.append(_Worker(recipe))
                free.put(workers[-1])
            for done in as_completed([threads.submit(parse, number) for number in range(len(batches))]):
                yield done.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.stop()


class _Worker:
    """One child process."""

    def __init__(self, recipe: tuple[str, str]) -> None:
        # One thread each, or the processes fight for cores; the caller's import path, however it was set, and
        # nothing else: without -P a file random.py in the current folder would stand before Python's own.
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        self._process = subprocess.Popen(  # noqa: S603 - our own module, started as a list of arguments
            [sys.executable, "-P", "-m", "urbanln.captions.parsing.parse", *recipe],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            encoding="ascii",
        )
        # For the type checker: both are pipes.
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def parse(self, texts: Sequence[str]) -> list[Any]:
        """Graphs of a batch, as JSON values."""
        try:
            self._stdin.write(json.dumps(list(texts)) + "\n")
            self._stdin.flush()
            line = self._stdout.readline()
        except OSError:
            line = ""
        if not line.endswith("\n"):
            raise InputError(
                "a parsing process died",
                value=f"exit status {self._process.wait()}",
                remedy="memory may have run out: try fewer processes (vote.processes)",
                where="vote.processes",
            )
        answer = json.loads(line)
        if "fault" in answer:
            raise InputError(
                "a parsing process failed",
                value=answer["fault"],
                where="vote.parser",
                remedy="try --set vote.processes=1, and report what it says",
            )
        return cast(list[Any], answer["graphs"])

    def stop(self) -> None:
        """End the process, also one that is at work."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()


def main() -> None:
    """Answer batches until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    if sys.argv[1] == "spacy":
        # spaCy imports torch wherever it is installed, for nothing here: half the memory and time to start.
        sys.modules["torch"] = None  # type: ignore[assignment]
    parser = None
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            parser = parser or load_parser(sys.argv[1], sys.argv[2])
            answer = {"graphs": [graph_to_json(graph) for graph in parser.parse(json.loads(line))]}
        except UrbanLNError as error:
            answer = {"fault": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
