"""Chinese datums against published control points, and there and back again."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.base.errors import InputError
from urbanln.city.datum import from_wgs84, in_china, to_wgs84

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
def test_there_and_back_is_the_same_place_anywhere_in_china(datum: str) -> None:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(75, 135, 5000), rng.uniform(3, 53, 5000)
    back = to_wgs84(*from_wgs84(lon, lat, datum), datum)
    np.testing.assert_allclose(back, (lon, lat), atol=1e-7, rtol=0)
    shift_m = np.hypot(*(np.array(from_wgs84(lon, lat, datum)) - (lon, lat))) * 111_000
    assert 20 < shift_m.min() < shift_m.max() < 3000


def test_outside_china_and_without_coordinates_nothing_is_done() -> None:
    lon, lat = np.array([2.35, -74.0, np.nan, 116.4]), np.array([48.85, 40.7, np.nan, 39.9])
    east, north = to_wgs84(lon, lat, "bd09")
    np.testing.assert_array_equal((east[:3], north[:3]), (lon[:3], lat[:3]))
    assert east[3] < lon[3]
    assert list(in_china(lon, lat)) == [False, False, False, True]
    np.testing.assert_array_equal(to_wgs84(lon, lat, "wgs84"), (lon, lat))
    with pytest.raises(InputError, match="unknown datum"):
        to_wgs84(lon, lat, "mars")
