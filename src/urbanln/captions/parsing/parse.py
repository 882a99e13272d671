"""Many texts parsed, each sentence once and none twice, on several processes: each loads the parser once.

Plain child processes rather than a pool: they never import the caller's script again, so that parsing works
from a notebook and from a script without a main guard, and one that dies is noticed at once.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from urbanln.base.errors import InputError, require
from urbanln.base.files import hash_bytes
from urbanln.base.processes import usable_cores
from urbanln.captions.facts import PARSES, Facts, MemoryFacts
from urbanln.captions.parsing.spacy_parser import SpacyParser
from urbanln.captions.scene_graph import (
    Parser,
    PortableParser,
    SceneGraph,
    graph_from_json,
    graph_to_json,
    merge_graphs,
)

BATCH = 1_024  # pieces of text handed over, parsed and kept at a time
_SMALL = 4 * BATCH  # starting processes takes longer than parsing so few
_REMEMBERED = 100_000  # pieces whose graphs are kept in memory, half a kilobyte each


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
    """Parse many texts, what they are made of once, and nothing that was parsed before.

    Args:
        texts: In any order, with repeats.
        parser: What parses them.
        facts: As for :class:`Parsing`, like ``processes``.

    Returns:
        One graph per text, in order.

    Raises:
        InputError: ``processes`` is negative, or a parsing process failed or died.
    """
    with Parsing(parser, facts=facts, processes=processes) as parsing:
        return parsing.graphs(texts)


class Parsing:
    """Parses texts as long as its block lasts, so that its processes load the parser once.

    Args:
        parser: What parses.
        facts: Where parses are kept, under ``parse:VERSION`` and the SHA-256 of a piece of text (a sentence,
            for parsers that read sentences); ``None`` keeps the last used ones in memory.
        processes: That parse at once; 0 for one per core but this one's, which compares meanwhile; 1 for this
            one alone. Few texts, and parsers that cannot be loaded anew, are parsed in this process in any
            case. The graphs do not depend on it.

    Raises:
        InputError: ``processes`` is negative.
    """

    def __init__(self, parser: Parser, *, facts: Facts | None = None, processes: int = 0) -> None:
        if processes < 0:
            raise InputError(
                "the number of processes is negative",
                value=processes,
                remedy="0: one per core but one",
                where="vote.processes",
            )
        self._parser = parser
        self._most = {0: usable_cores() - 1, 1: 0}.get(processes, processes)  # beside this one
        self._facts = MemoryFacts(_REMEMBERED) if facts is None else facts
        self._kind = f"{PARSES}{parser.version}"
        self._workers: list[_Worker] = []

    def __enter__(self) -> Parsing:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers = []

    def graphs(self, texts: Sequence[str]) -> list[SceneGraph]:
        """One graph per text, in order.

        Raises:
            InputError: A parsing process failed or died.
        """
        pieces = self._pieces(texts)
        keys = {piece: "" for found in pieces for piece in found}
        keys = {piece: hash_bytes(piece.encode("utf-8", "surrogatepass")) for piece in keys}
        graph_of: dict[str, SceneGraph] = {}
        for some in _batches(list(keys)):  # as JSON values they take more than twice the room
            known = self._facts.get_facts(self._kind, [keys[piece] for piece in some])
            graph_of.update((p, graph_from_json(known[keys[p]])) for p in some if keys[p] in known)
        # By hash: which pieces share a batch then depends neither on their order nor on the processes.
        missing = sorted(keys.keys() - graph_of.keys(), key=keys.__getitem__)
        for batch, found in self._parse(_batches(missing)):
            self._facts.put_facts(self._kind, {keys[p]: value for p, value in zip(batch, found, strict=True)})
            graph_of.update(zip(batch, map(graph_from_json, found), strict=True))
        return [merge_graphs([graph_of[piece] for piece in found]) for found in pieces]

    def _pieces(self, texts: Sequence[str]) -> list[list[str]]:
        if isinstance(self._parser, PortableParser):
            return list(map(self._parser.pieces, texts))
        return [[text] for text in texts]

    def _parse(self, batches: list[list[str]]) -> Iterator[tuple[list[str], list[Any]]]:
        """Batches with their graphs as JSON values, as they are finished."""
        if not isinstance(self._parser, PortableParser):
            for batch in batches:
                yield batch, list(map(graph_to_json, self._parser.parse(batch)))
        elif not self._most or (len(batches) * BATCH <= _SMALL and not self._workers):
            for batch in batches:
                yield batch, list(map(graph_to_json, self._parser.parse_pieces(batch)))
        else:
            while len(self._workers) < min(self._most, len(batches)):
                self._workers.append(_Worker(self._parser.model))
            for number, found in share_out(batches, self._workers):
                yield batches[number], found


def _batches(pieces: list[str]) -> list[list[str]]:
    return [pieces[start : start + BATCH] for start in range(0, len(pieces), BATCH)]


def share_out(
    batches: Sequence[Sequence[str]], workers: Sequence[_Worker]
) -> Generator[tuple[int, list[Any]], None, None]:
    """Have batches parsed by several processes, handed out one at a time.

    Args:
        batches: Pieces of text; each batch is parsed by one process.
        workers: The processes; they are ended where a block is left before its end.

    Yields:
        A batch's number and its graphs as JSON values, as they are finished.

    Raises:
        InputError: A process could not load the parser, or died.
    """
    free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def parse(number: int) -> tuple[int, list[Any]]:
        worker = free.get()
        try:
            return number, worker.parse(batches[number])
        finally:
            free.put(worker)

    with ThreadPoolExecutor(len(workers)) as threads:
        try:
            for done in as_completed([threads.submit(parse, number) for number in range(len(batches))]):
                yield done.result()
        except BaseException:  # also where nobody wants the rest
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.stop()
            raise


class _Worker:
    """One child process."""

    def __init__(self, model: str) -> None:
        # One thread each, or the processes fight for cores; the caller's import path, however it was set, and
        # nothing else: without -P a file random.py in the current folder would stand before Python's own.
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        self._process = subprocess.Popen(  # noqa: S603 - our own module, started as a list of arguments
            [sys.executable, "-P", "-m", "urbanln.captions.parsing.worker", model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            encoding="ascii",
        )
        # For the type checker: both are pipes.
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def parse(self, pieces: Sequence[str]) -> list[Any]:
        """Graphs of a batch, as JSON values."""
        try:
            self._stdin.write(json.dumps(list(pieces)) + "\n")
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
