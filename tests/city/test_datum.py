"""Chinese datums against published control points, and there and back again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.city.coordinates import Positions, point_coordinates
from urbanln.city.datum import from_wgs84, is_shifted, to_wgs84

# (lon, lat) in WGS 84 and in the datum, as the tests and documents of public converters print them:
# eviltransform (Shanghai, Shenzhen, Beijing), coordtransform, gcoord. eviltransform's BD-09 points are not
# used: they were made with π where all others and Baidu itself have 3000 π / 180.
CONTROL = [
    ("gcj02", (121.5272106, 31.1774276), (121.531541859215, 31.17530398364597)),
    ("gcj02", (113.912316, 22.543847), (113.9171764808363, 22.540796131694766)),
    ("gcj02", (116.377817, 39.911954), (116.38404722455657, 39.91334545536069)),
    ("gcj02", (116.404, 39.915), (116.41024449916938, 39.91640428150164)),
    ("bd09", (116.403988, 39.914266), (116.41661560068297, 39.92196580126834)),
]


@pytest.mark.parametrize(("datum", "wgs84", "shifted"), CONTROL)
def test_published_points_are_met_both_ways(datum: str, wgs84: tuple, shifted: tuple) -> None:
    there = np.squeeze(from_wgs84([wgs84[0]], [wgs84[1]], datum))
    np.testing.assert_allclose(there, shifted, atol=1e-9, rtol=0)
    back = np.squeeze(to_wgs84([shifted[0]], [shifted[1]], datum))
    np.testing.assert_allclose(back, wgs84, atol=1e-9, rtol=0)


def test_baidu_against_amap_at_the_point_coordtransform_prints() -> None:
    # Its way back is a formula, right to some centimetres; ours is exact.
    amap = from_wgs84(*to_wgs84([116.404], [39.915], "bd09"), "gcj02")
    np.testing.assert_allclose(np.squeeze(amap), (116.39762729119315, 39.90865673957631), atol=1e-6, rtol=0)
    baidu = from_wgs84(*to_wgs84([116.404], [39.915], "gcj02"), "bd09")
    np.testing.assert_allclose(np.squeeze(baidu), (116.41036949371029, 39.92133699351021), atol=1e-9, rtol=0)


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_there_and_back_is_the_same_place_wherever_maps_are_shifted(datum: str) -> None:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(73, 136, 5000), rng.uniform(3, 54, 5000)
    here = is_shifted(lon, lat, datum)
    assert 0.2 < here.mean() < 0.5
    lon, lat = lon[here], lat[here]
    back = to_wgs84(*from_wgs84(lon, lat, datum), datum)
    np.testing.assert_allclose(back, (lon, lat), atol=1e-7, rtol=0)
    shift_m = np.hypot(*(np.array(from_wgs84(lon, lat, datum)) - (lon, lat))) * 111_000
    assert 20 < shift_m.min() < shift_m.max() < 3000


# Name, longitude, latitude, shifted in GCJ-02, shifted in BD-09.
PLACES = [
    ("Beijing", 116.40, 39.90, True, True),
    ("Urumqi", 87.62, 43.82, True, True),
    ("Lhasa", 91.13, 29.65, True, True),
    ("Sanya", 109.51, 18.25, True, True),
    ("a bridge in the mouth of the Pearl River", 113.75, 22.30, True, True),
    ("Hong Kong", 114.17, 22.30, True, True),
    ("Macau", 113.55, 22.20, True, True),
    ("Dandong", 124.38, 40.12, True, True),
    ("Heihe", 127.53, 50.24, True, True),
    ("Taipei", 121.56, 25.03, False, True),
    ("Kaohsiung", 120.30, 22.63, False, True),
    ("Seoul", 126.98, 37.57, False, False),
    ("Pyongyang", 125.75, 39.02, False, False),
    ("Hanoi", 105.85, 21.03, False, False),
    ("Ulaanbaatar", 106.92, 47.92, False, False),
    ("Vladivostok", 131.89, 43.12, False, False),
    ("Khabarovsk", 135.07, 48.48, False, False),
    ("Blagoveshchensk", 127.53, 50.29, False, False),
    ("Kathmandu", 85.32, 27.72, False, False),
    ("Dhaka", 90.41, 23.81, False, False),
    ("Bangkok", 100.50, 13.76, False, False),
    ("Manila", 120.98, 14.60, False, False),
    ("Almaty", 76.95, 43.24, False, False),
    ("Fukuoka", 130.40, 33.59, False, False),
    ("Paris", 2.35, 48.85, False, False),
]


@pytest.mark.parametrize(("name", "lon", "lat", "gcj02", "bd09"), PLACES)
def test_positions_move_where_the_map_services_shift_and_nowhere_else(
    name: str, lon: float, lat: float, gcj02: bool, bd09: bool
) -> None:
    for datum, shifted in (("gcj02", gcj02), ("bd09", bd09)):
        east, north = to_wgs84([lon], [lat], datum)
        assert ((east[0], north[0]) != (lon, lat)) == shifted, f"{name} in {datum}"


def test_everywhere_shifts_the_rectangle_of_the_formulas_as_other_libraries_do() -> None:
    east, north = to_wgs84(
        [121.56, 126.98, 2.35, np.nan], [25.03, 37.57, 48.85, np.nan], "gcj02", everywhere=True
    )
    assert (east[:2] != [121.56, 126.98]).all()
    assert (east[2], north[2]) == (2.35, 48.85)
    assert np.isnan(east[3])


def test_without_coordinates_or_datum_nothing_is_done() -> None:
    lon, lat = np.array([2.35, -74.0, np.nan, 116.4]), np.array([48.85, 40.7, np.nan, 39.9])
    east, north = to_wgs84(lon, lat, "bd09")
    np.testing.assert_array_equal((east[:3], north[:3]), (lon[:3], lat[:3]))
    assert east[3] < lon[3]
    np.testing.assert_array_equal(to_wgs84(lon, lat, "wgs84"), (lon, lat))
    for convert in (to_wgs84, from_wgs84, is_shifted):
        with pytest.raises(InputError, match="unknown datum"):
            convert(lon, lat, "mars")


BORDER = pd.DataFrame({"lon": [127.53, 127.53, np.nan], "lat": [50.24, 50.29, np.nan]})


def test_a_table_across_the_outline_is_refused_until_told() -> None:
    with pytest.raises(InputError, match="1 of 2 points lie where no map in GCJ-02 is shifted") as refused:
        point_coordinates(BORDER, Positions(datum="gcj02"), "t.csv")
    assert "--outside-china keep" in str(refused.value)
    assert "row 1" in str(refused.value)
    kept = point_coordinates(BORDER, Positions(datum="gcj02", outside_china="keep"), "t.csv")
    assert kept.lat[0] != 50.24
    assert kept.lat[1] == 50.29
    assert "1 of 2 rows moved" in kept.note
    shifted = point_coordinates(BORDER, Positions(datum="gcj02", outside_china="shift"), "t.csv")
    assert (shifted.lat[:2] != BORDER["lat"][:2]).all()
    assert "2 of 2 rows moved by" in shifted.note
    with pytest.raises(InputError, match="one of refuse, keep, shift"):
        point_coordinates(BORDER, Positions(datum="gcj02", outside_china="maybe"), "t.csv")


@pytest.mark.parametrize(
    ("datum", "lon", "lat"), [("gcj02", 121.56, 25.03), ("bd09", 126.98, 37.57), ("gcj02", 2.35, 48.85)]
)
def test_a_table_that_no_map_of_china_shifts_is_refused(datum: str, lon: float, lat: float) -> None:
    with pytest.raises(InputError, match="no point is where they are shifted"):
        point_coordinates(pd.DataFrame({"lon": [lon], "lat": [lat]}), Positions(datum=datum), "t.csv")


def test_how_far_rows_moved_is_said() -> None:
    frame = pd.DataFrame({"lon": [116.404], "lat": [39.915]})
    note = point_coordinates(frame, Positions(datum="gcj02"), "t.csv").note
    # 0.00625 degrees of longitude and 0.0014 of latitude, as the converters print it, are 533 m and 156 m.
    assert note == "WGS 84, converted from GCJ-02: 1 of 1 rows moved by 556 to 556 m"
