"""What the benchmarks share: options, stop-watches, turns, processes of their own, tables and files.

``python -m benchmarks.harness MODULE FUNCTION ARGUMENTS`` is how :func:`alone` calls a function elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

COMMAND = (sys.executable, "-m", "benchmarks.harness")
_PAUSE_SECONDS = 0.05


def options(doc: str | None, argv: Sequence[str] | None = None, **defaults: Any) -> argparse.Namespace:
    """What was asked for on the command line.

    Args:
        doc: The docstring of the benchmark, which is the help; it names the command.
        argv: The words; None takes those of this process.
        **defaults: The options by name. A tuple holds the choices, the first is the default; a list may be
            given as several values, strings out of those in it; ``False`` is a switch, ``None`` a path that
            may be given, ``Path`` one that must; anything else is a default of its own type.
    """
    command = re.search(r"python -m benchmarks([ .]\w+)?", doc or "")
    parser = argparse.ArgumentParser(
        prog=command and command[0], description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in defaults.items():
        kind: dict[str, Any] = {"type": type(default), "default": default}
        if default is None or default is Path:
            kind = {"type": Path, "required": default is Path}
        elif default is False:
            kind = {"action": "store_true"}
        elif isinstance(default, tuple):
            kind = {"choices": default, "default": default[0]}
        elif isinstance(default, list):
            kind = {"type": type(default[0]), "default": default, "nargs": "*"}
            kind["choices"] = default if kind["type"] is str else None
        parser.add_argument(f"--{name.replace('_', '-')}", **kind)
    return parser.parse_args(argv)


def timed(work: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    """Seconds that a call takes, on a GPU until it is done, and what it returns."""
    spent: dict[str, float] = {}
    with clock(spent, "work"):
        result = work(*args)
    return spent["work"], result


@contextmanager
def clock(spent: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds of a block, or of each call of a function so decorated, to those under a name."""
    _finish()
    start = time.perf_counter()
    yield
    _finish()
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - start


@contextmanager
def clocks(spent: dict[str, float], places: Iterable[tuple[Any, str, str]]) -> Iterator[None]:
    """Clock all calls of functions within the block: (module or object, name of the function, name)."""
    with ExitStack() as stack:
        for owner, function, name in places:
            work = clock(spent, name)(getattr(owner, function))
            stack.enter_context(mock.patch.object(owner, function, work))
        yield


def _finish() -> None:
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def turns(repeat: int, *ways: Callable[[], Any], warm_up: int = 1) -> tuple[np.ndarray, list[list[Any]]]:
    """Time ways that take turns, so that whatever else the machine does falls on all.

    Args:
        repeat: Rounds that count.
        *ways: What is timed.
        warm_up: Rounds before these.

    Returns:
        Seconds (ways, repeat), and what each way returned in each round that counts.
    """
    taken = [[timed(way) for way in ways] for _ in range(warm_up + repeat)][warm_up:]
    seconds, results = ([[one[k] for one in way] for way in zip(*taken, strict=True)] for k in (0, 1))
    return np.array(seconds), results


def ratio(ours: Any, plain: Any) -> dict[str, Any]:
    """``ratio``, the median of one sequence over the other, and ``range``, its ends."""
    ratios = np.divide(ours, plain)
    return {"ratio": float(np.median(ratios)), "range": [float(ratios.min()), float(ratios.max())]}


def alone(work: Callable[..., Any], *args: Any, **environment: str) -> tuple[dict[str, Any], float | None]:
    """Call a function of a benchmark in a process of its own, since a peak of memory never goes down again.

    Args:
        work: A function of a module.
        *args: What JSON can say, and paths, which arrive as strings. The first names the case in errors.
        **environment: Variables to set.

    Returns:
        What the function returns, and the most memory that was seen, see :func:`memory_mb`.

    Raises:
        SystemExit: It failed; with what it said.
    """
    module = sys.modules[work.__module__].__spec__
    command = [*COMMAND, module.name if module else "", work.__name__, json.dumps(args, default=str)]
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=said, stderr=told, env={**os.environ, **environment})
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, memory_mb(process.pid) or 0.0)
            time.sleep(_PAUSE_SECONDS)
        for file in (said, told):
            file.seek(0)
        if process.returncode:
            raise SystemExit(f"{args[0]} failed:\n{told.read()}")
        return json.loads(said.read().splitlines()[-1]), peak or None


def peak_mb() -> float:
    """The most memory that this process held so far, MiB.

    Where there is ``/proc``, of this process alone: what ``getrusage`` tells a child includes what its parent
    held when it was started.
    """
    status = Path("/proc/self/status")
    if status.exists():
        held = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(held.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def memory_mb(process: int | str) -> float | None:
    """Memory that a process and all it started hold now, MB; None where there is no ``/proc``.

    Mapped files (kept pixels, packages) do not count: the system takes their pages back when it needs them.
    """
    if not Path("/proc/self/status").exists():
        return None
    total, open_ = 0.0, [str(process)]
    while open_:
        place = Path("/proc") / open_.pop()
        try:
            lines = (place / "status").read_text().splitlines()
            for task in (place / "task").iterdir():
                open_ += (task / "children").read_text().split()
        except OSError:
            continue  # it has just ended
        total += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    return total * 1024 / 1e6


def facts() -> dict[str, Any]:
    """What it ran on: torch, its threads, and the GPU or processor."""
    import torch

    machine = torch.cuda.get_device_name() if torch.cuda.is_initialized() else platform.machine()
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": machine}


def ends(low_and_high: Sequence[float]) -> str:
    """A range as "0.24–0.31"."""
    return "–".join(f"{end:.2f}" for end in low_and_high)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write(file: Path | None, found: Mapping[str, Any] | Sequence[Any]) -> None:
    """What was found as JSON, where a file is wanted."""
    if file:
        file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    print(json.dumps(getattr(import_module(sys.argv[1]), sys.argv[2])(*json.loads(sys.argv[3]))))
