"""What is said reaches a terminal, a pipe nobody reads, a closed stream and an old encoding unharmed."""

from __future__ import annotations

import ast
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

import urbanln
from urbanln.base.errors import StorageError
from urbanln.base.progress import progress
from urbanln.base.saying import answer, answer_table, say

PACKAGE = Path(urbanln.__file__).parent


def _speaks(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in ("print", "Console")
    if isinstance(node, ast.Attribute):
        streams = ("stdout", "stderr", "__stdout__", "__stderr__")
        of_sys = isinstance(node.value, ast.Name) and node.value.id == "sys" and node.attr in streams
        return of_sys or node.attr in ("Console", "echo", "secho")
    return False


def test_nothing_else_writes_to_the_terminal() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "base" / "saying.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _speaks(node)
    ]
    assert not found


def test_control_signs_are_shown_and_a_name_is_no_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2Jb\nerror: forged", "two")
    answer("tile\x9b1m.jpg \ud800 R² …")
    out, err = capsys.readouterr()
    assert err == "a\\x1b[2Jb\\nerror: forged\ntwo\n"
    assert out == "tile\\x9b1m.jpg \\ud800 R² …\n"


@pytest.mark.parametrize("tell", [say, answer])
def test_a_closed_stream_stops_nothing(tell: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(tell)
    shut = io.StringIO()
    shut.close()
    for stream in (None, shut):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        tell("into nothing")
        with progress("nobody sees it", 2) as advance:
            advance(2)


class _Full(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_answer_that_is_lost_is_an_error_and_a_remark_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _Full())
    monkeypatch.setattr(sys, "stderr", _Full())
    say("no")
    with pytest.raises(StorageError, match="No space left"):
        answer("no")


def _child(code: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHONIO"))}
    env |= options.pop("env", {})  # type: ignore[arg-type]
    return subprocess.run([sys.executable, "-c", code], env=env, check=False, **options)  # type: ignore[call-overload]


def test_work_goes_on_when_the_reader_has_gone(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = (
        "import sys; from pathlib import Path; from urbanln.base.saying import answer\n"
        "answer('x' * 100_000); answer('more')\n"
        "Path(sys.argv[-1] if sys.argv[1:] else 'done').write_text('all of it')"
    )
    done = _child(code, stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "done").read_text() == "all of it"


def test_no_file_takes_the_place_of_a_stream_that_was_closed_from_the_start(tmp_path: Path) -> None:
    code = (
        "import os, sys; from urbanln.base.saying import answer, say, settle_streams\n"
        "settle_streams(); file = open('data', 'w'); os.write(1, b'a library says\\n'); print('so do we')\n"
        "answer('and we'); say('and we'); sys.stdout.flush(); file.write('data'); sys.exit(file.fileno())"
    )
    shell = f'exec {sys.executable} -c "$CODE" >&- 2>&-'
    done = subprocess.run(shell, shell=True, cwd=tmp_path, env={**os.environ, "CODE": code}, check=False)
    assert done.returncode >= 3
    assert (tmp_path / "data").read_text() == "data"


def test_what_an_encoding_has_not_is_escaped() -> None:
    code = (
        "from rich.table import Table; from urbanln.base.saying import answer, answer_table, settle_streams\n"
        "table = Table('R²'); table.add_row('–0.5'); answer('街 R²'); answer_table(table)\n"
        "settle_streams(); print('…')"
    )
    told = _child(code, capture_output=True, env={"PYTHONIOENCODING": "ascii"})
    assert (told.returncode, told.stderr) == (0, b"")
    assert told.stdout.startswith(b"\\u8857 R\\xb2\n")
    assert b"\\u20130.5" in told.stdout
    assert told.stdout.endswith(b"\\u2026\n")


def test_a_table_keeps_the_styles_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    table = Table("name")
    table.add_row("bold", style="bold")
    answer_table(table)
    assert "\x1b[1m" in terminal.getvalue()


def test_a_bar_shows_foreign_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("city [/red] \x1b]0;title", 1) as advance:
        advance(1, "[/b] \x1b[2J")
    assert "city [/red] \\x1b]0;title" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()
