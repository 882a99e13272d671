"""A city that cannot be written is read: audited, planned, shown, exported, embedded."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from tests.cli.test_cli import run

from urbanln.base.errors import StorageError
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.ledger_schema import LedgerUnusable
from urbanln.city.synthetic import make_synthetic_city


def _mount(*words: str | Path) -> bool:
    try:
        return subprocess.run(["mount", *words], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "c"
    make_synthetic_city(folder, regions=12, seed=3, street_views=0)
    assert run("caption", folder, "--captioner", "measured") == 0
    return folder


@pytest.fixture(scope="module")
def mounted(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The city where the system lets nobody write, the superuser neither."""
    place = tmp_path_factory.mktemp("mounted")
    if not _mount("--bind", city, place):
        pytest.skip("a folder cannot be mounted read-only here")
    try:
        if not _mount("-o", "remount,ro,bind", place):
            pytest.skip("a folder cannot be mounted read-only here")
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_all_that_reads_works_on_a_read_only_disk(mounted: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Read-only file system"):
        (mounted / "note").touch()
    for command in (
        ["audit", mounted, "--out", tmp_path / "a.json", "--page", tmp_path / "a.html"],
        ["caption", mounted, "--captioner", "simulated", "--plan"],
        ["caption", mounted, "--show", "r0000_satellite", "--out", tmp_path / "p.html"],
        ["caption", mounted, "--export-ledger", tmp_path / "l.parquet"],
        ["embed", mounted, "--model", "pixels", "--out", tmp_path / "v.parquet"],
    ):
        assert run(*command) == 0, command
    assert len(pd.read_parquet(tmp_path / "l.parquet")) > 0


def test_what_writes_says_so_on_a_read_only_disk(mounted: Path, capsys) -> None:
    assert run("caption", mounted, "--captioner", "simulated") == 1
    told = capsys.readouterr().err
    assert "the ledger of captions cannot be used" in told
    assert "read-only" in told.partition("remedy:")[2]
    assert run("synthetic", mounted / "new") == 1
    assert "may not write there" in capsys.readouterr().err


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The superuser may write everywhere: for him, the system is made to say that he may not."""
    monkeypatch.setattr(os, "access", lambda *_: False)


def test_a_ledger_is_read_without_a_file_beside_it(tmp_path: Path, unwritable: None) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.put_facts("parts", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["captions.sqlite"]
    with Ledger(tmp_path, read_only=True) as ledger:
        assert ledger.get_facts("parts", ["a"]) == {"a": 1}
        ledger.put_facts("parts", {"b": 1})
        assert [path.name for path in tmp_path.iterdir()] == ["captions.sqlite"]
        with pytest.raises(LedgerUnusable, match="readonly"):
            ledger.charge("a", 1.0)
    assert issubclass(LedgerUnusable, StorageError)


def test_what_was_recorded_last_is_read_too(tmp_path: Path, unwritable: None) -> None:
    with Ledger(tmp_path) as writing:
        writing.put_facts("parts", {"a": 1})
        before = sorted(path.name for path in tmp_path.iterdir())
        assert "captions.sqlite-wal" in before
        with Ledger(tmp_path, read_only=True) as reading:
            assert reading.get_facts("parts", ["a"]) == {"a": 1}
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_pipe_is_no_ledger(city: Path, tmp_path: Path, capsys) -> None:
    os.mkfifo(tmp_path / "pipe.parquet")
    assert run("caption", city, "--import-ledger", tmp_path / "pipe.parquet") == 2
    assert "a named pipe, not a file" in capsys.readouterr().err


def test_a_ledger_that_a_kill_left_empty_is_none(city: Path, tmp_path: Path, capsys) -> None:
    empty = tmp_path / "c"
    shutil.copytree(city, empty)
    for path in empty.glob("captions.sqlite*"):
        path.unlink()
    (empty / "captions.sqlite").touch()
    assert run("caption", empty, "--export-ledger", tmp_path / "l.parquet") == 2
    assert "no ledger yet" in capsys.readouterr().err
    assert run("audit", empty) == 0
    assert "12 captions of 12 pictures" in capsys.readouterr().out
    assert (empty / "captions.sqlite").stat().st_size == 0
