"""A CLIP from nothing: a tokenizer of its own, and random weights to pre-train."""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from urbanln.base.errors import InputError
from urbanln.model.clip import LongClip
from urbanln.model.preprocess import Preprocessing

_WORD_END = "</w>"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def train_clip_tokenizer(texts: Iterable[str], vocab_size: int, *, context: int = 77) -> CLIPTokenizer:
    """Learn a byte-level BPE as CLIP's: lower case, ``</w>`` ends a word, BOS and EOT are the largest ids.

    Args:
        texts: What to learn the merges from.
        vocab_size: Tokens at most, at least 514: 256 bytes, the same at a word's end, BOS and EOT. Fewer come
            out when the texts hold no more pairs that occur twice.
        context: ``model_max_length`` of the tokenizer.

    Returns:
        A ``transformers.CLIPTokenizer``; equal for equal texts.

    Raises:
        InputError: ``vocab_size`` below 514.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base = alphabet + [letter + _WORD_END for letter in alphabet]
    room = vocab_size - len(base) - len(_SPECIAL)
    if room < 0:
        raise InputError("a vocabulary holds at least every byte twice and two marks: 514", value=vocab_size)
    like = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(BPE(end_of_word_suffix=_WORD_END))
    learner.normalizer, learner.pre_tokenizer = like.normalizer, like.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=alphabet,
        end_of_word_suffix=_WORD_END,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    pairs = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]][:room]
    # The learner knows only the word ends it has seen. A word that ends otherwise would become the unknown
    # token, which is EOT in CLIP, and cut its caption short: so every byte is there in both forms.
    tokens = dict.fromkeys(base + [first + second for first, second in pairs] + list(_SPECIAL))
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)}, merges=pairs, model_max_length=context
    )


def new_clip(
    tokenizer: CLIPTokenizer,
    *,
    image_size: int,
    patch: int,
    width: int,
    layers: int,
    heads: int,
    dim: int,
    context: int = 77,
    seed: int = 0,
) -> LongClip:
    """A CLIP with random weights, both towers alike, every position trained.

    Args:
        tokenizer: From :func:`train_clip_tokenizer`.
        image_size: Edge of a picture in pixels, a multiple of ``patch``.
        patch: Edge of a patch in pixels.
        width: Width of both towers, a multiple of ``heads``.
        layers: Layers of each tower.
        heads: Attention heads of each layer.
        dim: Length of a vector.
        context: Text positions; 77 as CLIP has, to be stretched later.
        seed: Of the weights; the global generator is left as it was.

    Raises:
        InputError: Sizes that do not divide.
    """
    if image_size % patch or width % heads:
        raise InputError(
            "image_size must be a multiple of patch, and width of heads",
            value=f"image_size={image_size}, patch={patch}, width={width}, heads={heads}",
        )
    tower = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "projection_dim": dim,
    }
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**tower, **ends, "pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
    config = CLIPConfig(
        text_config={**text, "max_position_embeddings": context},
        vision_config={**tower, "image_size": image_size, "patch_size": patch},
        projection_dim=dim,
    )
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIPModel(config)
    return LongClip(clip, tokenizer, Preprocessing(image_size))
