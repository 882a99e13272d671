"""Captions by a model behind any OpenAI-compatible server: vLLM, llama.cpp, Ollama, or a hosted one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from urbanln.base.errors import InputError, require
from urbanln.captions.captioners.answers import read_message, require_answer
from urbanln.captions.captioners.base import (
    Answer,
    Ask,
    Captioner,
    CaptionerFault,
    Identity,
    Limits,
    PassingFault,
    Picture,
)
from urbanln.captions.captioners.sending import data_url, is_near, server_url
from urbanln.captions.captioners.server_faults import fault_of_status, quoted
from urbanln.captions.settings import CaptionerSettings

if TYPE_CHECKING:
    import openai

TAG_HEADER = "X-Urbanln-Tag"
"""Header that says which picture, stage and part a request is about, where a setting asks for it."""

MOST_BYTES = 4 * 2**20
"""Of an answer's body: one that is longer is not read on. The longest thoughts are a tenth of it."""

_LATER = "run the same command again later; it goes on"
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
        address = server_url(settings.base_url)
        self._host = address.netloc  # as faults tell it
        self.remote = None if is_near(address.hostname or "") else settings.base_url
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

        Returns:
            The answer as it came, its thoughts marked (see :mod:`.answers`).

        Raises:
            PassingFault: Too many requests, a server error, no answer in time, a dropped connection, or an
                answer that is none: broken, longer than ``MOST_BYTES``, empty, a thought alone, or ended by
                an error.
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
            raise PassingFault(
                f"no answer within {self._settings.timeout_s:g} s",
                where=self._host,
                remedy="raise timeout_s, or lower concurrency",
            ) from None
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
                f"what the environment variable {name} holds cannot be a key: it has odd characters",
                where=f"captioner {self.identity.name}",
                remedy=f"export {name}=… with the key alone",
            )
        return key

    def _connected(self) -> openai.AsyncOpenAI:
        """The client of the running event loop: a connection cannot be used in another loop."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            library = require("openai")
            # Redirections could lead pictures out of this network, and a proxy is for what lies beyond it.
            http = library.DefaultAsyncHttpxClient(
                follow_redirects=False,
                trust_env=self.remote is not None,
                timeout=self._settings.timeout_s,
                event_hooks={"response": [self._refused]},
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

    async def _refused(self, response: Any) -> None:
        """Of an answer that is an error, read no more than is told; the client would read all of it."""
        if response.status_code >= 300:
            start = await self._body(response.aiter_bytes(), _QUOTED, whole=False)
            said = quoted(start.decode("utf-8", "replace"), hide=self._key())
            raise fault_of_status(response.status_code, said, response.headers, self._host)

    async def _body(self, parts: AsyncIterator[bytes], most: int, *, whole: bool = True) -> bytes:
        body = bytearray()
        try:
            async for part in parts:
                body += part
                if len(body) > most:
                    break
        except Exception as error:  # of the client's HTTP library, which differs between its versions
            reason = f"the connection failed ({type(error).__name__})"
            raise PassingFault(reason, where=self._host, remedy=_LATER) from None
        if whole and len(body) > most:
            raise PassingFault(
                f"the answer is longer than {most // 2**20} MiB and was not read on",
                where=self._host,
                remedy="check that base_url is the address of a model",
            )
        return bytes(body[:most])

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
        asked = client.chat.completions.with_streaming_response.create(
            model=s.model,
            messages=[{"role": "user", "content": content}],
            **{name: value for name, value in decoding.items() if name not in s.omit},
            extra_body=s.extra_body or None,
            extra_headers={TAG_HEADER: _tag(ask)} if s.tag_requests else None,
        )
        try:
            async with asked as raw:
                return await self._body(raw.iter_bytes(), MOST_BYTES)
        except library.APITimeoutError:
            raise PassingFault(
                "no answer in time", where=self._host, remedy="raise timeout_s, or lower concurrency"
            ) from None
        except library.APIConnectionError as error:
            if isinstance(error.__cause__, CaptionerFault):  # older versions wrap ours
                raise error.__cause__ from None
            reason = type(error.__cause__ or error).__name__
            raise PassingFault(
                f"the connection failed ({reason})",
                where=self._host,
                remedy="check that the server runs and that base_url is its address",
            ) from None

    def _read(self, body: bytes, seconds: float) -> Answer:
        try:
            found = json.loads(body)
            if found.get("error") or not found.get("choices"):
                self._refuse_error(found)
            choice = found["choices"][0]
            text, refusal = read_message(choice["message"])
            usage = found.get("usage") or {}
            tokens = (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            start = quoted(body[:_QUOTED].decode("utf-8", "replace"), hide=self._key())
            raise PassingFault(
                "the answer is no chat completion",
                value=start or type(error).__name__,
                where=self._host,
                remedy="check that base_url is the address of a model (it often ends in /v1)",
            ) from None
        finish = refusal or str(choice.get("finish_reason") or "")
        if broken := choice.get("error"):
            said = quoted(broken, hide=self._key())
            raise PassingFault("the answer broke off", value=said, where=self._host, remedy=_LATER)
        answer = Answer(text, finish, *tokens, self.limits.cost(*tokens), seconds)
        return require_answer(answer, self._host)

    def _refuse_error(self, found: Mapping[str, Any]) -> None:
        """Some servers and routers say 200 and hand over an error."""
        error = found.get("error") or (found if {"message", "detail"} & found.keys() else None)
        if error:
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and 300 <= code < 600 else 200
            raise fault_of_status(status, quoted(error, hide=self._key()), {}, self._host)


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
            where="--captioner",
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
