"""Which addresses may be asked: the recipe's hosts, of the world, over HTTP; files below named folders."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from urbanln.gather.fetching.guard import Guard, RefusedError, is_public
from urbanln.gather.fetching.local import Local
from urbanln.gather.source import Answer, Request


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.9", "169.254.1.1", "0.0.0.0", "224.0.0.1", "::1",
     "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
     "2002:7f00:1::", "100.64.0.1"],
)  # fmt: skip
def test_addresses_that_are_not_of_the_world(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_addresses_of_the_world(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["ftp://a.org/", "file:///note.txt", "http://b.org/", "http://a.org@b.org/", "http://me:x@a.org/",
     "//a.org/", "http://a.org:0/", "http://[::1/", "http://a.org.b.org/", "https://a.org/" + "x" * 9000,
     "javascript:1"],
)  # fmt: skip
def test_only_named_hosts_are_asked_over_http(url: str) -> None:
    guard = Guard(["a.org"], [])
    with pytest.raises(RefusedError):
        guard.check(url, url)
    assert guard.check("https://A.org:8443/x?y", "") == "a.org"
    with pytest.raises(RefusedError):
        guard.redirected("https://a.org/", "http://a.org/", "")


def test_a_name_is_looked_up_and_refused_by_its_address() -> None:
    with pytest.raises(RefusedError, match="of this machine") as caught:
        asyncio.run(Guard(["localhost"], []).address("localhost", 80))
    assert "localhost" in str(caught.value)
    assert asyncio.run(Guard([], ["localhost"]).address("localhost", 80)) in ("127.0.0.1", "::1")


def test_files_are_read_below_named_folders_only(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "note.txt").write_text("not for it")
    (tmp_path / "tiles" / "out").symlink_to(tmp_path / "elsewhere")
    local = Local(["tiles"], tmp_path, 100)
    (tmp_path / "tiles" / "a b.png").write_bytes(b"x")
    assert local.read(Request("file:tiles/a%20b.png")) == Answer(200, b"x")
    assert local.read(Request(f"file://{tmp_path}/tiles/a b.png")) == Answer(200, b"x")
    assert local.read(Request("file:tiles/none.png")) == Answer(404, b"")
    assert local.read(Request("file:tiles")) == Answer(404, b"")
    for path in ("tiles/../elsewhere/note.txt", "elsewhere/note.txt", "tiles/out/note.txt", ""):
        with pytest.raises(RefusedError, match="does not name a folder"):
            local.read(Request(f"file:{path}"))
