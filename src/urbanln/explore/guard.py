"""Who may ask, and what a page may do: checked before any answer is made.

The server listens on this machine alone. Another page in the same browser could still send requests here,
under the name of its own host or from its own origin: both are looked at. Beyond this machine a secret in
the address is needed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin", "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}  # fmt: skip
_HERE = ("localhost", "127.0.0.1", "[::1]")


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
