"""Label-efficiency curve: sizes that every fold can give, and points that are those of few labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from urbanln.base.config import ProbeSettings
from urbanln.probe.cells import curve_sizes
from urbanln.probe.held_out import held_out
from urbanln.probe.labels import prepare_labels
from urbanln.probe.metrics import r2
from urbanln.probe.run import probe_tables
from urbanln.probe.splits import Fold, block_split, few_shot

N = 200


def test_sizes_are_those_that_the_smallest_fold_can_give() -> None:
    folds = [[Fold(np.arange(n), np.arange(n, n + 2), np.arange(n + 2, 60)) for n in (30, 20)]]
    assert curve_sizes(folds, (50, 22, 23, 10, 10, 3)) == [10, 22]


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    ids = [f"r{i:03d}" for i in range(N)]
    lonlat = rng.random((N, 2)) * 0.4 + [116, 40]
    X = rng.normal(size=(N, 8)).astype("float32")
    where = pd.DataFrame({"region_id": ids, "lon": lonlat[:, 0], "lat": lonlat[:, 1]})
    y = X @ np.arange(8) / 8 + rng.normal(size=N)
    settings = ProbeSettings(
        heads=("ridge",),
        seeds=2,
        bootstrap=200,
        floors=("coordinates-nearest",),
        joint=False,
        curve=(10, 40, 120, 500),
    )
    labels = pd.DataFrame({"region_id": ids, "y": y})
    scores = probe_tables(
        {"ours": pd.DataFrame({"region_id": ids, "vector": list(X)})}, labels, where, settings
    )
    return scores.scores, X, y, lonlat


def test_more_labels_help_vectors_and_every_point_has_its_interval(found) -> None:
    scores, *_ = found
    points = {(p["features"], p["k"]): p for p in scores["curves"]}
    assert set(points) == {(f, k) for f in ("mean", "coordinates-nearest", "ours") for k in (10, 40, 120)}
    assert {(p["split"], p["indicator"]) for p in points.values()} == {("block", "y")}
    assert points["ours", 10]["r2"] < points["ours", 40]["r2"] < points["ours", 120]["r2"]
    assert all(p["r2_low"] < p["r2"] < p["r2_high"] for p in points.values() if p["features"] == "ours")
    full = next(r for r in scores["rows"] if r["features"] == "ours" and r["split"] == "block")
    assert points["ours", 120]["r2"] < full["r2"] + 0.05


def test_a_point_is_what_few_labels_give_by_hand(found) -> None:
    scores, X, y, lonlat = found
    labels = prepare_labels(y, lonlat)
    by_hand = []
    for seed in range(2):
        folds = few_shot(block_split(lonlat, edge_km=5, buffer_km=1, seed=seed), 40, seed)
        assert {len(fold.known) for fold in folds} == {40}
        by_hand.append(r2(labels.y, held_out("ridge", X, labels.y, folds, seed)))
    point = next(p for p in scores["curves"] if p["features"] == "ours" and p["k"] == 40)
    assert point["r2"] == pytest.approx(np.mean(by_hand))
