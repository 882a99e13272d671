"""Scores are replaced by scores made alike, or when that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import write_json, write_table
from urbanln.base.parsing import read_json
from urbanln.probe.saved import check_folder

ASKED: dict[str, Any] = {
    "settings": {"seeds": 5, "block_km": 2.0, "heads": ["ridge"]},
    "tables": ["ours"],
    "main": "ours",
    "baseline": None,
    "labels": ["price"],
    "made_from": {"regions": "a1", "indicators": "b1"},
}


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    told = {"kind": "scores", **ASKED, "made_from": {**ASKED["made_from"], "captions": "c1"}}
    write_json(tmp_path / "scores.json", told)
    return tmp_path


def test_the_same_again_is_no_question(scores: Path) -> None:
    check_folder(scores, ASKED)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"settings": {**ASKED["settings"], "seeds": 2}}, "probe.seeds: 5 there, 2 asked for"),
        ({"settings": {**ASKED["settings"], "heads": ["mlp"]}}, "probe.heads: ridge there, mlp asked for"),
        ({"tables": ["ours", "theirs"]}, "tables: ours there, ours, theirs asked for"),
        ({"baseline": "theirs"}, "baseline: None there, theirs asked for"),
        ({"labels": ["price", "people"]}, "labels: price there, price, people asked for"),
        ({"made_from": {"regions": "a2", "indicators": "b1"}}, "regions: a1 there, a2 asked for"),
        ({"made_from": {"x/regions": "a1", "indicators": "b1"}}, "x/regions: None there, a1 asked for"),
    ],
)
def test_what_differs_is_named_and_replaced_on_demand(
    scores: Path, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match="made otherwise") as refused:
        check_folder(scores, {**ASKED, **change})
    assert refused.value.value == told
    assert "--replace" in str(refused.value)
    check_folder(scores, {**ASKED, **change}, replace=True)


def test_what_older_scores_do_not_name_is_not_compared(scores: Path) -> None:
    found = read_json(scores / "scores.json")
    del found["tables"], found["labels"]
    write_json(scores / "scores.json", found)
    check_folder(scores, {**ASKED, "tables": ["theirs"]})


def test_damaged_scores_are_not_replaced_unasked(tmp_path: Path) -> None:
    write_table(tmp_path / "predictions.parquet", pd.DataFrame({"a": [1]}), kind="predictions")
    (tmp_path / "scores.json").write_text('{"kind": "sco')
    with pytest.raises(ArtefactError, match="damaged"):
        check_folder(tmp_path, ASKED)
    check_folder(tmp_path, ASKED, replace=True)
