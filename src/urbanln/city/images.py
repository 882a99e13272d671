"""Check picture files by what is in them: hash, size, format; broken ones are listed, never fatal."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from urbanln.base.files import hash_bytes
from urbanln.base.progress import track

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


def shared_pictures(images: pd.DataFrame) -> dict[str, int]:
    """Regions that show the same picture, by content, directly or through a third one.

    Args:
        images: A city's ``images``.

    Returns:
        Region id to the number of its group, for regions that share a picture alone: to be kept off the two
        sides of a split.
    """
    known = images.dropna(subset=["sha256"])
    pairs = known[["sha256", "region_id"]].drop_duplicates()
    pairs = pairs[pairs["sha256"].duplicated(keep=False)]
    if pairs.empty:
        return {}
    region, regions = pd.factorize(pairs["region_id"])
    picture = pd.factorize(pairs["sha256"])[0] + len(regions)
    size = int(picture.max()) + 1
    links = coo_array((np.ones(len(pairs)), (region, picture)), shape=(size, size))
    group = connected_components(links, directed=False)[1]
    return {str(name): int(group[number]) for number, name in enumerate(regions)}


def inspect_pictures(
    paths: Sequence[Path | str], *, workers: int | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read and fully decode every picture.

    The content decides, not the ending: JPEG bytes in a file called ``.png`` are a good picture.

    Args:
        paths: Files.
        workers: Threads; the number of cores (at most 8) when left out. Decoding releases the GIL.
        max_pixels: Larger pictures are rejected before they are decoded.

    Returns:
        Two tables in the order of ``paths``: good pictures (path, sha256, width, height, format,
        duplicate_of: the first path with equal bytes, or missing) and rejected ones (path, reason).
        A file that is not there has the reason ``"missing"``.
    """
    names = [str(path) for path in paths]
    workers = workers or min(8, os.cpu_count() or 1)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        # Damaged metadata and large pictures make Pillow warn; both are judged here.
        warnings.simplefilter("ignore")
        results = pool.map(lambda name: _inspect(name, max_pixels), names)
        found = list(track(results, "checking pictures", len(names)))
    good = pd.DataFrame([fact for fact in found if "reason" not in fact], columns=list(_GOOD))
    first = good.groupby("sha256")["path"].transform("first")
    good["duplicate_of"] = first.where(good["sha256"].duplicated())
    rejected = pd.DataFrame([fact for fact in found if "reason" in fact], columns=["path", "reason"])
    return good.astype(_GOOD), rejected.astype("str")


def _inspect(name: str, max_pixels: int) -> dict[str, object]:
    try:
        data = Path(name).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {"path": name, "reason": MISSING}
    except (OSError, ValueError) as error:
        return {"path": name, "reason": f"cannot be read: {error}"}
    if not data:
        return {"path": name, "reason": "empty file"}
    try:
        size, kind = _decode(data, max_pixels)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else "too many pixels"
        return {"path": name, "reason": reason}
    except _UnfitError as error:
        return {"path": name, "reason": str(error)}
    except Exception as error:
        # Decoders meet damaged bytes with errors of many kinds (OSError, SyntaxError, struct.error, …).
        return {"path": name, "reason": f"truncated or corrupt: {error or type(error).__name__}"}
    width, height = size
    return {"path": name, "sha256": hash_bytes(data), "width": width, "height": height, "format": kind}


class _UnfitError(Exception):
    """A whole picture that cannot be used."""


def _decode(data: bytes, max_pixels: int) -> tuple[tuple[int, int], str]:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        size, kind, mode = image.size, str(image.format), image.mode
        if size[0] * size[1] > max_pixels:
            raise _UnfitError(f"too many pixels: {size[0]} × {size[1]}")
        if mode not in _EIGHT_BIT:
            raise _UnfitError(f"not 8 bits per channel (mode {mode}); convert it to 8-bit RGB")
        image.verify()
    # verify() leaves the picture unusable and skips the pixels of most formats: open again and decode.
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.load()
    return size, kind
