"""The details of a satellite tile: what neighbours differ in and only a caption's later sentences tell."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from urbanln.city.synthetic.blocks import Style, pave
from urbanln.city.synthetic.fields import Cell
from urbanln.city.synthetic.sheet import Block, Colour, Sheet, shade, vary

Painter = Callable[[Sheet, Block, int, np.random.Generator, Style], None]
_AWNINGS: dict[str, tuple[Colour, ...]] = {
    "colourful": ((214, 60, 52), (238, 186, 50), (52, 118, 200), (60, 160, 92), (238, 238, 232)),
    "red and white": ((208, 48, 48), (240, 236, 230)),
    "blue": ((48, 104, 190), (84, 144, 214)),
}
_CARS: tuple[Colour, ...] = ((232, 232, 234), (30, 32, 38), (178, 40, 40), (52, 84, 150), (190, 192, 196))
_BOXES: tuple[Colour, ...] = ((190, 66, 48), (46, 98, 160), (222, 160, 48), (68, 130, 92), (150, 70, 120))


def place_details(
    sheet: Sheet, cell: Cell, grid: list[Block], rng: np.random.Generator, style: Style
) -> list[Block]:
    """Give the cell's details blocks of their own, in random places; returns the blocks left."""
    rooms = [block for block in grid if sheet.roomy(block, 0.03)]
    order = list(rng.permutation(len(rooms)))
    wanted: list[tuple[str, int]] = []
    for name in _PAINTERS:
        count = cell.details[name]
        each = name in ("parking lot", "construction site", "sports field", "tennis court", "derelict lot")
        wanted += [(name, 1)] * count if each else [(name, count)] * (count > 0)
    # Houses must stay possible, or pools and solar roofs of the plan would find no roof.
    limit = max(0, len(rooms) - 6)
    picks = [wanted[k] for k in rng.permutation(len(wanted))][:limit]
    for (name, count), k in zip(picks, order, strict=False):
        _PAINTERS[name](sheet, rooms[k], count, rng, style)
    taken = {rooms[k] for k in order[: len(picks)]}
    return [block for block in grid if block not in taken]


def roof_details_left(sheet: Sheet, style: Style) -> None:
    """Note on which kinds of building the solar roofs lie."""
    for name in sorted(style.panels):
        sheet.notes.relate("solar roof", "on", name)


def _grid(block: Block, n: int, aspect: float) -> list[tuple[float, float]]:
    """``n`` places in rows over a block, ``aspect`` = width of a place over its height."""
    columns = max(1, round(math.sqrt(n * block.width / block.height / aspect)))
    rows = math.ceil(n / columns)
    return [
        (
            block.u0 + (k % columns + 0.5) * block.width / columns,
            block.v0 + (k // columns + 0.5) * block.height / rows,
        )
        for k in range(n)
    ]


def _box(u: float, v: float, half_u: float, half_v: float) -> Block:
    return Block(u - half_u, v - half_v, u + half_u, v + half_v)


def _market(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (196, 184, 160))
    kind = str(rng.choice(list(_AWNINGS)))
    colours = _AWNINGS[kind]
    for u, v in _grid(body.inset(0.006), n, 1.2):
        stall = _box(u, v, 0.0135, 0.0115)
        sheet.roof(stall, 0.008, colours[int(rng.integers(len(colours)))], "stripes", (244, 240, 232))
        sheet.note("market stall", u, v, f"with {kind} awnings", "in rows", share=0.0006)


def _parking(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (92, 94, 98))
    fill = float(rng.choice((0.2, 0.55, 0.95)))
    name = {0.2: "nearly empty", 0.55: "half full", 0.95: "full"}[fill]
    sheet.note("parking lot", *body.centre, name, share=sheet.visible(block))
    for a, b in _grid(body.inset(0.008), max(n, 1) * 28, 0.6):
        sheet.line([(a - 0.0095, b - 0.011), (a - 0.0095, b + 0.011)], (206, 206, 206), 0.003)
        if rng.random() < fill:
            sheet.rect(_box(a + 0.002, b + 0.002, 0.0062, 0.0105), (40, 42, 46))
            sheet.rect(_box(a, b, 0.0062, 0.0105), vary(rng, _CARS[int(rng.integers(len(_CARS)))], 6))
            sheet.note("parked car", a, b, share=0.00026)


def _construction(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (186, 150, 102))
    for _ in range(7):
        a, b = rng.uniform(body.u0 + 0.02, body.u1 - 0.02), rng.uniform(body.v0 + 0.02, body.v1 - 0.02)
        sheet.disc(a, b, rng.uniform(0.008, 0.02), vary(rng, (166, 126, 80), 9))
    u, v = body.centre
    shell = _box(u - 0.014, v - 0.01, body.width * 0.25, body.height * 0.22)
    sheet.roof(shell, 0.02, (198, 196, 190), "stripes", (150, 146, 140))
    sheet.note("construction site", u, v, "with bare brown earth", share=sheet.visible(block))
    mast = (u + body.width * 0.26, v + body.height * 0.22)
    jib = _box(mast[0] - 0.03, mast[1], 0.045, 0.0045)
    sheet.roof(jib, 0.05, (244, 196, 34), "plain")
    sheet.roof(_box(*mast, 0.009, 0.009), 0.02, (250, 206, 40), "plain")
    sheet.note("crane", *mast, "yellow", share=0.001)


def _sports(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    track = bool(rng.random() < 0.5)
    body = pave(sheet, block, (186, 84, 62) if track else (92, 148, 72))
    pitch = body.inset(0.018 if track else 0.008)
    sheet.rect(pitch, (82, 158, 70))
    long_u = pitch.width >= pitch.height
    for k in range(0, 6, 2):
        a, b = pitch.u0 + pitch.width * k / 6, pitch.v0 + pitch.height * k / 6
        across = Block(a, pitch.v0, a + pitch.width / 6, pitch.v1)
        down = Block(pitch.u0, b, pitch.u1, b + pitch.height / 6)
        sheet.rect(across if long_u else down, (96, 172, 82))
    u, v = pitch.centre
    sheet.outline(pitch.inset(0.004), (240, 244, 238), 0.006)
    sheet.disc(u, v, 0.018, (240, 244, 238))
    sheet.disc(u, v, 0.013, (90, 166, 78))
    middle = [(u, pitch.v0), (u, pitch.v1)] if long_u else [(pitch.u0, v), (pitch.u1, v)]
    sheet.line(middle, (240, 244, 238), 0.005)
    sheet.note(
        "sports field", u, v, "with a red track" if track else "with white lines", share=sheet.visible(block)
    )


def _tennis(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, style.grass)
    name, court = (("clay", (204, 104, 66)), ("blue", (58, 110, 182)))[int(rng.integers(2))]
    for u, v in _grid(body.inset(0.01), 2, 0.5):
        area = _box(u, v, min(0.03, body.width * 0.21), min(0.06, body.height * 0.42))
        inner = area.inset(0.008)
        sheet.rect(area, vary(rng, court, 5))
        sheet.outline(inner, (244, 244, 240), 0.004)
        sheet.line([(inner.u0, v), (inner.u1, v)], (244, 244, 240), 0.005)
        sheet.note("tennis court", u, v, name, share=area.width * area.height)


def _derelict(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (116, 104, 84))
    for _ in range(26):
        a, b = rng.uniform(body.u0 + 0.01, body.u1 - 0.01), rng.uniform(body.v0 + 0.01, body.v1 - 0.01)
        weed = (86, 100, 56) if rng.random() < 0.45 else (74, 66, 58)
        sheet.disc(a, b, rng.uniform(0.005, 0.016), vary(rng, weed, 9))
    for _ in range(9):
        a, b = rng.uniform(body.u0 + 0.01, body.u1 - 0.01), rng.uniform(body.v0 + 0.01, body.v1 - 0.01)
        sheet.rect(_box(a, b, 0.006, 0.004), vary(rng, (196, 188, 178), 10))
    ruin = _box(*body.centre, body.width * 0.24, body.height * 0.2)
    sheet.outline(ruin, (70, 58, 52), 0.012)
    sheet.note("derelict lot", *body.centre, "overgrown", "strewn with rubble", share=sheet.visible(block))


def _containers(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (140, 138, 134))
    for u, v in _grid(body.inset(0.008), n, 2.0):
        colour = vary(rng, _BOXES[int(rng.integers(len(_BOXES)))], 8)
        sheet.roof(_box(u, v, 0.019, 0.0085), 0.010, colour, "stripes", shade(colour, 0.86))
        sheet.note("container", u, v, "colourful", "stacked in rows", share=0.0006)


def _tanks(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (150, 144, 130))
    radius = min(0.03, 0.075 / math.sqrt(n))
    for u, v in _grid(body.inset(0.008), n, 1.0):
        sheet.roof(_box(u, v, radius, radius), 0.02, (238, 238, 234), "tank")
        sheet.note("storage tank", u, v, "white", "round", share=math.pi * radius**2)


def _petrol(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (134, 134, 136))
    canopy = _box(*body.centre, body.width * 0.3, body.height * 0.22)
    name, colour = ("red", (222, 44, 40)) if rng.random() < 0.5 else ("green", (38, 150, 84))
    sheet.roof(canopy, 0.016, colour, "plain")
    sheet.roof(canopy.inset(0.014), 0.004, (242, 242, 240), "plain")
    sheet.note("petrol station", *body.centre, f"with a {name} canopy", share=canopy.width * canopy.height)


def _buses(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (104, 104, 108))
    name, colour = (("yellow", (246, 200, 30)), ("red", (206, 40, 44)))[int(rng.integers(2))]
    for u, v in _grid(body.inset(0.01), n, 0.4):
        sheet.roof(_box(u, v, 0.009, 0.03), 0.008, vary(rng, colour, 5), "plain")
        sheet.note("bus", u, v, name, "parked side by side", share=0.001)


def _plaza(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (222, 206, 176))
    u, v = body.centre
    for radius, colour in ((0.06, (200, 178, 140)), (0.052, (226, 212, 184)), (0.034, (176, 172, 164))):
        sheet.disc(u, v, min(radius, body.width * 0.45), colour)
    sheet.disc(u, v, 0.028, (70, 170, 216))
    sheet.disc(u, v, 0.010, (236, 246, 250))
    sheet.note("plaza", u, v, "paved in light stone", share=sheet.visible(block))
    sheet.note("fountain", u, v, "round", share=0.0025)


def _playground(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (232, 206, 138))
    for _ in range(7):
        a, b = rng.uniform(body.u0 + 0.02, body.u1 - 0.02), rng.uniform(body.v0 + 0.02, body.v1 - 0.02)
        colour = ((230, 60, 50), (50, 110, 220), (60, 180, 90), (250, 210, 40))[int(rng.integers(4))]
        sheet.roof(_box(a, b, 0.010, 0.010), 0.006, colour, "plain")
    sheet.note("playground", *body.centre, "sandy", "with bright play towers", share=sheet.visible(block))


def _greenhouses(sheet: Sheet, block: Block, n: int, rng: np.random.Generator, style: Style) -> None:
    body = pave(sheet, block, (142, 130, 92)).inset(0.006)
    step = body.height / n
    for k in range(n):
        house = Block(body.u0, body.v0 + k * step, body.u1, body.v0 + (k + 0.72) * step)
        sheet.roof(house, 0.006, (226, 238, 240), "saw", (186, 214, 206))
        sheet.note("greenhouse", *house.centre, "long", "glass-roofed", share=house.width * house.height)


_PAINTERS: dict[str, Painter] = {
    "market stall": _market,
    "parking lot": _parking,
    "construction site": _construction,
    "sports field": _sports,
    "tennis court": _tennis,
    "derelict lot": _derelict,
    "container": _containers,
    "storage tank": _tanks,
    "petrol station": _petrol,
    "bus": _buses,
    "fountain": _plaza,
    "playground": _playground,
    "greenhouse": _greenhouses,
}
