"""Parsing on several processes: each loads the parser once and answers batches of texts, a JSON line each.

Plain child processes rather than a pool: they never import the caller's script again, so that parsing works
from a notebook and from a script without a main guard, and one that dies is noticed at once.

    python -m urbanln.captions.parsing.parse_workers PARSER MODEL < batches > graphs
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

from urbanln.base.errors import InputError, UrbanLNError
from urbanln.captions.parsing.load import load_parser
from urbanln.captions.scene_graph import graph_to_json


def parse_in_processes(
    batches: Sequence[Sequence[str]], recipe: tuple[str, str], processes: int
) -> Generator[tuple[int, list[Any]], None, None]:
    """Parse batches of texts on several processes, handed out one at a time.

    Args:
        batches: Texts; each batch is parsed by one process.
        recipe: The parser, as :func:`urbanln.captions.parsing.load.load_parser` takes it.
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
            [sys.executable, "-P", "-m", "urbanln.captions.parsing.parse_workers", *recipe],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            encoding="ascii",
        )

    def parse(self, texts: Sequence[str]) -> list[Any]:
        """Graphs of a batch, as JSON values."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:  # never: both are pipes
            raise InputError("a parsing process has no pipes")
        try:
            stdin.write(json.dumps(list(texts)) + "\n")
            stdin.flush()
            line = stdout.readline()
        except OSError:
            line = ""
        if not line.endswith("\n"):
            raise InputError(
                "a parsing process died",
                value=f"exit status {self._process.wait()}",
                remedy="memory may have run out: try fewer processes (vote.processes)",
            )
        answer = json.loads(line)
        if "fault" in answer:
            raise InputError("a parsing process failed", value=answer["fault"])
        found: list[Any] = answer["graphs"]
        return found

    def stop(self) -> None:
        """End the process, also one that is at work."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
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
