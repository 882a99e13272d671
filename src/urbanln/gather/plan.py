"""What gathering would take, before it is done: requests, bytes, time, money, and on whose terms.

What is kept already is counted as it is. How large the rest will be is what the recipe says (``mean_kb``), or
the mean of a small sample, spread over all requests, which is asked for and kept: a plan costs nothing twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from urbanln.base.errors import UrbanLNError
from urbanln.gather.fetching.cache import Cache
from urbanln.gather.fetching.rounds import fetch_all
from urbanln.gather.recipe import Fetch
from urbanln.gather.source import Answer, Leading, Request, Source

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
        return self.requests - self.kept

    def lines(self) -> list[str]:
        """The plan of the source in words."""
        size = "an unknown amount" if self.bytes is None else in_bytes(self.bytes)
        kept = f", {self.kept:,} of them answered already" if self.kept else ""
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


def plan_source(source: Source, fetch: Fetch, cache: Cache, *, sample: bool = True) -> Planned:
    """What a source would take.

    Args:
        source: The source.
        fetch: How the network is used.
        cache: The kept answers.
        sample: Ask for a few, where the recipe does not say how large an answer is.

    Raises:
        InputError: The variable of its key is not set, where a sample is taken.
        StorageError: The cache cannot be written.
    """
    faults: list[UrbanLNError] = []
    requests, kept, left = _count(source, cache, faults)
    mean, said, pace = source.settings.mean_kb, "mean_kb says so", 0.0
    sizes: list[int] = []
    chosen = [] if mean is not None or not sample else _spread(source, cache, left, faults)
    if chosen:
        few = _Few(source, chosen)
        found = fetch_all([few], fetch, cache, total=len(chosen), label=f"a sample of {source.name}")
        came = [answer for one in chosen if (answer := cache.read(one)) is not None]
        sizes = [len(answer.data) for answer in came]
        told = found[source.name].fault_line()
        said = f"by a sample of {len(sizes)}" + (f"; {told}" if told else "")
        pace = found[source.name].seconds / len(sizes) if sizes else 0.0
        requests, kept, left = _count(source, cache, faults)
        faults += filter(None, [found[source.name].unusable])
    elif mean is None:
        sizes = _kept_sizes(source, cache, faults)
        said = f"as the {len(sizes):,} answered before" if sizes else "no sample was taken"
    more = source.more() if isinstance(source, Leading) else 0
    left, price = left + more, source.settings.usd_per_1000 / 1000
    each = 1000 * mean if mean is not None else sum(sizes) / len(sizes) if sizes else None
    hosts = max(len(set(source.hosts())), 1)
    settings, usd = source.settings, (requests + more) * price
    return Planned(
        source.name, source.pictures(), requests, more, kept, 0.0 if not left else each and each * left,
        left * max(1 / (fetch.per_second * hosts) if source.hosts() else 0.0, pace), usd,
        kept * price, settings.licence, settings.attribution, said if left else "all is there",
        faults[0] if faults else None,
    )  # fmt: skip


def _count(source: Source, cache: Cache, faults: list[UrbanLNError]) -> tuple[int, int, int]:
    """Requests, those with an answer, those without."""
    sizes = [size for _, size in _known(source, cache, faults)]
    kept = sum(size is not None for size in sizes)
    return len(sizes), kept, len(sizes) - kept


def _known(source: Source, cache: Cache, faults: list[UrbanLNError]) -> Iterator[tuple[Request, int | None]]:
    """All requests that are known without asking: the first ones, and what kept answers lead to.

    Args:
        source: The source.
        cache: The kept answers.
        faults: Gets the error of a source that cannot use what is kept; no more is known of it then.

    Yields:
        The request, and the bytes of its answer; None where there is none.
    """
    more: deque[Request] = deque()
    try:
        for one in source.first():
            yield one, cache.size(one)
            if not isinstance(source, Leading):
                continue
            more.append(one)
            while more:
                asked = more.popleft()
                if asked.kind != "picture" and (answer := cache.read(asked)) is not None:
                    found = list(source.then(asked, answer))
                    yield from ((request, cache.size(request)) for request in found)
                    more.extend(found)
    except UrbanLNError as error:
        faults.append(error)


def _spread(source: Source, cache: Cache, left: int, faults: list[UrbanLNError]) -> list[Request]:
    """A few of the requests without an answer, at equal distances."""
    wanted = min(SAMPLE, -(-left // 10))
    places = {round((number + 0.5) * left / wanted - 0.5) for number in range(wanted)} if wanted else set()
    missing = (one for one, size in _known(source, cache, faults) if size is None)
    return [one for number, one in enumerate(missing) if number in places]


def _kept_sizes(source: Source, cache: Cache, faults: list[UrbanLNError]) -> list[int]:
    return [size for _, size in _known(source, cache, faults) if size is not None]


class _Few:
    """A few requests of a source."""

    def __init__(self, source: Source, requests: Sequence[Request]) -> None:
        self.name, self.settings, self.hosts = source.name, source.settings, source.hosts
        self._source, self._requests = source, requests

    def first(self) -> Iterator[Request]:
        return iter(self._requests)

    def then(self, request: Request, answer: Answer) -> Iterable[Request]:
        """Nothing more; the source refuses what it cannot use."""
        list(self._source.then(request, answer))
        return ()


def in_bytes(size: float) -> str:
    """A size in words: ``12.3 MB``."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"


def in_time(seconds: float) -> str:
    """A time in words: ``2 h 5 min``."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60:,} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
