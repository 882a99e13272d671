"""Gains of parts: the paired difference of two variants, what is said of it, and the small multiples."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.study.fake_stages import LABELS, FakeStages, prediction, truth

from urbanln.base.parsing import read_json
from urbanln.study.gains import expected, mark_standing, sentences, verdict
from urbanln.study.multiples import multiples, panels
from urbanln.study.run import run_study
from urbanln.study.spec import load_study

TEXT = """
[study]
name = "x"
cities = ["synthetic:16:0", "synthetic:16:1"]
seeds = [0, 1, 2]
predicted = "the day before"

[common.probe]
heads = ["ridge"]
bootstrap = 300

[common.train]
lr = 0.1

[parts.vote]
without = { train = { lr = 0.5 } }

[parts."<i>mask"]
with = { train = { lr = 0.1001 } }

[[conditions]]
name = "centre"
at = { false = 30, who = "each" }
predicted = { vote = [0.0, 1.0], "<i>mask" = [0.1, 0.2] }

[[conditions]]
name = "nothing false"
at = { false = 0 }
parts = ["vote"]
train = { lr = 0.2 }

[[conditions]]
name = "all"
at = { who = "all" }
parts = ["vote"]
train = { lr = 0.3 }
"""


def r2(rate: float) -> float:
    scores = []
    for name in LABELS:
        y = truth(name)
        for seed in (0, 1, 2):
            scores.append(1 - ((y - prediction(name, seed, rate)) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    return float(np.mean(scores))


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    FakeStages().install(monkeypatch)
    file = tmp_path / "study.toml"
    file.write_text(TEXT, encoding="utf-8")
    run_study(load_study(file), tmp_path / "out", jobs=1)
    return tmp_path / "out"


def test_gains_equal_the_oracle_and_stand_beside_what_was_predicted(out: Path) -> None:
    result = read_json(out / "study.json")
    rows = {(row["part"], row["condition"]): row for row in result["gains"] if row["split"] == "block"}
    assert list(rows) == [
        ("vote", "centre"), ("<i>mask", "centre"), ("vote", "nothing false"), ("vote", "all"),
    ]  # fmt: skip
    for (part, condition), own, other in (
        (("vote", "centre"), 0.1, 0.5),
        (("vote", "nothing false"), 0.2, 0.5),
        (("vote", "all"), 0.3, 0.5),
        (("<i>mask", "centre"), 0.1001, 0.1),
    ):
        row = rows[part, condition]
        assert row["gain"] == pytest.approx(r2(own) - r2(other))
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]
        assert set(row["by_city"]) == set(result["cities"])
    vote = rows["vote", "centre"]
    assert (verdict(vote), expected(vote), vote["stands"]) == ("pays", "as predicted", True)
    assert expected(rows["<i>mask", "centre"]) == "less"
    assert rows["vote", "all"]["predicted"] is None
    page = (out / "study.html").read_text(encoding="utf-8")
    assert "It pays: vote (centre +" in page
    assert "1 of 2 gains lie in the range that was predicted" in page
    assert "the day before" in page
    assert "<i>mask" not in page
    assert page.count("When does each part pay?") == 2, "one for each split"
    assert "| vote | nothing false | +" in (out / "study.md").read_text(encoding="utf-8")
    picture = ElementTree.parse(out / "study.svg").getroot()
    assert picture.get("width")
    assert "fill: var(--accent)" in "".join(picture.itertext()), "its colours come along"


def row(part: str, gain: float | None, half: float = 0.01, **more: Any) -> dict[str, Any]:
    ends = {"gain_low": None, "gain_high": None} if gain is None else {
        "gain_low": gain - half, "gain_high": gain + half
    }  # fmt: skip
    told = {"part": part, "condition": "c", "moved": "", "at": {"f": 1}, "gain": gain, "gain_sd": half / 1.96}
    return {**told, **ends, "predicted": None, "guessed": False, **more}


def test_a_difference_of_what_may_be_guessed_is_undecided_and_named() -> None:
    rows = [row("a", 0.2, guessed=True), row("b", -0.2, guessed=True), row("c", 0.2)]
    mark_standing(rows)
    assert [verdict(one) for one in rows] == ["undecided", "undecided", "pays"]
    said = sentences(rows)
    assert said[0] == "It pays: c (c +.200 [+.190, +.210])."
    assert said[2].endswith("these stand: c (c).")
    assert said[3] == (
        "Where even the better macro F1 may be that of guessing, a difference is held undecided: a (c); "
        "b (c)."
    )


def test_an_interval_that_holds_zero_is_undecided() -> None:
    assert [verdict(row("p", gain)) for gain in (0.02, 0.005, -0.005, -0.02, None)] == [
        "pays", "undecided", "undecided", "costs", "undecided",
    ]  # fmt: skip


def test_what_lies_near_zero_for_certain_is_nothing_and_no_gain() -> None:
    near = [row("p", 0.002, half=0.001), row("q", -0.004, half=0.0009), row("r", -0.004, half=0.002)]
    mark_standing(near)
    assert [verdict(one) for one in near] == ["nothing", "nothing", "costs"]
    told = " ".join(sentences(near))
    assert "Worth nothing, within ±.005: p (c); q (c)." in told
    assert "these stand: r (c)." in told
    assert "No part pays" in told


def test_what_stands_alone_need_not_stand_among_many() -> None:
    alone, among = [row("p", 0.012)], [row("p", 0.012), *(row(f"p{k}", 0.0) for k in range(19))]
    mark_standing(alone)
    mark_standing(among)
    assert alone[0]["stands"]
    assert not among[0]["stands"]
    assert verdict(among[0]) == "pays"
    told = " ".join(sentences(among))
    assert "Undecided are 19 of 20" in told
    assert "about 1.0 leave 0 out by chance" in told
    assert "none stands" in told
    strong = [row("p", 0.1), row("q", -0.1), row("r", None)]
    mark_standing(strong)
    assert [one["stands"] for one in strong] == [True, True, False]
    told = " ".join(sentences(strong))
    assert "It costs: q (c −.100 [−.110, −.090])" in told
    assert "Undecided are 0 of 2;" in told
    assert sentences([row("r", None)]) == []


def test_panels_are_of_each_part_by_factor_with_levels_in_order() -> None:
    centre = {"moved": "", "at": {"f": 30, "g": "each"}}
    rows = [
        row("vote", 0.0, **centre),
        row("queue", 0.0, condition="centre", **centre),
        row("vote", 0.0, moved="f", at={"f": 60}),
        row("vote", 0.0, moved="f", at={"f": 1024}),
        row("vote", 0.0, moved="f", at={"f": 0}),
        row("vote", 0.0, moved="g", at={"g": "all"}),
    ]
    found = [
        (part, [(f, [level for level, _ in points]) for f, points in factors])
        for part, factors in panels(rows)
    ]
    assert found == [
        ("vote", [("f", ["0", "30", "60", "1,024"]), ("g", ["each", "all"])]),
        ("queue", [("", ["centre"])]),
    ]
    rows[2] |= {"gain": 0.5, "gain_low": 0.4, "gain_high": 0.6, "predicted": [0.0, 0.7]}
    picture = str(multiples(rows, "R²", "block split"))
    tree = ElementTree.fromstring(picture)
    assert len(tree.findall("circle")) == 7, "the centre stands in each of its panels"
    assert sum("full" in one.get("class", "") for one in tree.findall("circle")) == 1
    assert len([one for one in tree.findall("path") if one.get("class") == "band a"]) == 1
    assert "vote, c +.500 [+.400, +.600]" in tree.get("aria-label", "")
