"""A city's pictures: read, decoded by threads in order, a bad one reported.

Captioners, what pixels tell, the caches, training and embedding all look at what :func:`open_picture` gives:
an upright RGB picture of 8 bits per channel.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from urbanln.base.errors import InputError, MissingExtraError, StorageError, UrbanLNError, printable
from urbanln.base.pictures import UNREADABLE
from urbanln.base.pictures import open_picture as open_picture
from urbanln.base.saying import say
from urbanln.city.store import City

Item = TypeVar("Item")
T = TypeVar("T")

READ_ERRORS = (OSError, UrbanLNError)
"""What reading and decoding a broken picture raises."""
# Enough to keep the threads busy while one batch is worked on, little enough to hold in memory.
_AHEAD_PER_WORKER = 16
_SHOWN = 5


class UnreachableError(InputError):
    """The bytes of a picture could not be had; another time they may."""


def unreadable(path: str, error: Exception) -> str:
    """One line on why a picture cannot be read, of an error among ``READ_ERRORS``."""
    reason = error.what if isinstance(error, UrbanLNError) else str(error).partition("\n")[0]
    if isinstance(error.__cause__, UnidentifiedImageError):
        reason = reason.replace(UNREADABLE, "not a picture", 1)
    return printable(f"{path}: {reason or type(error).__name__}")


def read_picture(city: City, path: str) -> Image.Image:
    """One picture of a city, decoded whole.

    Args:
        city: Whose picture.
        path: As it stands in ``city.images``.

    Raises:
        InputError: It is not there, is no picture, or is cut off.
        MissingExtraError: Its address needs a package that is not installed.
    """
    return decode_picture(read_bytes(city, path), lambda image: image, city, path)


def read_bytes(city: City, path: str) -> bytes:
    """A picture as it is stored.

    Raises:
        UnreachableError: It is not there, or cannot be read.
        MissingExtraError: Its address needs a package that is not installed.
    """
    try:
        return city.image_bytes(path)
    except MissingExtraError:
        raise
    except (InputError, StorageError) as error:
        raise UnreachableError(error.what, value=path, where=error.where, remedy=error.remedy) from error


def decode_picture(data: bytes, convert: Callable[[Image.Image], T], city: City, path: str) -> T:
    """Decode stored bytes and convert the picture; ``city`` and ``path`` say in errors which it was.

    Raises:
        InputError: It is no picture, or none that is used.
    """
    try:
        return convert(open_picture(data))
    except InputError as error:
        raise InputError(error.what, value=path, where=city.folder, remedy=error.remedy) from error


def read_pictures(
    items: Iterable[tuple[City, str]], convert: Callable[[Image.Image], T], workers: int | None = None
) -> Iterator[T | InputError]:
    """Decode pictures in threads and hand them out in order, a bounded number ahead.

    Args:
        items: City and path of each picture.
        convert: Applied to each decoded picture, in the thread.
        workers: Threads, see :func:`in_threads`.

    Yields:
        What ``convert`` returned, or the error that says why the picture could not be read.

    Raises:
        MissingExtraError: An address needs a package that is not installed: that concerns all of them.
    """

    def one(item: tuple[City, str]) -> T:
        return decode_picture(read_bytes(*item), convert, *item)

    return in_threads(one, items, workers)


def in_threads(
    read: Callable[[Item], T], items: Iterable[Item], workers: int | None = None
) -> Iterator[T | InputError]:
    """Call ``read`` on each item in threads; results in order, a bounded number ahead.

    Args:
        read: Reads what an item names.
        items: Pictures, as ``read`` takes them.
        workers: Threads; 0 reads in the caller's own; the number of cores (at most 8) when left out. Decoding
            releases the GIL.

    Yields:
        What ``read`` returned, or the InputError it raised.

    Raises:
        MissingExtraError: An address needs a package that is not installed: that concerns all of them.
    """

    def one(item: Item) -> T | InputError:
        try:
            return read(item)
        except MissingExtraError:
            raise
        except InputError as error:
            return error

    if workers == 0:
        yield from map(one, items)
        return
    workers = workers or min(8, os.cpu_count() or 1)
    waiting: deque[Future[T | InputError]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="pictures") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(one, item))
                if len(waiting) > _AHEAD_PER_WORKER * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def tell_skipped(errors: Sequence[InputError], some: bool = True) -> None:
    """Say on stderr which pictures cannot be read and are left out, a few by name; nothing where all can.

    Args:
        errors: One per picture.
        some: Whether there are others that can be read.

    Raises:
        InputError: There is none.
    """
    if not some:
        raise InputError(
            "none of the pictures can be read",
            value=errors[0].value,
            where=errors[0].where,
            remedy="check the paths in images.parquet and the disk or address they lie on",
        )
    if errors:
        names = ", ".join(str(error.value) for error in errors[:_SHOWN])
        more = f" and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        say(f"skipped {len(errors)} pictures that cannot be read: {names}{more}")
