"""Files of this machine that a recipe names by a path or a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from urbanln.base.errors import InputError


def paths(folder: Path, files: Sequence[str]) -> list[Path]:
    """What names stand for, in their order, the files of a pattern by name.

    Args:
        folder: Of the recipe, which they are relative to.
        files: Paths; ``*`` stands for anything.

    Example:
        >>> paths(Path("."), ["a.tif"])
        [PosixPath('a.tif')]
    """
    return [path for file in files for path in _found(folder, file)]


def _found(folder: Path, file: str) -> list[Path]:
    """A pattern that finds nothing stands for itself, and is told as a file that is not there."""
    if "*" not in file:
        return [folder / file]
    root = Path(file).anchor
    return sorted((Path(root) if root else folder).glob(file[len(root) :])) or [folder / file]


def need_files(files: Sequence[Path], where: str) -> None:
    """Refuse what is not there.

    Raises:
        InputError: A file is missing.
    """
    missing = [path for path in files if not path.is_file()]
    if missing:
        remedy = "paths are relative to the recipe; * stands for anything"
        raise InputError("no such file", value=str(missing[0]), where=where, remedy=remedy)
