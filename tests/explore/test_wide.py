"""The files of an export of very many regions hold what the server would answer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from tests.explore.world import make_content

from urbanln.explore.answers import Answers
from urbanln.explore.content import Content
from urbanln.explore.exporting import export_page
from urbanln.explore.pmtiles import HEADER, Archive, tile_number
from urbanln.explore.pmtiles_write import write_pmtiles
from urbanln.explore.tiling import Tiles
from urbanln.explore.wide import BLOCK, TYPICAL, Wide


@pytest.mark.parametrize("count", [3, 3000])
def test_tiles_are_read_back_whether_one_directory_leads_to_them_or_several(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urbanln.explore.pmtiles_write._FIRST", 1500)  # the format's 16 KB take many tiles
    monkeypatch.setattr("urbanln.explore.pmtiles_write._LEAF", 300)
    rng = np.random.default_rng(0)
    numbers = np.cumsum(rng.integers(1, 4, count))
    bodies = {int(one): gzip.compress(rng.bytes(int(rng.integers(1, 90))), mtime=0) for one in numbers}
    first = int(numbers[0])
    bodies |= {first - 1: b"same", first: b"same", int(numbers[-1]): b"same"}  # a run, and one far off
    path = tmp_path / "tiles.pmtiles"
    write_pmtiles(path, sorted(bodies.items()), (0, 11), (24, 60, 25, 61), {"name": "x"})
    archive = Archive(path)
    assert archive.metadata() == {"name": "x"}
    assert archive.bounds == (24, 60, 25, 61)
    found = {number: archive._find_number(number) for number in range(first - 2, int(numbers[-1]) + 2)}
    assert {number for number, where in found.items() if where} == set(bodies)
    data = path.read_bytes()
    assert (HEADER.unpack(data[: HEADER.size])[7] > 0) == (count > 3), "directories below the first"
    for number, body in bodies.items():
        where, length = found[number] or (0, 0)
        assert data[where : where + length] == body
    assert data.count(b"same") == 1, "equal tiles are stored once"


def test_each_tile_knows_the_regions_that_can_lie_on_it() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform([24, 60], [24.5, 60.2], (200, 2))
    shapes = shapely.box(*corners.T, *(corners + rng.uniform(0, 0.05, (200, 2))).T)
    tiles = Tiles(
        gpd.GeoDataFrame(
            {"region_id": range(200)},
            geometry=[
                *shapes,
            ],
            crs=4326,
        )
    )
    for zoom in (0, 7, 10):
        told = dict(tiles.occupied(zoom))
        around = {(zoom, x + a, y + b) for _, x, y in told for a in (-1, 0, 1) for b in (-1, 0, 1)}
        for place in around if zoom else told:
            whole = tiles.draw(place)
            assert whole.any() <= (place in told)
            if place in told:
                np.testing.assert_array_equal(tiles.draw(place, told[place]), whole)


def _block(path: Path, row: int, n: int) -> object:
    data = path.read_bytes()
    begins = np.frombuffer(data, "<f8", -(-n // BLOCK) + 1).astype(int)
    assert begins[-1] == len(data)
    at = row // BLOCK
    return json.loads(gzip.decompress(data[begins[at] : begins[at + 1]]))[row % BLOCK]


def test_a_wide_export_holds_all_about_each_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("urbanln.explore.answers.MOST_REGIONS", 10)
    monkeypatch.setattr("urbanln.explore.wide.BLOCK", 7)
    monkeypatch.setattr("tests.explore.test_wide.BLOCK", 7)
    monkeypatch.setattr("urbanln.explore.exporting._MOST_PICTURES", 20)
    content = make_content()
    folder = tmp_path / "page"
    export_page(content, folder)
    said = capsys.readouterr().err
    assert "20 of 36 pictures" in said
    assert "python -m http.server" in said
    answers = Answers(content)
    for row in (0, 6, 7, 35):
        told = answers.region(row, alike=0)
        told["pictures"] = [one for one in told["pictures"] if int(one["id"][1:]) < 20]
        assert _block(folder / "regions.bin", row, 36) == json.loads(json.dumps(told))
        shape = shapely.geometry.shape(_block(folder / "shapes.bin", row, 36))
        assert shape.equals(content.regions.geometry.iloc[row])
    data = json.loads((folder / "data.js").read_text().removeprefix("window.URBANLN_DATA = ").rstrip(";\n"))
    for key, name in data["columns"].items():
        if not key.startswith("q:"):
            values = np.frombuffer((folder / name).read_bytes(), "<f4")
            np.testing.assert_array_equal(values, content.columns[key].values)
    archive, tiles = Archive(folder / "tiles.pmtiles"), Tiles(content.regions, TYPICAL)
    most = data["content"]["tiles"]["most"]
    assert archive.zooms == (0, most)
    for place, rows in tiles.occupied(most):
        stored = np.frombuffer(archive.tile(*place) or bytes(2**20), np.uint8).reshape(4, 512, 512)
        drawn = tiles.draw(place, rows)
        np.testing.assert_array_equal(stored[0], drawn)
    assert tile_number(0, 0, 0) == 0


def test_vectors_that_a_page_cannot_hold_stay_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content: Content = make_content()
    assert content.vectors
    wide = Wide(Answers(content), tmp_path)
    assert wide.vectors(content.vectors)
    monkeypatch.setattr("urbanln.explore.wide._MOST_VECTORS", 36 * 8 * 2 - 1)
    assert wide.vectors(content.vectors) is None
    assert "stay here" in capsys.readouterr().err
