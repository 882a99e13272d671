"""From stored bytes to the one picture everybody sees: upright, RGB, 8 bits per channel; or why it is none.

Orientation, transparency, mode and size are settled here and nowhere else (``docs/reading.md``, "Pictures").
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, UnidentifiedImageError

from urbanln.base.errors import InputError, UrbanLNError

# What decides how bytes become a picture. Whatever keeps things made of pictures carries it: raise the number
# with every change of this file that gives other pixels, or old and new are mixed.
PICTURE_RULES = "pictures 2"
# Formats that Pillow decodes by itself; others (EPS, for one) would start foreign programs.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "AVIF", "PPM")
# Pillow's own limit against decompression bombs, 89 million pixels: 9,459 × 9,459.
MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3
# More than the largest of them with transparency, not compressed, and 100 MB of notes beside it.
MAX_BYTES = 512 * 1024 * 1024

UNREADABLE = "not a readable picture"
_EIGHT_BIT = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV",
)  # fmt: skip
_WHERE = "the content of the picture"  # whose content it is, a caller knows
_ANOTHER = "open it with another program, and save it as JPEG or PNG"
_TO_8_BITS = "convert it to 8-bit RGB, from the darkest to the brightest value that matters"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _BITS, _EXTRA = 274, 258, 338  # tags of TIFF and EXIF
_PLACED = (33550, 34264)  # a pixel's size on the ground, or the way from pixels to it
# Beginnings of files that are pictures to others, and what is said of them.
_FOREIGN = (
    (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"), "HEIC, as phones write it"),
    (4, (b"ftypavif", b"ftypavis"), "AVIF, which this Pillow cannot decode (11.3 and newer can)"),
    (0, (b"\xff\x0a", b"\x00\x00\x00\x0cJXL "), "JPEG XL"),
    (0, (b"%PDF", b"%!PS"), "PDF or PostScript"),
    (
        0,
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "a TIFF cut off, or of other bands than 8-bit colours",
    ),
)


class PictureError(InputError, OSError):
    """Bytes that are no picture, a damaged one, or of a kind that would not come out right.

    An ``OSError`` as well, as what Pillow raises is: for those who read a picture themselves.
    """


def open_stored(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open stored bytes as they are: the header alone, in the mode and orientation they are stored in.

    For looking at what a file holds besides its picture; the picture itself is :func:`open_picture`'s.

    Args:
        data: Content of a file.
        max_pixels: Larger pictures are refused before they are decoded.

    Raises:
        PictureError: No picture, too large, or not 8 bits per channel.
    """
    if not data:
        raise PictureError("empty file", where=_WHERE, remedy="get the picture again")
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
        if image.width * image.height > max_pixels:
            raise PictureError(
                f"too many pixels: {image.width} × {image.height}",
                where=_WHERE,
                remedy="scale it down, or cut it",
            )
        _refuse_deep(image.mode, _depth(image, data))
        _refuse_unnamed_band(image)
    except (UrbanLNError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise PictureError("too many pixels", where=_WHERE, remedy="scale it down, or cut it") from error
    except Exception as error:
        raise _unreadable(error, data) from error
    return image


def open_picture(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode stored bytes whole: the picture that captioners, networks, measures and pages are shown.

    Args:
        data: Content of a file: JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP, PPM or JPEG 2000, whatever it is
            called. Of several frames or pages the first.
        max_pixels: Larger pictures are refused before they are decoded.

    Returns:
        Upright, mode RGB, 8 bits per channel, without any note; ``format`` is the stored one.

    Raises:
        PictureError: No picture, cut off or damaged, too large, or of a kind that would not come out right.
    """
    stored = open_stored(data, max_pixels=max_pixels)
    try:
        stored.load()
        if stored.format == "PNG":  # whose checksums Pillow looks at on demand only
            Image.open(io.BytesIO(data), formats=("PNG",)).verify()
        _refuse_infrared(stored)
        picture = upright_rgb(stored)
    except (UrbanLNError, MemoryError):
        raise
    except Exception as error:
        # Decoders meet damaged bytes with errors of many kinds (OSError, SyntaxError, struct.error, …).
        raise _unreadable(error, data) from error
    picture.format = stored.format
    return picture


def upright_rgb(image: Image.Image) -> Image.Image:
    """Settle a picture of Pillow's: turned as its EXIF says, transparent pixels on white, RGB.

    Transparency is composited as transformers 5 does it, bit for bit. Of EXIF the orientation alone is read:
    the rest may be damaged.

    Args:
        image: Any mode of 8 bits per channel; grey of 16 bits, of which 65,535 is taken for white.

    Returns:
        Mode RGB, without notes. The same object where there was nothing to do.

    Raises:
        PictureError: Numbers of 32 bits: what is black and what is white is not known. (Nor is it of a file
            of 16 bits, which :func:`open_picture` refuses.)
    """
    image.load()
    turn = _turn(image)
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))
    _refuse_deep(image.mode)
    if _has_alpha(image):
        # Premultiplied grey has no way to RGBA but this one.
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba).convert("RGB")
    elif image.mode != "RGB":
        image = image.convert("RGB")
    if turn is not None:
        image = image.transpose(turn)
    if type(image) is not Image.Image or image.info:
        image = image.copy()
        image.info = {}
    return image


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow's reading of damaged EXIF ends in errors of many kinds
        return None


def _has_alpha(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A"):
        return True
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or image.info.get("transparency") is not None


def _refuse_deep(mode: str, bits: int = 8) -> None:
    if mode not in _EIGHT_BIT or bits > 8:
        kind = f"mode {mode}" if mode not in _EIGHT_BIT else f"{bits} bits"
        raise PictureError(
            f"not 8 bits per channel ({kind}): what is black and what is white is not known; {_TO_8_BITS}",
            where=_WHERE,
            remedy=_TO_8_BITS,
        )


def _depth(image: Image.Image, data: bytes) -> int:
    """Bits per channel of formats whose values need not reach white; Pillow says RGB of them nevertheless."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS, (1,)))  # type: ignore[attr-defined]
    if image.format == "JPEG2000":
        size = data.find(b"\xff\x4f\xff\x51")  # start of the stream and its size: bits − 1 of each channel
        if size < 0:
            return 8
        channels = int.from_bytes(data[size + 40 : size + 42])
        return max((part & 0x7F for part in data[size + 42 : size + 42 + 3 * channels : 3]), default=7) + 1
    return 8


def _refuse_unnamed_band(image: Image.Image) -> None:
    """Refuse a TIFF of red, green, blue and a fourth band of which it does not say what it is."""
    if image.format == "TIFF" and image.mode == "RGBA" and _EXTRA not in image.tag_v2:  # type: ignore[attr-defined]
        raise PictureError(
            "a TIFF whose fourth band may be transparency or infrared, which it does not say; "
            "write its first three bands, or its transparency as such (ExtraSamples)",
            where=_WHERE,
            remedy="write its first three bands, or its transparency as such (ExtraSamples)",
        )


def _refuse_infrared(image: Image.Image) -> None:
    """Refuse a TIFF with a place on the ground whose transparency looks like one more band of a sensor.

    Writers of rasters call the fourth band transparency unless told otherwise. A real one of an aerial
    picture is a mask: all or nothing.
    """
    if image.format != "TIFF" or image.mode != "RGBA":
        return
    placed = any(tag in image.tag_v2 for tag in _PLACED)  # type: ignore[attr-defined]
    if placed and any(image.getchannel("A").histogram()[1:-1]):
        raise PictureError(
            "a raster whose fourth band is called transparency and is no mask: it may be infrared; "
            "write its first three bands as RGB",
            where=_WHERE,
            remedy="write its first three bands as RGB",
        )


def _unreadable(error: Exception, data: bytes) -> PictureError:
    if not isinstance(error, UnidentifiedImageError):
        return PictureError(f"{UNREADABLE}: {error or type(error).__name__}", where=_WHERE, remedy=_ANOTHER)
    for start, beginnings, kind in _FOREIGN:
        if data[start:].startswith(beginnings):
            return PictureError(
                f"{UNREADABLE}: cannot identify it; it looks like {kind}",
                remedy="convert it to JPEG or PNG",
                where=_WHERE,
            )
    return PictureError(f"{UNREADABLE}: cannot identify its format", where=_WHERE, remedy=_ANOTHER)


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this Pillow has heard of."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
