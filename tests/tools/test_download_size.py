"""What an installation downloads, told by package, and the limit of the core."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "tools" / "download_size.py"


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("download_size", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sizes(wanted: str) -> dict[str, int]:
    return {"a": 150_000_000, "b": 50_000_000} | ({"c": 7_000_000} if wanted.endswith("[more]") else {})


def test_packages_are_told_from_the_largest_with_their_share(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "packages", _sizes)
    monkeypatch.setattr(sys, "argv", ["download_size.py", "--wheel", "w.whl", "--extras", "more"])
    tool.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [["a", "150.0", "MB", "75.0%"], ["b", "50.0", "MB", "25.0%"]]
    assert lines[2] == ["the", "core", "200.0", "MB,", "of", "230", "at", "most"]
    assert lines[-2:] == [["[more]", "adds", "7.0", "MB"], ["c", "7.0", "MB", "100.0%"]]


def test_a_core_beyond_its_limit_is_refused(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "packages", lambda _: {"a": 231_000_000})
    monkeypatch.setattr(sys, "argv", ["download_size.py"])
    with pytest.raises(SystemExit, match=r"the core downloads 231\.0 MB, over 230"):
        tool.main()


def test_a_file_of_this_disk_has_its_own_size(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "w.whl").write_bytes(bytes(123))
    assert tool._bytes((tmp_path / "w.whl").as_uri()) == 123
    assert tool._bytes(tmp_path.as_uri()) == 0
