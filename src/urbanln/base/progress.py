"""Progress of long steps: a bar on a terminal, plain lines elsewhere, nothing for short ones."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from urbanln.base.errors import printable
from urbanln.base.saying import live_console, say

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
    console = live_console()
    if console is not None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(printable(label), total=total, note="")

            def advance(n: int = 1, note: str = "") -> None:
                bar.update(task, advance=n, note=printable(note))

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
        say(f"{label}: {done}/{total}, {left:.0f} s left{'  ' + note if note else ''}")

    return advance


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Iterate over ``items`` (``total`` of them) and report progress under ``label``."""
    with progress(label, total) as advance:
        for item in items:
            yield item
            advance(1, "")
