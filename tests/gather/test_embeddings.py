"""Other people's vectors: means of pixels by ground, tables by id, with what made them, of one year."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from tests.gather.rasters import write_tif
from tests.gather.world import saved
from tests.oracles import zonal as oracle

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import read_table, table_note
from urbanln.gather import run
from urbanln.gather.embeddings import means as means_module
from urbanln.gather.embeddings.api import alphaearth
from urbanln.gather.embeddings.means import Means
from urbanln.gather.grids import open_grid
from urbanln.tables.vectors import matrix, read_embeddings

RNG = np.random.default_rng(11)
UTM = "EPSG:32635"
AREA = (381_000.0, 6_669_000.0, 388_000.0, 6_676_000.0)  # holds the place below
RECIPE = """
[place]
name = "Somewhere"
bbox = [24.92, 60.16, 24.95, 60.18]

[regions]
by = "tile:15"

[embeddings.theirs]
form = "alphaearth"
files = ["aef-2023.tif"]
model = "AlphaEarth V1"
year = 2023
licence = "CC BY 4.0"
attribution = "Google and Google DeepMind"
"""


def _recipe(folder: Path, *changes: tuple[str, str]) -> Path:
    return saved(folder, RECIPE, *changes)


def _numbers(bands: int = 5, edge: int = 70) -> np.ndarray:
    numbers = RNG.integers(-127, 128, (bands, edge, edge)).astype(np.int8)
    numbers[:, 30:33, 20:40] = -128
    return numbers


def _true(values: np.ndarray, shape: shapely.Geometry, degrees: bool) -> tuple[np.ndarray, float]:
    pairs = [oracle.statistic(band, AREA, shape, "mean", degrees=degrees) for band in values]
    return np.array([value for value, _ in pairs]), pairs[0][1]


def _check(city: Path, values: np.ndarray, regions: int) -> None:
    """Every second vector is the mean of the parts of pixels, and the missing ones are those not covered."""
    table = read_embeddings(city / "embeddings" / "theirs.parquet")
    covered = read_table(city / "coverage.parquet", kind="coverage").set_index("region_id")
    assert set(table["region_id"]) == set(covered.index[covered["theirs"] == "vector"])
    assert len(covered) == regions
    shapes = gpd.GeoSeries(table.geometry, crs=4326).segmentize(0.02).to_crs(UTM)
    for row in range(0, len(table), 2):
        expected, share = _true(values, shapes.iloc[row], degrees=False)
        np.testing.assert_allclose(table["vector"].iloc[row], expected, atol=2e-5)
        assert covered["theirs_cover"][table["region_id"].iloc[row]] == pytest.approx(min(share, 1), abs=1e-5)


def test_alphaearth_is_dequantised_upside_down_and_without_its_holes(tmp_path: Path) -> None:
    numbers = _numbers()
    write_tif(tmp_path / "aef-2023.tif", numbers, AREA, UTM, upside_down=True)
    report = run.gather(_recipe(tmp_path, ("year =", "min_cover = 0.5\nyear =")), tmp_path / "city")
    stored = numbers.astype(float)
    values = np.where(stored == -128, np.nan, np.sign(stored) * (np.abs(stored) / 127.5) ** 2)
    _check(tmp_path / "city", values, report.regions)
    note = table_note(tmp_path / "city" / "embeddings" / "theirs.parquet")
    assert note["encoder"] == "AlphaEarth V1"
    assert (note["year"], note["licence"], note["attribution"]) == (
        2023,
        "CC BY 4.0",
        "Google and Google DeepMind",
    )
    assert (note["emb:type"], note["emb:dimensions"], note["data_type"]) == ("pixel", 5, "float32")
    assert "127.5" in note["emb:quantization"]
    assert set(note["made_from"]) == {"aef-2023.tif"}
    assert report.city is not None
    assert report.city.meta.sources[0].licence == "CC BY 4.0"
    assert alphaearth(np.array([127, -127, 0], dtype=np.float32)) == pytest.approx(
        [0.99217, -0.99217, 0], abs=1e-4
    )


def test_holes_and_edges_leave_regions_out_and_say_so(tmp_path: Path) -> None:
    west = (AREA[0], AREA[1], 385_050.0, AREA[3])
    write_tif(tmp_path / "aef-2023.tif", _numbers(3), west, UTM, nodata=-128)
    report = run.gather(_recipe(tmp_path), tmp_path / "city")
    states = report.coverage["theirs"]
    assert {"vector", "partial", "absent"} == set(states)
    covered = read_table(tmp_path / "city" / "coverage.parquet", kind="coverage").set_index("region_id")
    share = covered["theirs_cover"]
    assert (share[states == "vector"] == 1).all()
    assert ((share[states == "partial"] > 0) & (share[states == "partial"] < 1)).all()


def test_files_side_by_side_are_one_and_memory_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = RNG.normal(size=(4, 70, 70)).astype(np.float32)
    middle = (AREA[0] + AREA[2]) / 2
    write_tif(tmp_path / "a-2023.tif", values[:, :, :35], (AREA[0], AREA[1], middle, AREA[3]), UTM)
    write_tif(tmp_path / "b-2023.tif", values[:, :, 35:], (middle, AREA[1], AREA[2], AREA[3]), UTM)
    monkeypatch.setattr(means_module, "_PARTS", 300)
    monkeypatch.setattr(means_module, "_NUMBERS", 64)
    changes = (('"alphaearth"', '"plain"'), ("aef-2023.tif", "*-2023.tif"))
    report = run.gather(_recipe(tmp_path, *changes), tmp_path / "city")
    _check(tmp_path / "city", values.astype(float), report.regions)
    write_tif(tmp_path / "c-2023.tif", values[:2], AREA, UTM)
    with pytest.raises(InputError, match="differ in their bands"):
        run.prepare(_recipe(tmp_path, *changes))
    (tmp_path / "c-2023.tif").unlink()
    write_tif(tmp_path / "c-2023.tif", values, AREA, UTM)
    again = run.gather(_recipe(tmp_path, *changes), tmp_path / "twice")
    assert any("that several files cover" in line for line in again.lines())


def test_pixels_of_a_grid_of_degrees_weigh_by_their_ground(tmp_path: Path) -> None:
    bounds = (0.0, 0.0, 20.0, 80.0)
    values = RNG.normal(size=(2, 8, 4)).astype(np.float32)
    shape = shapely.box(3, 5, 17, 77)
    regions = gpd.GeoDataFrame({"region_id": ["r"]}, geometry=[shape], crs=4326)
    means = Means(regions, 2)
    with open_grid(write_tif(tmp_path / "a.tif", values, bounds)) as grid:
        means.add(grid, [2, 1])
    expected = [oracle.statistic(band, bounds, shape, "mean", degrees=True)[0] for band in values[::-1]]
    np.testing.assert_allclose(means.vectors()[0], expected, rtol=1e-6)
    assert means.cover[0] == pytest.approx(1)


def _tessera(folder: Path) -> np.ndarray:
    numbers, scales = _numbers(6), RNG.uniform(0.01, 0.1, (70, 70)).astype(np.float32)
    scales[5:40, 50:52] = np.nan
    np.save(folder / "grid_24.95_60.15.npy", np.moveaxis(numbers, 0, -1))
    np.save(folder / "grid_24.95_60.15_scales.npy", scales)
    (folder / "masks").mkdir()
    write_tif(folder / "masks" / "grid_24.95_60.15.tiff", np.ones((70, 70), np.uint8), AREA, UTM)
    return numbers.astype(float) * scales


TESSERA = (
    ('"alphaearth"', '"tessera"\ngrids = "masks"'),
    ("aef-2023.tif", "grid_*.npy"),
    ("year =", "min_cover = 0.6\nyear ="),
)


def test_tessera_is_scaled_and_lies_where_its_land_mask_says(tmp_path: Path) -> None:
    values = _tessera(tmp_path)
    report = run.gather(_recipe(tmp_path, *TESSERA), tmp_path / "city")
    _check(tmp_path / "city", values, report.regions)
    note = table_note(tmp_path / "city" / "embeddings" / "theirs.parquet")
    assert len(note["made_from"]) == 3
    np.save(tmp_path / "grid_24.95_60.15_scales.npy", np.ones((70, 69), np.float32))
    with pytest.raises(InputError, match="not of one size"):
        run.prepare(_recipe(tmp_path, *TESSERA))
    np.save(tmp_path / "grid_24.95_60.15_scales.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InputError, match="this array cannot be read"):
        run.prepare(_recipe(tmp_path, *TESSERA))
    (tmp_path / "grid_24.95_60.15_scales.npy").unlink()
    with pytest.raises(InputError, match="no such file"):
        run.prepare(_recipe(tmp_path, *TESSERA))


def test_a_table_is_matched_as_every_table_is(tmp_path: Path) -> None:
    regions = run.prepare(
        _recipe(tmp_path, ("aef-2023.tif", "recipe.toml"), ('"alphaearth"', '"table"'))
    ).regions
    frame = pd.DataFrame(RNG.normal(size=(len(regions.frame), 4)), columns=[f"feature{n}" for n in range(4)])
    frame.insert(0, "place", regions.frame["region_id"])
    frame[1:].to_csv(tmp_path / "pdfm.csv", index=False)
    change = (('"alphaearth"', '"table"\nids = "place"'), ("aef-2023.tif", "pdfm.csv"))
    report = run.gather(_recipe(tmp_path, *change), tmp_path / "city")
    table = read_embeddings(tmp_path / "city" / "embeddings" / "theirs.parquet")
    np.testing.assert_allclose(matrix(table), frame.iloc[1:, 1:], rtol=1e-6)
    assert list(report.coverage["theirs"]) == ["absent"] + ["vector"] * (len(frame) - 1)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"alphaearth"', '"plain"', "numbers of 8 bits"),
        ("aef-2023.tif", "float.tif", "AlphaEarth's files hold signed numbers"),
        ("year = 2023", "year = 2022", "years are never mixed"),
        ("year = 2023\n", "", "embeddings.theirs.year"),
        ('model = "AlphaEarth V1"\n', "", "embeddings.theirs.model"),
        ('"aef-2023.tif"', '"aef-2023.tif", "aef-2021.tif"', "years are never mixed"),
        ("aef-2023.tif", "none.tif", "no such file"),
        ("aef-2023.tif", "far.tif", "does not cover the place"),
        ("year =", "bands = [9]\nyear =", "no such band"),
        ("year =", 'ids = "place"\nyear =', "ids and columns are of form"),
        ('"alphaearth"', '"tessera"', "grids, the folder of its land masks, go together"),
        ("year =", 'key = "MAP_KEY"\nyear =', "need no key"),
    ],
)  # fmt: skip
def test_what_cannot_be_vectors_is_one_clear_error(tmp_path: Path, old: str, new: str, told: str) -> None:
    write_tif(tmp_path / "aef-2023.tif", _numbers(), AREA, UTM)
    write_tif(tmp_path / "float.tif", _numbers().astype(np.float32), AREA, UTM)
    write_tif(tmp_path / "far.tif", _numbers(), (0.0, 0.0, 1.0, 1.0))
    with pytest.raises(InputError, match=told) as caught:
        run.prepare(_recipe(tmp_path, (old, new)))
    assert "recipe.toml" in str(caught.value.where)


def test_vectors_that_cover_nothing_and_cut_files_are_told(tmp_path: Path) -> None:
    write_tif(tmp_path / "aef-2023.tif", np.full((3, 70, 70), -128, np.int8), AREA, UTM)
    with pytest.raises(InputError, match="nothing covers this place"):
        run.gather(_recipe(tmp_path), tmp_path / "city")
    path = write_tif(tmp_path / "aef-2023.tif", _numbers(), AREA, UTM, compress="deflate")
    path.write_bytes(path.read_bytes()[:-9_000])
    with pytest.raises((StorageError, InputError), match="cannot be"):
        run.gather(_recipe(tmp_path), tmp_path / "city")
