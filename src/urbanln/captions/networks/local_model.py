"""Captions by a model on this machine: any image-text-to-text model of transformers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.captions.captioners.base import Answer, Ask, Captioner, Identity, LastingFault, Limits, Picture
from urbanln.captions.captioners.markup import is_thought_mark
from urbanln.captions.networks.pretrained import load_pretrained, revision_of, usual_device
from urbanln.captions.settings import CaptionerSettings

_DECODING = (
    "model", "temperature", "top_p", "seed", "max_tokens", "max_tokens_local", "max_edge", "extra_body",
)  # fmt: skip


@dataclass(frozen=True)
class _Loaded:
    model: Any
    processor: Any
    special: re.Pattern[str]
    dropped: frozenset[int]


class LocalCaptioner(Captioner):
    """Asks a vision-language model of transformers, one question at a time.

    A model with a chat template is asked through it, another with the picture's token before the prompt,
    unless its processor puts that in itself.
    Every question starts from the seed of the settings, so the order of questions does not matter. What looks
    like a special token is taken out of prompts: a caption that says ``<image>`` must not become a second
    picture.

    Args:
        name: Name in the caption table.
        settings: Model, decoding and limits; ``base_url`` and ``key_env`` do not count, ``concurrency`` is 1,
            and ``extra_body`` goes to ``generate``. Temperature 0 decodes greedily.
        device: Of torch; ``None`` takes a GPU where there is one.

    Raises:
        InputError: A hub name without a revision, and the hub cannot say which commit that is now.
    """

    prompted = True

    def __init__(self, name: str, settings: CaptionerSettings, device: str | None = None) -> None:
        kept = settings.model_dump(mode="json")
        revision = settings.revision or revision_of(settings.model, _config(settings.model))
        decoding = {field: kept[field] for field in _DECODING}
        if Path(settings.model).is_dir():
            # A folder may be moved; what is in it is told by the revision.
            decoding["model"] = Path(settings.model).name
        self.identity = Identity(name, revision, decoding)
        limits = {field: kept[field] for field in Limits.__dataclass_fields__}
        # From one seed comes one answer: asking again at once would bring the same.
        self.limits = Limits(**{**limits, "concurrency": 1, "retries": 0})
        self._settings, self._device = settings, usual_device(device)
        self._loaded: _Loaded | None = None
        self._lock = Lock()

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        """Load the model.

        Raises:
            InputError: No such model.
        """
        with self._lock:
            self._load()
        return []

    async def answer(self, ask: Ask) -> Answer:
        """Answer one question, in a thread.

        Raises:
            LastingFault: The model failed on it, for example for want of memory.
            InputError, OSError: The picture cannot be read, or there is no such model.
        """
        return await asyncio.to_thread(self._answer, ask)

    async def close(self) -> None:
        """Let go of the model; the next question loads it again."""
        with self._lock:
            self._loaded = None

    def _load(self) -> _Loaded:
        if self._loaded is None:
            from transformers import AutoModelForImageTextToText, AutoProcessor

            name, revision = self._settings.model, self._settings.revision
            options = {"revision": revision} if revision and not Path(name).is_dir() else {}
            model = load_pretrained(
                AutoModelForImageTextToText, name, "image-text-to-text", dtype="auto", **options
            )
            processor = load_pretrained(AutoProcessor, name, "image-text-to-text", **options)
            if not hasattr(processor, "tokenizer"):
                raise InputError(
                    "this model has no processor for both pictures and text",
                    value=type(processor).__name__,
                    where=name,
                    remedy="take a model of the kind image-text-to-text, with all files of its processor",
                )
            self._loaded = _Loaded(
                model.eval().to(self._device), processor, _special_tokens(processor), _unsaid(processor)
            )
        return self._loaded

    def _answer(self, ask: Ask) -> Answer:
        shown = ask.image()
        edge = self._settings.max_edge
        if max(shown.size) > edge:
            shown.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        began = time.monotonic()
        with self._lock:
            loaded = self._load()
            try:
                text, finish, tokens_in, tokens_out = self._generate(loaded, ask, shown)
            except Exception as error:  # models of others raise whatever they stumble over
                raise LastingFault(
                    "the model failed on this question",
                    value=f"{type(error).__name__}: {error}",
                    where=ask.picture.path,
                    remedy="for want of memory, lower max_edge or take a smaller model",
                ) from error
        cost = self.limits.cost(tokens_in, tokens_out)
        return Answer(text, finish, tokens_in, tokens_out, cost, time.monotonic() - began)

    def _generate(self, loaded: _Loaded, ask: Ask, shown: Image.Image) -> tuple[str, str, int, int]:
        inputs = _inputs(loaded, ask.prompt.text, shown).to(self._device, loaded.model.dtype)
        settings = self._settings
        limit = settings.max_tokens_local if ask.stage == "local" else settings.max_tokens
        how: dict[str, Any] = {"max_new_tokens": limit, "do_sample": settings.temperature > 0}
        if settings.temperature > 0:
            how |= {"temperature": settings.temperature, "top_p": settings.top_p}
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.manual_seed(settings.seed)
            given = loaded.model.generate(**inputs, **how, **settings.extra_body)[0]
        asked = inputs["input_ids"][0] if "input_ids" in inputs else given[:0]
        # Models that only decode give the question back before the answer.
        if len(given) >= len(asked) and torch.equal(given[: len(asked)], asked):
            given = given[len(asked) :]
        finish = "stop" if len(given) < limit or _ended(loaded.model, int(given[-1])) else "length"
        # Marks of thoughts stay in, else a thought would pass for the answer; the judge takes them out.
        dropped = loaded.dropped
        kept = [token for token in given.tolist() if token not in dropped]
        text = loaded.processor.decode(kept, skip_special_tokens=False).strip()
        return text, finish, len(asked), len(given)


def _config(model: str) -> Any:
    """The configuration of a model of the hub, which knows its commit; None for a folder."""
    if Path(model).is_dir():
        return None
    from transformers import AutoConfig

    return load_pretrained(AutoConfig, model, "image-text-to-text")


def _inputs(loaded: _Loaded, prompt: str, shown: Image.Image) -> Any:
    """Tensors of a question: picture and prompt as the model wants them."""
    processor, text = loaded.processor, loaded.special.sub(" ", prompt)
    if getattr(processor, "chat_template", None):
        content = [{"type": "image", "image": shown}, {"type": "text", "text": text}]
        return processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    token = str(getattr(processor, "image_token", None) or "")
    try:
        bare = processor(images=shown, text=text, return_tensors="pt")
        if not token or processor.tokenizer.convert_tokens_to_ids(token) in bare["input_ids"]:
            return bare
    except ValueError:  # some miss the picture's token, others go on without it
        if not token:
            raise
    return processor(images=shown, text=f"{token}\n{text}", return_tensors="pt")


def _special_tokens(processor: Any) -> re.Pattern[str]:
    tokens = {
        getattr(processor, "image_token", None),
        getattr(processor, "boi_token", None),
        *getattr(processor.tokenizer, "all_special_tokens", ()),
        *getattr(processor.tokenizer, "added_tokens_encoder", ()),
    }
    texts = {str(token) for token in tokens if token}
    words = sorted((text for text in texts if text.strip()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words)) or r"(?!)")


def _unsaid(processor: Any) -> frozenset[int]:
    """Ids of special tokens that are no part of what is said; those that mark thoughts are not among them."""
    tokenizer = processor.tokenizer
    pairs = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=False)
    return frozenset(number for number, token in pairs if not is_thought_mark(str(token)))


def _ended(model: Any, last: int) -> bool:
    ends = model.generation_config.eos_token_id
    return last in (ends if isinstance(ends, list) else [ends])
