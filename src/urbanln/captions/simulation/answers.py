"""What a simulated server makes of a request: whose picture it shows, what is asked, and what is answered."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.pictures import open_picture
from urbanln.captions.captioners.base import STAGES, Ask, Box, Prompt, Stage, pictures_of
from urbanln.captions.simulation.scene_captioner import answer_of
from urbanln.captions.simulation.simulated import SIMULATED
from urbanln.city.store import City

_TOKENS_PER_WORD = 1.3
# Large models of today read a square of 28 pixels as one token.
_PATCH_PX = 28
_MANY_PIXELS = 40_000_000


class BadRequest(Exception):
    """The request cannot be answered.

    Args:
        message: Why.
        code: As OpenAI-compatible servers name it.
        status: Of the HTTP answer.
    """

    def __init__(self, message: str, code: str = "invalid_request", status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(frozen=True)
class Request:
    """A request taken apart.

    Attributes:
        model: Name of a simulated captioner.
        ask: What is asked about which picture of the city.
        picture_hash: SHA-256 of the picture as it came.
        picture_tokens: Tokens the picture counts.
        max_tokens: Longest answer; None for no limit.
    """

    model: str
    ask: Ask
    picture_hash: str
    picture_tokens: int
    max_tokens: int | None

    @property
    def prompt_hash(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the prompt."""
        return hash_bytes(self.ask.prompt.text.encode())[:12]

    @property
    def key(self) -> str:
        """For the log: model, stage, the picture's hash and the part, joined by "|"."""
        box = "" if self.ask.box is None else ",".join(f"{edge:.4f}" for edge in self.ask.box)
        return f"{self.model}|{self.ask.stage}|{self.ask.picture.sha256}|{box}"

    def completion(self, text: str, *, cut: bool) -> dict[str, Any]:
        """The body of an answer.

        Args:
            text: The whole text; shortened here where it is over ``max_tokens``.
            cut: It is cut off already.
        """
        words = text.split()
        if self.max_tokens is not None and _tokens(len(words)) > self.max_tokens:
            text, cut = " ".join(words[: max(1, int(self.max_tokens / _TOKENS_PER_WORD))]), True
        tokens_in = _tokens(len(self.ask.prompt.text.split())) + self.picture_tokens
        tokens_out = _tokens(len(text.split()))
        return {
            "id": f"chatcmpl-{self.picture_hash[:12]}{self.prompt_hash}",
            "object": "chat.completion",
            "created": 0,
            "model": self.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "length" if cut else "stop",
                }
            ],
            "usage": {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            },
        }


class Library:
    """The true scenes of a city by the hash of their pictures.

    Args:
        city: A synthetic city.

    Raises:
        InputError: It has no true scenes.
    """

    def __init__(self, city: City) -> None:
        self._pictures = {p.sha256: p for p in pictures_of(city) if p.scene_path is not None}
        if not self._pictures:
            raise InputError(
                "a simulated server needs a synthetic city: no true scenes",
                where=city.folder,
                remedy="make one: urbanln synthetic",
            )
        self.models = {one.name: one for one in SIMULATED}

    def read(self, body: bytes, tag: str | None) -> Request:
        """Take a request apart.

        Args:
            body: As it came.
            tag: The header ``X-Urbanln-Tag``, if there is one: what the picture is, as JSON.

        Raises:
            BadRequest: It is no chat request for one of the models with exactly one valid picture, the tag is
                not understood, or nobody knows the picture.
        """
        try:
            value = json.loads(body)
            model, messages = str(value["model"]), value["messages"]
            most = value.get("max_completion_tokens", value.get("max_tokens"))
            texts, urls = _pieces(messages)
            marks = json.loads(tag) if tag else {}
            limit = None if most is None else int(most)
            prompt = "\n".join(texts)
            prompt.encode()  # half of a surrogate pair is no text
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise BadRequest(f"not a chat request: {error!r}") from error
        if model not in self.models:
            raise BadRequest(f"the model '{model}' does not exist", "model_not_found", 404)
        if len(urls) != 1 or not isinstance(marks, dict):
            raise BadRequest(f"exactly one picture is needed, {len(urls)} came", "invalid_image")
        digest, tokens = _picture(urls[0])
        stage: Stage = marks.get("stage", "describe")
        picture = self._pictures.get(str(marks.get("picture", digest)))
        if stage not in STAGES:
            raise BadRequest(f"no such stage: {stage!r}", "invalid_tag")
        if picture is None:
            raise BadRequest("this picture is not of the city served here", "unknown_image")
        ask = Ask(picture, stage, Prompt(prompt), _box(marks.get("box")))
        return Request(model, ask, digest, tokens, limit)

    def text(self, request: Request) -> str:
        """The answer.

        Raises:
            UrbanLNError: The prompt has not the headings of the package's own, or the city is too old.
        """
        text = answer_of(self.models[request.model], request.ask)
        assert text is not None  # for the type checker: all pictures here have scenes
        return text


def _tokens(words: int) -> int:
    return math.ceil(words * _TOKENS_PER_WORD)


def _pieces(messages: Any) -> tuple[list[str], list[str]]:
    """All texts and all addresses of pictures in the messages."""
    texts, urls = [], []
    for message in messages:
        content = message["content"]
        pieces: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for piece in pieces:
            if piece["type"] == "text":
                texts.append(str(piece["text"]))
            elif piece["type"] == "image_url":
                urls.append(str(piece["image_url"]["url"]))
    return texts, urls


@lru_cache(maxsize=256)
def _picture(url: str) -> tuple[str, int]:
    """Hash and tokens of a picture in a data URL; the same picture is looked at by several models."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise BadRequest("a picture must come as a base64 data URL", "invalid_image")
    try:
        raw = base64.b64decode(data, validate=True)
        image = open_picture(raw, max_pixels=_MANY_PIXELS)
        tokens = math.ceil(image.width / _PATCH_PX) * math.ceil(image.height / _PATCH_PX)
    except (binascii.Error, InputError) as error:
        raise BadRequest(f"not a valid picture: {error}", "invalid_image") from error
    return hash_bytes(raw), tokens


def _box(value: Any) -> Box | None:
    if value is None:
        return None
    inside = isinstance(value, list) and all(isinstance(e, int | float) and 0 <= e <= 1 for e in value)
    if not inside or len(value) != 4:
        raise BadRequest("a box is a list of four numbers from 0 to 1", "invalid_tag")
    left, upper, right, lower = (float(edge) for edge in value)
    return left, upper, right, lower
