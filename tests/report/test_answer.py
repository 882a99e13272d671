"""The first screen: one table with the answer, and nothing about what a city has not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.report.page_reader import Page

from urbanln.report import write_report
from urbanln.report.answer import answer, badge

Make = Callable[..., dict[str, Any]]


def page_of(tmp_path: Path, inputs: dict[str, Any]) -> Page:
    return Page(write_report(tmp_path / "report.html", **inputs).read_text(encoding="utf-8"))


def test_answer_is_one_sentence_and_a_row_per_label_what_can_be_predicted_first(make: Make) -> None:
    scores = make(4, ("crime", "population", "night_light"))["scores"]
    for verdict, beats in zip(scores["verdicts"][::2], ("no", "yes", "undecided"), strict=True):
        verdict |= {
            "beats": beats,
            "against": "coordinates-nearest",
            "diff": 0.24,
            "low": 0.16,
            "high": 0.31,
        }
    found = answer(scores, {"crime": "reports/year"}, 16)
    assert found["sentence"] == (
        "Of 3 labels, by themselves the vectors clearly beat the map for 1 (clearly worse for 1, undecided "
        "for 1); together with the map they were not scored."
    )
    assert [row["indicator"] for row in found["rows"]] == ["population", "crime", "night light"]
    crime = found["rows"][1]
    assert (crime["floor"], crime["floor_score"]) == ("coordinates, neighbours", ".31")
    assert (crime["score"], crime["range"]) == (".55", "[.49, .60]")
    assert [crime["alone"][key] for key in ("diff", "range", "word")] == ["+.24", "[.16, .31]", "No"]
    assert (crime["adds"]["word"], found["asked_adds"]) == ("Not scored", False)
    assert crime["unit"] == "reports/year"


def test_undecided_classes_that_may_be_guessed_are_not_said_to_hold_0(tmp_path: Path, make: Make) -> None:
    inputs = make(4)
    scores = inputs["scores"]
    for verdict, low in zip(scores["verdicts"][:3:2], (0.01, -0.01), strict=True):
        verdict |= {"beats": "undecided", "diff": 0.05, "low": low, "high": 0.13}
    assert [badge(one)["meaning"].partition(",")[0] for one in scores["verdicts"][:3:2]] == [
        "the interval of the difference lies above 0",
        "the interval of the difference holds 0",
    ]
    legend = "what guessing by frequency reaches"
    assert legend not in page_of(tmp_path, inputs).words
    for one in scores["rows"]:
        one |= {"kind": "classes", "score_name": "macro_f1", "score": 0.3}
    assert legend in page_of(tmp_path, inputs).words


def test_difference_comes_from_the_rows_where_the_verdict_has_none(make: Make) -> None:
    (row,) = answer(make(4, ("crime",))["scores"], {}, 16)["rows"]
    assert row["floor"] == "coordinates, neighbours"
    assert (row["alone"]["diff"], row["alone"]["range"]) == ("+.24", "[.16, .31]")


def together(scores: dict[str, Any], *beats: str) -> None:
    """Verdicts of map and vectors together, in the order of the labels, behind all others."""
    names = dict.fromkeys(verdict["indicator"] for verdict in scores["verdicts"])
    for name, said in zip(names, beats, strict=True):
        gap = {"diff": 0.05, "low": 0.01, "high": 0.09} if said == "yes" else {}
        joint = {"indicator": name, "features": "coordinates + urbanln", "split": "block", "beats": said}
        scores["verdicts"].append(
            joint | gap | {"sentence": f"{name}: the map and urbanln together: {said}."}
        )


def test_what_vectors_add_to_the_map_is_said_first_wherever_it_was_scored(tmp_path: Path, make: Make) -> None:
    inputs = make(4)  # alone: yes, undecided, no
    together(inputs["scores"], "undecided", "yes", "no")
    found = answer(inputs["scores"], {}, 16)
    assert [row["indicator"] for row in found["rows"]] == ["crime", "night light", "population"]
    assert [(row["adds"]["state"], row["alone"]["state"]) for row in found["rows"]] == [
        ("yes", "undecided"),
        ("no", "no"),
        ("undecided", "yes"),
    ]
    assert (found["rows"][0]["adds"]["diff"], found["rows"][0]["adds"]["range"]) == ("+.05", "[.01, .09]")
    page = page_of(tmp_path, inputs)
    assert page.by_id("verdicts-title")[2] == "What do these vectors add to the map?"
    lead = page.words.index(
        "Of 3 labels, the vectors clearly add to the map for 1 (clearly worse with them for 1, undecided for "
        "1); by themselves they clearly beat it for 1 (clearly worse for 1, undecided for 1)."
    )
    assert lead < page.words.index("Map and vectors − map") < page.words.index("Vectors alone − map")
    for said in (
        "undecided",
        "yes",
        "no",
    ):  # the sentences of each label, the one that speaks first at the top
        first = page.words.index(f"The map and urbanln together: {said}.")
        assert first < page.words.index("urbanln beats the coordinates floor", first) < first + 120


def test_head_counts_what_has_a_label(tmp_path: Path, make: Make) -> None:
    inputs = make(4, ("crime", "population"))
    scores = inputs["scores"]
    said = {"total": 16, "common": 16, "labelled": {"crime": 9, "population": 14}}
    for labelled, text in (
        ({"crime": 9, "population": 14}, "16 regions, 9 to 14 of them labelled"),
        ({"crime": 9, "population": 9}, "16 regions, 9 of them labelled"),
        ({"crime": 16, "population": 16}, "16 regions, all labelled"),
    ):
        scores["regions"] = said | {"labelled": labelled}
        found = answer(scores, {}, 16)
        assert found["regions"] == text
        assert [row["labelled"] for row in found["rows"]] == [f"{n}" for n in labelled.values()]
    page = page_of(tmp_path, inputs)
    assert "16 regions, all labelled · 2 indicators" in page.words
    del scores["regions"]  # of older scores
    assert answer(scores, {}, 400)["regions"] == "400 regions, 100 of them labelled"


def test_answer_comes_before_contents_and_detail(tmp_path: Path, make: Make) -> None:
    page = page_of(tmp_path, make(4))
    tags = [(tag, attrs.get("class"), attrs.get("id")) for tag, attrs, _ in page.elements]
    table = tags.index(("table", "scores answer", None))
    assert table < tags.index(("nav", None, None)) < tags.index(("section", None, "words"))


def test_no_section_and_no_link_for_what_is_not_there(tmp_path: Path, make: Make) -> None:
    """Each is left out with its heading; one list at the end says so, a sentence each."""
    inputs = make(4)
    there = {"training", "examples", "maps", "scatter", "scores", "words"}
    sections = {a.get("id") for _, a, _ in page_of(tmp_path, inputs).all("section")}
    assert there <= sections
    bare = inputs | {"metrics": [], "examples": [], "predictions": inputs["predictions"].iloc[:0]}
    page = page_of(tmp_path, bare | {"scores": {"kind": "scores", "rows": []}})
    sections = {a.get("id") for _, a, _ in page.all("section")}
    assert not there & sections
    links = {(a.get("href") or "")[1:] for _, a, _ in page.all("a")}
    assert links <= sections
    assert "Not on this page" in page.words
    assert not any(a.get("class") == "card" for _, a, _ in page.elements)
    only = [r for r in make(4)["scores"]["rows"] if r["split"] == "random"]
    cards = page_of(tmp_path, inputs | {"scores": inputs["scores"] | {"rows": only}})
    assert not re.search("Whole blocks of the city", cards.words)


def test_wide_tables_scroll_by_themselves_by_keys_and_say_so(tmp_path: Path, make: Make) -> None:
    page = page_of(tmp_path, make(4))
    regions = [a for _, a, _ in page.all("div") if a.get("class") == "scroll"]
    assert len(regions) == len([a for _, a, _ in page.all("table")])
    assert all(a["tabindex"] == "0" and (a["aria-label"] or "").endswith("scrolls sideways") for a in regions)
    assert len({a["aria-label"] for a in regions}) == len(regions)
