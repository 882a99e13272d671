"""The package's exceptions: what was wrong, the value, where it stands, what to do."""

from __future__ import annotations

import importlib
from types import ModuleType


def printable(text: str) -> str:
    """Text with control characters escaped, so that a hostile file name cannot steer the terminal.

    Example:
        >>> printable("tile\\x1b[2J.jpg")
        'tile\\\\x1b[2J.jpg'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


class UrbanLNError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        what: One sentence on what was wrong.
        value: The offending value, if there is one.
        where: File, row, region or setting it was found at.
        remedy: What the user can do about it.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, value: object = None, where: object = None, remedy: str | None = None
    ) -> None:
        self.what, self.value, self.where, self.remedy = what, value, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        """The readable block the command line prints."""
        rows = [self.what]
        for label, part in (("value", self.value), ("where", self.where), ("remedy", self.remedy)):
            if part is not None:
                text = part if isinstance(part, str) else repr(part) if label == "value" else str(part)
                shown = printable(text[:400]) + (" …" if len(text) > 400 else "")
                rows.append(f"  {label + ':':<8} {shown}")
        return "\n".join(rows)


class InputError(UrbanLNError):
    """What the user handed in (data, a setting, an argument) cannot be used as it is."""

    exit_code = 2


class MissingExtraError(InputError):
    """A part of the package was used whose optional dependency is not installed."""


class StorageError(UrbanLNError):
    """A file could not be written or read: disk full, read-only folder, no permission."""


class ArtefactError(UrbanLNError):
    """A file this package wrote earlier is damaged, from another version, or of another kind."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: Dotted module name, for example ``"torch"``.
        extra: Name of the extra in ``pyproject.toml`` that installs it.

    Raises:
        MissingExtraError: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise MissingExtraError(
            f"this step needs the package '{error.name}', which is not installed",
            remedy=f"pip install 'urbanln[{extra}]'",
        ) from error
