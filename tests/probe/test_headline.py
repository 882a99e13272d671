"""One sentence on all labels: what vectors add to the map, then what they are by themselves; and chance."""

from __future__ import annotations

from typing import Any

import pytest

from urbanln.probe.headline import by_chance, headline, judge, state_of

GAPS: dict[str, tuple[float | None, ...]] = {
    "yes": (0.1, 0.05, 0.15), "no": (-0.1, -0.15, -0.05), "undecided": (0.0, -0.1, 0.1),
}  # fmt: skip


def said(indicator: str, features: str, beats: str, gap: tuple[float | None, ...] = ()) -> dict[str, Any]:
    ends = dict(zip(("diff", "low", "high"), gap or GAPS[beats], strict=True))
    return {"indicator": indicator, "features": features, "beats": beats, **ends}


def scores_of(*pairs: tuple[str, str], joint: bool = True, main: str | None = "ours") -> dict[str, Any]:
    """Labels a, b, …: the verdict of the vectors, that with the map, and one against a baseline."""
    verdicts = []
    for name, (alone, adds) in zip("abcdef", pairs, strict=False):
        verdicts.append(said(name, "ours", alone))
        verdicts += [said(name, "coordinates + ours", adds)] if joint else []
        verdicts.append(said(name, "ours", "no"))
    return {"main": main, "rows": [{"indicator": one["indicator"]} for one in verdicts], "verdicts": verdicts}


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (
            [("undecided", "yes")],
            "a: the vectors clearly add to the map; it is undecided whether they beat it by themselves.",
        ),
        (
            [("no", "undecided")],
            "a: it is undecided whether the vectors add to the map; by themselves they are "
            "clearly worse than it.",
        ),
        (
            [("undecided", "yes"), ("yes", "yes"), ("no", "no")],
            "Of 3 labels, the vectors clearly add to the map for 2 (clearly worse with them for 1); by "
            "themselves they clearly beat it for 1 (clearly worse for 1, undecided for 1).",
        ),
        (
            [("undecided", "yes"), ("undecided", "yes")],
            "Of 2 labels, the vectors clearly add to the map for all 2; by themselves they clearly beat it "
            "for none (undecided for 2).",
        ),
    ],
)
def test_what_they_add_is_said_first_and_neither_makes_up_for_the_other(
    pairs: list[tuple[str, str]], sentence: str
) -> None:
    assert headline(scores_of(*pairs)) == sentence


def test_what_was_not_asked_is_said_so() -> None:
    alone = scores_of(("yes", ""), ("undecided", ""), joint=False)
    assert headline(alone) == (
        "Of 2 labels, by themselves the vectors clearly beat the map for 1 (undecided for 1); together with "
        "the map they were not scored."
    )
    floors = scores_of(("yes", ""), joint=False, main=None)
    assert headline(floors) == "a: the map alone clearly beats the mean."
    assert headline({"rows": [], "main": None}) == "No label was scored."
    without = scores_of(("yes", "yes"))
    without["rows"].append({"indicator": "b"})
    assert "for 1 (not scored for 1)" in headline(without)


def test_the_first_of_a_label_speaks_and_older_ones_are_truth_values() -> None:
    (one,) = judge(scores_of(("yes", "undecided")))
    assert (one.alone["beats"], one.adds["beats"], one.leads) == ("yes", "undecided", one.adds)
    states = [state_of({"beats": beats}) for beats in (True, False, "undecided", None, "odd", [])]
    assert states == ["yes", "no", "undecided", "unknown", "unknown", "unknown"]


def test_of_many_intervals_some_are_clear_by_chance_and_those_that_would_go_are_named() -> None:
    assert by_chance(scores_of(("yes", "yes"))) == []  # one label is no search
    assert by_chance(scores_of(*[("undecided", "undecided")] * 3)) == []  # nothing to doubt
    scores = scores_of(*[("undecided", "yes")] * 3)
    (note,) = by_chance(scores)
    assert note == (
        "Of the 6 intervals of these verdicts about 0.3 leave 0 out by chance where there is no difference; "
        "when that is allowed for (Bonferroni), all that is clear stays so."
    )
    # Of 6 intervals a deviation of 2.64 in place of 1.96 is wanted: 1.35 times as far to the end.
    scores["verdicts"][1] |= {"low": 0.1 - 0.1 / 1.34}
    scores["verdicts"][4] |= {"low": 0.1 - 0.1 / 1.36}
    scores["verdicts"][6] |= said("c", "ours", "no", (-0.1, -0.2, -0.01))
    (note,) = by_chance(scores)
    assert note.endswith("(Bonferroni), no longer clear are: a with the map, c alone.")
