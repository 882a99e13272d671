"""GeoTIFFs at an address: the same pictures and labels as of the file itself, of its parts alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.shutil
from tests.gather.rasters import write_tif
from tests.gather.world import Handler, TileServer, saved

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import hash_file
from urbanln.city.store import City
from urbanln.gather import run
from urbanln.gather.cogs import images_of
from urbanln.tables.vectors import matrix, read_embeddings

BOX = (24.90, 60.15, 24.97, 60.19)
RNG = np.random.default_rng(3)
RECIPE = """
[place]
name = "Somewhere"
bbox = [24.92, 60.16, 24.93, 60.165]

[regions]
by = "tile:16"

[rasters.ortho]
files = ["{file}"]
gsd_m = 4
licence = "CC0-1.0"
attribution = "Somebody"

[labels.light]
raster = "{file}"
band = 2
statistic = "mean"
unit = "levels"
year = 2023
source = "the ortho"
licence = "CC0-1.0"
attribution = "Somebody"

[fetch]
private = ["127.0.0.1"]
per_second = 100000
retries = 0
"""


def _serve(server: TileServer, data: bytes, *, ranges: bool = True) -> None:
    def behave(handler: Handler, place: Any) -> bool:
        if "a.tif" not in handler.path:
            return handler.answer(b"", 404)
        return handler.part(data) if ranges else handler.answer(data)

    server.behave = behave


def _recipe(folder: Path, file: str, *changes: tuple[str, str]) -> Path:
    return saved(folder, RECIPE.replace("{file}", file), *changes)


def _tif(folder: Path, kind: str, dtype: Any = np.uint8) -> Path:
    """A picture of 1,400 pixels a side, in one of the layouts that people serve."""
    values = RNG.integers(1, 255, (3, 1400, 1400)).astype(dtype)
    options: dict[str, Any] = {"tiled": True, "blockxsize": 256, "blockysize": 256, "nodata": 0}
    if kind == "cog":
        write_tif(folder / "plain.tif", values, BOX, **options)
        rasterio.shutil.copy(
            str(folder / "plain.tif"), str(folder / "a.tif"), driver="COG", compress="deflate"
        )
        return folder / "a.tif"
    more: dict[str, dict[str, Any]] = {
        "planes": {"interleave": "band", "compress": "lzw"},
        "strips": {"tiled": False, "blockysize": 64, "blockxsize": None},
        "upside down": {"upside_down": True, "BIGTIFF": "YES"},
        "big-endian": {"ENDIANNESS": "BIG"},
    }
    options = {**options, **more[kind]}
    return write_tif(folder / "a.tif", values, BOX, **{k: v for k, v in options.items() if v is not None})


@pytest.mark.parametrize("kind", ["cog", "planes", "strips", "upside down", "big-endian"])
def test_parts_of_a_file_give_what_the_file_gives(tmp_path: Path, server: TileServer, kind: str) -> None:
    path = _tif(tmp_path, kind)
    data = path.read_bytes()
    _serve(server, data)
    here = run.gather(_recipe(tmp_path, "a.tif"), tmp_path / "here")
    there = run.gather(_recipe(tmp_path, f"{server.url}/a.tif"), tmp_path / "there")
    assert set(there.coverage["ortho"]) == {"picture"}
    assert set(there.coverage["light"]) == {"label"}
    first, second = City.open(tmp_path / "here"), City.open(tmp_path / "there")
    assert list(first.images["sha256"]) == list(second.images["sha256"])
    assert first.indicators.equals(second.indicators)
    assert here.coverage["light"].equals(there.coverage["light"])
    spans = {one["Range"] for one in server.headers}
    assert len(server.asked) <= 2 * len(spans)  # two sources, side by side
    sizes = [int(b) - int(a) + 1 for a, b in (span.removeprefix("bytes=").split("-") for span in spans)]
    assert sum(sizes) < 0.75 * len(data)
    asked = len(server.asked)
    plans = run.plan(run.prepare(_recipe(tmp_path, f"{server.url}/a.tif"))).plans
    assert [(one.requests, one.to_ask) for one in plans] == [(len(spans), 0)] * 2
    run.gather(_recipe(tmp_path, f"{server.url}/a.tif"), tmp_path / "again")
    assert len(server.asked) == asked
    again = {p.name: hash_file(p) for p in (tmp_path / "again").rglob("*") if p.is_file()}
    assert again == {p.name: hash_file(p) for p in (tmp_path / "there").rglob("*") if p.is_file()}


def test_an_index_longer_than_the_first_part_is_asked_for_whole(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urbanln.gather.cogs._FIRST", 64)
    data = _tif(tmp_path, "cog").read_bytes()
    _serve(server, data)
    run.gather(_recipe(tmp_path, f"{server.url}/a.tif"), tmp_path / "city")
    heads = [one["Range"] for one in server.headers if one["Range"].startswith("bytes=0-")]
    assert len(set(heads)) > 1
    (image, *masks) = images_of(data)
    assert (image.width, image.height, image.wide, masks) == (1400, 1400, 512, [])


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("no ranges", ("gsd_m = 4", "gsd_m = 4"), "sends no parts of files"),
        ("page", ("gsd_m = 4", "gsd_m = 4"), "this is no GeoTIFF"),
        ("index at the end", ("gsd_m = 4", "gsd_m = 4"), "not cloud-optimised"),
        ("sixteen", ("gsd_m = 4", "gsd_m = 4"), "are no brightness"),
        ("cog", ("gsd_m = 4", "gsd_m = 4\nbands = [9]"), "no such band"),
        ("cog", ("bbox = [24.92, 60.16, 24.93, 60.165]", "bbox = [4.9, 60.16, 4.91, 60.165]"), "not cover"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_in_parts_is_one_clear_error(
    tmp_path: Path,
    server: TileServer,
    kind: str,
    change: tuple[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = _tif(tmp_path, "cog", np.uint16 if kind == "sixteen" else np.uint8).read_bytes()
    if kind == "page":
        data = b"<html>" * 100
    if kind == "index at the end":
        data = data[:4] + (200_000_000).to_bytes(4, "little") + data[8:]
    _serve(server, data, ranges=kind != "no ranges")
    with pytest.raises(InputError, match=told):
        run.gather(_recipe(tmp_path, f"{server.url}/a.tif", change), tmp_path / "city")


def test_an_address_without_a_file_and_one_that_fails_are_told(tmp_path: Path, server: TileServer) -> None:
    data = _tif(tmp_path, "cog").read_bytes()
    _serve(server, data)
    url = f"{server.url}/a.tif"
    both = (f'files = ["{url}"]', f'files = ["{server.url}/gone.tif", "{url}"]')
    report = run.gather(_recipe(tmp_path, url, both), tmp_path / "city")
    assert any("1 of the addresses lead to no file" in line for line in report.lines())
    with pytest.raises(InputError, match="no such raster"):
        run.gather(
            _recipe(tmp_path, url, ('raster = "' + url, f'raster = "{server.url}/gone.tif')), tmp_path / "b"
        )
    server.behave = lambda handler, place: handler.answer(b"", 500)
    with pytest.raises(StorageError, match=r"have no answer: .*HTTP 500"):
        run.gather(_recipe(tmp_path, f"{server.url}/other.tif"), tmp_path / "c")


VECTORS = """
[embeddings.theirs]
form = "alphaearth"
files = ["{file}", "{file}.gone"]
model = "AlphaEarth V1"
year = 2023
licence = "CC BY 4.0"
attribution = "Somebody"
"""


def test_vectors_of_parts_are_those_of_the_file(tmp_path: Path, server: TileServer) -> None:
    numbers = RNG.integers(-127, 128, (4, 700, 700)).astype(np.int8)
    path = write_tif(
        tmp_path / "a.tif",
        numbers,
        BOX,
        upside_down=True,
        tiled=True,
        blockxsize=128,
        blockysize=128,
        nodata=-128,
    )
    data = path.read_bytes()
    _serve(server, data)
    start = RECIPE.index("[rasters.ortho]")
    plain = RECIPE[:start] + VECTORS + RECIPE[RECIPE.index("[fetch]") :]
    tables = []
    for name, text in (
        ("here", plain.replace(', "{file}.gone"', "").replace("{file}", "a.tif")),
        (
            "there",
            plain.replace("{file}.gone", f"{server.url}/b.tif").replace("{file}", f"{server.url}/a.tif"),
        ),
    ):
        (tmp_path / "recipe.toml").write_text(text)
        run.gather(tmp_path / "recipe.toml", tmp_path / name)
        tables.append(read_embeddings(tmp_path / name / "embeddings" / "theirs.parquet"))
    assert len(tables[0]) > 3
    np.testing.assert_array_equal(matrix(tables[0]), matrix(tables[1]))
    lengths = [int(b) - int(a) + 1 for a, b in (h["Range"][6:].split("-") for h in server.headers)]
    assert sum(lengths) < 0.6 * len(data)
