"""Pixels handed out are those of the model's preprocessing, kept or decoded, in any order asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.train.fake_city import tiny_settings

from urbanln.base.config import CacheSettings
from urbanln.city.store import City
from urbanln.model.clip import LongClip, load_clip
from urbanln.train.batches import read_all
from urbanln.train.pairs import list_pictures


@pytest.fixture(scope="module")
def model(clip_folder: Path) -> LongClip:
    return load_clip(clip_folder, context=48, keep=8)


@pytest.mark.parametrize("fit", ["crop", "letterbox"])
@pytest.mark.parametrize("gb", [1.0, 0.0])
def test_pixels_by_index(city: City, clip_folder: Path, model: LongClip, fit: str, gb: float) -> None:
    train = tiny_settings(clip_folder, fit=fit, view="both", workers=2).train
    rows, _ = list_pictures([city], train.view)
    pictures, kept, bad = read_all([city], rows, model, train, CacheSettings(pixels_gb=gb))
    assert (len(kept), bad) == (70, 0)
    for ahead in ([3, 69, 3], [1]):  # what was fetched ahead is asked for, or is not
        pictures.prefetch(ahead)
        found = pictures.pixels(np.array([3, 69, 3]))
        assert found.dtype == torch.uint8
        for pixels, i in zip(found, (3, 69, 3), strict=True):
            with Image.open(city.folder / kept["path"][i]) as image:
                assert torch.equal(pixels, model.preprocess(image, train.fit))
    found.zero_()  # a batch is the caller's own
    assert pictures.pixels([3]).any()
