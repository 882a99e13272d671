"""SIGINT and SIGTERM: a program that is told to stop does so in order, says one line, and loses nothing.

The first signal raises :class:`StopRequested` where the program is, so that what is under way is cleaned up;
a training, which has more to lose, holds it (:func:`hold`) until its checkpoint is written. A further one,
seconds later, ends the process as it is: what is on disk is whole at every moment, and locks go with their
owner.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from urbanln.base.saying import say_last

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SENTENCE = "stopped; run the same command again to go on"
# A terminal, timeout and torchrun send one signal twice: to the process and to its group.
_AGAIN_SECONDS = 2.0


class StopRequested(SystemExit):
    """The process was told to stop; unhandled, it exits with 128 and the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __reduce__(self) -> tuple[type[StopRequested], tuple[int]]:
        return StopRequested, (self.number,)


class _State:
    """What this process was told."""

    number: int | None = None  # of the first signal
    at = 0.0
    installed = False
    held = 0
    silent = False
    changing = threading.Lock()
    wakes: tuple[Callable[[], object], ...] = ()  # tell what is held, which may be waiting


@contextmanager
def orderly(*, last: bool = False) -> Iterator[None]:
    """Stop in order when told to, as long as the block lasts; in other threads than the main one, nothing.

    Args:
        last: Nothing comes after this block: what arrives then may end the process as the system does it.
    """
    if _State.installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]  # nohup, a shell's "&"
    _State.number, _State.installed = None, True
    try:
        for number in ours:
            signal.signal(number, _on_signal)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL if last else before[number] or signal.SIG_DFL)
        _State.number, _State.installed = None, False


@contextmanager
def hold() -> Iterator[Callable[[], bool]]:
    """Put off a stop until the block ends, and yield what tells whether one was asked for.

    Raises:
        StopRequested: At the end of the block, where one was.
        KeyboardInterrupt: In its place for Ctrl-C where no program of ours runs, as in a notebook.
    """
    in_program = _State.installed
    with orderly():
        _State.held += 1
        try:
            yield lambda: _State.number is not None
        except StopRequested:  # by the block itself, perhaps because another process was told to stop
            if _State.number is None:
                raise
        finally:
            _State.held -= 1
        asked = _State.number
        if asked is not None and _State.silent:
            _leave(asked)
    if asked is not None:
        raise StopRequested(asked) if in_program or asked != signal.SIGINT else KeyboardInterrupt


@contextmanager
def waking(wake: Callable[[], object]) -> Iterator[None]:
    """As long as the block lasts, what is called when a stop is put off; it has to be quick.

    Blocks of several threads need not end in the order in which they began.
    """
    with _State.changing:
        _State.wakes += (wake,)
    try:
        if _State.number is not None:  # it came before the block
            wake()
        yield
    finally:
        with _State.changing:
            _State.wakes = tuple(one for one in _State.wakes if one is not wake)


def stop_as_worker() -> None:
    """End at once, or at the end of what is held, on SIGTERM: for processes that work for another."""
    _State.installed = _State.silent = True
    signal.signal(signal.SIGTERM, _on_signal)


def leave() -> None:
    """End the process at once where it was told to stop: for work that has nothing to lose, however slow."""
    if _State.number is not None:
        _leave(_State.number)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _State.number is None:
        _State.number, _State.at = number, time.monotonic()
        if _State.held:
            for wake in _State.wakes:
                wake()
            return
        # A worker would take up the next task; and during imports libraries swallow what is raised.
        if _State.silent or _is_importing(frame):
            _leave(number)
        raise StopRequested(number)
    if time.monotonic() - _State.at > _AGAIN_SECONDS:
        _leave(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave(number: int) -> None:
    if not _State.silent:
        say_last(SENTENCE)
    os._exit(128 + number)
