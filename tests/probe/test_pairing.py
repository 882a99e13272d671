"""What is compared was held out on the same folds and drawn with the same resamples; each thing once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.oracles import probe as oracle

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.base.space import square_blocks, to_metres
from urbanln.probe import run as run_module
from urbanln.probe.metrics import draw_resamples
from urbanln.probe.run import probe_tables

N = 150
IDS = [f"r{i:03d}" for i in range(N)]
SETTINGS = ProbeSettings(
    heads=("ridge",), seeds=2, bootstrap=200, floors=("coordinates-nearest",), joint=False, curve=()
)


def table(X: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"region_id": IDS, "vector": list(X.astype("float32"))})


def make():
    rng = np.random.default_rng(0)
    lonlat = rng.random((N, 2)) * 0.4 + [116, 40]
    where = pd.DataFrame({"region_id": IDS, "lon": lonlat[:, 0], "lat": lonlat[:, 1]})
    signal = rng.normal(size=(N, 4))
    labels = where[["region_id"]].assign(growth=signal[:, 1] + 0.1 * rng.normal(size=N))
    return {"ours": table(signal)}, labels, where


def test_joint_rows_share_folds_and_draws_with_what_they_are_compared_to() -> None:
    tables, labels, where = make()
    settings = SETTINGS.model_copy(update={"joint": True})
    mute = {"mute": table(np.ones((N, 4))), "ours": tables["ours"]}
    told = probe_tables(mute, labels, where, settings, main="mute", baseline="ours")
    rows = {(r["split"], r["features"]): r for r in told.scores["rows"]}
    for split in ("random", "block"):
        # Columns that say nothing leave the map as it is: paired, the interval is a point.
        gap = rows[split, "coordinates + mute"]["vs"]["map"]
        np.testing.assert_allclose([gap["diff"], gap["low"], gap["high"]], 0, atol=1e-9)
    lonlat = where[["lon", "lat"]].to_numpy()
    blocks = square_blocks(to_metres(lonlat), settings.block_km)
    draws = draw_resamples(blocks, settings.seeds, settings.bootstrap)
    frame = told.predictions.set_index("region_id").loc[where["region_id"]]

    def samples(features: str) -> np.ndarray:
        own = frame[(frame["split"] == "block") & (frame["features"] == features)]
        held = np.stack([own.loc[own["seed"] == seed, "prediction"] for seed in range(settings.seeds)])
        y = labels["growth"].to_numpy()
        return oracle.bootstrap_r2(y, held, blocks, draws.block_draws, draws.seed_draws)

    both = samples("coordinates + ours")
    for other in ("map", "mean", "coordinates-nearest"):
        gap = rows["block", "coordinates + ours"]["vs"][other]
        slow = np.quantile(both - samples(other), [0.025, 0.975])
        np.testing.assert_allclose([gap["low"], gap["high"]], slow, atol=1e-5)


@pytest.mark.parametrize("known", [None, True, False])
def test_whether_pre_training_saw_the_pictures_may_be_unknown(known: bool | None) -> None:
    tables, labels, where = make()
    told = probe_tables(tables, labels, where, SETTINGS, transductive=known).scores
    assert told["transductive"] is known
    assert any("not known" in note for note in told["notes"]) == (known is None)


def test_a_head_there_is_not_is_told_at_once_and_things_asked_twice_are_scored_once(monkeypatch) -> None:
    tables, labels, where = make()
    twice = SETTINGS.model_copy(update={"heads": ("ridge", "ridge"), "splits": ("block", "block")})
    rows = probe_tables(tables, labels, where, twice).scores["rows"]
    keys = [(r["indicator"], r["split"], r["features"], r["head"]) for r in rows]
    assert len(set(keys)) == len(keys) == 3
    monkeypatch.setattr(run_module, "make_cells", lambda *_: pytest.fail("work began"))
    for head in ("rigde", "sklearn.svm:NoSuch"):
        with pytest.raises(InputError, match="no such"):
            probe_tables(tables, labels, where, SETTINGS.model_copy(update={"heads": ("ridge", head)}))
