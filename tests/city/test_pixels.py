"""Pixel measures: what is drawn is what is measured."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from urbanln.base.errors import InputError
from urbanln.city.pixels import PIXEL_FEATURES, SURFACES, measure_city, measure_pixels

GREEN, GREY, BLUE, SOIL = (70, 120, 50), (140, 140, 138), (40, 80, 140), (180, 140, 95)


def _plain(colour: tuple[int, int, int], size: tuple[int, int] = (128, 128)) -> Image.Image:
    return Image.new("RGB", size, colour)


@pytest.mark.parametrize(
    ("colour", "surface"), [(GREEN, "vegetation"), (GREY, "built"), (BLUE, "water"), (SOIL, "bare")]
)
def test_plain_colours_are_what_they_should_be(colour: tuple[int, int, int], surface: str) -> None:
    found = measure_pixels(_plain(colour), view="satellite")
    assert found[f"{surface}_share"] == 1.0
    assert found["edge_density"] == found["texture_fine"] == found["entropy"] == 0.0


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 2), (700, 40)])
def test_any_mode_and_size_gives_every_feature_as_a_finite_number(mode: str, size: tuple[int, int]) -> None:
    found = measure_pixels(Image.new(mode, size))
    assert tuple(found) == PIXEL_FEATURES
    assert all(type(value) is float and math.isfinite(value) for value in found.values())


def test_shares_and_colours_each_sum_to_one() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 131, 3), dtype=np.uint8)
    found = measure_pixels(Image.fromarray(noise))
    assert sum(found[f"{name}_share"] for name in SURFACES) == pytest.approx(1)
    assert sum(v for k, v in found.items() if k.startswith("colour_")) == pytest.approx(1)
    assert found["edge_density"] > 0.8


def test_quarters_say_where_a_surface_lies() -> None:
    image = _plain(GREY)
    ImageDraw.Draw(image).rectangle((64, 0, 127, 63), fill=GREEN)  # upper right
    found = measure_pixels(image, view="satellite")
    assert found["vegetation_ne"] == 1.0
    assert found["vegetation_nw"] == found["vegetation_sw"] == found["vegetation_se"] == 0.0
    assert found["built_sw"] == 1.0


def test_sky_is_the_smooth_part_at_the_top_and_only_in_street_views() -> None:
    image = _plain((205, 208, 212))
    ImageDraw.Draw(image).rectangle((0, 80, 127, 127), fill=(90, 88, 86))
    assert measure_pixels(image, view="street")["sky_share"] == pytest.approx(80 / 128, abs=0.05)
    assert measure_pixels(image, view="satellite")["sky_share"] == 0.0
    below = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)  # the pale part at the bottom is no sky
    ImageDraw.Draw(below).rectangle((0, 0, 127, 40), fill=(90, 30, 20))
    assert measure_pixels(below, view="street")["sky_share"] == 0.0


def test_rough_blue_is_not_water() -> None:
    stripes = np.zeros((128, 128, 3), dtype=np.uint8)
    stripes[:] = BLUE
    stripes[:, ::4] = (120, 160, 215)
    assert measure_pixels(Image.fromarray(stripes), view="satellite")["water_share"] < 0.05


def test_a_grid_is_regular_at_any_tilt_and_noise_is_not() -> None:
    grid = _plain((60, 60, 60), (400, 400))
    draw = ImageDraw.Draw(grid)
    for at in range(0, 400, 40):
        draw.line((at, 0, at, 399), fill=(220, 220, 220), width=5)
        draw.line((0, at, 399, at), fill=(220, 220, 220), width=5)
    middle = (100, 100, 300, 300)
    straight = measure_pixels(grid.crop(middle))
    tilted = measure_pixels(grid.rotate(45, Image.Resampling.BICUBIC).crop(middle))
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    assert straight["edge_grid"] > 0.9
    assert straight["edge_line"] < 0.2
    assert tilted["edge_grid"] > 0.6
    assert straight["edge_tilt"] < 0.1 < 0.9 < tilted["edge_tilt"]
    assert measure_pixels(Image.fromarray(noise))["edge_grid"] < 0.1


def test_texture_is_found_at_its_own_scale() -> None:
    def checks(edge: int) -> dict[str, float]:
        cells = (np.indices((256, 256)) // edge).sum(0) % 2
        return measure_pixels(Image.fromarray((cells * 255).astype(np.uint8)))

    names = ("texture_fine", "texture_middle", "texture_coarse")
    for edge, name in ((1, "texture_fine"), (4, "texture_middle"), (16, "texture_coarse")):
        found = checks(edge)
        assert found[name] == pytest.approx(0.5, abs=0.01)
        assert max(names, key=lambda n: found[n]) == name


def test_an_opened_picture_is_left_as_it_was(tmp_path: Path) -> None:
    _plain(GREEN, (900, 600)).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        first = measure_pixels(image)
        assert image.size == (900, 600)
        assert measure_pixels(image) == first


def _city(folder: Path, rows: list[tuple[str, str, str]]) -> SimpleNamespace:
    return SimpleNamespace(
        folder=folder,
        regions=pd.DataFrame({"region_id": ["b", "a", "none"]}),
        images=pd.DataFrame(rows, columns=["region_id", "view", "path"]),
        image_bytes=lambda path: (folder / path).read_bytes(),
    )


def test_measure_city_averages_per_region_and_skips_the_corrupt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _plain(GREEN).save(tmp_path / "1.png")
    _plain(GREY).save(tmp_path / "2.png")
    (tmp_path / "3.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    (tmp_path / "4.jpg").write_text("no picture")
    rows = [("a", "satellite", f"{n}.png") for n in (1, 2, 3)]
    rows += [("b", "satellite", "2.png"), ("b", "satellite", "4.jpg"), ("b", "street", "1.png")]
    frame = measure_city(_city(tmp_path, rows), "satellite", workers=2)  # type: ignore[arg-type]
    assert list(frame.columns) == ["region_id", *PIXEL_FEATURES]
    assert list(frame["region_id"]) == ["b", "a"]
    assert list(frame["vegetation_share"]) == [0.0, 0.5]
    said = capsys.readouterr().err
    assert "3.png" in said
    assert "4.jpg: not a picture" in said


def test_damaged_metadata_leave_no_picture_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Whole pixels, a turned picture, and an ImageWidth that is text: Pillow meets it with struct.error.
    entries = ((0x0100, 2, 1, b"ab\0\0"), (0x0112, 3, 1, struct.pack("<HH", 6, 0)))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
    exif += b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4)
    _plain(GREY).save(tmp_path / "1.jpg", exif=exif)
    _plain(GREEN).save(tmp_path / "2.jpg")
    rows = [("a", "street", "1.jpg"), ("b", "street", "2.jpg")]
    frame = measure_city(_city(tmp_path, rows), "street")  # type: ignore[arg-type]
    assert set(frame["region_id"]) == {"a", "b"}
    assert capsys.readouterr().err == ""


def test_measure_city_refuses_a_wrong_view_and_a_city_without_a_readable_picture(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    city = _city(tmp_path, [("a", "street", "1.png")])
    with pytest.raises(InputError, match="satellite"):
        measure_city(city, "aerial")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no street picture"):
        measure_city(city, "street")  # type: ignore[arg-type]
