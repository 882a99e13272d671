"""Labels: read from every kind of table, parsed strictly, averaged per region, missing stays missing."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.base.frames import id_text, read_frame
from urbanln.city.indicators import constant_labels, mean_per_region, parse_labels, parse_missing, take_labels

FRAME = pd.DataFrame({"id": ["007", "8"], "price": [1.5, np.nan], "name": ["Łódź", "武汉"]})


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_of_any_separator(separator: str, encoding: str, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", sep=separator, encoding=encoding, index=False)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "t.csv", text=["id"]), FRAME, check_dtype=False)


@pytest.mark.parametrize("ending", ["parquet", "geoparquet", "geojson", "gpkg"])
def test_other_tables(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{ending}"
    places = gpd.GeoDataFrame(FRAME, geometry=gpd.points_from_xy([1, 2], [3, 4]), crs=4326)
    if ending == "parquet":
        FRAME.to_parquet(path)
    elif ending == "geoparquet":
        places.to_parquet(path)
    else:
        places.to_file(path, driver="GeoJSON" if ending == "geojson" else "GPKG")
    read = read_frame(path)
    assert list(read["id"]) == ["007", "8"]
    assert isinstance(read, gpd.GeoDataFrame) == (ending != "parquet")
    assert parse_labels(read, ["price"], table="t")["price"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "table is empty"),
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", "(?s)not a readable .csv.*line 3"),
        ("t.csv", b"name\n\xe9\xff\n", "not UTF-8"),
        ("t.parquet", b"PAR1 no", "not a readable .parquet"),
        ("t.geojson", b"{", "not a readable .geojson"),
        ("t.gpkg", b"text", "not a readable .gpkg"),
        ("t.xlsx", b"PK", "(?s)cannot be read.*xlsx.*CSV"),
    ],
)
def test_unreadable_tables(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_frame(tmp_path / name)


def test_absent_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_frame(tmp_path / "t.csv")


def test_a_field_too_many_does_not_shift_the_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,price\na,1,\nb,2,\n")
    read = read_frame(tmp_path / "t.csv")
    assert list(read["id"]) == ["a", "b"]
    assert list(read["price"]) == [1, 2]


def test_decimal_commas_between_commas_are_refused_and_not_cut(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,price,size\na,12,5,7\nb,13,25,8\n")
    with pytest.raises(InputError, match=r"more fields than the 3 columns(.|\n)*12\.5"):
        read_frame(tmp_path / "t.csv")


def test_a_date_is_no_number(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sold": pd.to_datetime(["2020-01-01", None])})
    with pytest.raises(InputError, match=r"'sold' holds dates(.|\n)*the year"):
        parse_labels(frame, ["sold"], table="t")


def test_blanks_around_a_columns_name_leave_its_text_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("price, id\n1,007\n")
    assert list(read_frame(tmp_path / "t.csv", text=["id"])["id"]) == ["007"]


def test_numbers_are_strict() -> None:
    frame = pd.DataFrame({"a": ["1.5", " 2 ", None, ""], "b": ["1", "12,5", "3", "4"], "c": [1, 2, 3, 4]})
    assert list(parse_labels(frame, ["a", "c"], table="t")["a"].fillna(-1)) == [1.5, 2, -1, -1]
    with pytest.raises(InputError, match=r"'b' must be a numeric column\n.*12,5\n.*t, row 1"):
        parse_labels(frame, ["b"], table="t")
    with pytest.raises(InputError, match=r"(?s)'cc' is missing.*did you mean 'c'.*there are: a, b, c"):
        parse_labels(frame, ["cc"], table="t")
    with pytest.raises(InputError, match="named twice"):
        parse_labels(frame, ["c", "c"], table="t")
    with pytest.raises(InputError, match="infinite"):
        parse_labels(pd.DataFrame({"a": ["inf"]}), ["a"], table="t")


def test_means_leave_missing_values_out() -> None:
    labels = pd.DataFrame({"x": [1.0, 3.0, np.nan, np.nan, 0.0], "y": [1.0, np.nan, 5.0, 2.0, 0.0]})
    regions = pd.Series(["c", "a", "b", "none"])
    means, missing = mean_per_region(labels, pd.Series(["a", "a", "a", "b", "c"]), regions)
    assert list(means["region_id"]) == list(regions)
    np.testing.assert_array_equal(means["x"], [0.0, 2.0, np.nan, np.nan])
    np.testing.assert_array_equal(means["y"], [0.0, 3.0, 2.0, np.nan])
    assert missing == {"x": 2, "y": 1}


def test_ids_become_text() -> None:
    assert list(id_text(pd.Series([7, 8]))) == ["7", "8"]
    assert list(id_text(pd.Series([7.0, np.nan])).fillna("-")) == ["7", "-"]
    assert list(id_text(pd.Series([" 007", "", None])).fillna("-")) == ["007", "-", "-"]
    assert list(id_text(pd.Series([2**60 + 1]))) == [str(2**60 + 1)]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        ([Decimal("1.50"), None, Decimal(-2)], [1.5, None, -2]),
        ([" 1.5 ", "\u00a07\u00a0", " "], [1.5, 7, None]),
        ([True, None, False], [1, None, 0]),
        (pd.array([1, None, 3], dtype="Int64"), [1, None, 3]),
        (pd.Categorical([4, 5, 4]), [4, 5, 4]),
        (np.array([1, 2, 3], dtype=np.int8), [1, 2, 3]),
    ],
)
def test_numbers_of_every_kind(cells: Any, numbers: list[float | None]) -> None:
    values, said = take_labels(pd.DataFrame({"x": cells}), ["x"], table="t")
    assert values["x"].tolist() == pytest.approx([np.nan if n is None else n for n in numbers], nan_ok=True)
    assert ("true and false are read as 1 and 0" in "".join(said)) == (cells[0] is True)


@pytest.mark.parametrize("cell", ["12 %", "€ 5", "yes", datetime.date(2020, 1, 1), "1,5"])
def test_what_is_no_number_is_refused(cell: object) -> None:
    with pytest.raises(InputError, match="must be a numeric column"):
        take_labels(pd.DataFrame({"x": [1.0, cell]}), ["x"], table="t")


COUNTS = np.arange(40.0)


@pytest.mark.parametrize(
    ("options", "gaps", "said"),
    [
        ((), {"a": 3, "b": 0}, ["label a: 3 rows hold -9999, taken as missing (--missing none keeps them)"]),
        (("none",), {"a": 0, "b": 0}, []),
        (("a=none",), {"a": 0, "b": 0}, []),
        (("b=7", "none"), {"a": 0, "b": 1}, ["label b: 1 rows hold 7"]),
        (
            ("-9999",),
            {"a": 3, "b": 0},
            ["label a: 3 rows hold -9999, missing as", "label b: 0 rows hold -9999"],
        ),
        (("-9999.0", "a=5"), {"a": 4, "b": 0}, ["label a: 4 rows hold -9999.0 or 5", "label b: 0 rows"]),
    ],
)
def test_the_user_says_what_is_missing(
    options: tuple[str, ...], gaps: dict[str, int], said: list[str]
) -> None:
    a = COUNTS.copy()
    a[[1, 8, 9]] = -9999
    frame = pd.DataFrame({"a": a, "b": COUNTS, "c": "no label"})
    values, told = take_labels(frame, ["a", "b"], table="t", missing=options)
    assert values.isna().sum().to_dict() == gaps
    assert len(told) == len(said)
    assert all(line.startswith(start) for line, start in zip(told, said, strict=True))
    assert frame["a"][1] == -9999


def test_codes_may_be_words_and_text_numbers() -> None:
    frame = pd.DataFrame({"a": ["1", "n.a.", " .. ", "-9999", "-9999.0", "4"]})
    values, _ = take_labels(frame, ["a"], table="t", missing=["n.a.", "..", "-9999"])
    assert values["a"].isna().tolist() == [False, True, True, True, True, False]
    assert take_labels(frame.iloc[[0, 3, 4]], ["a"], table="t")[0]["a"].isna().sum() == 2
    with pytest.raises(InputError, match=r"n\.a\.(.|\n)*--missing 'n\.a\.'"):
        take_labels(frame, ["a"], table="t", missing=["-9999"])


def test_what_may_be_a_code_is_kept_and_told_with_the_option() -> None:
    frame = pd.DataFrame({"year, built": [0.0, 0, 1990, 2001, 2010]})
    values, said = take_labels(frame, ["year, built"], table="t")
    assert values["year, built"].tolist() == [0, 0, 1990, 2001, 2010]
    assert (
        "2 rows hold 0, which may be a code, kept (--missing 'year, built=0' takes them as missing)"
        in said[0]
    )


def test_options_of_missing_values_are_checked() -> None:
    with pytest.raises(InputError, match=r"'prize' is missing(.|\n)*did you mean 'price'"):
        parse_missing(["prize=-1"], ["price"])
    for option in ("", "price=", "  "):
        with pytest.raises(InputError, match="what stands for a missing value"):
            parse_missing([option], ["price"])
    assert parse_missing(["a=b=-1"], ["a=b"]).codes("a=b") == ("-1",)


def test_constant_labels_are_told() -> None:
    frame = pd.DataFrame(
        {"region_id": list("abc"), "x": [0.1] * 3, "y": [1.0, 2, 2], "z": [5, np.nan, np.nan]}
    )
    assert constant_labels(frame) == ["label x: every region has 0.1: there is nothing to predict"]


def test_a_typeset_minus_is_one_and_a_code_may_hold_an_equals_sign() -> None:
    frame = pd.DataFrame({"a": ["\u22121.5", "2", "<=5"]})
    values, _ = take_labels(frame, ["a"], table="t", missing=["<=5"])
    assert values["a"].tolist()[:2] == [-1.5, 2.0]
    assert parse_missing(["a=<=5"], ["a"]).codes("a") == ("<=5",)
    with pytest.raises(InputError, match=r"--missing '<=5'"):
        take_labels(frame, ["a"], table="t")


@pytest.mark.parametrize("text", ["$1,250,000", "(1,234)", "12*", "1.234,50 EUR"])
def test_a_measured_value_is_never_called_missing(text: str) -> None:
    with pytest.raises(InputError) as refused:
        take_labels(pd.DataFrame({"a": ["1", text]}), ["a"], table="t")
    assert "--missing" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "dtype"), [(-999.9, "float32"), (2147483647, "float32"), (-9999, "float16")]
)
def test_codes_are_met_as_short_floats_round_them(code: float, dtype: str) -> None:
    column = np.array([0, 1, 2, 1, code, code], dtype=dtype)
    values, said = take_labels(pd.DataFrame({"a": column}), ["a"], table="t")
    assert values["a"].isna().sum() == 2
    assert "taken as missing" in said[0]


@pytest.mark.parametrize("cell", [[1.0], (1, 2), {"a": 1}, np.array([1.0, 2.0])])
def test_lists_and_objects_are_no_labels(cell: object) -> None:
    with pytest.raises(InputError, match=r"one value per row(.|\n)*row 1"):
        take_labels(pd.DataFrame({"a": pd.Series([1.0, cell], dtype=object)}), ["a"], table="t")
