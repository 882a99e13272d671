"""Stored bytes become one upright RGB picture, or are refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin
from transformers.image_transforms import convert_to_rgb

from urbanln.base.errors import InputError
from urbanln.base.pictures import open_picture, open_stored, upright_rgb

TURNED = range(1, 9)


def noise(width: int = 7, height: int = 5, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: object, kind: int = 3) -> bytes:
    """An EXIF block with an orientation (type 3: short) and nothing else."""
    body = struct.pack("<H", orientation) if kind == 3 else struct.pack("<I", orientation)
    entry = struct.pack("<HHI", 0x0112, kind, 1) + body.ljust(4, b"\0")
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)


def turned_slowly(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixel by pixel, as the EXIF standard says where the stored row 0 and column 0 belong."""
    height, width = pixels.shape[:2]
    swapped = orientation >= 5
    out = np.zeros((width, height, 3) if swapped else (height, width, 3), dtype=np.uint8)
    for row, column in product(range(height), range(width)):
        down, right = height - 1 - row, width - 1 - column
        place = {
            1: (row, column), 2: (row, right), 3: (down, right), 4: (down, column),
            5: (column, row), 6: (column, down), 7: (right, down), 8: (right, row),
        }[orientation]  # fmt: skip
        out[place] = pixels[row, column]
    return out


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {}),
    ],
)
def test_all_orientations_whatever_holds_them(
    orientation: int, kind: str, options: dict[str, object]
) -> None:
    pixels = noise(32, 24)
    if kind == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[0x0112] = orientation
        options = {**options, "tiffinfo": tags}
    else:
        options = {**options, "exif": exif(orientation)[6:] if kind != "WEBP" else exif(orientation)}
    if kind == "AVIF":  # which is lossy: a picture of four plain quarters is told by its corners
        pixels = np.zeros((24, 32, 3), np.uint8)
        pixels[:12, :16, 0] = pixels[:12, 16:, 1] = pixels[12:, :16, 2] = 255
    found = open_picture(stored(Image.fromarray(pixels), kind, **options))
    wanted = turned_slowly(pixels, orientation)
    assert (found.mode, found.info, found.format) == ("RGB", {}, kind)
    assert found.size == (wanted.shape[1], wanted.shape[0])
    if kind == "AVIF":
        corners = np.asarray(found)[[2, 2, -3, -3], [2, -3, 2, -3]].astype(int)
        assert np.abs(corners - wanted[[2, 2, -3, -3], [2, -3, 2, -3]]).max() < 40
    else:
        np.testing.assert_array_equal(np.asarray(found), wanted)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_orientation_and_mode_do_not_hinder_each_other(orientation: int, mode: str) -> None:
    image = Image.fromarray(noise()).convert(mode)
    upright = np.asarray(upright_rgb(image))
    image = image.copy()  # of which no EXIF has been read yet
    image.info["exif"] = exif(orientation)
    np.testing.assert_array_equal(np.asarray(upright_rgb(image)), turned_slowly(upright, orientation))


def test_jpeg_by_exif_and_what_is_already_settled_stays() -> None:
    image = Image.fromarray(noise(40, 20))
    data = stored(image, "JPEG", exif=exif(6))
    found = open_picture(data)
    assert found.size == (20, 40)
    assert found.tobytes() == ImageOps.exif_transpose(Image.open(io.BytesIO(data))).tobytes()
    assert upright_rgb(found) is found
    assert open_stored(data).size == (40, 20)


DAMAGED: dict[str, bytes] = {
    "cut in the entry": exif(6)[:-10],
    "cut after the head": exif(6)[:14],
    "no byte order": b"Exif\0\0XX*\0" + exif(6)[10:],
    "a directory far outside": b"Exif\0\0II*\0" + struct.pack("<I", 2**31) + b"\0" * 20,
    "more entries than bytes": b"Exif\0\0II*\0" + struct.pack("<IH", 8, 60_000) + b"\1\2\3" * 40,
    "nothing": b"Exif\0\0",
    "an unknown orientation": exif(77),
    "orientation zero": exif(0),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_exif_leaves_a_picture_as_it_is_stored(name: str, kind: str) -> None:
    image = Image.fromarray(noise(16, 8))
    block = DAMAGED[name]
    data = stored(image, kind, exif=block[6:] if kind == "PNG" else block)
    assert open_picture(data).size == (16, 8)


@pytest.mark.filterwarnings("ignore")
def test_orientation_counts_though_the_rest_of_the_exif_is_damaged() -> None:
    whole = exif(6)
    wild = struct.pack("<HHII", 0x8769, 4, 1, 2**31) + struct.pack("<HHII", 0x010F, 2, 2**30, 5)
    block = whole[:14] + struct.pack("<H", 3) + whole[16:28] + wild + b"\0\0\0\0"
    assert open_picture(stored(Image.fromarray(noise(16, 8)), "JPEG", exif=block)).size == (8, 16)
    assert open_picture(stored(Image.fromarray(noise(16, 8)), "JPEG", exif=exif(6, kind=4))).size == (8, 16)


def _palette_with_alpha(image: Image.Image, clear: bytes | int) -> bytes:
    return stored(image.convert("RGB").quantize(16), "PNG", transparency=clear)


TRANSPARENT: dict[str, Callable[[], bytes]] = {
    "RGBA": lambda: stored(Image.fromarray(noise(channels=4)), "PNG"),
    "RGBA WebP": lambda: stored(Image.fromarray(noise(channels=4)), "WEBP", lossless=True, exact=True),
    "RGBA TIFF": lambda: stored(Image.fromarray(noise(channels=4)), "TIFF"),
    "LA": lambda: stored(Image.fromarray(noise(channels=2), "LA"), "PNG"),
    "LA TIFF": lambda: stored(Image.fromarray(noise(channels=2), "LA"), "TIFF"),
    "P with one clear colour": lambda: _palette_with_alpha(Image.fromarray(noise()), 3),
    "P with grades": lambda: _palette_with_alpha(Image.fromarray(noise()), bytes(range(0, 256, 16))),
    "P GIF": lambda: stored(Image.fromarray(noise()).quantize(8), "GIF", transparency=2),
    "L with a clear grey": lambda: stored(Image.fromarray(noise(channels=1) // 64), "PNG", transparency=2),
    "RGB with a clear colour": lambda: stored(
        Image.fromarray(noise() // 128 * 255), "PNG", transparency=(255, 0, 0)
    ),
    "1 with a clear bit": lambda: stored(
        Image.fromarray(noise(channels=1)).convert("1"), "PNG", transparency=0
    ),
}


@pytest.mark.parametrize("name", TRANSPARENT)
@pytest.mark.filterwarnings("ignore:Palette images")
def test_transparency_is_composited_on_white_as_transformers_does(name: str) -> None:
    data = TRANSPARENT[name]()
    theirs = convert_to_rgb(Image.open(io.BytesIO(data)), return_numpy=True)
    ours = np.asarray(open_picture(data))
    np.testing.assert_array_equal(ours, theirs)
    dropped = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert (ours != dropped).any(), "this picture has no real transparency"


@pytest.mark.parametrize("mode", ["PA", "LAB", "HSV", "YCbCr", "CMYK", "1", "L", "P", "RGBX"])
def test_other_modes_as_transformers_does(mode: str) -> None:
    image = Image.fromarray(noise())
    image = (
        image.convert("P").convert("PA") if mode == "PA" else _lab() if mode == "LAB" else image.convert(mode)
    )
    np.testing.assert_array_equal(np.asarray(upright_rgb(image)), convert_to_rgb(image, return_numpy=True))


def _lab() -> Image.Image:
    return Image.fromarray(noise(), "LAB")


def test_premultiplied_transparency_is_transparency() -> None:
    straight = Image.fromarray(noise(channels=4))
    straight.putalpha(Image.fromarray(noise(channels=1, seed=1)).point(lambda v: 255 * (v > 127)))
    np.testing.assert_array_equal(upright_rgb(straight.convert("RGBa")), upright_rgb(straight))
    grey = Image.fromarray(noise(channels=2), "LA")
    grey.putalpha(straight.getchannel("A"))
    np.testing.assert_array_equal(upright_rgb(grey.convert("La")), upright_rgb(grey))


def _deep(dtype: str, kind: str) -> bytes:
    return stored(Image.fromarray(np.arange(64, dtype=dtype).reshape(8, 8) * 100), kind)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "grey of 16 bits, PNG": (lambda: _deep("<u2", "PNG"), "not 8 bits per channel"),
    "grey of 16 bits, TIFF": (lambda: _deep("<u2", "TIFF"), "not 8 bits per channel"),
    "grey of 16 bits, the other end first": (lambda: _deep(">u2", "TIFF"), "not 8 bits per channel"),
    "whole numbers of 32 bits": (lambda: _deep("i4", "TIFF"), "not 8 bits per channel"),
    "real numbers": (lambda: _deep("f4", "TIFF"), "not 8 bits per channel"),
    "colours of 16 bits, TIFF": (lambda: _tiff(3, bits=16), "not 8 bits per channel"),
    "four bands, none of them named": (lambda: _tiff(4), "fourth band"),
    "four bands of a sensor": (lambda: _tiff(4, extra=(2,), placed=True), "infrared"),
    "five bands without colours": (lambda: _tiff(5, colours=1, extra=(0, 0, 0, 0)), "of other bands"),
    "nothing": (lambda: b"", "empty"),
    "text": (lambda: b"no picture", "cannot identify"),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic" + b"\0" * 40, "HEIC"),
    "cut off": (lambda: stored(Image.fromarray(noise(64, 64)), "JPEG")[:900], "truncated"),
    "a program for a printer": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
    "too large": (lambda: stored(Image.new("1", (30_000, 30_000)), "PNG"), "too many pixels"),
}


def _tiff(
    bands: int, bits: int = 8, colours: int = 2, extra: tuple[int, ...] = (), placed: bool = False
) -> bytes:
    """A TIFF as writers of rasters make it: 8 × 8, not compressed."""
    pixels = np.random.default_rng(0).integers(0, 2**bits, (8, 8, bands)).astype(f"<u{bits // 8}").tobytes()
    tags: list[tuple[int, int, tuple[int, ...]]] = [
        (256, 3, (8,)), (257, 3, (8,)), (258, 3, (bits,) * bands), (259, 3, (1,)), (262, 3, (colours,)),
        (273, 4, (8,)), (277, 3, (bands,)), (278, 3, (8,)), (279, 4, (len(pixels),)),
    ]  # fmt: skip
    tags += [(338, 3, extra)] if extra else []
    tags += [(33550, 12, (1, 1, 0))] if placed else []
    start = 8 + len(pixels)
    entries, more = b"", b""
    for tag, kind, values in tags:
        body = struct.pack(f"<{len(values)}{ {3: 'H', 4: 'I', 12: 'd'}[kind] }", *values)
        if len(body) > 4:
            offset = start + 2 + 12 * len(tags) + 4 + len(more)
            more, body = more + body, struct.pack("<I", offset)
        entries += struct.pack("<HHI", tag, kind, len(values)) + body.ljust(4, b"\0")
    return (
        b"II*\0"
        + struct.pack("<I", start)
        + pixels
        + struct.pack("<H", len(tags))
        + entries
        + b"\0" * 4
        + more
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_come_out_right_is_refused_by_name(name: str) -> None:
    make, reason = REFUSED[name]
    with pytest.raises(InputError, match=reason):
        open_picture(make())


@pytest.mark.parametrize(("bands", "extra"), [(3, ()), (4, (0,)), (6, (0, 0, 0))])
def test_bands_beyond_the_colours_are_left_out(bands: int, extra: tuple[int, ...]) -> None:
    found = np.asarray(open_picture(_tiff(bands, extra=extra)))
    every = np.random.default_rng(0).integers(0, 256, (8, 8, bands))
    np.testing.assert_array_equal(found, every[..., :3])


def test_a_mask_of_an_aerial_picture_is_transparency() -> None:
    data = _tiff(4, extra=(2,), placed=True)
    pixels = np.frombuffer(data[8 : 8 + 256], np.uint8).reshape(8, 8, 4).copy()
    pixels[..., 3] = 255 * (pixels[..., 3] > 100)
    found = np.asarray(open_picture(data[:8] + pixels.tobytes() + data[264:]))
    np.testing.assert_array_equal(found[pixels[..., 3] == 0], 255)
    np.testing.assert_array_equal(found[pixels[..., 3] > 0], pixels[..., :3][pixels[..., 3] > 0])


def test_png_colours_of_16_bits_keep_their_upper_8() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (4, 6, 3), dtype=np.uint16)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", 6, 4, 16, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(np.asarray(open_picture(data)), values >> 8)


def test_grey_of_16_bits_made_in_python_is_scaled_by_its_full_range() -> None:
    values = np.array([[0, 128, 129, 257], [32767, 32768, 65406, 65535]], dtype=np.uint16)
    found = np.asarray(upright_rgb(Image.fromarray(values)))
    np.testing.assert_array_equal(found, np.stack([np.rint(values / 257)] * 3, axis=2))
    with pytest.raises(InputError, match="8 bits"):
        upright_rgb(Image.new("F", (2, 2)))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_of_several_frames(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    data = stored(frames[0], kind, save_all=True, append_images=frames[1:])
    red, green, blue = open_picture(data).getpixel((10, 10))
    assert red > 200
    assert max(green, blue) < 50


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM", "JPEG2000"])
def test_pictures_of_every_format_that_is_read(kind: str) -> None:
    found = open_picture(stored(Image.fromarray(noise(40, 30)), kind))
    assert (found.mode, found.size, found.format) == ("RGB", (40, 30), kind)


def test_a_damaged_checksum_is_damage() -> None:
    data = bytearray(stored(Image.fromarray(noise(40, 30)), "PNG"))
    data[-13] ^= 0xFF  # of the pixels' own chunk
    with pytest.raises(InputError, match="not a readable picture"):
        open_picture(bytes(data))
