"""Reading pictures: decoded whole by threads, in order, a bad one reported and not fatal."""

from __future__ import annotations

import io
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from urbanln.base.errors import InputError, MissingExtraError, StorageError
from urbanln.city.store import City

T = TypeVar("T")

# What Pillow's decoders raise on damaged bytes, besides its own UnidentifiedImageError (an OSError).
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)
# Enough to keep the threads busy while one batch is worked on, little enough to hold in memory.
_AHEAD_PER_WORKER = 16
_SHOWN = 5


class UnreachableError(InputError):
    """The bytes of a picture could not be had; another time they may."""


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
        raise UnreachableError(error.what, value=path, where=error.where) from error


def decode_picture(data: bytes, convert: Callable[[Image.Image], T], city: City, path: str) -> T:
    """Decode stored bytes whole and convert the picture; ``city`` and ``path`` say in errors which it was.

    Raises:
        InputError: It is no picture, or is cut off.
    """
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return convert(image)
    except DAMAGE as error:
        raise InputError(f"not a readable picture: {error}", value=path, where=city.folder) from error


def read_pictures(
    items: Iterable[tuple[City, str]], convert: Callable[[Image.Image], T], workers: int = 2
) -> Iterator[T | InputError]:
    """Decode pictures in threads and hand them out in order, a bounded number ahead.

    Args:
        items: City and path of each picture.
        convert: Applied to each decoded picture, in the thread.
        workers: Threads; 0 decodes in the caller's own (2 fills a small machine, Pillow frees the GIL).

    Yields:
        What ``convert`` returned, or the error that says why the picture could not be read.

    Raises:
        MissingExtraError: An address needs a package that is not installed: that concerns all of them.
    """

    def one(city: City, path: str) -> T:
        return decode_picture(read_bytes(city, path), convert, city, path)

    return in_threads(one, items, workers)


def in_threads(
    read: Callable[[City, str], T], items: Iterable[tuple[City, str]], workers: int = 2
) -> Iterator[T | InputError]:
    """Call ``read`` on each picture's city and path in threads; results in order, a bounded number ahead.

    Yields:
        What ``read`` returned, or the InputError it raised.

    Raises:
        MissingExtraError: An address needs a package that is not installed: that concerns all of them.
    """

    def one(city: City, path: str) -> T | InputError:
        try:
            return read(city, path)
        except MissingExtraError:
            raise
        except InputError as error:
            return error

    if workers == 0:
        for city, path in items:
            yield one(city, path)
        return
    waiting: deque[Future[T | InputError]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="pictures") as pool:
        try:
            for city, path in items:
                waiting.append(pool.submit(one, city, path))
                if len(waiting) > _AHEAD_PER_WORKER * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def tell_skipped(errors: Sequence[InputError]) -> None:
    """Say on stderr which pictures cannot be read and are left out, a few by name; nothing where all can."""
    if errors:
        names = ", ".join(str(error.value) for error in errors[:_SHOWN])
        more = f" and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        print(f"skipped {len(errors)} pictures that cannot be read: {names}{more}", file=sys.stderr)
