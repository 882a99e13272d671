"""Progress of long steps: a bar on a terminal, plain lines elsewhere, nothing for short ones."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
QUIET_SECONDS = 2.0
LINE_SECONDS = 10.0


class Advance(Protocol):
    """Told that ``n`` further items are done; ``note`` is shown beside the bar."""

    def __call__(self, n: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """Report a long step on stderr with rate and time left.

    Yields:
        A function to call with the number of further items done.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total, note="")

            def advance(n: int = 1, note: str = "") -> None:
                bar.update(task, advance=n, note=note)

            yield advance
    else:
        yield _line_reporter(label, total)


def _line_reporter(label: str, total: int) -> Advance:
    start = time.monotonic()
    done, shown = 0, start - LINE_SECONDS + QUIET_SECONDS

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, shown
        done += n
        now = time.monotonic()
        if now - shown < LINE_SECONDS:
            return
        shown = now
        left = (now - start) / max(done, 1) * max(total - done, 0)
        print(
            f"{label}: {done}/{total}, {left:.0f} s left{'  ' + note if note else ''}",
            file=sys.stderr,
            flush=True,
        )

    return advance


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Iterate over ``items`` (``total`` of them) and report progress under ``label``."""
    with progress(label, total) as advance:
        for item in items:
            yield item
            advance(1, "")
