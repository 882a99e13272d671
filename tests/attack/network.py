"""A server of tiles, GeoTIFFs and street views that does everything one should not, until it is mended.

It runs in a process of its own, with a second one beside it that nobody may be led to: a trap.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
from PIL import Image
from tests.attack.hostile import BEHAVIOURS, _Handler

KEY = "geheim/7c1f0b22"
BOX = (24.90, 60.15, 24.96, 60.17)
_TILE = re.compile(r"^/(\d+)/(\d+)/(\d+)")
# Of the behaviours of hostile captioning servers, those that are of any server.
SHARED = (
    "garbage", "empty", "html", "deep", "number", "list", "hang", "drip", "endless", "endless-header", "drop",
    "short", "no-http", "bad-gzip", "storm-429", "storm-429-odd", "storm-429-long", "storm-500",
    "storm-503-html", "unauthorised", "gone", "redirect", "redirect-itself", "redirect-file", "no-content",
    "odd-status",
)  # fmt: skip
Behaviour = Callable[[Any], object]


def tile(x: int, y: int) -> bytes:
    """A tile, unlike any other."""
    pixels = np.random.default_rng((x, y)).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return _file(Image.fromarray(pixels))


def _file(picture: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


@cache
def ortho() -> bytes:
    """A GeoTIFF of the place, in blocks of 128 pixels."""
    import rasterio
    from rasterio.io import MemoryFile

    pixels = np.random.default_rng(7).integers(1, 255, (3, 300, 300), dtype=np.uint8)
    grid = rasterio.transform.from_bounds(24.85, 60.1, 25.01, 60.22, 300, 300)
    shape = {"width": 300, "height": 300, "count": 3, "dtype": "uint8", "crs": "EPSG:4326", "transform": grid}
    layout = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", **shape, **layout) as file:
            file.write(pixels)
        return bytes(memory.read())


def _part(handler: Any, data: bytes, shift: int = 0) -> None:
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
    start, last = (int(found[1]), min(int(found[2]), len(data) - 1)) if found else (0, len(data) - 1)
    span = f"bytes {start + shift}-{last + shift}/{len(data)}"
    handler.answer(data[start : last + 1], 206, Content_Range=span)


def views(handler: Any, **changes: Any) -> list[dict[str, Any]]:
    """What a search of street views finds: one in the middle of its box."""
    edges = list(map(float, parse_qs(urlsplit(handler.path).query)["bbox"][0].split(",")))
    lon, lat = (edges[0] + edges[2]) / 2, (edges[1] + edges[3]) / 2
    name = str(abs(hash((round(lon, 4), round(lat, 4)))) % 10**9)
    picture = f"http://127.0.0.1:{handler.server.server_address[1]}/pictures/{name}"
    row = {"id": name, "geometry": {"coordinates": [lon, lat]}, "thumb_1024_url": picture,
           "captured_at": 1562235072000, **changes}  # fmt: skip
    return [row]


def _streets(handler: Any) -> None:
    name = re.sub(r"\D", "", urlsplit(handler.path).path)
    if handler.path.startswith("/images"):
        handler.answer(json.dumps({"data": views(handler)}).encode())
    elif handler.path.startswith("/pictures/"):
        handler.answer(tile(1, int(name) % 10**6))
    else:
        here = f"http://127.0.0.1:{handler.server.server_address[1]}"
        handler.answer(json.dumps({"thumb_1024_url": f"{here}/pictures/{name}"}).encode())


def good(handler: Any) -> None:
    """What a sound server says."""
    if found := _TILE.match(handler.path):
        handler.answer(tile(int(found[2]), int(found[3])))
    elif handler.path.startswith("/a.tif"):
        _part(handler, ortho())
    else:
        _streets(handler)


def _body(data: bytes, status: int = 200, **headers: str) -> Behaviour:
    return lambda handler: handler.answer(data, status, **headers)


def _to(where: str) -> Behaviour:
    def redirect(handler: Any) -> None:
        handler.answer(b"", 302, Location=where.format(trap=handler.server.trap, key=quote(KEY, safe="")))

    return redirect


def _huge(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(10**15))
    handler.end_headers()
    handler.wfile.write(b"\x89PNG" * 1000)


def _bomb() -> bytes:
    return _file(Image.new("1", (30_000, 30_000)))


TILES: dict[str, Behaviour] = {
    "bomb": lambda handler: handler.answer(_bomb()),
    "other-size": _body(_file(Image.new("RGB", (65, 64), "red"))),
    "cut-picture": lambda handler: handler.answer(tile(1, 1)[:-900]),
    "one-colour": _body(_file(Image.new("RGB", (64, 64), "grey"))),
    "one-for-all": lambda handler: handler.answer(tile(0, 0)),
    "svg": _body(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>'),
    "huge-length": _huge,
    "to-a-trap": _to("http://localhost:{trap}/x"),
    "to-this-network": _to("http://169.254.169.254/latest/meta-data"),
    "to-number": _to("http://2130706433:{trap}/x"),
    "to-no-name": _to(f"http://{'a' * 70}.localhost/x"),
    "to-odd": _to("http://[::1"),
    "with-key": _to("/9/9/9?again={key}"),
    "with-cookie": lambda handler: handler.answer(tile(3, 3), Set_Cookie=f"k={KEY}"),
}


def _said(**changes: Any) -> Behaviour:
    def behave(handler: Any) -> None:
        if not handler.path.startswith("/images"):
            return _streets(handler)
        there = {name: value.format(trap=handler.server.trap) if isinstance(value, str) else value
                 for name, value in changes.items()}  # fmt: skip
        handler.answer(json.dumps({"data": views(handler, **there)}).encode())

    return behave


def _next(where: str) -> Behaviour:
    def behave(handler: Any) -> None:
        if not handler.path.startswith("/images"):
            return _streets(handler)
        handler.server.count += 1
        here = f"http://127.0.0.1:{handler.server.server_address[1]}{handler.path}"
        onward = where.format(here=here, count=handler.server.count, trap=handler.server.trap, key=KEY)
        handler.answer(json.dumps({"data": views(handler), "paging": {"next": onward}}).encode())

    return behave


def _never(handler: Any) -> None:
    """Addresses of pictures that have expired as soon as they are said."""
    if not handler.path.startswith("/pictures/"):
        return _streets(handler)
    handler.answer(b"URL signature expired", 403)


STREETS: dict[str, Behaviour] = {
    "picture-at-trap": _said(thumb_1024_url="http://localhost:{trap}/p"),
    "picture-in-a-file": _said(thumb_1024_url="file:///etc/hostname"),
    "picture-nowhere": _said(thumb_1024_url="http://127.0.0.1:1/p"),
    "id-is-a-path": _said(id="../../../x"),
    "creator-steers": _said(creator={"username": "\x1b[2J<script>alert(1)</script>\ud800"}),
    "times": _said(captured_at=1e308),
    "places": _said(geometry={"coordinates": ["24.9", None]}),
    "text-for-all": _said(id=[], geometry="x", is_pano="yes", creator=7, sequence={"a": 1}),
    "error-in-200": _body(b'{"error": {"message": "An unknown error occurred"}}'),
    "rows-of-null": _body(b'{"data": [null, 1, "x", {}]}'),
    "next-is-itself": _next("{here}"),
    "next-without-end": _next("{here}&after={count}"),
    "next-at-a-trap": _next("http://localhost:{trap}/images?bbox=0,0,1,1"),
    "next-says-the-key": _next("{here}&after=1&access_token={key}"),
    "always-expired": _never,
}


def _changed(where: int, what: bytes) -> Behaviour:
    """A GeoTIFF with other bytes at some place."""
    return lambda handler: _part(handler, ortho()[:where] + what + ortho()[where + len(what) :])


def _entry(tag: int, count: int, value: int) -> Behaviour:
    """A GeoTIFF with another count and value of a tag."""

    def behave(handler: Any) -> None:
        data = bytearray(ortho())
        start = struct.unpack("<I", data[4:8])[0]
        for at in range(start + 2, start + 2 + 12 * struct.unpack("<H", data[start : start + 2])[0], 12):
            if struct.unpack("<H", data[at : at + 2])[0] == tag:
                data[at + 4 : at + 12] = struct.pack("<II", count, value)
        _part(handler, bytes(data))

    return behave


VRT = b"""<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename>/etc/hostname</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""
RASTERS: dict[str, Behaviour] = {
    "no-ranges": lambda handler: handler.answer(ortho()),
    "other-range": lambda handler: _part(handler, ortho(), shift=1),
    "all-in-206": lambda handler: handler.answer(ortho() * 3, 206),
    "cut-file": lambda handler: _part(handler, ortho()[:300]),
    "vrt": lambda handler: _part(handler, VRT),
    "picture": lambda handler: _part(handler, tile(2, 2)),
    "index-far-away": _changed(4, struct.pack("<I", 2**32 - 9)),
    "index-in-itself": _changed(4, struct.pack("<I", 4)),
    "blocks-without-end": _entry(324, 2**32 - 1, 8),
    "blocks-far-away": _entry(325, 9, 2**31),
    "no-width": _entry(256, 1, 0),
    "wider-than-it-is": _entry(256, 1, 2**31 - 1),
    "blocks-of-nothing": _entry(322, 1, 0),
    "other-coding": _entry(259, 1, 50_000),
    "blocks-are-noise": lambda handler: _part(handler, ortho()[:1500] + os.urandom(len(ortho()) - 1500)),
}


def _sometimes(handler: Any) -> None:
    """A storm that passes: every other one is turned away."""
    if handler.server.count % 2:
        return handler.answer(b"slow down", 429, Retry_After="0.01")
    return good(handler)


KINDS: dict[str, dict[str, Behaviour]] = {
    name: {**{one: BEHAVIOURS[one] for one in SHARED}, "some-429": _sometimes, **own}
    for name, own in (("tiles", TILES), ("streets", STREETS), ("rasters", RASTERS))
}


class _Trap(_Handler):
    def do_GET(self) -> None:
        """Nobody may come here."""
        with (self.server.cage / "trapped").open("a") as file:
            file.write(f"{self.path}\n{self.headers}")
        self.answer(b"{}")


@contextmanager
def serving(cage: Path, behave: Behaviour) -> Iterator[tuple[int, int]]:
    """A server with this behaviour until ``mended`` lies in the cage; its port and the trap's.

    The trap writes who came to ``trapped`` in the cage.
    """
    trap, server = (ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (_Trap, _Handler))
    trap.cage = cage  # type: ignore[attr-defined]
    server.trap = trap.server_address[1]  # type: ignore[attr-defined]
    server.count = 0  # type: ignore[attr-defined]

    def answer(handler: Any) -> None:
        server.count += 1  # type: ignore[attr-defined]
        (good if (cage / "mended").exists() else behave)(handler)

    server.behave = answer  # type: ignore[attr-defined]
    pids = []
    for one in (trap, server):
        one.daemon_threads = True
        one.handle_error = lambda *_: None  # type: ignore[method-assign]
        if (pid := os.fork()) == 0:
            one.serve_forever()
            os._exit(0)
        pids.append(pid)
    try:
        yield server.server_address[1], trap.server_address[1]
    finally:
        for one, pid in zip((trap, server), pids, strict=True):
            one.server_close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
