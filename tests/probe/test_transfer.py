"""Transfer between cities against worlds whose answer is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.base.files import read_table
from urbanln.probe.tables import common_regions
from urbanln.probe.transfer import ALL_OTHERS, _pairs, _predict, save_transfer, transfer

SIDE = 12
WEIGHTS = np.array([0.8, -0.5, 0.3, 0.0])
PLACES = {"North": (116.0, 40.0), "South": (113.0, 23.0), "East": (121.0, 31.0)}


def settings(**changes: Any) -> ProbeSettings:
    basic = {"heads": ["ridge"], "seeds": 2, "block_km": 3.0, "buffer_km": 0.5, "bootstrap": 200}
    return ProbeSettings(**{**basic, "shots": [0, 20], **changes})


def world(
    shifts: Mapping[str, float], *, noise: float = 0.2, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Vectors, labels, positions: ln(1 + label) is linear in the vectors, plus the shift of the city."""
    rng = np.random.default_rng(seed)
    frames = []
    for city, shift in shifts.items():
        x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
        lon, lat = PLACES[city]
        vectors = rng.normal(size=(SIDE**2, 4))
        level = 5 + vectors @ WEIGHTS + shift + rng.normal(0, noise, SIDE**2)
        frames.append(
            pd.DataFrame(
                {
                    "region_id": [f"{city}/{i}" for i in range(SIDE**2)],
                    "lon": lon + x.ravel() * 0.012,
                    "lat": lat + y.ravel() * 0.009,
                    "city": city,
                    "vector": list(vectors.astype(np.float32)),
                    "people": np.expm1(level),
                }
            )
        )
    whole = pd.concat(frames, ignore_index=True)
    return (
        whole[["region_id", "vector"]],
        whole[["region_id", "people"]],
        whole[["region_id", "lon", "lat", "city"]],
    )


def row(rows: list[dict[str, Any]], source: str, target: str, features: str, k: int) -> dict[str, Any]:
    found = [
        r for r in rows if (r["source"], r["target"], r["features"], r["k"]) == (source, target, features, k)
    ]
    assert len(found) == 1
    return found[0]


def test_same_mapping_carries_over() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.0})
    rows = transfer({"mine": vectors}, labels, places, settings())
    # Labels are the mapping (variance .98) plus noise of variance .04.
    for source, target in (("North", "South"), ("South", "North")):
        own = row(rows, source, target, "mine", 0)
        assert own["r2"] == pytest.approx(1 - 0.04 / 1.02, abs=0.03)
        assert own["r2_low"] < own["r2"] < own["r2_high"]
        assert own["spearman"] > 0.95
        assert own["n"] == own["n_source"] == SIDE**2
        assert abs(own["level_shift"]) < 0.3
        assert own["vs"]["mean"]["low"] > 0.5
        assert row(rows, source, target, "mean", 0)["r2"] <= 0


def test_shifted_labels_are_negative_keep_their_order_and_are_repaired() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 2.0})
    rows = transfer({"mine": vectors}, labels, places, settings(buffer_km=1.1))
    before, after = (row(rows, "North", "South", "mine", k) for k in (0, 20))
    assert before["r2"] < -1
    assert before["spearman"] > 0.95
    assert before["level_shift"] == pytest.approx(2.0, abs=0.3)
    assert after["r2"] > 0.9
    # Neighbours, 1 km away, of the 20 that are labelled are not scored either.
    assert after["n"] < SIDE**2 - 20 - 20
    mean = row(rows, "North", "South", "target-mean", 20)
    assert -0.3 < mean["r2"] <= 0
    assert after["vs"]["target-mean"]["low"] > 0.5
    assert row(rows, "North", "South", "mean", 20)["r2"] < -1


def test_target_labels_change_nothing_without_shots() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.0})
    south = places["city"].to_numpy() == "South"
    other = labels.copy()
    other.loc[south, "people"] = other.loc[south, "people"] * 7 + 3
    predicted = []
    for table in (labels, other):
        regions = common_regions({"mine": vectors}, table, places)
        (pair,) = (p for p in _pairs(regions, settings())[0] if p.target == "South")
        found = dict(_predict(pair, regions.vectors, settings(), "mine", seed=1))
        predicted.append([found[0, name].tolist() for name in ("mine", "mean")])
    assert predicted[0] == predicted[1]
    assert len(predicted[0][0]) == SIDE**2


def test_shuffled_vectors_do_not_beat_the_mean_of_the_labels_given() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.0})
    shuffled = vectors.assign(vector=vectors["vector"].sample(frac=1, random_state=3).to_list())
    rows = transfer({"mine": shuffled}, labels, places, settings())
    for source, target in (("North", "South"), ("South", "North")):
        for k, rival in ((0, "mean"), (20, "target-mean")):
            assert row(rows, source, target, "mine", k)["vs"][rival]["low"] <= 0.02
        assert abs(row(rows, source, target, "mine", 0)["spearman"]) < 0.25


def test_nearest_distribution_is_the_city_most_alike() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.1, "East": 3.0})
    # Unlabelled, East's vectors look like South's: its labels would say otherwise.
    lift = {"North": 0.0, "South": 4.0, "East": 4.0}
    moved = [
        v + lift[c] * np.eye(4, dtype=np.float32)[3]
        for v, c in zip(vectors["vector"], places["city"], strict=True)
    ]
    rows = transfer({"mine": vectors.assign(vector=moved)}, labels, places, settings(), "mine")
    y = np.log1p(labels["people"])
    means = {city: float(y[places["city"] == city].mean()) for city in PLACES}

    def r2_of(constant: float, target: str) -> float:
        own = y[places["city"] == target]
        return 1 - float(((own - constant) ** 2).sum() / ((own - own.mean()) ** 2).sum())

    found = row(rows, ALL_OTHERS, "South", "nearest-distribution", 0)
    assert found["r2"] == pytest.approx(r2_of(means["East"], "South"))
    assert found["spearman"] is None
    # With labels of the target, its own level tells: North is the nearer one.
    assert row(rows, ALL_OTHERS, "South", "nearest-distribution", 20)["r2"] > -0.3
    assert not [r for r in rows if r["features"] == "nearest-distribution" and r["source"] != ALL_OTHERS]
    assert {(r["source"], r["target"]) for r in rows} >= {(ALL_OTHERS, c) for c in PLACES}


def test_shared_pictures_stay_out_of_the_training() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.0})
    # All northern regions but 30 share their picture with a southern one.
    groups = {f"{city}/{i}": f"picture {i}" for city in ("North", "South") for i in range(SIDE**2 - 30)}
    rows = transfer({"mine": vectors}, labels, places, settings(), groups=groups)
    assert row(rows, "North", "South", "mine", 0)["n_source"] == 30


def test_limits_are_rows_with_a_reason() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.0, "East": 0.0})
    east = (places["city"] == "East").to_numpy()
    labels.loc[east, "people"] = 7.0
    labels["gdp"] = 1.0
    rows = transfer({"mine": vectors}, labels, places, settings(shots=[0, 140, 500]))
    by_reason = {r["reason"] for r in rows if r["reason"]}
    assert "all labels of East are equal" in by_reason
    assert any("all 432 labels are equal" in reason for reason in by_reason)
    assert any("with 500 labelled regions" in reason for reason in by_reason)
    assert all(r["r2"] is None for r in rows if r["reason"])
    assert row(rows, "North", "South", "mine", 0)["r2"] > 0.8


def test_nothing_to_transfer_is_said_and_no_error() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.0})
    labels.loc[places["city"] == "South", "people"] = np.nan
    rows = transfer({"mine": vectors}, labels, places, settings())
    assert {r["reason"] for r in rows} == {"South has 0 usable labelled regions, fewer than 10"}


def test_bad_input_is_one_clear_error() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.0})
    with pytest.raises(InputError, match="needs the city"):
        transfer({"mine": vectors}, labels, places.drop(columns="city"), settings())
    with pytest.raises(InputError, match="two cities or more"):
        transfer({"mine": vectors}, labels, places.assign(city="one"), settings())
    with pytest.raises(InputError, match="name of a floor"):
        transfer({"target-mean": vectors}, labels, places, settings())
    with pytest.raises(InputError, match="main table"):
        transfer({"mine": vectors}, labels, places, settings(), "other")
    with pytest.raises(InputError, match="all others together"):
        transfer({"mine": vectors}, labels, places.replace({"city": {"South": ALL_OTHERS}}), settings())
    assert transfer({"mine": vectors}, labels, places, settings(shots=[])) == []


def test_floors_alone_and_saved_rows_are_read_back(tmp_path: Path) -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.0})
    del vectors
    rows = transfer({}, labels, places, settings(), jobs=1)
    assert {r["features"] for r in rows} == {"mean", "target-mean", "coordinates-nearest"}
    save_transfer(tmp_path, rows, {"labels": "ab"})
    content = json.loads((tmp_path / "transfer.json").read_text())
    assert content["rows"] == rows
    frame = read_table(tmp_path / "transfer.parquet", kind="transfer")
    assert len(frame) == len(rows)
    assert frame["r2"].tolist() == [r["r2"] for r in rows]


def test_results_do_not_depend_on_the_number_of_processes() -> None:
    vectors, labels, places = world({"North": 0.0, "South": 0.5})
    one, two = (transfer({"mine": vectors}, labels, places, settings(seeds=1), jobs=j) for j in (1, 2))
    assert one == two
