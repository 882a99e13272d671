"""Splits: disjoint, complete, buffered, deterministic; bad input gets one clear error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.probe import geodesic_km

from urbanln.base.errors import InputError
from urbanln.base.space import square_blocks, to_metres
from urbanln.probe.leakage import leakage_report
from urbanln.probe.splits import Fold, block_split, city_split, district_split, few_shot, random_split
from urbanln.probe.units import h3_resolution


def points(n: int, seed: int = 0, span: float = 0.3, at: tuple[float, float] = (116.0, 40.0)) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 2)) * span + at


def nearest_km(folds, lonlat) -> float:
    return leakage_report([folds], metres=to_metres(lonlat))["nearest_km_min"]


def assert_inner(fold: Fold) -> None:
    """Three to five inner folds over the known rows, each leaving two rows or more to fit on."""
    assert fold.inner is not None
    assert len(fold.inner) == len(fold.known)
    sizes = np.bincount(fold.inner)
    assert 3 <= len(sizes) <= 5
    assert sizes.min() > 0
    assert len(fold.inner) - sizes.max() >= 2


def assert_sound(folds, n: int) -> None:
    """Every row is held out once, no row stands on two sides, all parts have rows."""
    assert np.array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(n))
    for fold in folds:
        together = np.concatenate([fold.train, fold.val, fold.test])
        assert len(np.unique(together)) == len(together)
        assert min(len(fold.train), len(fold.val), len(fold.test)) > 0
        assert_inner(fold)


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
    assert nearest_km(made, lonlat) > buffer


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
    assert nearest_km(folds, lonlat) > 1.2
    assert all(len(f.known) + len(f.test) < len(lonlat) for f in folds)


def test_validation_is_whole_blocks() -> None:
    lonlat = points(400)
    metres = to_metres(lonlat)
    shift = np.random.default_rng([7, 2]).random(2)
    blocks = square_blocks(metres, 5.0, (shift[0], shift[1]))
    for fold in block_split(lonlat, edge_km=5, buffer_km=0, seed=7):
        assert not set(blocks[fold.val]) & set(blocks[fold.train])
        for block in set(blocks[fold.known]):
            assert len(set(fold.inner[blocks[fold.known] == block])) == 1
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


def test_one_block_alone_is_said_so() -> None:
    with pytest.raises(InputError, match="one block or group alone cannot be dealt to 5 folds"):
        block_split(np.full((60, 2), [116.0, 40.0]), edge_km=5, buffer_km=1)


def test_few_blocks_are_cut_for_inner_folds_and_validation() -> None:
    lonlat = points(300, span=0.1)
    made = block_split(lonlat, edge_km=6, buffer_km=0, folds=2, seed=1)  # two or three blocks are known
    assert_sound(made, 300)
    for fold in made:
        # Spatial pieces: validation keeps further from training than a random draw would.
        metres = to_metres(lonlat)[fold.known]
        middles = np.stack([metres[fold.inner == i].mean(axis=0) for i in range(fold.inner.max() + 1)])
        assert np.ptp(middles, axis=0).max() > 300


def two_cities(n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Two cities that lie within a block of each other, in shuffled order."""
    cities = np.array(["Aa", "Bb"] * n)
    lonlat = points(2 * n) + np.where(cities == "Bb", 0.31, 0.0)[:, None] * [1, 0]
    return lonlat, cities


@pytest.mark.parametrize("blocks", ["square", "h3"])
def test_blocks_and_buffers_never_span_cities(blocks: str) -> None:
    lonlat, cities = two_cities()
    made = block_split(lonlat, edge_km=8, buffer_km=3, cities=cities, blocks=blocks, folds=4, seed=2)
    assert_sound(made, 300)
    alone = {name: to_metres(lonlat[cities == name]) for name in ("Aa", "Bb")}
    for fold in made:
        side = np.full(300, "buffer")
        side[fold.test], side[fold.known] = "test", "known"
        for name, metres in alone.items():
            own = side[cities == name]
            far = np.linalg.norm(metres[:, None] - metres[own == "test"][None], axis=2)
            far = far.min(axis=1, initial=np.inf) > 3003
            assert np.array_equal(own == "known", far & (own != "test"))


def test_h3_blocks_are_cells_of_the_resolution_that_is_named() -> None:
    import h3

    assert h3_resolution(5) == 6
    lonlat = points(400)
    cells = np.array([h3.latlng_to_cell(lat, lon, 6) for lon, lat in lonlat])
    first, other = (block_split(lonlat, edge_km=5, buffer_km=1, blocks="h3", seed=s) for s in (0, 1))
    assert_sound(first, 400)
    assert nearest_km(first, lonlat) > 1
    for fold in [*first, *other]:
        outside = np.setdiff1d(np.arange(400), fold.test)
        assert not set(cells[fold.test]) & set(cells[outside])
    assert not all(np.array_equal(a.test, b.test) for a, b in zip(first, other, strict=True))
    with pytest.raises(InputError, match="no such shape"):
        block_split(lonlat, edge_km=5, buffer_km=1, blocks="round")


def test_each_district_is_held_out_once_and_rows_without_one_never() -> None:
    lonlat = points(300)
    east = lonlat[:, 0] - 116
    districts = np.array(list("abcdefghij"), dtype=object)[(east // 0.03).astype(int)]
    districts[::10] = [None, np.nan, ""] * 10
    named = np.array([isinstance(d, str) and d != "" for d in districts])
    made = district_split(lonlat, districts, buffer_km=1.0)
    assert len(made) == 10
    for fold in made:
        assert len(set(districts[fold.test])) == 1
        assert not set(districts[fold.test]) & set(districts[fold.known])
        assert_inner(fold)
    held = np.concatenate([f.test for f in made])
    assert np.array_equal(np.sort(held), np.flatnonzero(named))
    assert nearest_km(made, lonlat) > 1
    learned = set(np.concatenate([f.known for f in made]))
    assert set(np.flatnonzero(~named)) <= learned  # each is outside the buffer of some fold
    again, other = (district_split(lonlat, districts, buffer_km=1.0, seed=s) for s in (0, 1))
    assert all(np.array_equal(a.val, b.val) for a, b in zip(made, again, strict=True))
    assert all(np.array_equal(a.test, b.test) for a, b in zip(made, other, strict=True))
    assert not all(np.array_equal(a.val, b.val) for a, b in zip(made, other, strict=True))


def test_many_districts_are_dealt_to_folds_and_names_count_per_city() -> None:
    lonlat, cities = two_cities()
    districts = np.array([f"d{int(x * 40) % 6}" for x in lonlat[:, 0]])
    made = district_split(lonlat, districts, cities=cities, folds=5, seed=3)
    assert_sound(made, 300)
    assert len(made) == 5
    both = np.array([f"{c}/{d}" for c, d in zip(cities, districts, strict=True)])
    for fold in made:
        assert not set(both[fold.test]) & set(both[fold.known])
    assert len(district_split(lonlat, districts, cities=cities)) == len(set(both)) == 12
    assert len(district_split(lonlat, districts, folds=9)) == 6


def test_each_city_is_held_out_once() -> None:
    lonlat, cities = two_cities()
    made = city_split(lonlat, cities)
    assert_sound(made, 300)
    for fold, name in zip(made, ["Aa", "Bb"], strict=True):
        assert set(cities[fold.test]) == {name}
        assert 0.1 < len(fold.val) / len(fold.known) < 0.3  # the one city left is cut into squares
    pictures = np.arange(300) // 2  # one picture in both cities: nothing is left but what stands alone
    pictures[:40] = 1000 + np.arange(40)
    shared = city_split(lonlat, cities, groups=pictures)
    assert all(set(fold.known) <= set(range(40)) for fold in shared)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda p: city_split(p, ["one"] * 60), "there is one city only"),
        (lambda p: city_split(p, ["one"] * 59 + [None]), "has no city"),
        (lambda p: city_split(p, ["one"]), "one value per row"),
        (lambda p: district_split(p, ["one"] * 60), "all regions lie in one district"),
        (lambda p: district_split(p, [None] * 60), "no region has a district"),
        (lambda p: district_split(p, ["a"] * 58 + ["b", "b"], buffer_km=90), "only 0 rows are left"),
        (lambda p: district_split(p, ["a", "b"] * 30, buffer_km=float("nan")), "buffer"),
        (lambda p: random_split(p[:3]), "3 labelled regions"),
        (lambda p: random_split(p, folds=61), "60 labelled regions cannot be split into 61"),
        (lambda p: few_shot(random_split(p), 3), "4 labelled regions or more"),
        (lambda p: few_shot(random_split(p), 49), "only 48 may be looked at"),
    ],
)
def test_bad_units_are_one_clear_error(made, message: str) -> None:
    with pytest.raises(InputError) as error:
        made(points(60))
    assert message in str(error.value)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 50), small=st.integers(4, 40), more=st.integers(0, 100))
def test_few_shot_draws_are_nested(seed: int, small: int, more: int) -> None:
    whole = block_split(points(300), edge_km=6, buffer_km=0.5, seed=seed)
    large = min(small + more, min(len(f.known) for f in whole))
    few, many = few_shot(whole, small, seed), few_shot(whole, large, seed)
    for fold, less, rest in zip(whole, few, many, strict=True):
        assert np.array_equal(less.test, fold.test)
        assert len(less.known) == small
        assert set(less.train) <= set(rest.train)
        assert set(less.val) <= set(rest.val)
        assert set(rest.known) <= set(fold.known)
        assert len(less.val) == pytest.approx(0.2 * small, abs=1)
        assert len(less.val) > 0
        assert_inner(less)
        assert_inner(rest)


def test_few_shot_draws_differ_by_fold_and_seed() -> None:
    whole = random_split(points(200))
    first, other = few_shot(whole, 20, 0), few_shot(whole, 20, 1)
    assert not all(np.array_equal(a.known, b.known) for a, b in zip(first, other, strict=True))
    assert not np.array_equal(first[0].known, first[1].known)
