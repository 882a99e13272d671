"""Check picture files by what is in them: hash, size, format; broken ones are listed, never fatal."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image, UnidentifiedImageError

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.progress import track
from urbanln.city.pictures import in_threads, open_picture

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
