"""Commands as they are told to others: as they were given, but for what says where somebody's files lie."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

# What leads to a file: from the root, a home, a drive, an address; or out of this folder.
_WAY = re.compile(r"""(?P<before>^|=)(?:[a-z][\w+.-]*://|~|[A-Za-z]:(?=[\\/])|[\\/]|(?:[^=#]*[\\/])?\.\.[\\/])
                      (?:[^#]*[\\/])?(?P<name>[^#]*)""", re.VERBOSE)  # fmt: skip


def command_line(verb: str, places: Sequence[object], options: Mapping[str, object]) -> str:
    """A command to print beside what it made, with quotes where a shell wants them.

    Of a file or folder that does not lie below the folder the command ran in, its last name alone is told;
    of an address what stands before ``?``. Whose machine it was, and how one gets in, is nobody's business.

    Args:
        verb: Behind ``urbanln``; more than one word where it is a subcommand.
        places: Arguments without a name.
        options: By name with its dashes; a list is given once for each value, True is a flag, and what is
            None, False or empty was not given.
    """
    words = [*verb.split(), *(_told(place) for place in places)]
    for name, value in options.items():
        if value is True:
            words.append(name)
        elif value is not None and value is not False:
            for one in value if isinstance(value, list | tuple) else [value]:
                words += [name, _told(one)] if str(one) else []
    return shlex.join(["urbanln", *words])


def settings_given(section: str, chosen: Mapping[str, Any], default: Mapping[str, Any]) -> list[str]:
    """Values for ``--set`` that make of the default settings those that were chosen, wherever they came from.

    Args:
        section: Of both.
        chosen: As JSON values.
        default: As JSON values.
    """
    return [
        f"{section}.{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in chosen.items()
        if value != default.get(name)
    ]


def _told(word: object) -> str:
    text = str(word)
    found = _WAY.search(text)
    if found is None:
        return text
    name = found["name"].partition("?")[0] if "://" in found[0] else found["name"]
    return text[: found.start()] + found["before"] + (name or "…") + text[found.end() :]
