"""Checking pictures: good ones are measured, broken ones listed with a reason, nothing is fatal."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from urbanln.base.files import hash_file
from urbanln.base.pictures import MAX_BYTES
from urbanln.city.images import inspect_pictures
from urbanln.city.near_duplicates import shared_pictures


def _bytes(kind: str, seed: int = 0, size: tuple[int, int] = (40, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_good_pictures_whatever_the_ending(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "named.png"
    path.write_bytes(_bytes(kind))
    good, rejected = inspect_pictures([path])
    assert rejected.empty
    row = good.iloc[0]
    assert (row["width"], row["height"], row["format"], row["sha256"]) == (40, 30, kind, hash_file(path))


def test_broken_pictures_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    jpeg, png = _bytes("JPEG"), _bytes("PNG")
    sixteen = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint16)).save(sixteen, "PNG")
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 0xFF
    contents = {
        "good.jpg": (jpeg, None),
        "text.jpg": (b"this is no picture\n" * 20, "not a picture"),
        "page.jpg": (b"<html>404 not found</html>", "not a picture"),
        "empty.jpg": (b"", "empty file"),
        "short.jpg": (jpeg[: len(jpeg) // 2], "truncated or corrupt"),
        "header.jpg": (jpeg[:20], "not a picture|truncated or corrupt"),
        "short.png": (png[: len(png) // 2], "truncated or corrupt"),
        "damaged.png": (bytes(damaged), "truncated or corrupt"),
        "sixteen.png": (sixteen.getvalue(), "not 8 bits per channel"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "not a picture"),
        "last.png": (png, None),
    }
    for name, (data, _) in contents.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.jpg").mkdir()
    paths = [*(tmp_path / name for name in contents), tmp_path / "gone.jpg", tmp_path / "folder.jpg"]
    good, rejected = inspect_pictures(paths, workers=3)
    assert [Path(p).name for p in good["path"]] == ["good.jpg", "last.png"]
    reasons = {Path(p).name: reason for p, reason in zip(rejected["path"], rejected["reason"], strict=True)}
    for name, (_, reason) in contents.items():
        if reason:
            assert any(part in reasons[name] for part in reason.split("|")), (name, reasons[name])
    assert reasons["gone.jpg"] == reasons["folder.jpg"] == "missing"
    assert len(reasons) == len(rejected) == len(paths) - 2


def test_decompression_bombs_are_not_decoded(tmp_path: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    (tmp_path / "large.png").write_bytes(_bytes("PNG", size=(101, 100)))
    assert (tmp_path / "bomb.png").stat().st_size < 2_000_000
    _, rejected = inspect_pictures([tmp_path / "bomb.png", tmp_path / "large.png"], max_pixels=10_000)
    assert [reason[:15] for reason in rejected["reason"]] == ["too many pixels"] * 2


def test_equal_content_is_found(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 1), ("d", 1)):
        (tmp_path / f"{name}.png").write_bytes(_bytes("PNG", seed))
    good, _ = inspect_pictures([tmp_path / f"{n}.png" for n in "abcd"])
    first = str(tmp_path / "a.png")
    assert list(good["duplicate_of"].fillna("")) == ["", "", first, first]


def test_nothing_to_check() -> None:
    good, rejected = inspect_pictures([])
    assert good.empty
    assert rejected.empty


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(_bytes("PNG"))
    path.chmod(0)
    assert inspect_pictures([path])[1]["reason"][0].startswith("cannot be read")


def test_regions_with_an_equal_picture_are_grouped_also_through_a_third() -> None:
    images = pd.DataFrame(
        {
            "region_id": ["a", "b", "b", "c", "d", "e", "f"],
            "sha256": ["1", "1", "2", "2", "3", "4", None],
        }
    )
    groups = shared_pictures(images)
    assert set(groups) == {"a", "b", "c"}
    assert len(set(groups.values())) == 1
    assert shared_pictures(images.iloc[4:]) == {}


def test_what_is_no_file_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "random.png").symlink_to(tmp_path / "zero.jpg")
    (tmp_path / "pipes.png").symlink_to("pipe.jpg")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    with (tmp_path / "endless.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    names = ["pipe.jpg", "zero.jpg", "random.png", "pipes.png", "loop.png", "gone.png", "endless.jpg", "a\0b"]
    good, rejected = inspect_pictures([tmp_path / name for name in names])
    assert good.empty
    reasons = [
        "a named pipe",
        "a device",
        "a device",
        "a named pipe",
        "cannot be read",
        "missing",
        "larger than",
    ]
    for reason, found in zip([*reasons, "no name"], rejected["reason"], strict=True):
        assert found.startswith(reason)


def test_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    good, _ = inspect_pictures([tmp_path / "a.jpg"])
    assert (good["width"][0], good["height"][0]) == (30, 40)


def test_formats_of_phones_are_used_or_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_bytes("AVIF"))
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 50)
    good, rejected = inspect_pictures([tmp_path / "a.jpg", tmp_path / "b.heic"])
    assert list(good["format"]) == ["AVIF"]
    assert "HEIC" in rejected["reason"][0]
