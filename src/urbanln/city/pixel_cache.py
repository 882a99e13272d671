"""Decoded pictures kept on disk between runs, so that a run that starts again decodes nothing.

A picture is known by the SHA-256 of its bytes: a city that was changed, added to or put in another order
decodes what it never saw, and two cities share what they have in common.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import hash_bytes
from urbanln.base.progress import progress
from urbanln.city.pixel_packs import MappedPixels, Packs, Pixels, tell_failure
from urbanln.city.reading import decode_picture, in_threads, read_bytes
from urbanln.city.store import City


def cache_folder() -> Path:
    """``$URBANLN_CACHE``, else ``urbanln`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``.

    Raises:
        StorageError: The user has no home folder.
    """
    if own := os.environ.get("URBANLN_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "urbanln"
    try:
        return Path.home() / ".cache" / "urbanln"
    except RuntimeError as error:
        raise StorageError("there is no home folder to keep them in", remedy="set URBANLN_CACHE") from error


def cached_pixels(
    items: Sequence[tuple[City, str]],
    convert: Callable[[Image.Image], Pixels],
    *,
    kind: str,
    shape: tuple[int, int, int],
    limit_bytes: float,
    workers: int = 2,
    folder: Path | None = None,
    say: bool = True,
) -> tuple[MappedPixels | None, dict[int, InputError]]:
    """Read every picture once, decode those that were never decoded before, and keep their pixels.

    Every picture's bytes are read and hashed each time: neither a date nor a table is trusted. That takes
    seconds for a city on a local disk; pictures at a remote address are fetched once per call. What a
    picture that is damaged said is kept like pixels. Processes that want the same wait for one another.

    Args:
        items: City and path of each picture.
        convert: From a decoded picture to uint8 pixels of ``shape``; called in threads.
        kind: All that ``convert`` depends on: equal content and kind give equal pixels.
        shape: (3, S, S).
        limit_bytes: Room for all kinds together; what was used least recently goes first, and nothing of
            what is used here. Other kinds make room before anything is written. 0 keeps nothing.
        workers: Threads; 0 reads in the caller's own.
        folder: Where packs are kept; default: :func:`cache_folder`.
        say: Tell on stderr what went wrong with the cache.

    Returns:
        The pixels of the readable pictures in order, or None where they are not kept: the limit is too
        small, or the folder cannot be written. And why the others cannot be read, by position.

    Raises:
        MissingExtraError: An address needs a package that is not installed.
    """
    packs = _open_packs(len(items), kind, shape, limit_bytes, folder, say)
    try:
        contents, errors = _read(items, convert, packs, workers)
        return (None if packs is None else packs.finish(contents)), errors
    finally:
        if packs is not None:
            packs.release()


def _read(
    items: Sequence[tuple[City, str]],
    convert: Callable[[Image.Image], Pixels],
    packs: Packs | None,
    workers: int,
) -> tuple[list[str], dict[int, InputError]]:
    """The contents that could be read from a disk, and by position what cannot be used; fills ``packs``."""

    def one(city: City, path: str) -> tuple[str, Pixels | str | None]:
        data = read_bytes(city, path)
        sha = hash_bytes(data)
        if packs is not None and sha in packs:
            return sha, None
        try:
            pixels = decode_picture(data, convert, city, path)
        except InputError as error:
            return sha, error.what
        return sha, None if packs is None else pixels

    contents: list[str] = []
    errors: dict[int, InputError] = {}
    with progress("reading pictures", len(items)) as advance:
        for i, found in enumerate(in_threads(one, items, workers)):
            advance(1)
            if isinstance(found, InputError):
                errors[i] = found
                continue
            sha, new = found
            damage = new if packs is None else packs.add(sha, new)
            if isinstance(damage, str):
                city, path = items[i]
                errors[i] = InputError(damage, value=path, where=city.folder)
            contents.append(sha)
    return contents, errors


def _open_packs(
    count: int, kind: str, shape: tuple[int, int, int], limit_bytes: float, folder: Path | None, say: bool
) -> Packs | None:
    size = count * math.prod(shape)
    if size > limit_bytes:
        if say and limit_bytes > 0:
            print(
                f"note: the pixels of {count} pictures take {size / 1e9:.2g} GB, more than the "
                f"{limit_bytes / 1e9:.2g} GB of cache.pixels_gb; they are decoded batch by batch",
                file=sys.stderr,
            )
        return None
    try:
        return Packs((folder or cache_folder()) / "pixels", kind, shape, count, limit_bytes, say)
    except StorageError as error:
        tell_failure(error, say)
        return None
