"""Models to time: no weights are needed to know how fast a network runs, so theirs are random."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel

from urbanln.model.checkpoint import Record
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.preprocess import Preprocessing
from urbanln.model.stretch import ratio_for, stretch_positions
from urbanln.model.tokens import clip_tokenizer

SIZES = ("b16", "tiny")
_KEEP = 20


def vit_b16(context: int = 248, *, seed: int = 0) -> LongClip:
    """A CLIP of the size of ViT-B/16 with random weights, its 77 text positions stretched as in the paper.

    Args:
        context: Text positions after stretching; the first 20 are kept and do not train.
        seed: Of the weights; the global generator is left as it was.

    Returns:
        The model in fp32, in eval mode, on the CPU.
    """
    config = CLIPConfig(
        text_config=_tower(512, 8, vocab_size=49408, max_position_embeddings=77)
        | {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407},
        vision_config=_tower(768, 12, image_size=224, patch_size=16),
        projection_dim=512,
    )
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIPModel(config)
    embeddings = clip.text_model.embeddings
    ratio = ratio_for(context, 77, _KEEP)
    table = stretch_positions(embeddings.position_embedding.weight, _KEEP, ratio)[:context]
    embeddings.position_embedding = nn.Embedding.from_pretrained(table, freeze=False)
    record = Record(keep=_KEEP, ratio=ratio, stretched_from=77)
    return LongClip(clip, clip_tokenizer(), Preprocessing(224), record=record, freeze_head=True).eval()


def tiny() -> LongClip:
    """The CLIP in the package, stretched to 248 text positions."""
    return load_clip("tiny")


def model_of(size: str) -> LongClip:
    """A model by its name in :data:`SIZES`."""
    return vit_b16() if size == "b16" else tiny()


def _tower(width: int, heads: int, **more: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": 12,
        "num_attention_heads": heads,
        "projection_dim": 512,
        **more,
    }
