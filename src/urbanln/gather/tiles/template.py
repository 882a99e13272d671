"""Addresses of map tiles: the placeholders people write, and what stands in their place for one tile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# WMTS and GDAL call them otherwise; -y counts rows from the south (TMS), q is Bing's quadkey.
_NAMES = {
    "z": "z", "zoom": "z", "tilematrix": "z", "x": "x", "tilecol": "x", "y": "y", "tilerow": "y",
    "-y": "-y", "q": "q", "quadkey": "q", "s": "s", "key": "key",
}  # fmt: skip
_KNOWN = "{z}, {x}, {y}, {-y}, {q}, {s}, {key}, {TileMatrix}, {TileRow}, {TileCol}"


def check_template(url: str, subdomains: Sequence[str]) -> None:
    """Refuse an address that names no tile, or something unknown.

    Args:
        url: With placeholders.
        subdomains: What ``{s}`` stands for.

    Raises:
        ValueError: It does; says what is wrong.
    """
    names = _PLACEHOLDER.findall(url)
    unknown = [name for name in names if name.lower() not in _NAMES]
    if unknown:
        raise ValueError(f"unknown placeholder {{{unknown[0]}}} in the address; known are {_KNOWN}")
    kinds = {_NAMES[name.lower()] for name in names}
    if not ("q" in kinds or ({"z", "x"} <= kinds and {"y", "-y"} & kinds)):
        raise ValueError("the address names no tile: it needs {z}, {x} and {y} (or {-y}), or {q}")
    if ("s" in kinds) != bool(subdomains):
        raise ValueError("{s} in the address and subdomains go together")
    parts = urlsplit(_PLACEHOLDER.sub("0", url))
    if parts.scheme not in ("http", "https", "file"):
        raise ValueError("an address begins with https://, http:// or file:")
    if parts.scheme != "file" and not parts.hostname:
        raise ValueError("the address names no host")
    if "{" in url.split("/")[2 if parts.scheme != "file" else 0].replace("{s}", ""):
        raise ValueError("only {s} may stand in the name of a host")
    if parts.username or parts.password:
        raise ValueError('a password stands in the address: name a variable instead, key = "NAME", and {key}')


def fill(url: str, zoom: int, x: int, y: int, subdomains: Sequence[str] = ()) -> str:
    """The address of one tile; ``{key}`` stays, for the client to fill in.

    Args:
        url: A checked template.
        zoom, x, y: Of the tile, rows counted from the north.
        subdomains: What ``{s}`` stands for: always the same one for a tile.

    Example:
        >>> fill("https://tiles.example.org/{z}/{x}/{-y}.png", 3, 5, 2)
        'https://tiles.example.org/3/5/5.png'
    """

    def value(found: re.Match[str]) -> str:
        kind = _NAMES[found[1].lower()]
        if kind == "key":
            return "{key}"
        if kind == "s":
            return subdomains[(x + y) % len(subdomains)]
        if kind == "q":
            return "".join(str((x >> bit & 1) | (y >> bit & 1) << 1) for bit in reversed(range(zoom)))
        return str({"z": zoom, "x": x, "y": y, "-y": 2**zoom - 1 - y}[kind])

    return _PLACEHOLDER.sub(value, url)


def hosts(url: str, subdomains: Sequence[str] = ()) -> list[str]:
    """The hosts that a template leads to; none for a folder."""
    if url.startswith("file:"):
        return []
    return [
        (urlsplit(_PLACEHOLDER.sub("0", url.replace("{s}", one))).hostname or "").lower()
        for one in (*subdomains, *([] if subdomains else [""]))
    ]
