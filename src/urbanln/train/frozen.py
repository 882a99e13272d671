"""Parts of a network that keep the weights they came with."""

from __future__ import annotations

from itertools import chain

from urbanln.base.config import TrainSettings
from urbanln.base.errors import InputError
from urbanln.model.clip import LongClip
from urbanln.model.families.family import Tower

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
    vision, text = model.towers
    _freeze(vision, train.freeze_vision, "train.freeze_vision")
    _freeze(text, train.freeze_text, "train.freeze_text")


def _freeze(tower: Tower, count: int, setting: str) -> None:
    if count > 0 and not tower.layers:
        raise InputError(
            "the layers of this tower were not found, so it can be frozen whole or not at all",
            value=count,
            where=setting,
            remedy="give -1 for the whole tower, or 0",
        )
    if count > len(tower.layers):
        raise InputError(
            f"the tower has {len(tower.layers)} layers",
            value=count,
            where=setting,
            remedy=f"give a number up to {len(tower.layers)}, or -1 for the whole tower",
        )
    if count == 0:
        return
    parts = tower.whole if count == WHOLE else [*tower.first, *tower.layers[:count]]
    for weight in chain.from_iterable(part.parameters() for part in parts):
        weight.requires_grad_(False)
