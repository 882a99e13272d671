"""Sentences: the rival is the strongest floor, the split is named, and doubt is called doubt."""

from __future__ import annotations

from typing import Any

import pytest

from urbanln.base.config import ProbeSettings
from urbanln.probe.verdict import hardest_split, judged_split, make_notes, make_verdicts, strongest_floor

GAP = {"diff": 0.1, "low": 0.05, "high": 0.15}


def row(features: str, head: str, value: float, vs: dict[str, Any], split: str = "block") -> dict[str, Any]:
    return {
        "indicator": "gdp", "split": split, "features": features, "head": head, "r2": value, "vs": vs,
        "transform": "log1p", "dropped_zeros": 0, "coverage": 0.8, "coverage_high": 0.85,
    }  # fmt: skip


def make(joint: dict[str, Any] = GAP, split: str = "block", **floors: float) -> dict[str, Any]:
    levels = {"mean": 0.0, "coordinates-nearest": 0.2, "coordinates-gp": 0.3} | floors
    rows = [row(name, "none", value, {}, split) for name, value in levels.items()]
    rows += [
        row("ours", "ridge", 0.4, dict.fromkeys(levels, GAP) | {"base": GAP}, split),
        row("map", "ridge", 0.35, {}, split),
        row("coordinates + ours", "ridge", 0.4, dict.fromkeys(levels, GAP) | {"map": joint}, split),
    ]
    report = {"n": 500, "n_blocks": 40, "found": [], "by_indicator": {"gdp": {"found": []}}}
    return {
        "main": "ours", "baseline": "base", "transductive": False, "rows": rows, "splits": {split: report},
        "settings": ProbeSettings(block_km=10).model_dump(mode="json"), "skipped": [], "skipped_splits": [],
        "floors_notes": {}, "regions": {"common": 500, "total": 500},
    }  # fmt: skip


def test_the_rival_is_the_strongest_floor_by_name_and_the_mean_where_the_map_is_worse() -> None:
    first, joint, base = make_verdicts(make())
    assert (first["against"], joint["against"], base["against"]) == ("coordinates-gp", "map", "base")
    assert first["sentence"] == (
        "gdp: ours (ridge) beats the coordinates floor by Gaussian process under 10 km blocks "
        "by .10 [.05, .15] R²."
    )
    below = make(**{"coordinates-nearest": -0.2, "coordinates-gp": -0.1})
    assert strongest_floor(below, "gdp", "block") == "mean"
    sentence = make_verdicts(below)[0]["sentence"]
    assert "beats the mean floor" in sentence
    assert sentence.endswith("No coordinates floor lies above the mean here.")
    even = make(**{"coordinates-nearest": 0.0, "coordinates-gp": -0.1})
    assert strongest_floor(even, "gdp", "block") == "coordinates-nearest"


@pytest.mark.parametrize(
    ("gap", "beats", "words"),
    [
        (
            GAP,
            "yes",
            "the map and ours together (ridge) beat the same head on the map alone under 10 km blocks "
            "by .10 [.05, .15] R²: the vectors add to the map.",
        ),
        (
            {"diff": -0.1, "low": -0.2, "high": -0.05},
            "no",
            "do not beat the same head on the map alone under 10 km blocks: −.10 [−.20, −.05] R².",
        ),
        (
            {"diff": 0.0, "low": -0.1, "high": 0.1},
            "undecided",
            "is undecided: .00 [−.10, .10] R² (the interval",
        ),
        ({"diff": 0.0, "low": float("nan"), "high": None}, "undecided", "(there is no interval)"),
    ],
)
def test_what_vectors_add_to_the_map_is_said(gap: dict[str, Any], beats: str, words: str) -> None:
    joint = make_verdicts(make(gap))[1]
    assert (joint["features"], joint["beats"]) == ("coordinates + ours", beats)
    assert words in joint["sentence"]


def test_a_head_that_is_weak_on_the_map_is_no_rival_where_a_floor_is_stronger() -> None:
    scores = make(**{"coordinates-gp": 0.36})
    scores["rows"][-1]["vs"]["coordinates-gp"] = {"diff": -0.1, "low": -0.2, "high": -0.01}
    joint = make_verdicts(scores)[1]
    assert (joint["against"], joint["beats"]) == ("coordinates-gp", "no")
    assert "do not beat the coordinates floor by Gaussian process" in joint["sentence"]


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("random", "under the random split"),
        ("district", "with whole districts held out"),
        ("city", "with whole cities held out"),
    ],
)
def test_the_split_is_named(split: str, words: str) -> None:
    scores = make(split=split)
    assert words in make_verdicts(scores)[0]["sentence"]
    assert judged_split(scores) == split
    assert hardest_split([split, "random"]) == split
    assert hardest_split([split, "block"]) == "block"


def test_notes_tell_what_weakens_the_answer() -> None:
    scores = make()
    scores["splits"]["block"] |= {"n_blocks": 4, "found": ["A tile repeats."]}
    scores["splits"]["block"]["by_indicator"]["gdp"]["found"] = ["Half are twins."]
    scores["rows"][0]["dropped_zeros"] = 506
    scores["floors_notes"] = {"coordinates-gp": "The process saw a sample."}
    scores["skipped_splits"] = [{"indicator": "gdp", "split": "city", "reason": "one city"}]
    notes = make_notes(scores)
    assert "Only 4 blocks: the intervals are a rough guide." in notes
    assert "Block split: A tile repeats." in notes
    assert "Block split, gdp: Half are twins." in notes
    assert "gdp: 506 regions with the label 0 were dropped, since 0 has no logarithm." in notes
    assert "The process saw a sample." in notes
    assert "No city split: gdp (one city)." in notes
    assert "gdp: the 90% intervals of ours (ridge) hold only 80% of the truths under 10 km blocks." in notes


def test_what_was_not_scored_or_is_not_known_is_said_so() -> None:
    bare = make()
    bare["rows"] = [row for row in bare["rows"] if "coordinates" not in row["features"]]
    for line in bare["rows"]:
        line["vs"] = {name: gap for name, gap in line["vs"].items() if not name.startswith("coordinates")}
    assert make_verdicts(bare)[0]["sentence"].endswith("No coordinates floor was scored.")

    def pictures(transductive: bool | None) -> list[str]:
        return [note for note in make_notes(make() | {"transductive": transductive}) if "training" in note]

    assert pictures(False) == []
    assert pictures(None) == [
        "It is not known whether what made these vectors saw the test regions in training."
    ]
    assert pictures(True)[0].startswith("Pre-training saw")


@pytest.mark.parametrize(
    ("blocks", "note"), [(1, "there are no intervals"), (9, "a rough guide"), (10, None)]
)
def test_few_blocks_are_told(blocks: int, note: str | None) -> None:
    told = make()
    told["splits"]["block"]["n_blocks"] = blocks
    notes = [line for line in make_notes(told) if "block" in line and line.startswith("Only")]
    assert [note in line for line in notes] == ([] if note is None else [True])
