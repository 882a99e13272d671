"""Texts to token ids: a checkpoint's tokenizer with CLIP's way of cutting long texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from urbanln.base.errors import InputError
from urbanln.model.checkpoint import read_tokenizer


class TextTokens:
    """A tokenizer and the number of text positions there are.

    Args:
        tokenizer: The checkpoint's tokenizer, of transformers.
        context: Text positions, counting BOS and EOT.
    """

    def __init__(self, tokenizer: Any, context: int) -> None:
        self.tokenizer = tokenizer
        self.context = context

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if isinstance(texts, str) or len(texts) == 0 or not all(isinstance(text, str) for text in texts):
            raise InputError(
                "expected a non-empty list of texts", value=list(texts) if len(texts) else "nothing"
            )
        ids: list[list[int]] = self.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        return ids

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids, padded to the longest text of the batch.

        Args:
            texts: One or more texts. Tokens past ``context`` are dropped, with EOT kept as the last one.

        Returns:
            int64, (B, T), T <= context.

        Raises:
            InputError: No text, or something that is not text.
        """
        rows = self._ids(texts)
        eot, pad = self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        # Done here and not by the tokenizer, whose truncation and padding are state shared between threads.
        rows = [row if len(row) <= self.context else [*row[: self.context - 1], eot] for row in rows]
        width = max(map(len, rows))
        padding = eot if pad is None else pad
        return torch.tensor([row + [padding] * (width - len(row)) for row in rows], dtype=torch.int64)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before any truncation, BOS and EOT included.

        Raises:
            InputError: No text, or something that is not text.
        """
        return [len(row) for row in self._ids(texts)]


def load_tokenizer(name_or_folder: str | Path = "tiny", *, context: int = 248) -> TextTokens:
    """The tokenizer of a CLIP without its weights, for counting tokens.

    Args:
        name_or_folder: As in :func:`~urbanln.model.clip.load_clip`, or ``"clip"`` for CLIP's own vocabulary,
            which is in the package.
        context: Text positions that ``tokenize`` cuts at.

    Raises:
        InputError: No such folder or name, or no tokenizer there.
        ArtefactError: It is damaged.
    """
    return TextTokens(read_tokenizer(name_or_folder), context)
