"""An output is never anything of the user's: every way to name one that is, told before any work is done."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import write_json, write_table, write_text
from urbanln.base.outputs import (
    CITY,
    PAGE,
    RUN,
    SCORES,
    FileKind,
    json_of_kind,
    of_kind,
    output_file,
    output_folder,
    with_first_line,
)

TABLE = FileKind(
    "a table", {".parquet": of_kind("embeddings"), ".csv": with_first_line(lambda line: line == "a,b")}
)
AUDIT = FileKind("an audit", {".json": json_of_kind("audit")})


def test_what_is_not_there_or_empty_or_of_the_same_kind_may_be_written(tmp_path: Path) -> None:
    assert output_file(tmp_path / "new" / "p.html", PAGE) == tmp_path / "new" / "p.html"
    assert not (tmp_path / "new").exists(), "nothing is made before there is something to write"
    (tmp_path / "empty.html").touch()
    output_file(tmp_path / "empty.html", PAGE)
    write_text(tmp_path / "own.html", '<head><meta name="generator" content="urbanln 0.1.0">')
    output_file(tmp_path / "own.html", PAGE)
    write_json(tmp_path / "own.json", {"kind": "audit"})
    output_file(tmp_path / "own.json", AUDIT)
    write_table(tmp_path / "own.parquet", pd.DataFrame({"a": [1]}), kind="embeddings")
    output_file(tmp_path / "own.PARQUET", TABLE)
    write_text(tmp_path / "own.csv", "a,b\r\n1,2\r\n")
    output_file(tmp_path / "own.csv", TABLE)


@pytest.mark.parametrize(
    ("name", "make", "kind"),
    [
        ("p.html", lambda path: write_text(path, "<p>my own page"), PAGE),
        ("a.json", lambda path: write_json(path, {"kind": "scores"}), AUDIT),
        ("a.json", lambda path: write_json(path, [1, 2]), AUDIT),
        ("a.json", lambda path: path.write_bytes(b"\xff\xfe not JSON"), AUDIT),
        ("a.json", lambda path: write_text(path, "[" * 100_000), AUDIT),
        ("v.parquet", lambda path: write_table(path, pd.DataFrame({"a": [1]}), kind="regions"), TABLE),
        ("v.parquet", lambda path: pd.DataFrame({"a": [1]}).to_parquet(path), TABLE),
        ("v.parquet", lambda path: write_text(path, "no Parquet at all"), TABLE),
        ("v.csv", lambda path: write_text(path, "name,price\nx,1\n"), TABLE),
        ("v.csv", lambda path: path.write_bytes(b"\x00\xff" * 100), TABLE),
    ],
)
def test_a_file_of_another_kind_stays(
    tmp_path: Path, name: str, make: Callable[[Path], object], kind: FileKind
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match="would be overwritten"):
        output_file(path, kind)


def test_the_ending_decides_the_format_or_is_refused(tmp_path: Path) -> None:
    for name in ("v.xlsx", "v", "city.toml", ".parquet"):
        with pytest.raises(InputError, match=r"not written in this format") as told:
            output_file(tmp_path / name, TABLE)
        assert ".parquet or .csv" in str(told.value)


def test_an_input_is_no_output_under_whatever_name(tmp_path: Path) -> None:
    write_text(tmp_path / "t.csv", "a,b\n1,2\n")
    os.link(tmp_path / "t.csv", tmp_path / "same.csv")
    (tmp_path / "folder").symlink_to(tmp_path)
    for name in ("t.csv", "same.csv", "folder/t.csv", "./folder/./t.csv"):
        with pytest.raises(InputError, match="the command reads this"):
            output_file(tmp_path / name, TABLE, inputs=["not there", "\0", tmp_path / "t.csv"])


def test_links_are_not_written_through_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("a,b\n")
    (tmp_path / "to.csv").symlink_to("real.csv")
    (tmp_path / "nowhere.csv").symlink_to("gone.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    for name in ("to.csv", "nowhere.csv", "loop.csv"):
        with pytest.raises(InputError, match="this is a link"):
            output_file(tmp_path / name, TABLE)
    for name in ("nowhere.csv", "loop.csv"):
        with pytest.raises(InputError, match="leads nowhere"):
            output_folder(tmp_path / name, RUN)
        with pytest.raises(StorageError):
            output_file(tmp_path / name / "v.csv", TABLE)
    (tmp_path / "disk").mkdir()
    (tmp_path / "big").symlink_to("disk")
    assert output_folder(tmp_path / "big", RUN) == tmp_path / "big"


@pytest.mark.parametrize("name", ["caf\udce9.csv", "a\0b.csv"])
def test_a_name_that_other_programs_cannot_open_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no UTF-8|no name of a file"):
        output_file(tmp_path / name, TABLE)
    with pytest.raises(InputError, match=r"no UTF-8|no name of a file"):
        output_folder(tmp_path / name, RUN)


def test_pipes_sockets_and_devices_are_no_place_for_results(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    listening = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(tmp_path)  # the name of a socket is at most 108 bytes long
    try:
        listening.bind("socket.csv")
    finally:
        os.chdir(here)
        listening.close()
    for name, what in (("pipe.csv", "a named pipe"), ("socket.csv", "a socket")):
        with pytest.raises(InputError, match=what):
            output_file(tmp_path / name, TABLE)
        with pytest.raises(InputError, match=what):
            output_folder(tmp_path / name, RUN)
    with pytest.raises(InputError, match="a device"):
        output_folder("/dev/null", RUN)


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    (tmp_path / "f.csv").write_text("a,b\n")
    with pytest.raises(InputError, match="a folder stands"):
        output_file(tmp_path / "d.csv", TABLE)
    with pytest.raises(InputError, match="a file stands"):
        output_folder(tmp_path / "f.csv", RUN)
    with pytest.raises(StorageError, match="Not a directory"):
        output_file(tmp_path / "f.csv" / "v.csv", TABLE)


def test_no_file_takes_a_name_that_a_city_or_a_run_keeps(tmp_path: Path) -> None:
    for mark, names in {
        "city.toml": ("captions.parquet", "regions.parquet", "CAPTIONS.parquet"),
        "scores.json": ("predictions.parquet", "scores.csv"),
        "study.json": ("study.csv",),
    }.items():
        folder = tmp_path / mark
        folder.mkdir()
        (folder / mark).touch()
        for name in names:
            with pytest.raises(InputError, match="is kept for what belongs to it"):
                output_file(folder / name, TABLE)
        output_file(folder / "mine.csv", TABLE)
    output_file(tmp_path / "regions.parquet", TABLE)


def test_a_folder_of_another_kind_stays(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[run]")
    output_folder(tmp_path, RUN)
    for kind in (CITY, SCORES):
        with pytest.raises(InputError, match=f"holds a run, not {kind.name}"):
            output_folder(tmp_path, kind)


def test_files_of_the_users_are_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("stays")
    output_folder(tmp_path, SCORES)
    (tmp_path / "scores.csv").write_text("mine,1")
    with pytest.raises(InputError, match=r"not part of scores that urbanln made") as told:
        output_folder(tmp_path, SCORES)
    assert told.value.value == str(tmp_path / "scores.csv")


def test_an_input_in_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{}")
    (tmp_path / "scores.csv").write_text("id,v0,v1")
    output_folder(tmp_path, SCORES)
    with pytest.raises(InputError, match="the command reads this"):
        output_folder(tmp_path, SCORES, inputs=[tmp_path / "scores.csv"])
    with pytest.raises(InputError, match="the command reads this"):
        output_folder(tmp_path / "..", SCORES, inputs=[tmp_path.parent])


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 250 bytes are a name, but not with what is put around it while it is written.
    with pytest.raises(StorageError, match="name too long"):
        output_file(tmp_path / ("n" * 246 + ".csv"), TABLE)
    asked: list[Path] = []

    def access(path: Path, mode: int) -> bool:
        asked.append(path)
        return False

    monkeypatch.setattr(os, "access", access)  # the superuser may write everywhere
    with pytest.raises(StorageError, match="you may not write there"):
        output_file(tmp_path / "a" / "b" / "v.csv", TABLE)
    with pytest.raises(StorageError, match="you may not write there"):
        output_folder(tmp_path / "a", RUN)
    assert asked == [tmp_path, tmp_path]
