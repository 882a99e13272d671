"""Asks about many small pictures through a desk: run in a process of its own, which may be killed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from pathlib import Path

import openai  # noqa: F401 - imported here, once, for all processes that are forked from this one
from PIL import Image

from urbanln.base import owner
from urbanln.captions.asking.desk import Desk
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.captioners.base import Answer, Ask, Picture, Prompt
from urbanln.captions.captioners.openai_server import ServerCaptioner
from urbanln.captions.settings import CaptionerSettings

with contextlib.suppress(ImportError):  # as openai
    import psycopg  # noqa: F401

PROMPT = Prompt("Say what is here.", "0123456789ab")


def small_picture(n: int) -> Picture:
    """A picture of its own for every number."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (n % 256, n // 256 % 256, 7)).save(buffer, format="PNG")
    data = buffer.getvalue()
    return Picture(f"i{n}", "satellite", f"{n}.png", hashlib.sha256(data).hexdigest(), lambda: data)


def captioner(url: str, **settings: object) -> ServerCaptioner:
    """A captioner that says which picture each request is about."""
    chosen = {"base_url": url, "model": "m", "tag_requests": True, "timeout_s": 60.0, **settings}
    return ServerCaptioner(str(chosen["model"]), CaptionerSettings.model_validate(chosen), env={})


async def ask_all(ledger: Ledger, desk: Desk, count: int) -> list[Answer | BaseException | None]:
    """Ask about all pictures at once."""
    try:
        asks = [desk.ask(Ask(small_picture(n), prompt=PROMPT)) for n in range(count)]
        return await asyncio.gather(*asks, return_exceptions=True)
    finally:
        await desk.captioner.close()


def run_client(
    place: Path | str, url: str, count: int, concurrency: int, timeout_s: float = 60.0, host: str = ""
) -> None:
    """Ask until every picture has its answer; from a machine of this name, if it has one."""
    if host:
        owner.this_machine = lambda: host
    with Ledger(place) as ledger:
        desk = Desk(captioner(url, concurrency=concurrency, retries=50, timeout_s=timeout_s), ledger)
        for answer in asyncio.run(ask_all(ledger, desk, count)):
            if isinstance(answer, BaseException):
                raise answer
