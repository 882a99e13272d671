"""What kills left half-written goes; what anybody may still be writing stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from urbanln.base import leftovers
from urbanln.base.files import atomic_folder, atomic_path
from urbanln.base.leftovers import beside, sweep
from urbanln.base.owner import this_machine


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> object:
    """Gives the names that a process wrote under which is no more: no system gives out its number."""

    def name(path: Path) -> Path:
        with monkeypatch.context() as then:
            then.setattr(leftovers, "this_process", lambda: f"{this_machine()}:4194304:1")
            return beside(path)

    return name


def test_what_a_dead_process_left_goes_with_the_next_write_into_the_folder(tmp_path: Path, dead) -> None:
    half, folder = dead(tmp_path / "a.json"), dead(tmp_path / "model")
    half.write_text("{")
    (folder / "deep").mkdir(parents=True)
    living = beside(tmp_path / "b.json")
    living.write_text("{")
    others = tmp_path / ".notes.tmp-mine"
    others.write_text("the user's")
    with atomic_path(tmp_path / "c.json") as temporary:
        temporary.write_text("{}")
        assert set(tmp_path.iterdir()) == {living, others, temporary}
    assert set(tmp_path.iterdir()) == {living, others, tmp_path / "c.json"}


def test_what_another_machine_writes_stays_for_a_week(tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(leftovers, "this_machine", lambda: "another")
        elsewhere.setattr(leftovers, "this_process", lambda: "another:4194304:1")
        foreign = beside(tmp_path / "a.json")
    nameless = tmp_path / ".a.json.tmp-0123456789abcdef"
    for path in (foreign, nameless):
        path.write_text("{")
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == {foreign, nameless}
    sweep(tmp_path, ["b.json"], alone=True)
    assert set(tmp_path.iterdir()) == {foreign, nameless}
    os.utime(nameless, (1e9, 1e9))
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == {foreign}
    sweep(tmp_path, ["a.json"], alone=True)
    assert set(tmp_path.iterdir()) == set()


def test_killed_between_the_old_folder_and_the_new_one_the_old_one_comes_back(tmp_path: Path, dead) -> None:
    (between := dead(tmp_path / "model") / "old").mkdir(parents=True)
    (between / "weights").write_text("good")
    sweep(tmp_path)
    assert (tmp_path / "model" / "weights").read_text() == "good"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
    # Where the new one is in its place, the old one goes.
    (dead(tmp_path / "model") / "old").mkdir(parents=True)
    with atomic_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("better")
    sweep(tmp_path)
    assert (tmp_path / "model" / "weights").read_text() == "better"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
