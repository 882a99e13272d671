"""What is wrong with a setting, told with its bounds and what it is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from urbanln.base.errors import InputError

# What stands under such a name may be a key, and is not repeated.
_SECRET = re.compile(r"key|token$|secret|password", re.IGNORECASE)


def _known_keys(of: type[BaseModel], sections: Mapping[str, Any]) -> list[str]:
    """All settings; those of ``captioners.NAME`` under the names that are given."""
    keys = []
    for section, field in of.model_fields.items():
        kind, inner = field.annotation, get_args(field.annotation)
        names = [section]
        if inner:
            given = sections.get(section)
            kind, names = (
                inner[-1],
                [f"{section}.{name}" for name in given] if isinstance(given, dict) else [],
            )
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += [f"{name}.{key}" for name in names for key in kind.model_fields]
    return keys


def validated(
    values: Mapping[str, Any], where: str, of: type[BaseModel], given: Mapping[str, str]
) -> BaseModel:
    """The settings, if they can be.

    Args:
        values: Nested.
        where: Where they stand, for errors.
        of: What they are.
        given: By key what ``--set`` changed, as it was given.

    Raises:
        InputError: Unknown key (with the nearest known one), wrong type or range.
    """
    try:
        return of.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        value = None if _SECRET.search(key.rpartition(".")[2]) else first.get("input")
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, _known_keys(of, values), n=1, cutoff=0.0)
            section = key.split(".", 1)[0]
            if section not in of.model_fields:
                near = difflib.get_close_matches(section, list(of.model_fields), n=1, cutoff=0.0)
            what = f"unknown setting '{key}'"
            remedy = f"did you mean '{near[0]}'?" if near else "leave it out"
        else:
            what = f"setting '{key}': {first['msg']}" if key else first["msg"]
            remedy = _allowed(of, first["loc"])
        told = (text for one, text in given.items() if f"{key}.".startswith(f"{one}."))
        raise InputError(what, value=value, where=next(told, where), remedy=remedy) from error


def _allowed(of: type[BaseModel], place: Sequence[int | str]) -> str:
    """What may be given at a place of the settings, as what to do."""
    field, model = None, of
    for part in place:
        if part in model.model_fields:
            field = model.model_fields[str(part)]
            kinds = [field.annotation, *get_args(field.annotation)]
            model = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), model)
    if field is None or not field.description:
        return "change one of the settings it names"
    bounds = numbers_of(field)
    return f"give {f'a number {bounds}' if bounds else 'what is asked for'}: {field.description}"


def numbers_of(field: FieldInfo) -> str:
    """The bounds of the numbers that a setting may be, as ``"from 0 to 1"``; empty where it has none."""
    inner = list(_notes(field.annotation))
    parts = [one for part in inner for one in getattr(part, "metadata", [part])]
    ends = ("ge", "gt", "le", "lt")
    found = {end: getattr(one, end) for one in [*field.metadata, *parts] for end in ends if hasattr(one, end)}
    if not {"ge", "gt"} & set(found) or not {"le", "lt"} & set(found):
        return ""
    low = f"from {_plain(found['ge'])}" if "ge" in found else f"above {_plain(found['gt'])}"
    return f"{low} to {_plain(found['le'])}" if "le" in found else f"{low} to below {_plain(found['lt'])}"


def _notes(kind: Any) -> Iterator[Any]:
    """What stands beside the types that a type is made of, at any depth."""
    for part in get_args(kind):
        yield from getattr(part, "__metadata__", ())
        yield from _notes(part)


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:,}"
