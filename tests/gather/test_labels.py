"""Labels of rasters: each pixel by its part inside, what is not covered missing, terms in city.toml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from exactextract import exact_extract
from exactextract.raster import RasterioRasterSource
from tests.gather.rasters import write_tif
from tests.gather.world import SOMEWHERE, saved
from tests.oracles import zonal as oracle

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import read_table
from urbanln.city.covering import cover
from urbanln.city.store import City
from urbanln.gather import run
from urbanln.gather.grids import Reading, open_grid
from urbanln.gather.labels.zonal import zonal

PLACE = (24.90, 60.15, 24.96, 60.19)
CITYREP = os.environ.get("URBANLN_CITYREP", "")
RNG = np.random.default_rng(7)


def _regions(*shapes: shapely.Geometry, crs: Any = 4326) -> gpd.GeoDataFrame:
    frame = gpd.GeoDataFrame(
        {"region_id": [f"r{n}" for n in range(len(shapes))]}, geometry=list(shapes), crs=crs
    )
    return frame.to_crs(4326)


def _odd(west: float, south: float, east: float, north: float) -> list[shapely.Geometry]:
    """Shapes inside a box, with a hole, across its edge, smaller than a pixel, of two parts, and outside."""
    x, y, w, h = west, south, east - west, north - south
    disc = shapely.Point(x + 0.4 * w, y + 0.5 * h).buffer(0.3 * min(w, h), quad_segs=4)
    return [
        disc.difference(shapely.Point(x + 0.42 * w, y + 0.5 * h).buffer(0.13 * min(w, h), quad_segs=4)),
        shapely.box(x - 0.2 * w, y + 0.61 * h, x + 0.33 * w, y + 1.1 * h),
        shapely.box(x + 0.51 * w, y + 0.52 * h, x + 0.513 * w, y + 0.523 * h),
        shapely.MultiPolygon(
            [shapely.box(x, y, x + 0.21 * w, y + 0.17 * h), disc.convex_hull.buffer(-0.02 * w)]
        ),
        shapely.box(x + 1.5 * w, y, x + 1.7 * w, y + 0.3 * h),
        shapely.box(*(x + 0.91 * w, y + 0.02 * h), x + 0.99 * w, y + 0.2 * h),
    ]


def _field(height: int, width: int) -> np.ndarray:
    return np.cumsum(RNG.gamma(0.7, 3, (height, width)), axis=1)


def _layout(
    folder: Path, name: str
) -> tuple[Path, np.ndarray, tuple[float, float, float, float], str, Reading]:
    """A file, its true values (NaN: none), its bounds and system, and what a recipe has to say of it."""
    degrees, box = "EPSG:4326", (24.9, 60.15, 24.95, 60.19)
    path, metres = folder / f"{name}.tif", (1_500_000.0, 7_000_000.0, 1_502_300.0, 7_002_100.0)
    if name == "worldpop":  # persons per pixel, float32, −99999 where nobody is counted
        true = _field(12, 15).astype(np.float32)
        true[3:6, 4:9] = np.nan
        write_tif(path, np.nan_to_num(true, nan=np.float32(-99999)), box, nodata=-99999, tiled=False)
        return path, true.astype(float), box, degrees, Reading()
    if name == "ghsl":  # persons per pixel in Mollweide, float64, −200
        true = _field(21, 23)
        true[0] = np.nan
        write_tif(path, np.nan_to_num(true, nan=-200.0), metres, "ESRI:54009", nodata=-200.0)
        return path, true, metres, "ESRI:54009", Reading()
    if name == "viirs":  # radiance, float32, LZW, no nodata at all
        true = _field(12, 15).astype(np.float32)
        write_tif(path, true, box, compress="lzw")
        return path, true.astype(float), box, degrees, Reading()
    if name == "odiac":  # tonnes per cell, rows from the south
        true = _field(11, 14).astype(np.float32)
        write_tif(path, true, box, upside_down=True)
        return path, true.astype(float), box, degrees, Reading()
    if name == "lst":  # uint16, 0 is none, kelvin = 0.02 × number, which the recipe says
        stored = RNG.integers(14_000, 15_500, (13, 17)).astype(np.uint16)
        stored[2:4, 5:12] = 0
        write_tif(path, stored, box)
        true = np.where(stored == 0, np.nan, stored * 0.02 - 273.15)
        return path, true, box, degrees, Reading(nodata=(0, -9999, 0.5), scale=0.02, offset=-273.15)
    assert name == "tagged"  # the same, said by the file
    stored = RNG.integers(-900, 4_000, (13, 17)).astype(np.int16)
    stored[2:4, 5:12] = -32768
    write_tif(path, stored, box, nodata=-32768, scale=0.01, offset=5.0)
    return path, np.where(stored == -32768, np.nan, stored * 0.01 + 5), box, degrees, Reading()


@pytest.mark.parametrize("name", ["worldpop", "ghsl", "viirs", "odiac", "lst", "tagged"])
@pytest.mark.parametrize("kind", ["sum", "mean"])
def test_a_label_is_the_sum_of_the_parts_of_pixels(tmp_path: Path, name: str, kind: Any) -> None:
    path, true, bounds, crs, reading = _layout(tmp_path, name)
    regions = _regions(*_odd(*bounds), crs=crs)
    with open_grid(path, reading) as grid:
        found = zonal(grid, regions, kind)
        shapes = grid.shapes(regions)
    pairs = [oracle.statistic(true, bounds, one, kind, degrees=crs == "EPSG:4326") for one in shapes]
    values, cover = np.array(pairs).T
    np.testing.assert_allclose(found.values, values, rtol=2e-5)
    np.testing.assert_allclose(found.cover, cover, atol=1e-5)
    assert np.isnan(found.values[4])
    assert found.cover[4] == 0
    assert 0 < found.cover[1] < 1  # across the edge
    inside = ~np.isnan(found.values)
    assert (found.low[inside] <= found.high[inside]).all()


def test_a_share_counts_classes_by_their_ground(tmp_path: Path) -> None:
    box = (10.0, 0.0, 40.0, 80.0)  # rows as far from the equator weigh less
    classes = RNG.integers(1, 5, (16, 6)).astype(np.uint8)
    classes[3, 2] = 0
    regions = _regions(*_odd(*box)[:4])
    with open_grid(write_tif(tmp_path / "land.tif", classes, box, nodata=0)) as grid:
        found = zonal(grid, regions, "share", classes=(2, 4))
    true = np.where(classes == 0, np.nan, classes.astype(float))
    pairs = [
        oracle.statistic(true, box, one, "share", degrees=True, classes=(2, 4)) for one in regions.geometry
    ]
    np.testing.assert_allclose(found.values, [value for value, _ in pairs], rtol=1e-5)
    flat = [
        oracle.statistic(true, box, one, "share", degrees=False, classes=(2, 4)) for one in regions.geometry
    ]
    assert abs(pairs[0][0] - flat[0][0]) > 1e-3  # and that can be told apart


def test_bands_chunks_and_masks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bands = np.stack([_field(40, 30), _field(40, 30)])
    path = write_tif(tmp_path / "two.tif", bands, PLACE, tiled=True, blockxsize=16, blockysize=16)
    regions = _regions(*_odd(*PLACE))
    with open_grid(path) as grid:
        whole = zonal(grid, regions, "sum", band=2)
        monkeypatch.setattr("urbanln.gather.labels.zonal._CELLS", 90)
        parts = zonal(grid, regions, "sum", band=2)
    np.testing.assert_allclose(parts.values, whole.values, rtol=1e-9)
    assert whole.values[0] == pytest.approx(
        oracle.statistic(bands[1], PLACE, regions.geometry[0], "sum", degrees=True)[0], rel=1e-5
    )


def test_a_region_across_the_antimeridian_has_both_its_parts(tmp_path: Path) -> None:
    values = _field(18, 36)
    world = (-180.0, -90.0, 180.0, 90.0)
    fiji = shapely.MultiPolygon([shapely.box(172, -25, 180, -13), shapely.box(-180, -25, -171, -13)])
    regions = _regions(fiji)
    with open_grid(write_tif(tmp_path / "world.tif", values, world)) as grid:
        found = zonal(grid, regions, "sum")
    assert found.values[0] == pytest.approx(oracle.statistic(values, world, fiji, "sum", degrees=True)[0])
    assert found.cover[0] == 1
    turned = write_tif(tmp_path / "east.tif", values, (0.0, -90.0, 360.0, 90.0))
    with pytest.raises(InputError, match="longitudes from 0 to 360"), open_grid(turned):
        pass


RECIPE = f"""{SOMEWHERE}
[labels.persons]
raster = "pop.tif"
statistic = "sum"
unit = "persons"
year = 2020
source = "WorldPop 2020, 100 m, UN-adjusted"
licence = "CC BY 4.0"
attribution = "WorldPop, University of Southampton"
"""


def _recipe(folder: Path, *changes: tuple[str, str]) -> Path:
    return saved(folder, RECIPE, *changes)


def _pop(folder: Path) -> np.ndarray:
    """Persons over more than the place, but for its eastern edge and a lake."""
    values = RNG.gamma(1, 5, (60, 60)).astype(np.float32)
    values[30:34, 42:50] = -99999
    write_tif(folder / "pop.tif", values, (24.85, 60.10, 24.93, 60.25), nodata=-99999)
    return values


def test_a_city_of_labels_keeps_what_is_missing_and_on_whose_terms(tmp_path: Path) -> None:
    _pop(tmp_path)
    report = run.gather(_recipe(tmp_path), tmp_path / "city")
    city = City.open(tmp_path / "city")
    covered = read_table(tmp_path / "city" / "coverage.parquet", kind="coverage")
    states = covered.set_index("region_id")["persons"]
    values = city.indicators.set_index("region_id")["persons"]
    assert set(states) == {"label", "partial", "absent"}
    assert (values.notna() == (states == "label")).all()
    share = covered.set_index("region_id")["persons_cover"]
    assert (share[states == "label"] == 1).all()
    assert (share[states == "absent"] == 0).all()
    note = city.meta.indicators["persons"]
    assert (note.unit, note.year, note.source) == ("persons", 2020, "WorldPop 2020, 100 m, UN-adjusted")
    assert note.licence == "CC BY 4.0"
    assert city.meta.sources[0].attribution == "WorldPop, University of Southampton"
    assert any("have no label" in line and "nodata_means = 0" in line for line in report.lines())
    again = _recipe(tmp_path, ("year", "min_cover = 0.5\nnodata_means = 0\nyear"))
    more = run.gather(again, tmp_path / "more").coverage["persons"]
    assert (more == "label").sum() > (states == "label").sum()
    assert (more[states == "absent"] == "absent").all()


LAND = (
    ('raster = "pop.tif"\nstatistic = "sum"', 'raster = "land.tif"\nstatistic = "shares"\nparts = PARTS'),
    ("PARTS", "{wood = [10, 95], town = [50]}"),
    ('unit = "persons"', 'unit = "of the ground"'),
)


def test_parts_of_land_are_shares_or_the_class_of_the_largest(tmp_path: Path) -> None:
    box = (24.85, 60.10, 24.93, 60.25)
    land = RNG.choice([10, 95, 50, 80], (30, 30), p=[0.3, 0.1, 0.2, 0.4]).astype(np.uint8)
    land[:, :8], land[12, 20] = 50, 0
    write_tif(tmp_path / "land.tif", land, box, nodata=0)
    city = run.gather(_recipe(tmp_path, *LAND), tmp_path / "shares").city
    assert city.kinds()["persons"].columns == ("persons_wood", "persons_town", "persons_other")
    found = city.indicators.set_index("region_id")
    known = found.dropna().index
    assert 0 < len(known) < len(found)
    assert (found.isna().any(axis=1) == found.isna().all(axis=1)).all()
    shapes = city.regions.set_index("region_id").geometry
    true = np.where(land == 0, np.nan, land.astype(float))
    for part, codes in (("wood", (10, 95)), ("town", (50,)), ("other", (80,))):
        slow = [
            oracle.statistic(true, box, shapes[one], "share", degrees=True, classes=codes)[0] for one in known
        ]
        np.testing.assert_allclose(found.loc[known, f"persons_{part}"], slow, atol=1e-4)
    as_class = _recipe(tmp_path, *LAND, ('"shares"', '"class"'))
    classes = run.gather(as_class, tmp_path / "class").city
    assert classes.kinds()["persons"].kind == "classes"
    named = classes.indicators.set_index("region_id")["persons"]
    assert named.notna().sum() == len(known)
    assert (named[known] == found.loc[known].idxmax(axis=1).str.removeprefix("persons_")).all()
    assert len(set(named[known])) > 1


def test_two_labels_have_no_column_in_common(tmp_path: Path) -> None:
    _pop(tmp_path)
    write_tif(tmp_path / "land.tif", np.full((60, 60), 50, np.uint8), (24.85, 60.10, 24.93, 60.25))
    recipe = _recipe(tmp_path, ("[labels.persons]", "[labels.of_town]"))
    more = RECIPE.split(SOMEWHERE)[1].replace("persons]", "of]").replace("pop.tif", "land.tif")
    more = more.replace('"sum"', '"shares"\nparts = {town = [50]}')
    recipe.write_text(recipe.read_text() + more)
    with pytest.raises(InputError, match=r"two labels of the recipe have one column(.|\n)*of_town"):
        run.gather(recipe, tmp_path / "city")


def test_another_file_is_another_city(tmp_path: Path) -> None:
    values = _pop(tmp_path)
    recipe = _recipe(tmp_path)
    first = run.prepare(recipe)
    assert first.how == run.prepare(recipe).how
    assert "persons: pop.tif" in first.files
    write_tif(tmp_path / "pop.tif", values, (24.85, 60.10, 24.93, 60.25))
    assert run.prepare(recipe).how != first.how
    with pytest.raises(InputError, match="looks like a code") as caught:
        run.gather(recipe, tmp_path / "city")
    assert "nodata = [-99999]" in caught.value.remedy
    run.gather(_recipe(tmp_path, ("year", "nodata = [-99999]\nyear")), tmp_path / "city")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('unit = "persons"\n', "", "labels.persons.unit"),
        ('licence = "CC BY 4.0"\n', "", "labels.persons.licence"),
        ("year = 2020\n", "", "labels.persons.year"),
        ('source = "WorldPop 2020, 100 m, UN-adjusted"\n', "", "labels.persons.source"),
        ('"sum"', '"total"', "labels.persons.statistic"),
        ('"sum"', '"share"', "share.* and classes go together"),
        ('"sum"', '"shares"', "parts and statistic"),
        ('"sum"', '"sum"\nparts = {a = [1]}', "parts and statistic"),
        ('"sum"', '"class"\nparts = {other = [1]}', "another name"),
        ('"sum"', '"class"\nparts = {a = [1], b = [2, 1]}', "1 stands in parts twice"),
        ('"sum"', '"class"\nparts = {a = []}', "parts"),
        ("year", 'key = "MAP_KEY"\nyear', "need no key"),
        ("year", "band = 2\nyear", "no such band"),
        ("pop.tif", "none.tif", "could not read: No such file"),
        ("pop.tif", ".", "could not read|no GeoTIFF"),
        ("pop.tif", "recipe.toml", "this is no GeoTIFF"),
        ("pop.tif", "far.tif", "does not cover the place"),
        ("pop.tif", "bare.tif", "names no CRS"),
        ("pop.tif", "moon.tif", "of another body"),
        ("pop.tif", "turned.tif", "grid is turned"),
        ("[labels.persons]", "[tiles.persons]", "labels|tiles"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_label_is_one_clear_error(tmp_path: Path, old: str, new: str, told: str) -> None:
    values = _pop(tmp_path)
    write_tif(tmp_path / "far.tif", values, (-100.0, 30.0, -99.0, 31.0))
    write_tif(tmp_path / "bare.tif", values, PLACE, None)
    write_tif(tmp_path / "moon.tif", values, PLACE, "IAU_2015:30100")
    _turned(tmp_path / "turned.tif", values)
    with pytest.raises(InputError, match=told) as caught:
        run.prepare(_recipe(tmp_path, (old, new)))
    assert "recipe.toml" in str(caught.value.where)


def _turned(path: Path, values: np.ndarray) -> None:
    import rasterio
    from rasterio.transform import Affine

    grid = Affine(0.001, 0.0002, 24.9, 0.0002, -0.001, 60.2)
    with rasterio.open(
        path, "w", driver="GTiff", transform=grid, crs=4326, width=60, height=60, count=1, dtype="float32"
    ) as file:
        file.write(values, 1)


def test_a_cut_file_is_told_and_a_file_may_name_no_system(tmp_path: Path) -> None:
    values = _pop(tmp_path)
    data = (tmp_path / "pop.tif").read_bytes()
    (tmp_path / "pop.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises((StorageError, InputError), match="cannot be"):
        run.gather(_recipe(tmp_path), tmp_path / "city")
    write_tif(tmp_path / "pop.tif", values, (24.85, 60.10, 24.97, 60.25), None)
    city = run.gather(
        _recipe(tmp_path, ("year", 'crs = "EPSG:4326"\nnodata = [-99999]\nyear')), tmp_path / "two"
    )
    assert (city.coverage["persons"] == "label").any()


@pytest.mark.skipif(not CITYREP, reason="URBANLN_CITYREP does not name the folder of two real label sets")
@pytest.mark.parametrize(("city", "resolution"), [("jakarta.nightlight.2024", 7), ("nairobi.gdp.2024", 7)])
def test_real_night_light_and_income_of_h3_cells_are_what_the_pixels_say(city: str, resolution: int) -> None:
    path = Path(CITYREP) / city / "labels.tif"
    with open_grid(path) as grid:
        regions = cover(shapely.box(*grid.bounds), f"h3:{resolution}")
        regions = regions.iloc[:: max(len(regions) // 12, 1)]
        kind: Any = "mean" if "light" in city else "sum"
        found = zonal(grid, regions, kind)
        true = grid.read([1], 0, 0, grid.width, grid.height)[0].astype(float)
    pairs = [oracle.statistic(true, grid.bounds, one, kind, degrees=True) for one in regions.geometry]
    values, share = np.array(pairs).T
    np.testing.assert_allclose(found.values, values, rtol=2e-5)
    np.testing.assert_allclose(found.cover, share, atol=1e-5)
    assert (found.cover > 0).sum() >= 5
    # By hand: the same library on the file itself.
    weight = "(coverage_weight=area_spherical_m2)" if kind == "mean" else ""
    with rasterio.open(path) as file:
        band = RasterioRasterSource(file, 1)
        hand = exact_extract(band, regions, [f"value={kind}{weight}"], output="pandas")["value"]
    there = found.cover > 0
    np.testing.assert_array_equal(found.values[there], hand.to_numpy()[there])
