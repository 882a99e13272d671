"""Captions by a model behind any OpenAI-compatible server: vLLM, llama.cpp, Ollama, or a hosted one."""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from urbanln.base.errors import InputError, printable, require
from urbanln.captions.captioners.base import (
    Answer,
    Ask,
    Captioner,
    CaptionerFault,
    Identity,
    LastingFault,
    Limits,
    PassingFault,
    Picture,
)
from urbanln.captions.captioners.sending import data_url, is_near, server_url
from urbanln.captions.settings import CaptionerSettings

if TYPE_CHECKING:
    import openai

TAG_HEADER = "X-Urbanln-Tag"
"""Header that says which picture, stage and part a request is about, where a setting asks for it."""

_QUOTED = 4096  # more than is shown of a broken answer, so that no key is cut in two before it is hidden
_MOST_TOKENS = 1_000_000_000  # of an answer: more is nonsense
_DECODING = (
    "model",
    "temperature",
    "top_p",
    "seed",
    "max_tokens",
    "max_tokens_local",
    "max_edge",
    "extra_body",
    "omit",
)

_LONGEST = 300
_PASSING = (408, 409, 425, 429)
_USED_UP = re.compile(r"insufficient_quota|exceeded your current quota|billing", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"model_not_found|model\b.{0,120}\b(?:not (?:found|exist)|does not exist)", re.IGNORECASE
)


class ServerCaptioner(Captioner):
    """Asks a model behind an OpenAI-compatible server (``POST BASE_URL/chat/completions``).

    It tries once: trying again is the desk's business. The key is read from the environment at the first
    question and is in nothing this class says or shows.

    Args:
        name: Name in the caption table.
        settings: Model, address, decoding and limits.
        env: Where the key's variable is looked up.

    Raises:
        InputError: The server's address is none.
    """

    prompted = True

    def __init__(self, name: str, settings: CaptionerSettings, env: Mapping[str, str] = os.environ) -> None:
        self._host = server_url(settings.base_url).hostname or ""
        self.remote = None if is_near(self._host) else settings.base_url
        self._settings, self._env = settings, env
        self._client: openai.AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        kept = settings.model_dump(mode="json")
        self.identity = Identity(name, settings.revision, {field: kept[field] for field in _DECODING})
        self.limits = Limits(**{field: kept[field] for field in Limits.__dataclass_fields__})

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        """Check that the client is installed and the key is there.

        Raises:
            InputError: The variable that should hold the key is not set.
            MissingExtraError: The package ``openai`` is not installed.
        """
        require("openai")
        self._key()
        return []

    async def answer(self, ask: Ask) -> Answer:
        """Send one question.

        Raises:
            PassingFault: Too many requests, a server error, no answer in time, a dropped connection, or an
                answer that is none.
            LastingFault: The server refuses this question, or (``whole``) every question.
            OSError, InputError: The picture cannot be read, or the key is missing.
        """
        client = self._connected()
        url = await asyncio.to_thread(data_url, ask, self._settings.max_edge)
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                body = await self._send(client, ask, url)
        except TimeoutError:
            raise PassingFault(f"no answer within {self._settings.timeout_s:g} s", where=self._host) from None
        return self._read(body, time.monotonic() - began)

    async def close(self) -> None:
        """Close all connections; the next question opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()

    def _key(self) -> str:
        name = self._settings.key_env
        if not name:
            return "none"  # servers of one's own take any
        key = self._env.get(name, "").strip()
        if not key:
            raise InputError(
                f"the environment variable {name} should hold the server's key, and is not set",
                where=f"captioner {self.identity.name}",
                remedy=f"export {name}=… before running this command",
            )
        if not (key.isascii() and key.isprintable()):
            raise InputError(
                f"what the environment variable {name} holds cannot be a key: it has odd characters"
            )
        return key

    def _connected(self) -> openai.AsyncOpenAI:
        """The client of the running event loop: a connection cannot be used in another loop."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            library = require("openai")
            # Redirections could lead pictures out of this network, and a proxy is for what lies beyond it.
            http = library.DefaultAsyncHttpxClient(
                follow_redirects=False, trust_env=self.remote is not None, timeout=self._settings.timeout_s
            )
            self._client = library.AsyncOpenAI(
                api_key=self._key(),
                base_url=self._settings.base_url,
                max_retries=0,
                http_client=http,
                # The library takes these from the environment and would tell them to any server.
                default_headers={"OpenAI-Organization": library.omit, "OpenAI-Project": library.omit},
            )
            self._loop = loop
        return self._client

    async def _send(self, client: openai.AsyncOpenAI, ask: Ask, url: str) -> bytes:
        """The server's answer as it came: it is read by ourselves, since a broken one is a fault as well."""
        s, library = self._settings, require("openai")
        content: list[Any] = [{"type": "image_url", "image_url": {"url": url}}]
        decoding: dict[str, Any] = {
            "temperature": s.temperature,
            "top_p": s.top_p,
            "seed": s.seed,
            s.max_tokens_field: s.max_tokens_local if ask.stage == "local" else s.max_tokens,
        }
        if ask.prompt.text:
            content.append({"type": "text", "text": ask.prompt.text})
        try:
            raw = await client.chat.completions.with_raw_response.create(
                model=s.model,
                messages=[{"role": "user", "content": content}],
                **{name: value for name, value in decoding.items() if name not in s.omit},
                extra_body=s.extra_body or None,
                extra_headers={TAG_HEADER: _tag(ask)} if s.tag_requests else None,
            )
        except library.APITimeoutError:
            raise PassingFault("no answer in time", where=self._host) from None
        except library.APIConnectionError as error:
            reason = type(error.__cause__ or error).__name__
            raise PassingFault(f"the connection failed ({reason})", where=self._host) from None
        except library.APIStatusError as error:
            said = quoted(error.body, hide=self._key())
            raise fault_of_status(error.status_code, said, error.response.headers, self._host) from None
        return raw.content

    def _read(self, body: bytes, seconds: float) -> Answer:
        try:
            found = json.loads(body)
            choice = found["choices"][0]
            message = choice["message"]
            text = message.get("content") or message.get("refusal") or ""
            usage = found.get("usage") or {}
            if isinstance(text, list):  # some servers answer in parts
                text = "".join(part.get("text", "") for part in text)
            if not isinstance(text, str):
                raise TypeError(type(text).__name__)
            tokens = (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            start = quoted(body[:_QUOTED].decode("utf-8", "replace"), hide=self._key())
            raise PassingFault(
                "the answer is no chat completion", value=start or type(error).__name__, where=self._host
            ) from None
        finish = choice.get("finish_reason")
        cost = self.limits.cost(*tokens)
        return Answer(text, finish if isinstance(finish, str) else "", *tokens, cost, seconds)


def parse_server_spec(text: str) -> tuple[str, CaptionerSettings]:
    """Name and settings of a captioner given in one word on the command line.

    Args:
        text: ``openai:MODEL@URL``, or ``openai:MODEL`` for the default address. The captioner is named by the
            last part of the model's name.

    Raises:
        InputError: No model, or no address after the ``@``.

    Example:
        >>> name, settings = parse_server_spec("openai:Qwen/Qwen2.5-VL-7B@http://gpu:8000/v1")
        >>> name, settings.model, settings.base_url
        ('Qwen2.5-VL-7B', 'Qwen/Qwen2.5-VL-7B', 'http://gpu:8000/v1')
    """
    rest = text.removeprefix("openai:").strip()
    model, at, url = rest.rpartition("@") if re.search(r"@https?://", rest) else (rest, "", "")
    name = re.sub(r"[^\w.+-]+", "-", model.rstrip("/").rpartition("/")[2]).strip("-")
    if not name:
        raise InputError(
            "a server needs the name of a model",
            value=text,
            remedy="write openai:MODEL@URL, for example openai:my-model@http://localhost:8000/v1",
        )
    if at:
        server_url(url)
        return name, CaptionerSettings(model=model, base_url=url)
    return name, CaptionerSettings(model=model)


def _tag(ask: Ask) -> str:
    box = None if ask.box is None else [round(edge, 6) for edge in ask.box]
    return json.dumps({"picture": ask.picture.sha256, "stage": ask.stage, "box": box})


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= _MOST_TOKENS else None


def fault_of_status(status: int, said: str, headers: Mapping[str, str], host: str) -> CaptionerFault:
    """The fault an HTTP status stands for.

    Args:
        status: 3xx, 4xx or 5xx.
        said: What the server said about it, see :func:`quoted`.
        headers: Of the answer; ``retry-after`` counts.
        host: Told as the place where it happened.

    Returns:
        Passing for 408, 409, 425, 429 and 5xx. Lasting for the rest; of these 401, 403, 404, redirections, a
        used-up account and an unknown model would be the same for every question.
    """
    what = f"the server answered {status}"
    value = said or None
    if status == 429 and _USED_UP.search(said):
        return LastingFault(what + ": the account is used up", whole=True, value=value, where=host)
    if status in _PASSING or status >= 500:
        wait = retry_after_s(headers.get("retry-after"))
        return PassingFault(what, retry_after=wait, value=value, where=host)
    if status in (401, 403):
        what, remedy = what + ": the key is missing or wrong", "name the key's variable as key_env and set it"
        return LastingFault(what, whole=True, value=value, where=host, remedy=remedy)
    if status == 404 or _NO_MODEL.search(said):
        what, remedy = what + ": no such model or address", "check model and base_url (it often ends in /v1)"
        return LastingFault(what, whole=True, value=value, where=host, remedy=remedy)
    return LastingFault(what, whole=status < 400, value=value, where=host)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header: a number or an HTTP date; None where it says nothing.

    Example:
        >>> retry_after_s("1.5"), retry_after_s("soon")
        (1.5, None)
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            then = email.utils.parsedate_to_datetime(header)
        except (ValueError, TypeError):
            return None
        then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
        seconds = (then - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def quoted(body: object, hide: str) -> str:
    """What a server said, in one short printable line, the key taken out: some servers repeat it.

    Args:
        body: Text, or what was read from JSON.
        hide: The key.
    """
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body, ensure_ascii=False)
    # A server may show its start and end only: "sk-ab…yz".
    for secret in (hide, *((hide[:8], hide[-4:]) if len(hide) >= 16 else ())):
        text = text.replace(secret, "…") if len(hide) > 4 else text
    text = printable(" ".join(text.split()))
    return text[:_LONGEST] + (" …" if len(text) > _LONGEST else "")
