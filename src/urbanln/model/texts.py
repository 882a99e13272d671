"""Texts to rows of token ids, long ones cut as their model's authors cut them, padded as it reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from urbanln.base.errors import InputError

Reading = Literal["end", "full", "mask"]
"""How a text tower reads a row of ids. ``"end"``: up to its end token, behind which it does not look (CLIP).
``"full"``: all positions, padding too (SigLIP). ``"mask"``: padding is masked (BERT)."""

_PIECE = 4096  # texts tokenized at once
Row = Sequence[int] | npt.NDArray[np.int32]


class TextTokens:
    """A tokenizer, the number of text positions there are, and how they are read.

    Args:
        tokenizer: The checkpoint's tokenizer, of transformers.
        context: Text positions, counting the tokens that open and end a text.
        reading: How the text tower reads a row.
    """

    def __init__(self, tokenizer: Any, context: int, reading: Reading = "end") -> None:
        self.tokenizer = tokenizer
        self.context = context
        self.reading = reading

    @property
    def end(self) -> int:
        """The token that ends a text, of a model that has one."""
        return int(self.tokenizer.eos_token_id)

    @property
    def padding(self) -> int:
        """What stands behind shorter texts."""
        pad = self.tokenizer.pad_token_id
        return self.end if pad is None else int(pad)

    @property
    def padding_in_front(self) -> int:
        """What pushes a text back. In most CLIP folders padding ends a text; OpenAI's code pads with 0."""
        return 0 if self.reading == "end" and self.padding == self.end else self.padding

    @property
    def frame(self) -> tuple[int, int]:
        """How many tokens the tokenizer puts before a text and behind it."""
        whole, inner = (self._raw(["a"], add_special_tokens=framed)[0] for framed in (True, False))
        before = next(n for n in range(len(whole)) if whole[n : n + len(inner)] == inner)
        return before, len(whole) - len(inner) - before

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, not padded.

        Args:
            texts: One or more. Tokens past ``context`` are dropped, with the one that ends a text kept.

        Raises:
            InputError: No text, or something that is not text.
        """
        # Done here and not by the tokenizer, whose truncation and padding are state shared between threads.
        return [self._cut(row) for row in self._ids(texts)]

    def padded(self, rows: Sequence[Row]) -> Tensor:
        """Rows of ids as one tensor.

        Args:
            rows: From :meth:`rows`, one or more.

        Returns:
            int64, (B, T): T the longest row, or the context where padding is read too.
        """
        full = self.reading == "full"
        width = self.context if full else max(map(len, rows))
        left = full and self.tokenizer.padding_side == "left"
        out = np.full((len(rows), width), self.padding, dtype=np.int64)
        for i, row in enumerate(rows):
            start = width - len(row) if left else 0
            out[i, start : start + len(row)] = row
        return torch.from_numpy(out)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids, padded.

        Args:
            texts: One or more texts. Tokens past ``context`` are dropped, with the one that ends a text kept.

        Returns:
            int64, (B, T), T <= context.

        Raises:
            InputError: No text, or something that is not text.
        """
        return self.padded(self.rows(texts))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before any truncation, those that open and end it included.

        Raises:
            InputError: No text, or something that is not text.
        """
        _check_texts(texts)
        # The tokenizer's own notes on each token take 100 bytes: in pieces they are soon gone again.
        pieces = (texts[at : at + _PIECE] for at in range(0, len(texts), _PIECE))
        return [len(row) for piece in pieces for row in self._ids(piece)]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        _check_texts(texts)
        rows = self._raw(texts)
        if self.reading != "end":
            return rows
        # What a vocabulary does not know is EOT too in CLIP, and would end the text as well.
        return [row if row.count(self.end) < 2 else _without(row, self.end) for row in rows]

    def _raw(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[list[int]]:
        # A text that says "<|endoftext|>" shows its letters: it must not end there.
        plain = {"truncation": False, "split_special_tokens": True, "verbose": False}
        found = self.tokenizer(list(texts), add_special_tokens=add_special_tokens, **plain)["input_ids"]
        return [list(row) for row in found]

    def _cut(self, row: list[int]) -> list[int]:
        if len(row) <= self.context:
            return row
        last = row[-1:] if row[-1] in self.tokenizer.all_special_ids else []
        return [*row[: self.context - len(last)], *last]


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str) or len(texts) == 0 or not all(isinstance(text, str) for text in texts):
        raise InputError(
            "expected a non-empty list of texts",
            value=list(texts) if len(texts) else "nothing",
            where="texts",
            remedy="give a list with one text or more",
        )


def _without(row: list[int], eot: int) -> list[int]:
    return [*(token for token in row[:-1] if token != eot), row[-1]]
