"""A small OpenAI-compatible server that fails on purpose and remembers all it was asked."""

from __future__ import annotations

import json
import random
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.process import BaseProcess
from typing import Any

FAULTS = ("429", "500", "hang", "drop", "broken", "nothing", "half")


class FaultServer:
    """Answers with a text that names the picture; ``choose`` picks the fault of each request, or None.

    A request that hangs does so until its client gives up.
    """

    def __init__(self, choose: Callable[[], str | None], delay_s: float = 0.0) -> None:
        self.choose, self.delay_s = choose, delay_s
        self.changed = threading.Condition()
        self.requests: list[tuple[float, str]] = []  # time, key
        self.answered: Counter[str] = Counter()  # key → whole answers sent
        self.faults: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.reply: Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]] | None = None
        self.connections = 0
        self.url = ""

    def until(self, holds: Callable[[], bool], client: BaseProcess) -> None:
        """Wait until something holds of what was asked and answered; the client must live to see it."""
        with self.changed:
            while not self.changed.wait_for(holds, timeout=1.0):
                assert client.is_alive() or holds(), "the client ended before"

    def settle(self) -> None:
        """Wait until all is read that clients sent which are no more."""
        here = HTTPConnection(self.url.split("/")[2])
        here.request("GET", "/")  # connections are taken in order: when this one is, all before it were
        here.getresponse().read()
        here.close()
        with self.changed:
            self.changed.wait_for(lambda: self.connections == 0)

    def asked(self, since: int = 0) -> Counter[str]:
        """Key → number of requests, from the given one on."""
        with self.changed:
            return Counter(key for _, key in self.requests[since:])


def random_faults(rate: float, seed: int, kinds: Sequence[str] = FAULTS) -> Callable[[], str | None]:
    """One of the kinds, at this rate."""
    rng = random.Random(seed)
    return lambda: rng.choice(kinds) if rng.random() < rate else None


@contextmanager
def serving(server: FaultServer) -> Iterator[FaultServer]:
    """Serve on a free port of this machine, in threads."""
    http = _Http(server)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, server: FaultServer) -> None:
        self.fault_server = server
        super().__init__(("127.0.0.1", 0), type("Handler", (_Handler,), {"fault_server": server}))

    def _count(self, connections: int) -> None:
        with self.fault_server.changed:
            self.fault_server.connections += connections
            self.fault_server.changed.notify_all()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._count(1)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._count(-1)


class _Handler(BaseHTTPRequestHandler):
    fault_server: FaultServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {}, b"")

    def do_POST(self) -> None:
        server = self.fault_server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tag = json.loads(self.headers.get("X-Urbanln-Tag") or "{}")
        key = json.dumps([tag.get("picture"), tag.get("stage"), tag.get("box"), body["model"]])
        with server.changed:
            server.requests.append((time.monotonic(), key))
            server.bodies.append(body)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            fault = server.choose()
            if fault is not None:
                server.faults[fault] += 1
            server.changed.notify_all()
        try:
            self._answer(server, key, fault, body)
        except OSError:
            self.close_connection = True

    def _answer(self, server: FaultServer, key: str, fault: str | None, body: dict[str, Any]) -> None:
        if fault == "hang":  # readable means that the client went away; it sends nothing more while it waits
            select.select([self.connection], [], [])
            self.close_connection = True
            return
        time.sleep(server.delay_s)
        whole = completion(f"A picture {key}.")
        if server.reply is not None and fault is None:
            self._send(*server.reply(body))
        elif fault == "429":
            self._send(429, {"Retry-After": "0.03"}, b'{"error": {"message": "slow down"}}')
        elif fault == "500":
            self._send(500, {}, b"oops")
        elif fault == "broken":
            self._send(200, {}, b'{"choices": [')
        elif fault == "nothing":
            self._send(200, {}, b'{"choices": []}')
        elif fault == "half":
            self._send(200, {}, whole[:60], claimed=len(whole))
        elif fault == "drop":
            self.close_connection = True
        else:
            if fault is None:
                with server.changed:
                    server.answered[key] += 1
                    server.changed.notify_all()
            self._send(200, {}, whole)

    def _send(self, status: int, headers: dict[str, str], body: bytes, claimed: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if claimed is None else claimed))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = self.close_connection or claimed is not None


def completion(text: str | None, finish: str = "stop", **message: Any) -> bytes:
    """The bytes of an ordinary answer."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text, **message},
    }
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
