"""What is said on the terminal: nothing else in the package writes to stdout or stderr.

In: lines, which may hold anybody's text (names of files, cities, columns, captioners). Out: those lines with
their control characters escaped, in what the terminal can show. A reader who has gone (``urbanln … | head``)
stops nothing: what is left to say is dropped, what is left to do is done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from urbanln.base.errors import StorageError, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_COLUMNS = 140  # of a table that no terminal shows
_STANDARD = 3  # stdin, stdout, stderr


def say(*lines: str) -> None:
    """Tell what happens: lines on stderr.

    Args:
        lines: One line each; a line break within is escaped, so that no name pretends to be a line of ours.
    """
    with suppress(OSError):  # that nothing can be told is nothing one could tell
        _write(sys.stderr, _shown(lines))


def say_last(line: str) -> None:
    """Tell what happens before the process ends at once: past all buffers, for handlers of signals."""
    cursor = "\x1b[?25h" if _is_terminal(sys.stderr) else ""  # a bar hides it
    with suppress(OSError):
        os.write(2, f"{cursor}{printable(line)}\n".encode())


def answer(*lines: str) -> None:
    """Hand over what was asked for: lines on stdout, each as in :func:`say`.

    Raises:
        StorageError: What stdout goes to is full, or broken otherwise.
    """
    _hand_over(_shown(lines))


def answer_table(table: RenderableType) -> None:
    """Print a table of ``rich`` on stdout; its cells are of ours, or went through :func:`printable`.

    Raises:
        StorageError: See :func:`answer`.
    """
    from rich.console import Console

    console = Console(width=None if _is_terminal(sys.stdout) else _COLUMNS)
    with console.capture() as shown:
        console.print(table)
    _hand_over(shown.get())


@contextmanager
def others_silent() -> Iterator[None]:
    """As long as the block lasts, nobody hears what a library prints on stdout, which is for answers."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def speaks() -> bool:
    """Whether this process is the one that tells: of torchrun's, the first."""
    return os.environ.get("RANK", "0") == "0"


def in_bytes(size: float) -> str:
    """A size in words: ``12.3 MB``."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"


def live_console() -> Console | None:
    """What a bar of progress is drawn on: stderr where it is a terminal that no other process draws on."""
    if not _is_terminal(sys.stderr):
        return None
    from multiprocessing import parent_process

    if parent_process() is not None:  # one of several that work for another one
        return None
    from rich.console import Console

    return Console(stderr=True)


def settle_streams() -> None:
    """Make stdout and stderr fit to be written to by anybody: for programs, at their start.

    Streams that were closed from the start lead nowhere, so that no file of ours takes their number and gets
    what a library prints. What an encoding cannot show is escaped, also in the help.
    """
    for number in range(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (for good)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _shown(lines: tuple[str, ...]) -> str:
    return "".join(printable(line) + "\n" for line in lines)


def _hand_over(text: str) -> None:
    try:
        _write(sys.stdout, text)
    except OSError as error:
        raise StorageError(
            f"could not write: {error.strerror or error}",
            where="stdout",
            remedy="free some space there, or send the output elsewhere, and run the same command again",
        ) from error


def _write(stream: TextIO | None, text: str) -> None:
    """Write at once, or drop it where nobody can read it any more."""
    if stream is None or stream.closed:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _lead_nowhere(stream)
    except OSError:
        _lead_nowhere(stream)
        raise


def _lead_nowhere(stream: TextIO) -> None:
    """Let a stream go on into nothing, or Python would complain at its end of what is still in its buffer."""
    with suppress(OSError, ValueError):  # no stream of the system
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()
