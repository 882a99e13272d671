"""The list of benchmarks: what it runs can be asked so, ends are kept, a failure stops no other."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from benchmarks import __main__ as command
from benchmarks import all as every
from benchmarks.harness import options

PLACES = {"before": "build", "toolkit": "clone", "factual": "clone", "out": "out"}


class _Asked(Exception):
    """The words were understood: nothing is to be measured."""


@pytest.mark.parametrize("run", every.RUNS, ids=lambda run: run.name)
def test_what_is_run_can_be_asked(run: every.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def understood(*args: Any, **defaults: Any) -> None:
        options(*args, **defaults)
        raise _Asked

    for words in filter(None, (run.words, run.cut)):
        name, *rest = words.format(**PLACES).split()
        assert name in command.NAMES
        module = import_module(f"benchmarks.{name}")
        monkeypatch.setattr(module, "options", understood)
        with pytest.raises(_Asked):
            module.main([*rest, *([] if run.name in every._PRINT_ONLY else ["--json", "f"])])


def test_names_are_those_of_modules_with_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in command.NAMES:
        with pytest.raises(SystemExit, match="0"):
            import_module(f"benchmarks.{name}").main(["--help"])
        assert f"python -m benchmarks {name}" in capsys.readouterr().out


def test_ends_are_kept_and_failures_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "zonal --edge 64 --regions 4 --repeat 1"
    runs = (
        every.Run("bad", "zonal --edge many"),
        every.Run("needs", "zonal {toolkit}"),
        every.Run("good", small),
    )
    monkeypatch.setattr(every, "RUNS", runs)
    with pytest.raises(SystemExit, match="1"):
        every.main(["--out", str(tmp_path)])
    first = capsys.readouterr().out
    assert "| bad | FAILED after" in first
    assert "| needs | left out: no toolkit |" in first
    assert {path.name for path in tmp_path.iterdir()} == {"good.txt", "good.json"}
    assert (tmp_path / "good.txt").read_text().startswith(f"{small}\n")

    every.main(["--out", str(tmp_path), "--only", "good"])
    assert "| good | has ended before: " in capsys.readouterr().out
