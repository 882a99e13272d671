"""Pixels handed out are those of the model's preprocessing, kept or decoded, in any order asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from tests.train.fake_city import tiny_settings

from urbanln.base import remote
from urbanln.base.config import CacheSettings
from urbanln.base.errors import StorageError
from urbanln.base.remote import Fetched
from urbanln.city import store
from urbanln.city.store import City
from urbanln.model.clip import LongClip, load_clip
from urbanln.train import batches
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


def test_pictures_elsewhere_are_fetched_once_for_all_epochs(
    city: City, clip_folder: Path, model: LongClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    far = City.open(tmp_path / "city")
    far.images["path"] = "memory://epochs/" + far.images["path"].str.rpartition("/")[2]
    for path, name in zip(far.images["path"], city.images["path"], strict=True):
        with fsspec.open(path, "wb") as file:
            file.write((city.folder / name).read_bytes())
    asked: list[str] = []
    away: list[str] = []
    fetch = remote._fetch

    def counted(url: str, limit_bytes: int) -> bytes:
        asked.append(url)
        if url in away:
            away.remove(url)
            raise ConnectionResetError(url)
        return fetch(url, limit_bytes)

    monkeypatch.setattr(remote, "_fetch", counted)
    monkeypatch.setattr(remote, "PAUSES_S", ())
    monkeypatch.setattr(store, "FETCHED", Fetched(tmp_path / "fetched"))
    monkeypatch.setattr(batches, "PATIENCE_S", (0.0, 0.0))
    train = tiny_settings(clip_folder, view="both", workers=2).train
    rows, _ = list_pictures([far], train.view)
    pictures, kept, bad = read_all([far], rows, model, train, CacheSettings(pixels_gb=0.0))
    first, second = (pictures.pixels(range(len(kept))) for _ in range(2))
    assert torch.equal(first, second)
    assert (bad, sorted(asked)) == (0, sorted(far.images["path"]))

    shutil.rmtree(tmp_path / "fetched")  # as where there is too little room for all
    away += [str(kept["path"][5])] * 2
    assert torch.equal(pictures.pixels([5]), first[5:6])
    away += [str(kept["path"][6])] * 9
    with pytest.raises(StorageError, match="no longer can"):
        pictures.pixels([6])
