"""What a study file holds, taken with a look at each key: unknown ones are told the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from urbanln.base.errors import InputError


def known(values: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    """Check that a table has no other keys than these.

    Raises:
        InputError: It has; the nearest key is the remedy.
    """
    for key in values:
        if key not in keys:
            raise InputError(f"unknown key '{key}'", where=where, remedy=near(key, keys))


def given(values: Mapping[str, Any], key: str, default: Any, where: str) -> Any:
    """A text, a table or a list of the file, whichever its default is.

    Raises:
        InputError: It is of another kind.
    """
    found = values.get(key, default)
    if not isinstance(found, type(default)):
        kind = "a text" if isinstance(default, str) else "a list" if default == [] else "a table of keys"
        raise InputError(f"'{key}' is {kind}", value=found, where=where, remedy=f"give it as {kind}")
    return found


def distinct(found: Any, fine: Callable[[Any], bool], fault: str, where: str, remedy: str) -> Any:
    """A list that is not empty, of different values that are all ``fine``, as a tuple.

    Raises:
        InputError: It is none.
    """
    good = isinstance(found, list) and found and all(map(fine, found))
    if not good or len(set(found)) < len(found):
        raise InputError(fault, value=found, where=where, remedy=remedy)
    return tuple(found)


def near(value: str, keys: Sequence[str]) -> str:
    """The remedy that names the nearest of some keys."""
    found = difflib.get_close_matches(value, keys, n=1, cutoff=0.0)
    return f"did you mean '{found[0]}'?" if found else "there is none"


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables: what ``above`` has wins, key by key."""
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found
