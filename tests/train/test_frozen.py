"""What is frozen stays bit for bit, the rest trains, and the teacher follows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.train.fake_city import tiny_settings
from torch import Tensor

from urbanln.base.errors import InputError
from urbanln.city.store import City
from urbanln.model.clip import load_clip
from urbanln.train.loop import pretrain


def _weights(folder: Path) -> dict[str, Tensor]:
    return load_clip(folder, context=None).clip.state_dict()


@pytest.mark.parametrize(
    ("frozen", "kept"),
    [
        ({"freeze_vision": -1}, ("vision_model.", "visual_projection.")),
        ({"freeze_text": -1, "micro_batch": 4}, ("text_model.", "text_projection.")),
        (
            {"freeze_vision": 1},
            ("vision_model.embeddings.", "vision_model.pre_layrnorm.", "vision_model.encoder.layers.0."),
        ),
    ],
)
def test_frozen_weights_stay_and_the_others_train(
    city: City, clip_folder: Path, tmp_path: Path, frozen: dict[str, int], kept: tuple[str, ...]
) -> None:
    plain = pretrain(city, tiny_settings(clip_folder), tmp_path / "plain")
    run = pretrain(city, tiny_settings(clip_folder, **frozen), tmp_path / "run")
    before = _weights(clip_folder)
    for part in ("model", "teacher"):
        after, free = _weights(run / part), _weights(plain / part)
        # Where all trains these move, or that they stay would say nothing.
        moved = {name for name in before if name in free and before[name].shape == free[name].shape
                 and not torch.equal(before[name], free[name])}  # fmt: skip
        still = {name for name in moved if torch.equal(before[name], after[name])}
        assert still == {name for name in moved if name.startswith(kept)}
        assert still
        assert still != moved


def test_what_leaves_nothing_to_train_is_refused(city: City, clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to train"):
        pretrain(city, tiny_settings(clip_folder, freeze_vision=-1, freeze_text=-1), tmp_path / "run")
    with pytest.raises(InputError, match="has 1 layers"):
        pretrain(city, tiny_settings(clip_folder, freeze_text=3), tmp_path / "other")
