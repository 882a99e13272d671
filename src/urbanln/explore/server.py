"""The page and its answers over HTTP, for browsers on this machine."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router
from typing_extensions import TypedDict

from urbanln.base.errors import InputError, UrbanLNError
from urbanln.explore.answers import Answers
from urbanln.explore.asking import Asking
from urbanln.explore.assembled import page_files
from urbanln.explore.basemap import basemap_routes
from urbanln.explore.content import Content
from urbanln.explore.guard import answer_headers, is_loopback, refusal
from urbanln.explore.pictures import SIDES, small
from urbanln.explore.place_routes import BINARY, place_routes
from urbanln.explore.requests import posted, shaped, whole
from urbanln.explore.serving import Server
from urbanln.explore.taken import TYPES, take

_Scope = MutableMapping[str, Any]


class _Similar(TypedDict, total=False):
    rows: list[int]
    far_km: float
    k: int


class _Text(TypedDict):
    text: str


class _Evidence(TypedDict):
    row: int
    key: str


class _Take(TypedDict):
    rows: list[int]
    format: str
    columns: list[str]


def make_app(content: Content, host: str, port: int, token: str = "") -> Starlette:
    """The application.

    Args:
        content: What it is about.
        host: Address it is served on.
        port: Of the server.
        token: First part of every path, where others than this machine may ask; "" without.
    """
    answers = Answers(content)
    asking = Asking(answers)
    routes = [*_answer_routes(answers, asking), *_page_routes(content)]
    app = Starlette(
        routes=[Mount(f"/{token}" if token else "/", app=Router(routes, redirect_slashes=False))],
        exception_handlers={
            UrbanLNError: _fault, HTTPException: _no_answer, OSError: _no_file, MemoryError: _too_much,
        },
    )  # fmt: skip
    other = content.basemap.origin if content.basemap else ""
    app.add_middleware(_Guard, host=host, port=port, other=other)
    return app


def listen(content: Content, host: str = "127.0.0.1", port: int = 0) -> tuple[Server, socket.socket, str]:
    """A server that is ready to run, its socket, and its address.

    Args:
        content: What it is about.
        host: This machine, unless another address is named, which then has a secret in its path.
        port: 0: any that is free.

    Raises:
        InputError: No such address, or the port is taken.
    """
    token = "" if is_loopback(host) else secrets.token_urlsafe(16)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once on sockets that say they are TCP; on others an answer takes 40 ms longer.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen()
    except (OSError, ValueError, TypeError) as error:  # a name with a sign that no name may have
        sock.close()
        why = getattr(error, "strerror", None) or error
        raise InputError(
            "cannot listen there", value=f"{host[:200]}:{port}", where="--host, --port",
            remedy=f"choose another port, or 0 for any; or another address ({why})",
        ) from error  # fmt: skip
    port = int(sock.getsockname()[1])
    config = uvicorn.Config(
        make_app(content, host, port, token),
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        # What is at hand everywhere, whatever else is installed.
        http="h11",
        ws="none",
    )
    shown = f"[{host}]" if ":" in host else host
    return Server(config), sock, f"http://{shown}:{port}/" + (f"{token}/" if token else "")


class _Guard:
    """Refuses what comes from elsewhere, and gives every answer its headers."""

    def __init__(self, app: Callable[..., Awaitable[None]], host: str, port: int, other: str) -> None:
        self.app, self.host, self.port = app, host, port
        self.more = [(name.encode(), value.encode()) for name, value in answer_headers(other).items()]

    async def __call__(self, scope: _Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        why = refusal(headers, self.host, self.port)

        async def told(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *self.more]}
            await send(message)

        if why:
            await JSONResponse({"error": why, "remedy": "open the address that explore printed"}, 403)(
                scope, receive, told
            )
            return
        await self.app(scope, receive, told)


async def _fault(_: Request, error: Exception) -> Response:
    assert isinstance(error, UrbanLNError)
    value = "" if error.value is None else f": {error.value}"
    return JSONResponse({"error": f"{error.what}{value}"[:500], "remedy": error.remedy}, 400)


async def _no_answer(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = "there is nothing at this address" if error.status_code == 404 else "this is not asked that way"
    told = {"error": what, "remedy": "open the address that explore printed"}
    return JSONResponse(told, error.status_code, headers=error.headers)


async def _no_file(_: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    what = f"a file could not be used: {error.strerror or error}"
    remedy = "check that the city is where it was, then start explore again"
    return JSONResponse({"error": what[:500], "remedy": remedy}, 404)


async def _too_much(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "this takes more memory than there is", "remedy": "ask for less"}, 413)


def _page_routes(content: Content) -> list[Route]:
    files = page_files(content.title, content.basemap)

    async def file(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        if name not in files:
            raise HTTPException(404)
        kind, data = files[name]
        return Response(data, media_type=kind)

    return [Route("/", file), Route("/{name}", file)]


def _answer_routes(answers: Answers, asking: Asking) -> list[Route]:
    content = answers.content

    def overview(_: Request) -> Response:
        return JSONResponse(answers.overview() | {"tiles": answers.zooms()})

    def column(request: Request) -> Response:
        values = asking.column(request.query_params.get("key", "")).values
        return Response(values.astype("<f4").tobytes(), media_type=BINARY)

    def region(request: Request) -> Response:
        return JSONResponse(answers.region(whole(request.query_params.get("row", ""), "row")))

    def picture(request: Request) -> Response:
        name = request.query_params.get("id", "")
        size = whole(request.query_params.get("size", "384"), "size")
        row = whole(name.removeprefix("p"), "id")
        if not 0 <= row < len(content.pictures) or size not in SIDES:
            return JSONResponse({"error": "no such picture", "remedy": f"sizes are {SIDES}"}, 404)
        try:
            return Response(small(content.open_picture(row), size), media_type="image/jpeg")
        except (UrbanLNError, OSError):
            return JSONResponse({"error": "this picture cannot be read", "remedy": "see urbanln audit"}, 404)

    def similar(body: bytes) -> Response:
        asked = shaped(body, _Similar)
        return JSONResponse(
            asking.similar(asked.get("rows", []), float(asked.get("far_km", 0)), asked.get("k", 100))
        )

    def text(body: bytes) -> Response:
        return JSONResponse(asking.text(shaped(body, _Text)["text"]))

    def evidence(body: bytes) -> Response:
        asked = shaped(body, _Evidence)
        return JSONResponse(asking.evidence(asked["row"], asked["key"]))

    def taken(body: bytes) -> Response:
        asked = shaped(body, _Take)
        form: Any = asked["format"]
        columns = [asking.column(key) for key in asked["columns"]]
        data = take(content, answers.check_rows(asked["rows"]), columns, form)
        name = f'attachment; filename="regions.{form}"'
        return Response(data, media_type=TYPES[form], headers={"content-disposition": name})

    def upload(body: bytes) -> Response:
        return JSONResponse(asking.picture(body))

    posts = {"similar": similar, "text": text, "evidence": evidence, "take": taken, "upload": upload}
    gets = {"content": overview, "column": column, "region": region}
    return [
        *(Route(f"/api/{name}", one) for name, one in gets.items()),
        *place_routes(answers),
        *basemap_routes(content.basemap),
        Route("/picture", picture),
        *(Route(f"/api/{name}", posted(one), methods=["POST"]) for name, one in posts.items()),
    ]
