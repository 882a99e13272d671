"""What one attack works with: a folder of its own, copies of the world, and commands that are judged."""

from __future__ import annotations

import json
import random
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attack.forks import Command, Running
from tests.attack.judge import Expected, Fault, Kind, Outcome, compare, judge, snapshot


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        part: Of the campaign.
        name: Unique within it.
        do: The attack.
    """

    part: str
    name: str
    do: Callable[[Case], None]

    @property
    def full(self) -> str:
        """``part/name``."""
        return f"{self.part}/{self.name}"


@dataclass
class Case:
    """An attack under way.

    Attributes:
        cage: Its folder: ``w`` is where commands run, beside their home, cache and temporary files.
        world: Where what is attacked was made, to copy from.
        seed: Of the campaign.
        name: Of the attack.
    """

    cage: Path
    world: Path
    seed: int
    name: str
    faults: list[Fault] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(zlib.crc32(f"{self.seed} {self.name}".encode()))
        for name in ("w", "home", "cache", "tmp"):
            (self.cage / name).mkdir(parents=True)

    @property
    def root(self) -> Path:
        """Where commands run."""
        return self.cage / "w"

    def take(self, *names: str) -> None:
        """Copy things of the world to where commands run."""
        for name in names:
            source, target = self.world / name, self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)

    def fault(self, kind: Kind, what: str) -> None:
        """Report what the judge cannot see by itself."""
        self.faults.append(Fault(kind, what))

    def command(self, *argv: object, **how: Any) -> Command:
        """A command of this case; see :class:`tests.attack.forks.Command`."""
        env = {
            "HOME": str(self.cage / "home"),
            "TMPDIR": str(self.cage / "tmp"),
            "URBANLN_CACHE": str(self.cage / "cache"),
            **how.pop("env", {}),
        }
        how.setdefault("cwd", self.root)
        return Command([str(word) for word in argv], cage=self.cage, env=env, **how)

    def run(
        self, *argv: object, expect: Expected = "done", changes: Iterable[str] = (), **how: Any
    ) -> Outcome:
        """Run a command, and judge what it said, how it ended, and what it did to the folder.

        Args:
            argv: Its words.
            expect: How it should end.
            changes: Paths that it may make or change when it does not refuse.
            how: As of :class:`tests.attack.forks.Command`.
        """
        before = snapshot(self.root)
        running = Running(self.command(*argv, **how))
        return self.judged(running, before, expect, changes)

    def judged(
        self, running: Running, before: Mapping[str, str], expect: Expected, changes: Iterable[str]
    ) -> Outcome:
        """Wait for a command's end and judge it."""
        outcome = running.finish()
        self.note(outcome)
        after = snapshot(self.root)
        own = judge(outcome, expect)
        own += compare(before, after, list(changes), over=expect != "killed")
        if expect != "killed" and (left := [path.name for path in (self.cage / "tmp").iterdir()]):
            own.append(Fault("stray", f"left in TMPDIR: {left[:3]}"))
            shutil.rmtree(self.cage / "tmp")
            (self.cage / "tmp").mkdir()
        self.blame(outcome, own)
        return outcome

    def blame(self, outcome: Outcome, faults: Iterable[Fault]) -> None:
        """Report faults of a command, with its words."""
        command = f"urbanln {' '.join(outcome.argv)}"[:400]
        self.faults += [Fault(fault.kind, f"{command}\n{fault.what}") for fault in faults]

    def note(self, outcome: Outcome) -> None:
        """Keep what a command said, for the report."""
        self.said.append(
            f"$ urbanln {' '.join(outcome.argv)}\n[exit {outcome.code}, {outcome.seconds:.1f} s]\n"
            f"{outcome.out[-1500:]}{outcome.err[-3000:]}"
        )

    def same(self, mine: str, theirs: Path, what: str = "") -> None:
        """A result must be that of an undisturbed run, by value."""
        from tests.attack.values import differences

        for difference in differences(self.root / mine, theirs)[:4]:
            self.fault("loss", f"{what or mine}: {difference}")


def work(attack: Attack, cage: Path, world: Path, seed: int, report: Path) -> None:
    """Do one attack and write what was found."""
    case = Case(cage, world, seed, attack.full)
    try:
        attack.do(case)
    except Exception as error:  # the campaign's own mistake must show, and must not stop the others
        import traceback

        case.fault("traceback", f"the attack itself failed: {error!r}\n{traceback.format_exc()}")
    found = {"faults": [[f.kind, f.what] for f in case.faults], "said": case.said}
    temporary = report.with_suffix(".part")
    temporary.write_text(json.dumps(found))
    temporary.replace(report)
