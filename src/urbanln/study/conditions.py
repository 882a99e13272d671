"""When does each part help? A grid of conditions, each with and without the parts of the method.

    [parts.vote]
    about = "five captioners and a vote, against one captioner"
    without = { simulation = { captioners = 1 } }

    [[conditions]]
    name = "centre"
    at = { "false, %" = 30, captioners = 5 }

    [[conditions]]
    name = "60 % false"
    at = { "false, %" = 60 }
    simulation = { untrue = 0.6 }
    parts = ["vote"]
    predicted = { vote = [0.0, 0.03] }

The first condition is the centre and names all factors; each other one moves one of them. A condition is a
variant of the study, and so is each part's *with* or *without* under it, where that changes anything: the
condition's keys win over ``[common]``, and the part's over the condition's. Stages that agree are shared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from urbanln.base.errors import InputError
from urbanln.study.values import distinct, given, known, merged, near

Level = str | float
_PART_KEYS = ("about", "with", "without")
_OWN_KEYS = ("name", "about", "at", "parts", "predicted")


@dataclass(frozen=True)
class Gain:
    """What a part is worth under a condition: the score of one variant less that of another, paired.

    Attributes:
        part: Of the method.
        condition: Name.
        at: Level by factor that the condition moves; all factors for the centre.
        with_part: Variant that has the part.
        without: Variant that lacks it.
        predicted: Ends of the range in which the gain was expected before it was measured.
    """

    part: str
    condition: str
    at: Mapping[str, Level]
    with_part: str
    without: str
    predicted: tuple[float, float] | None


def expand(
    values: Mapping[str, Any], keys: Sequence[str], where: str
) -> tuple[dict[str, Mapping[str, Any]], tuple[Gain, ...]]:
    """The variants and the gains of a study file's conditions.

    Args:
        values: The file, with ``parts`` and ``conditions``; nothing comes of a file without.
        keys: Keys that a variant may have.
        where: The file.

    Raises:
        InputError: An unknown key, part or factor; a condition that moves none or several factors; a level
            or a prediction that is none; a part that changes nothing.
    """
    parts = {
        name: _part(given(values["parts"], name, {}, f"{where}, [parts]"), keys, f"{where}, [parts.{name}]")
        for name in given(values, "parts", {}, where)
    }
    tables = given(values, "conditions", [], where)
    if bool(parts) is not bool(tables):
        what, remedy = "parts and conditions need each other", "add [parts.NAME] or [[conditions]]"
        raise InputError(what, where=where, remedy=remedy)
    variants: dict[str, Mapping[str, Any]] = {}
    gains: list[Gain] = []
    centre: Mapping[str, Level] = {}
    for number, table in enumerate(tables, 1):
        place = f"{where}, [[conditions]] {number}"
        if not isinstance(table, dict):
            what, remedy = "a condition is a table of keys", "write [[conditions]] above its keys"
            raise InputError(what, value=table, where=place, remedy=remedy)
        known(table, (*_OWN_KEYS, *keys), place)
        name, at = _named(table, variants, place), _levels(table, centre, place)
        centre = centre or at
        own = {key: value for key, value in table.items() if key not in _OWN_KEYS}
        about = given(table, "about", "", place)
        variants[name] = own | {"about": about}
        chosen = table.get("parts", list(parts))
        text = f"'parts' is a list of different parts: {', '.join(parts)}"
        chosen = distinct(chosen, lambda one: one in parts, text, place, "leave it out for all of them")
        predicted = given(table, "predicted", {}, place)
        known(predicted, chosen, f"{place}, predicted")
        for part in chosen:
            ways = []
            for way, sign in (("with", "+"), ("without", "−")):
                changed = parts[part][way]
                ways.append(f"{name} {sign} {part}" if changed else name)
                if changed:
                    told = f"{name}, {way} {part}: {parts[part]['about']}"
                    variants[ways[-1]] = merged(own, changed) | {"about": told}
            range_ = _range(predicted[part], f"{place}, predicted.{part}") if part in predicted else None
            gains.append(Gain(part, name, at, ways[0], ways[1], range_))
    return variants, tuple(gains)


def _part(part: Mapping[str, Any], keys: Sequence[str], where: str) -> dict[str, Any]:
    known(part, _PART_KEYS, where)
    found = {"about": given(part, "about", "", where)}
    for way in ("with", "without"):
        found[way] = given(part, way, {}, where)
        known(found[way], [key for key in keys if key != "about"], f"{where}, {way}")
    if not (found["with"] or found["without"]):
        what, remedy = "this part changes nothing", "give it 'with' or 'without', a table of settings"
        raise InputError(what, where=where, remedy=remedy)
    return found


def _named(table: Mapping[str, Any], variants: Mapping[str, Any], where: str) -> str:
    name: str = given(table, "name", "", where)
    if not name or name in variants:
        what, remedy = "every condition has a name of its own", 'name = "60 % false"'
        raise InputError(what, value=name, where=where, remedy=remedy)
    return name


def _levels(table: Mapping[str, Any], centre: Mapping[str, Level], where: str) -> dict[str, Level]:
    """The levels of a condition by factor."""
    at: dict[str, Level] = given(table, "at", {}, where)
    for factor, level in at.items():
        if isinstance(level, bool) or not isinstance(level, str | int | float) or level != level:
            what, remedy = "a level is a text or a number", 'at = { "false, %" = 60 }'
            raise InputError(what, value=level, where=f"{where}, at.{factor}", remedy=remedy)
        if centre and factor not in centre:
            raise InputError(
                f"the centre has no factor '{factor}'",
                where=f"{where}, at",
                remedy=near(factor, list(centre)),
            )
    if not at or (centre and (len(at) > 1 or any(centre[factor] == level for factor, level in at.items()))):
        what = "a condition moves one factor away from the centre; the first names the levels of all"
        raise InputError(what, value=at, where=f"{where}, at", remedy='at = { "false, %" = 60 }')
    return at


def _range(found: Any, where: str) -> tuple[float, float]:
    numbers = isinstance(found, list) and [
        float(one) for one in found if isinstance(one, int | float) and not isinstance(one, bool)
    ]
    if (
        not numbers or len(numbers) != 2 or len(found) != 2
        or not all(math.isfinite(one) and abs(one) <= 1 for one in numbers) or numbers[0] > numbers[1]
    ):  # fmt: skip
        what, remedy = "a prediction is the ends of a range within −1 … 1", "e.g. [-0.005, 0.02]"
        raise InputError(what, value=found, where=where, remedy=remedy)
    return numbers[0], numbers[1]
