"""ImageNet features: the loading by a stand-in for the optional packages, the real network where it is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.model.imagenet_stand_in import PACKAGES, install

from urbanln.base.errors import ArtefactError, InputError, MissingExtraError
from urbanln.base.files import hash_file
from urbanln.city.store import City
from urbanln.embed.encode import embed_regions
from urbanln.model.imagenet import ImageNetEncoder, imagenet_hashes, load_imagenet
from urbanln.tables.vectors import matrix


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both packages, as far as we use them; returns the file the weights are read from."""
    return install(monkeypatch, tmp_path / "weights.pth", torch.tensor([1.0, 2.0, 4.0]))


def test_features_are_the_scaled_pixels_through_the_network(weights: Path) -> None:
    encoder = load_imagenet()
    assert not encoder.training
    pixels = encoder.preprocess(Image.new("RGB", (300, 260), (127, 255, 63)))
    assert tuple(pixels.shape) == (3, 224, 224)
    with torch.no_grad():
        vector = encoder.encode_image(pixels[None], normalize=False)[0].numpy()
        unit = encoder.encode_image(pixels[None])[0].numpy()
    # (x - 127) / 128, times the weights that were loaded
    np.testing.assert_allclose(vector, [0.0, 2.0, -2.0], atol=1e-5)
    np.testing.assert_allclose(unit, vector / np.linalg.norm(vector), atol=1e-5)
    with pytest.raises(InputError, match="uint8"):
        encoder.encode_image(pixels[None].float())
    assert imagenet_hashes() == {"model": hash_file(weights)}


def test_regions_are_the_means_of_their_pictures_features(weights: Path, city: City) -> None:
    encoder = load_imagenet()
    encoder.dim = 3
    street = matrix(embed_regions(encoder, city, view="street", precision="fp32"))
    both = matrix(embed_regions(encoder, city, view="both", batch_size=7, precision="fp32"))
    assert both.shape == (24, 7)
    np.testing.assert_allclose(both[1:, 3:6], street, atol=1e-5)


def test_other_weights_and_damaged_ones_are_refused(weights: Path) -> None:
    torch.save({"other": torch.zeros(3)}, weights)
    with pytest.raises(ArtefactError, match="weights cannot be read"):
        load_imagenet()
    weights.write_bytes(b"not weights")
    with pytest.raises(ArtefactError, match="weights cannot be read"):
        load_imagenet()


class _Payload:
    """An object that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


def test_a_file_that_runs_code_is_refused(weights: Path) -> None:
    torch.save({"weight": _Payload()}, weights)
    with pytest.raises(ArtefactError, match="weights cannot be read"):
        load_imagenet()


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[0], None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match="efficientnet_lite_pytorch") as caught:
        load_imagenet()
    assert "urbanln[imagenet]" in str(caught.value)


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PACKAGES),
    reason="the extra 'imagenet' is not installed",
)
def test_the_real_network_gives_1280_features_as_its_own_classifier_reads_them() -> None:
    encoder = load_imagenet()
    assert isinstance(encoder, ImageNetEncoder)
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((224, 224))
    pixels = encoder.preprocess(image)[None]
    with torch.no_grad():
        vector = encoder.encode_image(pixels, normalize=False)
        ours = encoder.network._fc(vector)
        theirs = encoder.network((pixels.float() - 127) / 128)
    assert vector.shape == (1, 1280)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
