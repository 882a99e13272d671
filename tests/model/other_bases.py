"""Folders of bases other than CLIP: the real classes with random weights, tokenizers made on the spot."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

TEXTS = [
    "a park beside a river, with tall trees and a footpath",
    "the apartment blocks stand north of the avenue; their roofs are grey",
    "dark dim bright red green blue yellow ground, roofs above water, water above roofs seen from above: and",
    "some trees there is land; it is satellite street number 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
]
_TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def make_siglip(folder: Path, *, second: bool = False, positions: int = 64, seed: int = 3) -> Path:
    """A SigLIP of 16-pixel pictures; ``second`` has a tokenizer of SigLIP 2's kind, where padding is 0."""
    tokenizer = _gemma_like() if second else _sentence_pieces()
    config = SiglipConfig(
        text_config={
            **_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": positions,
            "bos_token_id": None, "eos_token_id": 1,
        },
        vision_config={**_TOWER, "image_size": 16, "patch_size": 8},
    )  # fmt: skip
    torch.manual_seed(seed)
    network = SiglipModel(config)
    with torch.no_grad():
        network.logit_scale.fill_(2.3)
        network.logit_bias.fill_(-10)
        # As wide as trained ones: with their first values positions would hardly matter.
        network.text_model.embeddings.position_embedding.weight.normal_()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SiglipImageProcessorPil(
        size={"height": 16, "width": 16}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(folder)
    return folder


def _sentence_pieces() -> PreTrainedTokenizerFast:
    """As T5's and SigLIP's: pieces with their probabilities, the text's end is the padding too."""
    plain = Tokenizer(models.Unigram())
    plain.normalizer = normalizers.Lowercase()
    plain.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    plain.train_from_iterator(
        TEXTS,
        trainers.UnigramTrainer(
            vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    plain.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="</s>", pad_token="</s>", unk_token="<unk>",
        model_input_names=["input_ids"], model_max_length=64,
    )  # fmt: skip


def _gemma_like() -> PreTrainedTokenizerFast:
    """As Gemma's in SigLIP 2: byte-pair pieces, ``<pad>`` 0, ``<eos>`` 1 ends a text, nothing opens it."""
    plain = Tokenizer(models.BPE(unk_token="<unk>"))
    plain.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    plain.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    )
    plain.post_processor = processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<eos>", bos_token="<bos>", pad_token="<pad>", unk_token="<unk>",
        padding_side="right", model_input_names=["input_ids"], model_max_length=64,
    )  # fmt: skip
