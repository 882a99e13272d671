"""Maps of streets: what of a file or an address is taken, served, cut out and refused."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.explore import streets
from tests.explore.world import make_content

from urbanln.base.errors import InputError
from urbanln.explore.basemap import Basemap, covering, read_basemap, secret_in
from urbanln.explore.exporting import export_page
from urbanln.explore.pmtiles import Archive, tile_number
from urbanln.explore.server import make_app

PORT = 8124
LONLAT = np.array([[0.03, 0.03], [0.055, 0.001]])
BOUNDS = [0.0, 0.0, 0.06, 0.06]
ADDRESS = "https://tiles.example.org/{z}/{x}/{y}.png"


def _covering(path: Path, credit: str = "") -> Basemap:
    read = read_basemap(str(path), credit)
    assert read is not None
    return covering(read, LONLAT, BOUNDS)


def test_numbers_of_tiles_follow_the_curve_of_the_format() -> None:
    # From the specification's own list, and by its properties: neighbours in number are neighbours in place.
    known = {(0, 0, 0): 0, (1, 0, 0): 1, (1, 0, 1): 2, (1, 1, 1): 3, (1, 1, 0): 4, (2, 0, 0): 5}
    assert {at: tile_number(*at) for at in known} == known
    assert tile_number(12, 3423, 1763) == 19078479
    found = sorted((tile_number(4, x, y), x, y) for x in range(16) for y in range(16))
    assert [one[0] for one in found] == list(range(85, 85 + 256))
    steps = np.abs(np.diff([one[1:] for one in found], axis=0)).sum(axis=1)
    assert set(steps.tolist()) == {1}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("leaf", [0, 7])
def test_every_tile_of_a_file_is_found_and_no_other(tmp_path: Path, zipped: bool, leaf: int) -> None:
    rng = np.random.default_rng(5)
    places = {(z, int(x), int(y)) for z in (0, 3, 9) for x, y in rng.integers(0, 1 << z, (40, 2))}
    # Of few contents, so that runs and tiles that share their bytes are among them.
    tiles = {at: bytes([97 + (at[1] > 2)]) * (1 + at[0]) for at in places}
    archive = Archive(streets.write_pmtiles(tmp_path / "a.pmtiles", tiles, zipped=zipped, leaf=leaf))
    assert archive.zooms == (0, 9)
    assert all(archive.tile(*at) == data for at, data in tiles.items())
    others = {(z, x, y) for z in (2, 3) for x in range(1 << z) for y in range(1 << z)} - places
    assert others
    assert not any(archive.has(*at) for at in others)


def test_a_file_reads_as_by_the_format_s_own_library(tmp_path: Path) -> None:
    own = pytest.importorskip("pmtiles.writer", reason="the format's own library is the oracle here")
    from pmtiles.reader import MemorySource, Reader
    from pmtiles.tile import Compression, TileType, zxy_to_tileid

    rng = np.random.default_rng(6)
    out = io.BytesIO()
    writer = own.Writer(out)
    places = sorted({(14, int(x), int(y)) for x, y in rng.integers(0, 1 << 14, (30_000, 2))})
    at = {zxy_to_tileid(*one): one for one in places}
    assert all(tile_number(*one) == number for number, one in at.items())
    for number in sorted(at):
        writer.write_tile(number, gzip.compress(str(number % 5000).encode(), mtime=0))
    header = {
        "tile_type": TileType.MVT, "tile_compression": Compression.GZIP, "min_lon_e7": -10**9,
        "min_lat_e7": 0, "max_lon_e7": 10**9, "max_lat_e7": 8 * 10**8,
    }  # fmt: skip
    writer.finalize(header, {"attribution": "somebody"})
    (tmp_path / "big.pmtiles").write_bytes(out.getvalue())
    archive = Archive(tmp_path / "big.pmtiles")
    reader = Reader(MemorySource(out.getvalue()))
    assert reader.header()["leaf_directory_length"] > 0
    assert archive.metadata() == reader.metadata()
    assert archive.bounds == (-100, 0, 100, 80)
    for one in places[::3000]:
        assert archive.tile(*one) == gzip.decompress(reader.get(*one))
    # And what is written for the other tests is what the library reads.
    made = streets.street_file(tmp_path / "made.pmtiles", leaf=3)
    theirs = Reader(MemorySource(made.read_bytes()))
    assert theirs.header()["tile_type"] == TileType.MVT
    assert gzip.decompress(theirs.get(12, 2048, 2047)) == streets.streets(12, 2048, 2047)


def test_a_file_says_what_it_is_and_whom_to_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes = _covering(streets.street_file(tmp_path / "s.pmtiles"), "a city")
    assert (shapes.kind, shapes.layers) == ("vector", ("earth", "roads", "places"))
    assert shapes.credit == "© Mappers alert(1) · a city"
    assert "map of streets: shapes, zooms 11 to 13 here; © Mappers" in capsys.readouterr().err
    told = shapes.entry()
    assert (told["minzoom"], told["maxzoom"], told["tiles"]) == (11, 13, None)
    pictures = _covering(streets.picture_file(tmp_path / "p.pmtiles"))
    assert (pictures.kind, pictures.credit, pictures.side, pictures.origin) == ("raster", "Painters", 256, "")
    for form, kind in (("JPEG", "jpeg"), ("WEBP", "webp")):
        tile = streets.picture_tile("red", 512, form)
        made = streets.write_pmtiles(tmp_path / kind, {(0, 0, 0): tile}, kind, outside=0)
        assert _covering(made).side == 512
        assert "it names nobody" in capsys.readouterr().err
    half = streets.write_pmtiles(tmp_path / "half", {(13, 4096, 4095): streets.streets(13, 0, 0)})
    _covering(half)
    assert "1 of 2 regions looked at are beside it" in capsys.readouterr().err


def _broken(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(streets.street_file(path, leaf=2).read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def _overlong(path: Path) -> None:
    """A directory that says it leads to itself, for ever."""
    data = bytearray(streets.street_file(path, leaf=2).read_bytes())
    root = gzip.compress(streets.directory([(0, 0, 60, 0)]), mtime=0).ljust(60, b"\0")
    struct.pack_into("<Q", data, 8 + 8, len(root))
    struct.pack_into("<QQ", data, 8, len(data), len(root))
    struct.pack_into("<Q", data, 8 + 32, len(data))
    path.write_bytes(bytes(data) + root)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.write_bytes(b"no tiles here"), "no PMTiles file"),
        (lambda p: p.write_bytes(b"SQLite format 3\0" + bytes(200)), "no PMTiles file"),
        (lambda p: p.write_bytes(b""), "no PMTiles file"),
        (lambda p: p.mkdir(), "cannot be read"),
        (lambda p: None, "cannot be read"),
        (lambda p: streets.street_file(p, version=2), "this version"),
        (lambda p: streets.street_file(p, outside=3), "compressed by what"),
        (lambda p: streets.street_file(p, inside=4), "compressed by what"),
        (lambda p: streets.street_file(p, outside=0), "compressed by what"),
        (lambda p: streets.write_pmtiles(p, {(0, 0, 0): b"x"}, "avif"), "this kind"),
        (lambda p: streets.street_file(p, kind=77), "this kind"),
        (lambda p: streets.write_pmtiles(p, {(0, 0, 0): b"x"}, "png"), "not a readable picture"),
        (
            lambda p: streets.write_pmtiles(
                p, {(0, 0, 0): b"x"}, notes={"vector_layers": [{"id": "hexagons"}]}
            ),
            "none of this file's layers",
        ),
        (lambda p: streets.write_pmtiles(p, {(3, 1, 1): b"x"}), "does not lie below the city"),
        (lambda p: streets.write_pmtiles(p, {}), "does not lie below the city"),
        (lambda p: _broken(p, lambda d: d.__setitem__(slice(130, 150), bytes(20))), "damaged"),
        (lambda p: _broken(p, lambda d: d.__delitem__(slice(128, None))), "damaged"),
        (lambda p: _broken(p, lambda d: struct.pack_into("<Q", d, 16, 1 << 60)), "damaged"),
        (lambda p: _broken(p, lambda d: struct.pack_into("<Q", d, 40, 1 << 62)), "damaged"),
        (lambda p: _broken(p, lambda d: struct.pack_into("<Q", d, 32, 40)), "damaged"),
        (lambda p: _broken(p, lambda d: struct.pack_into("<B", d, 100, 40)), "damaged"),
        (_overlong, "damaged"),
    ],
)  # fmt: skip
def test_what_cannot_lie_below_is_one_error(tmp_path: Path, make: Callable[[Path], Any], says: str) -> None:
    path = tmp_path / "a.pmtiles"
    make(path)
    with pytest.raises(InputError, match=says) as caught:
        _covering(path)
    assert caught.value.remedy
    assert "a.pmtiles" in str(caught.value) or says == "not a readable picture"


def test_no_damage_is_more_than_one_error(tmp_path: Path) -> None:
    """Bytes changed anywhere, the file cut anywhere: what is read is tiles, nothing, or an error of ours."""
    whole = streets.street_file(tmp_path / "s.pmtiles", leaf=3, zipped=False).read_bytes()
    rng = np.random.default_rng(11)
    path = tmp_path / "d.pmtiles"
    seen = set()
    for _ in range(400):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 5)):
            data[at % 700 if rng.random() < 0.7 else at] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.2 else data)
        try:
            found = read_basemap(str(path), "")
            assert found is not None
            assert found.archive is not None
            tiles = [found.archive.tile(*at) for z in (11, 12, 13) for at in streets.around(z)]
            seen.add(any(tiles))
        except InputError:
            seen.add("error")
    assert seen >= {True, "error"}


def test_what_unpacks_without_end_is_not_unpacked(tmp_path: Path) -> None:
    path = streets.write_pmtiles(tmp_path / "bomb", {(0, 0, 0): bytes(70 << 20)})
    with pytest.raises(InputError, match="damaged"):
        _covering(path)


@pytest.mark.parametrize(
    "given",
    [
        "http://tiles.example.org/{z}/{x}/{y}.png", "https://me:pass@tiles.example.org/{z}/{x}/{y}.png",
        "https://{s}.example.org/{z}/{x}/{y}.png", "https://tiles.example.org/{z}/{x}.png",
        "https://tiles.example.org/{z}/{x}/{y}{r}.png", "https://tiles.example.org/{z}/{x}/{x}/{y}.png",
        "https://a.example;script-src/{z}/{x}/{y}", "https://a b.example/{z}/{x}/{y}.png",
        "https://a.example,b.example/{z}/{x}/{y}.png", "https://*.example.org/{z}/{x}/{y}.png",
        "https://tiles.example.org:port/{z}/{x}/{y}.png", "ftp://tiles.example.org/{z}/{x}/{y}.png",
        "https://tiles.example.org/{z}/{x}/{y}.pbf", "https://tiles.example.org/city.pmtiles",
        'https://tiles.example.org/"/{z}/{x}/{y}', "javascript://x/{z}/{x}/{y}", "https:///{z}/{x}/{y}",
        "https://tiles.example.org/{z}/{x}/{y}" + "a" * 3000, "https://[::1/{z}/{x}/{y}.png",
    ],
)  # fmt: skip
def test_addresses_that_ask_for_more_are_refused(given: str) -> None:
    with pytest.raises(InputError) as caught:
        read_basemap(given, "somebody")
    assert caught.value.where == "--basemap"


def test_an_address_names_one_host_and_somebody() -> None:
    with pytest.raises(InputError, match="whom to name"):
        read_basemap(ADDRESS, " ")
    with pytest.raises(InputError, match="no map of streets"):
        read_basemap("", "somebody")
    assert read_basemap("", "") is None
    found = read_basemap(ADDRESS, "© somebody\n")
    assert found is not None
    assert (found.origin, found.credit) == ("https://tiles.example.org", "© somebody")
    local = read_basemap("http://localhost:8080/{z}/{x}/{y}.png", "me")
    assert local is not None
    assert local.origin == "http://localhost:8080"


@pytest.mark.parametrize(
    ("template", "secret"),
    [
        (ADDRESS, None),
        ("https://data.example/wmts?SERVICE=WMTS&LAYER=PLAN.V2&TILEMATRIX={z}&TILEROW={y}&TILECOL={x}", None),
        (ADDRESS + "?key=", "key"), (ADDRESS + "?style=a&api_key=b", "api_key"),
        (ADDRESS + "?access_token=pk.eyJ1", "access_token"), (ADDRESS + "?v=3f9ab77c01de4a11b2c4d5", "v"),
        ("https://t.example/3f9ab77c01de4a11b2c4d5/{z}/{x}/{y}.png", "3f9ab77c01de4a11b2c4d5"),
    ],
)  # fmt: skip
def test_keys_in_addresses_are_seen(template: str, secret: str | None) -> None:
    assert secret_in(template) == secret


def _asking(basemap: Basemap | None) -> Callable[[str], httpx.Response]:
    app = make_app(replace(make_content(), basemap=basemap), "127.0.0.1", PORT)

    def ask(path: str) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{PORT}") as client:
                return await client.get(path)

        return asyncio.run(once())

    return ask


def test_tiles_are_served_by_number_alone(tmp_path: Path) -> None:
    ask = _asking(_covering(streets.street_file(tmp_path / "s.pmtiles")))
    found = ask("/basemap/12/2048/2047")
    assert found.content == streets.streets(12, 2048, 2047)
    assert found.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert ask("/basemap/12/0/0").status_code == 204  # the file ends before
    assert ask("/basemap/31/5/5").status_code == 204
    for bad in ("32/0/0", "2/4/0", "2/0/4", "2/-1/0", "x/0/0", "2/0/..%2f", "9999999999999/0/0", "2/0/0x"):
        answer = ask(f"/basemap/{bad}")
        assert answer.status_code in (400, 404), bad
        assert set(answer.json()) == {"error", "remedy"}
    told = ask("/api/content").json()["basemap"]
    assert (told["kind"], told["layers"]) == ("vector", ["earth", "roads", "places"])
    assert "s.pmtiles" not in ask("/api/content").text
    assert _asking(None)("/basemap/12/2048/2047").status_code == 404


def test_a_file_that_is_damaged_later_is_one_answer(tmp_path: Path) -> None:
    path = streets.street_file(tmp_path / "s.pmtiles", leaf=2)
    basemap = _covering(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 200)
    answers = [
        _asking(basemap)(f"/basemap/{z}/{x}/{y}") for z, x, y in [(12, 2048, 2047), *streets.around(13)]
    ]
    broken = [one for one in answers if one.status_code == 400]
    assert broken
    assert {one.status_code for one in answers} <= {200, 204, 400}
    assert "damaged" in broken[0].json()["error"]


def test_one_more_host_may_be_asked_and_only_where_one_is_named(tmp_path: Path) -> None:
    def policy(basemap: Basemap | None) -> dict[str, str]:
        answer = _asking(basemap)("/")
        assert 'name="referrer" content="no-referrer"' in answer.text or basemap is named
        parts = [one.strip().split(" ", 1) for one in answer.headers["content-security-policy"].split(";")]
        return {"referrer": answer.headers["referrer-policy"], **dict(parts)}

    named = read_basemap(ADDRESS, "somebody")
    without, there = policy(None), policy(named)
    assert policy(_covering(streets.picture_file(tmp_path / "p.pmtiles"))) == without
    assert "example" not in str(without)
    changed = {name for name in there if there[name] != without[name]}
    assert changed == {"img-src", "connect-src", "referrer"}
    assert there["connect-src"] == "'self' https://tiles.example.org"
    assert there["img-src"] == "'self' blob: data: https://tiles.example.org"


def _script(folder: Path) -> dict[str, Any]:
    text = (folder / "basemap.js").read_text()
    assert "<" not in text
    return json.loads(text.removeprefix("window.URBANLN_BASEMAP = ").rstrip(";\n"))


def _content_of(folder: Path) -> dict[str, Any]:
    text = (folder / "data.js").read_text()
    return json.loads(text.removeprefix("window.URBANLN_DATA = ").rstrip(";\n"))["content"]


def test_an_export_holds_the_tiles_around_its_regions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = streets.street_file(tmp_path / "s.pmtiles", (8, 9, 10, 11, 12, 13))
    content = replace(make_content(reads=False), basemap=_covering(made))
    export_page(content, tmp_path / "out")
    data = _script(tmp_path / "out")
    # At zoom 12 the city is within one tile; two coarser ones go along, and beside each one tile more.
    assert {int(name.split("/")[0]) for name in data["at"]} == {10, 11, 12, 13}
    assert set(data["at"]) == {f"{z}/{x}/{y}" for z in (10, 11, 12, 13) for z, x, y in streets.around(z)}
    tile = base64.b64decode(data["tiles"][data["at"]["12/2048/2047"]])
    assert gzip.decompress(tile) == streets.streets(12, 2048, 2047)
    assert len(data["tiles"]) == 2, "equal tiles stand there once"
    told = _content_of(tmp_path / "out")["basemap"]
    assert (told["minzoom"], told["maxzoom"]) == (10, 13)
    assert "zooms 10 to 13 go along: " in capsys.readouterr().err
    assert '<script src="basemap.js">' in (tmp_path / "out" / "index.html").read_text()
    size = sum(4 * -(-len(base64.b64decode(one)) // 3) for one in data["tiles"])
    monkeypatch.setattr("urbanln.explore.basemap_cut.MOST_BYTES", size - 1)
    export_page(content, tmp_path / "out")
    assert _content_of(tmp_path / "out")["basemap"]["maxzoom"] == 11
    assert "zooms 10 to 11 go along of up to 13" in capsys.readouterr().err
    export_page(replace(content, basemap=None), tmp_path / "out")
    assert not (tmp_path / "out" / "basemap.js").exists()
    assert _content_of(tmp_path / "out")["basemap"] is None


def test_an_exported_address_is_said_and_holds_no_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = replace(make_content(reads=False), basemap=read_basemap(ADDRESS + "?key=abc", "somebody"))
    with pytest.raises(InputError, match="hold a key"):
        export_page(content, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_page(replace(content, basemap=read_basemap(ADDRESS, "somebody")), tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "connect-src https://tiles.example.org;" in page
    assert 'content="strict-origin"' in page
    assert "basemap.js" not in page
    assert "will ask tiles.example.org" in capsys.readouterr().err
    told = _content_of(tmp_path / "out")["basemap"]
    assert (told["tiles"], told["credit"]) == (ADDRESS, "somebody")


def test_pictures_of_a_file_open(tmp_path: Path) -> None:
    found = _asking(_covering(streets.picture_file(tmp_path / "p.pmtiles")))("/basemap/12/2048/2047")
    assert found.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(found.content)).getpixel((5, 5)) == (255, 0, 255)
