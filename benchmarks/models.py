"""Models to time, and pairs to train them on: no weights are needed to know how fast a network runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from urbanln.base.config import TrainSettings
from urbanln.model.checkpoint import Record
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.preprocess import Preprocessing
from urbanln.model.stretch import ratio_for, stretch_positions
from urbanln.model.vocabulary import clip_tokenizer
from urbanln.train.batches import Pictures, Texts
from urbanln.train.step import Data

SIZES = ("b16", "tiny")
CONTEXT, QUEUE = 248, 4096
_KEEP = 20


def model_of(size: str) -> LongClip:
    """A model by its name in :data:`SIZES`, stretched to 248 text positions, in eval mode on the CPU.

    ``b16`` is a CLIP of the size of ViT-B/16 with random weights, the first 20 of its positions kept and not
    trained, as in the paper; ``tiny`` is the CLIP in the package.
    """
    if size == "tiny":
        return load_clip("tiny")
    config = CLIPConfig(
        text_config=_tower(512, 8, vocab_size=49408, max_position_embeddings=77)
        | {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407},
        vision_config=_tower(768, 12, image_size=224, patch_size=16),
        projection_dim=512,
    )
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip = CLIPModel(config)
    embeddings = clip.text_model.embeddings
    ratio = ratio_for(CONTEXT, 77, _KEEP)
    table = stretch_positions(embeddings.position_embedding.weight, _KEEP, ratio)[:CONTEXT]
    embeddings.position_embedding = nn.Embedding.from_pretrained(table, freeze=False)
    record = Record(keep=_KEEP, ratio=ratio, stretched_from=77)
    return LongClip(clip, clip_tokenizer(), Preprocessing(224), record=record, freeze_head=True).eval()


def _tower(width: int, heads: int, **more: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": 12,
        "num_attention_heads": heads,
        "projection_dim": 512,
        **more,
    }


class _Pairs:
    @staticmethod
    def ids(picture: Any, text: Any, _same: bool = True) -> np.ndarray:
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
    rows = pd.DataFrame({"city": np.zeros(count, dtype=int), "path": ""})
    pictures = Pictures([], rows, model, TrainSettings(workers=workers), pixels)  # type: ignore[arg-type]
    return Data(_Pairs(), pictures, texts, {})  # type: ignore[arg-type]


def random_queue(dim: int) -> tuple[Tensor, Tensor]:
    """A full queue, (K, D) of pictures and of texts: the state that a run spends nearly all its steps in."""
    generator = torch.Generator().manual_seed(3)
    image, text = (torch.randn(QUEUE, dim, generator=generator) for _ in range(2))
    return functional.normalize(image, dim=1), functional.normalize(text, dim=1)
