"""What is sent along with a question, read within bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from urbanln.base.errors import InputError
from urbanln.base.parsing import parse_json

MOST_BYTES = 16 * 2**20
_MOST_READ = 16 * MOST_BYTES  # a browser hears an answer once it has sent all


def posted(answer: Callable[[bytes], Response]) -> Callable[[Request], Awaitable[Response]]:
    """An answer to a body, which is read up to a bound."""

    async def endpoint(request: Request) -> Response:
        body, size = bytearray(), 0
        try:
            async for part in request.stream():
                size += len(part)
                if size <= MOST_BYTES:
                    body += part
                elif size > _MOST_READ:
                    break
        except ClientDisconnect:
            return Response()  # which nobody reads
        if size > MOST_BYTES:
            what = f"that is more than {MOST_BYTES // 2**20} MB"
            return JSONResponse({"error": what, "remedy": "send less"}, 413)
        return await run_in_threadpool(answer, bytes(body))

    return endpoint


def shaped(body: bytes, shape: Any) -> Any:
    """A question as it should be.

    Args:
        body: JSON.
        shape: A typed dictionary.

    Raises:
        InputError: It is another one.
    """
    try:
        return parse_json(body, shape)
    except ValueError as error:
        raise InputError(
            "this is not asked that way", value=str(error), where="request",
            remedy="load the page again: it may be another version's",
        ) from error  # fmt: skip


def whole(text: str, where: str) -> int:
    """A whole number out of an address.

    Raises:
        InputError: It is none.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        what = f"{where} is no whole number"
        raise InputError(what, value=text[:40], where=where, remedy="give one from 0 on")
    return int(text)
