"""Tokenizers: a checkpoint's, CLIP's own or a new one.

CLIP's own vocabulary is in the package, to count tokens as the published checkpoints do without any of them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

from urbanln.base.errors import InputError
from urbanln.model.checkpoint import read_tokenizer
from urbanln.model.context import CLIP_POSITIONS, natural_context
from urbanln.model.source import is_vocabulary
from urbanln.model.texts import TextTokens

_MERGES = Path(__file__).with_name("clip_vocabulary") / "merges.txt.gz"
_WORD_END = "</w>"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def load_tokenizer(name_or_folder: str | Path = "tiny") -> TextTokens:
    """The tokenizer of a base without its weights, for counting tokens.

    Args:
        name_or_folder: As in :func:`~urbanln.model.clip.load_clip`, or ``"clip"`` for CLIP's own vocabulary,
            which is in the package. Texts are cut at the positions that ``load_clip`` gives it.

    Raises:
        InputError: No such folder or name, or no tokenizer there.
        ArtefactError: It is damaged.
    """
    name = str(name_or_folder)
    if is_vocabulary(name):
        return TextTokens(clip_tokenizer(), natural_context(CLIP_POSITIONS))
    return read_tokenizer(name)


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
