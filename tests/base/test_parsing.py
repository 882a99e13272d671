"""What is read from files: whatever stands in them, one clear error or a value that can be handed on."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shapely import Point

import urbanln
from urbanln.base import files
from urbanln.base.config import load_settings
from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import read_table, table_note, write_table
from urbanln.base.frames import read_frame
from urbanln.base.parsing import TOML_BYTES, parse_json, read_events, read_json, read_run, read_toml
from urbanln.report.scores import read_scores
from urbanln.tables.vectors import read_embeddings

PACKAGE = Path(urbanln.__file__).parent
BAD_JSON = {
    "empty": b"",
    "cut off": b'{"a": [1, 2',
    "zero bytes": b"\x00" * 64,
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep, but within Python's reach": b"[" * 200 + b"]" * 200,
    "not a number": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "beyond the largest float": b'{"a": 1e999}',
    "beyond 64 bits": b'{"a": 100000000000000000000}',
    "more digits than Python reads": b'{"a": ' + b"9" * 5000 + b"}",
    "half a character": b'{"a": "\\ud800"}',
    "half a character in a key": b'{"\\udfff": 1}',
    "a key twice": b'{"a": 1, "a": 2}',
    "a list": b"[1]",
    "a number": b"7",
    "null": b"null",
}
BAD_TOML = {
    "cut off": b"[train",
    "zero bytes": b"\x00" * 64,
    "not UTF-8": b'a = "\xff"',
    "a key twice": b"a = 1\na = 2",
    "deep lists": b"a = " + b"[" * 50_000 + b"]" * 50_000,
    "deep tables": b"a" + b".a" * 500 + b" = 1",
    "more digits than Python reads": b"a = " + b"9" * 5000,
    "huge": b"#" * (TOML_BYTES + 1),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json_is_one_error_that_says_how_to_go_on(case: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(BAD_JSON[case])
    with pytest.raises(ArtefactError, match="not a JSON file") as caught:
        read_json(path, dict[str, Any])
    assert caught.value.where == path
    assert caught.value.remedy == "make it again with the command that wrote it"
    str(caught.value).encode()


def test_json_of_any_editor_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + '{"ä": [1, 2.5, null, "\\ud83d\\ude00"]}'.encode())
    assert read_json(tmp_path / "a.json") == {"ä": [1, 2.5, None, "😀"]}


def test_what_is_no_file_of_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "none.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ArtefactError, match="a named pipe"):
        read_json(tmp_path / "pipe.json")
    with pytest.raises(ArtefactError, match="cannot be read"):
        read_json(tmp_path)


def test_a_file_that_is_not_there_is_told_with_the_one_meant(tmp_path: Path) -> None:
    (tmp_path / "flats.csv").write_text("a\n1\n")
    (tmp_path / "tables").mkdir()
    for wrong, remedy in (
        ("falts.csv", f"did you mean '{tmp_path / 'flats.csv'}'?"),
        ("prices.csv", "check the path"),
        ("here/flats.csv", f"check the path: there is no folder {tmp_path / 'here'}"),
    ):
        with pytest.raises(InputError, match="no such file") as caught:
            read_frame(tmp_path / wrong)
        assert caught.value.remedy == remedy
    with pytest.raises(InputError, match="a file is needed, and this is a folder") as caught:
        read_frame(tmp_path / "tables")
    assert caught.value.where == tmp_path / "tables"


@pytest.mark.parametrize("case", BAD_TOML)
def test_bad_toml_is_one_error(case: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(BAD_TOML[case])
    for read in (read_toml, load_settings):
        with pytest.raises(InputError, match="the settings file is") as caught:
            read(path)
        assert caught.value.where == path
        assert caught.value.remedy
    with pytest.raises(ArtefactError, match="the run's description is"):
        read_run(path)


@pytest.mark.parametrize(
    "content",
    [
        "run = 7",
        "train = 1",
        "[run]\ncities = 3",
        "[run]\ncities = [1]",
        "[run]\ncities = [{name = 'x'}]\nsettings_hash = 3",
        "[run]",
    ],
)
def test_a_run_that_describes_itself_wrongly(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(content)
    with pytest.raises(ArtefactError, match="the run's description is damaged") as caught:
        read_run(tmp_path / "run.toml", "run", "cities", shape=list[dict[str, Any]])
    assert "pretrain again" in str(caught.value)


def test_events_end_where_a_kill_cut_them_and_nowhere_else(tmp_path: Path) -> None:
    path, shape = tmp_path / "metrics.jsonl", dict[str, Any]
    assert read_events(path, shape) == []
    for end in (b"", b'{"st', b"5", b"\x00\x00\n"):
        path.write_bytes(b'{"step": 1}\n' + end)
        assert read_events(path, shape) == [{"step": 1}]
    path.write_bytes(b'{"step": 1}\n{"st\n{"step": 2}\n')
    with pytest.raises(ArtefactError, match="a line is damaged") as caught:
        read_events(path, shape)
    assert str(caught.value.where).endswith("metrics.jsonl, line 2")


@pytest.mark.parametrize("note", [b"{", b"[]", b'"x"', b"\xff", b"[" * 10_000, b'{"kind": "\\ud800"}'])
def test_a_table_whose_note_is_damaged(note: bytes, tmp_path: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({b"urbanln": note})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(ArtefactError, match="the note that says what is in this table") as caught:
        table_note(tmp_path / "t.parquet")
    assert caught.value.remedy


def test_a_table_whose_other_notes_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, pd.DataFrame({"a": [1]}), kind="x")
    for key, value in ((b"pandas", b"7"), (b"pandas", b"{"), (b"geo", b"[]"), (b"geo", b"{}")):
        table = pq.read_table(path)
        pq.write_table(
            table.replace_schema_metadata({**table.schema.metadata, key: value}), tmp_path / "u.parquet"
        )
        with pytest.raises(ArtefactError, match="not a readable Parquet file"):
            read_table(tmp_path / "u.parquet", kind="x")


def test_a_table_whose_shapes_are_none(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    one = gpd.GeoDataFrame({"region_id": ["a"]}, geometry=[Point(0, 1)], crs="EPSG:4326")
    write_table(path, one.assign(n_images=1, vector=[[1.0]]), kind="embeddings", vector="vector")
    table, place = pq.read_table(path), pq.read_schema(path).get_field_index("geometry")
    pq.write_table(table.set_column(place, "geometry", pa.array([b"zz"])), path)
    with pytest.raises(ArtefactError, match="not a readable Parquet file"):
        read_embeddings(path)
    notes = {key: value for key, value in table.schema.metadata.items() if key != b"geo"}
    pq.write_table(table.replace_schema_metadata(notes), path)
    with pytest.raises(ArtefactError, match="does not say what its geometry is"):
        read_embeddings(path)


_ROW = {"indicator": "a", "split": "block", "features": "mean", "head": None, "r2": 0.1}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"rows": 3},
        {"rows": [3]},
        {"rows": [{**_ROW, "features": 7}]},
        {"rows": [{"indicator": "a", "split": "block", "features": "mean"}]},
        {"rows": [{**_ROW, "r2": "high"}]},
        {"rows": [{**_ROW, "vs": [1]}]},
        {"rows": [], "settings": {"heads": 1}},
        {"rows": [], "verdicts": [{"indicator": "a", "beats": []}]},
        {"rows": [], "regions": {"labelled": [400]}},
        {"rows": [], "units": []},
        {"rows": [], "kind": "study"},
    ],
)
def test_scores_of_another_shape(content: object, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text(json.dumps(content))
    with pytest.raises(ArtefactError) as caught:
        read_scores(tmp_path / "scores.json")
    assert caught.value.remedy == "make it again with 'urbanln probe'"


def test_a_shape_is_held_against_the_value_as_it_is() -> None:
    assert parse_json('{"a": 1}', dict[str, float]) == {"a": 1}
    with pytest.raises(ValueError, match="a: Input should be a valid number"):
        parse_json('{"a": "1"}', dict[str, float])


def test_nobody_else_parses_what_stands_in_files() -> None:
    """``json.loads`` takes NaN, half characters and a key that stands twice; ``tomllib`` any depth."""
    # What they read is no file: an answer of a server, a line of another process of ours, our own resource,
    # what stands in our own memory.
    may = {
        "captions/captioners/answers.py", "captions/captioners/openai_server.py",
        "captions/captioners/server_faults.py", "captions/simulation/answers.py",
        "captions/simulation/server.py", "captions/parsing/parse.py", "captions/parsing/worker.py",
        "captions/facts.py", "city/datum.py", "model/tokens.py", "pages/maps.py", "base/parsing.py",
    }  # fmt: skip
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            if node.value.id in ("json", "tomllib") and node.attr in ("load", "loads", "JSONDecoder"):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found <= may, f"read it with urbanln.base.parsing: {sorted(found - may)}"
    assert may <= found, f"no longer needed: {sorted(may - found)}"


def test_columns_and_rows_that_are_not_needed_stay_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_ROW_GROUP", 4)
    path = tmp_path / "t.parquet"
    frame = gpd.GeoDataFrame(
        {"a": np.arange(12), "by": list("xxxxxxyyyyyy")},
        geometry=gpd.points_from_xy(range(12), range(12)), crs=4326,
    )  # fmt: skip
    write_table(path, frame, kind="x")
    assert pq.ParquetFile(path).num_row_groups == 3
    whole = read_table(path, kind="x")
    part = read_table(path, kind="x", columns=["a", "not there"], only={"by": "y", "nor this": "z"})
    assert (type(part), list(part.columns)) == (pd.DataFrame, ["a"])
    assert part["a"].tolist() == whole["a"][whole["by"] == "y"].tolist() == list(range(6, 12))
    shaped = read_table(path, kind="x", columns=["geometry"], only={"by": "x"})
    assert isinstance(shaped, gpd.GeoDataFrame)
    assert list(shaped.geometry.x) == list(range(6))
    assert read_table(path, kind="x", only={"by": "of another"}).empty
    write_table(path, pd.DataFrame({"a": range(12), "by": pd.Categorical(frame["by"])}), kind="x")
    assert pq.ParquetFile(path).num_row_groups == 1, "a group would repeat all words"
    assert read_table(path, kind="x", columns=["a"], only={"by": "y"})["a"].tolist() == list(range(6, 12))
