"""Where all shares are at once: against a slow twin, its promise kept where errors are exchangeable, and told
where they are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from urbanln.probe.joint_region import joint_region
from urbanln.probe.labels import prepare_labels
from urbanln.probe.measured import measure
from urbanln.probe.metrics import draw_resamples
from urbanln.probe.part_metrics import share_intervals
from urbanln.probe.part_scores import PartScores
from urbanln.probe.splits import Fold

NONE = np.empty(0, dtype=np.int64)


def folds_of(rows: np.ndarray, count: int) -> list[Fold]:
    """Every row held out once, learned from nobody."""
    return [Fold(NONE, NONE, part) for part in np.array_split(rows, count)]


def drawn(rng: np.random.Generator, n: int, parts: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Shares, and what a model that is right about their means says of them; parts differ in size."""
    made = 0.7 * rng.dirichlet(np.ones(parts), size=n) + 0.3 * np.arange(1, parts + 1) / sum(range(parts + 1))
    drops = rng.standard_gamma(12 * made)
    return drops / drops.sum(axis=1, keepdims=True), made


def test_it_is_what_is_written_out() -> None:
    rng = np.random.default_rng(0)
    y, made = drawn(rng, 40, 3)
    folds = folds_of(rng.permutation(40), 4)
    region = joint_region(y, made[None], [folds], 0.8)
    low, high = region.ends(made[None])

    def unit(number: int) -> np.ndarray:
        others = np.concatenate([fold.test for at, fold in enumerate(folds) if at != number])
        return np.abs(y - made)[others].mean(axis=0)

    for number, fold in enumerate(folds):
        scores, far = [], []
        for at, other in enumerate(folds):
            if at != number:
                scores += [max(np.abs(y - made)[row] / unit(at)) for row in other.test]
                far += [np.abs(y - made)[row].sum() / 2 for row in other.test]
        rank = math.ceil(31 * 0.8) - 1
        half = sorted(scores)[rank] * unit(number)
        np.testing.assert_allclose(region.half[0, number], half)
        np.testing.assert_allclose(low[0, fold.test], np.clip(made[fold.test] - half, 0, 1))
        np.testing.assert_allclose(high[0, fold.test], np.clip(made[fold.test] + half, 0, 1))
        np.testing.assert_allclose(region.radii()[0, fold.test], sorted(far)[rank])


@pytest.mark.parametrize("n", [50, 200])
def test_all_parts_are_held_at_once_as_often_as_is_promised_and_single_intervals_do_not_do_that(
    n: int,
) -> None:
    """Exchangeable rows, over many small maps: a map has 90 % give or take what its own chance is."""
    rng = np.random.default_rng(1)
    joint, ball, single = [], [], []
    for _ in range(20_000 // n):
        y, made = drawn(rng, n)
        folds = folds_of(np.arange(n), 5)
        region = joint_region(y, made[None], [folds], 0.9)
        low, high = region.ends(made[None])
        joint.append(((low <= y) & (y <= high)).all(axis=2).mean())
        ball.append((np.abs(y - made).sum(axis=1) / 2 <= region.radii()).mean())
        low, high = share_intervals(y, made[None], [folds], 0.9)
        single.append(((low <= y) & (y <= high)).all(axis=2).mean())
    # ⌈(m + 1) level⌉ of m = 40 rows is a little more than the level.
    assert 0.895 < np.mean(joint) < 0.915
    assert 0.895 < np.mean(ball) < 0.915
    assert np.mean(single) < 0.7


def test_a_part_that_never_occurs_widens_nothing_and_too_few_rows_have_no_region() -> None:
    rng = np.random.default_rng(2)
    y, made = drawn(rng, 60, 3)
    folds = [folds_of(np.arange(60), 3)]
    alone = joint_region(y, made[None], folds, 0.9)
    empty = np.zeros((60, 1))
    beside = joint_region(np.hstack([y, empty]), np.hstack([made, empty + 1e-4])[None], folds, 0.9)
    np.testing.assert_allclose(beside.half[..., :3], alone.half)
    assert np.isfinite(beside.half[..., 3]).all()
    assert joint_region(y, y[None], folds, 0.9).half.max() < 1e-200
    one = joint_region(y, made[None], [folds_of(np.arange(60), 1)], 0.9)
    assert np.isnan(one.ends(made[None])[0]).all()
    part = [folds_of(np.arange(40), 2)]
    held = np.where(np.arange(60)[:, None] < 40, made, np.nan)
    radii = joint_region(y, held[None], part, 0.9).radii()[0]
    assert np.isfinite(radii[:40]).all()
    assert np.isnan(radii[40:]).all()


def scored(y: np.ndarray, made: np.ndarray, blocks: np.ndarray, folds: list[Fold]) -> PartScores:
    lonlat = np.column_stack([10 + np.arange(len(y)) / 1000, np.full(len(y), 50.0)])
    labels = prepare_labels(y, lonlat, kind="shares", names=tuple("abcdefgh"))
    found = measure(labels, made[None], draw_resamples(blocks, 1, 100), [folds])
    assert isinstance(found, PartScores)
    return found


def test_what_is_reached_is_counted_and_falls_short_where_blocks_are_not_alike() -> None:
    rng = np.random.default_rng(3)
    y, made = drawn(rng, 400)
    blocks = (np.arange(400) // 20).astype(np.int64)
    learned = [
        Fold(np.setdiff1d(np.arange(400), fold.test), NONE, fold.test) for fold in folds_of(np.arange(400), 5)
    ]
    found = scored(y, made, blocks, learned)
    assert found.own["joint_coverage_low"] < 0.9 < found.own["joint_coverage_high"]
    assert found.own["radius_coverage_low"] < 0.9 < found.own["radius_coverage_high"]
    assert found.own["joint_width"] > found.own["width"]
    assert 0 < found.own["radius"] < 1
    low, high = found.at_once()
    inside = ((low <= y) & (y <= high)).all(axis=2)
    assert found.own["joint_coverage"] == pytest.approx(inside.mean())
    worse = made.copy()
    worse[:80] = worse[:80, ::-1]  # of one fold's blocks the model knows nothing
    short = scored(y, worse, blocks, learned).own
    assert short["joint_coverage"] < 0.87
    assert short["joint_coverage"] < found.own["joint_coverage"] - 0.03
