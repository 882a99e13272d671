"""Which process something belongs to, and whether that process still runs."""

from __future__ import annotations

import functools
import os
from pathlib import Path


def this_process() -> str:
    """This process as ``machine:process number:its start time``.

    The start time tells it from a later process that was given the same number. Processes in different
    containers do not see each other: to each, the other is on another machine.
    """
    return _describe(os.getpid())


def is_alive(owner: str) -> bool:
    """Whether the process that :func:`this_process` described still runs on this machine."""
    if owner == this_process():
        return True
    machine, _, rest = owner.partition(":")
    number, _, started = rest.partition(":")
    if machine != this_machine() or not number.isdigit():
        return False
    if Path("/proc/self/stat").exists():
        return _start_time(int(number)) == started != ""
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# Kept, or a moment without file handles would make a process deny its own claims.
@functools.lru_cache(maxsize=4)
def _describe(number: int) -> str:
    return f"{this_machine()}:{number}:{_start_time(number)}"


@functools.cache
def this_machine() -> str:
    """Which numbers of processes are meant: another one after each start, and in each container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return os.uname().nodename.replace(":", "-")


def _start_time(number: int) -> str:
    """Clock ticks from the machine's start to the process's; empty for one that is not there or dead."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The name in brackets may hold blanks and brackets itself; the fields are counted from its end.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
