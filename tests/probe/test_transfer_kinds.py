"""Classes and shares from one city to another: what the vectors tell goes along, and floors know no place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.probe.simulated_parts import drawn, world

from urbanln.base.config import ProbeSettings
from urbanln.base.kinds import LabelKind
from urbanln.probe.transfer import save_transfer, transfer

KINDS = {"land": LabelKind("classes", ("land",)), "age": LabelKind("shares", ("young", "middle", "old"))}
SETTINGS = ProbeSettings(heads=("ridge",), seeds=1, block_km=4, buffer_km=0.2, shots=(0, 20), bootstrap=100)


@pytest.fixture(scope="module")
def rows():
    tables, labels, places = [], [], []
    for number, city in enumerate(("east", "west", "north")):
        lonlat, vectors, parts, _ = world(80, seed=number)
        ids = [f"{city}/{at}" for at in range(80)]
        tables.append(pd.DataFrame({"region_id": ids, "vector": list(vectors)}))
        columns = dict(zip(KINDS["age"].columns, parts.T, strict=True))
        labels.append(
            pd.DataFrame({"region_id": ids, "land": drawn(parts), "income": vectors[:, 0], **columns})
        )
        where = {"region_id": ids, "lon": lonlat[:, 0] + number, "lat": lonlat[:, 1], "city": city}
        places.append(pd.DataFrame(where))
    joined = [pd.concat(frames, ignore_index=True) for frames in (tables, labels, places)]
    return transfer({"ours": joined[0]}, joined[1], joined[2], SETTINGS, kinds=KINDS, jobs=1)


def test_every_pair_is_scored_in_the_main_score_of_the_kind(rows) -> None:
    assert not [row for row in rows if row["reason"]]
    names = {"land": "macro_f1", "age": "kl_skill", "income": "r2"}
    for row in rows:
        assert row["score_name"] == names[row["indicator"]]
        assert row["score_low"] <= row["score"] <= row["score_high"] + 1e-9
        assert (row["r2"] == row["score"]) if row["kind"] == "number" else row["r2"] is None


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("k", [0, 20])
def test_what_vectors_decide_goes_along(rows, name: str, k: int) -> None:
    own = [row for row in rows if (row["indicator"], row["k"], row["features"]) == (name, k, "ours")]
    assert {(row["source"], row["target"]) for row in own} >= {("east", "west"), ("all others", "north")}
    for row in own:
        for floor, gap in row["vs"].items():
            assert gap["low"] > 0, floor
    floors = {row["features"] for row in rows if (row["indicator"], row["k"]) == (name, k)}
    assert ("coordinates-nearest" in floors) == (k > 0)


def test_the_mean_share_of_the_source_is_near_that_of_the_target(rows) -> None:
    for row in rows:
        if row["indicator"] == "age" and row["features"] == "target-mean":
            assert -0.3 < row["score"] <= 0.01, "the mean of 20 of its regions, against that of all"


def test_rows_are_saved(rows, tmp_path) -> None:
    save_transfer(tmp_path, rows)
    table = pd.read_parquet(tmp_path / "transfer.parquet")
    assert np.isfinite(table["score"]).all()
    assert table.loc[table["indicator"] == "land", "r2"].isna().all()
