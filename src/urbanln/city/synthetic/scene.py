"""The words of a synthetic city, and the true scene: what was drawn, kept beside each picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from urbanln.base.errors import ArtefactError
from urbanln.base.files import SCHEMA_VERSION, read_json


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


def _things() -> Iterable[Thing]:
    for name in ("detached house", "terraced house", "apartment block", "office tower", "industrial hall"):
        yield Thing(name, name + "s", True, "large", _BOTH)
    for name in ("shopping hall", "park", "farm field", "avenue", "street", "railway line", "river"):
        yield Thing(name, name + "s", True, "large", _BOTH if name in ("park", "avenue", "street") else _SAT)
    yield Thing("woodland", "woodlands", True, "large", _SAT)
    yield Thing("tree", "trees", True, "middle", _BOTH)
    yield Thing("sky", "skies", True, "large", _STREET)
    yield Thing("pavement", "pavements", True, "large", _STREET)
    for name in ("parking lot", "construction site", "sports field", "derelict lot", "pond", "plaza"):
        yield Thing(name, name + "s", False, "middle", _SAT)
    for name in ("market stall", "parked car"):
        yield Thing(name, name + "s", False, "small", _BOTH)
    for name in ("swimming pool", "solar roof", "tennis court", "container", "storage tank", "fountain"):
        yield Thing(name, name + "s", False, "small", _SAT)
    for name in ("petrol station", "playground", "greenhouse", "bridge", "barge"):
        yield Thing(name, name + "s", False, "small", _SAT)
    yield Thing("bus", "buses", False, "small", _SAT)
    yield Thing("crane", "cranes", False, "small", _BOTH)
    for name in ("shop front", "awning", "street lamp", "shop sign"):
        yield Thing(name, name + "s", False, "middle", _STREET)
    yield Thing("person", "people", False, "small", _STREET)
    for name in ("bench", "litter bag", "bicycle", "broken lamp", "boarded window", "graffiti tag"):
        plural = "benches" if name == "bench" else name + "s"
        yield Thing(name, plural, False, "small", _STREET)


VOCABULARY: dict[str, Thing] = {thing.name: thing for thing in _things()}
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
        names = sorted(self._groups, key=lambda n: (not VOCABULARY[n].gross, -self._groups[n].share, n))
        objects = [
            {
                "name": name,
                "count": len(self._groups[name].xs),
                "attributes": _attributes(self._groups[name]),
                "place": self._place(self._groups[name]),
                "share": round(min(self._groups[name].share, 1.0), 4),
                "at": _positions(self._groups[name]),
            }
            for name in names
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


def _positions(group: _Group) -> list[list[float]]:
    return [[round(x, 3), round(y, 3)] for x, y in zip(group.xs, group.ys, strict=True)]


def _attributes(group: _Group) -> list[str]:
    return sorted(group.attributes, key=lambda a: -group.attributes[a])[:3]


def scene_path(picture: Path | str) -> Path:
    """Where the true scene of a picture is kept: ``tile.jpg`` → ``tile.scene.json``."""
    return Path(picture).with_suffix(".scene.json")


def read_scene(picture: Path | str) -> dict[str, Any]:
    """The true scene kept beside a synthetic picture.

    Raises:
        InputError: There is none (the picture is not of a synthetic city).
        ArtefactError: The file is no scene.
    """
    path = scene_path(picture)
    scene = read_json(path)
    if not isinstance(scene, dict) or "objects" not in scene or "view" not in scene:
        raise ArtefactError("not a scene of a synthetic picture", where=path)
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
                where=scene.get("region_id"),
                remedy="make the city again with this version: the same seed gives the same pictures",
            )
        at = [[x, y] for x, y in thing["at"] if left <= x <= right and upper <= y <= lower]
        if at:
            share = round(thing["share"] * len(at) / len(thing["at"]), 4)
            objects.append({**thing, "count": len(at), "at": at, "share": share})
    names = {thing["name"] for thing in objects}
    relations = [r for r in scene.get("relations", []) if r[0] in names and r[2] in names]
    return {**scene, "objects": objects, "relations": relations}
