"""Labels of points: each in one region; 0 where that is known, else missing; any file, any column."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from tests.gather.world import SOMEWHERE, saved
from tests.oracles import labels as oracle

from urbanln.base.errors import InputError
from urbanln.base.files import read_table
from urbanln.city.datum import from_wgs84
from urbanln.city.store import City
from urbanln.gather import run
from urbanln.gather.labels.ground import holders, square_metres

RECIPE = f"""{SOMEWHERE}
[labels.cafes]
points = "poi.csv"
statistic = "count"
unit = "cafés"
year = 2024
source = "OpenStreetMap, 2024-01-01"
licence = "ODbL 1.0"
attribution = "OpenStreetMap contributors"
"""
RNG = np.random.default_rng(11)


def _recipe(folder: Path, *changes: tuple[str, str]) -> Path:
    return saved(folder, RECIPE, *changes)


def _poi(folder: Path, count: int = 300) -> pd.DataFrame:
    """Places over most of the box and some beyond it, saved as CSV."""
    lon, lat = RNG.uniform(24.88, 24.94, count), RNG.uniform(60.14, 60.19, count)
    kinds = np.where(RNG.random(count) < 0.4, "cafe", "bench").astype(object)
    kinds[:5] = None
    frame = pd.DataFrame({"osm_id": np.arange(count), "amenity": kinds, "lon": lat * 0 + lon, "lat": lat})
    frame["shop"] = np.where(RNG.random(count) < 0.2, "bakery", None)
    frame["price"] = RNG.uniform(1, 9, count).round(2)
    frame["seats"] = RNG.integers(1, 40, count)
    frame.to_csv(folder / "poi.csv", index=False)
    return frame


def _built(recipe: Path, name: str = "cafes") -> tuple[pd.Series, pd.Series, list[str]]:
    """Values and states by region, and what is said."""
    ready = run.prepare(recipe)
    found = ready.sources[0].build(lambda _: None, recipe.parent)
    assert found.indicators is not None
    return found.indicators.set_index("region_id")[name], found.coverage, found.said


def _slow(recipe: Path, frame: pd.DataFrame) -> list[list[int]]:
    """The frame's rows in each region."""
    regions = run.prepare(recipe).regions.frame.geometry
    pairs = oracle.holders(list(regions), list(zip(frame["lon"], frame["lat"], strict=True)))
    return [[point for at, point in pairs if at == region] for region in range(len(regions))]


def test_a_point_is_in_one_region_unless_they_overlap() -> None:
    grid = [shapely.box(x, y, x + 1, y + 1) for y in range(3) for x in range(3)]
    disc = shapely.Point(1.5, 1.5).buffer(0.6)
    shapes = [
        *grid,
        disc,
        shapely.MultiPolygon([shapely.box(5, 5, 6, 6), shapely.box(6.5, 5, 7, 6)]),
        shapely.Polygon(),
    ]
    even = [(x, y) for x in np.arange(0, 3.5, 0.5) for y in np.arange(0, 3.5, 0.5)]
    points = [*even, *map(tuple, RNG.uniform(-0.2, 3.2, (200, 2))), (5.5, 5.5), (6.25, 5.5), (7.0, 5.5)]
    lon, lat = np.array(points).T
    region, point = holders(np.array(shapes, dtype=object), lon, lat)
    assert sorted(zip(region, point, strict=True)) == sorted(oracle.holders(shapes, points))
    cells = region < 9
    assert np.bincount(point[cells]).max() == 1  # and those of the grid lie in exactly one of its cells


def test_points_in_parts_are_the_same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = np.array([shapely.box(x, 0, x + 1, 1) for x in range(5)], dtype=object)
    lon, lat = RNG.integers(0, 11, (2, 500)) / 2
    whole = holders(shapes, lon, lat)
    monkeypatch.setattr("urbanln.gather.labels.ground._POINTS", 7)
    np.testing.assert_array_equal(holders(shapes, lon, lat), whole)
    assert holders(shapes, lon[:0], lat[:0])[0].size == 0


@pytest.mark.parametrize("kind", ["csv", "geojson", "gpkg", "parquet", "plain", "wkb", "shp"])
def test_any_file_of_points_gives_the_same_counts(tmp_path: Path, kind: str) -> None:
    frame = _poi(tmp_path)
    shapes = gpd.GeoDataFrame(
        frame.drop(columns=["lon", "lat"]), geometry=gpd.points_from_xy(frame["lon"], frame["lat"]), crs=4326
    )
    name = {"plain": "plain.parquet", "wkb": "wkb.parquet"}.get(kind, f"poi.{kind}")
    if kind == "plain":
        frame.to_parquet(tmp_path / name)
    elif kind == "wkb":
        pd.DataFrame(shapes.assign(geometry=shapes.to_wkb()["geometry"])).to_parquet(tmp_path / name)
    elif kind == "parquet":
        shapes.to_parquet(tmp_path / name)
    elif kind == "shp":
        shapes.to_crs(3067).to_file(tmp_path / name)
    elif kind != "csv":
        shapes.to_file(tmp_path / name)
    recipe = _recipe(tmp_path, ("poi.csv", name), ("year", 'only = {amenity = "cafe"}\nyear'))
    values, states, said = _built(recipe)
    cafes = frame[frame["amenity"] == "cafe"].reset_index(drop=True)
    assert list(values) == [len(rows) for rows in _slow(recipe, cafes)]
    assert (states == "label").all()
    assert said[0].startswith(
        f"{int(values.sum())} of 300 points count; left out: {300 - len(cafes)} of other kinds"
    )


def test_every_statistic_is_what_its_name_says(tmp_path: Path) -> None:
    frame = _poi(tmp_path)
    frame.loc[frame.index % 7 == 0, "price"] = np.nan
    region = _slow(_recipe(tmp_path), frame)
    lone = next(rows for rows in region if len(rows) > 2)
    frame.loc[lone, "price"] = np.nan  # a region of whose points nothing is known
    frame.to_csv(tmp_path / "poi.csv", index=False)
    shapes = run.prepare(_recipe(tmp_path)).regions.frame.geometry
    asked = {
        "density": "",
        "mean": 'column = "price"',
        "sum": 'column = "price"',
        "share": 'classes = {amenity = "cafe"}',
        "rate": 'column = "price"\nper = "seats"',
    }
    for statistic, keys in asked.items():
        values, states, _ = _built(_recipe(tmp_path, ('"count"', f'"{statistic}"\n{keys}')))
        true = [_slow_one(statistic, frame.loc[rows], shapes[at]) for at, rows in enumerate(region)]
        np.testing.assert_allclose(values, true, rtol=1e-6, err_msg=statistic)
        assert (states[values.isna()] == "absent").all()
        assert values.isna().any() == (statistic != "density"), statistic


def _slow_one(statistic: str, rows: pd.DataFrame, shape: shapely.Geometry) -> float:
    if statistic == "density":
        return len(rows) / (oracle.square_metres(shape) / 1e6)
    if rows.empty:
        return 0.0 if statistic == "sum" else np.nan
    if statistic == "share":
        return sum(kind == "cafe" for kind in rows["amenity"]) / len(rows)
    known = rows[rows["price"].notna()]
    if known.empty:
        return np.nan
    by = {"sum": 1, "mean": len(known), "rate": known["seats"].sum()}[statistic]
    return float(known["price"].sum() / by)


def test_areas_are_those_of_the_ellipsoid() -> None:
    shapes = [
        shapely.box(24.9, 60.1, 24.91, 60.11), shapely.box(10, -80, 11, -79), shapely.box(-5, -3, 5, 2),
        shapely.MultiPolygon([shapely.box(178, -17, 180, -15), shapely.box(-180, -17, -179, -15)]),
        shapely.Polygon([(0, 40), (3, 41), (2, 43)]), shapely.Polygon(),
    ]  # fmt: skip
    true = [oracle.square_metres(shape) for shape in shapes]
    np.testing.assert_allclose(square_metres(np.array(shapes, dtype=object)), true, rtol=1e-6)


def _nested(folder: Path, how: str) -> tuple[str, str]:
    """A file whose kinds are parts of a column: its name, and what they are called."""
    frame = _poi(folder)
    kinds = [None if kind is None else str(kind) for kind in frame["amenity"]]
    points = gpd.GeoDataFrame(
        {"id": frame["osm_id"]}, geometry=gpd.points_from_xy(frame["lon"], frame["lat"]), crs=4326
    )
    if how == "overture":  # a struct with a list beside it, as places of Overture have
        points.to_parquet(folder / "p.parquet")
        table = pq.read_table(folder / "p.parquet")
        shape = pa.struct([("primary", pa.string()), ("alternate", pa.list_(pa.string()))])
        rows = [None if kind is None else {"primary": kind, "alternate": ["cafe"]} for kind in kinds]
        pq.write_table(table.append_column("categories", pa.array(rows, shape)), folder / "p.parquet")
        return "p.parquet", "categories.primary"
    if how == "map":
        points.to_parquet(folder / "p.parquet")
        table = pq.read_table(folder / "p.parquet")
        rows = [[("name", "x")] if kind is None else [("amenity", kind)] for kind in kinds]
        tags = pa.array(rows, pa.map_(pa.string(), pa.string()))
        pq.write_table(table.append_column("tags", tags), folder / "p.parquet")
        return "p.parquet", "tags.amenity"
    if how == "json":
        points["tags"] = [None if kind is None else json.dumps({"a": {"b:c": kind}}) for kind in kinds]
        points.to_file(folder / "p.gpkg")
        return "p.gpkg", "tags.a.b:c"
    assert how == "gdal"  # its OSM driver's other_tags
    points["other_tags"] = [
        '"name"=>"a \\"b\\" => c"' if kind is None else f'"name"=>"x","amenity"=>"{kind}"' for kind in kinds
    ]
    points.to_file(folder / "p.geojson")
    return "p.geojson", "other_tags.amenity"


@pytest.mark.parametrize("how", ["overture", "map", "json", "gdal"])
def test_a_kind_may_be_a_part_of_a_column(tmp_path: Path, how: str) -> None:
    name, column = _nested(tmp_path, how)
    flat = pd.read_csv(tmp_path / "poi.csv")
    recipe = _recipe(tmp_path, ("poi.csv", name), ("year", f'only = {{"{column}" = ["cafe"]}}\nyear'))
    values, _, _ = _built(recipe)
    cafes = flat[flat["amenity"] == "cafe"].reset_index(drop=True)
    assert list(values) == [len(rows) for rows in _slow(recipe, cafes)]
    with pytest.raises(InputError, match=r"no row has such a value|no parts|is missing"):
        _built(_recipe(tmp_path, ("poi.csv", name), ("year", f'only = {{"{column}x" = "*"}}\nyear')))


def test_rows_are_of_any_of_several_kinds(tmp_path: Path) -> None:
    frame = _poi(tmp_path)
    only = 'only = [{amenity = "cafe", seats = ["1", "2", "3"]}, {shop = "*"}]'
    recipe = _recipe(tmp_path, ("year", f"{only}\nyear"))
    chosen = ((frame["amenity"] == "cafe") & (frame["seats"] <= 3)) | frame["shop"].notna()
    assert list(_built(recipe)[0]) == [
        len(rows) for rows in _slow(recipe, frame[chosen].reset_index(drop=True))
    ]


def test_where_a_table_tells_nothing_there_is_no_zero(tmp_path: Path) -> None:
    _poi(tmp_path)
    values, states, said = _built(_recipe(tmp_path, ("tile:14", "tile:15")))
    assert values.min() == 0
    assert (states == "label").all()
    assert "regions have none and are 0" in said[1]
    assert "lie beyond all that it has" in said[1]
    ground = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.box(24.88, 60.14, 24.94, 60.19)], crs=4326)
    ground.to_crs(3067).to_file(tmp_path / "known.gpkg")
    within = ("year", 'within = "known.gpkg"\nyear')
    values, states, said = _built(_recipe(tmp_path, within, ("tile:14", "tile:15")))
    assert set(states) == {"label", "partial", "absent"}
    assert (values.notna() == (states == "label")).all()
    assert any("what is within covers" in line for line in said)
    assert not any("are 0" in line for line in said)
    changes = [within, ("tile:14", "tile:15"), ("year", "min_cover = 0.3\nyear")]
    report = run.gather(_recipe(tmp_path, *changes), tmp_path / "city")
    covered = read_table(tmp_path / "city" / "coverage.parquet", kind="coverage")
    half = covered[covered["cafes_cover"].between(0.3, 0.99)]
    assert len(half)
    assert (half["cafes"] == "label").all()
    assert report.coverage["cafes"].isin(["label", "partial", "absent"]).all()


def test_a_part_of_a_region_is_counted_and_measured_alone(tmp_path: Path) -> None:
    frame = _poi(tmp_path)
    known = shapely.box(24.88, 60.14, 24.9131, 60.19)
    gpd.GeoDataFrame(geometry=[known], crs=4326).to_file(tmp_path / "known.geojson")
    recipe = _recipe(
        tmp_path, ('"count"', '"density"'), ("year", 'within = "known.geojson"\nmin_cover = 0.1\nyear')
    )
    values, _, said = _built(recipe)
    for region, shape in zip(values.index, run.prepare(recipe).regions.frame.geometry, strict=True):
        part = shape.intersection(known)
        if part.area >= 0.1 * shape.area:
            rows = sum(
                part.contains(shapely.Point(x, y)) for x, y in zip(frame["lon"], frame["lat"], strict=True)
            )
            assert values[region] == pytest.approx(rows / (oracle.square_metres(part) / 1e6), rel=1e-6)
        else:
            assert np.isnan(values[region])
    assert "outside all regions or what is within" in said[0]


def test_ids_days_and_places_that_are_missing(tmp_path: Path) -> None:
    frame = _poi(tmp_path, 60)
    frame["osm_id"] = [None if row < 10 else row // 2 for row in range(60)]
    frame["day"] = ["2024-05-31T23:30:00+03:00" if row % 3 else "2023-01-01" for row in range(60)]
    frame.loc[55:, "day"] = None
    frame.loc[20:22, "lon"] = np.nan
    frame.to_csv(tmp_path / "poi.csv", index=False)
    keys = 'id = "osm_id"\nday = "day"\nsince = 2024-05-31\nuntil = 2024-05-31\nyear'
    recipe = _recipe(tmp_path, ("year", keys))
    values, _, said = _built(recipe)
    right = frame[frame["lon"].notna() & frame["day"].fillna("").str.startswith("2024-05-31")]
    once = right[~(right["osm_id"].duplicated() & right["osm_id"].notna())].reset_index(drop=True)
    assert list(values) == [len(rows) for rows in _slow(recipe, once)]
    assert "3 without a place" in said[0]
    assert "5 without a day in 'day'" in said[0]
    assert f"{len(right) - len(once)} whose 'osm_id' came before" in said[0]


def test_regions_across_the_antimeridian_have_the_points_of_both_sides(tmp_path: Path) -> None:
    frame = pd.DataFrame({"lon": [179.9, -179.9, 180.0, -180.0, 178.5, 0.0], "lat": [-16.5] * 6})
    frame.to_csv(tmp_path / "poi.csv", index=False)
    across = shapely.MultiPolygon([shapely.box(179, -17, 180, -16), shapely.box(-180, -17, -179, -16)])
    gpd.GeoDataFrame(
        {"id": ["fiji", "west"]}, geometry=[across, shapely.box(178, -17, 179, -16)], crs=4326
    ).to_file(tmp_path / "r.gpkg")
    recipe = _recipe(
        tmp_path, ("[24.90, 60.15, 24.96, 60.19]", "[178, -17, -179, -16]"), ('"tile:14"', '"r.gpkg#id"')
    )
    values, _, _ = _built(recipe)
    assert dict(values) == {"fiji": 4, "west": 1}


def test_an_extract_has_degrees_of_points_alone(tmp_path: Path) -> None:
    frame = _poi(tmp_path, 40)
    points = gpd.points_from_xy(frame["lon"], frame["lat"])
    shapes = gpd.GeoDataFrame(frame, geometry=points, crs=4326)
    areas = frame.index % 3 == 0  # a building has a shape, and no degrees
    shapes.loc[areas, "geometry"] = shapes.geometry[areas].buffer(1e-5)
    shapes.loc[areas, ["lon", "lat"]] = np.nan
    shapes.loc[39, "geometry"] = shapely.LineString([(24.91, 60.16), (24.92, 60.17)])
    shapes.to_parquet(tmp_path / "poi.parquet")
    recipe = _recipe(tmp_path, ("poi.csv", "poi.parquet"))
    values, _, said = _built(recipe)
    assert list(values) == [len(rows) for rows in _slow(recipe, frame[:39])]
    assert "1 are lines" in said[0]
    shapes.drop(columns=["lon", "lat"]).to_parquet(tmp_path / "poi.parquet")
    assert _built(recipe)[0].equals(values)


def test_a_chinese_table_says_its_datum(tmp_path: Path) -> None:
    lon, lat = RNG.uniform(116.3, 116.5, 200), RNG.uniform(39.85, 39.95, 200)
    pd.DataFrame({"lon": lon, "lat": lat}).to_csv(tmp_path / "poi.csv", index=False)
    place = ("[24.90, 60.15, 24.96, 60.19]", "[116.3, 39.85, 116.5, 39.95]")
    true, _, _ = _built(_recipe(tmp_path, place))
    east, north = from_wgs84(lon, lat, "bd09")
    pd.DataFrame({"lon": east, "lat": north}).to_csv(tmp_path / "poi.csv", index=False)
    values, _, _ = _built(_recipe(tmp_path, place, ("year", 'datum = "bd09"\nyear')))
    assert (values == true).all()
    assert (_built(_recipe(tmp_path, place))[0] != true).any()


def test_a_city_of_points_knows_its_terms_and_its_files(tmp_path: Path) -> None:
    _poi(tmp_path)
    recipe = _recipe(tmp_path)
    assert "cafes: 0 pictures, 0 requests" in "\n".join(run.plan(run.prepare(recipe)).lines())
    run.gather(recipe, tmp_path / "city")
    city = City.open(tmp_path / "city")
    note = city.meta.indicators["cafes"]
    assert (note.unit, note.year, note.licence) == ("cafés", 2024, "ODbL 1.0")
    assert city.meta.sources[0].attribution == "OpenStreetMap contributors"
    assert city.indicators["cafes"].notna().all()
    notes = json.loads((tmp_path / "city" / "gather.json").read_text())["notes"]
    assert any("points count" in line for line in notes)


def test_the_columns_of_a_shapefile_are_part_of_it(tmp_path: Path) -> None:
    frame = _poi(tmp_path)
    shapes = gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(frame["lon"], frame["lat"]), crs=4326)
    shapes.to_file(tmp_path / "poi.shp")
    first = run.prepare(_recipe(tmp_path, ("poi.csv", "poi.shp")))
    assert "cafes: poi.dbf" in first.files
    shapes.assign(amenity="bench").to_file(tmp_path / "poi.shp")
    assert run.prepare(_recipe(tmp_path, ("poi.csv", "poi.shp"))).how != first.how


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("poi.csv", "none.csv", "no such file"),
        ("poi.csv", "https://example.org/poi.csv", "download .* first"),
        ("poi.csv", "empty.csv", "the table is empty|no rows"),
        ("poi.csv", "far.csv", "of another place"),
        ("poi.csv", "nowhere.csv", "no row has a place"),
        ("poi.csv", "metres.csv", "outside ±180/±90"),
        ("poi.csv", "lines.geojson", "no row has a place"),
        ("poi.csv", "moon.gpkg", "another body"),
        ("points = ", 'raster = "a.tif"\npoints = ', "one of them, not of raster and points"),
        ("points = ", "point = ", "one of them, not of none"),
        ('"count"', '"number"', "labels.cafes.statistic"),
        ('"count"', '"mean"', "column and statistic"),
        ('"count"', '"share"', "classes and statistic"),
        ('"count"', '"rate"\ncolumn = "price"', "per and statistic"),
        ('"count"', '"count"\ncolumn = "price"', "column and statistic"),
        ('"count"', '"mean"\ncolumn = "prize"', "column 'prize' is missing"),
        ('"count"', '"mean"\ncolumn = "amenity"', "must be a numeric column"),
        ('"count"', '"mean"\ncolumn = "coded"', "looks like a code"),
        ('"count"', '"count"\nonly = {amenity = "pub"}', "no row has such a value"),
        ('"count"', '"count"\nonly = {amenities = "cafe"}', "column 'amenities' is missing"),
        ('"count"', '"count"\nonly = {}', "at least 1"),
        ('"count"', '"count"\nid = "osmid"', "column 'osmid' is missing"),
        ('"count"', '"count"\nday = "amenity"', "go together"),
        ('"count"', '"count"\nday = "amenity"\nsince = 2024-01-01', "must hold days such as"),
        ('"count"', '"count"\nday = "d"\nsince = 2024-01-01\nuntil = 2023-01-01', "after until"),
        ('"count"', '"count"\nmin_cover = 0.5', "within, which is not named"),
        ('"count"', '"count"\nwithin = "open.geojson"', "is open|Points of LinearRing"),
        ('"count"', '"count"\nwithin = "poi.csv"', "has no geometry"),
        ('"count"', '"count"\nkey = "MAP_KEY"', "need no key"),
        ('"count"', '"count"\nband = 1', "unknown setting 'labels.cafes.band'"),
        ('unit = "cafés"\n', "", "labels.cafes.unit"),
        ('licence = "ODbL 1.0"\n', "", "labels.cafes.licence"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_one_clear_error(tmp_path: Path, old: str, new: str, told: str) -> None:
    frame = _poi(tmp_path)
    frame.assign(coded=np.where(frame.index % 4, frame["price"], -9999)).to_csv(
        tmp_path / "poi.csv", index=False
    )
    (tmp_path / "empty.csv").write_text("lon,lat\n")
    frame.assign(lon=frame["lat"], lat=frame["lon"]).to_csv(tmp_path / "far.csv", index=False)
    frame.assign(lon=np.nan).to_csv(tmp_path / "nowhere.csv", index=False)
    frame.assign(lon=frame["lon"] * 1e4).to_csv(tmp_path / "metres.csv", index=False)
    line = shapely.LineString([(24.9, 60.15), (24.91, 60.16)])
    gpd.GeoDataFrame(geometry=[line], crs=4326).to_file(tmp_path / "lines.geojson")
    gpd.GeoDataFrame(geometry=[line.centroid], crs="IAU_2015:30100").to_file(tmp_path / "moon.gpkg")
    ring = {"type": "Polygon", "coordinates": [[[24.8, 60.1], [25.0, 60.1], [25.0, 60.2]]]}
    (tmp_path / "open.geojson").write_text(json.dumps(ring))
    with pytest.raises(InputError, match=told) as caught:
        run.prepare(_recipe(tmp_path, (old, new)))
    assert "recipe.toml" in str(caught.value.where)
    assert caught.value.remedy


def test_declared_codes_are_no_numbers(tmp_path: Path) -> None:
    frame = _poi(tmp_path)
    coded = frame.assign(price=frame["price"].where(frame.index % 4 != 0, -9999))
    coded.to_csv(tmp_path / "poi.csv", index=False)
    keys = ('"count"', '"mean"\ncolumn = "price"\nnodata = [-9999]')
    values, _, said = _built(_recipe(tmp_path, keys))
    assert values.min() >= 1
    assert "without a number in 'price'" in said[0]


def test_a_remedy_is_that_of_the_kind_of_label(tmp_path: Path) -> None:
    _poi(tmp_path)
    with pytest.raises(InputError) as caught:
        run.prepare(_recipe(tmp_path, ('"count"', '"number"')))
    assert "per km²" in caught.value.remedy


def test_how_a_table_is_written_is_a_key_of_the_recipe(tmp_path: Path) -> None:
    frame = _poi(tmp_path, 60)
    text = frame.assign(amenity="café", price=(frame["price"] * 1000).map("{:,.2f}".format))
    text.to_csv(tmp_path / "poi.csv", index=False, encoding="cp1252")
    keys = '"sum"\ncolumn = "price"\nonly = {amenity = "café"}'
    with pytest.raises(InputError) as caught:
        _built(_recipe(tmp_path, ('"count"', keys)))
    assert 'encoding = "cp1252"' in caught.value.remedy
    with pytest.raises(InputError) as caught:
        _built(_recipe(tmp_path, ('"count"', keys + '\nencoding = "cp1252"')))
    assert 'thousands = ","' in caught.value.remedy
    recipe = _recipe(tmp_path, ('"count"', keys + '\nencoding = "cp1252"\nthousands = ","'))
    true = [(frame["price"][rows] * 1000).round(2).sum() for rows in _slow(recipe, frame)]
    np.testing.assert_allclose(_built(recipe)[0], true)


def test_shapes_of_no_numbers_have_no_place(tmp_path: Path) -> None:
    odd = shapely.Polygon([(24.91, 60.16), (np.nan, 60.17), (24.92, 60.17)])
    points = [odd, shapely.Point(np.nan, np.nan), None, shapely.Point(), shapely.Point(24.92, 60.17, 3)]
    gpd.GeoDataFrame(geometry=points, crs=4326).to_parquet(tmp_path / "poi.parquet")
    values, _, said = _built(_recipe(tmp_path, ("poi.csv", "poi.parquet")))
    assert values.sum() == 1
    assert "4 without a place" in said[0]
