"""CLIP: causal text, read at its end token; its towers' own fast path."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import CLIPModel

from urbanln.base.errors import ArtefactError, InputError
from urbanln.model.context import CLIP_POSITIONS
from urbanln.model.families.family import Family, Tower
from urbanln.model.preprocess import Preprocessing
from urbanln.model.source import AGAIN
from urbanln.model.texts import TextTokens
from urbanln.model.towers import image_features, text_features

_LEGACY_EOS = 2


class Clip(Family):
    """``CLIPModel``."""

    title, network, reading, native = "CLIP", CLIPModel, "end", CLIP_POSITIONS

    def image_features(self, network: Any, pixels: Tensor, kept: Tensor | None) -> Tensor:
        """As ``CLIPModel.get_image_features``."""
        return image_features(network, pixels, kept)

    def text_features(self, network: Any, ids: Tensor, tokens: TextTokens) -> Tensor:
        """As ``CLIPModel.get_text_features``, each text read up to its end token only.

        Attention is causal and the vector is read there, so what follows cannot change it.
        """
        # Not the configuration's: those of 2021 to 2023 name 2, for the largest id, which is not EOT where
        # tokens were added to the vocabulary.
        at = ids == tokens.end  # (B, T)
        if not bool(at.any(dim=1).all()):
            raise InputError(
                "a text has no end-of-text token, so there is no place to read its vector",
                value=f"row {int((~at.any(dim=1)).nonzero()[0])}",
                remedy="make the ids with model.tokenize, which keeps it when it truncates",
                where="ids",
            )
        return text_features(network, ids, (at.int().argmax(dim=1) + 1).tolist())

    def towers(self, network: Any) -> tuple[Tower, Tower]:
        """Pictures are normalised before the first layer."""
        vision, text = network.vision_model, network.text_model
        return (
            Tower(
                [vision.embeddings, vision.pre_layrnorm],
                vision.encoder.layers,
                [vision, network.visual_projection],
            ),
            Tower([text.embeddings], text.encoder.layers, [text, network.text_projection]),
        )

    def dim(self, config: Any) -> int:
        """Both projections' width."""
        return int(config.projection_dim)

    def patches(self, network: Any) -> int:
        """All but the class token."""
        return int(network.vision_model.embeddings.num_patches)

    def pictures(self, size: int) -> Preprocessing:
        """Many CLIP folders come without the file; their pictures are normalised as CLIP's are."""
        return Preprocessing(size)

    def settle(self, network: Any, tokenizer: Any, size: int, where: str) -> None:
        """Where the tokenizer ends a text, the model is read."""
        text, eot = network.config.text_config, tokenizer.eos_token_id
        # Configurations of 2021 to 2023 name 2 although their tokenizers write 49407. transformers takes it
        # for "the largest id of the text", which is another token where some were added to the vocabulary.
        if len(tokenizer) > text.vocab_size or text.eos_token_id not in (_LEGACY_EOS, eot):
            raise ArtefactError(
                "the tokenizer does not belong to this model",
                value=f"{len(tokenizer)} tokens, EOT {eot}; the model has {text.vocab_size}, "
                f"{text.eos_token_id}",
                where=where,
                remedy=AGAIN,
            )
        # Whoever reads the folder that is saved reads its texts at the same place.
        text.eos_token_id = network.text_model.eos_token_id = eot
