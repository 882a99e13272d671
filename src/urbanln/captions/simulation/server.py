"""A real captioning server on this machine, for synthetic cities, which can be made to fail.

    python -m urbanln.captions.simulation.server CITY [--port 0] [--faults RATE] [--seed SEED]

It speaks as OpenAI-compatible servers do (``POST /v1/chat/completions``, ``GET /v1/models``), and its models
are the simulated captioners. It does not look at pixels: it checks that a picture was sent, and looks its
true scene up, by the hash in the header ``X-Urbanln-Tag`` or, for whole pictures sent as they are, by the
hash of what came. ``GET /log`` tells how often what was asked and answered, and which faults there were.

The first line it prints is its base URL. Only this machine can reach it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from urbanln.base.errors import InputError, UrbanLNError
from urbanln.base.saying import answer, say
from urbanln.captions.simulation.answers import BadRequest, Library, Request
from urbanln.captions.simulation.wording import generator
from urbanln.city.store import City

TAG_HEADER = "X-Urbanln-Tag"
REFUSAL = "I'm sorry, but I can't help with describing this picture."
KINDS = ("too_many", "server_error", "hang", "drop", "cut", "refusal", "broken_json")
_LARGEST = 64 * 2**20
_START_S = 120.0


@dataclass(frozen=True)
class Faults:
    """Chances of each fault per request, and how they show.

    Which request fails depends on the seed, on what is asked and on how often it was asked before, not on the
    order in which requests come.

    Attributes:
        too_many: 429 with ``Retry-After``.
        server_error: 500.
        hang: No answer until the client gives up, or ``hang_s`` have passed; then the connection is dropped.
        drop: The connection is dropped in the middle of the answer.
        cut: The text ends in the middle of a word, ``finish_reason`` is "length".
        refusal: "I'm sorry, but …" instead of a description.
        broken_json: The answer's body is half an object.
        seed: Another seed, other requests fail.
        retry_after_s: What ``Retry-After`` says, in seconds.
        hang_s: The longest a hanging request is held, in seconds.

    Raises:
        InputError: A rate outside 0–1, or rates that add up to more than 1.
    """

    too_many: float = 0.0
    server_error: float = 0.0
    hang: float = 0.0
    drop: float = 0.0
    cut: float = 0.0
    refusal: float = 0.0
    broken_json: float = 0.0
    seed: int = 0
    retry_after_s: float = 0.05
    hang_s: float = 60.0

    def __post_init__(self) -> None:
        rates = {kind: getattr(self, kind) for kind in KINDS}
        for kind, rate in rates.items():
            if not 0.0 <= rate <= 1.0:
                raise InputError(
                    "a fault's rate must be from 0 to 1",
                    value=rate,
                    where=kind,
                    remedy="give a number from 0 to 1",
                )
        if sum(rates.values()) > 1 + 1e-9:
            raise InputError(
                "the rates of faults add up to more than 1",
                value=sum(rates.values()),
                where="faults",
                remedy="lower them",
            )

    @classmethod
    def spread(cls, rate: float, seed: int = 0, **how: Any) -> Faults:
        """All kinds equally often, together at this rate.

        Args:
            rate: Share of requests that go wrong.
            seed: As in the class.
            how: ``retry_after_s`` and ``hang_s``.
        """
        return cls(**{kind: rate / len(KINDS) for kind in KINDS}, seed=seed, **how)

    def draw(self, what: str, attempt: int) -> str | None:
        """The fault of one request, or None.

        Args:
            what: What is asked.
            attempt: How often it was asked before.
        """
        at = generator(self.seed, "fault", f"{what}\n{attempt}").random()
        for kind in KINDS:
            at -= getattr(self, kind)
            if at < 0:
                return kind
        return None


class RequestLog:
    """Counts what was asked and answered by key, and faults by kind; several threads may use it."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {what: Counter() for what in ("asked", "answered", "faults")}
        self._lock = threading.Lock()

    def count(self, what: Literal["asked", "answered", "faults"], key: str, n: int = 1) -> int:
        """Count one more, or ``n``; returns how many there were before."""
        with self._lock:
            self._counts[what][key] += n
            return self._counts[what][key] - n

    def to_json(self) -> Mapping[str, Mapping[str, int]]:
        """``asked`` and ``answered`` by key, ``faults`` by kind."""
        with self._lock:
            return {what: dict(counts) for what, counts in self._counts.items()}


class SimulatedServer(ThreadingHTTPServer):
    """Answers from the true scenes of one city.

    Args:
        city: A synthetic city.
        faults: What goes wrong how often.
        port: 0 for any free one.

    Raises:
        InputError: The city has no true scenes.
        OSError: The port is taken.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, city: City, faults: Faults, port: int = 0) -> None:
        self.library, self.faults, self.log = Library(city), faults, RequestLog()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def base_url(self) -> str:
        """Address for clients, with ``/v1``."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the server's."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: SimulatedServer
    protocol_version = "HTTP/1.1"
    # Head and body go out together: else each answer would wait for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 600

    def do_GET(self) -> None:
        """Models, or the log."""
        if self.path == "/v1/models":
            models = [
                {"id": name, "object": "model", "owned_by": "urbanln"} for name in self.server.library.models
            ]
            self._send(200, {"object": "list", "data": models})
        elif self.path == "/log":
            self._send(200, self.server.log.to_json())
        else:
            self._send(404, _error("no such page", "not_found"))

    def do_POST(self) -> None:
        """One answer, or a fault."""
        log = self.server.log
        try:
            request = self._read()
        except BadRequest as error:
            self._send(error.status, _error(str(error), error.code))
            return
        fault = self.server.faults.draw(
            f"{request.key}|{request.prompt_hash}", log.count("asked", request.key)
        )
        if fault is not None:
            log.count("faults", fault)
        if fault is None or fault in ("cut", "refusal"):
            self._answer(request, fault)
        else:
            self._fail(fault, request)

    def _read(self) -> Request:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= _LARGEST:
            self.close_connection = True
            status = 411 if length < 0 else 413
            raise BadRequest("say how long the body is, up to 64 MiB", "bad_length", status)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the client went away")
        if self.path != "/v1/chat/completions":
            raise BadRequest("no such page", "not_found", 404)
        return self.server.library.read(body, self.headers.get(TAG_HEADER))

    def _answer(self, request: Request, fault: str | None) -> None:
        try:
            text = REFUSAL if fault == "refusal" else self.server.library.text(request)
        except UrbanLNError as error:
            self._send(400, _error(str(error), "bad_prompt"))
            return
        if fault == "cut":
            text = text[: max(1, int(0.6 * len(text)))]
        # Before it is sent: whoever has received an answer finds it counted.
        self.server.log.count("answered", request.key)
        if not self._send(200, request.completion(text, cut=fault == "cut")):
            self.server.log.count("answered", request.key, -1)

    def _fail(self, fault: str, request: Request) -> None:
        if fault == "too_many":
            wait = {"Retry-After": f"{self.server.faults.retry_after_s:g}"}
            self._send(429, _error("too many requests", "rate_limit_exceeded"), wait)
        elif fault == "server_error":
            self._send(500, _error("the model fell over", "server_error"))
        elif fault == "broken_json":
            whole = json.dumps(request.completion("This picture shows", cut=False)).encode()
            self._send_bytes(200, whole[: len(whole) // 2])
        elif fault == "drop":
            self.close_connection = True
            begun = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
            with contextlib.suppress(OSError):
                self.wfile.write(begun)
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
        else:
            # Readable means that the client went away; it sends nothing more while it waits.
            select.select([self.connection], [], [], self.server.faults.hang_s)
            self.close_connection = True

    def _send(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> bool:
        return self._send_bytes(status, json.dumps(value).encode(), headers)

    def _send_bytes(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bool:
        """Whether it went out."""
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        try:
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True
            return False
        return True

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are counted, not printed."""


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


@contextlib.contextmanager
def serve(city_folder: Path | str, faults: Faults | None = None) -> Iterator[str]:
    """Run the server in a process of its own, and stop it at the end, also when this process is killed.

    Args:
        city_folder: A synthetic city.
        faults: What goes wrong how often; nothing unless given.

    Yields:
        The base URL, with ``/v1``.

    Raises:
        UrbanLNError: The server did not start.

    Example:
        >>> with serve("mycity", Faults.spread(0.2)) as base_url:  # doctest: +SKIP
        ...     print(base_url)
    """
    rates = json.dumps(asdict(faults or Faults()))
    options = ["--port", "0", "--until-stdin-closes", "--faults-json", rates]
    process = subprocess.Popen(  # noqa: S603 - our own module, started as a list of arguments
        [sys.executable, "-m", "urbanln.captions.simulation.server", str(city_folder), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # For the type checker: both are pipes.
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        address = process.stdout.readline().strip() if ready else ""
        if not address:
            raise UrbanLNError(
                "the simulated server did not start", where=city_folder, remedy="its message stands above"
            )
        yield address
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _stop_with_stdin() -> None:
    """End this process as soon as its standard input closes: whoever started it is gone."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("city", type=Path, help="folder of a synthetic city")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that go wrong")
    parser.add_argument("--seed", type=int, default=0, help="decides which")
    parser.add_argument("--faults-json", help="rates of single faults, instead of --faults")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that started it"
    )
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        rates = json.loads(args.faults_json) if args.faults_json else None
        faults = Faults(**rates) if rates else Faults.spread(args.faults, args.seed)
        server = SimulatedServer(City.open(args.city), faults, args.port)
    except UrbanLNError as error:
        say(*str(error).split("\n"))
        sys.exit(error.exit_code)
    except (OSError, OverflowError) as error:
        say(f"error: cannot serve on port {args.port}: {error}")
        sys.exit(1)
    if args.until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    answer(server.base_url)
    with contextlib.suppress(KeyboardInterrupt), server:
        server.serve_forever()


if __name__ == "__main__":
    main()
