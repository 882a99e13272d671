"""Splits: disjoint, complete, buffered, deterministic; bad input gets one clear error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.probe import geodesic_km

from urbanln.errors import InputError
from urbanln.probe.space import square_blocks, to_metres
from urbanln.probe.splits import block_split, describe, random_split


def points(n: int, seed: int = 0, span: float = 0.3, at: tuple[float, float] = (116.0, 40.0)) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 2)) * span + at


def assert_sound(folds, n: int) -> None:
    """Every row is held out once, no row stands on two sides, all parts have rows."""
    assert np.array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(n))
    for fold in folds:
        together = np.concatenate([fold.train, fold.val, fold.test])
        assert len(np.unique(together)) == len(together)
        assert min(len(fold.train), len(fold.val), len(fold.test)) > 0


@settings(max_examples=25, deadline=None)
@given(n=st.integers(5, 120), folds=st.integers(2, 5), seed=st.integers(0, 99))
def test_random_split_is_sound(n: int, folds: int, seed: int) -> None:
    if n - -(-n // folds) < 4:
        return
    made = random_split(points(n), folds=folds, seed=seed)
    assert_sound(made, n)
    assert max(len(f.test) for f in made) - min(len(f.test) for f in made) <= 1


def test_random_split_has_the_proportions_of_the_literature() -> None:
    for fold in random_split(points(500)):
        assert (len(fold.train), len(fold.val), len(fold.test)) == (320, 80, 100)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(60, 150),
    seed=st.integers(0, 99),
    edge=st.sampled_from([2.0, 4.0, 6.0]),
    buffer=st.sampled_from([0.0, 0.5, 1.5]),
)
def test_block_split_is_sound_and_buffered(n: int, seed: int, edge: float, buffer: float) -> None:
    lonlat = points(n, seed)
    lonlat[: n // 4] = lonlat[n // 4 : 2 * (n // 4)]  # twins in place
    made = block_split(lonlat, edge_km=edge, buffer_km=buffer, folds=4, seed=seed)
    assert_sound(made, n)
    for fold in made:
        for part in (fold.train, fold.val):
            assert not set(map(tuple, lonlat[part])) & set(map(tuple, lonlat[fold.test]))
    assert describe(made, lonlat)["nearest_km_min"] > buffer


def test_buffer_holds_on_the_ellipsoid_and_takes_no_more_than_it_says() -> None:
    lonlat = points(150)
    wide, none = (block_split(lonlat, edge_km=6, buffer_km=b, seed=3) for b in (2, 0))
    for fold, plain in zip(wide, none, strict=True):
        assert np.array_equal(fold.test, plain.test)
        for row in plain.known:
            nearest = min(geodesic_km(lonlat[row], lonlat[t]) for t in fold.test)
            if abs(nearest - 2) > 0.002:  # beyond the error of the projection
                assert (row in fold.known) == (nearest > 2)


def test_a_buffer_of_one_tile_clears_the_tiles_next_door() -> None:
    steps = np.degrees(1000.000001 / 6378137.0) * np.arange(12)  # a grid of 1 km tiles at the equator
    lonlat = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    folds = block_split(lonlat, edge_km=3, buffer_km=1.0)
    assert describe(folds, lonlat)["nearest_km_min"] > 1.2
    assert all(len(f.known) + len(f.test) < len(lonlat) for f in folds)


def test_validation_is_whole_blocks() -> None:
    lonlat = points(400)
    metres = to_metres(lonlat)
    shift = np.random.default_rng([7, 2]).random(2)
    blocks = square_blocks(metres, 5.0, (shift[0], shift[1]))
    for fold in block_split(lonlat, edge_km=5, buffer_km=0, seed=7):
        assert not set(blocks[fold.val]) & set(blocks[fold.train])
        assert not set(blocks[fold.test]) & set(blocks[fold.known])
        assert 0.05 < len(fold.val) / len(fold.known) < 0.35


@pytest.mark.parametrize("name", ["random", "block"])
def test_a_group_is_never_on_both_sides_and_seeds_decide(name: str) -> None:
    lonlat = points(200)
    groups = np.arange(200) % 70

    def split(seed: int):
        if name == "random":
            return random_split(lonlat, seed=seed, groups=groups)
        return block_split(lonlat, edge_km=4, buffer_km=0.0, seed=seed, groups=groups)

    first, again, other = split(0), split(0), split(1)
    assert_sound(first, 200)
    for fold in first:
        assert not set(groups[fold.test]) & set(groups[fold.known])
    if name == "random":
        assert all(not set(groups[f.val]) & set(groups[f.train]) for f in first)
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.test, b.test)
        assert np.array_equal(a.val, b.val)
    assert not all(np.array_equal(a.test, b.test) for a, b in zip(first, other, strict=True))


def test_projection_across_the_antimeridian_and_near_a_pole() -> None:
    for lonlat in ([[179.95, -17.0], [-179.95, -17.1]], [[25.0, 88.0], [80.0, 88.1]]):
        metres = to_metres(lonlat)
        assert np.hypot(*(metres[0] - metres[1])) / 1000 == pytest.approx(geodesic_km(*lonlat), rel=1e-3)


def test_blocks_have_the_edge_they_say() -> None:
    grid = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), -1).reshape(-1, 2) * 1000
    assert np.array_equal(np.bincount(square_blocks(grid, 5.0)), [25, 25, 25, 25])
    assert square_blocks(np.zeros((3, 2)), 5.0).tolist() == [0, 0, 0]


def test_leakage_summary_of_a_random_split_shows_the_neighbour() -> None:
    lonlat = points(300)
    near, far = (
        describe(random_split(lonlat), lonlat),
        describe(block_split(lonlat, edge_km=6, buffer_km=2), lonlat),
    )
    assert near["nearest_km_median"] < 1.5 < 2 < far["nearest_km_min"]
    assert far["folds"] == 5
    assert sum(far["test"]) == 300


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"lonlat": [[116.0, np.nan]] * 50}, "row 0"),
        ({"lonlat": points(50)[:, ::-1] + [0, 0]}, "longitude first"),
        ({"lonlat": points(50)[:, :1]}, "two columns"),
        ({"lonlat": points(3)}, "3 labelled regions cannot be split into 5 folds"),
        ({"lonlat": points(60), "edge_km": 500}, "smaller block edge than 500 km"),
        ({"lonlat": points(60), "buffer_km": 40}, "narrower buffer than 40 km"),
        ({"lonlat": points(60), "buffer_km": -1}, "buffer"),
        ({"lonlat": points(60), "edge_km": 0}, "edge of a block"),
        ({"lonlat": points(60), "folds": 1}, "two folds"),
        ({"lonlat": points(60), "val_share": 0}, "validation"),
        ({"lonlat": points(60), "groups": [1, 2]}, "one value per row"),
        ({"lonlat": points(60), "groups": ["same"] * 60}, "only 0 rows are left"),
    ],
)
def test_bad_input_is_one_clear_error(bad: dict, message: str) -> None:
    options = {"edge_km": 5.0, "buffer_km": 1.0, **bad}
    with pytest.raises(InputError) as error:
        block_split(options.pop("lonlat"), **options)
    assert message in str(error.value)


def test_a_buffer_that_eats_the_training_set_names_the_fold_and_what_is_left() -> None:
    with pytest.raises(InputError, match="only 0 rows are left to train on") as error:
        block_split(points(60), edge_km=5, buffer_km=40)
    assert "fold 0" in str(error.value)
