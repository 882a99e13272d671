"""Who is answered, with what, and what an export holds."""

from __future__ import annotations

import gzip
import io
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import httpx
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.responses import Response
from tests.explore.world import make_content

from urbanln.base.errors import InputError
from urbanln.explore.content import Content
from urbanln.explore.exporting import export_page
from urbanln.explore.guard import refusal
from urbanln.explore.requests import MOST_BYTES
from urbanln.explore.server import listen, make_app
from urbanln.explore.taken import take

PORT = 8123
HOME = f"http://127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def content() -> Content:
    return make_content(licences=("CC BY 4.0", "terms of somebody"))


@pytest.fixture(scope="module")
def ask(content: Content) -> Callable[..., httpx.Response]:
    return asker(content)


def asker(content: Content) -> Callable[..., httpx.Response]:
    """Asks an application as a browser does, without a socket."""
    import asyncio

    app = make_app(content, "127.0.0.1", PORT)

    def send(method: str, path: str, **how: object) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
                return await client.request(method, path, **how)  # type: ignore[arg-type]

        return asyncio.run(once())

    return send


def test_the_page_may_run_its_own_scripts_alone(ask) -> None:
    page = ask("GET", "/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page.text
    assert " style=" not in page.text
    for name in ("explore.js", "explore.css"):
        assert ask("GET", f"/{name}").status_code == 200


def test_answers_are_numbers_and_files(ask, content: Content) -> None:
    values = np.frombuffer(ask("GET", "/api/column?key=label:price").content, "<f4")
    np.testing.assert_array_equal(values, content.columns["label:price"].values)
    picture = ask("GET", "/picture?id=p3&size=384")
    assert Image.open(io.BytesIO(picture.content)).format == "JPEG"
    found = ask("POST", "/api/similar", content=json.dumps({"rows": [3], "k": 4})).json()
    assert len(found["rows"]) == 4


def _unpacked(body: bytes) -> dict[str, tuple[str, bytes]]:
    """Parts of a binary answer by name, as its head says where they lie."""
    size = int.from_bytes(body[:4], "little")
    out, at = {}, 4 + size
    for part in json.loads(body[4:at]):
        assert at % 8 == 0
        out[part["name"]] = (part["kind"], body[at : at + part["bytes"]])
        at += -(-part["bytes"] // 8) * 8
    assert at == len(body)
    return out


def test_what_is_of_each_region_comes_in_binary(
    ask, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = _unpacked(ask("GET", "/api/places").content)
    assert {name: kind for name, (kind, _) in parts.items()} == {
        "lon": "i4", "lat": "i4", "ids": "lines", "shapes": "wkb",
    }  # fmt: skip
    lonlat = np.column_stack([np.frombuffer(parts[name][1], "<i4") / 1e6 for name in ("lon", "lat")])
    np.testing.assert_allclose(lonlat, content.lonlat, atol=5e-7)
    assert parts["ids"][1].decode().split("\n") == list(content.regions["region_id"])
    assert len(parts["shapes"][1]) == 36 * len(content.regions.geometry.iloc[0].wkb)
    # Of very many the middles alone; ids come when they are asked for.
    monkeypatch.setattr("urbanln.explore.answers.MOST_REGIONS", 10)
    assert set(_unpacked(ask("GET", "/api/places").content)) == {"lon", "lat"}
    assert _unpacked(gzip.decompress(ask("GET", "/api/texts").content))["ids"] == parts["ids"]


def test_tiles_and_outlines(ask) -> None:
    tile = gzip.decompress(ask("GET", "/tile/12/2048/2047").content)
    planes = np.frombuffer(tile, np.uint8).reshape(4, -1)
    assert set(planes[0].tolist()) == set(range(37)), "all 36 regions, and where there is none"
    assert not planes[1:].any()
    assert ask("GET", "/api/shape?row=1").json()["shape"]["type"] == "Polygon"
    for bad in ("/tile/13/4096/9000", "/tile/x/0/0", "/api/shape?row=36", "/api/shape"):
        assert ask("GET", bad).status_code == 400


@pytest.mark.parametrize("form", ["geojson", "csv", "parquet"])
def test_a_selection_opens_in_other_tools(ask, form: str) -> None:
    body = {"rows": [5, 2], "format": form, "columns": ["label:price"]}
    data = io.BytesIO(ask("POST", "/api/take", content=json.dumps(body)).content)
    frame = (
        pd.read_csv(data)
        if form == "csv"
        else gpd.read_parquet(data)
        if form == "parquet"
        else gpd.read_file(data)
    )
    assert list(frame["region_id"]) == ["r5", "r2"]
    assert list(frame["label:price"]) == [5, 2]
    if form != "csv":
        assert frame.crs.to_epsg() == 4326
        assert list(frame.geometry.geom_type) == ["Polygon", "Polygon"]


def test_no_text_is_a_formula_for_a_spreadsheet(content: Content) -> None:
    ids = ["=1+1", "-7", "+49.5", "@x", "r4"]
    regions = content.regions.iloc[:5].assign(region_id=ids)
    lines = take(replace(content, regions=regions), np.arange(5), [], "csv").decode().splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == ["'=1+1", "-7", "+49.5", "'@x", "r4"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/column?key=nothing", None, 400), ("GET", "/api/region?row=99", None, 400),
        ("GET", "/api/region?row=../x", None, 400), ("GET", "/picture?id=p99", None, 404),
        ("GET", "/picture?id=../../etc/passwd", None, 400), ("GET", "/../pyproject.toml", None, 404),
        ("POST", "/api/similar", b"{", 400), ("POST", "/api/similar", b'{"rows": ["x"]}', 400),
        ("POST", "/api/similar", b'{"rows": [1], "k": 100000}', 400),
        ("POST", "/api/text", b'{"text": 3}', 400),
        ("POST", "/api/take", b'{"rows": [1], "format": "exe", "columns": []}', 400),
        ("POST", "/api/upload", b"x" * 100, 400), ("POST", "/api/upload", b"x" * (MOST_BYTES + 1), 413),
        ("POST", "/api/evidence", b'{"row": 1, "key": "prediction:x"}', 400),
        ("POST", "/api/similar", b'{"rows": []}', 400), ("GET", "/api/nothing", None, 404),
        ("GET", "/api/content/", None, 404), ("POST", "/api/content", b"{}", 405),
    ],
)  # fmt: skip
def test_bad_questions_have_one_clear_answer(
    ask, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = ask(method, path, content=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "remedy"}
    assert all(answer.json().values())


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example:8123"}, {"host": "127.0.0.1:9"},
        {"host": f"127.0.0.1:{PORT}", "origin": "null"},
        {"host": f"127.0.0.1:{PORT}", "origin": "http://elsewhere.example"},
        {"host": f"127.0.0.1:{PORT}", "sec-fetch-site": "cross-site"}, {},
    ],
)  # fmt: skip
def test_other_pages_are_refused(headers: dict[str, str]) -> None:
    assert refusal(headers, "127.0.0.1", PORT)
    good = {
        "host": f"localhost:{PORT}",
        "origin": f"http://localhost:{PORT}",
        "sec-fetch-site": "same-origin",
    }
    assert refusal(good, "127.0.0.1", PORT) is None


def test_another_name_of_this_machine_is_answered() -> None:
    assert refusal({"host": f"127.0.0.2:{PORT}"}, "127.0.0.2", PORT) is None


@pytest.mark.parametrize("host", ["a\0b", "\udce9", "a" * 5000, "203.0.113.9"])
def test_an_address_that_is_none_is_said(content: Content, host: str) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        listen(content, host)


def test_refusals_reach_the_wire(ask) -> None:
    assert ask("GET", "/api/content", headers={"host": "rebound.example"}).status_code == 403
    assert (
        ask("POST", "/api/text", headers={"origin": "http://elsewhere.example"}, content=b"{}").status_code
        == 403
    )


def test_a_city_that_goes_away_is_said(content: Content) -> None:
    def gone(row: int) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", "p.png")

    ask = asker(replace(content, open_picture=gone))
    asked = {"row": 1, "key": "prediction:price"}
    told = ask("POST", "/api/evidence", content=json.dumps(asked))
    assert (told.status_code, told.json()["error"]) == (
        404,
        "a file could not be used: No such file or directory",
    )


def test_who_stops_in_the_middle_neither_holds_the_server_nor_is_a_fault(
    content: Content, capfd: pytest.CaptureFixture[str]
) -> None:
    server, sock, address = listen(content)
    port = sock.getsockname()[1]
    serving = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    serving.start()
    head = f"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 9\r\n\r\nabc".encode()
    with socket.create_connection(("127.0.0.1", port)) as gone:
        gone.sendall(head)
    with socket.create_connection(("127.0.0.1", port)) as stays:
        stays.sendall(head)
        assert httpx.get(address + "api/region?row=0").status_code == 200  # so both are being listened to
        server.should_exit = True
        serving.join(20)
        assert not serving.is_alive()
        assert stays.recv(9) == b""
    assert "Traceback" not in capfd.readouterr().err


def test_an_answer_that_takes_long_does_not_hold_the_server(
    content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, left = threading.Event(), threading.Event()

    def slow(row: int) -> bytes:
        asked.set()
        assert left.wait(30)
        return content.open_picture(row)

    monkeypatch.setattr("urbanln.explore.serving.leave", left.set)  # in a program of ours it ends the process
    server, sock, _ = listen(replace(content, open_picture=slow))
    port = sock.getsockname()[1]
    serving = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    serving.start()
    with socket.create_connection(("127.0.0.1", port)) as waits:
        waits.sendall(f"GET /picture?id=p0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert asked.wait(20)
        server.should_exit = True
        assert left.wait(20)
        serving.join(20)
        assert not serving.is_alive()


def test_answers_are_sent_at_once(content: Content) -> None:
    server, sock, address = listen(content)
    nodelay: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for state in server.server_state.connections:
            talk = state.transport.get_extra_info("socket")
            nodelay.append(talk.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        server.should_exit = True
        await Response()(scope, receive, send)

    server.config.load()
    server.config.loaded_app = app
    asking = threading.Thread(target=lambda: httpx.get(address, timeout=20))
    asking.start()
    server.run(sockets=[sock])
    asking.join()
    assert nodelay == [1]


def test_beyond_this_machine_the_path_has_a_secret(content: Content) -> None:
    _, sock, address = listen(content, "0.0.0.0", 0)
    sock.close()
    assert len(address.rstrip("/").rpartition("/")[2]) > 20
    _, sock, address = listen(content)
    with sock, pytest.raises(InputError, match="cannot listen"):
        listen(content, port=sock.getsockname()[1])
    assert address.count("/") == 3, "no secret is needed here"


def _data(folder: Path) -> dict:
    text = (folder / "data.js").read_text()
    assert "<" not in text, "nothing in it can end a script element"
    return json.loads(text.removeprefix("window.URBANLN_DATA = ").rstrip(";\n"))


def test_an_export_answers_what_was_prepared(tmp_path: Path, content: Content) -> None:
    lines = export_page(content, tmp_path / "out")
    assert lines == [str(tmp_path / "out" / "index.html")]
    data = _data(tmp_path / "out")
    assert list(data["texts"]) == ["a red roof"]
    shown = {one["id"] for told in data["regions"] for one in told["pictures"]}
    files = {path.stem for path in (tmp_path / "out" / "pictures").iterdir()}
    assert shown == files
    assert {int(name[1:]) % 2 for name in files} == {0}, "only those of a free licence"
    again = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    export_page(content, tmp_path / "out")
    assert {path: path.read_bytes() for path in again} == again, "the same input gives the same bytes"
    export_page(content, tmp_path / "all", with_pictures=True)
    assert len(list((tmp_path / "all" / "pictures").iterdir())) == len(content.pictures)
    export_page(content, tmp_path / "all")
    left = {path.stem for path in (tmp_path / "all" / "pictures").iterdir()}
    assert left == files, "what an earlier export took along stays no longer"


def test_an_export_takes_no_folder_of_anybody(tmp_path: Path, content: Content) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(InputError):
        export_page(content, tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"
