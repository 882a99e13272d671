"""Labels of polygons and lines: ground counts once, metres are geodesic, a border has one region."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from tests.gather.world import SOMEWHERE, saved
from tests.oracles import labels as oracle

from urbanln.base.errors import InputError
from urbanln.city.store import City
from urbanln.gather import run

RECIPE = f"""{SOMEWHERE}
[labels.built]
shapes = "shapes.gpkg"
statistic = "share"
unit = "1"
year = 2024
source = "OpenStreetMap, 2024-01-01"
licence = "ODbL 1.0"
attribution = "OpenStreetMap contributors"
"""
RNG = np.random.default_rng(5)
LENGTH = ('"share"\nunit = "1"', '"length"\nunit = "m"')


def _recipe(folder: Path, *changes: tuple[str, str]) -> Path:
    return saved(folder, RECIPE, *changes)


def _built(recipe: Path) -> tuple[pd.Series, pd.Series, list[str]]:
    """Values and states by region, and what is said."""
    found = run.prepare(recipe).sources[0].build(lambda _: None, recipe.parent)
    assert found.indicators is not None
    return found.indicators.set_index("region_id")["built"], found.coverage, found.said


def _regions(recipe: Path) -> list[shapely.Geometry]:
    return list(run.prepare(recipe).regions.frame.geometry)


def _houses(count: int = 60) -> list[shapely.Geometry]:
    """Polygons over most of the place, some upon others, with holes, of two parts, across borders, beyond."""
    x, y = RNG.uniform(24.89, 24.95, count), RNG.uniform(60.145, 60.185, count)
    shapes: list[shapely.Geometry] = [
        shapely.Point(a, b).buffer(r) for a, b, r in zip(x, y, RNG.uniform(0.0005, 0.006, count), strict=True)
    ]
    shapes[0] = shapes[0].difference(shapely.Point(x[0], y[0]).buffer(0.0004))
    shapes[1] = shapely.MultiPolygon(
        [shapely.box(24.9, 60.16, 24.91, 60.161), shapely.box(24.93, 60.16, 24.94, 60.161)]
    )
    shapes[2] = shapes[3]
    shapes[4] = shapely.box(24.0, 60.0, 24.1, 60.1)
    return shapes


def _streets(count: int = 60) -> list[shapely.Geometry]:
    x = np.cumsum(RNG.normal(0, 0.004, (count, 6)), axis=1) + RNG.uniform(24.90, 24.95, (count, 1))
    y = np.cumsum(RNG.normal(0, 0.003, (count, 6)), axis=1) + RNG.uniform(60.15, 60.18, (count, 1))
    lines: list[shapely.Geometry] = [
        shapely.LineString(np.column_stack(one)) for one in zip(x, y, strict=True)
    ]
    lines[0] = shapely.MultiLineString([lines[0], lines[1]])
    lines[2] = shapely.LineString([(24.905, 60.165), (24.91, 60.165), (24.905, 60.165)])  # there and back
    return lines


def _save(folder: Path, shapes: list[shapely.Geometry], name: str = "shapes.gpkg", **columns: object) -> None:
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=4326)
    frame.to_parquet(folder / name) if name.endswith("parquet") else frame.to_file(folder / name)


@pytest.mark.parametrize(
    ("statistic", "unit", "by"), [("share", "1", 0), ("area", "m²", 1), ("area", "ha", 1e4)]
)
def test_ground_under_polygons_counts_once(tmp_path: Path, statistic: str, unit: str, by: float) -> None:
    shapes = _houses()
    _save(tmp_path, shapes)
    recipe = _recipe(tmp_path, ('"share"\nunit = "1"', f'"{statistic}"\nunit = "{unit}"'))
    values, states, said = _built(recipe)
    covered = shapely.union_all(shapes)
    regions = _regions(recipe)
    true = [
        oracle.square_metres(one.intersection(covered)) / (by or oracle.square_metres(one)) for one in regions
    ]
    np.testing.assert_allclose(values, true, rtol=1e-6, atol=1e-12)
    assert (states == "label").all()
    assert "of 60 polygons count; left out: " in said[0]
    assert "outside all regions" in said[0]
    plain = [sum(oracle.square_metres(one.intersection(s)) for s in shapes) for one in regions]
    assert max(plain) > 1.01 * max(true) * (by or 1)  # where they overlap it would have counted twice


@pytest.mark.parametrize(("statistic", "unit"), [("length", "m"), ("length", "km"), ("density", "km/km²")])
def test_lines_are_as_long_as_on_the_ground(tmp_path: Path, statistic: str, unit: str) -> None:
    lines = _streets()
    _save(tmp_path, lines)
    recipe = _recipe(tmp_path, ('"share"\nunit = "1"', f'"{statistic}"\nunit = "{unit}"'))
    values, _, _ = _built(recipe)
    regions = _regions(recipe)
    true = np.array([sum(oracle.metres(one.intersection(line)) for line in lines) for one in regions])
    area = np.array([oracle.square_metres(one) for one in regions]) / 1e6
    scale = {"m": 1.0, "km": 1e-3, "km/km²": 1e-3 / area}[unit]
    np.testing.assert_allclose(values, true * scale, rtol=1e-6)
    assert (true > 0).sum() > 3


def test_a_street_along_a_common_border_is_in_one_region(tmp_path: Path) -> None:
    grid = [shapely.box(x, y, x + 1, y + 1) for y in range(2) for x in range(2)]
    gpd.GeoDataFrame({"id": list("abcd")}, geometry=grid, crs=4326).to_file(tmp_path / "r.gpkg")
    lines = [
        shapely.LineString([(0.2, 1), (1.8, 1)]),  # along a | c, then b | d
        shapely.LineString([(1, 0.2), (1, 0.8), (1.4, 0.5)]),  # along a | b, then into b
        shapely.LineString([(0.2, 1), (1.8, 1)]),  # once more: two tracks are two lines
        shapely.LineString([(0, 0.1), (0, 0.9)]),  # along the outer border
        shapely.LineString([(0.5, 0.5), (1.5, 1.5)]),  # through a corner
    ]
    _save(tmp_path, lines)
    place = ("[24.90, 60.15, 24.96, 60.19]", "[0, 0, 2, 2]")
    recipe = _recipe(tmp_path, place, ('"tile:14"', '"r.gpkg#id"'), LENGTH)
    values, _, _ = _built(recipe)
    assert values.sum() == pytest.approx(sum(map(oracle.metres, lines)), rel=1e-7)
    half = oracle.metres(shapely.LineString([(0.2, 1), (1, 1)]))
    corner = oracle.metres(shapely.LineString([(0.5, 0.5), (1, 1)]))
    along = oracle.metres(shapely.LineString([(1, 0.2), (1, 0.8)]))
    outer = oracle.metres(lines[3])
    assert values["a"] == pytest.approx(2 * half + along + outer + corner, rel=1e-6)
    assert values["c"] == 0
    assert values["b"] == pytest.approx(2 * half + oracle.metres(lines[1]) - along, rel=1e-6)


def test_parts_and_files_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _streets(30)
    kinds = ["road" if n % 3 else "path" for n in range(30)]
    _save(tmp_path, lines, kind=kinds, id=[n // 2 for n in range(30)])
    keys = [LENGTH, ("year", 'only = {kind = "road"}\nid = "id"\nyear')]
    values, _, said = _built(_recipe(tmp_path, *keys))
    assert "10 of other kinds (only)" in said[0]
    assert "whose 'id' came before" in said[0]
    monkeypatch.setattr("urbanln.gather.labels.shapes._PAIRS", 3)
    np.testing.assert_array_equal(_built(_recipe(tmp_path, *keys))[0], values)
    _save(tmp_path, lines, "s.parquet", kind=kinds, id=[n // 2 for n in range(30)])
    np.testing.assert_array_equal(_built(_recipe(tmp_path, *keys, ("shapes.gpkg", "s.parquet")))[0], values)
    frame = gpd.read_file(tmp_path / "shapes.gpkg").to_crs(3067)
    frame.to_file(tmp_path / "s.shp")
    other = _built(_recipe(tmp_path, *keys, ("shapes.gpkg", "s.shp")))[0]
    np.testing.assert_allclose(other, values, rtol=1e-4)


def test_a_long_edge_of_a_projected_file_bends_as_on_the_ground(tmp_path: Path) -> None:
    strip = shapely.LineString([(300_000, 6_670_000), (460_000, 6_670_000)])
    gpd.GeoDataFrame(geometry=[strip], crs=3067).to_file(tmp_path / "shapes.gpkg")
    gpd.GeoDataFrame({"id": ["all"]}, geometry=[shapely.box(22, 59, 28, 61)], crs=4326).to_file(
        tmp_path / "r.gpkg"
    )
    recipe = _recipe(
        tmp_path, ("[24.90, 60.15, 24.96, 60.19]", "[22, 59, 28, 61]"), ('"tile:14"', '"r.gpkg#id"'), LENGTH
    )
    fine = gpd.GeoSeries([strip], crs=3067).segmentize(10).to_crs(4326).iloc[0]
    assert _built(recipe)[0]["all"] == pytest.approx(oracle.metres(fine), rel=1e-8)


def test_regions_across_the_antimeridian_have_both_their_parts(tmp_path: Path) -> None:
    across = shapely.MultiPolygon([shapely.box(178, -17, 180, -15), shapely.box(-180, -17, -179, -15)])
    gpd.GeoDataFrame({"id": ["fiji"]}, geometry=[across], crs=4326).to_file(tmp_path / "r.gpkg")
    place = [("[24.90, 60.15, 24.96, 60.19]", "[177, -18, -178, -14]"), ('"tile:14"', '"r.gpkg#id"')]
    lines = [shapely.MultiLineString([[(179, -16), (180, -16)], [(-180, -16), (-178, -16)]])]
    _save(tmp_path, lines)
    true = oracle.metres(shapely.LineString([(179, -16), (181, -16)]))
    assert _built(_recipe(tmp_path, *place, LENGTH))[0]["fiji"] == pytest.approx(true, rel=1e-4)
    _save(tmp_path, [shapely.LineString([(179, -16), (-179, -16)])])
    with pytest.raises(InputError, match="jumps from one side"):
        _built(_recipe(tmp_path, *place, LENGTH))
    _save(tmp_path, [shapely.Polygon([(179, -16), (-179, -16), (-179, -15.5), (179, -15.5)])])
    with pytest.raises(InputError, match="jumps from one side"):
        _built(_recipe(tmp_path, *place))


def test_broken_polygons_are_refused_until_somebody_decides(tmp_path: Path) -> None:
    bow = shapely.Polygon([(24.91, 60.16), (24.93, 60.18), (24.93, 60.16), (24.91, 60.18)])
    far = shapely.affinity.translate(bow, xoff=-3)
    house = shapely.box(24.94, 60.16, 24.945, 60.165)
    _save(tmp_path, [bow, house, far])
    with pytest.raises(
        InputError, match="1 polygons cross themselves"
    ) as caught:  # the far one does not matter
        _built(_recipe(tmp_path))
    assert 'invalid = "repair"' in caught.value.remedy
    asked = ('"share"\nunit = "1"', '"area"\nunit = "m2"\ninvalid = "skip"')
    values, _, said = _built(_recipe(tmp_path, asked))
    assert values.sum() == pytest.approx(oracle.square_metres(house), rel=1e-6)
    assert "1 skipped as broken" in said[0]
    values, _, said = _built(_recipe(tmp_path, (asked[0], asked[1].replace("skip", "repair"))))
    both = oracle.square_metres(house) + oracle.square_metres(shapely.make_valid(bow))
    assert values.sum() == pytest.approx(both, rel=1e-6)
    assert "1 polygons were broken, and are repaired" in said[1]


def test_only_the_ground_that_the_file_tells_of_is_measured(tmp_path: Path) -> None:
    _save(tmp_path, [shapely.box(24.89, 60.14, 24.93, 60.17)])
    known = shapely.box(24.88, 60.14, 24.9132, 60.2)
    _save(tmp_path, [known], "known.geojson")
    values, states, _ = _built(_recipe(tmp_path))
    assert values.max() == pytest.approx(1, abs=1e-9)
    assert values.min() == 0
    within = ("year", 'within = "known.geojson"\nmin_cover = 0.2\nyear')
    recipe = _recipe(tmp_path, within)
    values, states, _ = _built(recipe)
    assert {"label", "absent"} <= set(states)
    for value, region in zip(values, _regions(recipe), strict=True):
        part = region.intersection(known)
        if part.area < 0.2 * region.area:
            assert np.isnan(value)
        else:
            inside = oracle.square_metres(part.intersection(shapely.box(24.89, 60.14, 24.93, 60.17)))
            assert value == pytest.approx(inside / oracle.square_metres(part), rel=1e-6)


def test_a_city_of_shapes_is_made(tmp_path: Path) -> None:
    _save(tmp_path, _houses(10))
    report = run.gather(_recipe(tmp_path), tmp_path / "city")
    assert City.open(tmp_path / "city").meta.indicators["built"].unit == "1"
    assert any("regions have none and are 0" in line for line in report.lines())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("shapes.gpkg", "none.gpkg", "no such file"),
        ("shapes.gpkg", "table.csv", "has no shapes"),
        ("shapes.gpkg", "far.gpkg", "of another place"),
        ("shapes.gpkg", "points.gpkg", "has no polygons"),
        ("shapes.gpkg", "bare.shp", "names no CRS"),
        ("shapes.gpkg", "lied.gpkg", "outside ±180/±90"),
        ('"share"', '"length"', "unit of statistic = 'length' is one of m, km"),
        ('"share"\nunit = "1"', '"density"\nunit = "km"', "is one of km/km²"),
        ('"share"\nunit = "1"', '"length"\nunit = "m"', "has no lines"),
        ('"share"', '"mean"', "labels.built.statistic"),
        ("year", 'invalid = "mend"\nyear', "labels.built.invalid"),
        ("year", 'only = {kind = "road"}\nyear', "column 'kind' is missing"),
        ("year", 'column = "x"\nyear', "unknown setting 'labels.built.column'"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_one_clear_error(tmp_path: Path, old: str, new: str, told: str) -> None:
    house = shapely.box(24.94, 60.16, 24.945, 60.165)
    _save(tmp_path, [house])
    _save(tmp_path, [shapely.affinity.translate(house, xoff=10)], "far.gpkg")
    _save(tmp_path, [house.centroid], "points.gpkg")
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "table.csv")
    frame = gpd.GeoDataFrame(geometry=[house], crs=4326).to_crs(3067)
    frame.set_crs(None, allow_override=True).to_file(tmp_path / "bare.shp")
    frame.set_crs(4326, allow_override=True).to_file(tmp_path / "lied.gpkg")
    with pytest.raises(InputError, match=told) as caught:
        run.prepare(_recipe(tmp_path, (old, new)))
    assert "recipe.toml" in str(caught.value.where)
    assert caught.value.remedy


def test_nothing_near_is_nothing_and_no_numbers_are_no_shape(tmp_path: Path) -> None:
    bow = shapely.Polygon([(24.91, 60.16), (24.93, 60.18), (24.93, 60.16), (24.91, 60.18)])
    odd = shapely.Polygon([(24.91, 60.16), (np.nan, 60.17), (24.92, 60.17)])
    _save(tmp_path, [bow, odd, shapely.box(24.8, 60.1, 24.801, 60.2)], "s.parquet")
    keys = [("shapes.gpkg", "s.parquet"), ("year", 'invalid = "skip"\nyear')]
    values, _, said = _built(_recipe(tmp_path, *keys))
    assert (values == 0).all()
    assert "0 of 3 polygons count; left out: 1 without a shape, 1 skipped as broken, 1 outside" in said[0]
    line = shapely.LineString([(24.92, 60.17), (24.93, 60.17)])
    _save(tmp_path, [line, shapely.LineString([(24.92, 60.17), (np.nan, 60.17)])], "s.parquet")
    values, _, said = _built(_recipe(tmp_path, keys[0], LENGTH))
    assert values.sum() == pytest.approx(oracle.metres(line), rel=1e-6)
    assert "1 without a shape" in said[0]
