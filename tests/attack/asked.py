"""A server of ``urbanln explore`` under attack: it runs as any command does, and each answer is judged."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.attack.case import Case
from tests.attack.forks import Running
from tests.attack.judge import snapshot

Wanted = Literal["refused", "answered", "either"]
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_MOST = 64 << 20


@dataclass(frozen=True)
class Question:
    """A request.

    Attributes:
        path: What is asked for, as it stands in the request.
        body: What is sent along; a value of JSON is written as such.
        method: "": POST where there is a body, else GET.
        headers: Besides or instead of the usual ones; None leaves one out.
        wanted: Whether it must be answered, must be refused, or may be either.
    """

    path: str
    body: Any = None
    method: str = ""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    wanted: Wanted = "either"

    def bytes(self, port: int) -> bytes:
        """As it goes over the wire."""
        body = self.body if isinstance(self.body, bytes) else b""
        if self.body is not None and not isinstance(self.body, bytes):
            body = json.dumps(self.body).encode()
        method = self.method or ("GET" if self.body is None else "POST")
        headers = {"Host": f"127.0.0.1:{port}", "Connection": "close", **self.headers}
        if self.body is not None:
            headers = {"Content-Length": str(len(body)), **headers}
        lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
        return "\r\n".join([f"{method} {self.path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body


@dataclass
class Served:
    """A server under attack.

    Attributes:
        case: The attack.
        running: The command.
        address: That it printed.
    """

    case: Case
    running: Running
    address: str

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.split(":")[2].split("/")[0])

    @property
    def path(self) -> str:
        """What comes before each path: a secret, where there is one."""
        return "/" + self.address.split("/", 3)[3]

    def connect(self, seconds: float = 30.0) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def exchange(self, data: bytes, seconds: float = 30.0) -> tuple[int | None, bytes]:
        """Send bytes; the status and the body that come back, None and what came where none did."""
        said = b""
        with self.connect(seconds) as sock, suppress(OSError):
            with suppress(OSError):
                sock.sendall(data)
            while len(said) < _MOST and (part := sock.recv(1 << 16)):
                said += part
        head, _, body = said.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.1 (\d+) ", head)
        return (int(found[1]), body) if found else (None, said)

    def ask(self, question: Question, seconds: float = 30.0) -> tuple[int | None, bytes]:
        """Ask, and judge the answer."""
        before = time.monotonic()
        status, body = self.exchange(question.bytes(self.port), seconds)
        told = f"{question.method} {question.path[:120]} {str(question.body)[:120]}: {status} {body[:300]!r}"
        if status is None:
            late = time.monotonic() - before >= seconds
            self.case.fault("hang" if late else "loss", f"no answer: {told}")
            return status, body
        if status >= 500:
            self.case.fault("traceback", told)
        elif status >= 400:
            self._judge_refusal(body, told, question.method)
        elif question.wanted == "refused":
            self.case.fault("loss", f"answered what it should refuse: {told}")
        else:
            self._judge_answer(body, told)
        if question.wanted == "answered" and status >= 400:
            self.case.fault("loss", f"refused what it should answer: {told}")
        return status, body

    def _judge_refusal(self, body: bytes, told: str, method: str) -> None:
        if method == "HEAD" or body == b"Invalid HTTP request received.":  # what speaks no HTTP
            return
        try:
            said = json.loads(body)
            clear = set(said) == {"error", "remedy"} and all(isinstance(v, str) and v for v in said.values())
        except ValueError:
            said, clear = None, False
        if not clear or len(said["error"]) > 600 or "Traceback" in said["error"]:
            self.case.fault("unclear", f"not a sentence with its remedy: {told}")

    def _judge_answer(self, body: bytes, told: str) -> None:
        if not body.startswith((b"{", b"[")):
            return
        try:
            value = json.loads(body, parse_constant=lambda name: 1 / 0)
        except (ValueError, ZeroDivisionError):
            self.case.fault("loss", f"no JSON that a browser reads: {told}")
            return
        if '"FeatureCollection"' in told:  # the city's own data, for programs
            return
        if found := next((text for text in _texts(value) if _CONTROL.search(text)), None):
            self.case.fault("loss", f"a control character in an answer: {found[:200]!r}: {told[:200]}")

    def json(self, path: str) -> Any:
        """An answer that has to come."""
        status, body = self.ask(Question(self.path + path, wanted="answered"))
        return json.loads(body) if status == 200 else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            if name not in ("key", "of", "label"):  # by which things are asked for; nobody is shown them
                yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


@contextmanager
def served(
    case: Case, *argv: object, sign: signal.Signals = signal.SIGTERM, changes: Sequence[str] = (), **how: Any
) -> Iterator[Served | None]:
    """Serve until the block ends, then stop it; None where the command refuses.

    Args:
        case: The attack.
        argv: Words behind ``explore``.
        sign: What stops it.
        changes: Paths that others may change meanwhile.
        how: As of :class:`tests.attack.forks.Command`.
    """
    before = snapshot(case.root)
    command = case.command("explore", *argv, "--no-browser", **{"limit": 120.0, **how})
    running = Running(command)
    address = ""
    while not running.wait(0.05) and "\n" not in address:
        address = running.said()
    found = re.match(r"http://\S+\n", address)
    if found is None:
        case.judged(running, before, "refused", changes)
        yield None
        return
    server = Served(case, running, found[0].strip())
    try:
        yield server
    finally:
        running.send(sign)
        outcome = case.judged(running, before, "killed", changes)
        if outcome.code != 128 + sign:
            case.fault("unclear", f"{sign.name} ended it with {outcome.code}: {outcome.err[-600:]}")
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                again.bind(("127.0.0.1", server.port))
            except OSError as error:
                case.fault("stray", f"its port is not free again: {error}")


def everything(server: Served, regions: int = 40) -> None:
    """All that a page asks of a server, of up to so many regions."""
    content = server.json("api/content")
    if content is None:
        return
    for path in ("", "explore.js", "explore.css", "api/places", "api/texts", "tile/0/0/0"):
        server.ask(Question(server.path + path, wanted="answered"))
    for column in content["columns"]:
        key = "".join(f"%{byte:02x}" for byte in column["key"].encode("utf-8", "surrogatepass"))
        server.ask(Question(f"{server.path}api/column?key={key}", wanted="answered"))
    for row in range(0, content["n"], max(1, content["n"] // regions)):
        told = server.json(f"api/region?row={row}")
        if told is None:
            break
        for one in (told or {}).get("pictures", ())[:1]:
            server.ask(Question(f"{server.path}picture?id={one['id']}&size=384"))
        server.ask(Question(f"{server.path}api/shape?row={row}", wanted="answered"))
        server.ask(Question(f"{server.path}api/similar", {"rows": [row], "far_km": row % 3}))
    every, keys = list(range(content["n"])), [one["key"] for one in content["columns"]]
    server.ask(Question(f"{server.path}api/similar", {"rows": every}))
    for form in ("geojson", "csv", "parquet"):
        asked = {"rows": every, "format": form, "columns": keys}
        server.ask(Question(f"{server.path}api/take", asked, wanted="answered"))
    _, answer = server.ask(Question(f"{server.path}api/text", {"text": "a red roof by a road"}))
    with suppress(ValueError):
        for key in (json.loads(answer).get("key", "q:"), "prediction:population"):
            server.ask(Question(f"{server.path}api/evidence", {"row": 0, "key": key}))
