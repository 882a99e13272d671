"""Tables of text as people have them: separators, encodings, numbers of other countries, doubled names."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from urbanln.base.columns import number_column
from urbanln.base.delimited import read_csv
from urbanln.base.encodings import likely_encodings
from urbanln.base.errors import InputError
from urbanln.base.frames import read_frame
from urbanln.base.written import Written


def _write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("sep=;\nid;a,b\n1;2\n", ["id", "a,b"]),
        ("sep=;\r\nid;price\r\n1;2\r\n", ["id", "price"]),
        ('"sep=|"\nid|price\n1|2\n', ["id", "price"]),
        ("SEP=\t\nid\tprice\n1\t2\n", ["id", "price"]),
        ('"price, in EUR, net";id\n1;2\n', ["price, in EUR, net", "id"]),
        ("\n\nid,price\n1,2\n", ["id", "price"]),
        ('"a\nb",c\n1,2\n', ["a\nb", "c"]),
        ("id,price,,\n1,2,,\n", ["id", "price", "Unnamed: 2", "Unnamed: 3"]),
    ],
)
def test_the_separator_is_what_the_file_says_or_what_splits_the_names(
    text: str, columns: list[str], tmp_path: Path
) -> None:
    frame = read_csv(_write(tmp_path, text))
    assert list(frame.columns) == columns
    assert frame.iloc[0].dropna().astype(int).tolist() == [1, 2]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_believed(encoding: str, tmp_path: Path) -> None:
    path = _write(tmp_path, "sep=;\nid;name\n007;北京 Łódź\n", encoding)
    for written in (Written(), Written(encoding="cp1252")):
        assert read_csv(path, text=["id"], written=written).iloc[0].tolist() == ["007", "北京 Łódź"]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("gb18030", ["北京市朝阳区", "上海浦东", "武汉"]),
        ("gb18030", ["北京"]),
        ("gb18030", ["大学"]),
        ("cp932", ["大阪"]),
        ("big5", ["高雄"]),
        ("cp932", ["東京都渋谷区", "しぶや"]),
        ("cp949", ["서울특별시", "부산"]),
        ("big5", ["台北市信義區"]),
        ("cp1252", ["Zürich", "São Paulo", "café"]),
        ("cp1250", ["Łódź", "Plzeň"]),
        ("cp1251", ["Москва", "Тверь"]),
        ("utf-16-le", ["Zürich"]),
        ("utf-16-le", ["plain ASCII"]),
        ("utf-16-be", ["Zürich"]),
    ],
)
def test_another_encoding_is_refused_with_the_likely_ones_and_read_when_told(
    encoding: str, words: list[str], tmp_path: Path
) -> None:
    text = "id,name\n" + "".join(f"{i},{word}\n{i},plain\n" for i, word in enumerate(words))
    path = _write(tmp_path, text, encoding)
    names = [name for name, _ in likely_encodings(path.read_bytes())]
    assert encoding in names
    assert names[0] == encoding or encoding == "cp1250"  # whose letters are nearly all in cp1252, too
    with pytest.raises(InputError, match=rf"not UTF-8(.|\n)*--encoding (.|\n)*{encoding}"):
        read_frame(path)
    read = read_frame(path, written=Written(encoding=encoding))
    assert read["name"][0] == words[0]


def test_one_damaged_letter_does_not_make_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,name\n" + "1,北京市朝阳区\n".encode() * 9 + b"2,\xe5\x8c\n")
    with pytest.raises(InputError, match=r"damaged letters(.|\n)*line 11"):
        read_csv(path)


def test_a_wrong_or_needless_encoding_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, "id,name\n1,北京\n", "gb18030")
    with pytest.raises(InputError, match=r"not utf-16 text|not UTF-8"):
        read_csv(path, written=Written(encoding="utf-16"))
    with pytest.raises(InputError, match="no such encoding"):
        Written(encoding="gbk-2030")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="leave --encoding out"):
        read_frame(tmp_path / "t.parquet", written=Written(encoding="gbk"))


@pytest.mark.parametrize(
    ("cells", "written", "numbers"),
    [
        (["1,234.5", "12", "-1,234,567"], Written(thousands=","), [1234.5, 12, -1234567]),
        (["1,23,456", "12,34,567.5"], Written(thousands=","), [123456, 1234567.5]),
        (["1.234,5", "1.234.567", "12"], Written(thousands="."), [1234.5, 1234567, 12]),
        (["1.234", "12.000"], Written(thousands="."), [1234, 12000]),
        (
            ["1 234,5", "1\u00a0234", "1\u202f234\u202f567"],
            Written("utf-8", "space", ","),
            [1234.5, 1234, 1234567],
        ),
        (["1'234.5", "1\u2019234"], Written(thousands="'"), [1234.5, 1234]),
        (["12,5", "0,25", "7", "-1,5e3"], Written(decimal=","), [12.5, 0.25, 7, -1500]),
        (["12.5", "7"], Written(thousands=","), [12.5, 7]),
    ],
)
def test_numbers_as_they_are_written_elsewhere(
    cells: list[str], written: Written, numbers: list[float], tmp_path: Path
) -> None:
    path = _write(
        tmp_path, "id;x;note\n" + "".join(f"0{i};{cell};1,5 or so\n" for i, cell in enumerate(cells))
    )
    read = read_frame(path, text=["id"], written=written)
    assert read["x"].tolist() == numbers
    assert read["id"][0] == "00"
    assert read["note"][0] == "1,5 or so"
    pd.DataFrame({"x": cells}).to_parquet(tmp_path / "t.parquet")
    quiet = Written(None, written.thousands, written.decimal)
    assert read_frame(tmp_path / "t.parquet", written=quiet)["x"].tolist() == numbers


def test_a_column_that_does_not_fit_stays_what_it_is(tmp_path: Path) -> None:
    path = _write(tmp_path, "lon;x;gap\n116.397128;1.234;\n116.4;oops;\n")
    read = read_frame(path, written=Written(thousands="."))
    assert number_column(read, "lon", "t", text_numbers=True).tolist() == [116.397128, 116.4]
    with pytest.raises(InputError, match="oops"):
        number_column(read, "x", "t", text_numbers=True)
    assert read["gap"].isna().all()


@pytest.mark.parametrize(
    ("cells", "remedy"),
    [
        (["1,234.5", "7"], "--thousands ,[;]"),
        (["1.234.567", "7"], "--thousands [.][;]"),
        (["1 234", "7"], "--thousands space[;]"),
        (["1'234", "7"], '--thousands "\'"[;]'),
        (["1 234,5"], "--thousands space --decimal ,[;]"),
        (["12,5", "0,25"], "--decimal ,[;]"),
        (["1,234"], "--thousands , or .*--decimal ,"),
        (["12.5 %", "7"], "12.5 for 12.5 %"),
        (["2020-01-31"], "the year"),
        (["n.a.", "7"], "--missing 'n.a.'"),
        (["12,5", "n.a."], "--decimal ,"),
    ],
)
def test_what_is_no_plain_number_is_refused_with_the_option_that_reads_it(
    cells: list[str], remedy: str
) -> None:
    with pytest.raises(InputError, match=f"must be a numeric column(.|\n)*{remedy}"):
        number_column(pd.DataFrame({"x": cells}), "x", "t", text_numbers=True)


def test_signs_that_cannot_be_meant() -> None:
    for options in ({"thousands": ";"}, {"decimal": "'"}, {"thousands": ",", "decimal": ","}):
        with pytest.raises(InputError, match=r"--thousands|--decimal"):
            Written(**options)
    assert Written(thousands=".").point == ","
    assert Written(thousands=".").says() == "numbers like 1.234,5"
    assert Written().says() == ""


@pytest.mark.parametrize("head", ["a,b,a", "a, a,b", '"a";a;b', "lon,lat,lon"])
def test_two_columns_of_one_name_are_refused(head: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two columns have one name\n.*(a|lon)"):
        read_frame(_write(tmp_path, head + "\n1,2,3\n".replace(",", ";" if ";" in head else ",")))


def test_two_columns_of_one_name_are_refused_in_parquet_too(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="two columns have one name"):
        read_frame(tmp_path / "t.parquet")
    # "a" and "a.1", as pandas would rename them, may stand in a file, and so may names that differ in case.
    assert list(read_frame(_write(tmp_path, "a,a.1,A\n1,2,3\n")).columns) == ["a", "a.1", "A"]


def test_ids_called_na_are_ids_and_numbers_called_so_are_missing(tmp_path: Path) -> None:
    path = _write(tmp_path, "id,x\nNA,1\nnull,NA\nNone,null\nnan,2\n,3\nN/A,\n")
    read = read_frame(path, text=["id"])
    assert read["id"].fillna("?").tolist() == ["NA", "null", "None", "nan", "?", "N/A"]
    assert read["x"].isna().tolist() == [False, True, True, False, False, True]
    assert read_csv(path, text=None)["id"].tolist() == ["NA", "null", "None", "nan", "", "N/A"]


def test_a_comma_at_the_end_of_every_line_adds_nothing(tmp_path: Path) -> None:
    path = _write(tmp_path, "image, caption,\nNA,A roof.,\nb,,\n")
    for text in (None, ["image", "caption"]):
        read = read_csv(path, text=text)
        assert read["image"].tolist() == ["NA", "b"]
        assert read["caption"].fillna("").tolist() == ["A roof.", ""]
    path = _write(tmp_path, "image,caption\nNA,A roof.,\nb,,\n")
    assert read_csv(path, text=None).to_numpy().tolist() == [["NA", "A roof."], ["b", ""]]
    with pytest.raises(InputError, match="more fields than the 2 columns"):
        read_csv(_write(tmp_path, "image,caption\na,A roof, red\n"), text=None)


def test_a_shapefile_is_read_in_the_encoding_told(tmp_path: Path) -> None:
    places = gpd.GeoDataFrame({"name": ["北京"]}, geometry=gpd.points_from_xy([1], [2]), crs=4326)
    places.to_file(tmp_path / "t.shp", encoding="gb18030")
    (tmp_path / "t.cpg").unlink()
    assert read_frame(tmp_path / "t.shp", written=Written(encoding="gb18030"))["name"].tolist() == ["北京"]


def test_points_between_thousands_are_no_decimals_where_commas_are(tmp_path: Path) -> None:
    path = _write(tmp_path, "lon;pop;share\n13,41;12.345;0,5\n13,42;9.870;0,25\n")
    read = read_frame(path, written=Written(decimal=","))
    assert number_column(read, "share", "t", text_numbers=True).tolist() == [0.5, 0.25]
    with pytest.raises(InputError, match=r"12\.345(.|\n)*--thousands \."):
        number_column(read, "pop", "t", text_numbers=True)
    both = read_frame(path, written=Written(decimal=",", thousands="."))
    assert number_column(both, "pop", "t", text_numbers=True).tolist() == [12345, 9870]


def test_a_group_never_begins_with_0_and_signs_for_nothing_are_left_to_the_reader(tmp_path: Path) -> None:
    path = _write(tmp_path, "pop;share;note\n1.234.567;0.125;a\n-;0.250;b\n2.000.111;0.5;c\n")
    read = read_frame(path, written=Written(thousands="."))
    assert number_column(read, "share", "t", text_numbers=True).tolist() == [0.125, 0.25, 0.5]
    assert read["pop"].tolist() == ["1234567", "-", "2000111"]
    assert read["note"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1254", "İstanbul Beşiktaş Şişli Kadıköy Üsküdar"),
        ("cp1256", "القاهرة الجيزة الإسكندرية"),
        ("cp1255", "תל אביב ירושלים חיפה"),
        ("cp874", "กรุงเทพ เชียงใหม่ ภูเก็ต"),
        ("cp1253", "Αθήνα Θεσσαλονίκη Πάτρα"),
        ("cp1251", "Москва Казань Самара"),
        ("cp1251", "улица дом квартира"),
        ("cp1252", "Málaga São Paulo Zürich Besançon Köln"),
        ("cp1250", "Łódź Kraków Gdańsk Wrocław"),
    ],
)
def test_alphabets_are_told_apart(encoding: str, text: str) -> None:
    assert likely_encodings(f"{text}\n".encode(encoding) * 3)[0][0] == encoding


@pytest.mark.parametrize("encoding", ["base64", "rot13", "klingon"])
def test_what_is_no_encoding_of_text_is_refused(encoding: str) -> None:
    with pytest.raises(InputError, match="no such encoding"):
        Written(encoding=encoding)


def test_a_zero_byte_is_no_name_of_an_encoding() -> None:
    with pytest.raises(InputError, match="no such encoding"):
        Written("\0", None, None)
