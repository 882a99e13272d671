"""Where the ledger of a city is: in its folder, or on a PostgreSQL server that many hosts share.

A URL goes to libpq as it is, with port, user, ``sslmode`` and whatever else libpq knows, but holds no secret:
passwords are libpq's business, in ``PGPASSWORD`` or a pgpass file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from urbanln.base.errors import InputError, require

if TYPE_CHECKING:
    from urbanln.city.store import City

LEDGER_NAME = "captions.sqlite"

_SCHEME = re.compile(r"postgres(?:ql)?://")
_SECRETS = ("password", "sslpassword")


def is_url(place: Path | str) -> bool:
    """Whether a ledger is on a server."""
    return isinstance(place, str) and _SCHEME.match(place) is not None


def check_url(url: str) -> str:
    """The URL of a ledger, if it may be one.

    Raises:
        InputError: It is none of PostgreSQL; or a password stands in it, which is not repeated.

    Example:
        >>> check_url("postgresql://me@host:5433/city?sslmode=verify-full")
        'postgresql://me@host:5433/city?sslmode=verify-full'
    """
    # As in libpq, who asks stands before the first @, unless a slash comes before that.
    user, at, _ = url.partition("://")[2].partition("/")[0].partition("@")
    named = (unquote(part.partition("=")[0]) for part in re.split("[?&]", url)[1:])
    if (at and ":" in user) or any(name in _SECRETS for name in named):
        raise InputError(
            "a password stands in the URL of the ledger",
            where="captions.ledger",
            remedy="take it out, and give it in PGPASSWORD or a pgpass file",
        )
    if not is_url(url):
        raise InputError(
            "a ledger that hosts share is named by a URL of PostgreSQL",
            value=url,
            where="captions.ledger",
            remedy="for example postgresql://host/name; left out, it is a file in the city's folder",
        )
    return url


def ledger_place(city: City | Path, url: str = "") -> Path | str:
    """Where the ledger of a city, or of its folder, is kept: at a URL, or else in its folder."""
    return url or (city if isinstance(city, Path) else city.folder) / LEDGER_NAME


def has_ledger(city: City | Path, url: str = "") -> bool:
    """Whether there is a ledger; a kill at its very beginning leaves an empty file, which is none.

    Raises:
        StorageError: The server cannot be reached.
    """
    if url:
        there: bool = require("urbanln.captions.asking.ledger_postgres").is_there(url)
        return there
    path = Path(ledger_place(city))
    return path.exists() and not (path.is_file() and path.stat().st_size == 0)
