"""JSON and TOML as they are read from files: within bounds, and of the shape their reader wants.

A file may have been edited, cut off, or come from elsewhere, so nothing that is read here is trusted: not its
size, its depth, its text or its numbers. What does not hold is one error that says where and what to do.
"""

from __future__ import annotations

import difflib
import errno
import json
import math
import os
import stat
import tomllib
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError, InputError, UrbanLNError

AGAIN = "make it again with the command that wrote it"
JSON_BYTES = 512 << 20
"""Size of a JSON file, at most: scores of a hundred tables under four splits have a tenth of it."""
TOML_BYTES = 4 << 20
"""Size of a TOML file, at most: people write them."""
_DEPTH = 64  # of tables in tables; no file of ours has a tenth of it
_TOO_DEEP = f"nested deeper than {_DEPTH}"
_LARGEST = 1 << 63
_LOOKED_AT = 10_000  # names beside one that is not there, at most
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
ENDLESS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class RunFacts(TypedDict, total=False):
    """What readers of a ``run.toml`` ask of its table ``run``; there may be more."""

    settings_hash: str
    cities: list[dict[str, Any]]
    versions: dict[str, str]


def no_file(path: Path | str, what: str = "file") -> InputError:
    """The error of a file that is not there, with the one called nearly so, or of a folder in its place."""
    path, remedy = Path(path), "check the path"
    if path.is_dir():
        return InputError(f"a {what} is needed, and this is a folder", where=path, remedy="name a file in it")
    try:
        with os.scandir(path.parent) as entries:
            there = [entry.name for entry in islice(entries, _LOOKED_AT) if entry.name != path.name]
    except OSError:
        if not path.parent.exists():
            remedy = f"check the path: there is no folder {path.parent}"
    else:
        if near := difflib.get_close_matches(path.name, there, n=1, cutoff=0.75):
            remedy = f"did you mean '{path.with_name(near[0])}'?"
    return InputError(f"no such {what}", where=path, remedy=remedy)


def read_file(path: Path | str, limit_bytes: int) -> bytes:
    """Content of an ordinary file; what might never end, or never begin, is not opened.

    Args:
        path: A file, or a link to one.
        limit_bytes: What is larger is refused.

    Raises:
        OSError: As the system says: it is not there, is a folder, may not be read.
        InputError: A pipe, a device or a socket; too large; or no path at all.
    """
    kind = refuse_endless(path)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # Should a pipe take its place meanwhile, neither opening nor reading waits for its other end.
    with os.fdopen(os.open(path, os.O_RDONLY | _AT_ONCE), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(limit_bytes + 1) if size <= limit_bytes else b""
    if size > limit_bytes or len(data) > limit_bytes:
        what = f"larger than {limit_bytes >> 20} MiB"
        raise InputError(what, value=str(path), where=path, remedy="give a smaller file")
    return data


def refuse_endless(path: Path | str) -> int:
    """Refuse what might never end, or never begin, before it is opened.

    Returns:
        Which kind of file it is (``stat.S_IFMT``).

    Raises:
        OSError: As the system says: it is not there.
        InputError: A pipe, a device or a socket; or no path at all.
    """
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
    except ValueError as error:  # a zero byte in the name
        raise InputError(
            f"no name of a file: {error}", value=str(path), where="path", remedy="give the path of a file"
        ) from error
    if kind in ENDLESS:
        remedy = "give an ordinary file"
        raise InputError(f"{ENDLESS[kind]}, not a file", value=str(path), where=path, remedy=remedy)
    return kind


def parse_json(text: str | bytes, shape: Any = Any) -> Any:
    """A JSON text as a value that may be handed on.

    Args:
        text: UTF-8 where it is bytes; a byte order mark before it is passed over.
        shape: A type, or a ``TypedDict``, that the value has to fit as it is; nothing is converted.

    Raises:
        ValueError: Not JSON, or JSON that cannot be used: a key twice in one object, NaN, a number beyond 64
            bits, half of a character, deeper than 64, or of another shape. It says which.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        value = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_parts(value)
    return fitting(value, shape)


def read_json(
    path: Path | str, shape: Any = Any, *, fault: str = "not a JSON file", remedy: str = AGAIN
) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        shape: As in :func:`parse_json`.
        fault: What is wrong when it is damaged, or of another shape.
        remedy: What to do about it.

    Raises:
        InputError: No such file.
        ArtefactError: It is not JSON, or not of this shape; or it cannot be read.
    """
    path = Path(path)
    data = _content(path, JSON_BYTES, "file", ArtefactError, remedy)
    try:
        return parse_json(data, shape)
    except ValueError as error:
        raise ArtefactError(fault, value=_first_line(error), where=path, remedy=remedy) from error


def read_events(path: Path | str, shape: Any) -> list[Any]:
    """The lines of a JSON Lines file; a last line cut off by a kill is left out, and no file has none.

    Args:
        path: The file.
        shape: Of a line, as in :func:`parse_json`.

    Raises:
        ArtefactError: A line that others follow is no JSON, or not of this shape.
    """
    path = Path(path)
    if not path.exists():
        return []
    remedy = "take the line out, or begin the run again in another folder"
    lines = _content(path, JSON_BYTES, "file", ArtefactError, remedy).split(b"\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows += [parse_json(line, shape)] if line.strip() else []
        except ValueError as error:
            if not any(rest.strip() for rest in lines[number:]):
                break
            raise ArtefactError(
                "a line is damaged", value=_first_line(error), where=f"{path}, line {number}", remedy=remedy
            ) from error
    return rows


def parse_toml(text: str | bytes) -> dict[str, Any]:
    """A TOML text as nested values that may be handed on.

    Args:
        text: UTF-8 where it is bytes; a byte order mark before it is passed over.

    Raises:
        ValueError: Not TOML, or deeper than 64. It says which.
    """
    try:
        value = tomllib.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_parts(value, finite=False)
    return value


def read_toml(
    path: Path | str,
    what: str = "settings file",
    *,
    fault: type[UrbanLNError] = InputError,
    remedy: str = "mend it at the line that is named, or begin with a fresh one",
) -> dict[str, Any]:
    """Read a TOML file as nested values.

    Args:
        path: The file.
        what: What it is, for errors.
        fault: Of one that cannot be used: :class:`ArtefactError` for a file that this package writes.
        remedy: What to do about it.

    Raises:
        InputError: No such file; not TOML or cannot be read, unless ``fault`` says otherwise.
    """
    path = Path(path)
    data = _content(path, TOML_BYTES, what, fault, remedy)
    try:
        return parse_toml(data)
    except ValueError as error:
        raise fault(f"the {what} is not TOML", value=_first_line(error), where=path, remedy=remedy) from error


def read_run(file: Path, *keys: str, shape: Any = dict[str, Any]) -> Any:
    """What the ``run.toml`` of a run folder says, or the value under some keys of it.

    Args:
        file: The ``run.toml``.
        keys: Of tables in tables; none at all gives everything, with a table ``run`` in any case.
        shape: Of what is given back, as in :func:`parse_json`.

    Raises:
        InputError: No such file.
        ArtefactError: It is not TOML, or says nothing of this shape under these keys.
    """
    remedy = f"put back the {file.name} of this run, or pretrain again into another folder"
    found: Any = read_toml(file, "run's description", fault=ArtefactError, remedy=remedy)
    try:
        fitting(found, dict[str, dict[str, Any]])
        fitting(found.setdefault("run", {}), RunFacts)
        for key in keys:
            found = found[key]
        return fitting(found, shape)
    except (KeyError, TypeError, ValueError) as error:
        told = ".".join(keys)
        reason = f"nothing under '{told}'" if isinstance(error, KeyError) else _first_line(error)
        raise ArtefactError(
            "the run's description is damaged", value=reason, where=file, remedy=remedy
        ) from error


def _content(path: Path, limit: int, what: str, fault: type[UrbanLNError], remedy: str) -> bytes:
    try:
        return read_file(path, limit)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise no_file(path, what) from error
    except OSError as error:
        told = "check that it is a file, and that you may read it"
        raise fault(f"the {what} cannot be read", value=error.strerror, where=path, remedy=told) from error
    except InputError as error:
        raise fault(f"the {what} is {error.what}", where=path, remedy=remedy) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of a key that stands twice nobody can say which value was meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return found


def _check_parts(value: Any, finite: bool = True) -> None:
    """Refuse what would break whoever handles the value later; TOML may say ``inf``, and settings judge."""
    level = [value]
    for _ in range(_DEPTH + 1):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below += [*part, *part.values()]
            elif isinstance(part, list):
                below += part
            else:
                _check_leaf(part, finite)
        if not below:
            return
        level = below
    raise ValueError(_TOO_DEEP)


def _check_leaf(part: object, finite: bool) -> None:
    if isinstance(part, str):
        if not part.isascii() and any("\ud800" <= sign <= "\udfff" for sign in part):
            raise ValueError("a text holds half of a character (a lone surrogate)")
    elif isinstance(part, float):
        if finite and not math.isfinite(part):
            raise ValueError(f"{part} is no number to reckon with")
    elif finite and isinstance(part, int) and not -_LARGEST <= part < _LARGEST:
        raise ValueError("a whole number has more than 64 bits")


def fitting(value: Any, shape: Any) -> Any:
    """The value as it is, if it fits a shape (see :func:`parse_json`).

    Raises:
        ValueError: It does not; says which part, and what is wrong with it.
    """
    if shape is Any:
        return value
    from pydantic import ValidationError

    try:
        _adapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}" if place else str(first["msg"])) from None
    return value


@lru_cache
def _adapter(shape: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(shape)
