"""A stop comes to coroutines where they wait, never within a line of what they are in."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from urbanln.base import event_loop
from urbanln.base.event_loop import run_async
from urbanln.base.stopping import StopRequested, hold, orderly

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
LONG_S = 60


@BOTH
@pytest.mark.parametrize("program", [True, False])
def test_a_stop_cancels_what_waits(number: int, program: bool) -> None:
    done: list[str] = []

    async def ask() -> None:
        try:
            os.kill(os.getpid(), number)
            done.append("went on")  # as a library would that keeps count of what it is in
            await asyncio.sleep(LONG_S)
        except asyncio.CancelledError:
            done.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)  # closing a connection waits as well
            done.append("closed")

    before = signal.getsignal(number)
    error = StopRequested if program or number == signal.SIGTERM else KeyboardInterrupt
    with pytest.raises(error), orderly() if program else nullcontext():
        run_async(ask())
    assert done == ["went on", "cancelled", "closed"]
    assert signal.getsignal(number) is before


def test_a_stop_before_the_loop_and_one_that_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = event_loop._until_told

    async def told_before(work):
        os.kill(os.getpid(), signal.SIGTERM)
        return await inner(work)

    async def told_at_the_end() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 1

    for late in (True, False):
        if not late:
            monkeypatch.setattr(event_loop, "_until_told", told_before)
        with pytest.raises(StopRequested), orderly():
            run_async(told_at_the_end() if late else asyncio.sleep(LONG_S))
    monkeypatch.undo()
    with orderly():  # nothing is left of it
        assert run_async(asyncio.sleep(0, "done")) == "done"


def test_a_cancelling_that_nobody_asked_for_is_one() -> None:
    async def gives_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_async(gives_up())


def test_within_a_running_loop_and_within_what_is_held() -> None:
    async def notebook() -> str:
        return run_async(asyncio.sleep(0, "done"))

    assert asyncio.run(notebook()) == "done"
    with pytest.raises(StopRequested), orderly(), hold() as told:
        try:
            run_async(_stopped())
        finally:
            assert told()


async def _stopped() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(LONG_S)


def test_loops_of_several_threads_end_in_any_order_and_leave_nothing_to_wake() -> None:
    first, second = threading.Event(), threading.Event()

    async def ends_first() -> None:
        first.set()
        assert second.wait(LONG_S)

    async def ends_last(other: Future[None]) -> None:
        second.set()
        other.result(LONG_S)

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(run_async, ends_first())
        assert first.wait(LONG_S)
        threads.submit(run_async, ends_last(one)).result(LONG_S)
    with pytest.raises(StopRequested), orderly(), hold() as told:
        os.kill(os.getpid(), signal.SIGTERM)  # no loop is there that could be told
        assert told()
