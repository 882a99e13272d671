"""One process at a time: the second is told who the first is, and a dead one stands in nobody's way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from urbanln.base import locks
from urbanln.base.locks import BusyError, alone, alone_in, holder, take

_HOLDS = """
import sys
from pathlib import Path
from urbanln.base.locks import alone

with alone(Path(sys.argv[1]), "works here"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held_elsewhere(place: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock on a place until it is spoken to."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _HOLDS, str(place)], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_told_who_the_first_is_and_a_dead_one_is_taken_over(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "table.parquet"):
        with held_elsewhere(place) as process:
            with (
                pytest.raises(BusyError, match="another process works here") as caught,
                alone(place, "works here", remedy="or choose another --out"),
            ):
                pytest.fail("two at once")
            said = str(caught.value)
            assert f"process {process.pid} on " in said
            assert str(place) in said
            assert "or choose another --out" in said
            assert caught.value.exit_code == 1
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert len(list(tmp_path.iterdir())) == 1, "a kill leaves the file of the lock"
        with alone(place, "works here"):
            assert f"process {os.getpid()} on " in holder(place)
        assert list(tmp_path.iterdir()) == []


def test_who_waits_says_for_whom_and_goes_on_when_the_other_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, order, told = tmp_path / "table.parquet", list[str](), threading.Event()
    who = locks.holder

    def telling(place: Path) -> str:
        said = who(place)
        told.set()
        return said

    def second() -> None:
        with alone(place, "writes", wait=True):
            order.append("second")

    monkeypatch.setattr(locks, "holder", telling)
    thread = threading.Thread(target=second)
    with alone(place, "writes"):
        thread.start()
        told.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert "waiting for another process that writes: process" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_come_one_after_another(tmp_path: Path) -> None:
    place, inside, most = tmp_path / "table.parquet", list[int](), list[int]()

    def work() -> None:
        for _ in range(25):
            with alone(place, "writes", wait=True):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 100


def test_on_a_disk_without_locks_the_note_is_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with held_elsewhere(tmp_path) as process:
        monkeypatch.setattr(fcntl, "flock", refused)
        assert take(tmp_path) is None
        assert take(tmp_path) is None
        said = capsys.readouterr().err
        assert said.count("this disk knows no locks") == 1
        assert str(tmp_path) in said
        process.kill()
        process.wait()
        lock = take(tmp_path)
        assert lock is not None
        lock.release()
        lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_does_not_give_away_what_its_parent_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = take(tmp_path)
    assert lock is not None
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: 1)
        lock.release()
    assert take(tmp_path) is None
    lock.release()


def test_a_folder_of_which_nothing_came_goes_again(tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(KeyError), alone_in(new, "works here"):
        raise KeyError
    assert not new.exists()
    with alone_in(new, "works here"):
        (new / "result").touch()
    with pytest.raises(KeyError), alone_in(new, "works here"):
        raise KeyError
    assert [path.name for path in new.iterdir()] == ["result"]
