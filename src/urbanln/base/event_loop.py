"""Coroutines run to their end, or until the process is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from urbanln.base.stopping import hold, waking

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine, also where an event loop runs already, as in a notebook.

    A stop cancels it where it waits. Raised by the handler of the signal, it would come at any line of the
    libraries that the loop is in, which lose count of themselves and raise something else in its place.

    Raises:
        StopRequested, KeyboardInterrupt: The process was told to stop; see
            :func:`urbanln.base.stopping.hold`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, work).result()
    with hold() as told_to_stop:
        try:
            return asyncio.run(_until_told(work))
        except asyncio.CancelledError:
            if not told_to_stop():
                raise
    raise AssertionError("unreachable")


async def _until_told(work: Coroutine[Any, Any, T]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    with waking(lambda: loop.call_soon_threadsafe(task.cancel)):
        return await task
