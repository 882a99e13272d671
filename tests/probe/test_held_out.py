"""Held-out predictions: rows without a label are never looked at, and the map stands beside the vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from urbanln.base.errors import InputError
from urbanln.probe.floors import FLOORS
from urbanln.probe.heads import HEADS
from urbanln.probe.held_out import floor_held_out, held_out, map_held_out
from urbanln.probe.labels import prepare_labels
from urbanln.probe.metrics import r2
from urbanln.probe.splits import Fold, block_split


def place(n: int = 200):
    rng = np.random.default_rng(0)
    lonlat = rng.random((n, 2)) * 0.3 + [116, 40]
    field = np.sin(lonlat[:, 0] * 30)
    X = rng.normal(size=(n, 5)).astype("float32")
    return lonlat, field, X


def folds_of(labels) -> list[Fold]:
    return block_split(labels.lonlat, edge_km=4, buffer_km=0.5, seed=0)


@pytest.mark.parametrize("head", ["ridge", "boosting", LinearRegression()])
def test_rows_without_a_label_change_nothing_and_the_table_is_not_copied(head) -> None:
    lonlat, _, X = place()
    y = np.where(np.arange(len(X)) % 4, X[:, 0] + 2, np.nan)
    labels = prepare_labels(y, lonlat, transform="none")
    folds = folds_of(labels)
    whole = held_out(head, X, labels.y, folds, 0, labels.rows)
    np.testing.assert_array_equal(whole, held_out(head, X[labels.rows], labels.y, folds, 0))
    seen = []

    def spy(table, y, fold, seed):
        seen.append(table is X)
        return np.zeros(len(fold.test))

    held_out(spy, X, labels.y, folds, 0, labels.rows)
    assert seen == [True] * len(folds)


@pytest.mark.parametrize("who", [*FLOORS, *HEADS, LinearRegression()])
@pytest.mark.parametrize("width", [3, 140])
def test_labels_predicted_together_are_as_each_alone(who, width: int) -> None:
    """A table wider than its rows are many, and one that is not."""
    lonlat, field, _ = place(150)
    X = np.random.default_rng(1).normal(size=(150, width)).astype("float32")
    labels = prepare_labels(field + X[:, 0], lonlat, transform="none")
    several = np.column_stack([labels.y, X[:, 1] ** 2, field])

    def predict(y: np.ndarray) -> np.ndarray:
        own, folds = replace(labels, y=y), folds_of(labels)[:2]
        if who in FLOORS:
            return floor_held_out(who, own, folds, 0)
        return np.stack([map_held_out(who, X, own, folds, 0), held_out(who, X, y, folds, 0)], axis=1)

    together = predict(several)
    for label, y in enumerate(several.T):
        np.testing.assert_allclose(together[..., label], predict(y), rtol=1e-9, atol=1e-9)


def test_the_map_and_the_vectors_tell_together_what_neither_tells_alone() -> None:
    lonlat, field, X = place()
    labels = prepare_labels(field + 0.8 * X[:, 1], lonlat, transform="none")
    folds = folds_of(labels)
    alone = r2(labels.y, map_held_out("ridge", None, labels, folds, 0))
    vectors = r2(labels.y, held_out("ridge", X, labels.y, folds, 0))
    both = r2(labels.y, map_held_out("ridge", X, labels, folds, 0))
    assert both > 0.9 > max(alone, vectors) + 0.2
    # Rows without a label: the vectors beside the map are those of the right regions.
    holes = prepare_labels(np.where(np.arange(len(X)) % 4, labels.truth, np.nan), lonlat, transform="none")
    parts = folds_of(holes)
    dense = replace(holes, rows=np.arange(len(holes.rows)))
    np.testing.assert_array_equal(
        map_held_out("ridge", X, holes, parts, 0), map_held_out("ridge", X[holes.rows], dense, parts, 0)
    )


def test_a_floor_is_found_by_name() -> None:
    lonlat, field, _ = place()
    labels = prepare_labels(field, lonlat, transform="none")
    folds = folds_of(labels)
    mean = floor_held_out("mean", labels, folds, 0)
    assert mean[folds[0].test].tolist() == [labels.y[folds[0].known].mean()] * len(folds[0].test)
    assert r2(labels.y, floor_held_out("coordinates-nearest", labels, folds, 0)) > 0.5
    with pytest.raises(InputError, match="no such floor"):
        floor_held_out("pixels", labels, folds, 0)


def test_a_head_of_ones_own_is_shown_the_known_labels_alone() -> None:
    lonlat, _, X = place()
    labels = prepare_labels(X[:, 0] + 2, lonlat, transform="none")
    folds = block_split(lonlat, edge_km=4, buffer_km=2, seed=0)
    assert all(len(fold.known) + len(fold.test) < len(X) for fold in folds)  # some rows lie in a buffer
    shown = []

    def thief(table, y, fold, seed):
        shown.append((np.flatnonzero(np.isfinite(y)).tolist(), fold.known.tolist()))
        return np.nan_to_num(y[fold.test])  # would be a perfect score

    stolen = held_out(thief, X, labels.y, folds, 0), map_held_out(thief, X, labels, folds, 0)
    assert len(shown) == 2 * len(folds)
    for seen, known in shown:
        assert seen == known
    for predicted in stolen:
        assert r2(labels.y, predicted) < 0


@pytest.mark.parametrize(
    "made", [lambda n: np.where(np.arange(n), 1.0, np.nan), lambda n: 3.0, lambda n: np.ones(n + 1)]
)
def test_a_head_that_leaves_rows_out_is_refused(made) -> None:
    lonlat, _, X = place()
    labels = prepare_labels(X[:, 0] + 2, lonlat, transform="none")

    def picky(table, y, fold, seed):
        return made(len(fold.test))

    for run in (
        lambda: held_out(picky, X, labels.y, folds_of(labels), 0),
        lambda: map_held_out(picky, X, labels, folds_of(labels), 0),
    ):
        with pytest.raises(InputError, match="finite numbers") as error:
            run()
        assert "head picky" in str(error.value)
