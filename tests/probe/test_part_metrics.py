"""Scores of classes and shares against slow versions, their resamples, conformal sets and what they reach."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, log_loss
from tests.oracles import parts as slow
from tests.probe.simulated_parts import drawn, world

from urbanln.probe import part_metrics as own
from urbanln.probe.labels import prepare_labels
from urbanln.probe.measured import difference, measure
from urbanln.probe.metrics import draw_resamples
from urbanln.probe.part_scores import mean_share
from urbanln.probe.simplex import divergence, evened, on_simplex
from urbanln.probe.splits import random_split


def cell(kind: str, n: int = 120, seeds: int = 2):
    lonlat, _, parts, _ = world(n, 4)
    names = ("a", "b", "c", "d") if kind == "shares" else ()
    labels = prepare_labels(parts if names else drawn(parts), lonlat, kind=kind, names=names)
    folds = [random_split(lonlat, seed=seed) for seed in range(seeds)]
    rng = np.random.default_rng(5)
    guesses = [evened(on_simplex(parts + rng.normal(0, 0.3, parts.shape)), 0.01) for _ in range(seeds)]
    blocks = (np.arange(n) // 10).astype(np.int64)
    return labels, np.stack(guesses), folds, draw_resamples(blocks, seeds, 40)


@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_the_main_score_and_its_resamples_are_those_written_out(kind: str) -> None:
    labels, made, folds, resamples = cell(kind)
    references = mean_share(labels, folds)

    def score(y, guess, base, rows):
        if kind == "classes":
            return slow.macro_f1_of_resample(y, guess, rows)
        return slow.kl_skill(y[rows], guess[rows], base[rows])

    every = np.arange(len(labels.y))
    each = [score(labels.y, guess, base, every) for guess, base in zip(made, references, strict=True)]
    if kind == "classes":
        assert each == pytest.approx([slow.macro_f1(labels.y, guess) for guess in made])
    scores = measure(labels, made, resamples, folds)
    np.testing.assert_allclose(scores.score_seeds, each, rtol=1e-9)
    samples = slow.resampled(score, labels.y, made, references, resamples)
    np.testing.assert_allclose(scores.samples, samples, rtol=1e-9)
    worse = measure(labels, references, resamples, folds)
    gap = difference(scores, worse)
    assert gap.low > 0
    assert gap.diff == pytest.approx(scores.score - worse.score)


def test_a_class_that_never_occurs_among_the_truths_does_not_count() -> None:
    y = np.eye(3)[[0, 0, 1, 1]]
    assert own.macro_f1(y, y) == 1
    wrong = np.eye(3)[[0, 2, 1, 2]]
    assert own.macro_f1(y, wrong) == pytest.approx(2 / 3), "not dragged down by the third class's 0"


def test_rare_classes_do_not_push_the_interval_above_the_score() -> None:
    """Two classes of one row each, never met, are each in 64 % of resamples; left out, F1 is doubled."""
    code = np.resize([0, 1], 200)
    code[[5, 95]] = 2, 3
    y = np.eye(4)[code]
    guess = np.where(np.arange(200) % 10 == 0, 1 - np.minimum(code, 1), np.minimum(code, 1))
    draws = draw_resamples((np.arange(200) // 20).astype(np.int64), 1, 400)
    made = np.eye(4)[guess]
    samples = own.part_samples("classes", y, made[None], made[None], draws)
    score = own.macro_f1(y, made)
    assert score == pytest.approx(0.45, abs=0.01)
    assert np.mean(samples) == pytest.approx(score, abs=0.01)
    assert np.max(samples) < 0.55


def test_other_scores_of_classes_are_scikit_learns() -> None:
    labels, made, folds, resamples = cell("classes", seeds=1)
    scores = measure(labels, made, resamples, folds)
    guess = made[0].argmax(axis=1)
    assert scores.own["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels.truth, guess))
    assert scores.own["log_loss"] == pytest.approx(log_loss(labels.truth, made[0]))
    assert scores.own["confusion"] == confusion_matrix(labels.truth, guess).tolist()
    assert [part["n"] for part in scores.by_part] == np.bincount(labels.truth).tolist()


def test_other_scores_of_shares() -> None:
    labels, made, folds, resamples = cell("shares", seeds=1)
    scores = measure(labels, made, resamples, folds)
    each = [slow.kl(t, p) for t, p in zip(labels.y, made[0], strict=True)]
    assert scores.own["kl"] == pytest.approx(np.mean(each))
    np.testing.assert_allclose(divergence(labels.y, made[0]), each, atol=1e-12)
    away = np.abs(labels.y - made[0]).mean(axis=0)
    np.testing.assert_allclose([part["mae"] for part in scores.by_part], away)
    inside = (scores.low <= labels.y) & (labels.y <= scores.high)
    assert scores.coverage == pytest.approx(inside.mean())
    assert 0.85 < scores.coverage < 0.95
    assert scores.low.min() >= 0
    assert scores.high.max() <= 1


def test_the_mean_share_has_a_skill_of_0_and_the_truth_of_1() -> None:
    labels, _, folds, resamples = cell("shares")
    references = mean_share(labels, folds)
    assert measure(labels, references, resamples, folds).score == 0
    truth = np.stack([evened(labels.y, 1e-12)] * 2)
    assert measure(labels, truth, resamples, folds).score == pytest.approx(1)


def test_conformal_sets_are_those_of_the_other_folds() -> None:
    labels, made, folds, _ = cell("classes", n=60, seeds=1)
    sets = own.class_sets(labels.y, made, folds, 0.8)
    for number, fold in enumerate(folds[0]):
        others = np.concatenate([f.test for at, f in enumerate(folds[0]) if at != number])
        known = made[0][others, labels.truth[others]].tolist()
        for row in fold.test:
            expected = slow.class_set(made[0][row], known, 0.8)
            assert np.flatnonzero(sets[0, row]).tolist() == expected
    too_few = own.class_sets(labels.y, made, [folds[0][:1]], 0.8)
    assert np.isnan(too_few).all(), "one fold has no others"


def test_sets_hold_what_they_promise_and_say_of_which_class() -> None:
    """Exchangeable rows: 90 % over all of them; of a rare class it may be less, which is told."""
    labels, made, folds, resamples = cell("classes", n=2000, seeds=1)
    scores = measure(labels, made, resamples, folds)
    assert scores.coverage == pytest.approx(0.9, abs=0.02)
    assert scores.coverage_low < scores.coverage < scores.coverage_high
    held = [part["coverage"] * part["n"] for part in scores.by_part]
    assert sum(held) / 2000 == pytest.approx(scores.coverage)
    assert 1 < scores.own["set_size"] < 4


def test_parts_are_brought_to_the_simplex() -> None:
    made = on_simplex(np.array([[0.5, -0.1, 0.5], [0, 0, 0], [-1, -2, -3]]))
    np.testing.assert_allclose(made, [[0.5, 0, 0.5], [1 / 3] * 3, [1 / 3] * 3])
    assert (evened(made, 0.03) >= 0.01 - 1e-12).all()
    np.testing.assert_allclose(evened(made, 0.03).sum(axis=1), 1)
