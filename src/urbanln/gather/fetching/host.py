"""One host: its connections, its pace, and whether it is still there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from urbanln.gather.fetching.guard import Guard
from urbanln.gather.recipe import Fetch

# After so many requests given up in a row a host is down, and is asked no more.
DOWN_AFTER = 8
_TOTAL = (
    10  # times the silence that ends a try, all of it may last: a server that drips holds nobody for ever
)


_CATCH_UP_S = 0.2  # of a pace that was not used may be made up for at once
_LEFTOVER = 65_536  # of an error's text, read so that its connection can be used again


@dataclass(frozen=True)
class Got:
    """The answer to one try, as it came.

    Attributes:
        status: Of HTTP.
        data: Content, of a status that brings one.
        location: Where a redirect leads.
        retry_after: What the server says of when to come again.
        challenge: What it says of a key that it does not take.
        span: Which part of a file it says this is.
    """

    status: int
    data: bytes
    location: str = ""
    retry_after: str = ""
    challenge: str = ""
    span: str = ""


class DownError(Exception):
    """A host that is asked no more."""


class TooLargeError(Exception):
    """An answer beyond the bound."""


class Host:
    """A host at one port, for all sources that ask it.

    Args:
        origin: ``https://tiles.example.org:443``.
        fetch: How the network is used.
    """

    def __init__(self, origin: str, fetch: Fetch) -> None:
        parts = urlsplit(origin)
        self.name, self._port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._fetch, self._scheme, self._netloc = fetch, parts.scheme, parts.netloc
        self._slots = asyncio.Semaphore(fetch.concurrency)
        self._next = 0.0  # no request begins before
        self._given_up, self._reason = 0, ""
        self._origin, self._pinned = origin, ""
        # A connection each: a pool of many looks through all of them for every request.
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._new: Callable[[], httpx.AsyncHTTPTransport] | None = None
        self._opening = asyncio.Lock()

    async def send(self, url: str, headers: dict[str, str], guard: Guard) -> Got:
        """One try, when it is its turn.

        Raises:
            DownError: The host is down.
            RefusedError: Its address must not be asked.
            TooLargeError: The answer is.
            httpx.HTTPError, OSError, TimeoutError: It came to nothing.
        """
        async with self._slots:
            while (wait := self._next - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if self._given_up >= DOWN_AFTER:
                raise DownError(self._reason)
            self._next = max(self._next, time.monotonic() - _CATCH_UP_S) + 1 / self._fetch.per_second
            async with asyncio.timeout(_TOTAL * self._fetch.timeout_s):
                return await self._try(url, headers, guard)

    async def _try(self, url: str, headers: dict[str, str], guard: Guard) -> Got:
        await self._prepare(guard)
        extensions: dict[str, Any] = {"timeout": httpx.Timeout(self._fetch.timeout_s).as_dict()}
        if self._pinned:
            # Asked by the address that was looked at, and by its name nevertheless.
            url, extensions["sni_hostname"] = self._pinned + url[len(self._origin) :], self.name
        # A transport and no client: nothing is remembered from one request to the next, no cookie either.
        request = httpx.Request("GET", url, headers={**headers, "Host": self._netloc}, extensions=extensions)
        assert self._new is not None
        transport = self._idle.pop() if self._idle else self._new()
        try:
            response = await transport.handle_async_request(request)
            try:
                return await self._read(response)
            finally:
                await response.aclose()
        finally:
            self._idle.append(transport)

    async def _read(self, response: httpx.Response) -> Got:
        """An answer, as far as it is wanted and within the bound."""
        wanted, told = response.status_code in (200, 206), response.headers
        limit = round(self._fetch.max_mb * 1e6) if wanted else _LEFTOVER
        if wanted and int(told.get("Content-Length") or 0) > limit:
            raise TooLargeError
        parts, held = [], 0
        async for part in response.aiter_bytes():
            held += len(part)
            if held > limit and wanted:
                raise TooLargeError
            if held > limit:
                break
            parts.append(part)
        data = b"".join(parts) if wanted else b""
        return Got(
            response.status_code, data, told.get("Location", ""), told.get("Retry-After", ""),
            told.get("WWW-Authenticate", ""), told.get("Content-Range", ""),
        )  # fmt: skip

    async def _prepare(self, guard: Guard) -> None:
        """Look the host up once, and settle how connections to it are made."""
        async with self._opening:
            if self._new is not None:
                return
            proxy = None if proxy_bypass(self.name) else getproxies().get(self._scheme)
            if proxy is None:  # a proxy looks the name up itself, and keeps its own rules
                address = await guard.address(self.name, self._port)
                host = f"[{address}]" if ":" in address else address
                self._pinned = f"{self._scheme}://{host}:{self._port}"
            self._new = partial(
                httpx.AsyncHTTPTransport, verify=httpx.create_ssl_context(), proxy=proxy,
                limits=httpx.Limits(max_connections=1),
            )  # fmt: skip

    def wait(self, seconds: float) -> None:
        """Begin nothing at this host for a while, whoever asks."""
        self._next = max(self._next, time.monotonic() + seconds)

    def answered(self) -> None:
        """It is there."""
        self._given_up = 0

    def gave_up(self, reason: str) -> None:
        """A request had no answer after all its tries."""
        self._given_up += 1
        self._reason = reason

    async def close(self) -> None:
        """Close the connections."""
        for transport in self._idle:
            await transport.aclose()
