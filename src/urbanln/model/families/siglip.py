"""SigLIP, and SigLIP 2 of fixed resolution: texts are padded to all positions and read at the last one."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch import Tensor
from transformers import SiglipModel

from urbanln.base.errors import InputError
from urbanln.model.context import SIGLIP_POSITIONS
from urbanln.model.families.family import Family, Tower
from urbanln.model.preprocess import Preprocessing
from urbanln.model.texts import TextTokens

_HALF = (0.5, 0.5, 0.5)


class Siglip(Family):
    """``SiglipModel``. Attention looks both ways and at padding too, as in its training: nothing is cut."""

    title, network, reading, native = "SigLIP", SiglipModel, "full", SIGLIP_POSITIONS
    advice = "Texts are read padded to all of them, without a mask: `tokenizer(texts, padding='max_length')`."

    def image_features(self, network: Any, pixels: Tensor, kept: Tensor | None) -> Tensor:
        """As ``SiglipModel.get_image_features``: pooled by the attention of the tower's head."""
        tower = network.vision_model
        if kept is None:
            pooled: Tensor = tower(pixel_values=pixels).pooler_output
            return pooled
        x = tower.embeddings(pixels)  # (B, N, W): patches alone, there is no class token
        x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))
        pooled = tower.head(tower.post_layernorm(tower.encoder(inputs_embeds=x).last_hidden_state))
        return pooled

    def text_features(self, network: Any, ids: Tensor, tokens: TextTokens) -> Tensor:
        """As ``SiglipModel.get_text_features``, without a mask."""
        if ids.shape[1] != tokens.context:
            raise InputError(
                f"this model reads all its {tokens.context} positions, padding too",
                value=tuple(ids.shape),
                remedy="make the ids with model.tokenize, which pads them",
                where="ids",
            )
        ids = ids.to(network.logit_scale.device, non_blocking=True)
        pooled: Tensor = network.text_model(input_ids=ids).pooler_output
        return pooled

    def towers(self, network: Any) -> tuple[Tower, Tower]:
        """Their heads lie inside them."""
        vision, text = network.vision_model, network.text_model
        return (
            Tower([vision.embeddings], vision.encoder.layers, [vision]),
            Tower([text.embeddings], text.encoder.layers, [text]),
        )

    def dim(self, config: Any) -> int:
        """What the text tower's head makes is as wide as the picture tower."""
        return int(config.vision_config.hidden_size)

    def patches(self, network: Any) -> int:
        """All of them: there is no class token."""
        return int(network.vision_model.embeddings.num_patches)

    def pictures(self, size: int) -> Preprocessing:
        """Pictures become squares whatever their shape."""
        return Preprocessing(size, _HALF, _HALF, Image.Resampling.BICUBIC.value, (size, size))

    def settle(self, network: Any, tokenizer: Any, size: int, where: str) -> None:
        """The bias belongs to the sigmoid loss: here it plays no part, and stays as it came."""
        super().settle(network, tokenizer, size, where)
        vision, text = network.config.vision_config, network.config.text_config
        if not getattr(vision, "vision_use_head", True) or text.projection_size != vision.hidden_size:
            raise InputError(
                "the towers of this SigLIP give no vectors that can be compared",
                value=f"{vision.hidden_size} and {text.projection_size} numbers",
                where=where,
                remedy="give a checkpoint with both heads",
            )
        network.logit_bias.requires_grad_(False)
