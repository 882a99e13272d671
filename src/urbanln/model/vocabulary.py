"""CLIP's own vocabulary, for counting tokens as the published checkpoints do, without any of them."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from transformers import CLIPTokenizer

_MERGES = Path(__file__).with_name("clip_vocabulary") / "merges.txt.gz"
_WORD_END = "</w>"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")


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
def _tables() -> tuple[dict[str, int], list[tuple[str, str]]]:
    merges = []
    for line in gzip.decompress(_MERGES.read_bytes()).decode("utf-8").splitlines():
        first, second = line.split(" ")
        merges.append((first, second))
    letters = _letters()
    tokens = [*letters, *(letter + _WORD_END for letter in letters), *map("".join, merges), *_SPECIAL]
    return {token: index for index, token in enumerate(tokens)}, merges


def _letters() -> list[str]:
    """A visible character for every byte: first the bytes that are one in Latin-1, then stand-ins."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in visible] + [chr(256 + n) for n in range(256 - len(visible))]
