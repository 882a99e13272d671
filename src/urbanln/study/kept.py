"""What of a study stays: stages that are whole, and the best result there is.

A stage's note, ``stage.json``, names the files of its result, with sizes, and the SHA-256 of those that are
quick to hash. A stage whose files are no longer these is not done: it is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import hash_file
from urbanln.base.parsing import read_json

DONE = "stage.json"
RESULT, INCOMPLETE = "study", "study-incomplete"
_RESULTS = ("*.parquet", "city/*.parquet", "city/city.toml", "run/run.toml", "run/model/*", "run/teacher/*")
_HASHED_BYTES = 64_000_000  # weights are larger: their size must do
# What makes two results answers to one question.
_QUESTION = ("name", "cities", "seeds", "settings", "probe", "retrieve")
_sound: set[tuple[Any, ...]] = set()


def describe_files(folder: Path) -> dict[str, list[Any]]:
    """Size, and SHA-256 or None, of each file of a stage's result, by path."""
    files = sorted(file for pattern in _RESULTS for file in folder.glob(pattern) if file.is_file())
    return {file.relative_to(folder).as_posix(): _facts(file) for file in files}


def is_whole(folder: Path) -> bool:
    """Whether a stage was finished and its result is still what was written then."""
    note = folder / DONE
    if not note.exists():
        return False
    try:
        files = read_json(note, dict[str, Any]).get("files", {})  # earlier versions named none
        seen = [(folder / name).stat() for name in files]
        state = (note, note.stat().st_mtime_ns, *((one.st_mtime_ns, one.st_size) for one in seen))
        if state not in _sound:  # asked often
            if any(_facts(folder / name) != facts for name, facts in files.items()):
                return False
            _sound.add(state)
    except (OSError, ArtefactError, InputError, AttributeError, TypeError, ValueError):
        return False
    return True


def name_for(folder: Path, result: Mapping[str, Any]) -> str:
    """Under which name a result is written: an incomplete one never takes the place of a better one.

    Args:
        folder: Of the study.
        result: From :func:`urbanln.study.scores.collect`.
    """
    if not result["failed"]:
        return RESULT
    try:
        there = read_json(folder / f"{RESULT}.json", dict[str, Any])
    except (InputError, ArtefactError, OSError):
        return RESULT
    if not there.get("failed"):
        return INCOMPLETE
    same = all(there.get(key) == result.get(key) for key in _QUESTION)
    return INCOMPLETE if same and there.get("scored", 0) > result["scored"] else RESULT


def remove_incomplete(folder: Path) -> None:
    """Remove the incomplete result that a complete one makes useless."""
    for file in folder.glob(f"{INCOMPLETE}.*"):
        file.unlink(missing_ok=True)


def _facts(file: Path) -> list[Any]:
    size = file.stat().st_size
    return [size, hash_file(file) if size <= _HASHED_BYTES else None]
