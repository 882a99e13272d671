"""The map as columns: what a linear head reads off it, and that only known places count."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.base.space import CITY_GAP_M, to_metres
from urbanln.probe.columns import map_columns
from urbanln.probe.floors import coordinate_knn
from urbanln.probe.metrics import r2
from urbanln.probe.ridge import ridge
from urbanln.probe.splits import Fold, block_split, random_split

NEXT_CITY = np.array([CITY_GAP_M, 0.0])


def places(n: int, seed: int = 0):
    lonlat = np.random.default_rng(seed).random((n, 2)) * 0.3 + [116, 40]
    return lonlat, to_metres(lonlat)


@pytest.mark.parametrize("n", [400, 1500])
def test_ridge_on_the_map_alone_reaches_the_neighbours_on_a_smooth_field(n: int) -> None:
    lonlat, metres = places(n)
    y = np.sin(metres[:, 0] / 5000) + np.cos(metres[:, 1] / 6000)
    y += 0.3 * np.random.default_rng(1).normal(size=n)
    for folds, least in (
        (random_split(lonlat), 0.85),
        (block_split(lonlat, edge_km=5, buffer_km=1), 0.75),
    ):
        held = np.empty(n)
        for fold in folds:
            held[fold.test] = ridge(map_columns(metres, fold), y, fold)
        assert r2(y, held) > max(least, r2(y, coordinate_knn(lonlat, y, folds)) - 0.03)


@pytest.mark.parametrize(("known", "columns"), [(6, 4), (30, 4), (320, 54), (640, 106), (3000, 106)])
def test_the_number_of_columns_follows_from_that_of_known_rows(known: int, columns: int) -> None:
    _, metres = places(known + 5)
    fold = Fold(np.arange(known - 2), np.arange(known - 2, known), np.arange(known, known + 5))
    made = map_columns(metres, fold)
    assert made.shape == (known + 5, columns)
    assert made.dtype == np.float32


def test_the_places_of_unknown_rows_have_no_say() -> None:
    _, metres = places(200)
    fold = Fold(np.arange(100), np.arange(100, 130), np.arange(150, 200))
    before = map_columns(metres, fold)
    np.testing.assert_array_equal(before, map_columns(metres, fold))
    moved = metres.copy()
    moved[130:] += 5000
    after = map_columns(moved, fold)
    np.testing.assert_array_equal(after[:130], before[:130])
    assert not np.allclose(after[150:], before[150:])


def test_cities_are_told_apart_and_one_without_known_rows_is_the_same_everywhere() -> None:
    _, metres = places(150)
    cities = np.vstack([metres, metres[::-1] + NEXT_CITY, metres + 2 * NEXT_CITY])
    rows = np.arange(300)
    fold = Fold(rows[::2], rows[1::4], np.arange(300, 450))
    made = map_columns(cities, fold)
    assert np.isfinite(made).all()
    assert np.ptp(made[300:], axis=0).max() < 1e-6
    y = np.concatenate([metres[:, 0] / 5000, 9 - metres[::-1, 0] / 5000, np.zeros(150)])
    inside = Fold(rows[::2], rows[1::4], rows[3::4])
    assert r2(y[inside.test], ridge(map_columns(cities, inside), y, inside)) > 0.95


def test_all_known_rows_at_one_place() -> None:
    metres = np.zeros((30, 2))
    metres[20:] = 900.0
    made = map_columns(metres, Fold(np.arange(10), np.arange(10, 20), np.arange(20, 30)))
    assert np.isfinite(made).all()
