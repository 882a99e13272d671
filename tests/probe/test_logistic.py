"""Multinomial logistic regression: scikit-learn's with its strength; soft targets; classes a fold lacks."""

from __future__ import annotations

import numpy as np
import pytest
from tests.oracles import parts as slow
from tests.probe.simulated_parts import drawn, world

from urbanln.probe import logistic as own
from urbanln.probe.logistic import STRENGTHS, logistic
from urbanln.probe.ridge import held_parts
from urbanln.probe.simplex import divergence
from urbanln.probe.splits import Fold, block_split


def one_hot(classes: np.ndarray) -> np.ndarray:
    return np.eye(len(np.unique(classes)))[np.unique(classes, return_inverse=True)[1]]


@pytest.mark.parametrize("width", [8, 400])
def test_it_is_scikit_learns_with_the_strength_that_inner_folds_choose(width: int) -> None:
    """More columns than rows go another way to the same place."""
    lonlat, vectors, parts, _ = world(160)
    X = np.random.default_rng(3).normal(size=(160, width)).astype(np.float32)
    X[:, :8] += vectors
    classes = drawn(parts)
    fold = block_split(lonlat, edge_km=5, buffer_km=0.5)[0]
    tried = STRENGTHS[3:12]
    strength, expected = slow.logistic(X, classes, fold, tried)
    chosen = own._chosen(own._turn(X, fold), one_hot(classes)[fold.known], held_parts(fold))
    assert chosen == pytest.approx(strength)
    assert tried[0] > strength > tried[-1], "the best lies within what was tried"
    np.testing.assert_allclose(logistic(X, one_hot(classes), fold), expected, atol=2e-5)


def test_shares_are_fitted_like_the_classes_they_are_shares_of() -> None:
    """Rows of shares are as good as ten rows each of classes in these numbers, under the same strength."""
    _, X, parts, _ = world(60)
    tenths = np.round(10 * parts)
    tenths[:, 0] += 10 - tenths.sum(axis=1)
    keep = (tenths >= 0).all(axis=1)
    X, tenths = X[keep], tenths[keep]
    rows = np.repeat(np.arange(len(X)), 10)
    classes = np.concatenate([np.repeat(np.arange(3), row.astype(int)) for row in tenths])
    split = Fold(np.arange(len(X) - 9), np.arange(len(X) - 9, len(X) - 4), np.arange(len(X) - 4, len(X)))
    turned = own._turn(X, split)
    every = np.ones(len(split.known), dtype=bool)
    shares = own._fit(turned, tenths[split.known] / 10, every, 0.01)
    many = np.isin(rows, split.known)
    wide = turned._replace(rows=turned.rows[rows[many]])
    hard = own._fit(wide, np.eye(3)[classes[many]], np.ones(many.sum(), dtype=bool), 0.01)
    np.testing.assert_allclose(shares.weight, hard.weight, atol=1e-4)


def test_a_class_that_the_known_rows_lack_gets_no_chance_from_it() -> None:
    _, X, parts, _ = world(120)
    y = one_hot(drawn(parts))
    y = np.column_stack([y, np.zeros(len(y))])
    y[-3:] = [0, 0, 0, 1]
    fold = Fold(np.arange(80), np.arange(80, 100), np.arange(100, 120))
    made = logistic(X, y, fold)
    assert (made[:, 3] == 0).all()
    np.testing.assert_allclose(made.sum(axis=1), 1)
    y[:100] = [1, 0, 0, 0]
    assert (logistic(X, y, fold)[:, 0] == 1).all(), "one class alone is certain"


def test_equal_columns_and_very_many_rows_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    _, X, parts, _ = world(120)
    y = one_hot(drawn(parts))
    fold = Fold(np.arange(80), np.arange(80, 100), np.arange(100, 120))
    exact = logistic(X, y, fold)
    np.testing.assert_allclose(logistic(np.column_stack([X, X, np.ones(120)]), y, fold).sum(axis=1), 1)
    monkeypatch.setattr(own, "WIDE_VALUES", 1)
    assert own._turn(X, fold).rows.dtype == np.float32
    np.testing.assert_allclose(logistic(X, y, fold), exact, atol=2e-3)


def test_it_learns_what_it_can_and_no_more() -> None:
    lonlat, X, parts, _ = world(240)
    y = one_hot(drawn(parts))
    fold = block_split(lonlat, edge_km=5, buffer_km=0.5)[0]
    base = np.tile(y[fold.known].mean(axis=0), (len(fold.test), 1))
    least = divergence(y[fold.test], parts[fold.test]).mean()  # of who knows the truth
    own_loss = divergence(y[fold.test], logistic(X, y, fold)).mean()
    assert least - 0.1 < own_loss < divergence(y[fold.test], base).mean() - 0.3
    noise = logistic(X, one_hot(drawn(np.full((240, 3), 1 / 3))), fold)
    assert np.abs(noise - 1 / 3).max() < 0.25, "nothing to learn: near the frequencies"
