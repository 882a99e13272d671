"""Asking is polite, bounded and done once; what a server does wrong costs its own source alone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from tests.gather.world import Handler, TileServer, authority, serving, tile, write_recipe

from urbanln.base.errors import InputError
from urbanln.gather import run
from urbanln.gather.fetching import host as host_module
from urbanln.gather.fetching.cache import Cache
from urbanln.gather.fetching.client import retry_after
from urbanln.gather.fetching.local import Local
from urbanln.gather.fetching.rounds import Fetched, fetch_all
from urbanln.gather.source import Answer, Request

Place = tuple[int, int, int]


def _fetch(folder: Path, url: str, *changes: tuple[str, str], more: str = "", fetch: str = "") -> Fetched:
    ready = run.prepare(write_recipe(folder, url, *changes, more=more, fetch=fetch))
    kept, planned = ready.kept(folder / "cache"), run.plan(ready, cache=folder / "cache", sample=False)
    spent = {one.name: one.usd_spent for one in planned.plans}
    return fetch_all(ready.sources, ready.recipe.fetch, kept, total=15, spent=spent)["aerial"]


def test_everything_is_asked_once_and_kept(tmp_path: Path, server: TileServer) -> None:
    found = _fetch(tmp_path, server.url)
    assert (found.requests, found.kept, found.failed) == (15, 0, 0)
    assert found.bytes == sum(len(tile(*map(int, path[1:-4].split("/")))) for path in server.asked)
    assert set(server.counts.values()) == {1}
    again = _fetch(tmp_path, server.url)
    assert (again.requests, again.kept) == (15, 15)
    assert len(server.asked) == 15


def test_servers_are_told_who_asks(tmp_path: Path, server: TileServer) -> None:
    _fetch(tmp_path, server.url, fetch='contact = "me@example.org"')
    assert all(one["User-Agent"].startswith("urbanln/") for one in server.headers)
    assert server.headers[0]["User-Agent"].endswith(" (me@example.org)")


def test_no_more_are_under_way_than_the_recipe_allows(tmp_path: Path, server: TileServer) -> None:
    gate = threading.Barrier(3, timeout=20)  # passes only where three requests wait at once

    def behave(handler: Handler, place: Place) -> bool:
        gate.wait()
        return False

    server.behave = behave
    _fetch(tmp_path, server.url, ("concurrency = 4", "concurrency = 3"))
    assert server.most == 3


def test_no_more_begin_in_a_second_than_the_recipe_allows(tmp_path: Path, server: TileServer) -> None:
    start = time.monotonic()
    _fetch(
        tmp_path,
        server.url,
        ("per_second = 100000", "per_second = 200"),
        ('by = "tile:14"', 'by = "tile:16"'),
    )
    # What fits into a fifth of a second may begin at once, since it was not used before.
    assert time.monotonic() - start > (len(server.asked) - 42) / 200
    assert len(server.asked) > 100


@pytest.mark.parametrize("fault", ["cut", "500", "503", "429", "garbage", "drop"])
def test_what_may_pass_is_asked_again(tmp_path: Path, server: TileServer, fault: str) -> None:
    def behave(handler: Handler, place: Place) -> bool:
        if server.counts[handler.path] > 1:
            return False
        if fault == "cut":
            return handler.cut(tile(*place))
        if fault == "drop":
            handler.close_connection = True
            return True
        if fault == "garbage":
            return handler.answer(b"<html>please sign in</html>")
        return handler.answer(b"no", int(fault), Retry_After="0")

    server.behave = behave
    found = _fetch(tmp_path, server.url)
    assert (found.requests, found.failed) == (15, 0)
    assert set(server.counts.values()) == {2}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("400", "HTTP 400"),
        ("big", "larger than [fetch] max_mb"),
        ("html", "not a picture but a page of text"),
    ],
)
def test_what_lasts_is_told_and_not_kept(tmp_path: Path, server: TileServer, fault: str, told: str) -> None:
    bad: list[str] = []

    def behave(handler: Handler, place: Place) -> bool:
        if not bad:
            bad.append(handler.path)
        if handler.path != bad[0]:
            return False
        body = b"\xff\xd8\xff" + b"x" * 200_000 if fault == "big" else b"<html>"
        return handler.answer(body, 400 if fault == "400" else 200)

    server.behave = behave
    found = _fetch(tmp_path, server.url, fetch="max_mb = 0.1")
    assert (found.requests, found.failed) == (15, 1)
    assert told in found.fault_line()
    assert found.example.endswith(bad[0])
    assert server.counts[bad[0]] == (2 if fault == "html" else 1)
    server.behave = None
    assert _fetch(tmp_path, server.url).kept == 14


def test_an_answer_that_never_ends_is_cut_off_at_the_bound(tmp_path: Path, server: TileServer) -> None:
    def behave(handler: Handler, place: Place) -> bool:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    server.behave = behave
    found = _fetch(tmp_path, server.url, fetch="max_mb = 0.5")
    assert found.failed == 15
    assert "larger than" in found.fault_line()


def test_a_server_that_hangs_is_given_up_and_asked_no_more(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "DOWN_AFTER", 3)
    server.behave = lambda handler, place: handler.hang()
    found = _fetch(tmp_path, server.url, ("timeout_s = 5", "timeout_s = 0.1"), ("retries = 1", "retries = 0"))
    assert "the host is down: no answer in time" in found.stopped
    assert len(server.asked) <= 3 + 4


def test_nothing_there_is_an_answer_too(tmp_path: Path, server: TileServer) -> None:
    server.behave = lambda handler, place: handler.answer(b"gone", 404)
    found = _fetch(tmp_path, server.url)
    assert (found.requests, found.failed) == (15, 0)
    assert _fetch(tmp_path, server.url).kept == 15
    assert len(server.asked) == 15


def test_retry_after_holds_back_all_of_a_host(tmp_path: Path, server: TileServer) -> None:
    begun: list[float] = []

    def behave(handler: Handler, place: Place) -> bool:
        begun.append(time.monotonic())
        if len(begun) > 1:
            return False
        return handler.answer(b"", 429, Retry_After="0.3")

    server.behave = behave
    found = _fetch(tmp_path, server.url, ("concurrency = 4", "concurrency = 1"), ("0.01", "5"))
    assert found.failed == 0
    assert begun[1] - begun[0] >= 0.3


def test_a_wait_that_is_too_long_stops_the_source(tmp_path: Path, server: TileServer) -> None:
    server.behave = lambda handler, place: handler.answer(b"", 429, Retry_After="86400")
    found = _fetch(tmp_path, server.url)
    assert "asks to come again in 86,400 s" in found.stopped
    assert len(server.asked) <= 4


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_certificate_is_of_the_name_though_the_address_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    authority().cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with serving(tls=True) as server:
        url = server.url.replace("127.0.0.1", name)
        found = _fetch(tmp_path, url, ('private = ["127.0.0.1"]', f'private = ["{name}"]'))
    if name == "localhost":
        assert found.failed == 0
        assert {one["Host"].partition(":")[0] for one in server.headers} == {"localhost"}
    else:
        assert "certificate" in found.fault_line().lower()
        assert server.asked == []


@pytest.mark.parametrize("text", ["", "soon", "nan", "Wed, 99 Foo 2026"])
def test_a_retry_after_that_says_nothing_is_passed_over(text: str) -> None:
    assert retry_after(text) is None


def test_a_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("2.5") == 2.5
    assert retry_after("-3") == 0
    assert retry_after(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)
    assert retry_after(formatdate(0, usegmt=True)) == 0


def test_a_host_that_nobody_knows_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", unknown)
    found = _fetch(tmp_path, "https://tiles.example.org")
    assert (
        found.fault_line() == "the host is down: no host of this name is known here, or there is no network"
    )


def test_a_host_that_stays_down_stops_its_own_source_alone(tmp_path: Path, server: TileServer) -> None:
    other = '\n[tiles.other]\nurl = "http://127.0.0.1:9/{z}/{x}/{y}"\nlicence = "x"\nattribution = "y"\n'
    path = write_recipe(tmp_path, server.url, ("[fetch]", other + "[fetch]"), ("tile:14", "tile:15"))
    ready = run.prepare(path)
    found = fetch_all(ready.sources, ready.recipe.fetch, ready.kept(tmp_path / "cache"), total=90)
    assert found["aerial"].failed == 0
    assert found["aerial"].requests > 30
    assert found["other"].stopped.startswith("the host is down")


def test_a_wrong_key_stops_the_source_and_is_told_nowhere(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAP_KEY", "s3cret")

    def behave(handler: Handler, place: Place) -> bool:
        return handler.answer(b"", 200 if "k=right" in handler.path else 401)

    server.behave = behave
    change = ('.jpg"', '.jpg?k={key}"\nkey = "MAP_KEY"')
    found = _fetch(tmp_path, server.url, change)
    assert found.stopped == "HTTP 401: the key in MAP_KEY is wrong or has expired"
    assert "k=s3cret" in server.asked[0]
    assert len(server.asked) <= 4
    assert "s3cret" not in f"{found}"
    server.behave = None
    again = _fetch(tmp_path, server.url, change)
    assert again.failed == 0
    kept = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(kept) == 15
    assert not any(b"s3cret" in one for one in kept)


def test_only_403_stops_the_source(tmp_path: Path, server: TileServer) -> None:
    server.behave = lambda handler, place: handler.answer(b"", 403)
    found = _fetch(tmp_path, server.url)
    assert found.stopped.startswith("nothing but HTTP 403")
    assert len(server.asked) < 15


def test_a_redirect_is_followed_to_named_hosts_only_and_without_the_key(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAP_KEY", "s3cret")
    other = server.url.replace("127.0.0.1", "localhost")

    def behave(handler: Handler, place: Place) -> bool:
        if handler.path.startswith("/t/"):
            return False
        return handler.answer(b"", 302, Location=f"{other}/t{handler.path}")

    server.behave = behave
    change = ("tile_px = 64", 'tile_px = 64\nkey = "MAP_KEY"\nheaders = {Authorization = "Bearer {key}"}')
    refused = _fetch(tmp_path, server.url, change)
    assert refused.failed == refused.requests
    assert "the recipe does not name this host (localhost)" in refused.fault_line()
    assert not any(path.startswith("/t/") for path in server.asked)
    server.asked.clear()
    server.headers.clear()
    named = ("tile_px = 64\nkey", 'tile_px = 64\nhosts = ["localhost"]\nkey')
    private = ('private = ["127.0.0.1"]', 'private = ["127.0.0.1", "localhost"]')
    followed = _fetch(tmp_path, server.url, change, named, private)
    assert followed.failed == 0
    for path, headers in zip(server.asked, server.headers, strict=True):
        assert ("Authorization" in headers) == (not path.startswith("/t/"))
        assert headers.get("Authorization", "Bearer s3cret") == "Bearer s3cret"


def test_a_redirect_that_carries_the_key_is_refused(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAP_KEY", "s3cret")
    server.behave = lambda handler, place: handler.answer(b"", 302, Location=f"/t{handler.path}")
    found = _fetch(tmp_path, server.url, ('.jpg"', '.jpg?k={key}"\nkey = "MAP_KEY"'))
    assert "a redirect carries the key" in found.fault_line()
    assert not any(path.startswith("/t/") for path in server.asked)
    assert "s3cret" not in f"{found}"


def test_redirects_in_a_circle_end(tmp_path: Path, server: TileServer) -> None:
    server.behave = lambda handler, place: handler.answer(b"", 302, Location=handler.path)
    found = _fetch(tmp_path, server.url)
    assert "more than 5 redirects" in found.fault_line()


def test_addresses_of_this_machine_are_asked_only_where_they_are_named(
    tmp_path: Path, server: TileServer
) -> None:
    found = _fetch(tmp_path, server.url, ('private = ["127.0.0.1"]', ""))
    assert "has an address of this machine or of a private network" in found.stopped
    assert 'private = ["127.0.0.1"]' in found.stopped
    assert server.asked == []


def test_a_cap_on_money_and_on_requests_holds(tmp_path: Path, server: TileServer) -> None:
    found = _fetch(tmp_path, server.url, more="usd_per_1000 = 100", fetch="max_usd = 0.5")
    assert len(server.asked) == 5
    assert found.stopped == "[fetch] max_usd = 0.5 is spent"
    again = _fetch(tmp_path, server.url, more="usd_per_1000 = 100", fetch="max_usd = 0.5")
    assert (len(server.asked), again.kept) == (5, 5)
    found = _fetch(tmp_path, server.url, fetch="max_requests = 3")
    assert len(server.asked) == 8
    assert "max_requests allows no more" in found.stopped


def test_a_damaged_answer_is_asked_again(tmp_path: Path, server: TileServer) -> None:
    _fetch(tmp_path, server.url)
    one = next(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    one.write_bytes(one.read_bytes()[:-1])
    found = _fetch(tmp_path, server.url)
    assert (found.kept, len(server.asked)) == (14, 16)


def test_an_answer_keeps_its_name_when_its_address_expires(tmp_path: Path) -> None:
    cache = Cache(tmp_path, Local([], tmp_path, 100))
    cache.keep(Request("https://a.org/1?expires=5", name="photo 1"), Answer(200, b"\n\nbytes\n"))
    assert cache.read(Request("https://a.org/1?expires=9", name="photo 1")) == Answer(200, b"\n\nbytes\n")
    assert cache.read(Request("https://a.org/1?expires=5")) is None
    assert cache.read(Request("https://a.org/1", name="photo 1", headers=(("Range", "bytes=0-9"),))) is None


def test_a_key_that_is_not_set_is_told_before_anything_is_asked(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAP_KEY", raising=False)
    with pytest.raises(InputError, match="is not set"):
        _fetch(tmp_path, server.url, ('.jpg"', '.jpg?k={key}"\nkey = "MAP_KEY"'))
    assert server.asked == []
