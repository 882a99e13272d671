"""Which addresses may be asked: hosts that the recipe names, out in the world unless it says otherwise.

A recipe may come from anybody, and a server may redirect to anywhere: neither leads a request to this
machine, its network or its files unless that host, or that folder, is named in ``[fetch]``, where one looks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import unquote, urljoin, urlsplit

from urbanln.base.errors import InputError

_MOST_URL = 8000
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedError(InputError):
    """An address that must not be asked."""


class Guard:
    """What a source's requests may lead to.

    Args:
        hosts: Hosts that the recipe names for it; ``*.example.org`` is all below that name.
        private: Hosts that may have addresses of this machine or of a private network.
    """

    def __init__(self, hosts: Collection[str], private: Collection[str]) -> None:
        self._hosts = {host.lower() for host in hosts}
        self._private = {host.lower() for host in private}

    def check(self, url: str, shown: str) -> str:
        """The host of an address that may be asked.

        Args:
            url: The address.
            shown: The same without a key, for errors.

        Raises:
            RefusedError: It is not of HTTP, names a password, or a host that the recipe does not name.
        """
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise _refused("this is no address", shown, "mend it in the recipe") from error
        if parts.scheme not in ("http", "https") or not host or port == 0 or len(url) > _MOST_URL:
            raise _refused("only addresses of http:// and https:// are asked", shown, "mend it in the recipe")
        if parts.username or parts.password:
            raise _refused("a password stands in this address", shown, "name a variable instead (key)")
        if not self._named(host):
            remedy = f'if you trust it, name it: hosts = ["{host}"] in the source\'s section'
            raise _refused("the recipe does not name this host", host, remedy)
        return host

    def _named(self, host: str) -> bool:
        wide = (one[1:] for one in self._hosts if one.startswith("*."))
        return host in self._hosts or host.endswith(tuple(wide))

    def redirected(self, url: str, location: str, key: str) -> str:
        """Where a redirect leads, without a key.

        Raises:
            RefusedError: As :meth:`check`; it carries the key, or leads from https:// to http://.
        """
        try:
            target = urljoin(url, location)
        except ValueError as error:
            raise _refused("a redirect to what is no address", location[:200], "ask its operator") from error
        if key and key in unquote(target):
            raise _refused("a redirect carries the key", urlsplit(target).hostname or "", "ask its operator")
        if url.startswith("https:") and not target.startswith("https:"):
            host = urlsplit(target).hostname or ""
            raise _refused("a redirect from https:// to what is not", host, "ask its operator")
        self.check(target, target.partition("?")[0][:200])
        return target

    async def address(self, host: str, port: int) -> str:
        """The IP address of a host, looked up now and used as it is, so that no second answer differs.

        Raises:
            RefusedError: It is of this machine or a private network, and the recipe does not allow that.
            OSError: The host has none.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        inner = [one for one in addresses if not is_public(one)]
        if inner and host not in self._private:
            raise _refused(
                "this host has an address of this machine or of a private network",
                f"{host} ({inner[0]})",
                f'if that is meant, name it: private = ["{host}"] in [fetch]',
            )
        return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the world, and not of this machine, its network or nobody."""
    one = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(one, ipaddress.IPv6Address):
        inner = one.ipv4_mapped or one.sixtofour
        inner = inner or (ipaddress.IPv4Address(int(one) & 0xFFFFFFFF) if one in _NAT64 else None)
        if inner is not None:
            return is_public(str(inner))
    return one.is_global and not one.is_multicast


def _refused(what: str, value: str, remedy: str) -> RefusedError:
    return RefusedError(what, value=value, where="address", remedy=remedy)
