"""Check picture files by what is in them: hash, size, format; broken ones are listed, never fatal."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import UnidentifiedImageError

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.parsing import read_file
from urbanln.base.pictures import MAX_BYTES, MAX_PIXELS, UNREADABLE, open_picture
from urbanln.base.progress import track
from urbanln.city.pictures import in_threads

MISSING = "missing"
_GOOD = {
    "path": "str",
    "sha256": "str",
    "width": "int64",
    "height": "int64",
    "format": "str",
    "duplicate_of": "str",
}


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
        Two tables in the order of ``paths``: good pictures (path, sha256, upright width and height, format,
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
        data = read_file(name, MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(MISSING, where=name, remedy="check the path") from error
    except OSError as error:
        raise InputError(
            f"cannot be read: {error}", where=name, remedy="check that you may read it"
        ) from error
    try:
        picture = open_picture(data, max_pixels=max_pixels)
    except InputError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise InputError(
                error.what.replace(UNREADABLE, "not a picture", 1), where=name, remedy=error.remedy
            ) from error
        raise InputError(
            error.what.replace(UNREADABLE, "truncated or corrupt", 1), where=name, remedy=error.remedy
        ) from error
    return {
        "path": name,
        "sha256": hash_bytes(data),
        "width": picture.width,
        "height": picture.height,
        "format": str(picture.format),
    }
