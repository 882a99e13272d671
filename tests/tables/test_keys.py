"""Whose a row is: which columns say it, what is refused, and which option the refusal names."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from urbanln.base.errors import InputError
from urbanln.tables.columns import features_of
from urbanln.tables.keys import Keys, keys_of

N = 5
LON, LAT = 116.3 + 0.01 * np.arange(N), 39.9 + 0.007 * np.arange(N)
IDS = [f"r{i}" for i in range(N)]
KNOWN = [[name] for name in IDS]


def _keys(frame: pd.DataFrame, key: str | None = None, known: list[list[str]] = KNOWN) -> Keys:
    return keys_of(frame, key, known, "t", "v=t.csv")


@pytest.mark.parametrize(
    ("lon", "lat"),
    [
        ("lon", "lat"),
        ("lng", "lat"),
        ("long", "lat"),
        ("Longitude", "LATITUDE"),
        ("INTPTLON", "INTPTLAT"),
        ("centroid_lon", "centroid_lat"),
        ("lon_center", "lat_center"),
        ("centre_lon", "centre_lat"),
        ("x", "y"),
        ("center_x", "center_y"),
    ],
)
def test_a_position_is_found_under_the_names_people_use(lon: str, lat: str) -> None:
    found = _keys(pd.DataFrame({lat: LAT, "A0": 1.0, lon: LON}))
    assert found.columns == (lon, lat)
    np.testing.assert_array_equal(found.lonlat, np.column_stack([LON, LAT]))


def test_positions_may_be_text_and_a_row_without_one_is_counted() -> None:
    frame = pd.DataFrame({"INTPTLON": [f"+{x:.7f}" for x in LON], "INTPTLAT": LAT})
    frame.loc[2, "INTPTLAT"] = np.nan
    found = _keys(frame)
    assert found.here.tolist() == [True, True, False, True, True]
    np.testing.assert_allclose(found.lonlat[found.here, 0], LON[found.here])


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"lat": LON}, "116.3"),
        ({"lon": LON + 200}, "316.3"),
        ({"lon": ["116,3"] * N}, "116,3"),
        ({"lat": np.nan}, "missing"),
    ],
)
def test_what_is_no_position_is_named(change: dict, value: str) -> None:
    with pytest.raises(InputError, match="position in the table") as caught:
        _keys(pd.DataFrame({"lon": LON, "lat": LAT}).assign(**change))
    assert value in str(caught.value)
    assert "EPSG:4326" in str(caught.value)


def test_two_positions_are_refused_unless_they_are_one() -> None:
    frame = pd.DataFrame({"lon": LON, "lat": LAT, "INTPTLON": LON + 0.1, "INTPTLAT": LAT})
    with pytest.raises(InputError, match="several positions") as caught:
        _keys(frame)
    assert "--key v=lon,lat or --key v=INTPTLON,INTPTLAT" in str(caught.value)
    assert _keys(frame, "INTPTLON,INTPTLAT").lonlat[0, 0] == pytest.approx(116.4)
    assert _keys(frame.assign(INTPTLON=LON)).columns == ("lon", "lat")


@pytest.mark.parametrize("x", [np.arange(N), 1e5 * LON, np.arange(N) * 1.0])
def test_x_and_y_that_are_no_degrees_are_no_position(x: np.ndarray) -> None:
    with pytest.raises(InputError, match="neither which region nor where"):
        _keys(pd.DataFrame({"x": x, "y": x, "A0": 1.0}))


def test_shapes_say_where_and_one_that_is_missing_is_counted() -> None:
    frame = gpd.GeoDataFrame({"A0": LON}, geometry=gpd.points_from_xy(LON, LAT), crs=4326).to_crs(3857)
    frame.loc[3, "geometry"] = None
    found = _keys(frame)
    assert found.here.tolist() == [True, True, True, False, True]
    np.testing.assert_allclose(found.lonlat[found.here, 0], LON[found.here])
    with pytest.raises(InputError) as caught:
        _keys(frame.set_crs(None, allow_override=True))
    assert "set_crs(4326)" in str(caught.value)
    with pytest.raises(InputError, match="neither which region nor where"):
        _keys(gpd.GeoDataFrame({"A0": LON}, geometry=[shapely.Point()] * N, crs=4326))
    with pytest.raises(InputError, match="another body"):
        _keys(frame.set_crs("IAU_2015:30100", allow_override=True))
    plain = pd.DataFrame({"A0": 1.0, "geometry": shapely.to_wkb(shapely.points(LON, LAT))})
    np.testing.assert_allclose(_keys(plain).lonlat[:, 1], LAT)
    # Earth Engine writes GeoJSON into its CSV, and empty shapes where it was told to leave them out.
    points = [
        f'{{"geodesic":false,"type":"Point","coordinates":[{x},{y}]}}' for x, y in zip(LON, LAT, strict=True)
    ]
    np.testing.assert_allclose(
        _keys(pd.DataFrame({"system:index": list("abcde"), ".geo": points})).lonlat[:, 0], LON
    )
    empty = ['{"type":"MultiPoint","coordinates":[]}'] * N
    assert _keys(pd.DataFrame({"system:index": IDS, ".geo": empty})).columns == ("system:index",)


@pytest.mark.parametrize(
    "name", ["place", "GEOID", "system:index", "h3", "id", "ZCTA5CE20", "Unnamed: 0", "REGION_ID"]
)
def test_the_one_column_called_like_an_id_that_names_regions_is_taken(name: str) -> None:
    found = _keys(pd.DataFrame({name: IDS, "name": list("abcde"), "OBJECTID": np.arange(N)}))
    assert found.columns == (name,)
    assert found.said == f"by {name}"
    assert list(found.ids) == IDS


def test_a_position_goes_before_ids_of_another_name_and_the_line_says_what_else_there_is() -> None:
    found = _keys(pd.DataFrame({"place": IDS, "lon": LON, "lat": LAT}))
    assert found.columns == ("lon", "lat")
    assert found.said == "by lon, lat (place holds ids of regions, too: --key v=place)"
    assert _keys(pd.DataFrame({"place": list("abcde"), "lon": LON, "lat": LAT})).said == "by lon, lat"


def test_the_shapes_may_be_named_as_the_key() -> None:
    frame = gpd.GeoDataFrame({"lon": LON + 1, "lat": LAT}, geometry=gpd.points_from_xy(LON, LAT), crs=4326)
    np.testing.assert_allclose(_keys(frame).lonlat[:, 0], LON + 1)
    np.testing.assert_allclose(_keys(frame, "geometry").lonlat[:, 0], LON)
    wkb = pd.DataFrame({"lon": LON + 1, "lat": LAT, "geom": shapely.to_wkb(shapely.points(LON, LAT))})
    np.testing.assert_allclose(_keys(wkb, "geom").lonlat[:, 0], LON)
    metres = wkb.assign(region_id=IDS, geom=shapely.to_wkb(shapely.points(1e5 * LON, LAT)))
    assert _keys(metres).columns == ("region_id",)  # whose system nobody asks for
    with pytest.raises(InputError, match="one column, or two"):
        _keys(frame, "lon,lat,geometry")


def test_several_ids_or_one_of_an_unknown_name_are_asked_about() -> None:
    with pytest.raises(InputError, match="does not say which column") as caught:
        _keys(pd.DataFrame({"id": IDS, "place": IDS}))
    assert "--key v=id or --key v=place" in str(caught.value)
    with pytest.raises(InputError, match="does not say which column") as caught:
        _keys(pd.DataFrame({"bezirk": IDS, "place": list("abcde")}))
    assert "bezirk (5 values are regions)" in str(caught.value)
    assert _keys(pd.DataFrame({"bezirk": IDS}), "bezirk").columns == ("bezirk",)
    with pytest.raises(InputError, match="column 'place' is missing"):
        _keys(pd.DataFrame({"bezirk": IDS}), "place")


def test_a_count_of_rows_names_no_region_by_itself() -> None:
    numbers = [str(i) for i in range(N)]
    for name in ("id", "Unnamed: 0", "index"):
        with pytest.raises(InputError, match="does not say which column"):
            _keys(pd.DataFrame({name: numbers, "A0": 1.0}), known=[[n] for n in numbers])
    assert list(_keys(pd.DataFrame({"id": range(N)}), "id").ids) == numbers


def test_ids_come_as_numbers_bytes_and_from_the_index() -> None:
    for values in ([7, 8], [7.0, 8.0], ["7", " 8 "], [b"7", b"8"], pd.Categorical(["7", "8"])):
        assert list(_keys(pd.DataFrame({"region_id": values})).ids) == ["7", "8"]
    frame = pd.DataFrame({"A0": [1.0, 2.0], "A1": [3.0, 4.0]}, index=pd.Index(["r1", "r2"], name="place"))
    assert list(features_of(frame, known=KNOWN, where="t").ids) == ["r1", "r2"]
    assert list(features_of(frame.rename_axis(None), known=KNOWN, where="t").ids) == ["r1", "r2"]


@pytest.mark.parametrize(
    "values",
    [["1.40E+14", "06037"], ["6.0371e+10", "x"], [1.4e17, 2.0], pd.array([1.4e17, None], dtype="Float64"),
     np.array([6037110100, 1], dtype=np.float32)],
)  # fmt: skip
def test_ids_that_lost_their_digits_are_refused(values: object) -> None:
    with pytest.raises(InputError) as caught:
        _keys(pd.DataFrame({"GEOID": values}), "GEOID")
    assert "row 0" in str(caught.value)
    assert "text" in str(caught.value)
