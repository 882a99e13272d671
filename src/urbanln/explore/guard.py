"""Who may ask, and what a page may do: checked before any answer is made.

The server listens on this machine alone. Another page in the same browser could still send requests here,
under the name of its own host or from its own origin: both are looked at. Beyond this machine a secret in
the address is needed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:{other}; "
    "connect-src 'self'{other}; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HERE = ("localhost", "127.0.0.1", "[::1]")


def answer_headers(other: str = "") -> dict[str, str]:
    """What every answer carries.

    Args:
        other: Scheme and host that the page may ask besides this server; "" for nobody. It learns the
            address of this server without path, which hosts of map pictures ask for.
    """
    return {
        "content-security-policy": POLICY.format(other=other and f" {other}"),
        "x-content-type-options": "nosniff", "referrer-policy": referrer(other),
        "cross-origin-resource-policy": "same-origin", "cross-origin-opener-policy": "same-origin",
        "cache-control": "no-store",
    }  # fmt: skip


def referrer(other: str) -> str:
    """How much of its own address a page tells those whom it asks; see :func:`answer_headers`."""
    return "strict-origin" if other else "no-referrer"


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def refusal(headers: Mapping[str, str], host: str, port: int) -> str | None:
    """Why a request is not answered, or None.

    Args:
        headers: Of the request, names in lower case.
        host: That the server listens on.
        port: Of the server.
    """
    names = {host, f"[{host}]", *_HERE}
    allowed = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    asked = headers.get("host", "")
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)
    if not everywhere and asked not in allowed:
        return "this server does not go by that name"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{asked}":
        return "another page may not ask here"
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "another page may not ask here"
    return None
