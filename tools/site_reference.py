"""The reference of the site: pages made of docstrings, settings and the command line's own help."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

import urbanln
from urbanln.base.config import Settings
from urbanln.base.extras import EXTRAS, install
from urbanln.base.setting_faults import numbers_of
from urbanln.captions.settings import CaptionSettings
from urbanln.cli.program import app

PACKAGE = Path(urbanln.__file__).parent
# In the order in which data goes through them; `cli` is told by its help.
ROOMS = (
    "base", "city", "gather", "captions", "model", "train", "embed", "tables", "probe", "pages", "report",
    "explore", "cityrep", "stages", "study",
)  # fmt: skip


def reference() -> dict[str, str]:
    """The pages of the reference, by file name, in the order of the menu."""
    pages = {
        "index.md": _public(),
        "command-line.md": _verbs(),
        "settings.md": _settings(),
        "extras.md": _extras(),
    }
    return pages | {f"{room}.md": _room(room) for room in ROOMS}


def _public() -> str:
    """The names of ``urbanln`` itself."""
    parts = [f"::: {home}.{name}" for name, home in sorted(urbanln._LAZY.items())]
    return "\n\n".join(
        [
            "# Python",
            "What `import urbanln` offers. The other pages have all public names, room by room; "
            "[the command line](command-line.md) and [the settings](settings.md) have pages of their own.",
            *parts,
        ]
    )


def _verbs() -> str:
    """What each verb says to ``--help``, by the verb itself."""
    text = ["# The command line", "What `urbanln VERB --help` says."]
    for command in app.registered_commands:
        name = (getattr(command.callback, "__name__", "")).replace("_", "-")
        told = CliRunner().invoke(app, [name, "--help"], prog_name="urbanln", terminal_width=100).stdout
        text += [f"## {name}", f"```text\n{told.strip()}\n```"]
    return "\n\n".join(text)


def _settings() -> str:
    """Every setting with its default, its bounds and what it is."""
    text = [
        "# Settings",
        "In a TOML file for `--settings`, or one at a time: `--set train.epochs=6`. Those of captions are "
        "read by `urbanln caption` and `urbanln audit`, the others by all verbs that have the option.",
    ]
    for of, title in ((Settings, "For all but captions"), (CaptionSettings, "Of captions")):
        text.append(f"## {title}")
        for section, field in of.model_fields.items():
            kind = next(_models(field.annotation))
            many = "" if field.annotation is kind else ".NAME"
            text += [f"### {section}{many}", (kind.__doc__ or "").split("\n\n")[0], _table(kind)]
    return "\n\n".join(text)


def _models(kind: object) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in getattr(kind, "__args__", ()):
        yield from _models(part)


def _table(of: type[BaseModel]) -> str:
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in of.model_fields.items():
        bounds = numbers_of(field)
        told = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{name}` | {_default(field)} | {told}{f' ({bounds})' if bounds else ''} |")
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "to be given"
    value = field.get_default(call_default_factory=True)
    return "" if value in ("", None, [], {}, ()) else f"`{value!r}`".replace("|", "\\|")


def _extras() -> str:
    """What each extra adds, from the table that errors and ``urbanln doctor`` use."""
    rows = ["| extra | adds | for | packages |", "|---|---|---|---|"]
    for name, extra in EXTRAS.items():
        uses, packages = (", ".join(f"`{one}`" for one in part) for part in (extra.uses, extra.packages))
        rows.append(f"| `{name}` | {extra.adds} | {uses} | {packages} |")
    return "\n\n".join(
        [
            "# Extras",
            f"Without any: `ingest`, captions from pixels, `probe`, `report`, and no torch. Several at once: "
            f"`{install('train', 'nlp', 'caption')}`. `urbanln doctor` says which are here.",
            "\n".join(rows),
        ]
    )


def _room(room: str) -> str:
    """A room's docstring, then all public names of its files, file by file."""
    text = [
        f"# {room}",
        f"::: urbanln.{room}\n    options: {{show_root_heading: false, members: false}}",
    ]
    for file in sorted((PACKAGE / room).rglob("*.py")):
        names, folder = _names(file), file.name == "__init__.py"
        if (file.parent == PACKAGE / room and folder) or not (names or folder):
            continue
        inner = (file.parent if folder else file.with_suffix("")).relative_to(PACKAGE / room)
        name = ".".join(inner.parts)
        options = f"{{show_root_heading: false, heading_level: 3, members: {names or 'false'}}}"
        text.append(f"## {name}\n\n::: urbanln.{room}.{name}\n    options: {options}")
    return "\n\n".join(text)


def _names(file: Path) -> list[str]:
    """Public classes and functions of a file, as they stand in it."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = [node.name for node in body if isinstance(node, kinds) and not node.name.startswith("_")]
    return list(dict.fromkeys(found))  # an overload's name stands more than once
