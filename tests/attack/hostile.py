"""A captioning server that does everything a server should not, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = "A row of red roofs stands along a straight road, with a small park beside it."


def _completion(content: Any, **choice: Any) -> bytes:
    message = {"role": "assistant", "content": content, **choice.pop("message", {})}
    return json.dumps(
        {
            "id": "x", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
    ).encode()  # fmt: skip


def _usage(usage: Any) -> bytes:
    return json.dumps({**json.loads(_completion(GOOD)), "usage": usage}).encode()


# What the body of an answer with status 200 is.
BODIES: dict[str, bytes] = {
    "garbage": b"\x00\xff\xfe" * 100,
    "empty": b"",
    "html": b"<!doctype html><html><body>It works!</body></html>",
    "cut": _completion(GOOD)[:120],
    "list": b"[]",
    "null": b"null",
    "number": b"9" * 6000,
    "deep": b"[" * 200_000,
    "no-choices": b'{"choices": []}',
    "choices-text": b'{"choices": "none"}',
    "choice-null": b'{"choices": [null]}',
    "content-null": _completion(None),
    "content-number": _completion(5),
    "content-list": _completion([1, None, {"type": "text"}, {"type": "image_url"}]),
    "content-parts": _completion([{"type": "text", "text": GOOD}]),
    "content-blank": _completion("   \n"),
    "lone": _completion("x").replace(b'"x"', b'"\\ud800 a red roof"'),
    "nul": _completion("A red\0 roof\x1b[2J by a\x07 road."),
    "tokens": _completion(f"<|im_start|>{GOOD}<|im_end|><|endoftext|></s><unused32>"),
    "thoughts": _completion(f"<think>What is it? A roof.</think>{GOOD}"),
    "only-thoughts": _completion("<think>What is it? A roof, perhaps"),
    "markup": _completion(f"<script>alert(1)</script> {GOOD} <img src=x onerror=alert(1)>"),
    "markdown": _completion(f"# Caption\n\n**{GOOD}**\n\n![x](http://127.0.0.1/x)"),
    "error-200": b'{"error": {"message": "\\u001b[2Jno", "code": 500}}',
    "error-text": b'{"error": "no"}',
    "finish-odd": _completion(GOOD, finish_reason={"a": 1}),
    "finish-error": _completion(GOOD, finish_reason="network_error"),
    "refusal": _completion(None, message={"refusal": "I cannot."}),
    "usage-text": _usage("many"),
    "usage-negative": _usage({"prompt_tokens": -5, "completion_tokens": 10**30}),
    "usage-float": _usage({"prompt_tokens": 1e308, "completion_tokens": True}),
    "long-word": _completion("x" * 300_000),
    "long-text": _completion("A red roof. " * 100_000),
    "bidi": _completion("\u202ea red roof\u202c by a road\u200b."),
    "bom": b"\xef\xbb\xbf" + _completion(GOOD),
    "utf-16": _completion(GOOD).decode().encode("utf-16"),
}
# Whether an answer is as good as a right one, once what does not belong is taken out.
SOUND = ("content-parts", "thoughts", "bom", "usage-negative", "usage-float")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Any

    def do_POST(self) -> None:
        """What this server's name says."""
        with suppress(OSError, ValueError):
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            self.server.count += 1
            self.server.behave(self)

    def do_GET(self) -> None:
        """The same, whatever was asked."""
        with suppress(OSError):
            self.server.behave(self)

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        """One answer."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _hang(handler: _Handler) -> None:
    time.sleep(60)


def _drip(handler: _Handler) -> None:
    """A byte now and then, so that no silence is long enough to be one."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def _endless(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def _endless_header(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-A: " + b"x" * 60_000 + b"\r\n")
        handler.wfile.flush()


def _drop(handler: _Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def _short(handler: _Handler) -> None:
    """Less than it says there will be."""
    body = _completion(GOOD)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:50])
    handler.wfile.flush()
    _drop(handler)


def _no_http(handler: _Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n\x00\x01")
    handler.wfile.flush()
    _drop(handler)


def _bad_gzip(handler: _Handler) -> None:
    handler.answer(b"not gzip", Content_Encoding="gzip")


def _status(status: int, body: bytes = b"{}", **headers: str) -> Callable[[_Handler], None]:
    return lambda handler: handler.answer(body, status, **headers)


def _sometimes(handler: _Handler) -> None:
    """A storm that passes: two of three are turned away."""
    if handler.server.count % 3:
        handler.answer(b'{"error": {"message": "slow down"}}', 429, Retry_After="0.05")
    else:
        handler.answer(_completion(GOOD))


BEHAVIOURS: dict[str, Callable[[_Handler], None]] = {
    **{name: _status(200, body) for name, body in BODIES.items()},
    "hang": _hang,
    "drip": _drip,
    "endless": _endless,
    "endless-header": _endless_header,
    "drop": _drop,
    "short": _short,
    "no-http": _no_http,
    "bad-gzip": _bad_gzip,
    "storm-429": _status(429, b'{"error": {"message": "slow down"}}', Retry_After="0.01"),
    "storm-429-odd": _status(429, b"{}", Retry_After="nan"),
    "storm-429-long": _status(429, b"{}", Retry_After="1e300"),
    "storm-500": _status(500, b'{"error": {"message": "\\u001b[2Joops"}}'),
    "storm-503-html": _status(503, b"<html>" + b"x" * 100_000),
    "some-429": _sometimes,
    "unauthorised": _status(401, b'{"error": {"message": "no key"}}'),
    "gone": _status(404),
    "redirect": _status(302, b"", Location="http://127.0.0.1:9/elsewhere"),
    "redirect-itself": _status(307, b"", Location="/v1/chat/completions"),
    "redirect-file": _status(302, b"", Location="file:///etc/hostname"),
    "no-content": _status(204),
    "odd-status": _status(799),
}
PASSES = ("some-429", *SOUND)


@contextmanager
def serving(name: str) -> Iterator[str]:
    """A server with this behaviour; its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.behave = BEHAVIOURS.get(name, _status(200, _completion(GOOD)))  # type: ignore[attr-defined]
    server.count = 0  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    pid = os.fork()
    if pid == 0:
        server.serve_forever()
        os._exit(0)
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.server_close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
