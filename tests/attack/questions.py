"""What the server of ``explore`` is asked by those who mean no good: requests, and bytes that are none."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image
from tests.attack.asked import Question, Wanted

_ROWS = "/api/similar"
_HUGE = 10**30
_CLIMBS = (
    "/..",
    "/../..",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc/passwd",
    "/.%00./",
    "/api/../../c/city.toml",
    "/api/%2e%2e/%2e%2e/c/city.toml",
    "//etc/passwd",
    "/explore.js/../../x",
    "/explore.js%00.png",
    "/c/city.toml",
    "/..\\..\\x",
    "/%5c..%5c",
    "/picture?id=../../c/city.toml",
    "/picture?id=p0/../../x",
    "/picture?id=%2e%2e%2fp0",
    "/picture?id=p-1",
    "/picture?id=p99999999",
    "/picture?id=p0&size=9999",
    "/picture?id=p0&size=-1",
    "/picture?id=p1e3",
    "/%ff%fe",
    "/" + "a" * 3000,
    "/api",
    "/api/",
    "/api/nothing",
    "/api/content/",
    "/robots.txt",
    "/openapi.json",
    "/*",
)
_BAD_JSON = (
    b"",
    b"{",
    b"[1,",
    b"\xff\xfe",
    b'{"rows":[NaN]}',
    b'{"rows":[0],"far_km":Infinity}',
    b'{"rows":[0],"k":1e400}',
    b"[" * 200_000 + b"]" * 200_000,
    b'{"rows":' * 100_000,
    b'{"rows":[0],"rows":[1]}',
    b"null",
    b'"a"',
    b"1",
    b'{"rows":[0],"far_km":' + b"9" * 5000 + b"}",
    b'{"rows":["\\ud800"]}',
    b"[]",
    b"[0]",
    b"\0" * 100,
)
_BAD_VALUES: tuple[Any, ...] = (
    {},
    {"rows": []},
    {"rows": None},
    {"rows": [1.5]},
    {"rows": [True]},
    {"rows": [-1]},
    {"rows": [_HUGE]},
    {"rows": [2**63 - 1]},
    {"rows": "0"},
    {"rows": [[0]]},
    {"rows": {"0": 1}},
    {"rows": [36]},
    {"rows": [0], "far_km": -1},
    {"rows": [0], "far_km": 1e308},
    {"rows": [0], "far_km": "x"},
    {"rows": [0], "k": 0},
    {"rows": [0], "k": _HUGE},
    {"rows": [0], "k": 1.5},
    {"rows": [0], "k": -1},
)
_TEXTS: Mapping[str, Wanted] = {
    "": "refused",
    "   ": "refused",
    "\x00\x01": "refused",
    "😀": "refused",
    "123": "refused",
    "\u0301" * 500: "refused",
    "a" * 4001: "refused",
    "x" * 1_000_000: "refused",
    "a" * 4000: "answered",
    "a " * 1999: "answered",
    "\u202e roof": "answered",
    "<script>alert(1)</script>": "answered",
    "日本語": "answered",
    "' OR 1=1 --": "answered",
    "{{a*7}} ${7*7}": "answered",
    "a\nb": "answered",
    "<|endoftext|> <|startoftext|> roof": "answered",
    "a\u0000b roof": "answered",
}


def _png(width: int, height: int) -> bytes:
    """A PNG that says it is of this size, and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"\0")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> bytes:
    stored = io.BytesIO()
    Image.new(mode, size).save(stored, kind)
    return stored.getvalue()


_NO_PICTURES = (
    b"",
    b"hello",
    b"<html><script>alert(1)</script>",
    b"%PDF-1.4",
    b"PK\x03\x04" + bytes(100),
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    _png(60_000, 60_000),
    _png(2**31 - 1, 2**31 - 1),
    _png(0, 0),
    _png(3, 3),
    _picture("JPEG", size=(500, 500))[:300],
    _picture("PNG", "I;16"),
    _picture("TIFF", "F"),
    bytes(16 * 2**20 + 1),
    bytes(30 * 2**20),
)
_PICTURES = (
    *(_picture(kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")),
    _picture("JPEG", "CMYK"),
    _picture("PNG", "RGBA"),
    _picture("PNG", size=(1, 1)),
    _picture("PNG", size=(9000, 1)),
)


def _taken(**changes: Any) -> dict[str, Any]:
    return {"rows": [0], "format": "csv", "columns": ["label:population"], **changes}


GROUPS: Mapping[str, Sequence[Question]] = {
    "paths": [Question(path, wanted="refused") for path in _CLIMBS],
    "json": [
        Question(f"/api/{name}", body, wanted="refused")
        for name in ("similar", "text", "evidence", "take")
        for body in _BAD_JSON
    ],
    "values": [Question(_ROWS, body, wanted="refused") for body in _BAD_VALUES],
    "rows": [
        *(
            Question(f"/api/{name}?row={row}", wanted="refused")
            for name in ("region", "shape")
            for row in ("", "-1", "1e3", "36", "999999999999", "9" * 5000, "%D9%A1", "0x1", "%00", "0;1")
        ),
        Question(_ROWS, {"rows": [0] * 500_000}),
        Question(_ROWS, {"rows": [0], "far_km": 20_000}),
    ],
    "columns": [
        *(
            Question(f"/api/column?key={key}", wanted="refused")
            for key in (
                "",
                "%00",
                "x" * 50_000,
                "q:",
                "q:x:pictures",
                "../x",
                "label:",
                "%ff%fe",
                "low",
                "__class__",
            )
        ),
        *(
            Question("/api/evidence", {"row": 0, "key": key}, wanted="refused")
            for key in ("", "q:", "q:abc", "label:population", "prediction:nothing", "x" * 100_000, "\x1b[2J")
        ),
    ],
    "texts": [Question("/api/text", {"text": text}, wanted=wanted) for text, wanted in _TEXTS.items()],
    "uploads": [
        *(Question("/api/upload", data, wanted="refused") for data in _NO_PICTURES),
        *(Question("/api/upload", data, wanted="answered") for data in _PICTURES),
        Question(
            "/api/upload",
            _PICTURES[0],
            headers={"Content-Type": "text/html; charset=\xff"},
            wanted="answered",
        ),
    ],
    "taken": [
        *(
            Question("/api/take", _taken(**change), wanted="refused")
            for change in (
                {"columns": ["x"]},
                {"columns": [None]},
                {"rows": []},
                {"rows": [-1]},
                {"format": "exe"},
                {"format": ["csv"]},
                {"format": "../csv"},
                {"columns": "label:population"},
                {"columns": ["label:population\0"]},
            )
        ),
        Question("/api/take", _taken(columns=["label:population"] * 20_000)),
        Question("/api/take", _taken(rows=[0] * 200_000)),
        Question("/api/take", _taken(columns=[]), wanted="answered"),
    ],
    "tiles": [
        *(
            Question(path, wanted="refused")
            for path in (
                "/tile",
                "/tile/0/0",
                "/tile/30/0/0",
                "/tile/0/5/0",
                "/tile/-1/0/0",
                "/tile/1e1/0/0",
                "/tile/a/b/c",
                "/tile/0/0/0/0",
                "/tile/99999999999/0/0",
                "/tile/0/0/" + "9" * 3000,
            )
        ),
        *(Question(path, wanted="answered") for path in ("/tile/0/0/0?key=x", "/api/places", "/api/texts")),
    ],
    "methods": [
        Question(path, method=method, wanted="refused")
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "FOO", "get", "POST")
        for path in ("/", "/api/content", "/picture?id=p0")
    ]
    + [Question(_ROWS, method=method, wanted="refused") for method in ("GET", "HEAD")],
    "strangers": [
        Question(path, headers=headers, wanted="refused")
        for path in ("/", "/api/content", "/picture?id=p0")
        for headers in (
            {"Host": "rebound.example"},
            {"Host": None},
            {"Host": ""},
            {"Host": "127.0.0.1"},
            {"Host": "127.0.0.1:9"},
            {"Host": "127.0.0.1:1@x"},
            {"Origin": "null"},
            {"Origin": ""},
            {"Origin": "http://elsewhere.example"},
            {"Origin": "file://"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        )
    ],
}

_H = b"Host: 127.0.0.1:PORT\r\n"
_POST = b"POST /api/similar HTTP/1.1\r\n" + _H
WIRES: Mapping[str, bytes] = {
    "garbage": b"\0\1\2\3\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "nothing": b"",
    "half-a-line": b"GET /",
    "http-0.9": b"GET /\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http-9": b"GET / HTTP/9.9\r\n" + _H + b"\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\n" + _H + b"\r\n",
    "absolute": b"GET http://elsewhere.example/ HTTP/1.1\r\n" + _H + b"\r\n",
    "two-hosts": b"GET /api/content HTTP/1.1\r\nHost: elsewhere.example\r\n" + _H + b"\r\n",
    "long-header": b"GET / HTTP/1.1\r\n" + _H + b"X: " + b"a" * 300_000 + b"\r\n\r\n",
    "many-headers": b"GET / HTTP/1.1\r\n" + _H + b"X: a\r\n" * 30_000 + b"\r\n",
    "endless-path": b"GET /" + b"a" * 300_000,
    "folded": b"GET / HTTP/1.1\r\n" + _H + b" folded: x\r\n\r\n",
    "length-negative": _POST + b"Content-Length: -5\r\n\r\nabc",
    "length-text": _POST + b"Content-Length: abc\r\n\r\nabc",
    "length-huge": _POST + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "length-long": _POST + b"Content-Length: 50\r\n\r\n{}",
    "length-twice": _POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length-and-chunks": _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks": _POST + b'Transfer-Encoding: chunked\r\n\r\nd\r\n{"rows": [0]}\r\n0\r\n\r\n',
    "chunk-of-no-number": _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunk-huge": _POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n",
    "chunks-oversized": _POST
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + (b"100000\r\n" + bytes(1 << 20) + b"\r\n") * 18,
    "other-coding": _POST + b"Transfer-Encoding: gzip\r\n\r\n" + bytes(20),
    "expects": _POST + b"Expect: 100-continue\r\nContent-Length: 13\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\n" + _H + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "many-in-one": (b"GET /api/region?row=0 HTTP/1.1\r\n" + _H + b"\r\n") * 200,
}
"""Bytes as they go over the wire; PORT stands for the server's."""
