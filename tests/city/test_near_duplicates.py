"""Planted copies are found whatever was done to them; unlike and blank pictures are left alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image, ImageEnhance

from urbanln.base.files import hash_bytes
from urbanln.city import near_duplicates
from urbanln.city.meta import Meta
from urbanln.city.near_duplicates import audit_pictures, near_pairs, thumbnail
from urbanln.city.store import City


def _scene(seed: int, size: int = 96) -> Image.Image:
    """Smooth random shapes: as little alike as photographs of different places."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


def _bytes(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _city(folder: Path, pictures: list[tuple[str, bytes]], known: bool = True) -> City:
    """A city with one satellite picture per (region, bytes)."""
    (folder / "p").mkdir(parents=True)
    for number, (_, data) in enumerate(pictures):
        (folder / f"p/{number}.png").write_bytes(data)
    ids = sorted({region for region, _ in pictures} | {"empty"})
    images = pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(len(pictures))],
            "region_id": [region for region, _ in pictures],
            "view": "satellite",
            "path": [f"p/{n}.png" for n in range(len(pictures))],
            "lon": 1.0,
            "lat": 2.0,
            "sha256": [hash_bytes(data) if known else None for _, data in pictures],
        }
    )
    shapes = gpd.GeoDataFrame(
        {"region_id": ids}, geometry=shapely.points(np.arange(len(ids)) / 100, 0), crs="EPSG:4326"
    )
    labels = pd.DataFrame({"region_id": ids, "x": np.arange(len(ids), dtype=float)})
    return City.create(folder, meta=Meta(name="T"), regions=shapes, images=images, indicators=labels)


@pytest.mark.parametrize("known", [True, False])
def test_planted_copies_are_found_and_nothing_else(tmp_path: Path, known: bool) -> None:
    one = _scene(0)
    pictures = [
        ("a", _bytes(one)),
        ("b", _bytes(one)),  # byte for byte
        ("c", _bytes(one, "JPEG", quality=60)),
        ("d", _bytes(one.resize((61, 61)))),
        ("e", _bytes(ImageEnhance.Brightness(one).enhance(0.7))),
        ("f", _bytes(_scene(1))),
        ("f", _bytes(_scene(1), "JPEG", quality=70)),  # twice, but in one region
        ("g", b"no picture"),
        ("h", _bytes(Image.new("RGB", (96, 96), (20, 40, 90)))),
        ("i", _bytes(Image.new("RGB", (96, 96), (22, 44, 92)))),
        *((f"r{n}", _bytes(_scene(n))) for n in range(2, 40)),
    ]
    found = audit_pictures(_city(tmp_path / "city", pictures, known), workers=2)["satellite"]
    assert (found.pictures, found.regions, found.without) == (48, 47, 1)
    assert (found.exact, found.exact_regions) == (2, 2)
    assert (found.near, found.near_regions) == (3, 3)
    assert [name for name, _ in found.unreadable] == ["i7"]
    assert found.flat == 2
    assert list(found.flat_examples) == ["i8", "i9"]
    ((one, other),) = found.exact_examples
    assert {one, other} < {"i0", "i1", "i2", "i3", "i4"}
    json.dumps(found.as_json())
    assert {name for one_pair in found.examples for name in one_pair[:2]} <= {"i0", "i1", "i2", "i3", "i4"}
    said = " ".join(sentence for _, sentence in found.found("satellite"))
    for phrase in ("byte for byte", "nearly", "cannot be read", "flat", "no such picture"):
        assert phrase in said


def test_bands_find_every_pair_within_three_bits() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 60, dtype=np.uint64)
    hashes = [*base]
    for bits in (1, 2, 3, 4, 5):
        for value in base[bits * 5 : bits * 5 + 5]:
            flips = rng.choice(64, bits, replace=False)
            hashes.append(value ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64)))
    every = np.array(hashes, dtype=np.uint64)
    slow = {
        (i, j)
        for i in range(len(every))
        for j in range(i + 1, len(every))
        if bin(int(every[i] ^ every[j])).count("1") <= 3
    }
    same = np.tile(rng.integers(0, 255, (16, 16), dtype=np.uint8), (len(every), 1, 1))
    assert {tuple(sorted(map(int, pair))) for pair in near_pairs(every, same)} == slow
    assert len(slow) == 15
    unlike = rng.integers(0, 255, (len(every), 16, 16), dtype=np.uint8)
    assert len(near_pairs(every, unlike)) == 0
    assert near_pairs(every[:0], same[:0]).shape == (0, 2)


def test_pictures_of_one_hash_are_compared_with_all_that_share_it() -> None:
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 255, (3, 16, 16), dtype=np.uint8)
    thumbs = kinds[[0, 1, 2, 1, 2, 0]]
    pairs = near_pairs(np.array([7, 7, 7, 7, 7, 6], dtype=np.uint64), thumbs)
    assert {tuple(sorted(map(int, pair))) for pair in pairs} == {(1, 3), (2, 4), (0, 5)}


def test_pictures_are_compared_in_pieces_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    thumbs = rng.integers(0, 255, (9, 16, 16), dtype=np.uint8)[rng.integers(0, 9, 60)]
    thumbs[::7] = 0
    hashes = rng.integers(0, 4, 60).astype(np.uint64)
    whole, spread = near_pairs(hashes, thumbs), near_duplicates._spread(thumbs)
    monkeypatch.setattr(near_duplicates, "_ROWS", 7)
    assert np.array_equal(near_pairs(hashes, thumbs), whole)
    assert len(whole) > 20
    assert np.array_equal(near_duplicates._spread(thumbs), spread)
    assert np.array_equal(spread, [thumb.std() for thumb in thumbs])


def test_a_city_of_which_no_picture_can_be_read_is_told_so(tmp_path: Path) -> None:
    found = audit_pictures(_city(tmp_path / "city", [("a", b"no picture"), ("b", b"")]))["satellite"]
    assert len(found.unreadable) == found.pictures == 2
    assert (found.flat, found.exact, found.near, list(found.examples)) == (0, 0, 0, [])


def test_a_hash_survives_saving_and_scaling_and_tells_pictures_apart() -> None:
    one = thumbnail(_scene(5))[0]
    saved = thumbnail(Image.open(io.BytesIO(_bytes(_scene(5, 200), "JPEG", quality=50))))[0]
    assert np.bitwise_count(one ^ saved) <= 3
    assert np.bitwise_count(one ^ thumbnail(_scene(6))[0]) > 12
