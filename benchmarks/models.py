"""Models to time, and pairs to train them on: no weights are needed to know how fast a network runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from urbanln.base.config import TrainSettings
from urbanln.model.checkpoint import Record
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.preprocess import Preprocessing
from urbanln.model.tokens import clip_tokenizer
from urbanln.train.batches import Pictures, Texts
from urbanln.train.step import Data

SIZES = ("b16", "tiny")
CONTEXT, QUEUE = 248, 4096


def model_of(size: str) -> LongClip:
    """A model by its name in :data:`SIZES`, with 248 text positions, in eval mode on the CPU.

    ``b16`` is a CLIP of the size of ViT-B/16 with random weights, of whose positions the first 20 do not
    train, as after stretching in the paper; ``tiny`` is the CLIP in the package.
    """
    if size == "tiny":
        return load_clip("tiny")
    # Transformers' defaults are the sizes of ViT-B/32, and a padding token of older days.
    text = {"pad_token_id": 49407, "max_position_embeddings": CONTEXT}
    config = CLIPConfig(text_config=text, vision_config={"patch_size": 16})
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    record = Record(keep=20, ratio=4, stretched_from=77)
    return LongClip(
        CLIPModel(config), clip_tokenizer(), Preprocessing(224), record=record, freeze_head=True
    ).eval()


class _Pairs:
    @staticmethod
    def ids(picture: Any, text: Any, *_same: bool) -> np.ndarray:
        return np.stack([picture, text], axis=1)


def made_up_data(model: LongClip, count: int, tokens: int, *, period: int = 0, workers: int = 2) -> Data:
    """Pairs that all differ: noise for pictures, random words, about as many tokens as long captions have.

    Args:
        model: Whose tokenizer, context and size of picture apply.
        count: Pairs.
        tokens: Mean of a caption; the spread is a quarter of it.
        period: Lengths repeat after so many pairs; 0: they do not.
        workers: Threads that fetch pictures ahead, as in a run.
    """
    rng = np.random.default_rng(0)
    bos, eot = model.tokenizer.bos_token_id, model.tokenizer.eos_token_id
    lengths = np.clip(rng.normal(tokens, tokens / 4, count).round().astype(int), 8, model.context)
    lengths = np.resize(lengths[: period or count], count)
    words = [rng.integers(0, min(bos, eot), size=n - 2) for n in lengths]
    texts = Texts(model, [])
    texts.rows += [np.concatenate([[bos], row, [eot]]).astype(np.int32) for row in words]
    edge = model.image_size
    pixels = rng.integers(0, 256, (count, 3, edge, edge), dtype=np.uint8)
    pictures = Pictures([], model, TrainSettings(workers=workers), pixels)  # type: ignore[arg-type]
    return Data(_Pairs(), pictures, texts, {})  # type: ignore[arg-type]


def random_queue(dim: int) -> tuple[Tensor, Tensor]:
    """A full queue, (K, D) of pictures and of texts: the state that a run spends nearly all its steps in."""
    generator = torch.Generator().manual_seed(3)
    image, text = (torch.randn(QUEUE, dim, generator=generator) for _ in range(2))
    return functional.normalize(image, dim=1), functional.normalize(text, dim=1)
