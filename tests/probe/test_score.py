"""Metrics, intervals and `probe`: identities, oracles, and vectors with and without a signal."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.oracles import probe as oracle

from urbanln.base.errors import InputError
from urbanln.probe.held_out import held_out
from urbanln.probe.labels import prepare_labels
from urbanln.probe.metrics import bootstrap_r2, draw_resamples, interval, mae, r2, rmse, spearman
from urbanln.probe.score import probe
from urbanln.probe.splits import Fold, random_split


def city(n: int = 240, seed: int = 0):
    rng = np.random.default_rng(seed)
    lonlat = rng.random((n, 2)) * 0.4 + [116, 40]
    signal = rng.normal(size=(n, 4))
    field = np.sin(lonlat[:, 0] * 40)
    target = np.exp(3 + 0.5 * field + signal[:, 0] + 0.2 * rng.normal(size=n))
    return lonlat, signal, rng.normal(size=(n, 4)), target


FAST = {
    "edge_km": 5.0, "buffer_km": 1.0, "seeds": 2, "bootstrap": 300, "floors": ["coordinates-nearest"],
    "joint": False,
}  # fmt: skip


def test_metrics_are_those_of_scikit_learn_and_scipy() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    y, p = rng.normal(size=200).round(1), rng.normal(size=200).round(1)
    assert r2(y, p) == pytest.approx(sk.r2_score(y, p))
    assert rmse(y, p) == pytest.approx(sk.root_mean_squared_error(y, p))
    assert mae(y, p) == pytest.approx(sk.mean_absolute_error(y, p))
    assert spearman(y, p) == pytest.approx(spearmanr(y, p).statistic)
    assert np.isnan(r2(np.ones(5), p[:5]))
    assert np.isnan(spearman(y, np.ones(200)))
    tenths = np.full(3000, 0.1)
    assert ((tenths - tenths.mean()) ** 2).sum() > 0  # the mean is not exact
    assert np.isnan(r2(tenths, np.full(3000, 0.2)))
    resamples = draw_resamples(np.arange(3000) // 300, 1)
    assert np.isnan(bootstrap_r2(tenths, np.full((1, 3000), 0.2), resamples)).all()


def test_bootstrap_equals_the_written_out_one() -> None:
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 6, 50)
    y, predictions = rng.normal(size=50), rng.normal(size=(3, 50))
    draws = draw_resamples(blocks, 3, 20)
    slow = oracle.bootstrap_r2(y, predictions, blocks, draws.block_draws, draws.seed_draws)
    np.testing.assert_allclose(bootstrap_r2(y, predictions, draws), slow, rtol=1e-9)
    predictions[0, :7] = np.nan  # rows never held out are left out
    left = bootstrap_r2(y, predictions, draws)
    short = draw_resamples(blocks[7:], 3, 20)
    np.testing.assert_allclose(left, bootstrap_r2(y[7:], predictions[:, 7:], short), rtol=1e-9)


def test_intervals_cover_the_estimate_and_need_two_blocks() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=300)
    p = (y + rng.normal(size=300))[None]
    low, high = interval(bootstrap_r2(y, p, draw_resamples(rng.integers(0, 30, 300), 1)))
    assert low < r2(y, p[0]) < high
    assert np.isnan(interval(bootstrap_r2(y, p, draw_resamples(np.zeros(300, dtype=int), 1)))).all()


def test_block_intervals_are_wider_than_row_intervals_when_neighbours_err_alike() -> None:
    rng = np.random.default_rng(3)
    blocks = np.repeat(np.arange(20), 20)
    y = rng.normal(size=400)
    p = (y + rng.normal(size=20)[blocks])[None]
    by_block = np.ptp(interval(bootstrap_r2(y, p, draw_resamples(blocks, 1))))
    by_row = np.ptp(interval(bootstrap_r2(y, p, draw_resamples(np.arange(400), 1))))
    assert by_block > 1.5 * by_row


@pytest.mark.parametrize("head", ["ridge", "mlp"])
def test_signal_beats_the_floor_and_noise_does_not(head: str) -> None:
    lonlat, signal, noise, target = city()
    good = probe(signal, target, lonlat=lonlat, head=head, against={"noise": noise}, **FAST)
    bad = probe(noise, target, lonlat=lonlat, head=head, **FAST)
    assert good.r2 > 0.6
    assert good.r2_low < good.r2 < good.r2_high
    assert good.vs["coordinates-nearest"].low > 0
    assert good.vs["noise"].low > 0
    assert bad.vs["mean"].high < 0.1
    assert bad.r2 < 0.1
    assert good.vs["noise"].diff == pytest.approx(good.r2 - bad.r2)


def test_shuffled_labels_beat_no_floor_and_add_nothing_to_the_map() -> None:
    lonlat, signal, _, target = city(150)
    gains = []
    for seed in range(6):
        shuffled = np.random.default_rng(seed).permutation(target)
        scores = probe(signal, shuffled, lonlat=lonlat, **(FAST | {"joint": True}))
        strongest = min(scores.vs.values(), key=lambda gap: gap.diff)
        gains.append((scores.r2, strongest.diff, scores.adds.diff))
        # A 95 % interval lies above 0 by chance once in forty; none does with these seeds.
        assert strongest.low < 0
        assert scores.adds.low < 0
    assert np.max(gains) < 0.1
    assert np.median(gains, axis=0).max() < 0.02


def test_every_floor_is_a_rival_and_vectors_are_held_against_the_map() -> None:
    lonlat, signal, _, target = city(120)
    told = probe(signal, target, lonlat=lonlat, seeds=1, bootstrap=200)
    assert set(told.vs) == {"mean", "coordinates-nearest", "coordinates-boosting", "coordinates-gp"}
    assert told.adds is not None
    assert told.adds.low > 0.2
    by_place = probe(lonlat, np.exp(np.sin(lonlat[:, 0] * 10)), lonlat=lonlat, seeds=1, bootstrap=200)
    assert abs(by_place.adds.diff) < 0.05
    with pytest.raises(InputError, match="no such floor"):
        probe(signal, target, lonlat=lonlat, seeds=1, floors=["pixels"])


def test_a_regressor_of_scikit_learn_is_a_head_and_splits_need_their_column() -> None:
    from sklearn.linear_model import LinearRegression

    lonlat, signal, _, target = city(120)
    assert probe(signal, target, lonlat=lonlat, head=LinearRegression(), **FAST).r2 > 0.5
    districts = np.where(lonlat[:, 0] > 116.2, "east", "west")
    two = probe(signal, target, lonlat=lonlat, split="district", districts=districts, **FAST)
    assert two.n == 120
    assert two.r2 > 0.4
    for split in ("district", "city"):
        with pytest.raises(InputError, match=r"no district|one city"):
            probe(signal, target, lonlat=lonlat, split=split, **FAST)


def test_the_logarithm_of_the_literature_drops_zeros() -> None:
    lonlat, signal, _, target = city(120)
    target[:7] = 0
    scores = probe(signal, target, lonlat=lonlat, transform="log", **FAST)
    assert (scores.transform, scores.n, scores.dropped_zeros, scores.missing) == ("log", 113, 7, 0)
    by_hand = [sk.r2_score(np.log(target[7:]), np.log(p)) for p in scores.predictions]
    assert scores.r2 == pytest.approx(np.mean(by_hand))
    assert scores.r2_unit == pytest.approx(np.mean([sk.r2_score(target[7:], p) for p in scores.predictions]))


def test_intervals_hold_what_they_promise_where_errors_are_exchangeable() -> None:
    lonlat, signal, _, target = city(600)
    for level in (0.6, 0.9):
        scores = probe(signal, target, lonlat=lonlat, split="random", level=level, **FAST)
        inside = (scores.low <= scores.truth) & (scores.truth <= scores.high)
        assert scores.coverage == pytest.approx(inside.mean())
        assert abs(scores.coverage - level) < 0.04
        assert scores.coverage_low < scores.coverage < scores.coverage_high
        assert scores.width == pytest.approx(np.median(scores.high - scores.low))
        assert (scores.low >= 0).all()


def test_errors_that_follow_the_map_are_told() -> None:
    lonlat, signal, _, _ = city(300)
    field = np.sin(lonlat[:, 0] * 30)
    left = probe(signal, np.exp(field + signal[:, 0]), lonlat=lonlat, **FAST)
    noise = np.random.default_rng(1).normal(size=300)
    free = probe(signal, np.exp(noise + signal[:, 0]), lonlat=lonlat, **FAST)
    assert left.morans_i > 0.5 > 0.1 > abs(free.morans_i)
    assert left.morans_p < 0.01 < free.morans_p


def test_the_mean_floor_is_at_zero_or_below() -> None:
    lonlat, signal, _, target = city()
    scores = probe(signal, target, lonlat=lonlat, split="random", **FAST)
    floor = scores.r2 - scores.vs["mean"].diff
    assert -0.1 < floor <= 0


def test_a_table_against_itself_differs_by_nothing() -> None:
    lonlat, signal, _, target = city()
    twin = probe(signal, target, lonlat=lonlat, against={"twin": signal}, **FAST).vs["twin"]
    assert (twin.diff, twin.low, twin.high) == (0, 0, 0)


def test_missing_labels_are_dropped_and_counted_not_guessed() -> None:
    lonlat, signal, _, target = city()
    holes = target.copy()
    holes[::5] = np.nan
    keep = np.isfinite(holes)
    scores = probe(signal, holes, lonlat=lonlat, **FAST)
    alone = probe(signal[keep], target[keep], lonlat=lonlat[keep], **FAST)
    assert (scores.n, scores.missing) == (keep.sum(), (~keep).sum())
    assert scores.r2 == alone.r2
    np.testing.assert_array_equal(scores.rows, np.flatnonzero(keep))


def test_scores_are_in_the_units_they_say_and_pooled() -> None:
    lonlat, signal, _, target = city()
    scores = probe(signal, target, lonlat=lonlat, **FAST)
    assert scores.transform == "log1p"
    assert scores.predictions.shape == (2, len(target))
    by_hand = [sk.r2_score(np.log1p(target), np.log1p(p)) for p in scores.predictions]
    np.testing.assert_allclose(scores.r2_seeds, by_hand)
    assert scores.r2 == pytest.approx(np.mean(by_hand))
    assert scores.r2_sd == pytest.approx(np.std(by_hand, ddof=1))
    assert scores.rmse == pytest.approx(
        np.mean([sk.root_mean_squared_error(target, p) for p in scores.predictions])
    )
    assert scores.mae_log < scores.mae


def test_a_negative_label_turns_the_logarithm_off() -> None:
    lonlat, signal, _, target = city()
    scores = probe(signal, np.log(target) - 3, lonlat=lonlat, **FAST)
    assert scores.transform == "none"
    assert scores.rmse == scores.rmse_log


def test_one_absurd_vector_gives_no_absurd_prediction_and_no_amount_below_zero() -> None:
    lonlat, signal, _, target = city()
    signal[0] *= 1e6
    scores = probe(signal, target, lonlat=lonlat, **(FAST | {"seeds": 1}))
    span = np.ptp(np.log1p(target))
    assert scores.predictions.max() < np.exp(np.log1p(target.max()) + 0.06 * span)
    assert scores.predictions.min() >= 0


def test_same_seed_same_scores_and_a_head_and_split_of_ones_own() -> None:
    lonlat, signal, _, target = city(100)

    def nearest(X, y, fold: Fold, seed: int):
        distance = ((X[fold.test][:, None] - X[fold.known][None]) ** 2).sum(-1)
        return y[fold.known][distance.argmin(1)]

    def split(seed: int) -> list[Fold]:
        return random_split(lonlat, folds=3, seed=seed)

    one, two = (probe(signal, target, lonlat=lonlat, head=nearest, split=split, **FAST) for _ in range(2))
    assert one.r2_seeds == two.r2_seeds
    assert one.r2_seeds[0] != one.r2_seeds[1]
    assert (one.r2_low, one.r2_high, one.vs) == (two.r2_low, two.r2_high, two.vs)


def test_held_out_leaves_rows_open_that_no_fold_tests() -> None:
    lonlat, signal, _, target = city(60)
    folds = random_split(lonlat)[:2]
    held = held_out("ridge", signal, np.log(target), folds, 0)
    assert np.isnan(held).sum() == 60 - sum(len(f.test) for f in folds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": np.full(60, 7.0)}, "all 60 labels are equal"),
        ({"target": np.full(60, np.nan)}, "no region has a label"),
        ({"target": ["many"] * 60}, "not numbers"),
        ({"target": np.r_[np.inf, np.arange(59)]}, "infinite"),
        ({"target": np.arange(59.0)}, "differ in number"),
        ({"vectors": np.full((60, 3), np.nan)}, "not finite"),
        ({"vectors": np.zeros(60)}, "table of 60 rows"),
        ({"head": "forest"}, "no such head"),
        ({"split": "diagonal"}, "no such split"),
        ({"lonlat": np.full((60, 2), 400.0)}, "out of range"),
    ],
)
def test_bad_input_is_one_clear_error(change: dict, message: str) -> None:
    lonlat, signal, _, target = city(60)
    call = {"vectors": signal, "target": target, "lonlat": lonlat, **change}
    with pytest.raises(InputError, match=message):
        probe(call.pop("vectors"), call.pop("target"), seeds=1, **call)


def test_one_region_is_too_few() -> None:
    with pytest.raises(InputError, match="only one region has a label"):
        probe(np.ones((1, 3)), [3.0], lonlat=[[116, 40]])
    with pytest.raises(InputError, match="4 labelled regions cannot be split into 5 folds"):
        probe(np.ones((4, 3)), [3.0, 1, 2, 4], lonlat=[[116, 40]] * 4)


def test_labels_remember_their_groups() -> None:
    labels = prepare_labels([1.0, np.nan, 3.0], [[0, 0]] * 3, groups=["a", "b", "c"])
    assert labels.groups is not None
    assert labels.groups.tolist() == ["a", "c"]


def test_vectors_that_say_nothing_add_exactly_nothing_to_the_map() -> None:
    lonlat, _, _, target = city(150)
    empty = np.ones((150, 3))
    # Same folds, same draws: an interval of unpaired resamples would be as wide as those of the scores.
    told = probe(empty, target, lonlat=lonlat, **(FAST | {"joint": True}))
    assert told.adds is not None
    np.testing.assert_allclose([told.adds.diff, told.adds.low, told.adds.high], 0, atol=1e-9)


def test_names_and_counts_that_would_spoil_a_comparison_are_refused() -> None:
    lonlat, signal, noise, target = city(60)
    for name in ("", "mean", "map", "coordinates + ours"):
        with pytest.raises(InputError, match="name of a floor"):
            probe(signal, target, lonlat=lonlat, against={name: noise}, **FAST)
    for counts in ({"seeds": 0}, {"bootstrap": 0}):
        with pytest.raises(InputError, match="one or more"):
            probe(signal, target, lonlat=lonlat, **(FAST | counts))
    with pytest.raises(InputError, match="not numbers"):
        probe(np.full((60, 2), "x"), target, lonlat=lonlat, **FAST)


def test_folds_of_ones_own_must_not_leak() -> None:
    lonlat, signal, _, target = city(60)
    half, other = np.arange(30), np.arange(30, 60)
    good = [Fold(half[:24], half[24:], other), Fold(other[:24], other[24:], half)]
    assert probe(signal, target, lonlat=lonlat, split=lambda seed: good, **FAST).n == 60
    for bad, message in (
        ([Fold(half[:24], half[20:], np.arange(25, 60))], "learns from a row"),
        ([good[0], good[0]], "held out twice"),
        ([Fold(half[:24], half[24:], other + 1)], "that there is not"),
        ([Fold(half[:24], half[24:] - 30, other)], "that there is not"),
        ([(half, other)], "this is no fold"),
    ):
        with pytest.raises(InputError, match=message):
            probe(signal, target, lonlat=lonlat, split=lambda seed, bad=bad: bad, **FAST)
