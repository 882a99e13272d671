"""One source's fault is its own: the others go on, and what was mended is asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.gather.rasters import write_tif
from tests.gather.world import Handler, TileServer, tile, write_recipe

from urbanln.base.errors import InputError, StorageError, UrbanLNError
from urbanln.city.store import City
from urbanln.gather import run

BOX = (24.85, 60.10, 25.0, 60.25)
TERMS = 'licence = "CC0-1.0"\nattribution = "Somebody"\n'
ORTHO = """[rasters.ortho]
files = ["{url}/a.tif"]
gsd_m = 200
"""
LIGHT = """[labels.light]
raster = "{url}/a.tif"
statistic = "mean"
unit = "levels"
year = 2023
source = "the ortho"
"""
THEIRS = """[embeddings.theirs]
form = "plain"
files = ["{url}/a.tif"]
model = "theirs"
year = 2023
"""
BROKEN = """[tiles.broken]
url = "file:tiles/{{z}}/{{x}}/{{y}}.jpg"
"""
REGIONS = 15


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    """A GeoTIFF of the whole place, in a few blocks."""
    values = np.random.default_rng(2).integers(1, 99, (1, 400, 400)).astype(np.int16)
    tiled = {"tiled": True, "blockxsize": 128, "blockysize": 128}
    return write_tif(tmp_path / "a.tif", values, BOX, **tiled).read_bytes()


def _recipe(folder: Path, url: str, section: str, more: str = "", fetch: str = "") -> Path:
    text = section.format(url=url) + more + TERMS
    return write_recipe(folder, url, ("[fetch]", f"{text}\n[fetch]"), fetch=fetch)


def _serve(server: TileServer, data: bytes, kind: str) -> None:
    def behave(handler: Handler, place: Any) -> bool:
        if "a.tif" not in handler.path:
            return False
        first = handler.headers["Range"].startswith("bytes=0-")
        if kind == "no ranges":
            return handler.answer(data)
        if kind == "a page":
            return handler.answer(b"<html>" * 100)
        if kind == "blocks are gone" and not first:
            return handler.answer(b"", 404)
        return handler.part(data)

    server.behave = behave


@pytest.mark.parametrize(
    ("kind", "section", "more", "told"),
    [
        ("no ranges", ORTHO, "stretch = [0, 99]\n", "sends no parts of files"),
        ("a page", ORTHO, "stretch = [0, 99]\n", "this is no GeoTIFF"),
        ("blocks are gone", ORTHO, "stretch = [0, 99]\n", "a part of the raster is not there"),
        ("sound", ORTHO, "", "are no brightness"),
        ("a page", LIGHT, "", "this is no GeoTIFF"),
        ("sound", LIGHT, "band = 7\n", "no such band"),
        ("blocks are gone", THEIRS, "", "a part of the raster is not there"),
        ("sound", BROKEN, "tile_px = 64\n", "does not name a folder"),
    ],
)
def test_a_source_that_cannot_be_used_stops_alone(
    tmp_path: Path, server: TileServer, data: bytes, kind: str, section: str, more: str, told: str
) -> None:
    _serve(server, data, kind)
    path = _recipe(tmp_path, server.url, section, more)
    name = section.partition("]")[0].partition(".")[2]
    with pytest.raises(InputError, match=told) as caught:
        run.gather(path, tmp_path / "city")
    assert "recipe.toml" in str(caught.value.where)
    assert caught.value.remedy.endswith("; or make a city of the others: --only aerial")
    tiles = [one for one in server.asked if one.endswith(".jpg")]
    assert len(tiles) == REGIONS  # the other source has all it needs
    aerial, planned = run.plan(run.prepare(path)).plans
    assert (aerial.requests, aerial.to_ask, aerial.unusable) == (REGIONS, 0, None)
    assert planned.name == name
    assert (told.split()[-1] in planned.lines()[0]) == (kind != "blocks are gone")  # a plan asks for none
    run.gather(path, tmp_path / "others", only=["aerial"])
    assert len(City.open(tmp_path / "others").images) == REGIONS
    assert [one for one in server.asked if one.endswith(".jpg")] == tiles


@pytest.mark.parametrize("kind", ["no ranges", "a page", "blocks are gone"])
def test_what_a_server_mended_is_asked_for_again(
    tmp_path: Path, server: TileServer, data: bytes, kind: str
) -> None:
    path = _recipe(tmp_path, server.url, ORTHO, "stretch = [0, 99]\n")
    _serve(server, data, kind)
    run.plan(run.prepare(path, only=["ortho"]))
    with pytest.raises(InputError):
        run.gather(path, tmp_path / "city")
    _serve(server, data, "sound")
    report = run.gather(path, tmp_path / "city")
    assert set(report.coverage["ortho"]) == {"picture"}


def test_a_fault_of_the_recipe_repeats_no_request(tmp_path: Path, server: TileServer, data: bytes) -> None:
    _serve(server, data, "sound")
    with pytest.raises(InputError, match="are no brightness"):
        run.gather(_recipe(tmp_path, server.url, ORTHO), tmp_path / "city")
    run.gather(_recipe(tmp_path, server.url, ORTHO, "stretch = [0, 99]\n"), tmp_path / "city")
    spans = [one["Range"] for one in server.headers if "Range" in one]
    assert len(spans) == len(set(spans)) > 4


@pytest.mark.parametrize("section", [ORTHO, LIGHT, THEIRS])
@pytest.mark.parametrize("lost", ["first", "block"])
def test_parts_without_an_answer_are_gaps_where_gaps_are_allowed(
    tmp_path: Path, server: TileServer, data: bytes, section: str, lost: str
) -> None:
    def behave(handler: Handler, place: Any) -> bool:
        if "a.tif" not in handler.path:
            return False
        start = int(handler.headers["Range"][6:].partition("-")[0])
        down = start == 0 if lost == "first" else start > 200_000
        return handler.answer(b"", 500) if down else handler.part(data)

    server.behave = behave
    more = "stretch = [0, 99]\n" if section == ORTHO else ""
    with pytest.raises(StorageError, match="HTTP 500"):
        run.gather(_recipe(tmp_path, server.url, section, more), tmp_path / "city")
    path = _recipe(tmp_path, server.url, section, more, "max_failed = 1.0")
    report = run.gather(path, tmp_path / "gaps")
    name = section.partition("]")[0].partition(".")[2]
    assert set(report.coverage[name]) == {"unanswered"}
    assert set(report.coverage["aerial"]) == {"picture"}
    if section == LIGHT:
        assert City.open(tmp_path / "gaps").indicators["light"].isna().all()
    server.behave = lambda handler, place: "a.tif" in handler.path and handler.part(data)
    whole = run.gather(_recipe(tmp_path, server.url, section, more), tmp_path / "city")
    assert len(set(whole.coverage[name])) == 1
    assert set(whole.coverage[name]) <= {"picture", "label", "vector"}


@pytest.mark.parametrize(
    ("span", "length"), [("bytes 1-{last}/{all}", None), ("bytes 0-99/{all}", 100), ("parts", None)]
)
def test_another_part_than_was_asked_for_is_none(
    tmp_path: Path, server: TileServer, data: bytes, span: str, length: int | None
) -> None:
    def behave(handler: Handler, place: Any) -> bool:
        last = int(handler.headers["Range"].partition("-")[2])
        told = span.format(last=last, all=len(data))
        return handler.answer(data[: length or last + 1], 206, Content_Range=told)

    server.behave = behave
    path = _recipe(tmp_path, server.url, ORTHO, "stretch = [0, 99]\n")
    with pytest.raises(StorageError, match="another part of the file than was asked for"):
        run.gather(path, tmp_path / "city", only=["ortho"])


def test_a_host_that_cannot_be_one_ends_nothing_but_its_request(tmp_path: Path, server: TileServer) -> None:
    bad = f"http://{'a' * 70}.example.org/1.jpg"
    server.behave = lambda handler, place: place[1] % 2 == 0 and handler.answer(b"", 302, Location=bad)
    path = write_recipe(tmp_path, server.url, more='hosts = ["*.example.org"]')
    with pytest.raises(StorageError, match="no host of this name"):
        run.gather(path, tmp_path / "city")
    server.behave = None
    run.gather(path, tmp_path / "city")
    city = City.open(tmp_path / "city")
    assert all(city.image_bytes(row.path) == tile(*map(int, row.region_id.split("-"))) for row in _rows(city))


def _rows(city: City) -> Iterator[Any]:
    return iter(city.images.itertuples())


def test_other_names_of_a_remedy_are_options_one_can_give(tmp_path: Path, server: TileServer) -> None:
    second = f'[tiles.second]\nurl = "{server.url}/t/{{{{z}}}}/{{{{x}}}}/{{{{y}}}}"\ntile_px = 64\n{TERMS}'
    path = _recipe(tmp_path, server.url, second + BROKEN, "tile_px = 64\n")
    with pytest.raises(UrbanLNError) as caught:
        run.gather(path, tmp_path / "city")
    assert caught.value.remedy.endswith("--only aerial --only second")
