"""Processes that work for another one, and end with it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, parent_process, resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess

from urbanln.base.stopping import stop_as_worker

# Numerical libraries read these when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class _Worker(SpawnProcess):
    """A process that Ctrl-C does not reach: a terminal sends it to all, and the one in charge decides."""

    def start(self) -> None:
        if not hasattr(signal, "pthread_sigmask"):
            return super().start()
        resource_tracker.ensure_running()  # or it would be started within, and let signals through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited
        try:
            return super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    Process = _Worker


def usable_cores() -> int:
    """Cores this process may use: fewer than the machine has in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def worker_pool(workers: int, *, threads: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Processes of fresh interpreters: forking one that runs torch's threads can hang.

    They end with the block; if it ends by an error or a stop, they are told to stop, and are waited for: a
    training among them writes a checkpoint first.

    Args:
        workers: Their number.
        threads: On how many each of them counts; by default as many as its libraries like. Two trainings that
            share two cores with two threads each wait for one another.

    Raises:
        BrokenProcessPool: One was killed, or none can be started (a script without a main guard).
    """
    before = set(active_children())
    with (
        _threads_each(threads),
        ProcessPoolExecutor(workers, mp_context=_Context(), initializer=_begin) as pool,
    ):
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(active_children()) - before:
                process.terminate()
            raise


@contextmanager
def _threads_each(threads: int | None) -> Iterator[None]:
    """Processes started here count on so many threads."""
    names = _THREADS if threads is not None else ()
    before = {name: os.environ[name] for name in names if name in os.environ}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]
        os.environ.update(before)


def _begin() -> None:
    stop_as_worker()
    _die_with_parent()


def _die_with_parent() -> None:
    """End this process as soon as the one that started it is gone.

    It would outlive a kill, finish what was handed to it and then wait for ever: it would write into a folder
    in which the same command, run again, is at work.
    """
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
