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
        names = [section]
        if get_args(field.annotation):
            given = sections.get(section)
            names = [f"{section}.{name}" for name in given] if isinstance(given, dict) else []
        kinds = _models(field.annotation)
        keys += [f"{name}.{key}" for name in names for kind in kinds for key in kind.model_fields]
    return keys


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models among the types that a type is made of, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


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
            remedy = _allowed(of, first["loc"], values)
        told = (text for one, text in given.items() if f"{key}.".startswith(f"{one}."))
        raise InputError(what, value=value, where=next(told, where), remedy=remedy) from error


def _allowed(of: type[BaseModel], place: Sequence[int | str], values: Any) -> str:
    """What may be given at a place of the settings, as what to do."""
    field, models = None, [of]
    for part in place:
        given = set(values) if isinstance(values, Mapping) else set()
        values = values.get(part) if isinstance(values, Mapping) else None
        knowing = [model for model in models if part in model.model_fields]
        if knowing:  # of several the one that knows most of the keys that are given
            model = max(knowing, key=lambda one: len(given & set(one.model_fields)))
            field = model.model_fields[str(part)]
            models = _models(field.annotation) or models
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
