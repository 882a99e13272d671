"""What a block of the street grid is used for: houses, flats, towers, halls, parks, woods, fields."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from urbanln.city.synthetic.fields import Cell
from urbanln.city.synthetic.sheet import Block, Colour, Sheet, shade, vary

_ROOFS: dict[str, Colour] = {
    "red-roofed": (176, 84, 62),
    "brown-roofed": (132, 100, 76),
    "grey-roofed": (146, 146, 150),
    "dark-roofed": (84, 84, 92),
    "white-roofed": (222, 220, 214),
    "blue-roofed": (94, 122, 164),
    "rust-coloured": (158, 98, 68),
}
_HOUSES = ("red-roofed", "brown-roofed", "dark-roofed", "grey-roofed")
_FLATS = ("grey-roofed", "white-roofed", "dark-roofed", "red-roofed")
_HALLS = ("blue-roofed", "white-roofed", "rust-coloured", "grey-roofed")


@dataclass
class Style:
    """What the blocks of one tile have in common, and the small details still to be placed on them.

    Attributes:
        spacing, jitter: Mean distance between streets (tile units) and its relative variation.
        roofs: Attribute naming the roof colour by kind of building.
        flat_height, tower_height: Shadow lengths (tile units) of flats and towers.
        lot: Width of a detached house's lot (tile units).
        grass, leaf: Colours of lawns and crowns.
        trees: Probability that a garden or a yard has a tree.
        pools, solar: Pools and solar roofs still to be placed.
        panels: Solar roofs placed, by kind of building.
    """

    spacing: float
    jitter: float
    roofs: dict[str, str]
    flat_height: float
    tower_height: float
    lot: float
    grass: Colour
    leaf: Colour
    trees: float
    pools: int
    solar: int
    panels: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, cell: Cell, rng: np.random.Generator) -> Style:
        """The style of a cell."""
        g = cell.gross
        dense = 1 / (1 + math.exp(-g["density"]))
        old = 1 / (1 + math.exp(-g["age"]))
        pick = np.array([0.25 + 0.5 * old, 0.3, 0.45 - 0.3 * old, 0.25])
        roofs = {
            "detached house": str(rng.choice(_HOUSES, p=pick / pick.sum())),
            "terraced house": str(rng.choice(_HOUSES[:3])),
            "apartment block": str(rng.choice(_FLATS)),
            "office tower": str(rng.choice(_FLATS[:3])),
            "industrial hall": str(rng.choice(_HALLS)),
            "shopping hall": str(rng.choice(("white-roofed", "grey-roofed"))),
        }
        return cls(
            spacing=0.215 - 0.035 * dense - 0.015 * old,
            jitter=0.06 + 0.2 * old,
            roofs=roofs,
            flat_height=0.02 + 0.05 * dense,
            tower_height=0.09 + 0.06 * dense,
            lot=0.062 - 0.016 * dense,
            grass=vary(rng, (118, 150, 82), 8),
            leaf=vary(rng, (58, 104, 52), 7),
            trees=float(np.clip(0.35 + 0.2 * g["greenness"], 0.05, 0.9)),
            pools=cell.details["swimming pool"],
            solar=cell.details["solar roof"],
        )

    def roof(self, kind: str, rng: np.random.Generator) -> Colour:
        """A roof colour of this tile for a kind of building."""
        return vary(rng, _ROOFS[self.roofs[kind]], 10)


def pave(sheet: Sheet, block: Block, ground: Colour) -> Block:
    """Pavement around a block and ground within it; returns the ground's rectangle."""
    sheet.rect(block, (172, 168, 160))
    body = block.inset(0.006)
    sheet.rect(body, vary(sheet.rng, ground, 5))
    return body


def put_up(
    sheet: Sheet,
    name: str,
    footprint: Block,
    height: float,
    rng: np.random.Generator,
    style: Style,
    *attributes: str,
    kind: str = "flat",
    solar: bool = False,
) -> None:
    """Draw one building where there is room, and take it down; ``solar`` covers its roof with panels."""
    u, v = footprint.centre
    too_small = footprint.width < 0.008 or footprint.height < 0.008
    if too_small or not sheet.free(u, v, 0.008) or not sheet.dry(footprint):
        return
    colour = style.roof(name, rng)
    area = footprint.width * footprint.height
    sheet.roof(footprint, height, colour, "solar" if solar else kind, shade(colour, 0.8))
    sheet.note(name, u, v, style.roofs[name], *attributes, share=area)
    if solar:
        style.solar -= 1
        style.panels.add(name)
        sheet.note("solar roof", u, v, "dark blue", share=area)


def detached_houses(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """Houses in gardens in two rows, some with a swimming pool, some with a solar roof."""
    body = pave(sheet, block, style.grass)
    n = max(2, round(body.width / style.lot))
    step = body.width / n
    depth = body.height / 2
    for k in range(n):
        for row in (0, 1):
            u = body.u0 + (k + 0.5) * step + rng.normal(0, 0.003)
            v = body.v0 + depth * (0.36 if row == 0 else 1.64)
            half_u, half_v = step * rng.uniform(0.3, 0.38), min(depth * 0.28, 0.026)
            house = Block(u - half_u, v - half_v, u + half_u, v + half_v)
            solar = style.solar > 0 and rng.random() < 0.45
            put_up(sheet, "detached house", house, 0.012, rng, style, kind="gable", solar=solar)
            back = body.v0 + depth * (0.83 if row == 0 else 1.17)
            if style.pools > 0 and sheet.free(u, back, 0.02) and rng.random() < 0.6:
                _pool(sheet, u, back, style)
            elif rng.random() < style.trees and sheet.free(u, back, 0.01):
                _tree(sheet, u + rng.normal(0, 0.008), back, rng.uniform(0.009, 0.015), rng, style)


def _pool(sheet: Sheet, u: float, v: float, style: Style) -> None:
    sheet.rect(Block(u - 0.018, v - 0.013, u + 0.018, v + 0.013), (232, 226, 210))
    sheet.rect(Block(u - 0.014, v - 0.0095, u + 0.014, v + 0.0095), (40, 196, 222))
    style.pools -= 1
    sheet.note("swimming pool", u, v, "turquoise", share=0.0006)


def _tree(sheet: Sheet, u: float, v: float, radius: float, rng: np.random.Generator, style: Style) -> None:
    if sheet.free(u, v, 0.004):
        sheet.tree(u, v, radius, vary(rng, style.leaf, 8))
        sheet.note("tree", u, v, share=math.pi * radius**2)


def terraced_houses(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """Two rows of joined houses with narrow gardens between."""
    body = pave(sheet, block, (150, 150, 118))
    n = max(3, round(body.width / 0.034))
    step = body.width / n
    depth = min(body.height * 0.32, 0.048)
    for row in (0, 1):
        v0 = body.v0 + 0.004 if row == 0 else body.v1 - 0.004 - depth
        for k in range(n):
            house = Block(body.u0 + k * step, v0, body.u0 + (k + 1) * step, v0 + depth)
            solar = style.solar > 0 and rng.random() < 0.2
            kind = "gable" if k % 2 else "plain"
            put_up(sheet, "terraced house", house, 0.016, rng, style, "in rows", kind=kind, solar=solar)
    for k in range(n):
        if rng.random() < 0.6 * style.trees:
            _tree(sheet, body.u0 + (k + 0.5) * step, body.centre[1], 0.009, rng, style)


def apartment_blocks(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """Two or three slabs on lawns or around a court, taller where the cell is denser."""
    body = pave(sheet, block, style.grass if rng.random() < 0.6 else (164, 160, 150)).inset(0.008)
    tall = "tall" if style.flat_height > 0.052 else "mid-rise" if style.flat_height > 0.038 else "low"
    thick = min(0.042, body.height * 0.3)
    n = 3 if body.height > 0.17 else 2
    for k in range(n):
        v = body.v0 + thick / 2 + (body.height - thick) * k / (n - 1)
        slab = Block(body.u0, v - thick / 2, body.u1 - rng.uniform(0, 0.02), v + thick / 2)
        height = style.flat_height * rng.uniform(0.85, 1.15)
        solar = style.solar > 0 and rng.random() < 0.25
        put_up(sheet, "apartment block", slab, height, rng, style, tall, solar=solar)
    for _ in range(3):
        if rng.random() < style.trees:
            v = body.v0 + body.height * (0.5 if n == 2 else rng.choice((0.25, 0.75)))
            _tree(
                sheet, rng.uniform(body.u0 + 0.03, body.u1), v + 0.015, rng.uniform(0.008, 0.013), rng, style
            )


def office_towers(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """One or two square towers with long shadows on a paved block."""
    body = pave(sheet, block, (190, 188, 184))
    for k in range(2 if rng.random() < 0.6 else 1):
        half = rng.uniform(0.026, 0.034)
        u = body.u0 + body.width * (0.3 if k == 0 else 0.72)
        v = body.v0 + body.height * (0.35 if k == 0 else 0.7)
        height = style.tower_height * rng.uniform(0.8, 1.2)
        put_up(
            sheet, "office tower", Block(u - half, v - half, u + half, v + half), height, rng, style, "tall"
        )


def shopping_hall(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """One large flat hall with roof units."""
    body = pave(sheet, block, (150, 150, 152))
    hall = Block(body.u0 + 0.01, body.v0 + 0.01, body.u1 - 0.012, body.v1 - body.height * 0.25)
    put_up(sheet, "shopping hall", hall, 0.02, rng, style, "large", "flat")


def industrial_halls(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """One or two long halls with saw-tooth roofs on a concrete yard."""
    body = pave(sheet, block, (156, 150, 140)).inset(0.008)
    n = 1 if rng.random() < 0.5 else 2
    depth = body.height / n
    for k in range(n):
        hall = Block(
            body.u0, body.v0 + k * depth, body.u1 - rng.uniform(0, 0.04), body.v0 + (k + 1) * depth - 0.012
        )
        put_up(sheet, "industrial hall", hall, 0.022, rng, style, "long", kind="saw")


def park(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """Lawns with paths and trees, sometimes a pond."""
    body = pave(sheet, block, (106, 156, 78))
    u, v = body.centre
    sheet.line([(body.u0, body.v0), (body.u1, body.v1)], (206, 190, 152), 0.008)
    sheet.line([(body.u0, body.v1), (body.u1, body.v0)], (206, 190, 152), 0.008)
    share = sheet.visible(block)
    pond = rng.random() < 0.3 and sheet.roomy(body, 0.0)
    if pond:
        sheet.disc(u, v, 0.034, (188, 184, 150))
        sheet.disc(u, v, 0.029, (70, 116, 150))
        sheet.note("pond", u, v, "round", share=0.0026)
    if sheet.free(u, v):
        sheet.note("park", u, v, "grassy", share=share)
    for _ in range(int(rng.integers(7, 13))):
        a, b = rng.uniform(body.u0, body.u1), rng.uniform(body.v0, body.v1)
        if not pond or math.hypot(a - u, b - v) > 0.05:
            _tree(sheet, a, b, rng.uniform(0.010, 0.017), rng, style)


def woodland(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """A block closely grown with trees."""
    sheet.rect(block, (62, 92, 54))
    if sheet.free(*block.centre):
        sheet.note("woodland", *block.centre, "dense", share=sheet.visible(block))
    for _ in range(int(45 * block.width * block.height / 0.03)):
        a, b = rng.uniform(block.u0, block.u1), rng.uniform(block.v0, block.v1)
        _tree(sheet, a, b, rng.uniform(0.011, 0.019), rng, style)


_CROPS: dict[str, tuple[Colour, Colour]] = {
    "green": (((128, 164, 74)), (108, 146, 64)),
    "yellow": ((206, 188, 98), (190, 170, 84)),
    "brown": ((150, 120, 86), (134, 104, 74)),
}


def farm_field(sheet: Sheet, block: Block, rng: np.random.Generator, style: Style) -> None:
    """A ploughed, green or ripe field in stripes."""
    crop = str(rng.choice(list(_CROPS)))
    light, dark = _CROPS[crop]
    sheet.rect(block, vary(rng, light, 6))
    for k in range(0, 9, 2):
        v = block.v0 + block.height * k / 9
        sheet.rect(Block(block.u0, v, block.u1, v + block.height / 9), vary(rng, dark, 4))
    if sheet.free(*block.centre):
        sheet.note("farm field", *block.centre, crop, "striped", share=sheet.visible(block))
    elif rng.random() < style.trees:
        _tree(sheet, block.u0, block.v0, 0.012, rng, style)
