"""What is sent along with a question, read within bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from urbanln.base.errors import InputError
from urbanln.base.parsing import parse_json

MOST_BYTES = 16 * 2**20


def posted(answer: Callable[[bytes], Response]) -> Callable[[Request], Awaitable[Response]]:
    """An answer to a body, which is read up to a bound."""

    async def endpoint(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
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
            "this is no such question", value=str(error), where="request", remedy="see docs/explore.md"
        ) from error


def whole(text: str, where: str) -> int:
    """A whole number out of an address.

    Raises:
        InputError: It is none.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise InputError("not a number", value=text[:40], where=where, remedy="give a whole number")
    return int(text)
