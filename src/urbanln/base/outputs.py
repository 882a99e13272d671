"""Where a command may write: asked before any work is done, so that nothing of anybody's is lost by it.

A file is written where there is none, or over one of its own kind; never over what the command reads, never
through a link, and not under a name that a city, a run or scores keep their own things under. A folder is
written into where it is new, or holds the same kind of thing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from urbanln.base.errors import ArtefactError, InputError, StorageError, UrbanLNError
from urbanln.base.files import storing, table_note
from urbanln.base.leftovers import beside
from urbanln.base.parsing import ENDLESS, read_json

Ours = Callable[[Path], bool]
"""Whether a file that is there may be written over: it is of the kind that would be written."""
_HEAD_BYTES = 4096
_MARK = '<meta name="generator" content="urbanln'


@dataclass(frozen=True)
class FileKind:
    """A kind of file that commands write.

    Args:
        name: What it is, for errors: ``"a page"``.
        formats: Endings, and how a file of ours is told from anybody's. The ending decides the format.
    """

    name: str
    formats: Mapping[str, Ours]


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that commands write into.

    Args:
        name: What it is, for errors: ``"a run"``.
        mark: The file by which anybody knows one.
        names: All names that are written there, or patterns of them, beside the mark.
    """

    name: str
    mark: str
    names: tuple[str, ...]

    def own(self, name: str) -> bool:
        """Whether a file or folder of this name is one that is written there."""
        return any(fnmatchcase(name.casefold(), pattern) for pattern in (self.mark, *self.names))


CITY = FolderKind(
    "a city",
    "city.toml",
    (
        "regions.parquet", "images.parquet", "indicators.parquet", "captions.parquet", "truth.parquet",
        "captions.sqlite*", "ingest.json", "gather.json", "coverage.parquet", "pictures", "images",
    ),
)  # fmt: skip
RUN = FolderKind(
    "a run", "run.toml", ("metrics.jsonl", "checkpoint", "model", "teacher", "adapter", "tensorboard")
)
SCORES = FolderKind(
    "scores",
    "scores.json",
    (
        "predictions.parquet", "folds.parquet", "scores.csv", "scores.md", "scores.tex", "transfer.json",
        "transfer.parquet",
    ),
)  # fmt: skip
STUDY = FolderKind(
    "a study", "study.json", ("study.csv", "study.md", "study.html", "study-incomplete.*", "cache")
)
DEMO = FolderKind("a demo", "demo.json", ("city", "run-*", "vectors", "scores", "report.html", "explore"))
EXPORT = FolderKind(
    "an exported page", "explore.json", ("index.html", "explore.css", "explore.js", "data.js", "pictures")
)
CITYREP = FolderKind(
    "scores of CityRep", "cityrep.json", ("cityrep.parquet", "cityrep.md", "cityrep.html", "cells")
)
_FOLDERS = (CITY, RUN, SCORES, STUDY, DEMO, EXPORT, CITYREP)


def output_file(
    path: Path | str, kind: FileKind, *, inputs: Iterable[Path | str] = (), option: str = "--out"
) -> Path:
    """A file that may be written, checked before the work it is to hold.

    Args:
        path: The file; its folder is made when it is written.
        kind: What it will hold.
        inputs: Files the command reads, where they are files at all.
        option: What the user gave it with, for errors.

    Raises:
        InputError: It is an input, a link, a device, a folder, a file of another kind, one that a city or a
            run keeps; or has an ending that says no format of this kind.
        StorageError: Its folder cannot be written.
    """
    path = Path(path)
    ours = kind.formats.get(path.suffix.lower())
    if ours is None:
        endings = " or ".join(kind.formats)
        raise _refused(
            f"{kind.name} is not written in this format", path, option, f"end its name in {endings}"
        )
    mode = _mode(path, option)
    if mode is not None and stat.S_ISDIR(mode):
        raise _refused("a folder stands where a file is to be written", path, option, "name a file in it")
    _refuse_input(path, inputs, option)
    for folder in _FOLDERS:
        if folder.own(path.name) and (path.parent / folder.mark).is_file():
            what = f"this folder holds {folder.name}, and the name is kept for what belongs to it"
            raise _refused(what, path, option)
    if mode is not None and path.stat().st_size and not ours(path):
        what = f"this file is not {kind.name} that urbanln made, and would be overwritten"
        raise _refused(what, path, option, "choose another name, or delete it first if it may go")
    _check_room(path)
    return path


def output_folder(
    path: Path | str, kind: FolderKind, *, ours: Ours | None = None, inputs: Iterable[Path | str] = (),
    option: str = "--out",
) -> Path:  # fmt: skip
    """A folder that may be written into, checked before the work it is to hold.

    What others keep there under other names stays; a link to a folder is followed.

    Args:
        path: The folder; made where there is none.
        kind: What it will hold.
        ours: Whether a folder that holds names of this kind is one; by default, whether its mark is there.
        inputs: Files and folders the command reads, where they are any.
        option: What the user gave it with, for errors.

    Raises:
        InputError: It is an input or holds one that would be overwritten; it is a file, a device, a link that
            leads nowhere, or holds something of another kind.
        StorageError: It cannot be written.
    """
    path = Path(path)
    mode = _mode(path, option, follow=True)
    if mode is not None and not stat.S_ISDIR(mode):
        raise _refused("a file stands where a folder is to be written", path, option)
    _refuse_input(path, inputs, option)
    if mode is not None:
        there = [entry for entry in _entries(path) if kind.own(entry.name)]
        for entry in there:
            if entry.is_file():
                _refuse_input(entry, inputs, option)
        for other in _FOLDERS:
            if other is not kind and (path / other.mark).is_file():
                raise _refused(f"this folder holds {other.name}, not {kind.name}", path, option)
        known = (path / kind.mark).is_file() if ours is None else ours(path)
        if there and not known:
            what = f"this is not part of {kind.name} that urbanln made, and would be overwritten"
            raise _refused(what, there[0], option, "choose another folder")
    _check_room(path / kind.mark)
    return path


def new_folder(path: Path | str, *, option: str = "--out") -> Path:
    """A place for a folder that is written as a whole: nothing is there yet, or an empty folder.

    Args:
        path: The folder.
        option: What the user gave it with, for errors.

    Raises:
        InputError: Something is there.
        StorageError: It cannot be written.
    """
    path = Path(path)
    mode = _mode(path, option)
    if mode is not None and (not stat.S_ISDIR(mode) or _entries(path)):
        remedy = "give a folder that is not there yet"
        raise _refused("there is something at this place already", path, option, remedy)
    _check_room(path)
    return path


def of_kind(*kinds: str) -> Ours:
    """Recognises tables that :func:`urbanln.base.files.write_table` wrote, by their kind."""

    def ours(path: Path) -> bool:
        try:
            return table_note(path).get("kind") in kinds
        except (ArtefactError, ValueError):
            return False

    return ours


def json_of_kind(kind: str) -> Ours:
    """Recognises JSON files of ours, by the key ``kind``."""

    def ours(path: Path) -> bool:
        try:
            found = read_json(path)
        except UrbanLNError:
            return False
        return isinstance(found, dict) and found.get("kind") == kind

    return ours


def with_first_line(fits: Callable[[str], bool]) -> Ours:
    """Recognises text tables of ours, by the line that names their columns."""

    def ours(path: Path) -> bool:
        with path.open("rb") as file:
            line = file.readline(1 << 20)
        try:
            return fits(line.decode("utf-8").rstrip("\r\n"))
        except UnicodeDecodeError:
            return False

    return ours


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return _MARK.encode() in file.read(_HEAD_BYTES)


PAGE = FileKind("a page", {".html": _is_page, ".htm": _is_page})


def _mode(path: Path, option: str, *, follow: bool = False) -> int | None:
    """Mode of what stands there; None where nothing does. Only files and folders are passed."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # tables, tokenizers and pages are opened by libraries that need it
        raise _refused("this name is no UTF-8 text", path, option, "give another name") from error
    try:
        with storing(path):
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                return None
    except ValueError as error:  # a zero byte in the name
        raise _refused(f"no name of a file: {error}", path, option, "give another name") from error
    if stat.S_ISLNK(mode) and not follow:
        raise _refused(
            "this is a link: writing would take its place, and leave what it leads to as it was",
            path,
            option,
            "give the path it leads to",
        )
    if stat.S_ISLNK(mode):
        try:
            mode = path.stat().st_mode
        except OSError as error:  # nothing there, or round in a circle
            what = f"this link leads nowhere: {error.strerror}"
            raise _refused(what, path, option, "give the path of a folder") from error
    if (endless := ENDLESS.get(stat.S_IFMT(mode))) is not None:
        raise _refused(f"this is {endless}, no place for a result", path, option, "give the path of a file")
    return mode


def _refuse_input(path: Path, inputs: Iterable[Path | str], option: str) -> None:
    """Refuse what the command reads, whatever name or link it is given by."""
    for one in inputs:
        try:
            same = path.samefile(one)
        except (OSError, ValueError):  # one of them is not there
            continue
        if same:
            raise _refused("the command reads this, and would write over it", path, option)


def _refused(what: str, path: Path, option: str, remedy: str = "choose another name") -> InputError:
    return InputError(what, value=str(path), where=option, remedy=remedy)


def _entries(folder: Path) -> list[Path]:
    with storing(folder):
        return sorted(folder.iterdir())


def _check_room(path: Path) -> None:
    """Refuse a place that cannot be written before hours are spent on what should go there."""
    with storing(path), suppress(FileNotFoundError):
        # What it is first written under is longer, and may be too long.
        beside(path).lstat()
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise StorageError(
            "a file stands where a folder is needed", where=parent, remedy="choose another output folder"
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise StorageError("you may not write there", where=parent, remedy="choose another output folder")
