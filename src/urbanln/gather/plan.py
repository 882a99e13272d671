"""What gathering would take, before it is done: requests, bytes, time, money, and on whose terms.

What is kept already is counted as it is. How large the rest will be is what files at addresses say of their
parts, what the recipe says (``mean_kb``), or the mean of a small sample, spread over all requests, which is
asked for and kept: a plan costs nothing twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from urbanln.base.errors import UrbanLNError
from urbanln.base.saying import in_bytes
from urbanln.gather.fetching.cache import Cache
from urbanln.gather.fetching.rounds import fetch_all
from urbanln.gather.recipe import Fetch
from urbanln.gather.source import Answer, Judging, Leading, Request, Source

SAMPLE = 100
"""Requests of a sample, at most; and a tenth of those that are left to ask."""


@dataclass
class Planned:
    """What one source would take.

    Attributes:
        name: Of the source.
        pictures: How many it would give if all were there.
        requests: All of them, as far as kept answers tell.
        more: Further ones, at most, that answers may lead to.
        kept: Of these, how many have an answer already.
        shared: And how many are asked for another source as well.
        bytes: Still to come, about; None where nothing says how large an answer is.
        seconds: That would take, about.
        usd: For all requests, and ``usd_spent`` of it for those with an answer.
        usd_spent: See ``usd``.
        licence, attribution: The terms.
        said: How sizes are known, or why not.
        unusable: What is wrong with a kept answer, or a file, that the source cannot use; None if nothing is.
    """

    name: str
    pictures: int
    requests: int
    more: int
    kept: int
    shared: int
    bytes: float | None
    seconds: float
    usd: float
    usd_spent: float
    licence: str
    attribution: str
    said: str
    unusable: UrbanLNError | None = None

    @property
    def to_ask(self) -> int:
        """Requests that are left."""
        return self.requests - self.kept - self.shared

    def lines(self) -> list[str]:
        """The plan of the source in words."""
        size = "an unknown amount" if self.bytes is None else in_bytes(self.bytes)
        kept = f", {self.kept:,} of them answered already" if self.kept else ""
        kept += f", {self.shared:,} asked for another source too" if self.shared else ""
        cost = f", ${self.usd:,.2f} in all, ${self.usd_spent:,.2f} of it spent" if self.usd else ""
        time = in_time(self.seconds)
        up_to = f" and up to {self.more:,} that answers lead to" if self.more else ""
        if self.unusable is not None:
            lines = str(self.unusable).splitlines()
            return [f"{self.name}: this source cannot be used, {lines[0]}", *lines[1:]]
        return [
            f"{self.name}: {self.pictures:,} pictures, {self.requests:,} requests{up_to}{kept}",
            f"  to fetch: {self.to_ask + self.more:,} requests, {size} ({self.said}), about {time}{cost}",
            f"  licence: {self.licence}; attribution: {self.attribution}",
        ]


def plan_source(
    source: Source, fetch: Fetch, cache: Cache, *, sample: bool = True, elsewhere: set[Request] | None = None
) -> Planned:
    """What a source would take.

    Args:
        source: The source.
        fetch: How the network is used.
        cache: The kept answers.
        sample: Ask for a few, where the recipe does not say how large an answer is; and for what files at
            addresses say of themselves.
        elsewhere: What sources before this one ask for, and this one need not; gets what this one does.

    Raises:
        InputError: The variable of its key is not set, where a sample is taken.
        StorageError: The cache cannot be written.
    """
    elsewhere = set() if elsewhere is None else elsewhere
    known, taken = _Known(source, cache, elsewhere), _Sample(source, fetch, cache)
    mean, said = source.settings.mean_kb, "mean_kb says so"
    while sample and known.heads and (chosen := taken.choose(known, SAMPLE)) and taken.ask(chosen, known):
        known = _Known(source, cache, elsewhere)
    # What is a guess before searches are answered is measured after.
    guessed = mean is not None and "mean_kb" not in source.settings.model_fields_set
    if known.plain and (mean is None or (guessed and not known.searches)):
        chosen = taken.choose(known, -(-known.plain // 10)) if sample else []
        if chosen and taken.ask(chosen, known):
            known, mean = _Known(source, cache, elsewhere), taken.mean
            said = f"by a sample of {taken.came}"
        elif known.sizes:
            mean = sum(known.sizes) / len(known.sizes) / 1000
            said = f"as the {len(known.sizes):,} answered before"
        elif mean is None:
            said = f"by a sample of {taken.came}" if chosen else "no sample was taken"
    elif not known.plain and known.sized:
        said = "as files say" if not known.heads else f"as far as {known.told:,} files say"
    said += f"; {taken.fault}" if taken.fault else ""
    elsewhere |= known.asks
    return _planned(source, fetch, known, mean, said, taken)


def _planned(
    source: Source, fetch: Fetch, known: _Known, mean: float | None, said: str, taken: _Sample
) -> Planned:
    more = source.more() if isinstance(source, Leading) else 0
    left, price = known.left + more, source.settings.usd_per_1000 / 1000
    each = None if mean is None else 1000 * mean
    rest = ((known.plain, each), (more, known.block or each))
    unknown = any(count and size is None for count, size in rest)
    total = None if unknown else known.sized + sum(count * (size or 0.0) for count, size in rest)
    hosts, settings = max(len(set(source.hosts())), 1), source.settings
    slow = 1 / (fetch.per_second * hosts) if source.hosts() else 0.0
    faults = [*known.faults, *filter(None, [taken.unusable])]
    return Planned(
        source.name, source.pictures(), known.requests, more, known.kept, known.shared,
        total if left else 0.0, left * max(slow, taken.pace), (known.requests - known.shared + more) * price,
        known.kept * price, settings.licence, settings.attribution, said if left else "all is there",
        faults[0] if faults else None,
    )  # fmt: skip


class _Known:
    """All requests of a source that are known without asking: the first ones, and what kept answers lead to.

    Args:
        source: The source.
        cache: The kept answers.
        elsewhere: What others ask for.

    Attributes:
        requests: How many.
        kept: Of these, how many have an answer.
        shared: How many others ask for.
        heads: How many without an answer say what else is to be asked of a file.
        told: How many of that kind have one.
        searches: How many of JSON have none.
        plain: How many have none and nothing says how large it is.
        sized: Bytes of those that have none and whose size is known.
        sizes: Bytes of the kept ones of which it was not known before, searches left out.
        asks: What others need not ask for, since this one does.
        block: Mean bytes of a part of a file; 0 where none is known.
        faults: The error of a source that cannot use what is kept; no more is known of it then.
    """

    def __init__(self, source: Source, cache: Cache, elsewhere: set[Request]) -> None:
        self._source, self._cache, self._elsewhere = source, cache, elsewhere
        self.requests = self.kept = self.shared = self.heads = self.told = self.searches = self.plain = 0
        self.sized, self.sizes, self.block, self.faults = 0.0, list[int](), 0.0, list[UrbanLNError]()
        self.asks = set[Request]()
        parts: list[int] = []
        for request, size in self._all():
            self.requests += 1
            parts += [request.size] if request.size and not request.head else []
            if size is not None:
                self._keep(request, size)
            elif request in elsewhere:
                self.shared += 1
            else:
                self._ask(request)
        self.block = sum(parts) / len(parts) if parts else 0.0

    def _keep(self, request: Request, size: int) -> None:
        self.kept += 1
        self.told += request.head
        if not request.size and request.kind != "json":
            self.sizes.append(size)

    def _ask(self, request: Request) -> None:
        self.heads += request.head
        self.searches += request.kind == "json"
        self.sized += request.size
        self.plain += not request.size
        self.asks |= {request} if request.size else set()

    @property
    def left(self) -> int:
        """Requests without an answer."""
        return self.requests - self.kept - self.shared

    def missing(self, head: bool) -> Iterator[Request]:
        """Those without an answer; ``head``: that say what else is to be asked of a file."""
        for request, size in self._all():
            if size is None and request.head == head and request not in self._elsewhere:
                yield request

    def _all(self) -> Iterator[tuple[Request, int | None]]:
        """Requests, each with the bytes of its answer; None where there is none."""
        more: deque[Request] = deque()
        try:
            for one in self._source.first():
                yield one, self._cache.size(one)
                if not isinstance(self._source, Leading):
                    continue
                more.append(one)
                while more:
                    asked = more.popleft()
                    leads = asked.kind != "picture" and (asked.head or not asked.size)
                    if leads and (answer := self._cache.read(asked)) is not None:
                        found = list(self._source.then(asked, answer))
                        yield from ((request, self._cache.size(request)) for request in found)
                        more.extend(found)
        except UrbanLNError as error:
            self.faults = [error]


class _Sample:
    """What was asked for to know more: how large answers are, and how long they take."""

    def __init__(self, source: Source, fetch: Fetch, cache: Cache) -> None:
        self._source, self._fetch, self._cache = source, fetch, cache
        self._left, self._seconds = SAMPLE, 0.0
        self.came, self.fault = 0, ""
        self.mean: float | None = None
        self.unusable: UrbanLNError | None = None

    @property
    def pace(self) -> float:
        """Seconds that an answer took."""
        return self._seconds / self.came if self.came else 0.0

    def choose(self, known: _Known, wanted: int) -> list[Request]:
        """A few of the requests without an answer, at equal distances; heads of files where there are any."""
        head = bool(known.heads)
        there = known.heads if head else known.left
        wanted = min(wanted, there, self._left)
        places = {round((number + 0.5) * there / wanted - 0.5) for number in range(wanted)}
        return [one for number, one in enumerate(known.missing(head)) if number in places]

    def ask(self, requests: Sequence[Request], known: _Known) -> bool:
        """Ask for them; whether any answer came."""
        few, label = _Few(self._source, requests), f"a sample of {self._source.name}"
        spent = known.kept * self._source.settings.usd_per_1000 / 1000
        found = fetch_all(
            [few], self._fetch, self._cache, total=len(requests), label=label, spent={few.name: spent}
        )[few.name]
        came = [answer for one in requests if (answer := self._cache.read(one)) is not None]
        self._left -= len(requests)
        self._seconds += found.seconds
        self.came += len(came)
        self.mean = sum(len(one.data) for one in came) / len(came) / 1000 if came else None
        self.fault, self.unusable = found.fault_line(), found.unusable
        return bool(came)


class _Few:
    """A few requests of a source."""

    def __init__(self, source: Source, requests: Sequence[Request]) -> None:
        self.name, self.settings, self.hosts = source.name, source.settings, source.hosts
        self._source, self._requests = source, requests

    def first(self) -> Iterator[Request]:
        return iter(self._requests)

    def judged(self, request: Request, answer: Answer) -> Answer:
        return self._source.judged(request, answer) if isinstance(self._source, Judging) else answer

    def then(self, request: Request, answer: Answer) -> Iterable[Request]:
        """Nothing more; the source refuses what it cannot use."""
        list(self._source.then(request, answer))
        return ()


def in_time(seconds: float) -> str:
    """A time in words: ``2 h 5 min``."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60:,} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
