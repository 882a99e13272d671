"""Conformal intervals: their level where errors are exchangeable, and the truth about it where not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from urbanln.base.errors import InputError
from urbanln.probe.held_out import floor_held_out
from urbanln.probe.labels import prepare_labels
from urbanln.probe.metrics import conformal_intervals, coverage
from urbanln.probe.splits import Fold, random_split


def folds_of(n: int, count: int = 5) -> list[Fold]:
    rows = np.arange(n)
    return [Fold(rows[:2], rows[2:3], rows[rows % count == k]) for k in range(count)]


def test_intervals_are_those_written_out() -> None:
    rng = np.random.default_rng(0)
    y, predictions = rng.normal(size=60), rng.normal(size=(2, 60))
    folds_by_seed = [folds_of(60), folds_of(60, 4)]
    low, high = conformal_intervals(y, predictions, folds_by_seed, 0.8)
    for seed, folds in enumerate(folds_by_seed):
        for fold in folds:
            others = [r for r in range(60) if r not in fold.test]
            errors = sorted(abs(y[r] - predictions[seed, r]) for r in others)
            half = errors[math.ceil((len(errors) + 1) * 0.8) - 1]
            for row in fold.test:
                assert high[seed, row] == pytest.approx(predictions[seed, row] + half)
                assert low[seed, row] == pytest.approx(predictions[seed, row] - half)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_exchangeable_noise_reaches_its_level(level: float) -> None:
    rng = np.random.default_rng(1)
    n = 4000
    lonlat = rng.random((n, 2))
    y = rng.standard_t(3, size=(n,))
    low, high = conformal_intervals(y, np.zeros((1, n)), [random_split(lonlat)], level)
    found = coverage(y, low, high, np.arange(n) % 100)
    error = math.sqrt(level * (1 - level) / n)
    assert abs(found["coverage"] - level) < 4 * error
    assert found["coverage_low"] < level < found["coverage_high"]
    assert found["coverage_high"] - found["coverage_low"] < 8 * error


def test_few_rows_still_hold_the_level_on_average() -> None:
    """The (n + 1) of the quantile: without it, coverage with 12 others would be some 0.08 too small."""
    rng = np.random.default_rng(2)
    held = []
    for _ in range(800):
        y = rng.normal(size=15)
        low, high = conformal_intervals(y, np.zeros((1, 15)), [folds_of(15)], 0.8)
        held.append(((low <= y) & (y <= high)).mean())
    assert 0.8 < np.mean(held) < 0.88


def test_where_a_part_of_the_city_is_another_world_the_coverage_told_is_the_true_one() -> None:
    rng = np.random.default_rng(3)
    n = 1000
    blocks = np.arange(n) // 100
    y = rng.normal(size=n) * np.where(blocks >= 8, 6.0, 1.0)
    folds = [Fold(np.arange(2), np.arange(2, 3), np.flatnonzero(blocks // 2 == k)) for k in range(5)]
    low, high = conformal_intervals(y, np.zeros((1, n)), [folds], 0.9)
    found = coverage(y, low, high, blocks)
    direct = [sum(low[0, r] <= y[r] <= high[0, r] for r in range(n) if blocks[r] == b) for b in range(10)]
    assert found["coverage"] == pytest.approx(sum(direct) / n)
    assert max(direct[8:]) < 40  # the noisy end gets the narrow interval of the others
    assert found["coverage"] < 0.89
    assert found["coverage_high"] - found["coverage_low"] > 0.2
    assert found["width_median"] == pytest.approx(np.median(high - low))


def test_what_has_no_interval_does_not_count() -> None:
    y = np.arange(40.0)
    one = [Fold(np.arange(20), np.arange(20, 25), np.arange(25, 40))]
    low, high = conformal_intervals(y, np.zeros((1, 40)), [one], 0.9)
    assert np.isnan(low).all()
    assert all(math.isnan(value) for value in coverage(y, low, high, np.zeros(40, dtype=int)).values())
    predictions = np.zeros((1, 40))
    predictions[0, :10] = np.nan
    low, high = conformal_intervals(y, predictions, [folds_of(40)], 0.5)
    np.testing.assert_array_equal(np.isnan(low), np.isnan(predictions))
    found = coverage(y, low, high, np.zeros(40, dtype=int))
    assert found["coverage"] == pytest.approx(((y[10:] >= low[0, 10:]) & (y[10:] <= high[0, 10:])).mean())
    assert math.isnan(found["coverage_low"])  # a single block
    nine = conformal_intervals(y[:10], np.zeros((1, 10)), [folds_of(10, 10)], 0.9)
    assert np.isfinite(nine).all()  # nine others are just enough for .9, and not for more
    assert np.isnan(conformal_intervals(y[:10], np.zeros((1, 10)), [folds_of(10, 10)], 0.91)).all()


def test_bad_calls() -> None:
    for level in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match="between 0 and 1"):
            conformal_intervals(np.zeros(4), np.zeros((1, 4)), [folds_of(4, 2)], level)
    with pytest.raises(InputError, match="per seed"):
        conformal_intervals(np.zeros(4), np.zeros((2, 4)), [folds_of(4, 2)], 0.9)


@pytest.mark.parametrize("transform", ["log1p", "log", "none"])
def test_rounding_loses_no_truth_where_twins_make_points_of_the_intervals(transform: str) -> None:
    rng = np.random.default_rng(0)
    places = np.repeat(116 + rng.random((40, 2)) * 0.3 - [0, 76], 6, axis=0)
    labels = prepare_labels(np.repeat(rng.lognormal(3, 1, 40), 6), places, transform=transform)
    folds = random_split(labels.lonlat, seed=0)
    told = floor_held_out("coordinates-nearest", labels, folds, 0)[None]
    low, high = (labels.restore(end) for end in conformal_intervals(labels.y, told, [folds], 0.9))
    assert np.median(high - low) < 1e-9
    exact = np.isclose(labels.restore(told), labels.truth, rtol=1e-9).mean()
    found = coverage(labels.truth, low, high, np.zeros(240, dtype=int))
    assert found["coverage"] == pytest.approx(exact)
    assert exact > 0.95
