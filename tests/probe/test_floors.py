"""Floors against slow twins, on fields that are known, and proof that they look only at what they may."""

from __future__ import annotations

import numpy as np
import pytest
from tests.oracles import probe as oracle

from urbanln.base.errors import InputError
from urbanln.base.space import CITY_GAP_M, to_metres
from urbanln.probe import gp
from urbanln.probe.floors import (
    FLOORS,
    coordinate_boosting,
    coordinate_gp,
    coordinate_knn,
    floor_note,
    mean_floor,
    nearest_neighbours,
)
from urbanln.probe.metrics import r2
from urbanln.probe.splits import Fold, block_split, random_split

NEXT_CITY = np.array([CITY_GAP_M, 0.0])


def make(n: int = 120, seed: int = 0):
    rng = np.random.default_rng(seed)
    lonlat = rng.random((n, 2)) * 0.3 + [116, 40]
    return lonlat, rng.normal(size=n)


def test_coordinate_knn_equals_the_slow_one() -> None:
    lonlat, y = make(80)
    lonlat[:10], y[:10] = lonlat[10:20], y[10:20]  # twins of one label: no ties to break
    for k in (1, 5, 1000):
        folds = random_split(lonlat, seed=1)
        np.testing.assert_allclose(
            coordinate_knn(lonlat, y, folds, k=k), oracle.knn(lonlat, y, folds, k), rtol=2e-4, atol=1e-3
        )


@pytest.mark.parametrize("name", list(FLOORS))
def test_floors_look_only_at_what_they_may_and_leave_the_rest_open(name: str) -> None:
    lonlat, y = make(60)
    metres = to_metres(lonlat)
    fold = Fold(train=np.arange(30), val=np.arange(30, 38), test=np.arange(45, 60))
    changed = y.copy()
    changed[38:] += 1e6
    held = FLOORS[name](metres, y, [fold], 0)
    assert np.isnan(held[:45]).all()
    assert np.isfinite(held[45:]).all()
    np.testing.assert_array_equal(held, FLOORS[name](metres, changed, [fold], 0))
    for rows in (fold.train, fold.val):  # and both parts of what is known count
        moved = y.copy()
        moved[rows] += 3
        assert not np.allclose(held[45:], FLOORS[name](metres, moved, [fold], 0)[45:])


def test_the_mean_floor_is_the_mean_of_what_is_known() -> None:
    _, y = make(40)
    fold = Fold(train=np.arange(20), val=np.arange(20, 25), test=np.arange(30, 40))
    np.testing.assert_allclose(mean_floor(y, [fold])[30:], y[:25].mean())


def test_a_smooth_field_is_read_off_the_map_at_random_but_not_across_blocks() -> None:
    lonlat = np.random.default_rng(0).random((1200, 2)) * 0.4 + [116, 40]
    y = np.sin(lonlat[:, 0] * 60) + np.cos(lonlat[:, 1] * 70)
    near = r2(y, coordinate_knn(lonlat, y, random_split(lonlat)))
    far = r2(y, coordinate_knn(lonlat, y, block_split(lonlat, edge_km=5, buffer_km=2)))
    assert near > 0.9
    assert far < 0.3


def test_on_drawn_fields_the_process_that_drew_them_is_the_best_of_the_floors() -> None:
    """Gaussian fields of 4 km range with noise: kriging is the best there is, and the mean the worst."""
    for split in (random_split, lambda at: block_split(at, edge_km=5, buffer_km=0.5)):
        scores = []
        for seed in range(2):
            lonlat, noise = make(240, seed)
            metres = to_metres(lonlat)
            distance = np.linalg.norm(metres[:, None] - metres[None], axis=2)
            field = np.linalg.cholesky(np.exp(-distance / 4000) + 1e-9 * np.eye(240)) @ noise
            y = field + 0.3 * np.random.default_rng([seed, 1]).normal(size=240)
            scores.append([r2(y, floor(metres, y, split(lonlat), 0)) for floor in FLOORS.values()])
        score = dict(zip(FLOORS, np.mean(scores, axis=0), strict=True))
        assert score["mean"] < 0.02
        assert score["coordinates-boosting"] > 0.1
        assert max(score, key=score.__getitem__) == "coordinates-gp"


@pytest.mark.parametrize("name", list(FLOORS))
def test_on_noise_no_floor_beats_the_mean(name: str) -> None:
    lonlat, y = make(400, 5)
    assert r2(y, FLOORS[name](to_metres(lonlat), y, random_split(lonlat), 0)) < 0.02


def test_a_city_without_labels_gets_the_mean_and_does_not_disturb_the_other() -> None:
    lonlat, _ = make(150, 2)
    metres = to_metres(lonlat)
    y = np.sin(metres[:, 0] / 4000)
    both = np.vstack([metres, metres + NEXT_CITY])
    fold = Fold(np.arange(100), np.arange(100, 120), np.arange(120, 300))
    held = coordinate_gp(both, np.concatenate([y, y]), [fold])
    alone = coordinate_gp(metres, y, [Fold(fold.train, fold.val, np.arange(120, 150))])
    np.testing.assert_allclose(held[120:150], alone[120:150])
    assert np.ptp(held[150:]) < 1e-9
    assert abs(held[150] - y[:120].mean()) < 1
    second = Fold(np.arange(0, 300, 2), np.arange(1, 300, 10), np.arange(3, 300, 10))
    assert r2(np.tile(y, 2)[second.test], coordinate_gp(both, np.tile(y, 2), [second])[second.test]) > 0.9


def test_the_process_takes_a_part_of_many_rows_and_says_so() -> None:
    assert floor_note("coordinates-gp", gp.FIT_ROWS) is None
    assert floor_note("coordinates-nearest", 10**6) is None
    fitted, local = (floor_note("coordinates-gp", n) for n in (gp.FIT_ROWS + 1, gp.EXACT_ROWS + 1))
    assert "320" in fitted
    assert "nearest" not in fitted
    assert "48 nearest" in local


def test_twins_of_place_and_a_line_of_places_are_no_trouble() -> None:
    metres = np.zeros((40, 2))
    metres[:20, 0] = np.arange(20) * 500.0
    y = np.sin(np.arange(40) / 3)
    fold = Fold(np.arange(0, 40, 2), np.arange(1, 40, 4), np.arange(3, 40, 4))
    for name in FLOORS:
        assert np.isfinite(FLOORS[name](metres, y, [fold], 0)[fold.test]).all()
        np.testing.assert_allclose(FLOORS[name](metres, np.full(40, 2.5), [fold], 0)[fold.test], 2.5)
    assert np.isfinite(coordinate_gp(np.zeros((40, 2)), y, [fold])[fold.test]).all()


def test_bad_calls() -> None:
    lonlat, y = make(40)
    fold = Fold(np.arange(20), np.arange(20, 30), np.arange(30, 40))
    for bad in (np.full(40, np.nan), y[:, None, None]):
        with pytest.raises(InputError, match="finite number per row"):
            mean_floor(bad, [fold])
    with pytest.raises(InputError, match="one or more"):
        coordinate_knn(lonlat, y, [fold], k=0)
    for floor in (nearest_neighbours, coordinate_boosting, coordinate_gp):
        with pytest.raises(InputError, match="differ in number"):
            floor(lonlat[:-1], y, [fold])
