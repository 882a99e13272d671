"""The campaign can find what it looks for: a traceback, a hang, a loss, and whoever leaves the cage."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attack.cage import CageError, check_links, check_words
from tests.attack.case import Case
from tests.attack.forks import Running
from tests.attack.judge import Outcome, compare, judge, snapshot
from tests.attack.parts import attacks
from tests.waiting import until

CLEAR = "error: no such file\n  where:   a\n  remedy:  make it\n"


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], None]], Case]:
    """A case in which the command line does what the test says."""

    def made(does: Callable[[Path], None]) -> Case:
        case = Case(tmp_path / "cage", tmp_path, 0, "test")
        (case.root / "mine.txt").write_text("mine")
        monkeypatch.setattr("urbanln.cli.main", lambda argv: does(case.root))
        return case

    return made


def _kinds(case: Case) -> set[str]:
    return {fault.kind for fault in case.faults}


def test_a_command_that_does_its_work_has_no_fault(verb) -> None:
    case = verb(lambda root: (root / "out").write_text("done"))
    assert case.run("embed", "--out", "out", changes=["out"]).code == 0
    assert case.faults == []


def test_a_traceback_is_found(verb) -> None:
    case = verb(lambda root: 1 / 0)
    assert case.run("embed", expect="either").code == 1
    assert _kinds(case) == {"traceback"}


def test_a_hang_is_found_and_ended(verb) -> None:
    def stuck(root: Path) -> None:
        hangs.touch()
        signal.pause()

    case = verb(stuck)
    hangs = case.cage / "hangs"
    before, running = snapshot(case.root), Running(case.command("embed", limit=0.2))
    until(hangs.exists, "the command hangs")  # a busy machine takes longer than the limit to get there
    assert case.judged(running, before, "done", ()).code is None
    assert _kinds(case) == {"hang"}
    assert "in stuck" in case.faults[0].what, "where it hung"


@pytest.mark.parametrize(
    "harm",
    [
        lambda root: (root / "mine.txt").unlink(),
        lambda root: (root / "mine.txt").write_text("theirs"),
        lambda root: (root / "mine.txt").rename(root / "out"),
        lambda root: ((root / "mine.txt").unlink(), (root / "mine.txt").mkdir()),
    ],
)
def test_what_is_lost_or_changed_is_found(verb, harm) -> None:
    case = verb(harm)
    case.run("embed", changes=["out"])
    assert "loss" in _kinds(case)


def test_what_is_left_behind_is_found_and_not_after_a_kill(verb) -> None:
    case = verb(lambda root: (root / ".out.tmp-0123456789abcdef").write_text("half"))
    case.run("embed", expect="killed", changes=["out"])
    assert case.faults == []
    (case.root / ".out.tmp-0123456789abcdef").unlink()
    case.run("embed", changes=["out"])
    assert _kinds(case) == {"stray"}


@pytest.mark.parametrize(
    "act", [Path.unlink, lambda path: path.write_text("theirs"), lambda path: path.rename("here")]
)
def test_a_write_outside_the_cage_is_stopped_before_it_happens(verb, tmp_path: Path, act) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("not yours")
    case = verb(lambda root: act(outside))
    case.run("embed")
    assert _kinds(case) == {"loss"}
    assert "outside its cage" in case.faults[0].what
    assert outside.read_text() == "not yours"


def test_a_kill_falls_before_the_act_that_is_named(verb) -> None:
    def acts(root: Path) -> None:
        for name in ("a", "b", "c"):
            (root / name).write_text(name)

    case = verb(acts)
    assert case.run("embed", expect="killed", changes=["a", "b"], kill=(signal.SIGKILL, 3)).code == -9
    assert sorted(path.name for path in case.root.iterdir()) == ["a", "b", "mine.txt"]
    assert case.faults == []


@pytest.mark.parametrize("word", ["/dev/null", "--out=/dev/sda", "../../up", "v=/etc/passwd", "way"])
def test_a_command_that_names_what_is_outside_is_never_started(tmp_path: Path, word: str) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "way").symlink_to("/etc")
    with pytest.raises(CageError):
        check_words([word], tmp_path, tmp_path / "w")
    with pytest.raises(CageError):
        check_links(tmp_path, tmp_path)
    check_words(["out/x.parquet", "http://127.0.0.1:80/v1", "train.lr=1e-5"], tmp_path, tmp_path / "w")


@pytest.mark.parametrize(
    ("outcome", "expected", "kind"),
    [
        (Outcome((), 0), "refused", "loss"),
        (Outcome((), 1, err=CLEAR), "done", "loss"),
        (Outcome((), 2, err="error: no such file\n  where:   a\n"), "refused", "unclear"),
        (Outcome((), 1, err="Something went wrong."), "either", "unclear"),
        (Outcome((), 0, err="a\x1b[2Jb"), "done", "unclear"),
        (Outcome((), 3), "either", "traceback"),
        (Outcome((), -11), "killed", None),
        (Outcome((), -11), "done", "traceback"),
        (Outcome((), 0, err="x.py:3: UserWarning: geometry is in a geographic CRS\n"), "done", "noise"),
        (Outcome((), 0, orphans=True), "done", "stray"),
        (Outcome((), 2, err=CLEAR), "refused", None),
        (Outcome((), 130, err="stopped; run the same command again to go on\n"), "killed", None),
    ],
)
def test_how_a_command_ends_is_judged(outcome: Outcome, expected, kind: str | None) -> None:
    assert {fault.kind for fault in judge(outcome, expected)} == ({kind} if kind else set())


def test_a_folder_that_turned_into_a_link_is_a_loss(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    before = snapshot(tmp_path)
    (tmp_path / "a").rmdir()
    (tmp_path / "a").symlink_to("b")
    assert [fault.kind for fault in compare(before, snapshot(tmp_path), ["out"])] == ["loss"]


@pytest.mark.skipif(sys.platform != "linux", reason="the campaign needs pidfds and /proc")
def test_the_campaign_is_as_large_as_it_says_and_the_same_for_a_seed() -> None:
    names = [attack.full for attack in attacks(0)]
    assert names == [attack.full for attack in attacks(0)]
    assert sum(name.startswith("kills/") for name in names) >= 40
    bad = [name for name in names if name.split("/")[0] in ("inputs", "outputs", "settings")]
    assert len(bad) >= 300
