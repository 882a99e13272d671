"""Labels: read from every kind of table, parsed strictly, averaged per region, missing stays missing."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.base.frames import id_text, read_frame
from urbanln.city.indicators import mean_per_region, parse_labels

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
