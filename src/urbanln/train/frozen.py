"""Parts of a network that keep the weights they came with."""

from __future__ import annotations

from itertools import chain
from typing import Any

from torch import nn

from urbanln.base.config import TrainSettings
from urbanln.base.errors import InputError
from urbanln.model.clip import LongClip

WHOLE = -1


def freeze(model: LongClip, train: TrainSettings) -> None:
    """Take the first layers of a tower, or all of it, out of the training.

    What is frozen is neither stepped nor decayed, and the teacher's copy of it stays equal. Of a tower in
    part it is the layers nearest to the input and the embeddings before them; of a whole one its projection
    too.

    Args:
        model: Changed in place.
        train: ``freeze_vision`` and ``freeze_text`` are used.

    Raises:
        InputError: More layers than the tower has, or nothing is left to train.

    Source:
        Locked-image tuning (LiT, arXiv 2111.07991) freezes the picture tower.
    """
    if train.freeze_vision == train.freeze_text == WHOLE:
        raise InputError(
            "both towers are frozen, so there is nothing to train",
            value="-1 and -1",
            where="train.freeze_vision, train.freeze_text",
            remedy="leave one of them out, or freeze some of its layers",
        )
    clip = model.clip
    vision, text = clip.vision_model, clip.text_model
    _freeze(vision, clip.visual_projection, [vision.pre_layrnorm], train.freeze_vision, "train.freeze_vision")
    _freeze(text, clip.text_projection, [], train.freeze_text, "train.freeze_text")


def _freeze(tower: Any, projection: nn.Module, before: list[nn.Module], count: int, setting: str) -> None:
    layers = list(tower.encoder.layers)
    if count > len(layers):
        raise InputError(
            f"the tower has {len(layers)} layers",
            value=count,
            where=setting,
            remedy=f"give a number up to {len(layers)}, or -1 for the whole tower",
        )
    if count == 0:
        return
    whole = [tower, projection]
    parts = whole if count == WHOLE else [tower.embeddings, *before, *layers[:count]]
    for weight in chain.from_iterable(part.parameters() for part in parts):
        weight.requires_grad_(False)
