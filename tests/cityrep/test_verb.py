"""The verb: what it prints and what it ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from urbanln.cli.app import main


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    return int(ended.value.code or 0)


def test_the_page_is_printed_and_the_lines_are_said(clone: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    given = ["--city", "btown", "--split", "random", "--floor", "coordinates-nearest", "--jobs", "1"]
    assert call("cityrep", str(clone), "--out", str(out), *given) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(out / "cityrep.html")
    assert "not in the clone, and left out: btown.landuse.2026" in told.err
    assert "btown.gdp.2024 (" in told.err


def test_a_wrong_call_is_one_error_with_a_remedy(clone: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert call("cityrep", str(clone), "--out", str(tmp_path / "out"), "--vectors", "mine=all.tif") == 2
    assert "{city}.tif" in capsys.readouterr().err
    assert call("cityrep", str(clone), "--out", str(tmp_path / "out"), "--buffer-km", "nan") == 2
