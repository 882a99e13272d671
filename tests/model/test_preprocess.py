from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.model.preprocess import CLIP_MEAN, PIXEL_RULES, Fit, Preprocessing


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
