"""Satellite tiles: a street grid, what each block is used for, and the details the labels depend on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from urbanln.city.synthetic import blocks, details
from urbanln.city.synthetic.blocks import Style
from urbanln.city.synthetic.fields import Cell
from urbanln.city.synthetic.scene import Notes
from urbanln.city.synthetic.sheet import Band, Block, Sheet, vary

_EDGE = 0.74  # the turned grid must cover the tile's corners
_STREET, _AVENUE = 0.022, 0.056  # widths in tile units
Use = Callable[[Sheet, Block, np.random.Generator, Style], None]

# Score of each use: constant, then slopes on density, wealth, age, greenness, industry, commerce.
_USES: dict[str, tuple[Use, tuple[float, float, float, float, float, float, float]]] = {
    "detached": (blocks.detached_houses, (0.9, -0.9, 0.5, -0.1, 0.1, -0.5, -0.2)),
    "terraced": (blocks.terraced_houses, (0.8, 0.1, -0.2, 0.5, -0.1, -0.2, 0.0)),
    "apartments": (blocks.apartment_blocks, (0.7, 1.1, -0.2, -0.1, 0.0, -0.3, 0.2)),
    "towers": (blocks.office_towers, (-1.2, 0.9, 0.2, -0.4, 0.0, 0.0, 1.0)),
    "shopping": (blocks.shopping_hall, (-1.1, 0.0, 0.0, -0.2, -0.1, 0.1, 0.9)),
    "industry": (blocks.industrial_halls, (-0.9, -0.1, -0.2, 0.0, -0.1, 1.4, 0.1)),
    "park": (blocks.park, (-0.5, 0.1, 0.2, 0.0, 1.0, -0.2, 0.0)),
    "woodland": (blocks.woodland, (-1.6, -0.9, 0.0, 0.0, 0.9, -0.1, -0.2)),
    "farm": (blocks.farm_field, (-1.5, -1.8, 0.0, 0.0, 0.3, 0.0, -0.3)),
}


def draw_tile(cell: Cell, px: int) -> tuple[Image.Image, dict[str, Any]]:
    """Draw the satellite tile of a cell.

    Args:
        cell: What the region is like.
        px: Edge of the tile in pixels.

    Returns:
        The picture (px × px, RGB) and its true scene.
    """
    rng = cell.rng(1)
    notes = Notes("satellite", cell.region_id)
    river = Band(*cell.river, float(rng.uniform(0.055, 0.075))) if cell.river else None
    rail = Band(*cell.rail, 0.022) if cell.rail else None
    bands = [band for band in (river, rail) if band]
    sheet = Sheet(px, cell.angle, vary(rng, (112, 112, 116), 5), rng, notes, bands)
    style = Style.of(cell, rng)
    columns, avenue_u = _lines(rng, style, cell.avenue)
    rows, avenue_v = _lines(rng, style, cell.avenue and bool(rng.random() < 0.4))
    grid = [Block(u[0], v[0], u[1], v[1]) for u in columns for v in rows]
    grid = [block for block in grid if sheet.visible(block) > 0.002]
    avenues = [(at, vertical) for at, vertical in ((avenue_u, True), (avenue_v, False)) if at is not None]
    _streets(sheet, columns, rows, avenues)
    rest = details.place_details(sheet, cell, grid, rng, style)
    _fill(sheet, cell, rest, rng, style)
    details.roof_details_left(sheet, style)
    if river:
        _river(sheet, river, avenues, rng)
    if rail:
        _railway(sheet, rail, rng)
    tint = np.clip(rng.normal(0, 4, size=3) + rng.normal(248, 6), 225, 255)
    image = sheet.finish((int(tint[0]), int(tint[1]), int(tint[2])))
    return image, notes.scene()


def _lines(
    rng: np.random.Generator, style: Style, avenue: bool
) -> tuple[list[tuple[float, float]], float | None]:
    """Intervals between streets along one axis, and where the avenue runs, if one does."""
    edges, at = [], -_EDGE - float(rng.uniform(0, style.spacing))
    while at < _EDGE:
        edges.append(at)
        at += style.spacing * float(rng.uniform(1 - style.jitter, 1 + style.jitter))
    edges.append(at)
    wide = int(np.argmin(np.abs(np.asarray(edges) - rng.uniform(-0.25, 0.25)))) if avenue else -1
    spans = []
    for k in range(len(edges) - 1):
        low = _AVENUE / 2 if k == wide else _STREET / 2
        high = _AVENUE / 2 if k + 1 == wide else _STREET / 2
        spans.append((edges[k] + low, edges[k + 1] - high))
    return spans, edges[wide] if avenue else None


def _streets(
    sheet: Sheet,
    columns: list[tuple[float, float]],
    rows: list[tuple[float, float]],
    avenues: list[tuple[float, bool]],
) -> None:
    shape = "straight" if len(columns) < 10 else "narrow"
    for _, end in (*columns, *rows):
        if abs(end) < 0.4:
            sheet.notes.add("street", 0.5, 0.5, shape, share=0.02, place="throughout")
    for at, vertical in avenues:
        ends = [(at, -_EDGE), (at, _EDGE)] if vertical else [(-_EDGE, at), (_EDGE, at)]
        sheet.line(ends, (98, 98, 102), 0.05)
        for k in range(-24, 25):
            a, b = k * 0.03, k * 0.03 + 0.016
            dash = [(at, a), (at, b)] if vertical else [(a, at), (b, at)]
            sheet.line(dash, (225, 222, 205), 0.006)
        heading = "north to south" if vertical else "west to east"
        sheet.note(
            "avenue", *((at, 0.0) if vertical else (0.0, at)), "wide", f"running {heading}", share=0.05
        )


def _fill(sheet: Sheet, cell: Cell, rest: list[Block], rng: np.random.Generator, style: Style) -> None:
    """Give every block that holds no detail a use, by the cell's gross latents."""
    latents = np.array([1.0, *cell.gross.values()])
    scores = np.array([latents @ np.array(weights) for _, weights in _USES.values()])
    odds = np.exp(1.25 * (scores - scores.max()))
    painters = [painter for painter, _ in _USES.values()]
    for block in rest:
        painter = painters[int(rng.choice(len(painters), p=odds / odds.sum()))]
        painter(sheet, block, rng, style)
    road = "avenue" if sheet.notes.count("avenue") else "street"
    for relation in (
        ("apartment block", "along", road),
        ("detached house", "along", road),
        ("terraced house", "along", road),
        ("market stall", "along", "street"),
        ("parked car", "in", "parking lot"),
        ("crane", "above", "construction site"),
        ("fountain", "in the middle of", "plaza"),
        ("swimming pool", "behind", "detached house"),
    ):
        sheet.notes.relate(*relation)


def _river(sheet: Sheet, band: Band, avenues: list[tuple[float, bool]], rng: np.random.Generator) -> None:
    colour = vary(rng, (62, 98, 118), 8)
    for half, fill in ((band.half + 0.012, (150, 146, 124)), (band.half, colour)):
        sheet.pen.polygon(_strip(sheet, band, half), fill=fill)
    for _ in range(14):
        along, across = rng.uniform(-0.6, 0.6), rng.uniform(-0.8, 0.8) * band.half
        _stroke(sheet, band, along, along + 0.06, across, (84, 122, 140), 1)
    side = "diagonal" if abs(math.sin(2 * band.angle)) > 0.6 else "straight"
    x, y = -math.sin(band.angle) * band.offset, -math.cos(band.angle) * band.offset
    sheet.notes.add(
        "river", x + 0.5, y + 0.5, "wide" if band.half > 0.065 else "narrow", side, share=2 * band.half
    )
    for at, vertical in avenues:
        _bridge(sheet, band, at, vertical)
    sheet.notes.relate("bridge", "over", "river")
    sheet.notes.relate("avenue", "crossing", "river")


def _bridge(sheet: Sheet, band: Band, at: float, vertical: bool) -> None:
    spots = [
        s / 100
        for s in range(-70, 71)
        if band.distance(*sheet.turn(*((at, s / 100) if vertical else (s / 100, at)))) < band.half + 0.02
    ]
    ends = [(at, s) if vertical else (s, at) for s in (min(spots), max(spots))] if spots else []
    if not ends or max(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]) > 0.4:
        return
    middle = ((ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2)
    x, y = sheet.turn(*middle)
    if max(abs(x), abs(y)) > 0.46:
        return
    sheet.line(ends, (205, 203, 196), 0.062)
    sheet.line(ends, (104, 104, 108), 0.046)
    sheet.note("bridge", *middle, share=0.005)


def _railway(sheet: Sheet, band: Band, rng: np.random.Generator) -> None:
    sheet.pen.polygon(_strip(sheet, band, band.half), fill=vary(rng, (96, 84, 74), 4))
    for across in (-0.010, 0.010):
        for rail in (-0.004, 0.004):
            _stroke(sheet, band, -0.8, 0.8, across + rail, (176, 172, 168), 1)
    x, y = -math.sin(band.angle) * band.offset, -math.cos(band.angle) * band.offset
    sheet.notes.add("railway line", x + 0.5, y + 0.5, "two-track", share=2 * band.half)


def _strip(sheet: Sheet, band: Band, half: float) -> list[tuple[float, float]]:
    return [
        _on_band(sheet, band, along, across)
        for along, across in ((-0.8, -half), (0.8, -half), (0.8, half), (-0.8, half))
    ]


def _on_band(sheet: Sheet, band: Band, along: float, across: float) -> tuple[float, float]:
    c, s = math.cos(band.angle), math.sin(band.angle)
    x, north = along * c - (band.offset + across) * s, along * s + (band.offset + across) * c
    return (x + 0.5) * sheet.size, (0.5 - north) * sheet.size


def _stroke(
    sheet: Sheet,
    band: Band,
    start: float,
    stop: float,
    across: float,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    ends = [_on_band(sheet, band, start, across), _on_band(sheet, band, stop, across)]
    sheet.pen.line(ends, fill=colour, width=width)
