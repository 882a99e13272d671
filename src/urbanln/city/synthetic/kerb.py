"""What stands along a street: shops, trees, cars, lamps, people, stalls, and what tells of neglect."""

from __future__ import annotations

from urbanln.city.synthetic.fields import Cell
from urbanln.city.synthetic.perspective import Front, Street
from urbanln.city.synthetic.sheet import Colour, shade, vary

_CARS: tuple[tuple[str, Colour], ...] = (
    ("white", (226, 226, 230)),
    ("black", (38, 40, 46)),
    ("red", (184, 40, 40)),
    ("blue", (50, 84, 156)),
    ("silver", (176, 180, 186)),
)
_AWNINGS: tuple[tuple[str, Colour], ...] = (
    ("red", (206, 48, 48)),
    ("green", (44, 136, 84)),
    ("blue", (46, 96, 182)),
    ("orange", (234, 140, 40)),
)
_SPRAY: tuple[Colour, ...] = ((226, 40, 140), (60, 220, 90), (40, 190, 236), (250, 220, 40), (20, 20, 24))


def furnish(street: Street, cell: Cell, fronts: list[Front]) -> None:
    """Put everything along the kerbs of a street, by the cell's truth."""
    g, rng = cell.gross, street.rng
    built = [f for f in fronts if f.name != "park"]
    _shops(street, [f for f in built if f.name not in ("industrial hall", "detached house")], g["commerce"])
    for _ in range(int(rng.poisson(1.6 * cell.disorder))):
        _graffiti(street, built)
    for _ in range(int(rng.poisson(1.1 * cell.disorder))):
        _litter(street)
    for side in (-1, 1):
        x = side * (street.half_m + 0.7)
        lit = rng.random() < 0.85
        for k in range(3 if lit else 0):
            _lamp(street, x, side, 13.0 + 16 * k, bool(k == 0 and rng.random() < 0.35 * cell.disorder))
        trees = rng.random() < 0.45 + 0.2 * g["greenness"]
        for k in range(4 if trees else 0):
            tree(street, side * (street.half_m + 1.6), 16.0 + 11 * k, 1.0)
    crowd = 0.35 + 0.5 * (cell.details["parking lot"] > 0)
    for side in (-1, 1):
        for k in range(5):
            if rng.random() < crowd * 0.8:
                _car(street, side * (street.half_m - 1.1), 13.0 + 7 * k)
    for _ in range(int(rng.poisson(max(0.3, 1.5 + g["commerce"] + 0.6 * g["density"])))):
        _person(
            street, float(rng.choice((-1, 1))) * (street.half_m + rng.uniform(0.8, 2.6)), rng.uniform(11, 32)
        )
    if cell.details["market stall"]:
        edge = float(rng.choice((-1, 1))) * (street.half_m + 1.8)
        for k in range(int(rng.integers(3, 6))):
            _stall(street, edge, 12.0 + 4.2 * k, k)
    if rng.random() < 0.3:
        _bench(street, float(rng.choice((-1, 1))) * (street.half_m + 2.2), float(rng.uniform(13, 22)))
    for _ in range(int(rng.poisson(0.5))):
        _bicycle(street, float(rng.choice((-1, 1))) * (street.half_m + 0.5), float(rng.uniform(11, 20)))
    if cell.details["construction site"]:
        _crane(street, float(rng.uniform(-9, 9)))


def tree(street: Street, x: float, z: float, size: float) -> None:
    """A tree with its crown, drawn in its turn."""
    if not street.seen(x, z):
        return
    leaf = vary(street.rng, (66, 116, 56), 10)
    high = 3.2 * size

    def draw() -> None:
        street.cards(x, z, [(0, 0.16, 0, high, (96, 74, 54))])
        for dx, dy, r, c in ((0, 1.2, 1.9, 0.8), (-0.5, 1.5, 1.3, 1.0), (0.6, 1.0, 1.2, 0.92)):
            a = street.at(x + (dx - r) * size, high + (dy + r) * size, z)
            b = street.at(x + (dx + r) * size, high + (dy - r) * size, z)
            street.pen.ellipse((*a, *b), fill=shade(leaf, c))

    street.put("tree", x, z, draw, "leafy", share=min(2.5 / z**2 * 3, 0.08))


def _shops(street: Street, fronts: list[Front], commerce: float) -> None:
    rng = street.rng
    name, awning = _AWNINGS[int(rng.integers(len(_AWNINGS)))]
    chance = min(max(0.3 + 0.22 * commerce, 0.03), 0.9)
    for front in fronts:
        if front.far < 14 or rng.random() > chance:
            continue
        x, near, far = front.side * street.wall_m, max(front.near, 3.0), front.far
        has_awning = bool(rng.random() < 0.6)
        sign = vary(rng, _AWNINGS[int(rng.integers(len(_AWNINGS)))][1], 12)

        def draw(
            x: float = x, near: float = near, far: float = far, lit: bool = has_awning, sign: Colour = sign
        ) -> None:
            inner, outer = near + 0.6, far - 0.6
            street.wall(x, 0.2, 2.6, inner, outer, (232, 214, 160))
            street.wall(x, 0.2, 2.6, (inner + outer) / 2 - 0.5, (inner + outer) / 2 + 0.5, (70, 58, 50))
            street.wall(x, 2.7, 3.5, inner, outer, sign)
            if lit:
                lip = x - (1.5 if x > 0 else -1.5)
                street.quad([(x, 2.9, inner), (lip, 2.2, inner), (lip, 2.2, outer), (x, 2.9, outer)], awning)

        street.later(near - 0.1, draw)
        middle = max((near + far) / 2, 13.0)
        street.note("shop front", x, middle, "lit", share=0.02)
        street.note("shop sign", x, middle, share=0.005)
        if has_awning:
            street.note("awning", x, middle, name, share=0.01)


def _graffiti(street: Street, fronts: list[Front]) -> None:
    rng = street.rng
    walls = [f for f in fronts if f.far > 15 and f.near < 34]
    if not walls:
        return
    front = walls[int(rng.integers(len(walls)))]
    low, high = max(front.near + 0.5, 12.5), front.far - 1.5
    if high <= low:
        return
    z = float(rng.uniform(low, high))
    x = front.side * (street.wall_m + (2.5 if front.name == "detached house" else 0.0))
    points = [(x, float(rng.uniform(0.6, 2.4)), z + 0.32 * k) for k in range(7)]
    colour = _SPRAY[int(rng.integers(len(_SPRAY)))]

    def draw() -> None:
        width = max(3, int(90 / z))
        street.pen.line([street.at(*p) for p in points], fill=colour, width=width, joint="curve")
        street.pen.line([street.at(p[0], 3.0 - p[1], p[2]) for p in points], fill=colour, width=width)

    street.later(front.near - 0.2, draw)
    street.note("graffiti tag", x, z, "sprayed on the wall", share=0.004)


def _litter(street: Street) -> None:
    rng = street.rng
    x = float(rng.choice((-1, 1))) * (street.half_m + float(rng.uniform(0.5, 2.4)))
    z = float(rng.uniform(12.5, 18))
    if not street.seen(x, z):
        return
    black = rng.random() < 0.6

    def draw() -> None:
        for dx in (-0.35, 0.0, 0.35):
            a, b = street.at(x + dx - 0.3, 0.65, z), street.at(x + dx + 0.3, 0.0, z)
            street.pen.ellipse((*a, *b), fill=(30, 30, 34) if black else (214, 214, 208))

    street.put("litter bag", x, z, draw, "black" if black else "white", "on the pavement", share=0.002)


def _lamp(street: Street, x: float, side: int, z: float, broken: bool) -> None:
    height = 3.6 if broken else 6.5
    metal = (70, 74, 80)

    def draw() -> None:
        street.cards(x, z, [(0, 0.07, 0, height, metal)])
        if broken:
            end = street.at(x - side * 1.2, height - 1.1, z)
            street.pen.line([street.at(x, height, z), end], fill=metal, width=max(2, int(50 / z)))
            return
        a, b = sorted((x, x - side * 1.4))
        street.card(a, b, height - 0.12, height + 0.08, z, metal)
        street.cards(x, z, [(-side * 1.4, 0.3, height - 0.25, height, (250, 240, 196))])

    name, look = ("broken lamp", "bent") if broken else ("street lamp", "tall")
    street.put(name, x, z, draw, look, share=0.002)


def _car(street: Street, x: float, z: float) -> None:
    if not street.seen(x, z):
        return
    name, colour = _CARS[int(street.rng.integers(len(_CARS)))]
    colour = vary(street.rng, colour, 5)
    wheel, light = (24, 24, 26), (214, 60, 50)

    def draw() -> None:
        inner = x - 0.9 if x > 0 else x + 0.9
        street.wall(inner, 0.35, 0.95, z, z + 4.0, shade(colour, 0.8))
        street.wall(inner, 0.95, 1.5, z + 0.8, z + 3.0, (54, 64, 76))
        street.cards(x, z, [(0, 0.9, 0.3, 0.95, colour)])
        street.cards(x, z + 0.6, [(0, 0.72, 0.95, 1.48, (64, 76, 90)), (0, 0.78, 1.42, 1.52, colour)])
        for dx in (-0.7, 0.7):
            street.cards(x, z, [(dx, 0.16, 0, 0.4, wheel), (dx, 0.14, 0.62, 0.8, light)])

    street.put("parked car", x, z, draw, name, share=min(1.5 / z**2, 0.03))


def _person(street: Street, x: float, z: float) -> None:
    if not street.seen(x, z):
        return
    coat = vary(street.rng, _AWNINGS[int(street.rng.integers(len(_AWNINGS)))][1], 20)

    def draw() -> None:
        street.cards(x, z, [(0, 0.2, 0, 0.85, (44, 48, 66)), (0, 0.27, 0.8, 1.45, coat)])
        a, b = street.at(x - 0.15, 1.78, z), street.at(x + 0.15, 1.45, z)
        street.pen.ellipse((*a, *b), fill=(206, 164, 132))

    street.put("person", x, z, draw, "walking", share=0.002)


def _stall(street: Street, x: float, z: float, k: int) -> None:
    colour = _AWNINGS[k % len(_AWNINGS)][1]
    table, fruit, post = (150, 112, 70), (226, 150, 60), (90, 84, 78)

    def draw() -> None:
        street.cards(x, z, [(0, 1.0, 0, 0.9, table), (0, 0.9, 0.9, 1.1, fruit)])
        street.cards(x, z, [(-1.0, 0.05, 0, 2.2, post), (1.0, 0.05, 0, 2.2, post)])
        for n in range(6):
            left = x - 1.2 + n * 0.4
            street.card(left, left + 0.4, 2.0, 2.6, z, colour if n % 2 == 0 else (242, 240, 234))

    street.put("market stall", x, z, draw, "with striped awnings", share=min(4 / z**2, 0.04))


def _bench(street: Street, x: float, z: float) -> None:
    wood, leg = (140, 96, 58), (60, 60, 64)

    def draw() -> None:
        street.cards(x, z, [(0, 0.9, 0.4, 0.52, wood), (0, 0.9, 0.7, 0.95, wood)])
        street.cards(x, z, [(-0.75, 0.06, 0, 0.95, leg), (0.75, 0.06, 0, 0.95, leg)])

    street.put("bench", x, z, draw, "wooden", share=0.002)


def _bicycle(street: Street, x: float, z: float) -> None:
    def draw() -> None:
        pixels = max(2, int(30 / z))
        for dx in (-0.5, 0.5):
            a, b = street.at(x + dx - 0.36, 0.72, z), street.at(x + dx + 0.36, 0.0, z)
            street.pen.ellipse((*a, *b), outline=(28, 28, 30), width=pixels)
        frame = [(x - 0.5, 0.36, z), (x - 0.1, 0.8, z), (x + 0.5, 0.8, z), (x + 0.5, 0.36, z)]
        street.pen.line([street.at(*p) for p in frame], fill=(30, 120, 130), width=pixels)

    street.put("bicycle", x, z, draw, "leaning at the kerb", share=0.002)


def _crane(street: Street, x: float) -> None:
    z, top, yellow = 90.0, 38.0, (236, 186, 40)

    def draw() -> None:
        street.cards(x, z, [(0, 0.8, 0, top, yellow)])
        street.card(x - 8, x + 22, top - 1.6, top, z, yellow)
        street.card(x - 8, x - 4.5, top - 5, top - 1.6, z, (130, 130, 128))

    street.later(z, draw)
    street.notes.add("crane", 0.5 + 0.6 * x / z, 0.2, "yellow", share=0.005, place="background")
