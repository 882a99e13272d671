"""Vectors come to a task's samples by id, by place, or from the cells of a raster."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h3
import numpy as np
import pandas as pd
import pytest
import shapely

from urbanln.base.errors import InputError
from urbanln.cityrep.payloads import Payload, read_payload, read_tasks
from urbanln.cityrep.vectors import Source, parse_sources, position_encoding, vectors_of


@pytest.fixture
def payloads(clone: Path, tmp_path: Path) -> dict[str, Payload]:
    own = shutil.copytree(clone, tmp_path / "clone")
    return {task.name: read_payload(task) for task in read_tasks(own) if task.here}


def _length(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_position_encoding_by_hand() -> None:
    """Slowly, one number after another: sphereC at 64 scales in equal ratios."""
    lon, lat = 103.8, 1.35
    told = []
    for step in range(64):
        scale = 0.001 * (360 / 0.001) ** (step / 63)
        a, b = np.radians(lat) / scale, np.radians(lon) / scale
        told += [np.sin(a), np.cos(a) * np.cos(b), np.cos(a) * np.sin(b)]
    np.testing.assert_allclose(position_encoding(np.array([[lon, lat]]))[0], told, atol=2e-7)


def test_a_table_is_looked_up_by_sample(payloads: dict[str, Payload], tmp_path: Path) -> None:
    payload = payloads["atown.landuse.2026"]
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(payload), 3))
    frame = pd.DataFrame(values, columns=["e0", "e1", "e2"]).assign(sample_id=payload.ids)
    frame.sample(frac=1, random_state=1).iloc[:-5].to_parquet(tmp_path / "atown.parquet")
    made, missing = vectors_of(parse_sources([f"mine={tmp_path}/{{city}}.parquet"])[0], payload)
    assert missing == 5
    there = np.linalg.norm(made, axis=1) > 0
    np.testing.assert_allclose(made[there], _length(values)[there], atol=1e-6)


def test_a_table_with_places_gives_the_nearest_row(payloads: dict[str, Payload], tmp_path: Path) -> None:
    payload = payloads["atown.gdp.2024"]
    frame = pd.DataFrame({"lon": [10.05, 10.2], "lat": [49.9, 49.9], "e0": [1.0, 0.0], "e1": [0.5, 1.0]})
    frame.to_csv(tmp_path / "atown.csv", index=False)
    made, missing = vectors_of(Source("mine", f"{tmp_path}/{{city}}.csv"), payload)
    assert missing == 0
    west = payload.lonlat[:, 0] < 10.12
    np.testing.assert_allclose(
        made[west], np.tile(_length(np.array([[1.0, 0.5]])), (west.sum(), 1)), atol=1e-6
    )
    np.testing.assert_allclose(made[payload.lonlat[:, 0] > 10.13][:, 0], 0, atol=1e-6)


@pytest.mark.parametrize("whole_numbers", [False, True])
def test_a_table_of_hexagons_gives_the_row_of_the_cell_around(
    payloads: dict[str, Payload], tmp_path: Path, whole_numbers: bool
) -> None:
    """Slowly: the ring of each cell, asked whether the sample lies in it."""
    payload = payloads["atown.landuse.2026"]
    cells = sorted({h3.latlng_to_cell(lat, lon, 7) for lon, lat in payload.lonlat.tolist()})
    kept = cells[:-1]  # the samples of the last have no vector
    values = np.random.default_rng(0).normal(size=(len(kept), 3))
    ids = [h3.str_to_int(cell) for cell in kept] if whole_numbers else kept
    frame = pd.DataFrame(values, columns=["e0", "e1", "e2"], index=pd.Index(ids, name="region_id"))
    frame.to_parquet(tmp_path / "atown.parquet")
    made, missing = vectors_of(Source("mine", f"{tmp_path}/{{city}}.parquet"), payload)
    points = shapely.points(payload.lonlat)
    for cell, value in zip(cells, _length(np.vstack([values, np.full((1, 3), np.nan)])), strict=True):
        ring = shapely.Polygon([(lon, lat) for lat, lon in h3.cell_to_boundary(cell)])
        inside = made[shapely.contains(ring, points)]
        assert len(inside)
        np.testing.assert_allclose(inside, np.tile(np.nan_to_num(value), (len(inside), 1)), atol=1e-6)
    assert missing == shapely.contains(ring, points).sum()


@pytest.mark.parametrize("write", [str.upper, " {}".format, "0x{}".format, h3.str_to_int])
def test_a_hexagon_is_read_however_it_is_written(
    payloads: dict[str, Payload], tmp_path: Path, write: Callable[[str], object]
) -> None:
    payload = payloads["atown.landuse.2026"]
    cells = sorted({h3.latlng_to_cell(lat, lon, 7) for lon, lat in payload.lonlat.tolist()})
    vectors = pd.DataFrame({"e0": np.arange(len(cells)) + 1.0, "e1": 1.0})
    made = []
    for ids in (cells, list(map(write, cells))):
        vectors.assign(cell=ids).to_csv(tmp_path / "atown.csv", index=False)
        found, missing = vectors_of(Source("mine", f"{tmp_path}/{{city}}.csv"), payload)
        assert missing == 0
        made.append(found)
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("name", ["region_id", "id", "GEOID"])
def test_a_table_whose_ids_are_the_samples_needs_no_other_name(
    payloads: dict[str, Payload], tmp_path: Path, name: str
) -> None:
    payload = payloads["atown.landuse.2026"]
    vectors = pd.DataFrame({name: payload.ids, "e0": np.arange(len(payload)) + 1.0, "e1": 1.0})
    vectors.to_csv(tmp_path / "atown.csv", index=False)
    made, missing = vectors_of(Source("mine", f"{tmp_path}/{{city}}.csv"), payload)
    assert missing == 0
    np.testing.assert_allclose(made[:, 0] / made[:, 1], vectors["e0"], rtol=1e-5)


def test_no_option_is_named_that_this_verb_has_not(payloads: dict[str, Payload], tmp_path: Path) -> None:
    payload = payloads["atown.landuse.2026"]
    cells = sorted({h3.latlng_to_cell(lat, lon, 7) for lon, lat in payload.lonlat.tolist()})
    vectors = pd.DataFrame({"h3": [*cells[:-1], "none"], "e0": np.arange(len(cells)) + 1.0, "e1": 1.0})
    source = Source("mine", f"{tmp_path}/{{city}}.csv")
    vectors.to_csv(tmp_path / "atown.csv", index=False)
    with pytest.raises(InputError, match=r"(?s)neither which region.*sample_id, or one of H3 cells in every"):
        vectors_of(source, payload)
    values = np.where(np.arange(len(payload)) % 2, -9999.0, np.arange(len(payload)))
    pd.DataFrame({"sample_id": payload.ids, "e0": values, "e1": values}).to_csv(
        tmp_path / "atown.csv", index=False
    )
    with pytest.raises(InputError, match=r"(?s)nothing is there.*leave such rows out of the table$"):
        vectors_of(source, payload)


def test_a_compacted_set_of_hexagons_is_read_too(payloads: dict[str, Payload], tmp_path: Path) -> None:
    payload = payloads["atown.landuse.2026"]
    fine = sorted({h3.latlng_to_cell(lat, lon, 8) for lon, lat in payload.lonlat.tolist()})
    whole = h3.cell_to_parent(fine[0], 7)
    cells = [whole, *(cell for cell in fine if h3.cell_to_parent(cell, 7) != whole)]
    frame = pd.DataFrame({"h3": cells, "e0": np.arange(len(cells)) + 1.0, "e1": 1.0})
    frame.to_csv(tmp_path / "atown.csv", index=False)
    made, missing = vectors_of(Source("mine", f"{tmp_path}/{{city}}.csv"), payload)
    assert missing == 0
    row = [
        cells.index(whole if h3.latlng_to_cell(lat, lon, 7) == whole else h3.latlng_to_cell(lat, lon, 8))
        for lon, lat in payload.lonlat.tolist()
    ]
    np.testing.assert_allclose(made[:, 0] / made[:, 1], np.array(row) + 1.0, rtol=1e-5)


def test_two_columns_of_hexagons_are_refused(payloads: dict[str, Payload], tmp_path: Path) -> None:
    payload = payloads["atown.landuse.2026"]
    fine = sorted({h3.latlng_to_cell(lat, lon, 8) for lon, lat in payload.lonlat.tolist()})
    parents = [h3.cell_to_parent(cell, 6) for cell in fine]
    frame = pd.DataFrame({"h3_08": fine, "h3_06": parents, "e0": np.arange(len(fine)), "e1": 1.0})
    frame.to_csv(tmp_path / "atown.csv", index=False)
    with pytest.raises(InputError, match=r"(?s)several columns .*H3.*h3_08, h3_06"):
        vectors_of(Source("mine", f"{tmp_path}/{{city}}.csv"), payload)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("mine.parquet", "NAME=FILE"),
        ("coordinates-gp={city}.tif", "name of their own"),
        ("PE={city}.tif", "name of their own"),
        ("mine=all.tif", "one file is given for all cities"),
    ],
)
def test_vectors_that_cannot_be_meant_are_refused(spec: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_sources([spec])
    with pytest.raises(InputError, match="one name"):
        parse_sources(["PE", "PE"])


def _write(path: Path, values: np.ndarray, cell: float, north: float = 50.0) -> None:
    rasterio = pytest.importorskip("rasterio", reason="comes with the extra raster")
    grid = rasterio.transform.from_origin(10.0, north, cell, cell)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2],
        dtype="float32", crs="EPSG:4326", transform=grid, nodata=-9999.0,
    ) as file:  # fmt: skip
        file.write(values.astype(np.float32))


def test_a_finer_raster_gives_the_mean_of_each_cell(payloads: dict[str, Payload], tmp_path: Path) -> None:
    payload = payloads["atown.gdp.2024"]
    assert payload.cells is not None
    _write(payload.task.raster, np.ones((1, 18, 24)), 0.01)
    fine = np.random.default_rng(0).normal(size=(2, 36, 48))
    _write(tmp_path / "atown.tif", fine, 0.005)
    made, missing = vectors_of(parse_sources([f"mine={tmp_path}/{{city}}.tif"])[0], payload)
    column, row = payload.cells.T
    coarse = fine.reshape(2, 18, 2, 24, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(made, _length(coarse[:, row, column].T), atol=1e-4)
    assert missing == 0


def test_a_raster_on_the_same_grid_is_taken_as_it_is(payloads: dict[str, Payload], tmp_path: Path) -> None:
    payload = payloads["atown.gdp.2024"]
    assert payload.cells is not None
    _write(payload.task.raster, np.ones((1, 18, 24)), 0.01)
    values = np.random.default_rng(0).normal(size=(3, 18, 24))
    column, row = payload.cells[7]
    values[1, row, column] = -9999
    _write(tmp_path / "atown.tif", values, 0.01)
    made, missing = vectors_of(parse_sources([f"mine={tmp_path}/{{city}}.tif"])[0], payload)
    assert missing == 1, "a sample with a hole in its vector"
    column, row = np.delete(payload.cells, 7, axis=0).T
    np.testing.assert_allclose(np.delete(made, 7, axis=0), _length(values[:, row, column].T), atol=1e-6)


def test_points_take_the_pixel_under_them(payloads: dict[str, Payload], tmp_path: Path) -> None:
    payload = payloads["atown.landuse.2026"]
    values = np.random.default_rng(0).normal(size=(2, 10, 24))
    _write(tmp_path / "atown.tif", values, 0.01)
    made, missing = vectors_of(parse_sources([f"mine={tmp_path}/{{city}}.tif"])[0], payload)
    x, y = payload.lonlat.T
    row, column = np.floor((50 - y) / 0.01).astype(int), np.floor((x - 10) / 0.01).astype(int)
    there = row < 10
    assert missing == (~there).sum() > 0
    np.testing.assert_allclose(made[there], _length(values[:, row[there], column[there]].T), atol=1e-6)


def test_a_raster_of_another_place_is_refused(payloads: dict[str, Payload], tmp_path: Path) -> None:
    _write(tmp_path / "atown.tif", np.ones((2, 4, 4)), 0.01, north=-20)
    with pytest.raises(InputError, match="no sample has a vector"):
        vectors_of(parse_sources([f"mine={tmp_path}/{{city}}.tif"])[0], payloads["atown.landuse.2026"])
