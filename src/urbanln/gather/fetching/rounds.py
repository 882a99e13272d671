"""All requests of all sources, side by side: what is kept is not asked again, a failing one stops alone."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from urbanln.base.errors import UrbanLNError
from urbanln.base.event_loop import run_async
from urbanln.base.progress import Advance, progress
from urbanln.gather.fetching.cache import Cache
from urbanln.gather.fetching.client import Client, Network, NoAnswerError, StopSourceError
from urbanln.gather.recipe import Fetch
from urbanln.gather.settings import SourceSettings, read_key
from urbanln.gather.source import Answer, AnswerError, Judging, Request

_TOLD = 3
_BREATH = 256  # kept answers in a row, then other sources have a turn
_FORBIDDEN_AFTER = 3


class Asking(Protocol):
    """What is asked for: a source, or a few of its requests."""

    @property
    def name(self) -> str:
        """See :class:`urbanln.gather.source.Source`."""
        ...

    @property
    def settings(self) -> SourceSettings:
        """See :class:`urbanln.gather.source.Source`."""
        ...

    def hosts(self) -> list[str]:
        """See :class:`urbanln.gather.source.Source`."""
        ...

    def first(self) -> Iterator[Request]:
        """See :class:`urbanln.gather.source.Source`."""
        ...

    def then(self, request: Request, answer: Answer) -> Iterable[Request]:
        """See :class:`urbanln.gather.source.Source`."""
        ...


@dataclass
class Fetched:
    """What came of asking for one source.

    Attributes:
        requests: How many there were.
        kept: Of these, how many answers were there before.
        bytes: Of answers that came now.
        failed: Requests without an answer.
        faults: Why, in words, and how often.
        example: The address of one of them, without a key.
        stopped: Why the source was asked no more; empty where all was asked.
        unusable: The error of a source that cannot use an answer, or a file that it names.
        seconds: How long it took.
    """

    requests: int = 0
    kept: int = 0
    bytes: int = 0
    failed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    example: str = ""
    stopped: str = ""
    unusable: UrbanLNError | None = None
    seconds: float = 0.0

    def fault_line(self) -> str:
        """What went wrong, the most frequent first, in one line."""
        told = [one for one in self.faults.most_common(_TOLD) if one[0] not in self.stopped]
        parts = [f"{times} × {fault}" for fault, times in told]
        return "; ".join([*([self.stopped] if self.stopped else []), *parts])


def fetch_all(
    sources: Sequence[Asking],
    fetch: Fetch,
    cache: Cache,
    *,
    total: int,
    label: str = "gathering",
    spent: Mapping[str, float] | None = None,
) -> dict[str, Fetched]:
    """Ask for all that is not kept yet.

    Args:
        sources: Each is asked at its own pace; one that is stopped stops no other.
        fetch: How the network is used.
        cache: Keeps the answers.
        total: How many requests there are about, for progress.
        label: What is said while it goes on.
        spent: By source what its kept answers cost, in US dollars.

    Returns:
        By source what came of it; a source that cannot use what it got has ended alone.

    Raises:
        InputError: The variable of a key is not set.
        StorageError: The cache cannot be written.
    """
    keys = {one.name: read_key(one.settings, one.name) for one in sources}
    network = Network(fetch)
    clients = {
        one.name: Client(network, one.settings, one.hosts(), keys[one.name], (spent or {}).get(one.name, 0.0))
        for one in sources
    }
    return run_async(_ask_all(sources, clients, network, cache, total, label))


async def _ask_all(
    sources: Sequence[Asking],
    clients: dict[str, Client],
    network: Network,
    cache: Cache,
    total: int,
    label: str,
) -> dict[str, Fetched]:
    with progress(label, total) as advance:
        meter, going = _Meter(advance), dict[Request, asyncio.Event]()
        rounds = [_Round(one, clients[one.name], network, cache, meter, going) for one in sources]
        try:
            async with asyncio.TaskGroup() as group:
                for one in rounds:
                    group.create_task(one.run())
        except BaseExceptionGroup as errors:  # of several, which say the same: the disk is full
            raise errors.exceptions[0] from None
        finally:
            await network.close()
    return {one.name: one.found for one in rounds}


class _Meter:
    """Progress with the rate and the number of errors."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._start, self._came = advance, time.monotonic(), 0

    def step(self, came: bool, errors: int) -> None:
        """One more request is done."""
        self._came += came
        rate = self._came / max(time.monotonic() - self._start, 1e-3)
        self._advance(1, f"{rate:.1f} a second{f', {errors} errors' if errors else ''}")


class _Round:
    """One source: its requests, a bounded number under way.

    What another source asks for already (``going``) is waited for and not asked twice: several labels are of
    one raster.
    """

    def __init__(
        self, source: Asking, client: Client, network: Network, cache: Cache, meter: _Meter,
        going: dict[Request, asyncio.Event],
    ) -> None:  # fmt: skip
        self.name, self.found = source.name, Fetched()
        self._source, self._cache, self._meter, self._going = source, cache, meter, going
        self._client = client
        self._width = network.fetch.concurrency * max(len(set(source.hosts())), 1)
        self._patience_s = network.fetch.timeout_s
        self._more: deque[Request] = deque()
        self._forbidden = self._came = 0

    async def run(self) -> None:
        """Ask for everything, or until the source is to be stopped."""
        start, first = time.monotonic(), self._source.first()
        under_way: set[asyncio.Task[None]] = set()
        try:
            while not self.found.stopped:
                while len(under_way) < self._width and (request := await self._next(first)) is not None:
                    under_way.add(asyncio.create_task(self._work(request, first)))
                if not under_way:
                    break
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            if under_way:  # what was sent is not lost, unless it waits for longer than a try may take
                done, under_way = await asyncio.wait(under_way, timeout=self._patience_s)
                for task in done:
                    task.result()
        finally:
            for task in under_way:
                task.cancel()
            self.found.seconds = time.monotonic() - start

    async def _next(self, first: Iterator[Request]) -> Request | None:
        """The next request that has no answer yet."""
        for passed in count():
            if self.found.stopped:
                return None
            request = self._more.popleft() if self._more else next(first, None)
            if request is None:
                return None
            self.found.requests += 1
            if not self._is_kept(request):
                return request
            if passed % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        raise AssertionError("unreachable")

    def _is_kept(self, request: Request) -> bool:
        """Take an answer that is there; False where there is none."""
        try:
            if (answer := self._cache.read(request)) is None:
                return False
            self._more.extend(self._source.then(request, answer))
            self.found.kept += 1
        except UrbanLNError as error:
            self._stop(request, error)
        self._meter.step(False, self._client.errors)
        return True

    async def _work(self, request: Request | None, first: Iterator[Request]) -> None:
        """Ask for one after the other, until there is none, or one has led to more: these are for all."""
        while request is not None:
            await self._once(request)
            request = None if self._more else await self._next(first)

    async def _once(self, request: Request) -> None:
        while (other := self._going.get(request)) is not None:
            await other.wait()
            if self._is_kept(request):
                return
        over = self._going[request] = asyncio.Event()
        try:
            await self._one(request)
        finally:
            del self._going[request]
            over.set()

    async def _one(self, request: Request) -> None:
        try:
            answer = await self._client.ask(request)
        except NoAnswerError as error:
            self._lost(request, str(error))
            self._forbidden += "403" in str(error)
            if self._forbidden >= _FORBIDDEN_AFTER and not self._came:
                self.found.stopped = "nothing but HTTP 403: the key may not do this, or the address is wrong"
        except StopSourceError as error:
            self._lost(request, str(error))
            self.found.stopped = str(error)
        else:
            self._take(request, answer)
        self._meter.step(True, self._client.errors)

    def _take(self, request: Request, answer: Answer) -> None:
        """Note what an answer leads to, and keep it; one that nobody can use is asked for again."""
        more: list[Request] = []
        try:
            if isinstance(self._source, Judging):
                answer = self._source.judged(request, answer)
            more = list(self._source.then(request, answer))
        except UrbanLNError as error:
            self._stop(request, error)
            if isinstance(error, AnswerError):
                return
        self._cache.keep(request, answer)
        self._came += 1
        self.found.bytes += len(answer.data)
        self._more.extend(more)

    def _stop(self, request: Request, error: UrbanLNError) -> None:
        """End this source, and no other: it cannot use an answer, or a file that it names."""
        self._lost(request, error.what)
        self.found.stopped, self.found.unusable = error.what, error

    def _lost(self, request: Request, fault: str) -> None:
        self.found.failed += 1
        self.found.faults[fault] += 1
        self.found.example = self.found.example or request.url
