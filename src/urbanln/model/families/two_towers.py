"""Any two towers: a picture network and a BERT-like text network side by side, run as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ChineseCLIPModel, VisionTextDualEncoderModel

from urbanln.base.errors import ArtefactError, InputError
from urbanln.model.context import is_understood, rows_before
from urbanln.model.families.family import Family, TextTable, Tower
from urbanln.model.source import AGAIN
from urbanln.model.texts import TextTokens


class TwoTowers(Family):
    """``VisionTextDualEncoderModel``: ViT, DINOv2 or CLIP's tower with BERT, RoBERTa and their like."""

    title, network, reading, attention = "two-tower model", VisionTextDualEncoderModel, "mask", None
    advice = "Texts are read with their attention mask, by the network's own forward pass."

    def image_features(self, network: Any, pixels: Tensor, kept: Tensor | None) -> Tensor:
        """As its class's ``get_image_features``."""
        pooled: Tensor = network.get_image_features(pixel_values=pixels).pooler_output
        return pooled

    def text_features(self, network: Any, ids: Tensor, tokens: TextTokens) -> Tensor:
        """As its class's ``get_text_features``, padding masked."""
        ids = ids.to(network.logit_scale.device, non_blocking=True)
        real = ids != tokens.padding  # (B, T)
        if tokens.padding == tokens.tokenizer.eos_token_id:  # the first one behind a text is its end
            real[:, 1:] |= real[:, :-1].clone()
        pooled: Tensor = network.get_text_features(input_ids=ids, attention_mask=real.long()).pooler_output
        return pooled

    def towers(self, network: Any) -> tuple[Tower, Tower]:
        """Layers are the list that has as many as the configuration says."""
        config = network.config
        return (
            _tower(network.vision_model, config.vision_config, network.visual_projection),
            _tower(network.text_model, config.text_config, network.text_projection),
        )

    def dim(self, config: Any) -> int:
        """Both projections' width."""
        return int(config.projection_dim)

    def picture_size(self, config: Any) -> int | None:
        """What its pictures are prepared for: some towers take any size, and the others are tried."""
        return None

    def table(self, network: Any) -> TextTable | None:
        """BERT's rows begin with the first position, RoBERTa's behind its padding token's."""
        text = network.config.text_config
        kind = type(text).model_type  # its class's own: the file may say anything
        if not is_understood(kind):
            return None
        last = "position_embedding" + ("" if kind.startswith(("clip", "siglip")) else "s")
        before = rows_before(kind, text.pad_token_id)
        return TextTable(f"text_model.{_embeddings(network.text_model)}.{last}", before)

    def settle(self, network: Any, tokenizer: Any, size: int, where: str) -> None:
        """Try both towers on a picture and the longest text, and freeze what their vectors do not need.

        DINOv2 keeps a token for masked patches, for example; DDP waits for the gradient of all that trains.
        """
        super().settle(network, tokenizer, size, where)
        theirs = network.config.text_config.pad_token_id
        if theirs is not None and theirs != tokenizer.pad_token_id:
            raise ArtefactError(
                "the tokenizer does not belong to this model",
                value=f"padding {tokenizer.pad_token_id}; the text tower has {theirs}",
                where=where,
                remedy=AGAIN,
            )
        tokens = TextTokens(tokenizer, self.positions(network.config), self.reading)
        try:
            with torch.enable_grad():
                image = self.image_features(network, torch.zeros(1, 3, size, size), None)
                texts = tokens.tokenize(["a road " * tokens.context, "water"])
                text = self.text_features(network, texts, tokens)
        except Exception as error:  # the towers' own, of any kind
            raise InputError(
                f"its towers give no vectors of a picture of {size} × {size} and a text of {tokens.context}",
                value=(str(error).strip() or type(error).__name__).splitlines()[0],
                where=where,
                remedy="give two towers that pool (with a pooler_output, as ViT, DINOv2, BERT and RoBERTa), "
                "and the preprocessor_config.json of the picture tower",
            ) from error
        if torch.equal(text[0], text[1]):  # as of CLIP's text tower, where no text has its end token
            raise ArtefactError(
                "its text tower reads two texts alike: the tokenizer does not belong to this model",
                value=f"end {tokenizer.eos_token_id}; the text tower has "
                f"{network.config.text_config.eos_token_id}",
                where=where,
                remedy=AGAIN,
            )
        needed = {id(weight) for vector in (image, text) for weight in _behind(vector)}
        for weight in network.parameters():
            weight.requires_grad_(id(weight) in needed)
        network.logit_scale.requires_grad_(True)


class ChineseClip(TwoTowers):
    """``ChineseCLIPModel``: CLIP's picture tower, BERT's text tower read at its first token."""

    title, network = "Chinese-CLIP", ChineseCLIPModel

    def picture_size(self, config: Any) -> int:
        """CLIP's picture tower takes one size."""
        return int(config.vision_config.image_size)


def _tower(tower: Any, config: Any, projection: nn.Module) -> Tower:
    wanted = getattr(config, "num_hidden_layers", 0)
    lists = [part for part in tower.modules() if isinstance(part, nn.ModuleList) and len(part) == wanted]
    first = [tower.get_submodule(name)] if (name := _embeddings(tower)) else []
    return Tower(first, list(lists[0]) if lists else [], [tower, projection])


def _embeddings(tower: nn.Module) -> str:
    """Where a tower's embeddings are: older versions of transformers wrap CLIP's towers once more."""
    names = (name for name, _ in tower.named_modules())
    return next((name for name in names if name.rpartition(".")[2] == "embeddings"), "")


def _behind(vector: Tensor) -> Iterator[Tensor]:
    """The weights that a vector was computed from: the leaves of its graph."""
    seen, left = set(), [vector.grad_fn]
    while left:
        step = left.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        if hasattr(step, "variable"):
            yield step.variable
        left += [above for above, _ in step.next_functions]
