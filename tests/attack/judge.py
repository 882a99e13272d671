"""What was wrong with one command: each rule is a few lines, and ``test_judge`` shows that it can fail."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["traceback", "hang", "loss", "unclear", "stray", "noise"]
KINDS: tuple[Kind, ...] = ("traceback", "hang", "loss", "unclear", "stray", "noise")
Expected = Literal["done", "refused", "told", "either", "killed"]
"""``done``: 0; ``refused``: 1 or 2; ``told``, ``either``: one of these; ``killed``: or by a signal."""

CODES = {0, 1, 2, 130, 143}
# What a command has while it is at work, its locks among it, and a kill may leave until the next one.
TEMPORARY = re.compile(r"^\..*\.tmp-[0-9a-f.]+$|\.tmp$|^\.(.+\.)?lock$")
# SQLite keeps these beside a database while it is open.
_BESIDE = re.compile(r"\.sqlite-(wal|shm|journal)$")
_NOISE = re.compile(r"^.*\b(\w*Warning: |warnings\.warn\(|leaked \w+ objects|Exception ignored in).*$", re.M)


@dataclass(frozen=True)
class Fault:
    """One thing that was wrong."""

    kind: Kind
    what: str


@dataclass(frozen=True)
class Outcome:
    """What became of one command.

    Attributes:
        argv: Its words.
        code: Exit code; negative for a signal, None after its time limit.
        out: What it printed.
        err: What it said.
        seconds: How long it took.
        events: How many of its acts on files the audit hook counted.
        escaped: What it tried to write outside its cage.
        orphans: Whether processes of its own outlived it.
    """

    argv: tuple[str, ...]
    code: int | None
    out: str = ""
    err: str = ""
    seconds: float = 0.0
    events: int = 0
    escaped: str = ""
    orphans: bool = False


def judge(outcome: Outcome, expected: Expected) -> list[Fault]:
    """Faults of a command by what it said and how it ended."""
    if outcome.code is None:
        said, _, stack = outcome.err.partition("most recent call first")
        return [Fault("hang", f"over its time limit\n{said[-600:]}{stack[:2500]}")]
    if outcome.escaped:
        return [Fault("loss", f"wrote outside its cage: {outcome.escaped}")]
    faults = []
    if outcome.orphans:
        faults.append(Fault("stray", "left processes behind"))
    killed = expected == "killed" and outcome.code < 0
    if "Traceback (most recent call last)" in outcome.err + outcome.out:
        faults.append(Fault("traceback", outcome.err[-3000:]))
    elif outcome.code not in CODES and not killed:
        faults.append(Fault("traceback", f"exit code {outcome.code}: {outcome.err[-500:]}"))
    elif outcome.code in (1, 2):
        faults += _said_clearly(outcome)
        if expected == "done":
            faults.append(Fault("loss", f"failed where it should do: {outcome.err[-800:]}"))
    elif outcome.code == 0 and expected == "refused":
        faults.append(Fault("loss", "took what it should refuse, and ended with 0"))
    # Of a process that was killed outright, others tell what it left.
    if outcome.code != -9 and (found := _NOISE.search(outcome.err)):
        faults.append(Fault("noise", found.group(0)[:300]))
    if escape := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", outcome.err + outcome.out):
        faults.append(Fault("unclear", f"printed the control character {escape.group(0)!r}"))
    return faults


# Why a captioner stopped is told in one line, with its place and remedy: a log's last line says all of it.
_IN_ONE_LINE = re.compile(r"could be described: |pictures? left|question")


def _said_clearly(outcome: Outcome) -> list[Fault]:
    """An error names what was wrong, where, and what to do; a wrong option is typer's to explain."""
    if "Usage:" in outcome.err and outcome.code == 2:
        return []
    block = outcome.err.partition("error: ")[2]
    if not block:
        return [Fault("unclear", f"exit {outcome.code} without an error: {outcome.err[-500:]!r}")]
    if _IN_ONE_LINE.search(block.partition("\n")[0]):
        return []
    lacks = [line for line in ("where:", "remedy:") if not re.search(rf"^  {line}", block, re.M)]
    return [Fault("unclear", f"an error without {' and '.join(lacks)}: {block[:600]}")] if lacks else []


def snapshot(folder: Path) -> dict[str, str]:
    """Every path in a folder with what it is: a hash of its bytes, where a link points, or its kind."""
    found = {}
    for where, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(where, name)
            found[str(path.relative_to(folder))] = _state(path)
    return found


def _state(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if stat.S_ISREG(mode):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return f"kind {stat.S_IFMT(mode):o}"


def under(path: str, roots: Iterable[str]) -> bool:
    """Whether a path is one of some others or lies in one."""
    return any(root == "." or path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def compare(
    before: Mapping[str, str], after: Mapping[str, str], changes: Sequence[str], *, over: bool = True
) -> list[Fault]:
    """Faults of a command by what it did to its folder.

    Args:
        before: :func:`snapshot` before it.
        after: And after it.
        changes: Paths that it may make or change, with all that is in them; ``FOLDER/+``: it may add to it,
            and change nothing that is there.
        over: It ended by itself, so that nothing temporary may be left.
    """
    made = [change.removesuffix("/+") for change in changes]
    changes = [change for change in changes if not change.endswith("/+")]
    faults = []
    for path, state in before.items():
        if _BESIDE.search(path) or TEMPORARY.search(Path(path).name):
            continue
        if after.get(path) != state and not under(path, changes):
            done = "changed" if path in after else "is gone"
            faults.append(Fault("loss", f"{path} {done}"))
    new = [path for path in after if path not in before]
    left = [path for path in new if any(TEMPORARY.search(part) for part in Path(path).parts)]
    if over and left:
        faults.append(Fault("stray", f"left behind: {', '.join(left[:5])}"))
    foreign = [p for p in new if not under(p, made) and p not in left and not _BESIDE.search(p)]
    # A folder on the way to what it was asked to make is its own business.
    foreign = [p for p in foreign if not any(change.startswith(f"{p}/") for change in made)]
    if foreign:
        faults.append(Fault("stray", f"made what nobody asked for: {', '.join(foreign[:5])}"))
    return faults
