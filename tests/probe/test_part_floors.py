"""Floors of classes and shares: what the map alone says, and that none of them says 0 of what happens."""

from __future__ import annotations

import numpy as np
import pytest
from tests.probe.simulated_parts import drawn, world

from urbanln.base.space import to_metres
from urbanln.probe import gp
from urbanln.probe.floors import FLOORS, nearest_neighbours
from urbanln.probe.held_out import floor_held_out
from urbanln.probe.labels import prepare_labels
from urbanln.probe.part_metrics import kl_skill, macro_f1
from urbanln.probe.simplex import divergence
from urbanln.probe.splits import Fold, random_split

SHARES = ("a", "b", "c")


def made_labels(kind: str, parts: np.ndarray, lonlat: np.ndarray):
    target = parts if kind == "shares" else drawn(parts)
    return prepare_labels(target, lonlat, kind=kind, names=SHARES if kind == "shares" else ())


@pytest.mark.parametrize("kind", ["classes", "shares"])
@pytest.mark.parametrize("name", list(FLOORS))
def test_each_floor_gives_parts_above_0_and_finds_a_label_of_the_map(kind: str, name: str) -> None:
    lonlat, _, of_vectors, of_map = world(300)
    fold = random_split(lonlat)[0]
    for parts, there in ((of_map, name != "mean"), (of_vectors, False)):
        labels = made_labels(kind, parts, lonlat)
        made, base = (floor_held_out(one, labels, [fold], 0)[fold.test] for one in (name, "mean"))
        y = labels.y[fold.test]
        np.testing.assert_allclose(made.sum(axis=1), 1)
        assert (made > 0).all()
        skill = kl_skill(y, made, base)
        assert skill > 0.25 if there else skill < 0.05
        if kind == "classes" and there:
            assert macro_f1(y, made) > macro_f1(y, base) + 0.2


def test_the_mean_is_how_frequent_each_class_is_and_one_row_more() -> None:
    lonlat, _, parts, _ = world(60)
    labels = made_labels("classes", parts, lonlat)
    fold = Fold(np.arange(40), np.arange(40, 50), np.arange(50, 60))
    made = floor_held_out("mean", labels, [fold], 0)[50:]
    counts = np.bincount(labels.truth[:50], minlength=3)
    np.testing.assert_allclose(made, np.tile((counts + 1 / 3) / 51, (10, 1)))


@pytest.mark.parametrize("name", list(FLOORS))
def test_a_class_that_the_known_rows_lack_keeps_the_log_loss_finite(name: str) -> None:
    lonlat, _, parts, _ = world(60)
    classes = drawn(parts).astype(object)
    classes[50:] = "sand"
    labels = prepare_labels(classes, lonlat, kind="classes")
    fold = Fold(np.arange(40), np.arange(40, 50), np.arange(50, 60))
    made = floor_held_out(name, labels, [fold], 0)[50:]
    assert np.isfinite(divergence(labels.y[50:], made)).all()
    assert (made[:, labels.names.index("sand")] < 0.15).all()


def test_neighbours_are_evened_as_their_validation_part_wants() -> None:
    """Of labels without a map even parts are mixed in; of a smooth field hardly any, and never less order."""
    lonlat, _, of_vectors, of_map = world(300)
    metres, fold = to_metres(lonlat), random_split(lonlat)[0]
    for parts, least in ((of_vectors, 0.15), (of_map, 0.0)):
        labels = made_labels("classes", parts, lonlat)
        plain = nearest_neighbours(metres, labels.y, [fold])[fold.test]
        made = floor_held_out("coordinates-nearest", labels, [fold], 0)[fold.test]
        np.testing.assert_array_equal(made.argmax(axis=1), plain.argmax(axis=1))
        weight = 1 - (made.max() - made.min())  # of a place whose neighbours all agree
        assert weight >= least
        loss = divergence(labels.y[fold.test], made).mean()
        hard = divergence(labels.y[fold.test], 0.995 * plain + 0.005 / 3).mean()
        assert loss < hard


def test_kriging_of_parts_together_sums_to_one_by_itself() -> None:
    """One field for all parts: its predictions are those of each part under that field."""
    lonlat, _, _, of_map = world(90)
    metres = to_metres(lonlat)
    field, means = gp.fit_together(metres[:70], of_map[:70])
    made = gp.predict_together(field, means, metres[:70], of_map[:70], metres[70:])
    np.testing.assert_allclose(made.sum(axis=1), 1, atol=1e-9)
    for part in range(3):
        alone = field._replace(mean=float(means[part]))
        one = gp.predict_fields([alone], metres[:70], of_map[:70, [part]], metres[70:])
        np.testing.assert_allclose(made[:, part], one[:, 0], atol=1e-9)


def test_kriging_from_the_nearest_rows_is_near_that_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    lonlat, _, _, of_map = world(200)
    metres = to_metres(lonlat)
    field, means = gp.fit_together(metres[:150], of_map[:150])
    exact = gp.predict_together(field, means, metres[:150], of_map[:150], metres[150:])
    monkeypatch.setattr(gp, "EXACT_ROWS", 100)
    near = gp.predict_together(field, means, metres[:150], of_map[:150], metres[150:])
    np.testing.assert_allclose(near, exact, atol=0.05)
    np.testing.assert_allclose(near.sum(axis=1), 1, atol=1e-9)


def test_parts_without_spread_are_told_as_they_are() -> None:
    lonlat, _, _, _ = world(60)
    metres = to_metres(lonlat)
    y = np.tile([0.5, 0.5, 0.0], (60, 1))
    field, means = gp.fit_together(metres, y)
    np.testing.assert_allclose(gp.predict_together(field, means, metres, y, metres[:5]), y[:5])
