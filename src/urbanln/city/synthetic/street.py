"""Street views: a street in simple perspective, drawn from the cell's truth from far to near."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image

from urbanln.city.synthetic import kerb
from urbanln.city.synthetic.fields import Cell
from urbanln.city.synthetic.perspective import Front, Street
from urbanln.city.synthetic.scene import Notes
from urbanln.city.synthetic.sheet import Colour, shade, vary

_WALLS: dict[str, Colour] = {
    "brick": (158, 92, 72),
    "plastered": (214, 202, 176),
    "concrete": (164, 164, 162),
    "white": (226, 224, 218),
    "glass": (120, 150, 172),
    "metal-clad": (132, 146, 156),
}
_WALLS_OF: dict[str, tuple[str, ...]] = {
    "detached house": ("brick", "plastered", "white"),
    "terraced house": ("brick", "plastered"),
    "apartment block": ("concrete", "plastered", "white", "brick"),
    "office tower": ("glass", "concrete"),
    "industrial hall": ("metal-clad", "concrete"),
}
_SKIES: dict[str, tuple[Colour, Colour]] = {
    "clear": ((96, 150, 214), (196, 218, 236)),
    "overcast": ((176, 182, 190), (206, 208, 210)),
    "hazy": ((150, 174, 196), (222, 214, 196)),
}


def draw_view(cell: Cell, number: int) -> tuple[Image.Image, dict[str, Any]]:
    """Draw one street view of a cell.

    Args:
        cell: What the region is like.
        number: Which of its views, from 0.

    Returns:
        The picture (:data:`SIZE`, RGB) and its true scene.
    """
    rng = cell.rng(2, number)
    notes = Notes("street", cell.region_id)
    wide = cell.avenue and bool(rng.random() < 0.6)
    street = Street(rng, notes, 7.0 if wide else 3.6)
    sky = str(rng.choice(list(_SKIES), p=(0.5, 0.3, 0.2)))
    _backdrop(street, sky, wide)
    odds = _building_odds(cell)
    fronts = [front for side in (-1, 1) for front in _row(cell, street, side, odds)]
    for front in fronts:
        street.later(front.near, lambda f=front: _building(street, f))  # type: ignore[misc]
    kerb.furnish(street, cell, fronts)
    image = street.finish()
    for relation in (
        ("parked car", "along", "avenue" if wide else "street"),
        ("tree", "along", "pavement"),
        ("person", "on", "pavement"),
        ("awning", "above", "shop front"),
        ("shop sign", "above", "shop front"),
    ):
        notes.relate(*relation)
    return image, notes.scene()


def _backdrop(street: Street, sky: str, wide: bool) -> None:
    top, low = (np.array(c, dtype=np.float32) for c in _SKIES[sky])
    ramp = np.linspace(0, 1, int(street.horizon) + 2, dtype=np.float32)[:, None, None]
    band = np.repeat((top + (low - top) * ramp), street.w, axis=1).astype(np.uint8)
    street.image.paste(Image.fromarray(band), (0, 0))
    street.notes.add("sky", 0.5, 0.15, sky, share=0.2, place="background")
    street.pen.rectangle((0, street.horizon, street.w, street.h), fill=(132, 140, 104))
    wall, half = street.wall_m, street.half_m
    ground: Colour = vary(street.rng, (184, 180, 172), 5)
    street.quad([(-wall, 0, 2.2), (-wall, 0, 400), (wall, 0, 400), (wall, 0, 2.2)], ground)
    street.quad([(-half, 0, 2.2), (-half, 0, 400), (half, 0, 400), (half, 0, 2.2)], (92, 92, 98))
    for side in (-1, 1):
        x = side * half
        street.quad([(x, 0, 2.2), (x, 0, 300), (x * 1.04, 0, 300), (x * 1.04, 0, 2.2)], (212, 208, 200))
    for k in range(3, 40):
        z = k * 3.0
        lanes = (-half / 2, 0.0, half / 2) if wide else (0.0,)
        for x in lanes:
            points = [(x - 0.09, 0, z), (x - 0.09, 0, z + 1.5), (x + 0.09, 0, z + 1.5), (x + 0.09, 0, z)]
            street.quad(points, (232, 230, 220))
    name = "avenue" if wide else "street"
    attributes = ("wide", "with marked lanes") if wide else ("narrow",)
    street.notes.add(name, 0.5, 0.85, *attributes, share=0.2, place="foreground")
    street.notes.add("pavement", 0.5, 0.8, "on both sides", share=0.08, place="foreground")


def _building_odds(cell: Cell) -> dict[str, float]:
    g = cell.gross
    scores = {
        "detached house": 0.9 - 0.9 * g["density"] + 0.5 * g["wealth"] - 0.5 * g["industry"],
        "terraced house": 0.8 - 0.2 * g["wealth"] + 0.5 * g["age"] - 0.2 * g["industry"],
        "apartment block": 0.7 + 1.1 * g["density"] - 0.2 * g["wealth"] - 0.3 * g["industry"],
        "office tower": -1.2 + 0.9 * g["density"] + g["commerce"],
        "industrial hall": -0.9 + 1.4 * g["industry"],
        "park": -0.7 + 0.9 * g["greenness"],
    }
    top = max(scores.values())
    odds = {name: math.exp(1.25 * (score - top)) for name, score in scores.items()}
    total = sum(odds.values())
    return {name: value / total for name, value in odds.items()}


_LENGTHS_M = {"detached house": 10, "terraced house": 6, "apartment block": 18, "office tower": 16}


def _row(cell: Cell, street: Street, side: int, odds: dict[str, float]) -> list[Front]:
    """The buildings on one side, near to far; a park leaves its stretch open."""
    rng, z, out = street.rng, 4.0, []
    names = list(odds)
    kind = ""
    while z < 75:
        if not kind or rng.random() < 0.35:
            kind = names[int(rng.choice(len(names), p=list(odds.values())))]
        length = _LENGTHS_M.get(kind, 20) * float(rng.uniform(0.85, 1.25))
        dense = 1 / (1 + math.exp(-cell.gross["density"]))
        tall = {"detached house": 2, "terraced house": 2 + int(rng.integers(2)), "industrial hall": 2}
        storeys = tall.get(kind, round((3 + 7 * dense) * float(rng.uniform(0.85, 1.2))))
        if kind == "office tower":
            storeys += 8
        wall = str(rng.choice(_WALLS_OF[kind])) if kind in _WALLS_OF else ""
        gap = 3.5 if kind == "detached house" else 0.0 if kind == "terraced house" else 1.0
        out.append(Front(kind, side, z, z + length, storeys, wall))
        z += length + gap
    return out


def _building(street: Street, front: Front) -> None:
    if front.name == "park":
        _open_ground(street, front)
        return
    x = front.side * (street.wall_m + (2.5 if front.name == "detached house" else 0.0))
    near, top = max(front.near, 2.5), front.storeys * 3.0 + 0.6
    colour = vary(street.rng, _WALLS[front.wall], 7)
    light = colour if front.side < 0 else shade(colour, 0.82)
    end = shade(colour, 0.66)
    a, b = sorted((x, x + front.side * 14))
    if near > 3:
        street.card(a, b, 0, top, near, end)
    street.wall(x, 0, top, near, front.far, light)
    if front.name in ("detached house", "terraced house"):
        roof = vary(street.rng, (136, 74, 58), 8)
        back = x + front.side * 4
        street.quad(
            [(x, top, near), (back, top + 3, near), (back, top + 3, front.far), (x, top, front.far)], roof
        )
        if near > 3:
            street.quad([(x, top, near), (back, top + 3, near), (x + front.side * 8, top, near)], end)
    _windows(street, front, x, near)
    middle = (near + front.far) / 2
    pa, pb = street.at(x, 0, max(near, 11.0)), street.at(x, 0, front.far)
    if front.far > 13:
        share = abs(pb[0] - pa[0]) * min(top / middle, 0.8) * 0.5 / street.w
        height = "tall" if front.storeys >= 8 else "mid-rise" if front.storeys >= 4 else "low"
        street.note(front.name, x, max(middle, 14.0), front.wall, height, share=share)


def _windows(street: Street, front: Front, x: float, near: float) -> None:
    if front.name == "industrial hall":
        for k in range(3):
            z = near + (front.far - near) * (k + 0.3) / 3
            street.wall(x, 0, 3.6, z, z + (front.far - near) * 0.15, (88, 96, 104))
        return
    step = 2.2 if front.name == "office tower" else 3.0
    glass: Colour = (70, 88, 108) if front.wall != "glass" else (158, 192, 214)
    n = max(1, int((front.far - near) / step))
    for storey in range(front.storeys):
        y = storey * 3.0 + 1.0
        for k in range(n):
            z = near + (k + 0.28) * (front.far - near) / n
            lit = street.rng.random() < 0.12
            street.wall(x, y, y + 1.5, z, z + step * 0.42, (206, 196, 150) if lit else glass)


def _open_ground(street: Street, front: Front) -> None:
    x, near = front.side * street.wall_m, max(front.near, 2.5)
    far_side = front.side * 60.0
    points = [(x, 0.0, near), (far_side, 0.0, near), (far_side, 0.0, front.far), (x, 0.0, front.far)]
    street.quad(points, (104, 158, 78))
    middle = (near + front.far) / 2
    if front.far > 13:
        street.note("park", x, max(middle, 14.0), "grassy", "open", share=0.03)
    for _ in range(3):
        z = float(street.rng.uniform(near, front.far))
        kerb.tree(street, front.side * (street.wall_m + float(street.rng.uniform(2, 7))), z, 1.3)
