"""Probing simulated classes and shares, of which is known whether vectors or the map decide them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.probe.simulated_parts import drawn, world

from urbanln.base.errors import InputError
from urbanln.probe.labels import prepare_labels
from urbanln.probe.part_floors import part_floor
from urbanln.probe.part_scores import residuals_alike
from urbanln.probe.score import make_folds, probe_parts
from urbanln.probe.splits import Fold

NAMES = ("young", "middle", "old")
QUICK = {"edge_km": 4.0, "buffer_km": 0.5, "seeds": 1, "bootstrap": 200}


def scored(kind: str, of: str, **changed):
    lonlat, vectors, of_vectors, of_map = world(300)
    even = np.random.default_rng(9).dirichlet([2, 2, 2], 300)
    parts = {"vectors": of_vectors, "map": of_map, "noise": even}[of]
    names = NAMES if kind == "shares" else ()
    # Of noise each class is drawn alike everywhere, whatever its shares.
    target = parts if names else drawn(np.full((300, 3), 1 / 3) if of == "noise" else parts)
    options = {"floors": ("coordinates-gp",), **QUICK, **changed}
    return probe_parts(vectors, target, kind, lonlat=lonlat, names=names, **options)


@pytest.mark.parametrize("kind", ["classes", "shares"])
@pytest.mark.parametrize("head", ["ridge", "mlp", "boosting"])
def test_a_label_of_the_vectors_is_found_by_every_head(kind: str, head: str) -> None:
    found = scored(kind, "vectors", head=head, joint=False, floors=("coordinates-nearest",))
    assert found.vs["mean"].low > 0.05
    assert found.vs["coordinates-nearest"].low > 0.05
    assert found.score_low < found.score < found.score_high
    np.testing.assert_allclose(np.nansum(found.predictions, axis=2), 1)


@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_a_label_of_the_map_is_no_gain_of_the_vectors(kind: str) -> None:
    found = scored(kind, "map")
    assert found.vs["coordinates-gp"].high < 0
    assert found.adds is not None
    assert found.adds.low < 0.01, "the vectors add nothing to the map"


@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_noise_is_no_gain_over_the_mean_nor_the_map(kind: str) -> None:
    found = scored(kind, "noise")
    assert found.adds is not None
    assert found.adds.low < 0 < found.adds.high
    # The most frequent class alone has a macro F1 of a third of its own; guessing all has more. Of shares the
    # mean is the best there is.
    if kind == "shares":
        assert found.score < 0.02
        assert found.vs["mean"].low < 0
    else:
        assert found.score < 0.42
        assert found.vs["coordinates-gp"].low < 0


def test_the_label_that_vectors_decide_is_added_to_the_map() -> None:
    assert scored("classes", "vectors").adds.low > 0


def test_a_function_of_ones_own_sees_parts_of_known_rows_alone() -> None:
    def own(X, y, fold, seed):
        assert np.isnan(y[fold.test]).all()
        assert y.shape == (300, 3)
        return 7.0 * np.tile(y[fold.known].mean(axis=0), (len(fold.test), 1))

    same = scored("shares", "vectors", head=own, joint=False, floors=())
    assert same.score == pytest.approx(0, abs=1e-3), "the mean share, whatever its sum"

    def short(X, y, fold, seed):
        return np.zeros(len(fold.test))

    with pytest.raises(InputError, match="finite numbers"):
        scored("classes", "vectors", head=short)


def test_a_class_that_stands_on_one_side_alone_is_scored_and_finite() -> None:
    """Its truths are met by nobody: F1 of 0, a log loss that is finite, no coverage."""
    lonlat, vectors, parts, _ = world(200)
    classes = drawn(parts).astype(object)
    west = lonlat[:, 0] < np.quantile(lonlat[:, 0], 0.1)
    classes[west] = "sand"
    rest = np.flatnonzero(~west)
    held = Fold(rest[:120], rest[120:140], np.flatnonzero(west))
    other = Fold(rest[:100], rest[120:140], rest[100:120])
    found = probe_parts(
        vectors, classes, "classes", lonlat=lonlat, split=lambda seed: [held, other], floors=(), **QUICK
    )
    sand = next(part for part in found.by_part if part["name"] == "sand")
    assert sand["f1"] == 0
    assert sand["coverage"] < 0.2
    assert np.isfinite(found.own["log_loss"])


@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_a_pattern_that_a_model_leaves_on_the_map_is_found_and_none_where_it_leaves_none(kind: str) -> None:
    left = scored(kind, "map", joint=False, floors=())
    assert left.morans_i > 0.2
    assert left.morans_p == 0.005
    assert all(part["morans_p"] == 0.005 for part in left.by_part)
    known = scored(kind, "vectors", joint=False, floors=())
    assert known.morans_p > 0.05
    assert abs(known.morans_i) < 0.05


@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_of_noise_a_pattern_is_found_as_seldom_as_is_said(kind: str) -> None:
    """Residuals of the mean floor over blocks, in 80 maps."""
    lonlat = world(120)[0]
    rng, p, folds = np.random.default_rng(3), [], []
    for _ in range(80):
        parts = rng.dirichlet([1, 2, 6], 120)
        names = NAMES if kind == "shares" else ()
        labels = prepare_labels(parts if names else drawn(parts), lonlat, kind=kind, names=names)
        folds = folds or make_folds(labels, "block", 0, folds=4, edge_km=4, buffer_km=0.5)
        made = part_floor("mean", labels.metres, labels.y, folds, 0, kind == "classes")
        p.append(residuals_alike(labels, made[None], np.ones(120, dtype=bool))[0].p)
    assert 0 < np.mean(np.array(p) <= 0.05) < 0.1
