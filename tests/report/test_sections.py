"""Sections of the page that are there when the scores have their keys, and say what the numbers say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.page_reader import Page

from urbanln.base.errors import InputError
from urbanln.report import write_audit_page, write_report
from urbanln.report.audit import audit_context
from urbanln.report.caption_faults import caption_faults
from urbanln.report.drawn import forests
from urbanln.report.few_labels import efficiency, transfer_sections
from urbanln.report.leakage import fact_names, leakage_table
from urbanln.report.plots import Axis, Curve, curves, matrix, shade
from urbanln.report.reading import shown_split, splits_of, strongest_floor, subject
from urbanln.report.tables import coverage_lines, joint_lines, residual_lines

Make = Callable[..., dict[str, Any]]


def row(features: str, r2: float, split: str = "block", head: str = "ridge", **more: Any) -> dict[str, Any]:
    basic = {"indicator": "crime", "split": split, "features": features, "head": head, "r2": r2}
    ends = {"r2_low": r2 - 0.1, "r2_high": r2 + 0.1, "transform": "log1p", "n": 50}
    return basic | ends | {"vs": {}} | more


def scores_of(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    settings = {"heads": ["ridge"], "level": 0.9}
    return {"kind": "scores", "main": "mine", "baseline": None, "settings": settings, "rows": [*rows]} | more


def page_of(tmp_path: Path, inputs: dict[str, Any]) -> Page:
    return Page(write_report(tmp_path / "report.html", **inputs).read_text(encoding="utf-8"))


def test_every_split_that_was_scored_is_a_column(tmp_path: Path, make: Make) -> None:
    inputs = make(4, ("population",))
    scores = inputs["scores"]
    for split in ("district", "city"):
        scores["rows"] += [r | {"split": split} for r in scores["rows"] if r["split"] == "block"]
    page = page_of(tmp_path, inputs)
    heads = [text for _, _, text in page.all("th") if text.startswith("R², ") and text.endswith(" split")]
    assert heads == ["R², city split", "R², district split", "R², block split", "R², random split"]
    assert "City split" in page.words
    assert list(splits_of(scores)) == ["city", "district", "block", "random"]
    assert shown_split(scores) == "block"
    only = scores | {"rows": [r for r in scores["rows"] if r["split"] in ("random", "district")]}
    assert shown_split(only) == "district"


def test_the_strongest_floor_is_the_rival() -> None:
    floors = {"mean": 0.0, "coordinates-nearest": 0.2, "coordinates-gp": 0.4, "coordinates-boosting": 0.3}
    rows = [row(name, r2, head="none") for name, r2 in floors.items()]
    scores = scores_of(*rows, row("mine", 0.9), row("map", 0.95))
    assert strongest_floor(scores, "crime", "block") == "coordinates-gp"
    assert strongest_floor(scores, "crime", "city") is None


def test_the_map_comparison_is_one_line() -> None:
    both = row("coordinates + mine", 0.5)
    said = {key: both[key] for key in ("indicator", "split", "features", "head")}
    said |= {"diff": 0.1, "low": 0.05, "high": 0.2, "beats": "yes", "against": "map"}
    rows = [row("coordinates-gp", 0.45, head="none"), row("mine", 0.3), row("map", 0.4), both]
    for beats, word in (("yes", "adds to it"), ("undecided", "adds nothing that is clear")):
        # The word is the verdict's, which may doubt classes whose interval lies above 0.
        (line,) = joint_lines(scores_of(*rows, verdicts=[said | {"beats": beats}]))
        assert (line["word"], line["gap"]) == (word, ("+.10", "[.05, .20]", "above"))
        assert (line["best"], line["map"][0], line["both"][0]) == ("the head (ridge)", ".40", ".50")
    (line,) = joint_lines(scores_of(*rows, verdicts=[said | {"against": "coordinates-gp"}]))
    assert (line["best"], line["map"][0]) == ("coordinates, Gaussian process", ".45")
    assert joint_lines(scores_of(row("mine", 0.3))) == []


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.6, 0.8, "too narrow"), (0.95, 0.99, "wider than"), (0.85, 0.93, "within the uncertainty")],
)
def test_coverage_is_held_against_what_was_asked(low: float, high: float, said: str) -> None:
    reached = {"coverage": (low + high) / 2, "coverage_low": low, "coverage_high": high, "width": 1200.0}
    (line,) = coverage_lines(scores_of(row("mine", 0.3, **reached)), {"crime": "reports"})
    assert said in line["sentence"]
    assert line["asked"] == "90 %"
    assert line["width"] == "1200 reports"
    assert coverage_lines(scores_of(row("mine", 0.3)), {}) == []


def test_errors_alike_in_space_are_said() -> None:
    for moran, p, said in (
        (0.4, 0.005, "err alike: something"),
        (0.01, 0.4, "no sign"),
        (-0.3, 0.01, "no sign"),
    ):
        (line,) = residual_lines(scores_of(row("mine", 0.3, morans_i=moran, morans_p=p)))
        assert said in line["sentence"]


def test_of_shares_each_part_all_parts_and_the_distance_have_their_coverage() -> None:
    numbers = {"coverage": 0.9, "coverage_low": 0.88, "coverage_high": 0.93, "width": 0.3, "kind": "shares"}
    numbers |= {
        "joint_coverage": 0.7,
        "joint_coverage_low": 0.6,
        "joint_coverage_high": 0.8,
        "joint_width": 0.5,
    }
    numbers |= {
        "radius_coverage": 0.95,
        "radius_coverage_low": None,
        "radius_coverage_high": None,
        "radius": 0.2,
    }
    given = scores_of(row("mine", 0.3, **numbers))
    part, whole, ball = coverage_lines({**given, "settings": {**given["settings"], "level": 0.9}}, {})
    assert part["indicator"].endswith(", each part")
    assert (whole["width"], whole["range"]) == ("0.5", "[60 %, 80 %]")
    assert (
        "intervals of all parts at once hold 70 % [60 %, 80 %] of the truths of the 90 %" in whole["sentence"]
    )
    assert "too narrow" in whole["sentence"]
    assert "distances, in total variation, hold 95 %" in ball["sentence"]
    assert ball["width"] == "0.2"
    older = scores_of(row("mine", 0.3, kind="shares", coverage=0.9))
    assert len(coverage_lines(older, {})) == 1


def test_of_parts_the_one_whose_errors_are_most_alike_is_named() -> None:
    parts = [
        {"name": name, "morans_i": i} for name, i in (("young", 0.1), ("old", 0.46), ("rest", None), ("a", 0))
    ]
    for p, said in ((0.01, " Most so for old (.46)."), (0.3, "err alike.")):
        given = row("mine", 0.3, morans_i=0.4, morans_p=p, by_part=parts)
        assert residual_lines(scores_of(given))[0]["sentence"].endswith(said)
    given = row("mine", 0.3, morans_i=0.4, morans_p=0.01, by_part=parts[:2])
    assert residual_lines(scores_of(given))[0]["sentence"].endswith("samples.")


def test_leakage_is_told_per_split_with_what_was_found() -> None:
    report = {
        "folds": 5,
        "seeds": 2,
        "edge_km": 5.0,
        "buffer_km": 1.0,
        "train_min": 60,
        "train_max": 70,
        "nearest_km_min": 1.04,
        "nearest_km_median": 2.5,
        "shared_groups": 3,
        "found": ["3 of 100 regions share a picture."],
        "by_indicator": {
            "crime": {
                "twins": 0.25,
                "found": ["a quarter are twins."],
                "label_range": [{"fold": 0, "test": [1, 2, 3], "known": [0, 2, 9]}],
            }
        },
    }
    skipped = [{"split": "city", "indicator": "crime", "reason": "there is one city only"}]
    scores = scores_of(row("mine", 0.3), splits={"block": report}, skipped_splits=skipped)
    block, city = leakage_table(scores)
    assert block["how"] == "5 folds, 2 seeds, blocks of 5 km, buffer of 1 km"
    assert block["facts"]["learned from"] == "60 to 70"
    assert block["facts"]["nearest region learned from, median"] == "2.5 km"
    assert block["found"] == ["3 of 100 regions share a picture.", "crime: a quarter are twins."]
    assert block["ranges"][0]["rows"] == [("0", "1 · 2 · 3", "0 · 2 · 9")]
    assert city["skipped"] == "there is one city only (crime)"
    assert "same value as a region learned from (twins): crime" in fact_names([block, city])


def test_interval_of_a_region_reaches_the_map(tmp_path: Path, make: Make) -> None:
    from tests.report.page_reader import map_data

    inputs = make(4, ("population",))
    frame = inputs["predictions"]
    frame["low"], frame["high"] = frame["truth"] * 0.5, frame["truth"] * 2
    beyond = frame["region_id"] == "r0003"
    frame.loc[beyond, ["low", "high"]] = frame.loc[beyond, ["truth"]].to_numpy() * [2.0, 3.0]
    frame.loc[frame["region_id"] == "r0004", "low"] = np.nan
    page = page_of(tmp_path, inputs)
    data = map_data(page)
    layer, ids = data["layers"][0], data["ids"]
    truth = frame[frame["region_id"] == "r0005"]["truth"].iloc[0]
    assert layer["low"][ids.index("r0005")] == pytest.approx(truth / 2, rel=1e-3)
    assert layer["high"][ids.index("r0005")] == pytest.approx(truth * 2, rel=1e-3)
    outside = [layer["outside"][ids.index(name)] for name in ("r0003", "r0004", "r0005")]
    assert outside == [True, None, False]
    assert "the interval of its prediction" in page.words


def test_several_cities_are_shown_one_at_a_time(tmp_path: Path, make: Make) -> None:
    from tests.report.page_reader import map_data

    inputs = make(4, ("population",))
    regions = inputs["regions"]
    regions["city"] = ["West" if i % 4 < 2 else "East" for i in range(16)]
    page = page_of(tmp_path, inputs)
    places = map_data(page)["places"]
    assert [place["name"] for place in places] == ["West", "East"]
    assert places[0]["bounds"][2] == pytest.approx(places[1]["bounds"][0])
    assert len([a for _, a, _ in page.all("img") if "Maps of East" in (a["alt"] or "")]) == 1


def test_label_efficiency_has_a_line_per_predictor_of_one_head() -> None:
    points = [
        {"indicator": "crime", "split": "block", "features": f, "head": h, "k": k, "r2": r2 + k / 1000}
        | {"r2_low": r2 - 0.1, "r2_high": r2 + 0.2}
        for f, h, r2 in (("mine", "ridge", 0.3), ("mine", "mlp", 0.2), ("mean", "none", -0.1))
        for k in (20, 100)
    ]
    made = efficiency(scores_of(row("mine", 0.4), row("mean", 0.0, head="none"), curves=points))
    assert [item["how"] for item in made] == ["block split, ridge head", "block split, mlp head"]
    assert made[0]["summary"] == "With 100 labelled regions: mine .40, mean .00."
    picture = ET.fromstring(made[0]["picture"])
    styles = [e.attrib["class"] for e in picture if e.tag == "path"]
    assert styles == ["band a", "curve a", "curve chance"]


@pytest.mark.parametrize("name", ["coordinates-nearest", "coordinates"])
def test_the_floor_of_few_labels_is_called_what_it_is_in_older_scores_too(name: str) -> None:
    """Of all that coordinates give, the curve shows the nearest neighbours alone."""
    point = {"indicator": "crime", "split": "block", "k": 20}
    points = [point | {"features": f, "head": "none", "r2": 0.1} for f in (name, "mean")]
    points += [point | {"features": "mine", "head": "ridge", "r2": 0.3}]
    rows = [row("mine", 0.4), row(name, 0.2, head="none"), row("mean", 0.0, head="none")]
    (item,) = efficiency(scores_of(*rows, curves=points))
    assert item["summary"] == "With 20 labelled regions: mine .30, neighbours .10, mean .10."
    floors = scores_of(*rows[1:], main=None)
    assert subject(floors) == name
    ((_, drawn),) = forests(scores_of(*rows))
    assert "coordinates: nearest .20" in drawn


def test_log_axis_spreads_by_ratio_and_what_is_too_low_lies_at_the_edge() -> None:
    x, y = np.array([0.0, 9.0, 99.0]), np.array([-50.0, 0.0, 0.5])
    picture = curves(
        "label",
        [Curve("a", x, y, "a")],
        y_zero=False,
        y_label=str,
        axis=Axis("k", [0, 9, 99], log=True),
        y_floor=-1,
    )
    dots = [e.attrib for e in ET.fromstring(picture) if e.tag == "circle"]
    places = [float(dot["cx"]) for dot in dots]
    assert places[1] == pytest.approx((places[0] + places[2]) / 2, abs=0.1)
    assert max(float(dot["cy"]) for dot in dots) <= 206.0
    tree = ET.fromstring(picture)
    arrows = [e.attrib["d"] for e in tree if e.tag == "path" and e.attrib["class"] == "end a"]
    assert [float(d[1:].split()[0]) for d in arrows] == [places[0]]
    assert tree.attrib["aria-label"].endswith("Below the axis: a at 0.")
    band = Curve("a", x, np.array([0.1, 0.2, 0.5]), "a", low=np.array([-9.0, -9.0, 0.2]), high=y + 60)
    options = {"y_zero": False, "y_label": str, "axis": Axis("k", [0, 9, 99]), "y_floor": -1}
    assert "Below the axis: a at 0, 9." in curves("label", [band], **options)


def transfer_row(
    source: str, target: str, features: str, k: int, r2: float | None, **more: Any
) -> dict[str, Any]:
    basic = {"indicator": "crime", "source": source, "target": target, "features": features, "k": k, "r2": r2}
    ends = {"r2_low": None, "r2_high": None, "n": 40, "spearman": 0.8, "level_shift": np.log(2.0)}
    return basic | ends | {"transform": "log1p", "vs": {}, "reason": None} | more


def test_transfer_is_a_matrix_a_table_and_a_curve() -> None:
    rows = []
    for source, target in (("A", "B"), ("B", "A"), ("all others", "A")):
        for k in (0, 10):
            gap = {"mean": {"diff": 0.5, "low": 0.2, "high": 0.8}}
            rows.append(transfer_row(source, target, "mine", k, 0.3 + k / 100, vs=gap))
            rows.append(transfer_row(source, target, "mean", k, -0.2))
    rows.append(transfer_row("A", "C", "mine", 0, None, reason="C has 3 usable labelled regions"))
    (section,) = transfer_sections(scores_of(transfer=rows))
    picture = ET.fromstring(section["picture"])
    assert len([e for e in picture if e.tag == "rect"]) == 6
    assert [e.text for e in picture if e.attrib.get("class") == "cell"].count(".30") == 3
    assert {line["shift"] for line in section["rows"]} == {"× 2"}
    assert section["rows"][0]["floor"] == "mean of the source"
    assert section["rows"][0]["gap"] == ("+.50", "[.20, .80]", "above")
    assert (
        "Mean over 2 pairs of cities; with 10 labels of the target: mine .40" in section["curve"]["summary"]
    )
    assert section["reasons"] == ["A to C: C has 3 usable labelled regions"]
    assert transfer_sections(scores_of()) == []


@pytest.mark.parametrize("value", [-5.0, -0.5, 0.0, 0.7, 1.0])
def test_numbers_stand_out_from_their_cell(value: float) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    # WCAG 2 AAA: 7 to 1.
    assert (luminance(shade(value)) + 0.05) / (luminance("#17212b") + 0.05) >= 7


def test_matrix_escapes_names() -> None:
    picture = matrix("<b>", ["<i>"], ["a&b"], {("<i>", "a&b"): 0.5})
    ET.fromstring(picture)
    assert "<i>" not in picture


AUDIT = {
    "labels": {
        "gdp": {
            "n": 90,
            "missing": 10,
            "zeros": 4,
            "minimum": 0.0,
            "median": 10000.0,
            "maximum": 90000.0,
            "saturated": [{"value": 10000.0, "regions": 18, "share": 0.2, "is_median": True}],
            "twins": 0.79,
            "heavy_tail": True,
            "max_to_p95": 73.0,
            "moran": {"i": 0.6, "p": 0.005},
            "variogram": {
                "distance_km": [1.0, 3.0, 6.0],
                "gamma": [0.2, 0.8, 1.0],
                "nugget": 0.1,
                "sill": 1.0,
                "range_km": 4.0,
                "limited": False,
            },
            "advice": {"block_km": 5.0, "buffer_km": 1.0, "reason": "the block covers the range"},
            "unit": "yuan",
        }
    },
    "pictures": {"satellite": {"pictures": 100, "near": 3, "examples": [["a.jpg", "b.jpg", 2]]}},
    "captions": {"captions": 200, "flags": {"refusal": {"captions": 4, "share": 0.02}}},
    "found": ["gdp: 10000 is held by 20 % <script>alert(1)</script>"],
    "suggested": {"options": "--set probe.block_km=5"},
}


def test_audit_stands_in_the_report_and_alone(tmp_path: Path, make: Make) -> None:
    inputs = make(3, ("population",))
    assert "audit-title" not in {a.get("id") for _, a, _ in page_of(tmp_path, inputs).elements}
    alone = write_audit_page(tmp_path / "audit.html", "City <b>", AUDIT, synthetic=True)
    for page in (page_of(tmp_path, inputs | {"audit": AUDIT}), Page(alone.read_text(encoding="utf-8"))):
        for text in ("10,000 in 20 %", "79 %", "heavy tail", "5 / 1 km", "--set probe.block_km=5", "refusal"):
            assert text in page.words
        assert "<script>alert(1)" in page.words
        policy = [a["content"] or "" for _, a, _ in page.all("meta") if a.get("http-equiv")]
    assert "script-src 'none';" in policy[0]
    assert not page.all("script")
    with pytest.raises(InputError, match="no audit"):
        write_audit_page(tmp_path / "no.html", "City", {})


def test_an_audit_of_parts_is_an_audit() -> None:
    found = audit_context({"found": [], "labels": {"a": {"n": 3, "advice": None, "moran": None}}})
    assert found is not None
    assert found["labels"][0]["blocks"] == "–"
    same = {"advice": {"block_km": 2, "buffer_km": 1, "reason": "the map is small"}}
    other = {"advice": {"block_km": 2, "buffer_km": 1, "reason": "of noise"}}
    found = audit_context({"labels": {"a": same, "b": other, "night_light": same}})
    assert found is not None
    assert found["reasons"] == [("a, night light", "the map is small"), ("b", "of noise")]
    assert found["variograms"] == []
    assert found["pictures"]["rows"] == []
    assert found["captions"] is None


def test_pictures_of_all_views_are_one_table() -> None:
    views = {
        "satellite": {"pictures": 1200, "flat": 0, "unreadable": [["a", "broken"]], "leaks": None},
        "street": {"pictures": 9, "flat": 2, "unreadable": []},
    }
    found = audit_context({"pictures": views, "found": []})
    assert found is not None
    assert found["pictures"] == {
        "columns": ["Pictures", "Unreadable", "Flat"],
        "rows": [("satellite", ["1,200", "1", "0"]), ("street", ["9", "0", "2"])],
    }


def test_faults_of_captions_are_told_by_kind_with_examples(tmp_path: Path, make: Make) -> None:
    """Counted, the most frequent first; what was not found in one sentence; the rest folded."""
    said = [{"image": f"i{i}", "captioner": "a", "words": f"<b>Sorry {i}"} for i in range(3)]
    nothing = {"captions": 0, "share": 0.0, "by_captioner": {"a": 0, "b": 0}}
    captions = {
        "captions": 2000, "pictures": 400, "captioners": {"a": 1000, "b": 1000}, "equal_across_pictures": 0,
        "words": {"median": 111.0, "longest": 150, "over": {}},
        "tokens": {"median": 144.0, "longest": 210, "over": {"77": {"captions": 1991, "share": 0.996}}},
        "flags": {
            "refusal": {"captions": 8, "share": 0.004, "by_captioner": {"a": 6, "b": 2}, "examples": said},
            "empty": nothing,
            "boilerplate": {"captions": 776, "share": 0.388, "by_captioner": {"a": 776}},
            "too_long": nothing,
        },
        "stock_sentences": [{"sentence": f"S{i}.", "pictures": 60 - i} for i in range(5)],
        "places": {"Wuhan": 3},
    }  # fmt: skip
    found = caption_faults(captions)
    assert found is not None
    assert found["summary"] == (
        "2,000 captions of 400 pictures by 2 captioners; 111 words (median; 150 at most); "
        "144 tokens (median; 210 at most), 99.6 % over 77; none equal to another picture’s."
    )
    rows = [(fault["name"], fault["captions"], fault["share"]) for fault in found["faults"]]
    assert rows == [("boilerplate", "776", "39 %"), ("refusal", "8", "0.4 %")]
    assert found["none"] == "empty, too long"
    page = page_of(tmp_path, make(3, ("population",)) | {"audit": {"captions": captions}})
    folded = [text for _, _, text in page.all("summary")]
    assert {"More examples", "Faults by captioner", "2 more of them"} <= set(folded)
    for text in ("<b>Sorry 0", "<b>Sorry 2", "Wuhan (3)", "Looked for and not found: empty, too long."):
        assert text in page.words
    assert caption_faults({"tokens": None, "flags": {"too_long": nothing}})["none"] == ""  # type: ignore[index]
