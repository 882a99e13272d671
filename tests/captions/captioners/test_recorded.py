"""Captions read from files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.base.files import hash_file
from urbanln.captions.captioners.base import Ask, Captioner, Picture
from urbanln.captions.captioners.recorded import RecordedCaptioner, read_recorded, read_rows


def _pictures(*paths: str) -> list[Picture]:
    return [Picture(f"i{n}", "satellite", path, "", bytes) for n, path in enumerate(paths)]


def _say(captioner: RecordedCaptioner, pictures: list[Picture]) -> list[str | None]:
    captioner.prepare(pictures)
    return [captioner.describe(picture) for picture in pictures]


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "json"])
def test_every_format_gives_the_same_captions(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"image": ["a.png", "b.png"], "caption": ['A "red" roof, wide.', "Grün"]})
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind in ("csv", "tsv"):
        frame.to_csv(path, sep="\t" if kind == "tsv" else ",", index=False)
    else:
        frame.to_json(path, orient="records", lines=kind == "jsonl", force_ascii=False)
    (captioner,) = read_recorded(path)
    assert captioner.identity.name == "recorded"
    assert list(captioner.sources) == [path.name]
    assert _say(captioner, _pictures("tiles/a.png", "tiles/b.png")) == ['A "red" roof, wide.', "Grün"]


def test_sentences_of_urbanclips_json_are_joined_per_image_in_order(tmp_path: Path) -> None:
    rows = [
        [{"caption": "First.", "image": "a.jpg"}, {"caption": "Second", "image": "a.jpg"}],
        [{"caption": "Other.", "image": "b.jpg"}],
        [{"caption": " ", "image": "c.jpg"}],
    ]
    (tmp_path / "c.json").write_text(json.dumps(rows))
    (captioner,) = read_recorded(tmp_path / "c.json")
    pictures = _pictures("a.jpg", "b.jpg", "c.jpg")
    assert "1 empty captions dropped" in captioner.prepare(pictures)[0]
    assert [captioner.describe(p) for p in pictures] == ["First. Second", "Other.", None]


def test_several_captioners_and_several_captions_of_one_stay_apart(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "image_id": ["i0", "i0", "i0", "i1"],
            "captioner": ["x", "y", "x", ""],
            "Caption": ["one", "two", "three", "four"],
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    captioners = read_recorded(tmp_path / "t.csv")
    pictures = _pictures("p.jpg", "q.jpg")
    said = {c.identity.name: _say(c, pictures) for c in captioners}
    assert said == {
        "x": ["one", None],
        "y": ["two", None],
        "x-2": ["three", None],
        "recorded": [None, "four"],
    }


def test_rows_of_no_picture_are_counted_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,caption\ni0,yes\nstrange,no\nother,no\n")
    (captioner,) = read_recorded(tmp_path / "t.csv")
    assert captioner.prepare(_pictures("p.jpg")) == [
        "t.csv: pictures by 'image', texts in 'caption'; 3 rows; recorded: 1 of 1 pictures have a recorded "
        "caption, 2 recorded captions belong to no picture of this city (strange, other)"
    ]
    with pytest.raises(InputError, match="none of the recorded") as caught:
        captioner.prepare([Picture("z", "street", "z.jpg", "", bytes)])
    assert "strange" in str(caught.value)
    assert "z.jpg" in str(caught.value)


def test_a_file_name_that_two_pictures_share_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,caption\na.jpg,which\nsat/b.jpg,by path\n")
    (captioner,) = read_recorded(tmp_path / "t.csv")
    assert _say(captioner, _pictures("sat/a.jpg", "street/a.jpg", "sat/b.jpg", "street/b.jpg")) == [
        None,
        None,
        "by path",
        None,
    ]


def test_an_answer_is_the_recorded_text_and_the_revision_is_the_files(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,caption\na.png,said once\n")
    (one,) = read_recorded(tmp_path / "t.csv")
    captioner: Captioner = one
    pictures = _pictures("a.png", "b.png")
    captioner.prepare(pictures)
    assert captioner.identity.revision == hash_file(tmp_path / "t.csv")[:12]
    answer = asyncio.run(captioner.answer(Ask(pictures[0])))
    assert answer is not None
    assert answer.text == "said once"
    assert asyncio.run(captioner.answer(Ask(pictures[0], stage="local"))) is None
    assert asyncio.run(captioner.answer(Ask(pictures[1]))) is None


def test_other_texts_are_another_revision_also_without_a_file() -> None:
    same, again, other = (RecordedCaptioner("x", {"a": text}) for text in ("one", "one", "two"))
    assert same.identity == again.identity
    assert same.identity != other.identity


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.csv", "image,words\nx,y\n", "lack a column with the text"),
        ("b.csv", "name,caption\nx,y\n", "lack a column with the picture"),
        ("c.csv", "", "not a readable"),
        ("d.json", "{", "not a readable"),
        ("e.json", '{"a": 1}', "are a list"),
        ("f.json", '[[{"image": "x"}]]', "lack a column with the text"),
        ("g.json", "[[1]]", "expected an object"),
        ("h.parquet", "no", "not a readable Parquet"),
        ("k.parquet", "PAR1" + "\0" * 40 + "PAR1", "not a readable Parquet"),
        ("i.txt", "x", "are read from"),
        ("j.csv", "image,caption\nx,\n", "no caption in this file"),
        ("k.json", "[]", "lack a column"),
    ],
)
def test_bad_files_are_one_clear_error(tmp_path: Path, name: str, text: str, match: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=match):
        read_recorded(tmp_path / name)


def test_a_missing_column_names_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,words\nx,y\n")
    with pytest.raises(InputError) as caught:
        read_recorded(tmp_path / "a.csv")
    assert "image, words" in str(caught.value)


def test_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_recorded(tmp_path / "none.csv")


def test_semicolons_split_and_commas_without_quotes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image_id;caption\n007;a road, with trees\n")
    (captioner,) = read_recorded(tmp_path / "a.csv")
    assert _say(captioner, _pictures("007")) == ["a road, with trees"]
    (tmp_path / "b.csv").write_text("image_id,caption\n007,a road, with trees\n")
    with pytest.raises(InputError, match=r"more fields than the 2 columns(.|\n)*in quotes"):
        read_recorded(tmp_path / "b.csv")


def test_an_object_of_image_and_caption_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({"a.jpg": "A street.", "b.jpg": ""}))
    rows = read_rows(tmp_path / "t.json")
    assert list(rows["image_id"]) == ["a.jpg", "b.jpg"]
    assert list(rows["caption"]) == ["A street.", ""]


def test_a_file_name_that_several_keys_end_in_belongs_to_none_of_them() -> None:
    texts = {"beijing/1.png": "B", "shanghai/1.png": "S", "2.png": "Two", "old/2.png": "O"}
    pictures = _pictures("tiles/1.png", "tiles/2.png")
    assert _say(RecordedCaptioner("r", texts), pictures) == [None, "Two"]
    assert _say(RecordedCaptioner("r", texts), _pictures("shanghai/1.png", "x/9.png")) == ["S", None]


@pytest.mark.parametrize("key", ["Zu\u0308rich.JPG", "z\u00fcrich.jpg", "old\\Z\u00fcrich.jpg"])
def test_a_name_in_another_spelling_is_found_where_one_picture_answers(key: str) -> None:
    there = _pictures("tiles/Z\u00fcrich.jpg", "tiles/b.jpg")
    assert _say(RecordedCaptioner("r", {key: "Z"}), there) == ["Z", None]
    both = _pictures("tiles/a.jpg", "tiles/A.jpg", "tiles/b.jpg")
    assert _say(RecordedCaptioner("r", {"A.JPG": "?", "b.jpg": "B"}), both) == [None, None, "B"]
    assert _say(RecordedCaptioner("r", {"A.jpg": "A"}), both) == [None, "A", None]


def test_a_line_that_is_no_json_is_told_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"image": "a", "caption": "A."}\n\n{"image": "b", \n')
    with pytest.raises(InputError, match=r"no JSON(.|\n)*line 3"):
        read_recorded(tmp_path / "t.jsonl")


def test_a_numbered_captioner_does_not_take_the_name_of_another(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,captioner,caption\ni0,x,one\ni0,x,two\ni0,x-2,three\ni1,x,four\n")
    said = {c.identity.name: _say(c, _pictures("a", "b")) for c in read_recorded(tmp_path / "t.csv")}
    assert said == {"x": ["one", "four"], "x-3": ["two", None], "x-2": ["three", None]}


def test_missing_values_and_lists_in_parquet_and_null_in_json_are_no_fault(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["a", "b"], "caption": pd.array(["x", None], dtype="string")})
    frame.to_parquet(tmp_path / "missing.parquet")
    assert list(read_rows(tmp_path / "missing.parquet")["caption"]) == ["x", ""]
    pd.DataFrame({"image": ["a"], "caption": [["x", "y"]]}).to_parquet(tmp_path / "list.parquet")
    assert list(read_rows(tmp_path / "list.parquet")["caption"]) == ["x", "y"]
    (tmp_path / "null.json").write_text('[[{"image": null, "caption": "x"}, {"image": "b", "caption": "y"}]]')
    assert list(read_rows(tmp_path / "null.json")["image_id"]) == ["b"]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_nested_without_end_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"t.{kind}").write_text("[" * 200_000)
    with pytest.raises(InputError, match=r"not a readable|a line is no JSON"):
        read_rows(tmp_path / f"t.{kind}")


def test_what_was_read_is_one_line(tmp_path: Path) -> None:
    lines = ["File;Text;Captioner;lon", "i0;A road.;x;8", ";Lost.;x;8", "i1;;x;8", "i2;NA;x;8"]
    lines += [f"gone{n};Gone.;x;8" for n in range(5)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    (captioner,) = read_recorded(tmp_path / "t.csv")
    (line,) = captioner.prepare(_pictures("a", "b"))
    assert line == (
        "t.csv: pictures by 'File', texts in 'Text', captioners in 'Captioner'; 9 rows, 1 without a "
        "picture's name left out, 2 empty captions dropped; x: 1 of 2 pictures have a recorded caption, "
        "5 recorded captions belong to no picture of this city (gone0, gone1, gone2, …)"
    )


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "json"])
def test_pictures_called_na_null_or_by_a_number_keep_their_names(tmp_path: Path, kind: str) -> None:
    path, names = tmp_path / f"t.{kind}", ["NA", "null", "nan", "007", "None"]
    frame = pd.DataFrame({"image_id": names, "caption": [f"A road {n}." for n in range(5)]})
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind in ("csv", "tsv"):
        frame.to_csv(path, sep="\t" if kind == "tsv" else ",", index=False)
    else:
        frame.to_json(path, orient="records", lines=kind == "jsonl")
    assert list(read_rows(path)["image_id"]) == names


def test_numbers_as_names_lose_no_digit_and_gain_none(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(
        '[{"image": 1001, "caption": "A."}, {"image": null, "caption": "B."}, '
        '{"image": 100000000000000001, "caption": "C."}]'
    )
    assert list(read_rows(tmp_path / "t.json")["image_id"]) == ["1001", "100000000000000001"]
    pd.DataFrame({"image": [1001.0, None], "caption": ["A.", "B."]}).to_parquet(tmp_path / "t.parquet")
    assert list(read_rows(tmp_path / "t.parquet")["image_id"]) == ["1001"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<think>A ship?</think>A road.", "A road."),
        ("A road.<|im_end|>", "A road."),
        ("<think>A ship?", ""),
        ("<unused32><unused32>", ""),
        ('{"caption": "A road."}', "A road."),
        ("NA", ""),
        ("null", ""),
        ("A sign <stop> and [a fence].", "A sign <stop> and [a fence]."),
    ],
)
def test_recorded_texts_of_models_are_judged_as_answers_are(tmp_path: Path, text: str, kept: str) -> None:
    pd.DataFrame({"image": ["a"], "caption": [text]}).to_parquet(tmp_path / "t.parquet")
    assert list(read_rows(tmp_path / "t.parquet")["caption"]) == [kept]


@pytest.mark.parametrize("second", ["Caption", " caption", "CAPTION "])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, second: str) -> None:
    frame = pd.DataFrame([["a", "A road.", "A ship."]], columns=["image", "caption", second])
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="two columns") as caught:
        read_recorded(tmp_path / "t.parquet")
    assert caught.value.value == "caption"


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet", "object"])
def test_a_list_of_captions_is_several_captions(tmp_path: Path, kind: str) -> None:
    rows = [
        {"image": "i0", "caption": ["A road.", "A roof."]},
        {"image": "i1", "caption": ["A <NA>.", None]},
        {"image": "i2", "caption": []},
    ]
    path = tmp_path / f"t.{'json' if kind == 'object' else kind}"
    if kind == "parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif kind == "object":
        path.write_text(json.dumps({row["image"]: row["caption"] for row in rows}))
    else:
        path.write_text(json.dumps(rows) if kind == "json" else "\n".join(map(json.dumps, rows)))
    first, second = read_recorded(path)
    pictures = _pictures("a", "b", "c")
    assert "3 rows, 5 captions, since some are lists" in first.prepare(pictures)[0]
    assert [first.describe(p) for p in pictures] == ["A road.", "A <NA>.", None]
    assert (second.identity.name, _say(second, pictures)) == ("recorded-2", ["A roof.", None, None])


@pytest.mark.parametrize(
    "cell",
    [
        {"en": "A road.", "zh": "路"},
        True,
        12,
        1.5,
        b"A road.",
        [{"text": "A road."}],
        ["A road.", 5],
        "['A road.', 'A roof.']",
        "['A road.' 'A roof.']",
        "[\"A dog's house.\", 'A roof.']",
        "{'en': 'A road.'}",
        "b'A road.'",
    ],
)
def test_what_is_no_text_is_no_caption(tmp_path: Path, cell: object) -> None:
    if cell != ["A road.", 5]:  # Parquet holds no such list
        pd.DataFrame({"image": ["a", "b"], "caption": [None, cell]}).to_parquet(tmp_path / "t.parquet")
        with pytest.raises(InputError, match="neither text nor a list") as caught:
            read_rows(tmp_path / "t.parquet")
        assert "row 1" in str(caught.value)
    if not isinstance(cell, bytes):
        (tmp_path / "t.json").write_text(json.dumps([[{"image": "a", "caption": cell}]]))
        with pytest.raises(InputError, match="neither text nor a list"):
            read_rows(tmp_path / "t.json")


def test_a_stored_picture_is_called_by_its_path_and_no_other_thing_is_a_name(tmp_path: Path) -> None:
    stored = [{"bytes": b"1", "path": "a.png"}, {"bytes": b"2", "path": "b.png"}]
    pd.DataFrame({"image": stored, "caption": ["A", "B"]}).to_parquet(tmp_path / "t.parquet")
    assert list(read_rows(tmp_path / "t.parquet")["image_id"]) == ["a.png", "b.png"]
    for odd in ({"bytes": b"2", "path": None}, ["b.png"], b"2", True):
        pd.DataFrame({"image": [odd], "caption": ["B"]}).to_parquet(tmp_path / "t.parquet")
        with pytest.raises(InputError, match="names no picture"):
            read_rows(tmp_path / "t.parquet")
