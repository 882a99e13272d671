"""Shapes as foreign tables hold them: WKB and WKT, systems of other bodies, the antimeridian."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import h3
import numpy as np
import pandas as pd
import pytest
import shapely

from urbanln.base.errors import InputError
from urbanln.base.frames import read_frame
from urbanln.base.geometry import as_geometry, centres, crossing, earth_crs, lonlat_of, shapes_said, uncut
from urbanln.city.regions import h3_regions, polygon_regions

POINTS = shapely.points([116.3, 116.4, 116.5], [39.9, 40.0, 40.1])
FIJI = shapely.MultiPolygon([shapely.box(179, -17, 180, -16), shapely.box(-180, -17, -179, -16)])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("geometry", shapely.to_wkb(POINTS)),
        ("geom", shapely.to_wkb(POINTS, byte_order=0)),
        ("WKB_GEOMETRY", shapely.to_wkb(POINTS, hex=True)),
        ("wkt", shapely.to_wkt(POINTS)),
        ("geom", [f"SRID=4326;{text}" for text in shapely.to_wkt(POINTS)]),
        ("the_geom", shapely.to_wkb(shapely.set_srid(POINTS, 4326), include_srid=True)),
    ],
)
def test_shapes_of_a_plain_table_are_read_and_said(name: str, values: object, tmp_path: Path) -> None:
    pd.DataFrame({"id": list("abc"), name: list(values)}).to_parquet(tmp_path / "t.parquet")
    frame = read_frame(tmp_path / "t.parquet")
    assert isinstance(frame, gpd.GeoDataFrame)
    assert frame.crs.equals("EPSG:4326")
    np.testing.assert_array_equal(
        lonlat_of(frame.geometry), np.column_stack([shapely.get_x(POINTS), shapely.get_y(POINTS)])
    )
    said = shapes_said(frame)
    assert "WKB or WKT" in said
    assert "EPSG:4326" in said
    assert name in said
    assert shapes_said(pd.DataFrame()) == ""


def test_shapes_in_metres_need_their_system(tmp_path: Path) -> None:
    metres = gpd.GeoSeries(POINTS, crs=4326).to_crs(3857)
    frame = pd.DataFrame({"geometry": shapely.to_wkb(metres.to_numpy())})
    with pytest.raises(InputError, match="not degrees"):
        as_geometry(frame, "t")
    read = as_geometry(frame, "t", crs="EPSG:3857")
    assert isinstance(read, gpd.GeoDataFrame)
    np.testing.assert_allclose(lonlat_of(read.geometry)[:, 0], [116.3, 116.4, 116.5], atol=1e-9)
    named = pd.DataFrame(
        {"geometry": shapely.to_wkb(shapely.set_srid(metres.to_numpy(), 3857), include_srid=True)}
    )
    assert as_geometry(named, "t").crs.to_epsg() == 3857
    mixed = pd.DataFrame({"geom": ["SRID=4326;POINT (1 2)", "SRID=3857;POINT (1 2)"]})
    with pytest.raises(InputError, match="mixes"):
        as_geometry(mixed, "t")


@pytest.mark.parametrize("text", ["a point", "Pointe Noire", "0102", "", "polygonal"])
def test_text_that_only_looks_like_a_shape_stays_text(text: str) -> None:
    frame = pd.DataFrame({"geometry": [text, "x"]})
    assert as_geometry(frame, "t") is frame


def test_a_broken_shape_is_named_by_its_row() -> None:
    frame = pd.DataFrame({"geom": [shapely.to_wkb(POINTS[0]), None, b"\x01\x02\x03"]})
    with pytest.raises(InputError, match=r"row 2"):
        as_geometry(frame, "t")


@pytest.mark.parametrize(
    "crs", ["IAU_2015:30100", "+proj=longlat +R=3396190", 'LOCAL_CS["a building site"]', "nonsense"]
)
def test_only_systems_of_the_earth_are_taken(crs: str) -> None:
    with pytest.raises(InputError, match="coordinate reference system"):
        earth_crs(crs)


@pytest.mark.parametrize(
    "crs", [4326, "EPSG:3857", "OGC:CRS84", "ESRI:54030", "EPSG:32650", "+proj=longlat +R=6371000"]
)
def test_systems_of_the_earth_are_taken(crs: object) -> None:
    assert earth_crs(crs).ellipsoid is not None


def test_regions_on_the_moon_are_refused() -> None:
    moon = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="IAU_2015:30100")
    with pytest.raises(InputError, match="another body"):
        polygon_regions(moon, np.array([0.5]), np.array([0.5]))


def test_the_centre_of_a_shape_at_the_antimeridian_lies_in_it() -> None:
    rng = np.random.default_rng(0)
    lon = np.mod(180 + rng.uniform(-0.05, 0.05, 200) + 180, 360) - 180
    shapes, _ = h3_regions(lon, rng.uniform(-17, -16, 200), 7)
    both = crossing(shapes.geometry.to_numpy())
    assert both.sum() > 5
    found = centres(shapes.geometry[both])
    right = np.array([h3.cell_to_latlng(cell) for cell in shapes["region_id"][both]])
    assert np.abs((found[:, 0] - right[:, 1] + 180) % 360 - 180).max() < 1e-3
    assert np.abs(found[:, 1] - right[:, 0]).max() < 1e-3
    middle = centres(gpd.GeoSeries([FIJI], crs=4326))[0]
    assert abs(abs(middle[0]) - 180) < 1e-4
    assert abs(middle[1] + 16.5) < 0.01


def test_a_shape_that_jumps_over_the_antimeridian_is_refused_and_one_around_the_pole_is_not() -> None:
    jumping = shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)])
    band = shapely.box(-180, -90, 180, -60)
    assert uncut(np.array([FIJI, jumping, band, shapely.MultiPolygon([jumping])], dtype=object)).tolist() == [
        False, True, False, True,
    ]  # fmt: skip
    frame = gpd.GeoDataFrame({"id": ["a", "b"]}, geometry=[FIJI, jumping], crs=4326)
    with pytest.raises(InputError, match="antimeridian"):
        polygon_regions(frame, np.array([179.5]), np.array([0.5]))


def test_rows_without_a_shape_are_left_out_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    box = shapely.box(0, 0, 1, 1)
    frame = gpd.GeoDataFrame({"id": ["a", "b", "c"]}, geometry=[box, None, shapely.Polygon()], crs=4326)
    regions, ids = polygon_regions(frame, np.array([0.5]), np.array([0.5]))
    assert list(regions["region_id"]) == ["a"]
    assert list(ids) == ["a"]
    assert "2 of 3 rows without a shape left out (b, c)" in capsys.readouterr().err


@pytest.mark.parametrize("lat", [91.0, -90.5, 1e9])
def test_no_latitude_beyond_the_poles_becomes_a_cell(lat: float) -> None:
    with pytest.raises(InputError, match="90 degrees"):
        h3_regions(np.array([10.0]), np.array([lat]), 7)
