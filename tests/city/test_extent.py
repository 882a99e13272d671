"""Where rows lie, told in words: the extent, rows at (0, 0), rows far from the others."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.city.extent import Extent, far_rows, km_between, null_island


def _grid(west: float, south: float, step: float = 0.01, side: int = 10) -> tuple[np.ndarray, np.ndarray]:
    lon, lat = np.meshgrid(west + step * np.arange(side), south + step * np.arange(side))
    return (lon.ravel() + 180) % 360 - 180, lat.ravel()


def test_great_circles() -> None:
    # Berlin to Tokyo, and a degree of the equator.
    km = km_between(
        np.array([13.4, 0.0]), np.array([52.52, 0.0]), np.array([139.69, 1.0]), np.array([35.69, 0.0])
    )
    assert km == pytest.approx([8918, 111.195], rel=2e-3)


@pytest.mark.parametrize(
    ("lon", "lat", "text"),
    [
        ([116.2, 116.5], [39.8, 40.0], "lon 116.20 to 116.50, lat 39.80 to 40.00, 26 × 22 km"),
        ([116.3, 116.339], [39.9, 39.949], "lon 116.3000 to 116.3390, lat 39.9000 to 39.9490, 3.3 × 5.4 km"),
        ([179.9, -179.9], [-16.0, -16.1], "lon 179.90 to -179.90, lat -16.10 to -16.00, 21 × 11 km"),
        ([7.0], [50.0], "lon 7.0000 to 7.0000, lat 50.0000 to 50.0000, 0 × 0 km"),
    ],
)
def test_the_extent_in_words(lon: list[float], lat: list[float], text: str) -> None:
    assert str(Extent.around(np.array(lon), np.array(lat))) == text


@pytest.mark.parametrize(("west", "south"), [(116.3, 39.9), (179.95, -17.0), (-0.1, 51.5)])
def test_null_island_is_no_part_of_a_city_elsewhere(west: float, south: float) -> None:
    lon, lat = _grid(west, south)
    lon[3:6], lat[3:6] = 0, 0
    lon[7], lat[7] = np.nan, np.nan
    lon[8] = 0  # on the meridian of Greenwich, not at (0, 0)
    assert np.flatnonzero(null_island(lon, lat)).tolist() == [3, 4, 5]


def test_null_island_may_be_the_place_itself() -> None:
    lon, lat = _grid(0.0, 0.0)
    assert not null_island(lon, lat).any()
    assert not null_island(np.zeros(3), np.zeros(3)).any()
    assert not null_island(*_grid(3.37, 6.5)).any()  # Lagos
    assert not null_island(np.full(2, np.nan), np.full(2, np.nan)).any()


@pytest.mark.parametrize("west", [116.3, 179.95])
def test_rows_far_from_the_others(west: float) -> None:
    lon, lat = _grid(west, 39.9)
    assert not far_rows(lon, lat)[0].any()
    lon[5], lat[6] = -lon[5] + 40, -lat[6]
    far, away, usual = far_rows(lon, lat)
    assert np.flatnonzero(far).tolist() == [5, 6]
    assert away[6] == pytest.approx(2 * 39.9 * 111.195, rel=0.01)
    assert usual < 7
    country = _grid(-120, 30, step=5, side=8)
    assert not far_rows(*country)[0].any()
    assert not far_rows(np.array([0.0, 90]), np.array([0.0, 0]))[0].any()
