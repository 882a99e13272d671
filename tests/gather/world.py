"""A local server of map tiles that answers as real ones do, and as they should not."""

from __future__ import annotations

import io
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import trustme
from PIL import Image

from urbanln.base.files import hash_file

TILE = re.compile(r"^/(?:t/)?(\d+)/(\d+)/(\d+)(?:\.jpg)?(?:\?.*)?$")


def tile(zoom: int, x: int, y: int, px: int = 64) -> bytes:
    """The bytes of a tile, all different: a gradient with noise of its own."""
    rng = np.random.default_rng((zoom, x, y))
    base = np.linspace(0, 120, px)[:, None, None] + rng.uniform(20, 100, 3)
    pixels = np.clip(base + rng.normal(0, 8, (px, px, 3)), 0, 255).astype(np.uint8)
    return as_jpeg(Image.fromarray(pixels))


def flat(colour: tuple[int, int, int], px: int = 64) -> bytes:
    """A tile of one colour."""
    return as_jpeg(Image.new("RGB", (px, px), colour))


def as_jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


class TileServer:
    """A server, what it was asked, and how it behaves.

    Attributes:
        url: Of its root.
        asked: Paths, in the order of asking.
        headers: Of the requests, in the same order.
        behave: Called with the handler and the tile; returns True where it has answered itself.
        sent: Bytes of all answers.
        most: Requests that were under way at once, at most.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.behave: Callable[[Handler, tuple[int, int, int]], bool] | None = None
        self.lock, self.going, self.most, self.sent = threading.Lock(), 0, 0, 0
        self.over = threading.Event()
        self.url = ""

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.asked)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    world: TileServer

    def do_GET(self) -> None:
        world = self.world
        with world.lock:
            world.asked.append(self.path)
            world.headers.append(dict(self.headers))
            world.going += 1
            world.most = max(world.most, world.going)
        try:
            with suppress(OSError):
                found = TILE.match(self.path)
                place = tuple(map(int, found.groups())) if found else (0, 0, 0)
                if world.behave is None or not world.behave(self, place):  # type: ignore[arg-type]
                    self.usual()
        finally:
            with world.lock:
                world.going -= 1

    def usual(self) -> bool:
        """A tile, or that there is none."""
        found = TILE.match(self.path)
        return self.answer(tile(*map(int, found.groups())) if found else b"", 200 if found else 404)

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def answer(self, body: bytes, status: int = 200, **headers: str) -> bool:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        with self.world.lock:
            self.world.sent += len(body)
        return True

    def part(self, body: bytes) -> bool:
        """The part of a file that is asked for, as servers of files give it."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not found:
            return self.answer(body)
        start, last = int(found[1]), min(int(found[2]), len(body) - 1)
        return self.answer(body[start : last + 1], 206, Content_Range=f"bytes {start}-{last}/{len(body)}")

    def cut(self, body: bytes) -> bool:
        """Half of what is announced."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.close_connection = True
        return True

    def hang(self) -> bool:
        """Silence, until the server ends."""
        self.world.over.wait(60)
        self.close_connection = True
        return True


@cache
def authority() -> trustme.CA:
    """Who signs certificates here; made anew by each process that tests, so that no key lies about."""
    return trustme.CA()


@contextmanager
def serving(tls: bool = False) -> Iterator[TileServer]:
    """A server on a free port of this machine; with TLS its certificate is localhost's, by ``authority``."""
    world = TileServer()
    handler = type("Handling", (Handler,), {"world": world})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    world.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert("localhost").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield world
    finally:
        world.over.set()
        server.shutdown()
        server.server_close()


SOMEWHERE = """
[place]
name = "Somewhere"
bbox = [24.90, 60.15, 24.96, 60.19]

[regions]
by = "tile:14"
"""
RECIPE = (
    SOMEWHERE
    + """
[tiles.aerial]
url = "{url}/{{z}}/{{x}}/{{y}}.jpg"
tile_px = 64
licence = "CC0-1.0"
attribution = "Somebody"
{more}

[fetch]
private = ["127.0.0.1"]
per_second = 100000
concurrency = 4
retries = 1
longest_wait_s = 0.01
timeout_s = 5
{fetch}
"""
)


def saved(folder: Path, text: str, *changes: tuple[str, str]) -> Path:
    """A recipe's file with some of its text changed; each change must find its place."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def write_recipe(folder: Path, url: str, *changes: tuple[str, str], more: str = "", fetch: str = "") -> Path:
    """A recipe that asks a server at some address."""
    return saved(folder, RECIPE.format(url=url, more=more, fetch=fetch), *changes)


def files_of(folder: Path) -> dict[str, str]:
    """All files of a folder by path, as hashes: two folders that agree are equal byte for byte."""
    return {str(p.relative_to(folder)): hash_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
