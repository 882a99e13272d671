"""For the site: what a docstring says in Sphinx's words, in Markdown's. Zensical loads it through griffe."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(func|class|meth|mod|data|attr):`~?\.?([\w.]+)`")


class Docstrings(griffe.Extension):
    """Roles become links where the reference has the thing, and its name in code where it has not."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of anything that is loaded."""
        if obj.docstring is None:
            return
        text = _ROLE.sub(lambda found: _linked(obj, found[1], found[2]), obj.docstring.value)
        # The section that griffe knows, whose lines are code.
        obj.docstring.value = re.sub(r"(?m)^(\s*)Example:$", r"\1Examples:", text)


def _linked(obj: griffe.Object, kind: str, name: str) -> str:
    shown = name if kind == "mod" else name.rpartition(".")[2]
    if kind in ("data", "attr"):  # the reference lists classes and functions
        return f"`{shown}`"
    try:
        full = name if name.startswith("urbanln.") else obj.resolve(name)
    except griffe.NameResolutionError:
        return f"`{shown}`"
    if not full.startswith("urbanln.") or any(part.startswith("_") for part in full.split(".")):
        return f"`{shown}`"
    return f"[`{shown}`][{full}]"
