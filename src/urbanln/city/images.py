"""The one place where pictures are opened: read, decoded whole by threads in order, checked by content.

A bad picture is reported and never fatal.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pandas as pd
from PIL import Image, UnidentifiedImageError

from urbanln.base.errors import InputError, MissingExtraError, StorageError, UrbanLNError, printable
from urbanln.base.files import hash_bytes
from urbanln.base.progress import track
from urbanln.city.store import City

Item = TypeVar("Item")
T = TypeVar("T")

# What Pillow's decoders raise on damaged bytes, besides its own UnidentifiedImageError (an OSError).
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)
READ_ERRORS = (*DAMAGE, UrbanLNError)
"""What reading, decoding and turning a broken picture raises."""
# Enough to keep the threads busy while one batch is worked on, little enough to hold in memory.
_AHEAD_PER_WORKER = 16
# Formats that Pillow decodes by itself; others (EPS, for one) would start foreign programs.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000")
# Pillow's own limit against decompression bombs, 89 million pixels: 9,459 × 9,459.
MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3
MISSING = "missing"
_EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "La")
_GOOD = {
    "path": "str",
    "sha256": "str",
    "width": "int64",
    "height": "int64",
    "format": "str",
    "duplicate_of": "str",
}


class UnreachableError(InputError):
    """The bytes of a picture could not be had; another time they may."""


def open_picture(data: bytes, *, whole: bool = True, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Open stored bytes as a picture, in the mode and orientation they are stored in.

    Every picture of a city that is looked at comes from here.

    Args:
        data: Content of a file.
        whole: Decode the pixels too, and not the header alone.
        formats: Pillow's names of those that are allowed; all it knows by default.

    Raises:
        Exception: One of ``DAMAGE``: it is no picture, or is cut off.
    """
    image = Image.open(io.BytesIO(data), formats=formats)
    if whole:
        image.load()
    return image


def unreadable(path: str, error: Exception) -> str:
    """One line on why a picture cannot be read, of an error among ``READ_ERRORS``."""
    reason = (
        error.what if isinstance(error, UrbanLNError) else str(error).splitlines()[0] if str(error) else ""
    )
    if isinstance(error, UnidentifiedImageError):
        reason = "not a picture Pillow can read"
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
        raise UnreachableError(error.what, value=path, where=error.where) from error


def decode_picture(data: bytes, convert: Callable[[Image.Image], T], city: City, path: str) -> T:
    """Decode stored bytes whole and convert the picture; ``city`` and ``path`` say in errors which it was.

    Raises:
        InputError: It is no picture, or is cut off.
    """
    try:
        return convert(open_picture(data))
    except DAMAGE as error:
        raise InputError(f"not a readable picture: {error}", value=path, where=city.folder) from error


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


def inspect_pictures(
    paths: Sequence[Path | str], *, workers: int | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read and fully decode every picture.

    The content decides, not the ending: JPEG bytes in a file called ``.png`` are a good picture.

    Args:
        paths: Files.
        workers: Threads; the number of cores (at most 8) when left out.
        max_pixels: Larger pictures are rejected before they are decoded.

    Returns:
        Two tables in the order of ``paths``: good pictures (path, sha256, width, height, format,
        duplicate_of: the first path with equal bytes, or missing) and rejected ones (path, reason).
        A file that is not there has the reason ``"missing"``.
    """
    names = [str(path) for path in paths]
    with warnings.catch_warnings():
        # Damaged metadata and large pictures make Pillow warn; both are judged here.
        warnings.simplefilter("ignore")
        results = in_threads(lambda name: _inspect(name, max_pixels), names, workers or None)
        # Not the errors themselves: they would hold on to the bytes of their pictures.
        found = [
            fact.what if isinstance(fact, InputError) else fact
            for fact in track(results, "checking pictures", len(names))
        ]
    good = pd.DataFrame([fact for fact in found if isinstance(fact, dict)], columns=list(_GOOD))
    first = good.groupby("sha256")["path"].transform("first")
    good["duplicate_of"] = first.where(good["sha256"].duplicated())
    bad = [(name, fact) for name, fact in zip(names, found, strict=True) if isinstance(fact, str)]
    return good.astype(_GOOD), pd.DataFrame(bad, columns=["path", "reason"]).astype("str")


def _inspect(name: str, max_pixels: int) -> dict[str, object]:
    """Facts on a good picture.

    Raises:
        InputError: Why it is none.
    """
    try:
        data = Path(name).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(MISSING) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}") from error
    try:
        return {"path": name, "sha256": hash_bytes(data), **_facts(data, max_pixels)}
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError("not a picture") from error
    except Image.DecompressionBombError as error:
        raise InputError("too many pixels") from error
    except Exception as error:
        # Decoders meet damaged bytes with errors of many kinds (OSError, SyntaxError, struct.error, …).
        raise InputError(f"truncated or corrupt: {error or type(error).__name__}") from error


def _facts(data: bytes, max_pixels: int) -> dict[str, object]:
    """Size and format, when all of it can be decoded.

    Raises:
        InputError: A whole picture that cannot be used.
    """
    if not data:
        raise InputError("empty file")
    with open_picture(data, whole=False, formats=FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise InputError(f"too many pixels: {image.width} × {image.height}")
        if image.mode not in _EIGHT_BIT:
            raise InputError(f"not 8 bits per channel (mode {image.mode}); convert it to 8-bit RGB")
        facts = {"width": image.width, "height": image.height, "format": str(image.format)}
        image.verify()
    # verify() leaves the picture unusable and skips the pixels of most formats: open again and decode.
    open_picture(data, formats=FORMATS)
    return facts
