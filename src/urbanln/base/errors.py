"""The package's exceptions: what was wrong, the value, where it stands, what to do."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from urbanln.base.extras import extra_of, install


def printable(text: str) -> str:
    """Text with control characters escaped, so that a hostile file name cannot steer the terminal.

    Example:
        >>> printable("tile\\x1b[2J.jpg")
        'tile\\\\x1b[2J.jpg'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


# A password in an address, which is not repeated, wherever somebody wrote it.
_PASSWORD = re.compile(r"(://[^\s/@:]*:)[^\s/@]+(?=@)|([?&](?:ssl)?password=)[^\s&]+")


class UrbanLNError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        what: One sentence on what was wrong.
        where: File, row, region, column, argument or setting it was found at: as much as is known there;
            a caller that knows more adds it by :func:`placed`.
        remedy: What the user can do about it, in one clause.
        value: The offending value, if there is one.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | Path, remedy: str, value: object = None) -> None:
        self.what, self.value, self.where, self.remedy = what, value, where, remedy
        super().__init__(what)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors come back whole from other processes: by themselves they would be made of ``what`` alone."""
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        """The readable block the command line prints."""
        rows = [self.what]
        for label, part in (("value", self.value), ("where", self.where), ("remedy", self.remedy)):
            if part is not None:
                text = _told(part) if label == "value" else str(part)
                shown = printable(text[:400]) + (" …" if len(text) > 400 else "")
                rows.append(f"  {label + ':':<8} {shown}")
        return _PASSWORD.sub(r"\1\2…", "\n".join(rows))


def _told(value: object) -> str:
    """A value in words, also one that is nested without end."""
    try:
        return value if isinstance(value, str) else repr(value)
    except RecursionError:
        return f"a {type(value).__name__} nested too deeply to be shown"


def _restored(kind: type[UrbanLNError], args: tuple[Any, ...], facts: dict[str, Any]) -> UrbanLNError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


@contextmanager
def placed(where: str | Path) -> Iterator[None]:
    """Add a place to errors that pass: of a function that knows the argument, to its caller's file.

    Args:
        where: What the place that the error names is part of.

    Example:
        >>> with placed("study.toml"):
        ...     raise InputError("no such key", where="[study]", remedy="leave it out")
        Traceback (most recent call last):
        urbanln.base.errors.InputError: no such key
          where:   study.toml, [study]
          remedy:  leave it out
    """
    try:
        yield
    except UrbanLNError as error:
        error.where = f"{where}, {error.where}"
        raise


class InputError(UrbanLNError):
    """What the user handed in (data, a setting, an argument) cannot be used as it is."""

    exit_code = 2


class MissingExtraError(InputError):
    """A part of the package was used whose optional dependency is not installed."""


class StorageError(UrbanLNError):
    """A file could not be written or read: disk full, read-only folder, no permission."""


class ArtefactError(UrbanLNError):
    """A file this package wrote earlier is damaged, from another version, or of another kind."""


def explain_missing(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error that names the extra to install, or None when the missing module is none of ours to offer."""
    extra = extra_of(error.name or "")
    if extra is None:
        return None
    return MissingExtraError(
        f"this step needs the package '{error.name}', which is not installed",
        remedy=install(extra),
        where=str(error.name),
    )


def require(module: str) -> ModuleType:
    """Import a module of ours or an optional dependency, or say which extra brings what is missing.

    Args:
        module: Dotted module name, for example ``"urbanln.train.loop"`` or ``"tensorboard"``.

    Raises:
        MissingExtraError: A package of one of our extras is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        explained = explain_missing(error)
        if explained is None:
            raise
        raise explained from error
