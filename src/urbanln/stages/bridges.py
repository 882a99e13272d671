"""Bridges between rooms that do not import one another: what one needs of another, as a function.

Captions count tokens with CLIP's tokenizer and may ground phrases with a CLIP, and know nothing of the model.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from urbanln.base.errors import MissingExtraError, require

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from urbanln.captions.refine.grounding import Grounder

T = TypeVar("T")


def token_counter(model: str) -> Callable[[list[str]], list[int]] | None:
    """Token counts by the model's own tokenizer; None where the ``train`` extra is not installed."""
    try:
        from urbanln.model.tokens import load_tokenizer
    except (ImportError, MissingExtraError):
        return None
    return load_tokenizer(model).count_tokens


def text_positions(model: str, revision: str = "") -> int:
    """Text positions that a base is given; CLIP's 248 where the ``train`` extra is not installed.

    Args:
        model: A model's folder or name, ``"tiny"``, or ``"clip"`` for CLIP's vocabulary.
        revision: Of a name on the hub.

    Raises:
        InputError: No such model.
        ArtefactError: Its configuration is damaged.
    """
    try:
        from urbanln.model.context import CLIP_POSITIONS, natural_context, settled_context
        from urbanln.model.source import find_source, is_vocabulary
    except (ImportError, MissingExtraError):
        return 248
    if is_vocabulary(model):
        return natural_context(CLIP_POSITIONS)
    return settled_context(find_source(model, revision, weights=False))


def clip_grounder(model: str) -> Grounder:
    """A grounder for the captions that looks for phrases with a CLIP.

    Args:
        model: A CLIP's folder or name, or ``"tiny"`` for the one in the package.

    Raises:
        InputError: No such model.
        MissingExtraError: torch is not installed.
    """
    require("torch")
    import numpy as np
    import torch

    from urbanln.captions.refine.grounding import ClipGrounder
    from urbanln.model.clip import load_clip
    from urbanln.model.source import find_source

    clip = load_clip(model, context=None).eval()
    # The captioners of a picture ask about the same parts, and captions of a city use the same words.
    seen: OrderedDict[bytes, torch.Tensor] = OrderedDict()
    read: OrderedDict[bytes, torch.Tensor] = OrderedDict()
    lock = threading.Lock()

    def images_of(images: Sequence[Image.Image]) -> torch.Tensor:
        return clip.encode_image(torch.stack([clip.preprocess(image) for image in images]))

    def texts_of(texts: Sequence[str]) -> torch.Tensor:
        return clip.encode_text(clip.tokenize(texts))

    def similarity(images: list[Image.Image], phrases: list[str]) -> np.ndarray:
        pixels = [hashlib.sha256(repr(i.size).encode() + i.tobytes()).digest() for i in images]
        with lock, torch.inference_mode():
            image_ID = _remembered(images, pixels, seen, 512, images_of)
            text_PD = _remembered(phrases, [p.encode() for p in phrases], read, 20_000, texts_of)
            return (image_ID @ text_PD.T).numpy()

    name = find_source(model).weights_hash()[:12]
    return ClipGrounder(similarity, model=name, scale=float(clip.logit_scale.detach().exp()))


def _remembered(
    items: Sequence[T],
    keys: Sequence[bytes],
    kept: OrderedDict[bytes, torch.Tensor],
    most: int,
    encode: Callable[[Sequence[T]], torch.Tensor],
) -> torch.Tensor:
    """(N, D) features of N items, each encoded once as long as it is among the last ones used."""
    import torch

    missing = {key: item for key, item in zip(keys, items, strict=True) if key not in kept}
    if missing:
        kept.update(zip(missing, encode(list(missing.values())), strict=True))
    for key in keys:
        kept.move_to_end(key)
    found = torch.stack([kept[key] for key in keys])
    while len(kept) > most:
        kept.popitem(last=False)
    return found
