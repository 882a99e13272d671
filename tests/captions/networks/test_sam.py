from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import SamConfig, SamImageProcessorPil, SamModel

from urbanln.base.errors import InputError
from urbanln.captions.networks.sam import SamSegmenter, _frames
from urbanln.captions.refine.parts import find_parts
from urbanln.captions.settings import RefineSettings

LOOSE = {"least_iou": -10.0, "least_stability": -1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM of the real class for pictures of 64 pixels."""
    path = tmp_path_factory.mktemp("sam")
    torch.manual_seed(0)
    config = SamConfig(
        vision_config={
            "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 64, "patch_size": 8, "num_pos_feats": 8, "window_size": 4, "mlp_dim": 16,
            "global_attn_indexes": [0],
        },
        prompt_encoder_config={
            "hidden_size": 16, "image_size": 64, "patch_size": 8, "image_embedding_size": 8,
        },
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16, "iou_head_depth": 2,
        },
    )  # fmt: skip
    SamModel(config).save_pretrained(path)
    sizes = {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}
    SamImageProcessorPil(**sizes).save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_the_real_classes_load_by_path_and_repeat_themselves(folder: Path) -> None:
    image = Image.effect_noise((90, 60), 80).convert("RGB")
    one, two = SamSegmenter(str(folder), **LOOSE), SamSegmenter(str(folder), batch=3, **LOOSE)
    found = one.segment(image)
    assert found
    assert [s.box for s in found] == [s.box for s in two.segment(image)]
    for segment in found:
        left, upper, right, lower = segment.box
        assert 0 <= left < right <= 1 + 1e-9
        assert 0 <= upper < lower <= 1 + 1e-9
        assert 0 < segment.area <= (right - left) * (lower - upper) + 1e-9
        assert 0 <= segment.stability <= 1
    assert "torchvision" not in sys.modules
    assert find_parts(image, RefineSettings(segmenter="sam"), one) == find_parts(
        image, RefineSettings(segmenter="sam"), one
    )


def test_another_model_or_grid_is_another_version(folder: Path, tmp_path: Path) -> None:
    first = SamSegmenter(str(folder)).version
    assert SamSegmenter(str(folder), points_per_side=4).version != first
    model = SamModel.from_pretrained(folder)
    with torch.no_grad():
        model.mask_decoder.iou_token.weight += 1
    model.save_pretrained(tmp_path)
    SamImageProcessorPil.from_pretrained(folder).save_pretrained(tmp_path)
    assert SamSegmenter(str(tmp_path)).version.partition("@")[2] != first.partition("@")[2]


def test_weights_in_half_precision_are_taken(folder: Path, tmp_path: Path) -> None:
    SamModel.from_pretrained(folder).half().save_pretrained(tmp_path)
    SamImageProcessorPil.from_pretrained(folder).save_pretrained(tmp_path)
    assert SamSegmenter(str(tmp_path), **LOOSE).segment(Image.effect_noise((90, 60), 80))


def test_a_missing_or_damaged_model_is_an_input_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no SAM model"):
        SamSegmenter(str(tmp_path / "none"))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(InputError, match="no SAM model"):
        SamSegmenter(str(tmp_path))


class Marks:
    """Gives a disc of radius 6 around each point as first mask, in the padded square's coordinates."""

    def __init__(self, side: int) -> None:
        self.side, self.points = side, torch.empty(0, 2)

    def get_image_embeddings(self, pixels: torch.Tensor) -> torch.Tensor:
        assert tuple(pixels.shape) == (1, 3, self.side, self.side)
        return pixels

    def __call__(self, *, image_embeddings: torch.Tensor, input_points: torch.Tensor) -> Any:
        points = input_points[0, :, 0]
        self.points = torch.cat([self.points, points])
        y, x = torch.meshgrid(*[torch.arange(self.side) + 0.5] * 2, indexing="ij")
        far = ((x - points[:, :1, None]) ** 2 + (y - points[:, 1:, None]) ** 2).sqrt()
        masks = torch.stack([10 * (6 - far), 10 * (20 - far)], dim=1)[None]  # (1, P, 2, h, w)
        scores = torch.tensor([0.9, 0.1]).expand(1, len(points), 2)
        return SimpleNamespace(pred_masks=masks, iou_scores=scores)


def test_points_cover_the_picture_and_masks_come_back_where_they_are(folder: Path) -> None:
    segmenter = SamSegmenter(str(folder), points_per_side=3, crop_layers=0, least_stability=0.5)
    segmenter._model = Marks(64)
    found = segmenter.segment(Image.new("RGB", (200, 100)))
    # Scaled to 64 × 32: the points lie in the picture, not in the padding below it.
    xs, ys = segmenter._model.points.T
    assert sorted(set(xs.tolist())) == pytest.approx([64 / 6, 32, 64 * 5 / 6])
    assert sorted(set(ys.tolist())) == pytest.approx([32 / 6, 16, 32 * 5 / 6])
    # The poor masks are left out; the middle disc reaches from (26, 10) to (38, 22) of 64 × 32.
    assert len(found) == 9
    middle = min(found, key=lambda s: abs(s.box[0] + s.box[2] - 1) + abs(s.box[1] + s.box[3] - 1))
    assert middle.box == pytest.approx((26 / 64, 10 / 32, 38 / 64, 22 / 32), abs=0.03)
    assert middle.area == pytest.approx(3.1416 * 36 / (64 * 32), rel=0.1)
    assert middle.stability > 0.8


def test_unstable_masks_go(folder: Path) -> None:
    segmenter = SamSegmenter(str(folder), points_per_side=3, crop_layers=0, least_stability=0.999)
    segmenter._model = Marks(64)
    assert segmenter.segment(Image.new("RGB", (200, 100))) == []


def test_things_cut_by_a_crop_are_left_to_the_others(folder: Path) -> None:
    segmenter = SamSegmenter(str(folder), points_per_side=4, crop_layers=1, least_stability=0.5)
    segmenter._model = Marks(64)
    found = segmenter.segment(Image.new("RGB", (128, 128)))
    assert len(segmenter._model.points) == 16 + 4 * 4
    # Discs of the crops (86 of 128 pixels wide) measure 12 / 64 × 86 / 128 of the picture, or are gone.
    small = [s for s in found if s.box[2] - s.box[0] < 0.15]
    assert small
    frames = _frames((128, 128), 1)
    assert frames[0] == (0, 0, 128, 128)
    assert len(frames) == 5
    assert frames[1][0] == frames[1][1] == 0
    assert frames[4][2:] == (128, 128)


def test_a_picture_that_is_no_rgb_is_taken(folder: Path) -> None:
    file = io.BytesIO()
    Image.new("LA", (20, 30), (90, 10)).save(file, "PNG")
    segmenter = SamSegmenter(str(folder), **LOOSE)
    with Image.open(file) as grey:
        assert segmenter.segment(grey) == segmenter.segment(grey.convert("RGB"))
