"""What is asked of a kind of network, so that all else in this package need not know which kind it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from urbanln.base.errors import ArtefactError, InputError
from urbanln.model.context import own_positions
from urbanln.model.preprocess import Preprocessing
from urbanln.model.source import AGAIN
from urbanln.model.texts import Reading, TextTokens

# Tables of tokens are made longer, so that their rows divide well; by more it is another vocabulary's.
_SPARE_TOKENS = 1024


@dataclass(frozen=True)
class TextTable:
    """Where a text tower keeps a row for each of its positions.

    Args:
        place: Of the module, by its name in the network.
        before: Rows before the first position.
    """

    place: str
    before: int = 0


@dataclass(frozen=True)
class Tower:
    """Parts of a tower, from the input on.

    Args:
        first: What comes before its layers.
        layers: Its layers; none where they were not found.
        whole: All of it, with its projection.
    """

    first: Sequence[nn.Module]
    layers: Sequence[nn.Module]
    whole: Sequence[nn.Module]


class Family(ABC):
    """A kind of network with a tower for pictures and one for texts; without a state.

    Attributes:
        title: What it is called.
        network: Its class in transformers.
        reading: How its text tower reads a row of ids.
        native: Text positions that it was trained with first, where all of its kind were: a longer table was
            stretched by somebody. None where they differ.
        advice: What a card tells those who read texts without this package; empty for what is usual.
        attention: Asked of transformers when it is loaded; None for what its class prefers.
    """

    title: ClassVar[str]
    network: ClassVar[type[Any]]
    reading: ClassVar[Reading]
    native: ClassVar[int | None] = None
    advice: ClassVar[str] = ""
    attention: ClassVar[str | None] = "sdpa"

    @abstractmethod
    def image_features(self, network: Any, pixels: Tensor, kept: Tensor | None) -> Tensor:
        """Vectors of normalised pictures.

        Args:
            network: Whose picture tower runs.
            pixels: float, (B, 3, S, S).
            kept: int64, (B, P), the patches that are read; None for all.

        Returns:
            (B, D), not normalised.
        """

    @abstractmethod
    def text_features(self, network: Any, ids: Tensor, tokens: TextTokens) -> Tensor:
        """Vectors of tokenised texts.

        Args:
            network: Whose text tower runs.
            ids: int64, (B, T), on the CPU or on the network's device.
            tokens: What made them.

        Returns:
            (B, D), not normalised.

        Raises:
            InputError: Ids that this tower cannot read.
        """

    @abstractmethod
    def towers(self, network: Any) -> tuple[Tower, Tower]:
        """The picture tower and the text tower."""

    @abstractmethod
    def dim(self, config: Any) -> int:
        """Length of a vector."""

    def patches(self, network: Any) -> int | None:
        """Patches of a picture; None where a share of them cannot be left out."""
        return None

    def pictures(self, size: int) -> Preprocessing | None:
        """How pictures are prepared where the folder does not say; None where it has to.

        Args:
            size: Edge of the square that the picture tower takes.
        """
        return None

    def picture_size(self, config: Any) -> int | None:
        """Edge of the square that the picture tower takes; None where it takes any."""
        return int(config.vision_config.image_size)

    def table(self, network: Any) -> TextTable | None:
        """Where the text positions are; None where they are no table that is understood."""
        return TextTable("text_model.embeddings.position_embedding")

    def positions(self, config: Any) -> int:
        """Text positions that it reads."""
        text = config.text_config
        return own_positions(type(text).model_type, text.max_position_embeddings, text.pad_token_id)

    def settle(self, network: Any, tokenizer: Any, size: int, where: str) -> None:
        """Check that the parts of a checkpoint belong together, and freeze what plays no part.

        Args:
            network: As it was read.
            tokenizer: As it was read.
            size: Edge of the pictures it is given.
            where: The checkpoint, for errors.

        Raises:
            ArtefactError: A tokenizer of another vocabulary.
            InputError: Towers that give no vectors.
        """
        words = int(network.config.text_config.vocab_size)
        if not words - _SPARE_TOKENS < len(tokenizer) <= words:
            raise ArtefactError(
                "the tokenizer does not belong to this model",
                value=f"{len(tokenizer)} tokens; the text tower has {words}",
                where=where,
                remedy=AGAIN,
            )
        if tokenizer.pad_token_id is None and self.reading != "end":
            raise InputError(
                "the tokenizer has no token to pad with",
                where=where,
                remedy="name its pad_token in tokenizer_config.json",
            )
