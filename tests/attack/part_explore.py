"""``explore`` as it is served: what strangers, broken browsers and odd cities make of it.

What it writes as files is attacked in the other parts, as what other verbs write is.
"""

from __future__ import annotations

import random
import resource
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tests.attack.asked import Question, Served, everything, served
from tests.attack.case import Attack, Case
from tests.attack.odd_cities import CITIES, VECTORS
from tests.attack.part_places import locked
from tests.attack.questions import GROUPS, WIRES

PART = "explore"
_ALL = ("c", "--vectors", "v.parquet", "--model", "run", "--scores", "s")
_NEEDS = ("c", "v.parquet", "run", "s")
_PLAIN = ("c", "--vectors", "v.parquet")
# What the verb is told, and whether that must be refused.
_WORDS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "no-city": (["nothing"], []), "city-is-a-file": (["v.parquet"], ["v.parquet"]),
    "same-city-twice": (["c", "c"], ["c"]), "vectors-are-a-city": (["c", "--vectors", "c"], ["c"]),
    "vectors-are-gone": (["c", "--vectors", "none.parquet"], ["c"]),
    "scores-are-a-file": (["c", "--scores", "v.parquet"], ["c", "v.parquet"]),
    "scores-are-a-run": (["c", "--scores", "run"], ["c", "run"]),
    "model-is-another": ([*_PLAIN, "--model", "base"], ["c", "v.parquet", "base"]),
    "model-is-a-table": ([*_PLAIN, "--model", "v.parquet"], ["c", "v.parquet"]),
    "model-is-half": ([*_PLAIN, "--model", "half"], ["c", "v.parquet", "half"]),
    "vectors-of-pixels": (["c", "--vectors", "px.parquet", "--model", "run"], ["c", "px.parquet", "run"]),
    "corpus": (["kc"], ["kc"]), "port-huge": (["c", "--port", "65536"], ["c"]),
    "port-negative": (["c", "--port", "-1"], ["c"]), "host-odd": (["c", "--host", "999.1.1.1"], ["c"]),
    "host-control": (["c", "--host", "a\x1b[2Jb"], ["c"]), "host-long": (["c", "--host", "a" * 5000], ["c"]),
    "host-foreign": (["c", "--host", "203.0.113.9"], ["c"]), "host-nul": (["c", "--host", "a\0b"], ["c"]),
    "host-lone": (["c", "--host", "\udce9"], ["c"]),
    "basemap-gone": (["c", "--basemap", "none.pmtiles"], ["c"]),
    "basemap-city": (["c", "--basemap", "c"], ["c"]),
    "basemap-table": (["c", "--basemap", "v.parquet"], ["c", "v.parquet"]),
    "basemap-nul": (["c", "--basemap", "a\0b"], ["c"]), "basemap-lone": (["c", "--basemap", "\udce9"], ["c"]),
    "basemap-control": (["c", "--basemap", "https://a\x1b[2Jb/{z}/{x}/{y}"], ["c"]),
    "basemap-nobody": (["c", "--basemap", "https://tiles.example.org/{z}/{x}/{y}"], ["c"]),
    "basemap-http": (["c", "--basemap", "http://a.example/{z}/{x}/{y}", "--basemap-credit", "x"], ["c"]),
    "basemap-policy": (["c", "--basemap", "https://a;*/{z}/{x}/{y}", "--basemap-credit", "x"], ["c"]),
    "credit-alone": (["c", "--basemap-credit", "x"], ["c"]),
}  # fmt: skip


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Questions and connections of every kind, odd cities, odd vectors, words, and ways to be stopped."""
    found = [Attack(PART, f"asked-{name}", _asked(questions)) for name, questions in GROUPS.items()]
    found.append(Attack(PART, "wires", _wires))
    found += [
        Attack(PART, f"city-{name}-{'export' if export else 'served'}", _city(change, export))
        for name, change in CITIES.items() for export in (False, True)
    ]  # fmt: skip
    found += [Attack(PART, f"vectors-{name}", _vectors(change)) for name, change in VECTORS.items()]
    found += [Attack(PART, f"words-{name}", _words(*told)) for name, told in _WORDS.items()]
    for sign in (signal.SIGTERM, signal.SIGINT):
        found += [Attack(PART, f"stopped-{sign.name}-{n}", _stopped(sign, do)) for n, do in _BUSY.items()]
    plain = {"crowd": _crowd, "leavers": _leavers, "goes-away": _goes_away, "taken-port": _taken_port,
             "read-only": _read_only, "no-cache": _no_cache, "two-cities": _two, "secret": _secret,
             "other-loopback": _loopback}  # fmt: skip
    return [*found, *(Attack(PART, name, do) for name, do in plain.items())]


def _asked(questions: Sequence[Question]) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*_NEEDS)
        with served(case, *_ALL) as server:
            assert server is not None
            before = server.json("api/content")
            for question in questions:
                server.ask(question)
            if server.json("api/content") != before:
                case.fault("loss", "what there is changed by being asked")

    return do


def _wires(case: Case) -> None:
    """What is no request: each ends in an answer or in silence, and others are answered meanwhile."""
    case.take(*_NEEDS)
    with served(case, *_ALL) as server:
        assert server is not None
        for name, data in WIRES.items():
            status, body = server.exchange(data.replace(b"PORT", str(server.port).encode()), seconds=1.5)
            if status is not None and status >= 500:
                case.fault("traceback", f"{name}: {status} {body[:200]!r}")
            server.json("api/region?row=0")


def _city(change: Callable[[Case], None], export: bool) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*_NEEDS)
        change(case)
        if export:
            outcome = case.run("explore", *_ALL, "--query", "a red roof", "--export", "page", expect="either",
                               changes=["page"], limit=120)  # fmt: skip
            for file in (case.root / "page").rglob("*.*") if outcome.code == 0 else ():
                if file.suffix in (".html", ".js") and b"<script>alert(1)" in file.read_bytes():
                    case.fault("loss", f"a text's markup came into {file.name}")
            return
        with served(case, *_ALL) as server:
            if server is not None:
                everything(server)

    return do


def _vectors(change: Callable[[Case], None]) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take("c", "v.parquet")
        change(case)
        with served(case, *_PLAIN) as server:
            if server is not None:
                everything(server)

    return do


def _words(words: Sequence[str], needs: Sequence[str]) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*needs)
        case.run("explore", *words, "--no-browser", expect="refused", limit=60)

    return do


def _upload_half(server: Served) -> list[socket.socket]:
    head = f"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 999\r\n\r\nabc"
    return [_sent(server, head.encode())]


def _many_answers(server: Served) -> list[socket.socket]:
    ask = Question("/api/take", {"rows": list(range(36)) * 1000, "format": "geojson", "columns": []})
    return [_sent(server, ask.bytes(server.port)) for _ in range(8)]


def _unread(server: Served) -> list[socket.socket]:
    ask = Question("/explore.js", headers={"Connection": "keep-alive"}).bytes(server.port)
    return [_sent(server, ask * 20)]


def _sent(server: Served, data: bytes) -> socket.socket:
    sock = server.connect()
    sock.sendall(data)
    return sock


_BUSY: Mapping[str, Callable[[Served], list[socket.socket]]] = {
    "idle": lambda server: [server.connect()],
    "half-asked": _upload_half,
    "answering": _many_answers,
    "unread": _unread,
}


def _stopped(sign: signal.Signals, busy: Callable[[Served], list[socket.socket]]) -> Callable[[Case], None]:
    """Told to stop while somebody is still there: it ends soon, and leaves nothing."""

    def do(case: Case) -> None:
        case.take(*_NEEDS)
        socks: list[socket.socket] = []
        with served(case, *_ALL, sign=sign) as server:
            assert server is not None
            server.json("api/content")
            socks = busy(server)
            begun = time.monotonic()
        if (took := time.monotonic() - begun) > 30:
            case.fault("hang", f"{sign.name} took {took:.0f} s")
        for sock in socks:
            sock.close()

    return do


def _crowd(case: Case) -> None:
    """More connections than files may be open: some wait, and nothing breaks."""
    case.take("c")

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with served(case, "c", setup=few) as server:
        assert server is not None
        socks = [server.connect() for _ in range(200)]
        time.sleep(1.5)
        for sock in socks:
            sock.close()
        server.json("api/content")


def _leavers(case: Case) -> None:
    """Clients that ask and do not wait for the answer, or for the end of their own question."""
    case.take(*_NEEDS)
    with served(case, *_ALL) as server:
        assert server is not None
        for path, body in (("/api/content", None), ("/explore.js", None), ("/api/text", {"text": "a roof"}),
                           ("/api/similar", {"rows": [0]}), ("/picture?id=p0", None)):  # fmt: skip
            data = Question(path, body).bytes(server.port)
            for size in (len(data), len(data) - 3, len(data) // 2):
                for _ in range(4):
                    with suppress(OSError):
                        _sent(server, data[:size]).close()
        everything(server, 3)


def _goes_away(case: Case) -> None:
    """The city's pictures and tables are gone while it is served: what needs them is said not to be there."""
    case.take(*_NEEDS)
    gone = ["c", "v.parquet", "run", "s"]
    with served(case, *_ALL, changes=gone) as server:
        assert server is not None
        server.json("api/content")
        for name in gone:
            path = case.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        everything(server)


def _taken_port(case: Case) -> None:
    case.take("c")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        case.run("explore", "c", "--no-browser", "--port", port, expect="refused", limit=60)


def _read_only(case: Case) -> None:
    case.take(*_NEEDS)
    with locked(case.root), served(case, *_ALL) as server:
        assert server is not None
        everything(server, 5)


def _no_cache(case: Case) -> None:
    """What is kept for the next time cannot be kept."""
    case.take(*_NEEDS)
    (case.cage / "file").write_text("mine")
    with served(case, *_ALL, env={"URBANLN_CACHE": str(case.cage / "file")}) as server:
        if server is not None:
            everything(server, 5)


def _two(case: Case) -> None:
    case.take("c", "k", "kt")
    with served(case, "c", "k", "kt") as server:
        assert server is not None
        everything(server)


def _secret(case: Case) -> None:
    """Beyond this machine nothing is answered without the secret."""
    case.take("c")
    with served(case, "c", "--host", "0.0.0.0") as server:
        assert server is not None
        secret = server.path
        for path in ("/", "/api/content", "//api/content", f"{secret[:-2]}/api/content", "/picture?id=p0",
                     f"{secret}../api/content", f"/x{secret}api/content", secret.swapcase()):  # fmt: skip
            server.ask(Question(path, wanted="refused"))
        server.json("api/content")
        everything(server, 3)


def _loopback(case: Case) -> None:
    """Another name of this machine answers to itself."""
    case.take("c")
    with served(case, "c", "--host", "localhost") as server:
        assert server is not None
        host = {"Host": f"localhost:{server.port}"}
        server.ask(Question("/api/content", headers=host, wanted="answered"))
