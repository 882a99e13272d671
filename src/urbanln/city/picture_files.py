"""Which file each row of a table names, what the picture is called, and where it is kept in the city."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from urbanln.base.errors import InputError, StorageError
from urbanln.base.frames import id_text
from urbanln.base.leftovers import beside, sweep
from urbanln.base.progress import track
from urbanln.base.saying import say

# Endings tried, in this order, when a picture is named by its id alone.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".gif", ".bmp")
PICTURES = "pictures"
_SHOWN = 3


def named_files(
    frame: pd.DataFrame, folder: Path, id_column: str | None, image_column: str | None, table: str
) -> pd.Series:
    """Path of the picture each row names, missing where it names none.

    A name that is not there as it is written is looked for in another spelling (composed or decomposed
    accents, backslashes, large and small letters) and one folder down, and taken where exactly one file
    answers to it, and to no other name. How many were found so is said on stderr.

    Args:
        frame: The table.
        folder: Folder the names are relative to.
        id_column: Ids; the file is ``<id>.jpg`` or another of ``SUFFIXES``, or the id itself. A file that is
            not there keeps the first of them, so that it can be reported.
        image_column: File names; wins over ids.
        table: Name of the table, for errors.

    Raises:
        InputError: Neither column is named.
    """
    if image_column is not None:
        names = id_text(frame[image_column])
        found = _found(names, lambda name: [name], folder)
    elif id_column is not None:
        names = id_text(frame[id_column])
        found = _found(names, lambda name: [*(name + suffix for suffix in SUFFIXES), name], folder)
    else:
        raise InputError(
            "which picture belongs to which row?",
            where=table,
            remedy=f"name --image-column or --id-column; there are: {', '.join(map(str, frame.columns))}",
        )
    return names.map(lambda name: os.path.normpath(folder / found[name]), na_action="ignore").astype("str")


def near_files(paths: Sequence[str], folder: Path) -> dict[str, list[str]]:
    """Files that pictures that are not there may mean: of the same name but for spelling, place and ending.

    Args:
        paths: From :func:`named_files`.
        folder: Folder of the pictures.

    Returns:
        Some files, relative to the folder, for each path that any is near to.
    """
    files: dict[str, list[str]] = {}
    for file in _listing(folder) if paths else ():
        files.setdefault(spelling(Path(file).stem), []).append(file)
    near = {path: files.get(spelling(Path(path.replace("\\", "/")).stem), []) for path in paths}
    return {path: found[:_SHOWN] for path, found in near.items() if found}


def _found(names: pd.Series, spellings: Callable[[str], list[str]], folder: Path) -> dict[str, str]:
    """File below the folder by name; the first spelling where none is there."""
    files = _listing(folder)
    there = set(files)

    def is_there(option: str) -> bool:
        return option in there or (("/" in option or not there) and (folder / option).is_file())

    exact = {
        name: next((option for option in spellings(name) if is_there(option)), None)
        for name in names.dropna().unique()
    }
    missing = {name: spellings(name) for name, hit in exact.items() if hit is None}
    loose = {name: file for name, file in _loosely(missing, files).items() if file is not None}
    asked: dict[str, set[str]] = {}
    for name, file in {**{name: hit for name, hit in exact.items() if hit}, **loose}.items():
        asked.setdefault(file, set()).add(unicodedata.normalize("NFC", name.replace("\\", "/")))
    # Two names of one file are one only where they differ in nothing but how it is written.
    loose = {name: file for name, file in loose.items() if len(asked[file]) == 1}
    if loose:
        some = ", ".join(f"{name} as {file}" for name, file in list(loose.items())[:_SHOWN])
        more = ", …" if len(loose) > _SHOWN else ""
        text = f"{len(loose)} pictures are found under another spelling or one folder down: {some}{more}"
        say(text)
    return {name: hit or loose.get(name) or spellings(name)[0] for name, hit in exact.items()}


def _loosely(missing: Mapping[str, Sequence[str]], files: Sequence[str]) -> dict[str, str | None]:
    """The file each name may mean but for spelling, else but for its folder; None where it is not one."""
    by_path: dict[str, list[str]] = {}
    by_name: dict[str, list[str]] = {}
    for file in files if missing else ():
        by_path.setdefault(spelling(file), []).append(file)
        by_name.setdefault(spelling(Path(file).name), []).append(file)
    found = {}
    for name, options in missing.items():
        keys = [spelling(option) for option in options]
        met = next((places[key] for places in (by_path, by_name) for key in keys if key in places), [])
        found[name] = met[0] if len(met) == 1 else None
    return found


def _listing(folder: Path) -> list[str]:
    """Files in the folder and one folder down, relative to it."""
    files: list[str] = []
    with suppress(OSError):  # a folder may be opened by name and yet not be listed
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if not entry.is_dir():
                files.append(entry.name)
            elif not entry.name.startswith("."):
                with suppress(OSError):
                    inside = sorted(os.listdir(entry.path))  # noqa: PTH208
                    files += [f"{entry.name}/{name}" for name in inside]
    return files


def spelling(name: str) -> str:
    """A name but for how it is spelled: composed or decomposed accents, ``\\``, capitals."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./").casefold())


def image_ids(files: pd.Series, ids: pd.Series | None, folder: Path) -> pd.Series:
    """A name for every picture: its id, or its file's name; a number is added where two are equal.

    Args:
        files: (N,) distinct paths.
        ids: (N,) ids from the table, if it has them.
        folder: Folder of the pictures; names below it are used where the last parts are not unique.
    """
    if ids is None:
        ids = files.map(lambda file: Path(file).stem)
        if not ids.is_unique:
            ids = files.map(lambda file: os.path.splitext(os.path.relpath(file, folder))[0])  # noqa: PTH122
            ids = ids.str.replace(os.sep, "-", regex=False)
    ids = ids.where(ids.notna(), files.map(lambda file: Path(file).stem))
    while (again := ids.duplicated()).any():
        count = ids.groupby(ids).cumcount()
        ids = ids.where(~again, ids + "-" + (count + 1).astype("str"))
    return ids.astype("str")


def copy_pictures(images: pd.DataFrame, out: Path) -> list[str]:
    """Copy pictures into ``pictures/`` of a city that is being made; copies made before are kept.

    Args:
        images: Columns key (the file), image_id, sha256 and format.
        out: Folder of the city.

    Returns:
        Paths relative to ``out``, in the order of ``images``.

    Raises:
        InputError: Another picture stands where one is to be kept.
        StorageError: The disk is full or the folder cannot be written.
    """
    names = images["image_id"].map(_file_name)
    # Names that differ in case only are one file on some systems; the content's hash tells them apart.
    clash = names.str.casefold().duplicated(keep=False)
    names = names.where(~clash, names + "-" + images["sha256"].str[:12])
    targets = [
        f"{PICTURES}/{name}{Path(file).suffix.lower() or '.' + kind.lower()}"
        for name, file, kind in zip(names, images["key"], images["format"], strict=True)
    ]
    try:
        (out / PICTURES).mkdir(parents=True, exist_ok=True)
        sweep(out / PICTURES, alone=True)
        pairs = zip(images["key"], targets, strict=True)
        for file, target in track(pairs, "copying pictures", len(targets)):
            _copy(Path(file), out / target)
    except OSError as error:
        raise StorageError(
            f"could not copy a picture: {error.strerror or error}",
            where=out / PICTURES,
            remedy="free some space or choose another folder, and run the same command again: it goes on",
        ) from error
    return targets


def _file_name(image_id: str) -> str:
    """An id as a file name without an ending: 150 bytes at most, as file systems count bytes."""
    name = re.sub(r"[^\w.-]+", "_", image_id).encode()[:150].decode(errors="ignore")
    return name.lstrip(".") or "_"


def _copy(source: Path, target: Path) -> None:
    """Copy under a temporary name and rename, unless it was done before; never over another picture."""
    if target.exists():
        if filecmp.cmp(source, target):  # equal size and time of change, or equal bytes
            return
        raise InputError(
            "another picture stands where this one is to be kept, and would be overwritten",
            value=str(source),
            where=target,
            remedy="choose another --out; if the picture was changed since a run that was stopped, delete "
            "that run's folder first",
        )
    part = beside(target)
    try:
        shutil.copyfile(source, part)
        times = source.stat()
        os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
