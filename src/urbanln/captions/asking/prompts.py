"""What captioners are told: one text file per stage and view, each replaceable, known by its hash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.captions.captioners.base import Prompt, Stage

VIEWS = ("satellite", "street")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "describe": (),
    "local": (),
    "merge": ("description", "notes", "rejected"),
    "repair": ("description", "rejected"),
}
_FIELD = re.compile(r"\{(\w+)\}")


class Prompts:
    """The prompts of one run: those of the package, or a user's own of the same file names.

    Args:
        folder: Folder with any of ``describe-satellite.txt``, ``describe-street.txt``, ``local-….txt``,
            ``merge-….txt`` and ``repair.txt``; what is not in it comes from the package.

    Raises:
        InputError: No such folder, a file of another name in it, one that is empty or not UTF-8, or one
            that lacks a field it must have or has one that nothing fills.

    Example:
        >>> Prompts().render("describe", "satellite").text[:34]
        'You are looking at one square pict'
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        shipped = resources.files("urbanln.captions.asking").joinpath("prompt_texts")
        self._texts = {
            name: shipped.joinpath(name).read_text(encoding="utf-8").strip() for name in prompt_files()
        }
        if folder is not None:
            self._replace(Path(folder))
        self._hashes = {name: hash_bytes(text.encode())[:12] for name, text in self._texts.items()}

    def _replace(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError("no such folder of prompts", where=folder, remedy="check describe.prompts")
        for path in sorted(folder.glob("*.txt")):
            if path.name not in self._texts:
                raise InputError(
                    "no prompt has this name",
                    value=path.name,
                    where=folder,
                    remedy=f"there are: {', '.join(self._texts)}",
                )
            try:
                text = path.read_text(encoding="utf-8").strip()
            except UnicodeDecodeError as error:
                raise InputError(
                    "a prompt must be UTF-8 text", value=str(error), where=path, remedy="save it as UTF-8"
                ) from error
            self._texts[path.name] = _checked(text, path)

    def render(self, stage: Stage, view: str, **fields: str) -> Prompt:
        """The prompt of a stage and view with its fields filled in.

        Args:
            stage: Of the question.
            view: Of the picture.
            fields: ``merge``: description, notes, rejected; ``repair``: description, rejected. Their text is
                put in as it is; braces in it mean nothing.
        """
        name = _file(stage, view)
        text = _FIELD.sub(lambda found: fields[found.group(1)], self._texts[name])
        return Prompt(text=text, template=self._hashes[name])


def prompt_files() -> list[str]:
    """Names of all prompt files."""
    return [*(_file(stage, view) for stage in ("describe", "local", "merge") for view in VIEWS), "repair.txt"]


def _file(stage: str, view: str) -> str:
    return "repair.txt" if stage == "repair" else f"{stage}-{view}.txt"


def _checked(text: str, path: Path) -> str:
    wanted = set(_FIELDS[path.stem.partition("-")[0]])
    found = set(_FIELD.findall(text))
    if not text:
        raise InputError("an empty prompt", where=path, remedy="write one, or take the file away")
    if found != wanted:
        raise InputError(
            "a prompt must have exactly these fields: " + (", ".join(sorted(wanted)) or "none"),
            value=", ".join(sorted(found)) or "none",
            where=path,
            remedy="write them as {description}, {notes}, {rejected}",
        )
    return text
