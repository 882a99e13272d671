"""Answers on disk, by what was asked: a file each, which says itself whether it is whole.

The first line of a file is JSON (address without key, status, SHA-256, when it came), the rest is the answer.
Times of fetching stay here; nothing that is built depends on them.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from typing_extensions import TypedDict

from urbanln.base.files import cache_folder, hash_bytes, write_quickly
from urbanln.base.parsing import parse_json
from urbanln.gather.fetching.local import Local
from urbanln.gather.source import Answer, Request


class _Head(TypedDict):
    url: str
    status: int
    sha256: str
    fetched: str


class Cache:
    """The kept answers.

    Args:
        folder: Where; default: ``gathered`` in :func:`urbanln.base.files.cache_folder`. Nothing is ever
            thrown away: answers may have cost money, and a city is built of them again.
        local: Reads what lies in a folder already, and is not kept twice.
    """

    def __init__(self, folder: Path | None, local: Local) -> None:
        self._folder, self._local = folder or cache_folder() / "gathered", local

    def _place(self, request: Request) -> Path:
        text = json.dumps([request.name or request.url, request.headers])
        name = hashlib.sha256(text.encode()).hexdigest()
        return self._folder / name[:2] / name

    def read(self, request: Request) -> Answer | None:
        """The kept answer; None where there is none. A damaged one is taken away.

        Raises:
            InputError, StorageError: A file that lies in a folder cannot be used
                (:class:`urbanln.gather.fetching.local.Local`).
        """
        if request.url.startswith("file:"):
            return self._local.read(request)
        place = self._place(request)
        try:
            line, _, data = place.read_bytes().partition(b"\n")
        except OSError:
            return None
        try:
            head: _Head = parse_json(line, _Head)
        except ValueError:
            head = {"url": "", "status": 0, "sha256": "", "fetched": ""}
        if head["sha256"] != hash_bytes(data):  # after a power cut, or a fault of the disk
            with suppress(OSError):
                place.unlink()
            return None
        return Answer(head["status"], data)

    def size(self, request: Request) -> int | None:
        """Bytes of the kept answer, about; None where there is none."""
        if request.url.startswith("file:"):
            return self._local.size(request)
        try:
            size = self._place(request).stat().st_size
        except OSError:
            return None
        return max(size - len(_head(request.url, 200, "0" * 64)), 0)

    def keep(self, request: Request, answer: Answer) -> None:
        """Keep an answer, whole or not at all.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        head = _head(request.url, answer.status, hash_bytes(answer.data))
        write_quickly(self._place(request), head + answer.data)


def _head(url: str, status: int, digest: str) -> bytes:
    """The first line of a kept answer."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    head: _Head = {"url": url, "status": status, "sha256": digest, "fetched": now}
    return json.dumps(head).encode() + b"\n"
