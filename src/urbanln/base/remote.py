"""Bytes at addresses (``s3://…``, ``https://…``), by fsspec: fetched once, checked, kept on disk.

Whatever fsspec and what stands behind it raise becomes an error of this package; what may pass is
tried again. Everything that comes from elsewhere comes from here.
"""

from __future__ import annotations

import os
import re
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from urbanln.base.errors import InputError, MissingExtraError, StorageError, UrbanLNError
from urbanln.base.files import atomic_path, cache_folder, hash_bytes
from urbanln.base.leftovers import sweep
from urbanln.base.parsing import read_file
from urbanln.base.saying import say

PAUSES_S = (0.25, 1.0, 4.0)
"""Waited before the second, third and fourth try."""
LIMIT_VARIABLE = "URBANLN_FETCHED_GB"
_LIMIT_GB = 20.0
# After so many addresses of one host given up in a row, each further one is tried once, until one comes.
_DOWN_AFTER = 8
_GONE = (404, 410)
_FORBIDDEN = (401, 403, 407)
_PASSING = (408, 425, 429)
# What another try would meet again, whoever raises it.
_LASTING = (
    FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError, ValueError,
    TypeError, LookupError, AttributeError, NotImplementedError, ssl.SSLCertVerificationError,
)  # fmt: skip
_given_up: Counter[str] = Counter()


class NotThereError(InputError):
    """Nothing is at an address."""


class _CutOffError(Exception):
    """Fewer bytes came than were announced."""


def read_bytes(
    url: str,
    *,
    limit_bytes: int,
    pauses: Sequence[float] | None = None,
    sleep: Callable[[float], object] | None = None,
) -> bytes:
    """Fetch what is at an address, whole.

    Args:
        url: Any that fsspec knows.
        limit_bytes: What is larger is refused, at the latest when so much has come.
        pauses: Seconds between tries, one try more than pauses; default: ``PAUSES_S``.
        sleep: Waits; ``time.sleep`` by default.

    Raises:
        NotThereError: Nothing is there.
        InputError: It may not be read, or is too large.
        MissingExtraError: The address needs a package that is not installed.
        StorageError: It could not be had, now or after all tries.
    """
    try:
        host = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    except ValueError as fault:
        raise InputError(
            f"this is no address: {fault}", value=url, where="images", remedy="mend it in the table"
        ) from fault
    pauses = PAUSES_S if pauses is None else pauses
    for attempt in count():
        try:
            data = _fetch(url, limit_bytes)
        except UrbanLNError:
            raise
        except Exception as told:  # of as many kinds as there are back ends
            error = _behind(told)
            if not _may_pass(error):
                raise _translated(error, url) from error
            if attempt == len(pauses) or _given_up[host] >= _DOWN_AFTER:
                _given_up[host] += 1
                raise _translated(error, url) from error
            (sleep or time.sleep)(pauses[attempt])
        else:
            break
    _given_up[host] = 0
    return data


def _fetch(url: str, limit_bytes: int) -> bytes:
    import fsspec  # only for addresses: it costs import time

    if url.startswith(("file://", "local://")):
        _, path = fsspec.core.url_to_fs(url)
        return read_file(path, limit_bytes)
    with fsspec.open(url, "rb") as file:
        size = getattr(file, "size", None)
        size = size if isinstance(size, int) else None
        parts, held = [], 0
        if (size or 0) <= limit_bytes:
            while held <= limit_bytes and (part := file.read(limit_bytes + 1 - held)):  # streams give less
                parts.append(part)
                held += len(part)
    if max(size or 0, held) > limit_bytes:
        raise InputError(
            f"larger than {limit_bytes >> 20} MiB", value=url, where=url, remedy="give a smaller file"
        )
    if size is not None and held < size:
        raise _CutOffError(f"cut off: {held:,} of {size:,} bytes came")
    return b"".join(parts)


def _behind(error: Exception) -> Exception:
    """What really happened: of any fault of a web server fsspec says that there is no such file."""
    cause = error.__cause__
    if not isinstance(error, OSError) or not isinstance(cause, Exception):
        return error
    return error if _status(cause) is None and isinstance(cause, _LASTING) else cause


def _status(error: Exception) -> int | None:
    """The HTTP status in an error of aiohttp, botocore, gcsfs, requests or azure, which need not be there."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        names = ("status", "status_code", "code")
        found = next((value for name in names if (value := getattr(error, name, None)) is not None), None)
        found = getattr(response, "status_code", None) if found is None else found
    with suppress(TypeError, ValueError):
        return int(found)
    return None


def _may_pass(error: Exception) -> bool:
    status = _status(error)
    if status is not None and 400 <= status < 600:
        return status >= 500 or status in _PASSING
    # Without keys, or with a certificate nobody vouches for, the next try fails as well.
    named = any(
        word in kind.__name__ for kind in type(error).__mro__ for word in ("Credential", "Certificate")
    )
    return not named and not isinstance(error, _LASTING)


def _translated(error: Exception, url: str) -> UrbanLNError:
    if isinstance(error, ImportError):
        return MissingExtraError(
            "this address needs a package that is not installed", value=url, remedy=str(error), where=url
        )
    status = _status(error)
    if isinstance(error, FileNotFoundError) or status in _GONE:
        return NotThereError("nothing at this address", value=url, where=url, remedy="check the address")
    if isinstance(error, PermissionError) or status in _FORBIDDEN:
        return InputError("this address may not be read", value=url, where=str(error) or url,
                          remedy="check the keys and rights for it")  # fmt: skip
    lines = str(error).splitlines() or [type(error).__name__]
    return StorageError(
        f"could not read: {lines[0][:300]}",
        where=url,
        remedy="try again later, or keep a copy on this machine",
    )


class Fetched:
    """Fetched bytes kept on disk by their SHA-256, so that nothing is fetched twice.

    Args:
        folder: Where; default: ``fetched`` in :func:`urbanln.base.files.cache_folder`.
        limit_bytes: Room for all; what was used least recently goes first, and nothing of what this process
            used. Default: 20 GB, or what ``URBANLN_FETCHED_GB`` says; 0 keeps nothing.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: float | None = None) -> None:
        self._own, self._limit = folder, limit_bytes
        self._lock, self._told = Lock(), False
        self._used: set[str] = set()
        self._held: dict[Path, float] = {}  # bytes kept, per folder
        self._by_url: dict[str, str] = {}
        # Who asks for what another thread is fetching waits for it.
        self._turns = [Lock() for _ in range(256)]

    def read(self, url: str, sha256: str | None = None, *, limit_bytes: int) -> bytes:
        """The content of an address, from the disk where it was fetched before.

        Args:
            url: Any that fsspec knows.
            sha256: What it must be; trusted, so what is kept under it is not asked for again. Without one,
                an address is fetched once per process.
            limit_bytes: What is larger is refused.

        Raises:
            InputError: As :func:`read_bytes`, or the content is another one than ``sha256`` says.
            MissingExtraError, StorageError: As :func:`read_bytes`.
        """
        with self._turns[hash(url) % len(self._turns)]:
            wanted = sha256.lower() if sha256 else self._by_url.get(url)
            if wanted is not None and (kept := self._find(wanted)) is not None:
                return kept
            data = read_bytes(url, limit_bytes=limit_bytes)
            found = hash_bytes(data)
            if sha256 and found != wanted:
                raise InputError(
                    "the content is not what its sha256 says: it was cut off or changed",
                    value=f"{len(data):,} bytes, sha256 {found}",
                    where=url,
                    remedy=f"expected {wanted}; put the picture back, or correct its row in images.parquet",
                )
            self._by_url[url] = found
            self._keep(found, data)
            return data

    def _place(self, sha: str) -> Path:
        return (self._own or cache_folder() / "fetched") / sha[:2] / sha

    def _find(self, sha: str) -> bytes | None:
        if not re.fullmatch("[0-9a-f]{64}", sha):
            return None
        try:
            place = self._place(sha)
            data = place.read_bytes()
            if hash_bytes(data) != sha:  # damaged on the disk
                place.unlink()
                return None
            os.utime(place)
        except (OSError, StorageError):
            return None
        self._used.add(sha)
        return data

    def _keep(self, sha: str, data: bytes) -> None:
        try:
            with self._lock:
                self._used.add(sha)
                if not self._room(len(data)):
                    return
            with atomic_path(self._place(sha)) as temporary:
                temporary.write_bytes(data)
        except (OSError, StorageError) as error:
            if not self._told:
                self._told = True
                reason = error.what if isinstance(error, StorageError) else str(error)
                say(f"note: what is fetched cannot be kept, so it is fetched again: {reason}")

    def _room(self, size: int) -> bool:
        """Whether there is room for so many bytes; makes it where that is possible."""
        limit = self._limit_bytes()
        root = self._place("00").parent.parent
        if root not in self._held:
            self._held[root] = _make_room(root, limit, self._used)
        if self._held[root] + size > limit:  # a tenth more, so that not every picture looks through all
            self._held[root] = _make_room(root, max(0.9 * limit - size, 0), self._used)
        if self._held[root] + size > limit:
            return False
        self._held[root] += size
        return True

    def _limit_bytes(self) -> float:
        if self._limit is not None:
            return self._limit
        text = os.environ.get(LIMIT_VARIABLE, "")
        with suppress(ValueError):
            if (limit := float(text) if text.strip() else _LIMIT_GB) >= 0:
                return 1e9 * limit
        raise StorageError(
            f"{LIMIT_VARIABLE} is a number of GB, 0 or more, and not {text!r}",
            where=LIMIT_VARIABLE,
            remedy=f"e.g. {LIMIT_VARIABLE}=20",
        )


def _make_room(root: Path, limit_bytes: float, used: set[str]) -> float:
    """Remove what a kill left behind, and files by last use until the rest keeps within the limit.

    Returns:
        Bytes that are kept.
    """
    files = []
    for folder in root.glob("*"):
        sweep(folder)
    for path in root.glob("*/[!.]*"):
        with suppress(OSError):  # removed by another process meanwhile
            status = path.stat()
            files.append((status.st_mtime, path, status.st_size))
    total = float(sum(size for _, _, size in files))
    for _, path, size in sorted(files):
        if total <= limit_bytes:
            break
        if path.name not in used:
            with suppress(OSError):
                path.unlink()
                total -= size
    return total


FETCHED = Fetched()
"""The one of this process."""
