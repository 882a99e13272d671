"""Files of this machine that a recipe names by a path or a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from glob import escape
from pathlib import Path
from urllib.parse import urlsplit

from urbanln.base.errors import InputError
from urbanln.gather.settings import KEY, SourceSettings

_OF_SHAPEFILES = (".dbf", ".shx", ".prj", ".cpg", ".cst")


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


def is_address(file: str) -> bool:
    """Whether a recipe's file is one of the network."""
    return file.startswith(("https://", "http://"))


def hosts_of(files: Sequence[str]) -> list[str]:
    """The hosts of the addresses among files."""
    return sorted({(urlsplit(file).hostname or "").lower() for file in files if is_address(file)})


def resolved(folder: Path, files: Sequence[str]) -> tuple[str, ...]:
    """Paths from here, each pattern as its files, in their order; addresses as they are.

    Args:
        folder: Of the recipe.
        files: Paths, patterns and addresses.
    """
    return tuple(
        str(one) for file in files for one in ([file] if is_address(file) else paths(folder, [file]))
    )


def check_network(files: Sequence[str], settings: SourceSettings) -> None:
    """Refuse what is asked of the network for files of this machine, and addresses that lack something.

    Raises:
        ValueError: Says what is wrong.
    """
    if not any(map(is_address, files)):
        if settings.key or settings.headers or settings.hosts or settings.usd_per_1000:
            raise ValueError("files of this machine need no key, no headers, no hosts and no price")
        return
    for file in filter(is_address, files):
        parts = urlsplit(file)
        if not parts.hostname or not file.isprintable() or not file.isascii() or " " in file:
            raise ValueError(f"this is no address: {file[:200]}")
        if parts.username or parts.password:
            raise ValueError('a password stands in the address: name a variable, key = "NAME", and {key}')
    if KEY in "".join((*files, *settings.headers.values())) and not settings.key:
        raise ValueError('{key} needs the name of an environment variable: key = "NAME"')


def _found(folder: Path, file: str) -> list[Path]:
    """A pattern that finds nothing stands for itself, and is told as a file that is not there."""
    if "*" not in file:
        return [folder / file]
    root = Path(file).anchor
    return sorted((Path(root) if root else folder).glob(file[len(root) :])) or [folder / file]


def with_companions(path: Path) -> list[Path]:
    """A file, and where it is a Shapefile those that lie beside it and hold its columns, system and letters.

    Args:
        path: The file.
    """
    if path.suffix.lower() != ".shp":
        return [path]
    beside = sorted(path.parent.glob(f"{escape(path.stem)}.*"))
    return [path, *(one for one in beside if one.suffix.lower() in _OF_SHAPEFILES)]


def need_files(files: Sequence[Path], where: str) -> None:
    """Refuse what is not there.

    Raises:
        InputError: A file is missing.
    """
    missing = [path for path in files if not path.is_file()]
    if missing:
        remedy = "paths are relative to the recipe; * stands for anything"
        raise InputError("no such file", value=str(missing[0]), where=where, remedy=remedy)
