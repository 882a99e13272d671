"""Folders of bases other than CLIP: the real classes with random weights, tokenizers made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BitImageProcessorPil,
    ChineseCLIPConfig,
    ChineseCLIPImageProcessorPil,
    ChineseCLIPModel,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPVisionConfig,
    Dinov2Config,
    DistilBertConfig,
    ErnieConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    ViTConfig,
    ViTImageProcessorPil,
)  # fmt: skip

from urbanln.model.tokens import train_clip_tokenizer

TEXTS = [
    "a park beside a river, with tall trees and a footpath",
    "the apartment blocks stand north of the avenue; their roofs are grey",
    "dark dim bright red green blue yellow ground, roofs above water, water above roofs seen from above: and",
    "some trees there is land; it is satellite street number 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
]
_TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_VISIONS = {"vit": ViTConfig, "dinov2": Dinov2Config, "clip": CLIPVisionConfig}
_TEXTS = {
    "bert": BertConfig, "roberta": RobertaConfig, "clip": CLIPTextConfig, "distilbert": DistilBertConfig,
    "ernie": ErnieConfig,
}  # fmt: skip


def make_siglip(folder: Path, *, second: bool = False, layers: int = 2) -> Path:
    """A SigLIP of 16-pixel pictures; ``second`` has a tokenizer of SigLIP 2's kind, where padding is 0."""
    tokenizer, tower = _gemma_like() if second else _sentence_pieces(), _TOWER | {"num_hidden_layers": layers}
    config = SiglipConfig(
        text_config={
            **tower, "vocab_size": len(tokenizer), "max_position_embeddings": 64,
            "bos_token_id": None, "eos_token_id": 1,
        },
        vision_config={**tower, "image_size": 16, "patch_size": 8},
    )  # fmt: skip
    torch.manual_seed(3)
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


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Noise."""
    draw = torch.Generator().manual_seed(seed)
    return Image.fromarray(torch.randint(0, 256, (height, width, 3), generator=draw).byte().numpy())


def pictures_of(folder: Path) -> Any:
    """The processor that a folder names, as it is without torchvision."""
    kind = json.loads((folder / "preprocessor_config.json").read_text())["image_processor_type"]
    return getattr(transformers, kind.removesuffix("Pil") + "Pil").from_pretrained(folder)


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
        model_max_length=64,
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
        padding_side="right", model_max_length=64,
    )  # fmt: skip


def make_two_towers(
    folder: Path, vision: str = "vit", text: str = "bert", *, rows: int = 514, layers: int = 2
) -> Path:
    """A picture tower and a text tower side by side, in transformers' class for any two.

    Args:
        folder: Where to.
        vision: ``"vit"``, ``"dinov2"`` or ``"clip"``; pictures of 16 pixels, and DINOv2 was trained at 28.
        text: ``"bert"``, ``"roberta"``, ``"clip"``, ``"ernie"`` (whose positions are not understood) or
            ``"distilbert"`` (which does not pool).
        rows: Of the text tower's table of positions.
        layers: Of each tower.
    """
    tokenizer = train_clip_tokenizer(TEXTS, 600) if text == "clip" else _word_pieces(text == "roberta")
    marks = {name: getattr(tokenizer, name) for name in ("pad_token_id", "eos_token_id")}
    tower = _TOWER | {"num_hidden_layers": layers}
    words = {**tower, **marks, "vocab_size": len(tokenizer), "max_position_embeddings": rows}
    pictures = {**tower, "image_size": 28 if vision == "dinov2" else 16, "patch_size": 4}
    config = VisionTextDualEncoderConfig.from_vision_text_configs(
        _VISIONS[vision](**pictures),
        _TEXTS[text](**words),
        projection_dim=16,
    )
    square = {"height": 16, "width": 16}
    processor = {
        "vit": ViTImageProcessorPil(size=square),
        "dinov2": BitImageProcessorPil(size={"shortest_edge": 18}, crop_size=square),
        "clip": CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=square),
    }[vision]
    return _saved(folder, VisionTextDualEncoderModel, config, tokenizer, processor)


def make_chinese_clip(folder: Path) -> Path:
    """A Chinese-CLIP that knows English words."""
    tokenizer = _word_pieces()
    config = ChineseCLIPConfig(
        text_config={**_TOWER, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id},
        vision_config={**_TOWER, "image_size": 16, "patch_size": 4},
        projection_dim=16,
    )
    processor = ChineseCLIPImageProcessorPil(size={"height": 16, "width": 16}, do_center_crop=False)
    return _saved(folder, ChineseCLIPModel, config, tokenizer, processor)


def _saved(folder: Path, network: Any, config: Any, tokenizer: Any, processor: Any) -> Path:
    torch.manual_seed(3)
    made = network(config)
    with torch.no_grad():  # with the first weights of these classes pictures and words hardly matter
        for weight in made.parameters():
            if weight.ndim >= 2:
                weight.normal_(std=0.3)
    for part in (made, tokenizer, processor):
        part.save_pretrained(folder)
    return folder


def _word_pieces(roberta: bool = False) -> PreTrainedTokenizerFast:
    """As BERT's, or with RoBERTa's marks and numbers."""
    plain = Tokenizer(models.WordPiece(unk_token="<unk>" if roberta else "[UNK]"))
    plain.normalizer = normalizers.BertNormalizer()
    plain.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    marks = ["<s>", "<pad>", "</s>", "<unk>"] if roberta else ["[CLS]", "[PAD]", "[SEP]", "[UNK]"]
    first, pad, last, unknown = marks
    marks = marks if roberta else [pad, unknown, first, last]  # padding is 1 in RoBERTa's, 0 in BERT's
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=marks, show_progress=False)
    plain.train_from_iterator(TEXTS, trainer)
    ends = [(token, plain.token_to_id(token)) for token in (first, last)]
    plain.post_processor = processors.TemplateProcessing(f"{first} $A {last}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, cls_token=first, sep_token=last, pad_token=pad, unk_token=unknown,
        **({"bos_token": first, "eos_token": last} if roberta else {}),
    )  # fmt: skip
