"""The words of a synthetic city, and the true scene: what was drawn, kept beside each picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Required

from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError
from urbanln.base.files import SCHEMA_VERSION
from urbanln.base.parsing import read_json

_AGAIN = "make the city again with this version: the same seed gives the same pictures"


class _Object(TypedDict, total=False):
    name: Required[str]
    count: Required[int]
    attributes: Required[list[str]]
    place: Required[str]
    share: Required[float]
    at: list[list[float]]


class _Scene(TypedDict):
    view: Literal["satellite", "street"]
    objects: list[_Object]


@dataclass(frozen=True)
class Thing:
    """A kind of object that can be drawn and named.

    Attributes:
        name: Singular noun.
        plural: Plural noun.
        gross: Part of the gross layout (named early in a caption) rather than a detail.
        size: ``"large"``, ``"middle"`` or ``"small"``; small things are overlooked more often.
        views: In which kinds of picture it occurs.
    """

    name: str
    plural: str
    gross: bool
    size: str
    views: tuple[str, ...]


_SAT, _STREET = ("satellite",), ("street",)
_BOTH = ("satellite", "street")
_PLURALS = {"sky": "skies", "bus": "buses", "person": "people", "bench": "benches"}
# Names of one kind: gross or not, size, views.
_KINDS: tuple[tuple[tuple[str, ...], bool, str, tuple[str, ...]], ...] = (
    (("detached house", "terraced house", "apartment block", "office tower"), True, "large", _BOTH),
    (("industrial hall",), True, "large", _BOTH),
    (("shopping hall",), True, "large", _SAT),
    (("park",), True, "large", _BOTH),
    (("farm field",), True, "large", _SAT),
    (("avenue", "street"), True, "large", _BOTH),
    (("railway line", "river", "woodland"), True, "large", _SAT),
    (("tree",), True, "middle", _BOTH),
    (("sky", "pavement"), True, "large", _STREET),
    (("parking lot", "construction site", "sports field", "derelict lot"), False, "middle", _SAT),
    (("pond", "plaza"), False, "middle", _SAT),
    (("market stall", "parked car"), False, "small", _BOTH),
    (("swimming pool", "solar roof", "tennis court", "container"), False, "small", _SAT),
    (("storage tank", "fountain", "petrol station", "playground"), False, "small", _SAT),
    (("greenhouse", "bridge", "barge", "bus"), False, "small", _SAT),
    (("crane",), False, "small", _BOTH),
    (("shop front", "awning", "street lamp", "shop sign"), False, "middle", _STREET),
    (("person", "bench", "litter bag", "bicycle"), False, "small", _STREET),
    (("broken lamp", "boarded window", "graffiti tag"), False, "small", _STREET),
)
VOCABULARY: dict[str, Thing] = {
    name: Thing(name, _PLURALS.get(name, name + "s"), gross, size, views)
    for names, gross, size, views in _KINDS
    for name in names
}
"""Every kind of object by name."""

_NORTH, _MIDDLE, _SOUTH = 0, 1, 2
_COMPASS = {
    (_NORTH, 0): "north-west",
    (_NORTH, 1): "north",
    (_NORTH, 2): "north-east",
    (_MIDDLE, 0): "west",
    (_MIDDLE, 1): "centre",
    (_MIDDLE, 2): "east",
    (_SOUTH, 0): "south-west",
    (_SOUTH, 1): "south",
    (_SOUTH, 2): "south-east",
}


@dataclass
class _Group:
    xs: list[float] = field(default_factory=list)
    ys: list[float] = field(default_factory=list)
    attributes: dict[str, int] = field(default_factory=dict)
    share: float = 0.0
    place: str | None = None


class Notes:
    """Takes down what is drawn while it is drawn, and gives the scene in the end.

    Args:
        view: ``"satellite"`` or ``"street"``.
        region_id: Region the picture belongs to.
    """

    def __init__(self, view: str, region_id: str) -> None:
        self.view, self.region_id = view, region_id
        self._groups: dict[str, _Group] = {}
        self._relations: list[tuple[str, str, str]] = []

    def add(
        self, name: str, x: float, y: float, *attributes: str, share: float = 0.0, place: str | None = None
    ) -> None:
        """Note one object drawn around (x, y), both in [0, 1] from the picture's upper left corner."""
        group = self._groups.setdefault(VOCABULARY[name].name, _Group())
        group.xs.append(min(max(x, 0.0), 1.0))
        group.ys.append(min(max(y, 0.0), 1.0))
        group.share += share
        group.place = place or group.place
        for attribute in attributes:
            group.attributes[attribute] = group.attributes.get(attribute, 0) + 1

    def relate(self, name: str, how: str, other: str) -> None:
        """Note that one kind of thing stands in a relation to another."""
        self._relations.append((name, how, other))

    def count(self, name: str) -> int:
        """How many of a kind were noted so far."""
        return len(self._groups[name].xs) if name in self._groups else 0

    def scene(self) -> dict[str, Any]:
        """The scene as JSON values: objects (most salient first) and the relations among them."""
        groups = sorted(
            self._groups.items(), key=lambda item: (not VOCABULARY[item[0]].gross, -item[1].share, item[0])
        )
        objects = [
            {
                "name": name,
                "count": len(group.xs),
                "attributes": sorted(group.attributes, key=lambda a: -group.attributes[a])[:3],
                "place": self._place(group),
                "share": round(min(group.share, 1.0), 4),
                "at": [[round(x, 3), round(y, 3)] for x, y in zip(group.xs, group.ys, strict=True)],
            }
            for name, group in groups
        ]
        kept = dict.fromkeys(r for r in self._relations if r[0] in self._groups and r[2] in self._groups)
        return {
            "schema_version": SCHEMA_VERSION,
            "view": self.view,
            "region_id": self.region_id,
            "objects": objects,
            "relations": [list(relation) for relation in kept],
        }

    def _place(self, group: _Group) -> str:
        if group.place:
            return group.place
        n = len(group.xs)
        x, y = sum(group.xs) / n, sum(group.ys) / n
        spread = math.sqrt(
            sum((a - x) ** 2 + (b - y) ** 2 for a, b in zip(group.xs, group.ys, strict=True)) / n
        )
        if self.view == "street":
            return "left" if x < 0.4 else "right" if x > 0.6 else "centre"
        if spread > 0.24:
            return "throughout"
        return _COMPASS[min(int(y * 3), 2), min(int(x * 3), 2)]


def scene_path(picture: Path | str) -> Path:
    """Where the true scene of a picture is kept: ``tile.jpg`` → ``tile.scene.json``."""
    return Path(picture).with_suffix(".scene.json")


def read_scene(picture: Path | str) -> dict[str, Any]:
    """The true scene kept beside a synthetic picture.

    Raises:
        InputError: There is none (the picture is not of a synthetic city).
        ArtefactError: The file is no scene.
    """
    scene: dict[str, Any] = read_json(
        scene_path(picture), _Scene, fault="not a scene of a synthetic picture", remedy=_AGAIN
    )
    return scene


def part_of_scene(scene: Mapping[str, Any], box: tuple[float, float, float, float]) -> dict[str, Any]:
    """What of a scene lies in a part of its picture.

    An object belongs to the part that holds the middle of it, also one that fills an area (a park, a river).

    Args:
        scene: The true scene of the whole picture.
        box: Left, upper, right, lower edge in [0, 1]; both edges belong to it.

    Returns:
        A scene of the same kind: fewer objects, their counts and shares those of the part.

    Raises:
        ArtefactError: The scene does not say where its objects are (an older version made it).
    """
    left, upper, right, lower = box
    objects = []
    for thing in scene["objects"]:
        if "at" not in thing:
            raise ArtefactError(
                "the scene of this synthetic picture does not say where its objects are",
                where=str(scene.get("region_id", "its scene")),
                remedy=_AGAIN,
            )
        at = [[x, y] for x, y in thing["at"] if left <= x <= right and upper <= y <= lower]
        if at:
            share = round(thing["share"] * len(at) / len(thing["at"]), 4)
            objects.append({**thing, "count": len(at), "at": at, "share": share})
    names = {thing["name"] for thing in objects}
    relations = [r for r in scene.get("relations", []) if r[0] in names and r[2] in names]
    return {**scene, "objects": objects, "relations": relations}
