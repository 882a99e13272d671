"""The cage: a command may name and write what lies in its folder, and nothing else on this machine.

Two locks on one door: words of a command that name something outside are refused before it starts, and in
the process itself an audit hook ends it before it opens for writing, moves or removes anything outside.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

ESCAPED = 99
_SYSTEM = ("/dev", "/proc", "/sys")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit events of the interpreter that act on files, with the places of their paths among the arguments.
_ACTS = {
    "os.rename": (0, 1), "os.remove": (0,), "os.mkdir": (0,), "os.rmdir": (0,), "os.link": (1,),
    "os.symlink": (1,), "os.truncate": (0,), "os.chmod": (0,), "os.utime": (0,), "shutil.rmtree": (0,),
    "sqlite3.connect": (0,),
}  # fmt: skip


class CageError(Exception):
    """An attack was about to leave its folder: a mistake of the campaign's, never of the package's."""


def check_words(argv: Sequence[str], cage: Path, cwd: Path) -> None:
    """Refuse a command that names a path outside the cage, directly or through a link.

    Raises:
        CageError: It does.
    """
    for word in argv:
        for text in {word, word.partition("=")[2], word.partition("=")[2].partition("#")[0]}:
            if not text or "://" in text or "\0" in text:
                continue
            if re.match(rf"^\s*({'|'.join(_SYSTEM)})(/|$)", text):
                raise CageError(f"a path of the system: {text}")
            try:
                if "/" not in text and not (cwd / text).is_symlink():
                    continue
                path = (cwd / text).resolve()
            except (OSError, RuntimeError):  # a name that is too long, a circle of links
                continue
            if not path.is_relative_to(cage):
                raise CageError(f"outside the cage: {text} is {path}")


def check_links(folder: Path, cage: Path) -> None:
    """Refuse a folder with a link that leads out of the cage.

    Raises:
        CageError: There is one.
    """
    for where, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(where, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(cage):
                raise CageError(f"a link out of the cage: {path}")


def guard(cage: Path, on_act: Callable[[], None], say: int) -> None:
    """Watch this process from now on; it ends with :data:`ESCAPED` before it acts outside the cage.

    Args:
        cage: The folder.
        on_act: Called before each act on a file in the cage.
        say: File descriptor to which what was tried is written.
    """
    root = os.path.realpath(cage)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = bool(flags & _WRITES) if isinstance(flags, int) else any(c in "wax+" for c in mode or "")
            places: tuple[Any, ...] = (path,)
            if isinstance(path, int) or path is None:
                return
        elif event in _ACTS:
            writes, places = True, tuple(args[i] for i in _ACTS[event] if i < len(args))
        else:
            return
        within = True
        for place in places:
            if isinstance(place, int):
                continue
            text = os.fsdecode(place)
            if text in ("", ":memory:") or text.startswith("file:"):
                continue
            real = os.path.realpath(text)
            inside = real == root or real.startswith(root + os.sep)
            within = within and inside
            if writes and not inside and real != os.devnull and not real.startswith("/dev/shm/"):
                _escape(say, f"{event} {text}")
        if within:
            on_act()

    sys.addaudithook(hook)


def _escape(say: int, what: str) -> NoReturn:
    os.write(say, what.encode(errors="replace"))
    os._exit(ESCAPED)
