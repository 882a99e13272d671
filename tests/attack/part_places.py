"""Bad places to work in: a full disk, no cache, a locale without letters, no reader, a read-only city.

A small disk is a file system in memory where one may be mounted; else files may not grow over a limit.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.attack.case import Attack, Case
from tests.attack.judge import Expected, Outcome, compare, judge, snapshot
from tests.attack.world import VERBS, expected, verb

import urbanln

PART = "places"
_READERS = ("audit", "export", "show", "pretrain", "embed", "embed-pixels", "embed-text", "probe", "report",
            "study")  # fmt: skip


@cache
def can_mount() -> bool:
    """Whether this user may mount a file system in memory."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    folder = tempfile.mkdtemp()
    try:
        return _mount(["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder])
    finally:
        subprocess.run(["umount", folder], capture_output=True, check=False)
        Path(folder).rmdir()


def small_disk() -> str:
    """How a small disk is made here, in words."""
    return "a file system in memory" if can_mount() else "a limit on the size of files"


def _mount(words: Sequence[str]) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


@contextmanager
def _mounted(folder: Path, *words: str) -> Iterator[None]:
    if not _mount([*words, str(folder)]):
        raise RuntimeError(f"could not mount {folder}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Every place, for the verbs that it may hurt."""
    found = []
    for name in VERBS:
        if name != "synthetic-many":
            for share in (rng.uniform(0, 0.3), rng.uniform(0.3, 0.95)):
                found.append(Attack(PART, f"disk-{name}-{share:.2f}", _small(name, share)))
    for name in ("pretrain", "embed", "explore"):
        found.append(Attack(PART, f"cache-disk-{name}", _cache_disk(name)))
        for how in ("file", "below-a-file", "loop", "no-home", "nul", "empty"):
            found.append(Attack(PART, f"cache-{how}-{name}", _no_cache(name, how)))
    for name in ("ingest", "audit", "probe", "embed-pixels", "caption"):
        found.append(Attack(PART, f"locale-C-{name}", _process(name, locale="C")))
    for name in ("ingest", "audit", "probe", "report"):
        found.append(Attack(PART, f"process-closed-{name}", _process(name, stdout="closed")))
        found.append(Attack(PART, f"process-gone-{name}", _process(name, stdout="gone")))
    for name in VERBS:
        if name != "synthetic-many":
            found.append(Attack(PART, f"closed-{name}", _printing(name, _closed)))
            found.append(Attack(PART, f"gone-{name}", _printing(name, _gone)))
    for name in _READERS:
        found.append(Attack(PART, f"read-only-{name}", _read_only(name, "done")))
    for name in ("caption-c", *VERBS):
        if name not in ("synthetic-many", "caption", "import"):
            found.append(Attack(PART, f"read-only-output-{name}", _read_only_output(name)))
    for name in ("ingest", "embed", "pretrain", "caption", "probe"):
        found.append(Attack(PART, f"few-files-{name}", _few_files(name)))
    return found


def _small(name: str, share: float) -> Callable[[Case], None]:
    """The disk fills up; once there is room, the same command goes on."""

    def do(case: Case) -> None:
        chosen = verb(name, case.world)
        made = sum(_size(theirs) for _, theirs in expected(name, case.world))
        if not can_mount():
            case.take(*chosen.needs)
            limit = max(4096, int(share * max(_files(t) for _, t in expected(name, case.world))))
            case.run(*chosen.argv, expect="told", changes=chosen.changes, setup=_limit(limit), limit=150)
            _done(case, name)
            return
        with _mounted(case.root, "-t", "tmpfs", "-o", "size=500m", "tmpfs"):
            case.take(*chosen.needs)
            room = shutil.disk_usage(case.root).used + max(8192, int(share * made))
            _mount(["-o", f"remount,size={room}", str(case.root)])
            case.run(*chosen.argv, expect="told", changes=chosen.changes, limit=150)
            _mount(["-o", "remount,size=500m", str(case.root)])
            _done(case, name)

    return do


def _done(case: Case, name: str) -> None:
    chosen = verb(name, case.world)
    outcome = case.run(*chosen.argv, expect="told", changes=chosen.changes, limit=150)
    for made, theirs in expected(name, case.world):
        case.same(made, theirs, f"{made}, once there was room (exit {outcome.code})")


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def _files(path: Path) -> int:
    """The size of the largest file."""
    return max((p.stat().st_size for p in [path, *path.rglob("*")] if p.is_file()), default=0)


def _limit(size: int) -> Callable[[], None]:
    def setup() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return setup


def _cache_disk(name: str) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        chosen = verb(name, case.world)
        case.take(*chosen.needs)
        if can_mount():
            with _mounted(case.cage / "cache", "-t", "tmpfs", "-o", "size=16k", "tmpfs"):
                _told_or_same(case, name)
        else:
            (case.cage / "cache").rmdir()
            (case.cage / "cache").touch()
            _told_or_same(case, name)

    return do


def _no_cache(name: str, how: str) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*verb(name, case.world).needs)
        (case.cage / "file").write_text("mine")
        (case.cage / "loop").symlink_to("loop")
        places: dict[str, dict[str, str | None]] = {
            "file": {"URBANLN_CACHE": str(case.cage / "file")},
            "below-a-file": {"URBANLN_CACHE": str(case.cage / "file" / "cache")},
            "loop": {"URBANLN_CACHE": str(case.cage / "loop")},
            "no-home": {"URBANLN_CACHE": None, "HOME": str(case.cage / "file"), "XDG_CACHE_HOME": None},
            "nul": {"URBANLN_CACHE": "", "XDG_CACHE_HOME": str(case.cage / ("x" * 300))},
            "empty": {"URBANLN_CACHE": "", "XDG_CACHE_HOME": ""},
        }
        _told_or_same(case, name, env=places[how])
        if (case.cage / "file").read_text() != "mine":
            case.fault("loss", "a file that stood where the cache should be is another one")

    return do


def _told_or_same(case: Case, name: str, **how: object) -> None:
    chosen = verb(name, case.world)
    outcome = case.run(*chosen.argv, expect="told", changes=chosen.changes, limit=150, **how)
    if outcome.code == 0:
        for made, theirs in expected(name, case.world):
            case.same(made, theirs)


def _closed() -> None:
    """No standard output at all, as after ``>&-``."""
    os.close(1)
    sys.stdout = None  # type: ignore[assignment]


def _gone() -> None:
    """A reader that has gone, as after ``| head -0``."""
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 1)
    os.close(write)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _printing(name: str, setup: Callable[[], None]) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*verb(name, case.world).needs)
        _told_or_same(case, name, setup=setup)

    return do


def _process(name: str, stdout: str = "open", locale: str | None = None) -> Callable[[Case], None]:
    """A process of its own: what the interpreter does as it starts and ends counts too."""

    def do(case: Case) -> None:
        chosen = verb(name, case.world)
        case.take(*chosen.needs)
        before = snapshot(case.root)
        env = {**os.environ, **case.command().env, "PYTHONPATH": str(Path(urbanln.__file__).parents[1])}
        if locale is not None:
            env |= {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
            env.pop("PYTHONIOENCODING", None)
        read, write = os.pipe()
        os.close(read)
        pipe = {"open": subprocess.PIPE, "gone": write, "closed": None}[stdout]
        done = subprocess.run(
            [sys.executable, "-m", "urbanln", *chosen.argv], cwd=case.root, env=env, stdout=pipe,
            stderr=subprocess.PIPE, timeout=150, check=False,
            preexec_fn=(lambda: os.close(1)) if stdout == "closed" else None,
        )  # fmt: skip
        os.close(write)
        err = done.stderr.decode("utf-8", "replace")
        outcome = Outcome(tuple(chosen.argv), done.returncode, "", err)
        case.note(outcome)
        case.blame(outcome, judge(outcome, "told"))
        case.blame(outcome, compare(before, snapshot(case.root), chosen.changes))
        if outcome.code == 0:
            for made, theirs in expected(name, case.world):
                case.same(made, theirs)

    return do


def _read_only(name: str, expect: Expected) -> Callable[[Case], None]:
    """What only reads a city can read one that nobody may write."""

    def do(case: Case) -> None:
        chosen = verb(name, case.world)
        case.take(*chosen.needs)
        with locked(case.root / "c"):
            case.run(*chosen.argv, expect=expect, changes=chosen.changes, limit=150)
            for made, theirs in expected(name, case.world):
                case.same(made, theirs)

    return do


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder in which nobody may write."""
    if can_mount():
        with _mounted(folder, "--bind", str(folder)):
            _mount(["-o", "remount,bind,ro", str(folder)])
            yield
        return
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path in paths:
            with suppress(OSError):
                path.chmod(0o755 if path.is_dir() else 0o644)


def _read_only_output(name: str) -> Callable[[Case], None]:
    """Nothing can be written: one clear error, and nothing is harmed."""

    def do(case: Case) -> None:
        chosen = verb("caption", case.world) if name == "caption-c" else verb(name, case.world)
        case.take(*chosen.needs)
        if os.geteuid() == 0 and not can_mount():
            return  # root may write everywhere
        with locked(case.root):
            case.run(*chosen.argv, expect="refused", limit=100)

    return do


def _few_files(name: str) -> Callable[[Case], None]:
    def setup() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    def do(case: Case) -> None:
        chosen = verb(name, case.world)
        case.take(*chosen.needs)
        case.run(*chosen.argv, expect="told", changes=chosen.changes, setup=setup, limit=150)
        _done(case, name)

    return do
