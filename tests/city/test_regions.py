"""Dividing a city: every point falls into the region it is told, and the shapes say the same."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from urbanln.base.errors import InputError
from urbanln.base.written import Written
from urbanln.city.checks import check_regions
from urbanln.city.regions import h3_regions, make_regions, one_per_picture, polygon_regions, tile_regions


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(114.0, 114.2, 200), rng.uniform(30.4, 30.6, 200)


def _holds(regions: gpd.GeoDataFrame, ids: pd.Series, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    shapes = regions.set_index("region_id").geometry.loc[ids].to_numpy()
    return shapely.intersects(shapely.buffer(shapes, 1e-9), shapely.points(lon, lat))


@pytest.mark.parametrize("how", ["h3:8", "tile:15", "picture"])
def test_every_point_lies_in_its_region(how: str, points: tuple[np.ndarray, np.ndarray]) -> None:
    regions, ids = make_regions(how, *points, pd.Series([f"i{i}" for i in range(200)]))
    # H3 cells of neighbouring resolution have geodesic borders: a hair's breadth beside the straight line.
    assert _holds(regions, ids, *points).mean() > 0.99
    assert set(ids) == set(regions["region_id"])
    assert regions["region_id"].is_unique
    assert regions.crs.to_epsg() == 4326
    assert regions.geometry.is_valid.all()


def test_tiles_are_those_of_the_web() -> None:
    # The example of the OpenStreetMap wiki's page on slippy map tile names: Shibuya, zoom 18.
    lon, lat = 139.7006793, 35.6590699
    regions, ids = tile_regions(np.array([lon]), np.array([lat]), 18)
    assert list(ids) == ["18-232798-103246"]
    west, south, east, north = regions.total_bounds
    assert west <= lon <= east
    assert south <= lat <= north
    assert east - west == pytest.approx(360 / 2**18)


def test_tiles_cover_the_corners_of_the_map() -> None:
    lon, lat = np.array([-180.0, 180.0, 0.0]), np.array([85.05, -85.05, 0.0])
    assert list(tile_regions(lon, lat, 1)[1]) == ["1-0-0", "1-1-1", "1-1-1"]
    with pytest.raises(InputError, match=r"end at ±85\.05(.|\n)*89\.0"):
        tile_regions(np.array([0.0]), np.array([89.0]), 3)


def test_h3_cell_across_the_antimeridian_is_cut() -> None:
    regions, _ = h3_regions(np.array([179.999]), np.array([-17.0]), 3)
    assert regions.geometry.is_valid.all()
    assert regions.geometry.iloc[0].geom_type == "MultiPolygon"
    assert regions.geometry.iloc[0].area < 5


@pytest.fixture
def districts() -> gpd.GeoDataFrame:
    x = np.array([114.0, 114.1, 114.3])
    return gpd.GeoDataFrame({"GEOID": [7, 8, 9]}, geometry=shapely.box(x, 30.4, x + 0.1, 30.6), crs=4326)


LON, LAT = np.array([114.05, 114.1, 114.25, 114.35]), np.full(4, 30.5)


@pytest.mark.parametrize("ending", ["gpkg", "geojson", "parquet", "frame", "shp"])
def test_polygons_take_their_points(ending: str, tmp_path: Path, districts: gpd.GeoDataFrame) -> None:
    path = tmp_path / f"districts.{ending}"
    if ending == "parquet":
        districts.to_crs(32650).to_parquet(path)
    elif ending != "frame":
        (districts if ending == "geojson" else districts.to_crs(32650)).to_file(path)
    regions, ids = polygon_regions(districts if ending == "frame" else path, LON, LAT)
    # The second point is on the border of two: the first polygon takes it. The third is outside all.
    assert list(ids.fillna("none")) == ["7", "7", "none", "9"]
    assert list(regions["region_id"]) == ["7", "8", "9"]
    assert regions.crs.to_epsg() == 4326


def test_within_leaves_the_border_out(districts: gpd.GeoDataFrame) -> None:
    ids = polygon_regions(districts, LON, LAT, predicate="within")[1]
    assert list(ids.fillna("none")) == ["7", "none", "none", "9"]


def test_polygons_without_ids_are_numbered_and_ids_can_be_named(
    tmp_path: Path, districts: gpd.GeoDataFrame
) -> None:
    districts = districts.assign(kind=["x", "y", "z"], name=["a", "a", "b"])
    districts.drop(columns="GEOID").to_file(tmp_path / "d.gpkg")
    nothing = pd.Series([], dtype="str")
    assert list(make_regions(str(tmp_path / "d.gpkg"), LON, LAT, nothing)[0]["region_id"]) == [
        "p0",
        "p1",
        "p2",
    ]
    assert list(make_regions(f"{tmp_path}/d.gpkg#kind", LON, LAT, nothing)[0]["region_id"]) == ["x", "y", "z"]
    districts.assign(GEOID=["a", "a", "b"]).to_file(tmp_path / "doubled.gpkg")
    for how in ("doubled.gpkg", "doubled.gpkg#GEOID"):
        with pytest.raises(InputError, match="'GEOID' is doubled"):
            make_regions(f"{tmp_path}/{how}", LON, LAT, nothing)
    with pytest.raises(InputError, match=r"'kinds' is missing(.|\n)*did you mean 'kind'"):
        make_regions(f"{tmp_path}/d.gpkg#kinds", LON, LAT, nothing)


def test_faulty_polygons(tmp_path: Path, districts: gpd.GeoDataFrame) -> None:
    with pytest.raises(InputError, match="no coordinate reference system"):
        polygon_regions(districts.set_crs(None, allow_override=True), LON, LAT)
    with pytest.raises(InputError, match="projected CRS"):
        polygon_regions(districts.to_crs(3857).set_crs(4326, allow_override=True), LON, LAT)
    with pytest.raises(InputError, match="polygons are needed, this is a point"):
        polygon_regions(
            districts.set_geometry(districts.geometry.representative_point().to_numpy(), crs=4326), LON, LAT
        )
    (tmp_path / "t.csv").write_text("id\n1\n")
    with pytest.raises(InputError, match="no geometry"):
        polygon_regions(tmp_path / "t.csv", LON, LAT)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("h3:99", "between 0 and 15"),
        ("h3:", "a whole number must follow"),
        ("tile:-1", "a whole number must follow"),
        ("tile:40", "between 0 and 24"),
        ("nowhere.gpkg", "picture, h3:RESOLUTION"),
        ("pictures", "picture, h3:RESOLUTION"),
    ],
)
def test_unknown_divisions(how: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_regions(how, LON, LAT, pd.Series(list("abcd")))


def test_points_off_the_earth() -> None:
    for lon, lat in ((200.0, 0.0), (0.0, 95.0), (np.nan, 0.0)):
        with pytest.raises(InputError, match="point 1"):
            one_per_picture(np.array([0.0, lon]), np.array([0.0, lat]), pd.Series(["a", "b"]))


@pytest.mark.parametrize("ids", [["06037", "NA"], ["007", "7"]])
def test_ids_of_polygons_in_a_csv_stay_as_written_and_their_column_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: list[str]
) -> None:
    path = tmp_path / "ra.csv"
    shapes = ["POLYGON((0 0,1 0,1 1,0 1,0 0))", "POLYGON((2 0,3 0,3 1,2 1,2 0))"]
    rows = [f'{i},"{shape}"' for i, shape in zip(ids, shapes, strict=True)]
    path.write_text("\n".join(["region_id,geometry", *rows]))
    regions, _ = polygon_regions(path, np.array([0.5]), np.array([0.5]))
    assert list(regions["region_id"]) == ids
    assert "id region_id, 2 polygons" in capsys.readouterr().err


@pytest.mark.parametrize("ids", [["a", "a"], ["a", ""], ["1.4E+14", "2"]])
def test_doubled_empty_or_mangled_ids_of_polygons_are_refused_not_replaced(
    tmp_path: Path, ids: list[str]
) -> None:
    path = tmp_path / "ra.csv"
    shapes = ["POLYGON((0 0,1 0,1 1,0 1,0 0))", "POLYGON((2 0,3 0,3 1,2 1,2 0))"]
    rows = [f'{i},"{shape}"' for i, shape in zip(ids, shapes, strict=True)]
    path.write_text("\n".join(["region_id,geometry", *rows]))
    with pytest.raises(InputError, match="FILE#COLUMN"):
        polygon_regions(path, np.array([0.5]), np.array([0.5]))


def test_a_file_of_polygons_is_read_as_the_table_is(
    tmp_path: Path, districts: gpd.GeoDataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    metres = districts.to_crs(32650)
    text = "name;WKT\n" + "".join(f"caf\u00e9 {n};{shape.wkt}\n" for n, shape in enumerate(metres.geometry))
    (tmp_path / "d.csv").write_bytes(text.encode("cp1252"))
    how, nothing = str(tmp_path / "d.csv"), pd.Series([], dtype="str")
    with pytest.raises(InputError, match="--encoding cp1252"):
        make_regions(how, LON, LAT, nothing)
    told = {"written": Written(encoding="cp1252"), "crs": "EPSG:32650"}
    capsys.readouterr()
    assert list(make_regions(how, LON, LAT, nothing, **told)[0]["region_id"]) == [
        "caf\u00e9 0",
        "caf\u00e9 1",
        "caf\u00e9 2",
    ]
    (line,) = capsys.readouterr().err.splitlines()
    assert "id name, 3 polygons ('WKT' holds WKB or WKT without a CRS, read as EPSG:32650)" in line
    districts.to_file(tmp_path / "d.gpkg")
    assert len(make_regions(str(tmp_path / "d.gpkg"), LON, LAT, nothing, **told)[0]) == 3


def test_heights_of_shapes_are_not_kept() -> None:
    shape = shapely.Polygon([(0, 0, 1), (1, 0, np.nan), (1, 1, 3)])
    frame = gpd.GeoDataFrame({"region_id": ["a"]}, geometry=[shape], crs="EPSG:4326")
    tidy = check_regions(frame, reproject=False)
    assert not tidy.has_z.any()
    assert shapely.centroid(tidy.geometry.iloc[0]).x == pytest.approx(2 / 3), "not NaN"
