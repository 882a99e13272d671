"""Texts to token ids, long ones cut as CLIP does: by a checkpoint's tokenizer, CLIP's own or a new one.

CLIP's own vocabulary is in the package, to count tokens as the published checkpoints do without any of them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor
from transformers import CLIPTokenizer

from urbanln.base.errors import InputError
from urbanln.model.checkpoint import read_tokenizer
from urbanln.model.source import is_vocabulary

_MERGES = Path(__file__).with_name("clip_vocabulary") / "merges.txt.gz"
_WORD_END = "</w>"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")


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
                "expected a non-empty list of texts",
                value=list(texts) if len(texts) else "nothing",
                where="texts",
                remedy="give a list with one text or more",
            )
        # A text that says "<|endoftext|>" shows its letters: it must not end there.
        plain = {"truncation": False, "split_special_tokens": True, "verbose": False}
        rows = self.tokenizer(list(texts), **plain)["input_ids"]
        # What a vocabulary does not know is EOT too in CLIP, and would end the text as well.
        eot = self.tokenizer.eos_token_id
        return [row if row.count(eot) < 2 else _without(row, eot) for row in rows]

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


def _without(row: list[int], eot: int) -> list[int]:
    return [*(token for token in row[:-1] if token != eot), row[-1]]


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
    name = str(name_or_folder)
    return TextTokens(clip_tokenizer() if is_vocabulary(name) else read_tokenizer(name), context)


def clip_tokenizer(*, context: int = 77) -> CLIPTokenizer:
    """The tokenizer of every published CLIP: 49,408 tokens, BOS 49406, EOT 49407.

    Its merges are in the package; ``clip_vocabulary/LICENSE.txt`` says where they come from. Texts are read
    as transformers reads them; open_clip mends broken encodings and HTML entities first.

    Args:
        context: ``model_max_length`` of the tokenizer.

    Source:
        OpenAI CLIP, ``simple_tokenizer.py``.
    """
    vocab, merges = _tables()
    return CLIPTokenizer(vocab=dict(vocab), merges=list(merges), model_max_length=context)


@cache
def _tables() -> tuple[dict[str, int], list[tuple[str, ...]]]:
    lines = gzip.decompress(_MERGES.read_bytes()).decode("utf-8").splitlines()
    merges = [tuple(line.split(" ")) for line in lines]
    # A visible character for every byte: first the bytes that are one in Latin-1, then stand-ins.
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(byte) for byte in visible] + [chr(256 + n) for n in range(256 - len(visible))]
    tokens = [*letters, *(letter + _WORD_END for letter in letters), *map("".join, merges), *_SPECIAL]
    return {token: index for index, token in enumerate(tokens)}, merges


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
        raise InputError(
            "a vocabulary holds at least every byte twice and two marks: 514",
            value=vocab_size,
            where="vocab_size",
            remedy="give 514 or more",
        )
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
