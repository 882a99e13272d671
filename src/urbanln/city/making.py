"""A city that is being made: by one process at a time, and by the same command again after a kill.

From the first file to the last, ``.making.json`` stands in the folder and says how the city is made. Where it
still stands, a process was stopped: called in the same way, its successor makes the city anew, also where
``city.toml`` was written already. Other files there are somebody's, and are not overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import write_json
from urbanln.base.leftovers import sweep
from urbanln.base.locks import alone_in
from urbanln.base.parsing import read_json
from urbanln.city.meta import CITY_FILE
from urbanln.city.store import check_new

MAKING = ".making.json"


@contextmanager
def making(folder: Path, how: Mapping[str, Any], writes: Sequence[str]) -> Iterator[None]:
    """Have a folder to oneself while a city is made in it.

    Args:
        folder: Made where it is not there; taken away again if nothing comes of it.
        how: JSON values that decide what is made: equal ones after a kill go on.
        writes: Names of files and folders in it that are written, besides the tables of every city.

    Raises:
        InputError: There is a city, or something else that would be overwritten.
        BusyError: Another process makes a city there.
        StorageError: The folder cannot be written.
    """
    if not folder.is_dir():
        check_new(folder)
    with alone_in(folder, "makes a city in this folder", remedy="or choose another folder"):
        _begin(folder, how, writes)
        try:
            yield
        except BaseException:
            if {path.name for path in folder.iterdir()} <= {MAKING, ".lock"}:
                (folder / MAKING).unlink(missing_ok=True)
            raise
        (folder / MAKING).unlink(missing_ok=True)


def check_free(folder: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a folder in which no city can be begun, or gone on with, before hours are spent on one.

    Args:
        folder: Where the city is to be.
        inputs: Files and folders it is made from.

    Raises:
        InputError: See :func:`urbanln.city.store.check_new`.
        StorageError: The folder cannot be written.
    """
    if not (folder / MAKING).exists():
        check_new(folder, inputs)


def is_made(folder: Path) -> bool:
    """Whether there is a city whose making was not cut off."""
    return (folder / CITY_FILE).exists() and not (folder / MAKING).exists()


def _begin(folder: Path, how: Mapping[str, Any], writes: Sequence[str]) -> None:
    """Make sure that nothing is lost, and say what is made."""
    note = _read_note(folder)
    goes_on = note is not None and note.get("how") == how
    if goes_on:
        (folder / CITY_FILE).unlink(missing_ok=True)
    check_new(folder)
    there = [name for name in writes if (folder / name).exists()]
    if there and not goes_on:
        whose = "of a city that was begun here in another way" if note else "not of a city begun here"
        raise InputError(
            f"this is {whose}, and would be overwritten",
            value=there[0],
            where=folder,
            remedy="choose another folder, or delete this one first",
        )
    sweep(folder, alone=True)
    write_json(folder / MAKING, {"how": how})


def _read_note(folder: Path) -> dict[str, Any] | None:
    """How a city was being made here; None where nobody was stopped."""
    if not (folder / MAKING).exists():
        return None
    try:
        note = read_json(folder / MAKING)
    except (ArtefactError, InputError):
        return {}
    return note if isinstance(note, dict) else {}
