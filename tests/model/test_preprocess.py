from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil
from transformers.image_transforms import convert_to_rgb

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.pictures import PICTURE_RULES
from urbanln.model import preprocess
from urbanln.model.preprocess import CLIP_MEAN, PIXEL_RULES, Fit, Preprocessing, follow_processor


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


@pytest.mark.parametrize("size", [(32, 32), (50, 41), (41, 50), (33, 97), (20, 11), (300, 31)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_crop_is_what_transformers_does(size: tuple[int, int], mode: str) -> None:
    image = picture(*size, mode)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        do_rescale=False,
        do_normalize=False,
    )
    theirs = torch.as_tensor(processor(images=image, return_tensors="pt")["pixel_values"][0])
    ours = Preprocessing(32)(image)
    assert ours.dtype == torch.uint8
    assert torch.equal(ours.float(), theirs.float())


@pytest.mark.parametrize(
    ("fit", "found"),
    [("crop", "06369301d5c752cf"), ("letterbox", "2003f41d9ace9848")],
)
def test_other_bytes_for_the_same_picture_need_another_number_of_the_rules(fit: Fit, found: str) -> None:
    rows, columns = np.mgrid[0:41, 0:50]
    image = Image.fromarray(np.stack([rows * 6, columns * 5, rows * columns % 256], axis=2).astype(np.uint8))
    pixels = Preprocessing(32)(image, fit).numpy()
    # Where another Pillow gives other bytes, PIXEL_RULES names it, and the new bytes are noted here alone.
    assert PIXEL_RULES.startswith("rules 1,")
    assert hash_bytes(pixels.tobytes())[:16] == found


def test_letterbox_keeps_the_edges_and_pads_with_the_mean() -> None:
    image = Image.new("RGB", (100, 50), (10, 20, 30))
    image.paste((250, 0, 0), (0, 0, 10, 50))
    pixels = Preprocessing(32)(image, "letterbox")
    pad = torch.tensor([round(255 * part) for part in CLIP_MEAN], dtype=torch.uint8)[:, None]
    assert pixels.shape == (3, 32, 32)
    assert torch.equal(pixels[:, :8].reshape(3, -1), pad.expand(3, 8 * 32))
    assert torch.equal(pixels[:, 24:].reshape(3, -1), pad.expand(3, 8 * 32))
    assert pixels[0, 12, 0] > 240, "the left edge is there"
    assert Preprocessing(32)(image)[0, 12, 0] < 50, "cropping cuts it off"
    assert Preprocessing(32)(picture(300, 1), "letterbox").shape == (3, 32, 32)


def test_pictures_are_turned_as_their_camera_says() -> None:
    image = picture(40, 20)
    turned = image.copy()
    turned.getexif()[0x0112] = 6
    assert torch.equal(Preprocessing(16)(turned), Preprocessing(16)(image.rotate(270, expand=True)))


def test_an_unknown_fit_is_named() -> None:
    with pytest.raises(InputError, match="fit"):
        Preprocessing(16)(picture(8, 8), "squash")  # type: ignore[arg-type]


DEFAULTS: dict[str, object] = {
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32},
    "image_processor_type": "CLIPImageProcessor",
}
FOLLOWED: dict[str, dict[str, object]] = {
    "as CLIP": {},
    "bare numbers": {"size": 32, "crop_size": 32},
    "bilinear": {"resample": 2},
    "nearest": {"resample": 0},
    "Lanczos": {"resample": 1},
    "box": {"resample": 4},
    "Hamming": {"resample": 5},
    "scaled larger than it is cut": {"size": {"shortest_edge": 37}},
    "scaled smaller than it is cut": {"size": {"shortest_edge": 21}},
    "squeezed into a square": {"size": {"height": 32, "width": 32}, "do_center_crop": False},
    "squeezed and cut": {"size": {"height": 48, "width": 40}},
    "squeezed, smaller than it is cut": {"size": {"height": 20, "width": 50}},
    "other statistics": {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.1]},
    "one number for all colours": {"image_mean": 0.5, "image_std": 0.25},
    "no statistics": {"do_normalize": False},
    "another factor": {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
    "no factor": {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3},
    "not converted": {"do_convert_rgb": False},
    "of an old transformers": {
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_processor_type": None,
    },
}


def with_alpha(width: int, height: int, mode: str) -> Image.Image:
    """Noise whose transparency is noise as well."""
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 4), dtype=np.uint8)
    image = Image.fromarray(noise)
    if mode == "P":
        image = image.convert("RGB").quantize(32)
        image.info["transparency"] = bytes(range(0, 256, 8))
        return image
    return image if mode == "RGBA" else image.convert("LA")


# The first transformers 5 still drop transparency; what is composited on white has no twin in them.
CLEAR = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
TRANSPARENT = ["RGBA", "LA", "P"] if convert_to_rgb(CLEAR).getpixel((0, 0)) == (255, 255, 255) else []


@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.parametrize("size", [(32, 32), (50, 41), (41, 50), (33, 97), (20, 11)])
def test_a_folders_preprocessor_is_followed(name: str, size: tuple[int, int]) -> None:
    facts = {**DEFAULTS, **FOLLOWED[name]}
    ours = follow_processor(facts, 32, "folder")
    theirs = CLIPImageProcessorPil(**facts)
    modes = ["RGB"] if facts.get("do_convert_rgb") is False else ["RGB", "L", "CMYK", *TRANSPARENT]
    for mode in modes:
        image = with_alpha(*size, mode) if mode in ("RGBA", "LA", "P") else picture(*size, mode)
        wanted = torch.as_tensor(theirs(images=image, return_tensors="pt")["pixel_values"][0])
        mean, std = (torch.tensor(part).view(3, 1, 1) for part in (ours.mean, ours.std))
        found = (ours(image).float() / 255 - mean) / std
        torch.testing.assert_close(found, wanted.float(), rtol=1e-5, atol=1e-5)


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "not scaled": ({"do_resize": False}, "do_resize"),
    "not cut": ({"do_center_crop": False}, "do_center_crop"),
    "of another size": ({"crop_size": 24}, "takes 32 × 32"),
    "not square": ({"crop_size": {"height": 32, "width": 40}}, "takes 32 × 32"),
    "squeezed to another size": (
        {"size": {"height": 9, "width": 9}, "do_center_crop": False},
        "takes 32 × 32",
    ),
    "by its longer side": ({"size": {"shortest_edge": 32, "longest_edge": 64}}, "longest_edge"),
    "an unknown filter": ({"resample": 9}, "resample: 9"),
    "no filter": ({"resample": None}, "resample: None"),
    "padded": ({"do_pad": True, "pad_size": {"height": 40, "width": 40}}, "do_pad"),
    "two colours": ({"image_mean": [0.5, 0.5]}, "image_mean"),
    "a deviation of 0": ({"image_std": [0.5, 0.0, 0.5]}, "image_std"),
    "no brightness": ({"rescale_factor": 0}, "rescale_factor"),
    "another model's, not complete": (
        {"image_processor_type": "PerceiverImageProcessor"},
        "does not say do_resize",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_preprocessor_that_is_not_followed_is_refused(name: str) -> None:
    changed, word = REFUSED[name]
    with pytest.raises(InputError, match="preprocessor_config") as caught:
        follow_processor({**DEFAULTS, **changed}, 32, "my/folder")
    assert word in str(caught.value)
    assert "my/folder" in str(caught.value)


def test_another_models_preprocessor_that_says_all_is_followed() -> None:
    facts = CLIPImageProcessorPil(**DEFAULTS).to_dict() | {"image_processor_type": "PerceiverImageProcessor"}
    assert follow_processor(facts, 32, "folder") == Preprocessing(32)


@pytest.mark.parametrize("size", [(3, 4000), (4000, 3), (2, 2501), (64, 7000), (7001, 63), (1, 40)])
@pytest.mark.parametrize("resample", [1, 2, 3, 5])
@pytest.mark.parametrize("scaled", [None, 40, 20])
def test_thin_pictures_come_out_as_if_they_were_scaled_whole(
    size: tuple[int, int], resample: int, scaled: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    how, image = Preprocessing(32, resample=resample, scaled=scaled), picture(*size)
    part = how(image).int()
    monkeypatch.setattr(preprocess, "_MOST_SCALED", 10**9)
    off = (part - how(image).int()).abs()
    assert off.max() <= 1
    assert (off > 0).float().mean() < 0.1


def test_a_thin_picture_costs_no_gigabytes() -> None:
    # Scaled whole it would be 224 × 2,240,000 pixels: 1.5 GB.
    tall = Image.fromarray(np.arange(100_000, dtype=np.uint32).astype(np.uint8).repeat(10).reshape(-1, 10))
    began = time.monotonic()
    for image in (tall, tall.transpose(Image.Transpose.TRANSPOSE)):
        assert Preprocessing(224)(image).shape == (3, 224, 224)
    assert time.monotonic() - began < 5


def test_what_decides_the_bytes_decides_under_what_they_are_kept() -> None:
    plain = Preprocessing(32)
    others = [
        Preprocessing(33), Preprocessing(32, resample=2), Preprocessing(32, scaled=40),
        Preprocessing(32, scaled=(40, 32)),
    ]  # fmt: skip
    assert len({how.rules for how in [plain, *others]}) == 5
    assert PICTURE_RULES in plain.rules
    assert PIXEL_RULES in plain.rules
