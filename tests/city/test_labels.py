"""Classes and shares at the door: what is taken as what, what is refused, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind
from urbanln.city.classes import frequent_per_region, take_classes, told_of_classes
from urbanln.city.indicators import parse_missing, take_labels
from urbanln.city.ingest import ingest
from urbanln.city.labels import AskedLabels
from urbanln.city.shares import parse_shares, take_shares, told_of_shares
from urbanln.city.store import City
from urbanln.cli.program import app


def _classes(cells: Any, missing: tuple[str, ...] = ()) -> tuple[list[str | None], list[str]]:
    taken, said = take_classes(
        pd.DataFrame({"use": cells}), "use", table="t", rule=parse_missing(missing, ["use"])
    )
    return [None if pd.isna(one) else one for one in taken], said


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["a", "b", "a", "b", None, ""], ["a", "b", "a", "b", None, None]),
        ([1, 2, 1, 2], ["1", "2", "1", "2"]),
        ([1.0, 2.0, 1.0, 2.0, np.nan, np.nan], ["1", "2", "1", "2", None, None]),
        (["1.0", "2.0", "1", "2", " "], ["1", "2", "1", "2", None]),
        (["01", "02", "01", "02"], ["01", "02", "01", "02"]),
        (pd.array([1, 2, 1, 2, None], dtype="Int64"), ["1", "2", "1", "2", None]),
        (pd.Categorical(["a", "b", "a", "b"]), ["a", "b", "a", "b"]),
        ([True, False, True, False], ["True", "False", "True", "False"]),
        ([b"a", b"b", b"a", b"b"], ["a", "b", "a", "b"]),
        (pd.Series(["a\ud800", "b", "a\ud800", "b"], dtype=object), ["a?", "b", "a?", "b"]),
        (["1", "a", "1", "a"], ["1", "a", "1", "a"]),
    ],
)
def test_words_and_whole_numbers_are_classes(cells: Any, classes: list[str | None]) -> None:
    assert _classes(cells) == (classes, [])


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ([1.5, 2.0, 1.5, 2.0], r"numbers with decimals(.|\n)*1\.5(.|\n)*--label use"),
        (["1.5", "2", "1.5", ""], r"numbers with decimals"),
        ([f"p{i}" for i in range(9)] * 1, "ids, names or numbers: 9 classes in 9 rows"),
        ([str(i) for i in range(101)] * 9, "101 classes in 909 rows"),
        ([["a"], ["b"], ["a"], ["b"]], "lists or objects"),
    ],
)
def test_what_is_no_class_is_refused(cells: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        _classes(cells)


def test_a_hundred_classes_are_no_ids() -> None:
    assert len(set(_classes([str(i) for i in range(100)] * 2)[0])) == 100


def test_blanks_around_a_class_do_not_count_and_its_case_does() -> None:
    cells = ["field", "field ", "Field", "open  field", "open field"] * 3
    classes, said = _classes(cells)
    assert classes[:5] == ["field", "field", "Field", "open  field", "open field"]
    assert said == [
        "label use: blanks around a class do not count; 1 spellings fewer for it",
        "label use: 2 classes differ only by case, blanks or dashes, kept: 'field' and 'Field'",
        "label use: 2 classes differ only by case, blanks or dashes, kept: 'open  field' and 'open field'",
    ]


def test_what_stands_for_nothing_is_missing_and_what_may_is_kept_and_both_are_said() -> None:
    cells = ["a", "b", "NA", "null", "unknown", "None"] * 2
    classes, said = _classes(cells)
    assert classes[:6] == ["a", "b", None, None, "unknown", "None"]
    assert said == [
        "label use: 2 rows hold NA, taken as missing (--missing use=none keeps them)",
        "label use: 2 rows hold 'None', which may stand for nothing, kept (--missing use=None takes them as "
        "missing)",
        "label use: 2 rows hold null, taken as missing (--missing use=none keeps them)",
        "label use: 2 rows hold 'unknown', which may stand for nothing, kept (--missing use=unknown takes "
        "them as missing)",
    ]
    assert _classes(cells, ("use=none",)) == (cells, [])
    classes, said = _classes(cells, ("unknown", "NA"))
    assert classes[:6] == ["a", "b", None, None, None, "None"]
    assert said[0] == "label use: 4 rows hold unknown or NA, missing as you say"


def test_codes_that_a_float_has_given_decimals_beside_a_word_for_nothing() -> None:
    classes, said = _classes(["1.0", "2.0", "NA"] * 2)
    assert classes[:3] == ["1", "2", None]
    assert len(said) == 1


def test_codes_of_numbers_stand_for_nothing_by_the_rule_of_numbers() -> None:
    classes, said = _classes([0, 1, 2, 3, -9999, 255] * 2)
    assert classes[:6] == ["0", "1", "2", "3", None, None]
    assert [line.split(", taken")[0] for line in said] == [
        "label use: 2 rows hold -9999", "label use: 2 rows hold 255"
    ]  # fmt: skip
    assert _classes([0, 10, 20, 95] * 3)[0][:2] == ["0", "10"]
    assert _classes([-1, 1] * 3, ("-1",))[0][:2] == [None, "1"]


def test_the_class_of_most_rows_is_that_of_the_region() -> None:
    rows = pd.Series(["a", "b", "b", "a", "b", None, None, "c"], name="use")
    regions = pd.Series(["r1", "r1", "r1", "r2", "r2", "r2", "r3", "r4"])
    found, said = frequent_per_region(rows, regions, pd.Series(["r4", "r3", "r2", "r1", "r0"]))
    assert found.tolist()[0::3] == ["c", "b"]
    assert found.isna().tolist() == [False, True, True, False, True]
    assert said == [
        "label use: 2 regions have rows of several classes; the most frequent counts",
        "label use: 1 regions have several equally often, and so no value",
    ]


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from(["a", "b", "c", None])), min_size=1))
def test_the_most_frequent_class_as_one_would_count_it(pairs: list[tuple[str, str | None]]) -> None:
    where = pd.Series([region for region, _ in pairs])
    what = pd.Series([one for _, one in pairs], dtype="str", name="use")
    found, _ = frequent_per_region(what, where, pd.Series(list("pqr")))
    for region, value in zip("pqr", found, strict=True):
        counts = [sum(pair == (region, one) for pair in pairs) for one in "abc"]
        best = [one for one, n in zip("abc", counts, strict=True) if n == max(counts) > 0]
        assert ([] if pd.isna(value) else [value]) == (best if len(best) == 1 else [])


def test_how_many_classes_and_which_are_rare_is_said() -> None:
    classes = pd.Series(["a"] * 9 + ["b"] * 5 + ["c"] * 4 + ["d", None])
    assert told_of_classes("use", classes) == [
        "label use: 4 classes, from 'a' (9 regions) to 'd' (1)",
        "label use: fewer than 5 regions have one of these classes: 'd' 1, 'c' 4",
    ]
    assert told_of_classes("use", pd.Series(["a", "a", None])) == [
        "label use: every region is 'a': there is nothing to predict"
    ]
    assert told_of_classes("use", pd.Series([None], dtype="str")) == []


AGE = ("young", "old")


def _shares(
    young: Any,
    old: Any,
    empty_part: str = "refuse",
    missing: tuple[str, ...] = (),
    tolerance: float = 0.001,
) -> tuple[list[list[float]], list[str]]:
    rule = parse_missing(missing, ["age", *AGE])
    frame = pd.DataFrame({"young": young, "old": old})
    taken, said = take_shares(
        frame, "age", AGE, table="t", rule=rule, empty_part=empty_part, tolerance=tolerance
    )
    assert list(taken.columns) == list(AGE)
    return taken.round(6).to_numpy().tolist(), said


NAN = float("nan")


@pytest.mark.parametrize(("whole", "line"), [(1, []), (100, ["its parts sum to 100, and are divided by it"])])
def test_parts_of_one_or_of_a_hundred(whole: float, line: list[str]) -> None:
    young = np.array([0.25, 0.5, 0.0, np.nan, 0.3]) * whole
    old = np.array([0.75, 0.5005, 1.0, np.nan, 0.5]) * whole
    taken, said = _shares(young, old)
    np.testing.assert_array_equal(taken, [[0.25, 0.75], [0.49975, 0.50025], [0, 1], [NAN, NAN], [NAN, NAN]])
    off = (
        f"1 rows left out, since their parts do not sum to {whole} within {0.001 * whole:g} "
        f"(the first to {0.8 * whole:g}, in row 4; too far off for rounding, which --share-tolerance is for)"
    )
    assert said == [f"label age: {one}" for one in [*line, off]]


def test_an_empty_part_beside_others_that_sum_to_one_is_0_and_said() -> None:
    taken, said = _shares([1.0, 0.4, None], ["", "0.6", None])
    np.testing.assert_array_equal(taken, [[1, 0], [0.4, 0.6], [NAN, NAN]])
    assert said == ["label age: 1 rows have empty parts beside others that sum to 1: 0"]


def test_an_empty_part_that_is_something_is_asked_about() -> None:
    young, old = [0.3, 0.4, 0.5], [None, 0.6, 0.5]
    with pytest.raises(InputError, match=r"is empty(.|\n)*0\.3, empty(.|\n)*row 0(.|\n)*--empty-part rest"):
        _shares(young, old)
    taken, said = _shares(young, old, "rest")
    assert taken[0] == [0.3, 0.7]
    assert said == ["label age: 1 rows have one empty part, taken as what the others leave"]
    taken, said = _shares(young, old, "missing")
    np.testing.assert_array_equal(taken, [[NAN, NAN], [0.4, 0.6], [0.5, 0.5]])
    assert said == [
        "label age: 1 rows left out, since their parts do not sum to 1 within 0.001 (the first to 0.3, in "
        "row 0; too far off for rounding, which --share-tolerance is for)"
    ]


ROUNDED = ([30.0, 33, 50, 20, 60, 10], [70.0, 66, 51, 50, 40, 90])  # three of them rounded or not whole


def test_rounded_parts_are_left_out_and_the_option_that_takes_them_is_named() -> None:
    taken, said = _shares(*ROUNDED)
    np.testing.assert_array_equal(np.isnan(taken).any(axis=1), [False, True, True, True, False, False])
    assert said[1:] == [
        "label age: 3 rows left out, since their parts do not sum to 100 within 0.1 (the first to 99, in "
        "row 1; if that is rounding, --share-tolerance 0.01 takes 2 of them)"
    ]


@pytest.mark.parametrize("whole", [1, 100])
def test_rounded_parts_are_divided_by_their_sum_on_demand_and_said(whole: int) -> None:
    young, old = (np.array(one) / 100 * whole for one in ROUNDED)
    taken, said = _shares(young, old, tolerance=0.01)
    np.testing.assert_allclose(
        taken,
        [[0.3, 0.7], [1 / 3, 2 / 3], [50 / 101, 51 / 101], [NAN, NAN], [0.6, 0.4], [0.1, 0.9]],
        atol=1e-6,
    )
    divided = f"2 rows sum to {whole} but for {0.01 * whole:g} at most, and are divided by their sum"
    assert f"label age: {divided} (--share-tolerance 0.01)" in said
    assert len([line for line in said if "left out" in line]) == 1
    exact, said = _shares([0.3, 0.4], [0.7, 0.6005], tolerance=0.05)
    assert said == []
    np.testing.assert_allclose(np.sum(exact, axis=1), 1, atol=1e-5)


def test_a_tolerance_is_none_for_what_is_empty() -> None:
    young, old = [0.985, 0.4, 1.01], [None, 0.6, None]
    with pytest.raises(InputError, match=r"is empty(.|\n)*0\.985, empty"):
        _shares(young, old, tolerance=0.02)
    taken, _ = _shares(young, old, "rest", tolerance=0.02)
    assert taken == [[0.985, 0.015], [0.4, 0.6], [1, 0]]


def test_where_most_rows_are_rounded_the_option_is_named() -> None:
    young, old = [33, 50, 30], [66, 51, 70]
    with pytest.raises(InputError, match=r"in 1 of 3 rows(.|\n)*--share-tolerance 0\.01$"):
        _shares(young, old)
    assert len(_shares(young, old, tolerance=0.02)[0]) == 3


@pytest.mark.parametrize(("young", "old"), [([120, 7, 3000], [80, 0, 12]), ([0, 0, 0], [0, 0, 0])])
@pytest.mark.parametrize("tolerance", [0.001, 0.02])
def test_a_tolerance_is_not_offered_where_rounding_is_no_reason(
    young: list[float], old: list[float], tolerance: float
) -> None:
    with pytest.raises(InputError, match=r"in 0 of 3 rows(.|\n)*divide counts by their sum first$"):
        _shares(young, old, tolerance=tolerance)


@pytest.mark.parametrize("tolerance", [0.0, 0.2, -1, NAN, float("inf")])
def test_a_tolerance_has_bounds(tolerance: float) -> None:
    with pytest.raises(InputError, match=r"--share-tolerance(.|\n)*from 0\.001 to 0\.1"):
        AskedLabels.of(share_tolerance=tolerance)


def test_codes_of_a_label_of_shares_are_those_of_its_columns() -> None:
    young, old = [-1.0, 0.4, 0.5], [1.0, 0.6, 0.5]
    with pytest.raises(InputError, match=r"negative(.|\n)*-1, 1(.|\n)*row 0"):
        _shares(young, old)
    for code in ("-1", "age=-1", "young=-1"):
        assert _shares(young, old, missing=(code,))[0][0] == [0, 1]
    assert _shares([-1e-12, 0.4], [1, 0.6])[0][0] == [0, 1]


@pytest.mark.parametrize(
    ("young", "old", "what"),
    [
        ([120, 300, 20], [80, 100, 30], r"in 0 of 3 rows(.|\n)*200 in the middle one(.|\n)*every part"),
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5], "in 1 of 3 rows"),
        (["many", "few", "few"], [0.1, 0.2, 0.3], "'young' must be a numeric column"),
    ],
)
def test_what_is_no_share_of_a_whole_is_refused(young: Any, old: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        _shares(young, old)


def test_parts_and_what_is_the_same_everywhere_is_said() -> None:
    frame = pd.DataFrame({"young": [0.25, 0.25, np.nan], "old": [0.75, 0.75, np.nan]})
    assert told_of_shares("age", frame) == [
        "label age: 2 parts, on average old 0.75, young 0.25",
        "label age: every region has the same shares: there is nothing to predict",
    ]
    assert told_of_shares("age", frame.iloc[2:]) == []


def test_shares_as_typed() -> None:
    assert parse_shares(["age = young, old", "b=c,d,e"]) == {"age": AGE, "b": ("c", "d", "e")}
    assert parse_shares({"age": ["a,b", "c"]}) == {"age": ("a,b", "c")}
    for typed in (["age"], ["age=young"], ["=young,old"], ["age=young,", "x"], ["a=b,c", "a=d,e"]):
        with pytest.raises(InputError, match=r"two columns or more(.|\n)*--shares age=age_young"):
            parse_shares(typed)


@pytest.mark.parametrize(
    "asked",
    [
        {"labels": ["a"], "classes": ["a"]},
        {"classes": ["a", "a"]},
        {"labels": ["a"], "shares": ["s=a,b"]},
        {"labels": ["s"], "shares": ["s=a,b"]},
        {"shares": ["s=a,b", "t=b,c"]},
        {"shares": ["s=a,s"]},
        {"shares": ["s=a,a"]},
        {"classes": ["region_id"]},
    ],
)
def test_a_column_is_one_label(asked: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"named twice|called region_id"):
        AskedLabels.of(**asked)


def test_an_empty_part_is_one_of_three_things() -> None:
    with pytest.raises(InputError, match=r"zero(.|\n)*refuse, rest, missing"):
        AskedLabels.of(empty_part="zero")


def test_words_as_a_number_are_refused_with_both_choices() -> None:
    with pytest.raises(InputError, match=r"--classes use(.|\n)*--missing"):
        take_labels(pd.DataFrame({"use": ["field", "port", "NA"]}), ["use"], table="t")
    with pytest.raises(InputError) as refused:
        take_labels(pd.DataFrame({"a": ["1,5", "2,5"]}), ["a"], table="t")
    assert "--classes" not in str(refused.value)


def _table(n: int = 40) -> pd.DataFrame:
    x, y = np.divmod(np.arange(n), 8)
    rng = np.random.default_rng(0)
    wood = np.round(rng.uniform(0, 100, n))
    return pd.DataFrame(
        {
            "id": [f"{i:03d}" for i in range(n)], "lon": 10 + 0.01 * x, "lat": 50 + 0.01 * y,
            "price": x + 0.5, "use": np.where(x < 2, "NA", np.where(y < 4, "field", "port")),
            "zone": [f"0{i % 3}" for i in range(n)], "wood": wood, "water": 100 - wood,
        }
    )  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet", "gpkg"])
def test_a_city_of_labels_of_every_kind(ending: str, tmp_path: Path) -> None:
    frame, path = _table(), tmp_path / f"t.{ending}"
    if ending == "gpkg":
        points = gpd.points_from_xy(frame.pop("lon"), frame.pop("lat"))
        gpd.GeoDataFrame(frame, geometry=points, crs=4326).to_file(path)
    elif ending == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    report = ingest(
        None, path, tmp_path / "city", name="c", id_column="id", labels=["price"], classes=["use", "zone"],
        shares=["cover=wood,water"],
    )  # fmt: skip
    city = City.open(tmp_path / "city")
    assert city.kinds() == {
        "price": LabelKind("number", ("price",)),
        "use": LabelKind("classes", ("use",)),
        "zone": LabelKind("classes", ("zone",)),
        "cover": LabelKind("shares", ("wood", "water")),
    }
    assert city.indicators["use"].value_counts().to_dict() == {"field": 12, "port": 12}
    assert set(city.indicators["zone"]) == {"00", "01", "02"}
    np.testing.assert_allclose(city.indicators["water"], _table()["water"] / 100)
    assert report.labels == {"price": 0, "use": 16, "zone": 0, "cover": 0}
    text = "\n".join(report.lines())
    assert "labels price, use (classes), zone (classes), cover (shares: wood, water)" in text
    assert "label use: 16 rows hold NA, taken as missing" in text
    assert "label use: 2 classes, from 'field' (12 regions) to 'port' (12)" in text


def test_rows_of_a_region_are_one_label_of_each_kind(tmp_path: Path) -> None:
    frame = _table()
    frame["use"] = ["field"] * 30 + ["port"] * 10
    frame.to_csv(tmp_path / "t.csv", index=False)
    report = ingest(
        None, tmp_path / "t.csv", tmp_path / "city", name="c", id_column="id", classes=["use"],
        shares={"cover": ["wood", "water"]}, regions="h3:5",
    )  # fmt: skip
    labels = report.city.indicators
    assert 1 < len(labels) < 40
    np.testing.assert_allclose(labels["wood"] + labels["water"], 1, atol=1e-12)
    assert set(labels["use"].dropna()) <= {"field", "port"}


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    words = [
        "ingest", str(tmp_path / "t.csv"), "--out", str(tmp_path / "city"), "--id-column", "id",
        "--label", "price", "--classes", "use", "--classes", "zone", "--shares", "cover=wood,water",
        "--missing", "use=port",
        "--empty-part", "missing", "--share-tolerance", "0.02",
    ]  # fmt: skip
    frame = _table()
    frame.loc[0, "water"] += 1
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "label cover: 1 rows sum to 100 but for 1 at most, and are divided by their sum" in done.output
    assert "label use: 12 rows hold port, missing as you say" in done.output
    assert list(City.open(tmp_path / "city").kinds()) == ["price", "use", "zone", "cover"]


def test_a_corpus_has_no_classes(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    _table().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"pictures without places(.|\n)*use, cover"):
        ingest(
            tmp_path / "photos", tmp_path / "t.csv", tmp_path / "city", name="c", regions="none",
            classes=["use"], shares=["cover=wood,water"],
        )  # fmt: skip
