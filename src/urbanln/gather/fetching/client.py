"""One request with its retries and redirects, for one source: with its key, its hosts and its price."""

from __future__ import annotations

import asyncio
import math
import random
import re
import socket
import time
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from itertools import count
from urllib.parse import quote, urlsplit

import httpx

from urbanln.base.errors import UrbanLNError, printable
from urbanln.base.parsing import parse_json
from urbanln.base.version import __version__
from urbanln.gather.fetching.guard import Guard, RefusedError
from urbanln.gather.fetching.host import DownError, Got, Host, TooLargeError
from urbanln.gather.recipe import Fetch
from urbanln.gather.settings import KEY, SourceSettings
from urbanln.gather.source import Answer, Request

NOTHING = (204, 404, 410)
_PASSING = (408, 425, 429)
_FORBIDDEN = (401, 403, 407)
_NO_KEY = "invalid_token"  # RFC 6750: some say so with HTTP 400
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
# UnicodeError: a host whose name cannot be one, as answers may say of where pictures lie.
_FAULTS = (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, UnicodeError)
# How files of pictures begin (JPEG, PNG, GIF, BMP, TIFF, JPEG 2000); WebP and AVIF say it further on.
_PICTURES = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP",
    b"\xff\x4f\xff\x51",
)


class NoAnswerError(Exception):
    """A request without an answer, after all its tries; its text says why, without a key."""


class LostError(NoAnswerError):
    """What a server does not let out, or a host that does not answer: an address that expires has expired."""


class StopSourceError(Exception):
    """A source that is to be asked no more; its text says why, without a key."""


class HostDownError(StopSourceError):
    """Its host is down; what has an address that expires may lie elsewhere by now."""


@dataclass
class Network:
    """What all sources share: the hosts, and how many requests were sent."""

    fetch: Fetch

    def __post_init__(self) -> None:
        self._hosts: dict[str, Host] = {}
        self.sent = 0

    def host(self, url: str) -> Host:
        """The host of an address."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}".lower()
        if origin not in self._hosts:
            self._hosts[origin] = Host(origin, self.fetch)
        return self._hosts[origin]

    async def close(self) -> None:
        """Close all connections."""
        for host in self._hosts.values():
            await host.close()


class Client:
    """Asks for one source.

    Args:
        network: What all sources share.
        settings: The source's: its key's variable, headers, hosts, price.
        hosts: That its own addresses name.
        key: The key itself, sent to these hosts alone, whatever answers lead to, and never written.
        spent_usd: What its kept answers cost.
    """

    def __init__(
        self, network: Network, settings: SourceSettings, hosts: list[str], key: str, spent_usd: float = 0.0
    ) -> None:
        self._network, self._settings, self._key = network, settings, key
        self._own = {host.lower() for host in hosts}
        self._guard = Guard([*hosts, *settings.hosts], network.fetch.private)
        self.spent_usd = spent_usd
        self.errors = 0

    async def ask(self, request: Request) -> Answer:
        """The answer to a request; where its address has expired, to that which is said anew.

        Raises:
            NoAnswerError: There was none.
            StopSourceError: There will be none for this source: wrong key, nothing left to spend.
        """
        try:
            answer = await self._ask(request)
        except (LostError, HostDownError):
            if not request.anew:
                raise
            answer = Answer(403, b"")
        if answer.there or not request.anew:
            return answer
        try:
            said = await self._ask(Request(request.anew, "json"))
        except NoAnswerError as error:
            if str(error) != "HTTP 400":  # what graphs say of an id that is no more
                raise
            said = Answer(404, b"")
        content = parse_json(said.data) if said.there else None
        url = content.get(request.says) if isinstance(content, dict) else None
        return await self._ask(replace(request, url=url)) if isinstance(url, str) else Answer(404, b"")

    async def _ask(self, request: Request) -> Answer:
        fetch = self._network.fetch
        for attempt in count():
            try:
                got, host = await self._follow(request)
                fault = _fault(got, request)
            except RefusedError as error:
                raise StopSourceError(self._told(error)) from None
            except DownError as error:
                raise HostDownError(self._told(error)) from None
            except TooLargeError as error:
                raise NoAnswerError(self._told(error)) from None
            except _FAULTS as error:
                got, host = None, self._network.host(request.url)
                fault = self._told(error)
            if not fault and got is not None:
                host.answered()
                return Answer(got.status, self._without_key(got, request))
            self.errors += 1
            if got is not None and (got.status in _FORBIDDEN or _NO_KEY in got.challenge):
                raise self._forbidden(got)
            if attempt == fetch.retries or not _may_pass(got):
                host.gave_up(fault)
                raise LostError(fault) if got is None else NoAnswerError(fault)
            await asyncio.sleep(self._pause(got, attempt, host))
        raise AssertionError("unreachable")

    async def _follow(self, request: Request) -> tuple[Got, Host]:
        """One try, over redirects."""
        own = self._guard.check(request.url, request.url) in self._own
        url = self._filled(request.url) if own else request.url
        agent = f"urbanln/{__version__}"
        contact = self._network.fetch.contact
        plain = {
            "User-Agent": f"{agent} ({contact})" if contact else agent,
            # Pictures do not shrink, and a small answer cannot become a large one.
            "Accept-Encoding": "identity",
        }
        sent = self._settings.headers if own else {}
        filled = {name: self._filled(value) for name, value in sent.items()}
        headers = {**plain, **filled, **dict(request.headers)}
        self._guard.check(url, request.url)
        got: Got | None = None
        first = host = self._network.host(url)
        for hop in range(_MOST_REDIRECTS + 1):
            self._count()
            try:
                got = await host.send(url, headers, self._guard)
                if got.status not in _REDIRECTS or not got.location:
                    return got, host
                url = self._guard.redirected(url, got.location, self._key)
            except RefusedError as error:
                if hop == 0 and got is None:
                    raise
                fault = self._told(error)
                first.gave_up(fault)  # whoever redirects so all the time is as good as down
                raise NoAnswerError(fault) from None
            host, headers = self._network.host(url), {**plain, **dict(request.headers)}
        raise TooManyRedirects

    def _count(self) -> None:
        fetch, network = self._network.fetch, self._network
        if network.sent >= fetch.max_requests:
            raise StopSourceError(
                f"{network.sent:,} requests were sent, and [fetch] max_requests allows no more"
            )
        price = self._settings.usd_per_1000 / 1000
        if price and self.spent_usd + price > fetch.max_usd + 1e-9:
            raise StopSourceError(f"[fetch] max_usd = {fetch.max_usd:g} is spent")
        network.sent += 1
        self.spent_usd += price

    def _pause(self, got: Got | None, attempt: int, host: Host) -> float:
        """Seconds before the next try; where the server says how long, the whole host is left alone."""
        longest = self._network.fetch.longest_wait_s
        asked = retry_after(got.retry_after) if got is not None else None
        if asked is not None:
            if asked > longest:
                asked = min(asked, 1e9)
                told = (
                    f"the server asks to come again in {asked:,.0f} s, [fetch] longest_wait_s is {longest:g}"
                )
                raise StopSourceError(told)
            host.wait(asked)
            return asked
        pause = min(_FIRST_PAUSE_S * 4**attempt, _LONGEST_PAUSE_S, longest)
        return pause * random.uniform(0.75, 1.0)  # not all at once

    def _forbidden(self, got: Got) -> Exception:
        if got.status == 403:  # some say so of what is not there
            return LostError("HTTP 403: not allowed")
        told = (
            f"the key in {self._settings.key} is wrong or has expired"
            if self._settings.key
            else "it wants a key"
        )
        return StopSourceError(f"HTTP {got.status}: {told}")

    def _without_key(self, got: Got, request: Request) -> bytes:
        """What is kept; servers say a key back in JSON, in addresses of a next page."""
        if got.status in NOTHING:
            return b""
        if not self._key or request.kind != "json":
            return got.data
        key = self._key
        forms = {key, quote(key), quote(key, safe=""), key.replace("/", "\\/")}
        pattern = "|".join(re.escape(form) for form in forms)
        return re.sub(pattern.encode(), KEY.encode(), got.data, flags=re.IGNORECASE)

    def _filled(self, text: str) -> str:
        return text.replace(KEY, self._key) if self._key else text

    def _told(self, error: Exception) -> str:
        """What went wrong, in one short line and without the key."""
        if isinstance(error, DownError):
            return f"the host is down: {error}"
        if isinstance(error, TooLargeError):
            return f"larger than [fetch] max_mb = {self._network.fetch.max_mb:g}"
        if isinstance(error, UrbanLNError):
            text = f"{error.what} ({error.value}); {error.remedy}"
        elif isinstance(error, socket.gaierror | UnicodeError):
            text = "no host of this name is known here, or there is no network"
        elif isinstance(error, TimeoutError | httpx.TimeoutException):
            text = "no answer in time"
        else:
            text = (str(error) or type(error).__name__).splitlines()[0]
        return printable((text.replace(self._key, KEY) if self._key else text)[:300])


class TooManyRedirects(httpx.HTTPError):
    """Redirects that lead round in a circle."""

    def __init__(self) -> None:
        super().__init__(f"more than {_MOST_REDIRECTS} redirects")


def _may_pass(got: Got | None) -> bool:
    return got is None or got.status >= 500 or got.status in (*_PASSING, 200, 206)


def _fault(got: Got, request: Request) -> str:
    """What is wrong with an answer; empty for one that can be kept."""
    if got.status in NOTHING:
        return ""
    if got.status not in (200, 206):
        return f"HTTP {got.status}"
    if got.status == 206 and got.span and not _is_part(got, dict(request.headers).get("Range", "")):
        return "another part of the file than was asked for"
    start = got.data[:32]
    if request.kind == "picture":
        found = start.startswith(_PICTURES) or start[8:12] == b"WEBP" or start[4:8] == b"ftyp"
        return "" if found else f"not a picture but {_kind(got.data)}"
    if request.kind == "json":
        try:
            parse_json(got.data)
        except ValueError:
            return f"not JSON but {_kind(got.data)}"
    return ""


def _is_part(got: Got, asked: str) -> bool:
    """Whether an answer brings the part of a file that was asked for, shorter at the file's end alone."""
    told = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", got.span.strip())
    wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
    if told is None or wanted is None:
        return False
    first, last = int(told[1]), int(told[2])
    end = min(int(wanted[2]), int(told[3]) - 1) if told[3] != "*" else int(wanted[2])
    return first == int(wanted[1]) and last == end and len(got.data) == last - first + 1


def _kind(data: bytes) -> str:
    if not data:
        return "nothing"
    return "a page of text" if data.lstrip()[:1] in (b"<", b"{", b"[") else "something else"


def retry_after(text: str) -> float | None:
    """Seconds that a ``Retry-After`` asks for: a number or a date; None where it says neither."""
    try:
        seconds = float(text) if text.strip() else math.nan
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if not math.isnan(seconds) else None
