"""A sheet to draw an aerial picture on: turned rectangles, shadows, roofs, crowns, all at twice the size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from urbanln.city.synthetic.scene import Notes

Colour = tuple[int, int, int]
Point = tuple[float, float]
_SUPERSAMPLING = 2
_SUN = (0.75, 0.55)
_SHADOW = 0.52


def vary(rng: np.random.Generator, colour: Colour, amount: float = 9.0) -> Colour:
    """The colour a little lighter or darker, and a little off in hue."""
    shift = rng.normal(0, amount)
    own = rng.normal(0, amount * 0.35, size=3)
    r, g, b = (int(min(max(c + shift + o, 0), 255)) for c, o in zip(colour, own, strict=True))
    return r, g, b


def shade(colour: Colour, factor: float) -> Colour:
    """The colour times ``factor``, within 0 and 255."""
    r, g, b = (int(min(max(c * factor, 0), 255)) for c in colour)
    return r, g, b


@dataclass(frozen=True)
class Block:
    """A rectangle of the turned street grid, in tile units around the tile's centre."""

    u0: float
    v0: float
    u1: float
    v1: float

    @property
    def width(self) -> float:
        """Extent along u."""
        return self.u1 - self.u0

    @property
    def height(self) -> float:
        """Extent along v."""
        return self.v1 - self.v0

    @property
    def centre(self) -> Point:
        """Middle of the rectangle."""
        return (self.u0 + self.u1) / 2, (self.v0 + self.v1) / 2

    @property
    def corners(self) -> tuple[Point, Point, Point, Point]:
        """Its corners, one after the other around it."""
        return (self.u0, self.v0), (self.u1, self.v0), (self.u1, self.v1), (self.u0, self.v1)

    def inset(self, by: float) -> Block:
        """The rectangle made smaller by ``by`` on every side."""
        return Block(self.u0 + by, self.v0 + by, self.u1 - by, self.v1 - by)


@dataclass(frozen=True)
class Band:
    """A river or a railway across the tile: a line in tile units, not turned with the streets."""

    angle: float
    offset: float
    half: float

    def distance(self, x: float, y: float) -> float:
        """Distance of a picture point (tile units around the centre, y down) from the line."""
        return abs(-math.sin(self.angle) * x - math.cos(self.angle) * y - self.offset)


class Sheet:
    """The picture while it is drawn; what casts a shadow waits until the ground is done.

    Args:
        px: Edge of the finished square picture in pixels.
        angle: Orientation of the street grid in radians.
        ground: Colour to begin with.
        rng: Random numbers for texture.
        notes: Where objects are taken down.
        bands: River and railway, kept free of objects.
    """

    def __init__(
        self,
        px: int,
        angle: float,
        ground: Colour,
        rng: np.random.Generator,
        notes: Notes,
        bands: Sequence[Band] = (),
    ) -> None:
        self.px, self.size, self.rng, self.notes, self.bands = px, px * _SUPERSAMPLING, rng, notes, bands
        self._cos, self._sin = math.cos(angle), math.sin(angle)
        self.image = Image.new("RGB", (self.size, self.size), ground)
        self.pen = ImageDraw.Draw(self.image)
        self._shadow = Image.new("L", (self.size, self.size), 0)
        self._shadow_pen = ImageDraw.Draw(self._shadow)
        self._roofs: list[tuple[Block, float, Colour, str, Colour | None]] = []
        self._crowns: list[tuple[float, float, float, Colour]] = []

    def turn(self, u: float, v: float) -> Point:
        """Grid point (u, v) as a picture point in tile units around the centre."""
        return u * self._cos - v * self._sin, u * self._sin + v * self._cos

    def pixel(self, u: float, v: float) -> Point:
        """Grid point (u, v) in pixels of the large picture."""
        x, y = self.turn(u, v)
        return (x + 0.5) * self.size, (y + 0.5) * self.size

    def free(self, u: float, v: float, margin: float = 0.0) -> bool:
        """Whether an object at (u, v) lies in the picture and off the river and the railway."""
        x, y = self.turn(u, v)
        if max(abs(x), abs(y)) > 0.5 - margin:
            return False
        return all(band.distance(x, y) > band.half + 0.012 + margin for band in self.bands)

    def roomy(self, block: Block, slack: float = 0.02) -> bool:
        """Whether the whole rectangle (but for ``slack``) lies in the picture and off the bands."""
        b = block.inset(slack)
        return all(self.free(u, v) for u, v in (*b.corners, b.centre))

    def dry(self, block: Block) -> bool:
        """Whether no corner of the rectangle lies on the river or the railway."""
        points = [self.turn(u, v) for u, v in block.corners]
        return all(band.distance(x, y) > band.half + 0.008 for x, y in points for band in self.bands)

    def visible(self, block: Block) -> float:
        """Share of the whole picture that the rectangle covers, bands left out (5 × 5 points)."""
        us = [block.u0 + (k + 0.5) / 5 * block.width for k in range(5)]
        vs = [block.v0 + (k + 0.5) / 5 * block.height for k in range(5)]
        return sum(self.free(u, v) for u in us for v in vs) / 25 * block.width * block.height

    def note(self, name: str, u: float, v: float, *attributes: str, share: float = 0.0) -> None:
        """Take down an object drawn at grid point (u, v)."""
        x, y = self.turn(u, v)
        self.notes.add(name, x + 0.5, y + 0.5, *attributes, share=share)

    def corners(self, block: Block) -> list[Point]:
        """The rectangle's corners in pixels."""
        return [self.pixel(u, v) for u, v in block.corners]

    def rect(self, block: Block, fill: Colour) -> None:
        """Fill a rectangle on the ground."""
        self.pen.polygon(self.corners(block), fill=fill)

    def outline(self, block: Block, colour: Colour, width: float = 0.004) -> None:
        """Draw the border of a rectangle on the ground, ``width`` in tile units."""
        points = self.corners(block)
        self.pen.line([*points, points[0]], fill=colour, width=max(1, round(width * self.size)))

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a line on the ground, ``width`` in tile units."""
        pixels = [self.pixel(u, v) for u, v in points]
        self.pen.line(pixels, fill=colour, width=max(1, round(width * self.size)))

    def disc(self, u: float, v: float, radius: float, fill: Colour) -> None:
        """Fill a circle on the ground."""
        x, y = self.pixel(u, v)
        r = radius * self.size
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def roof(
        self, block: Block, height: float, colour: Colour, kind: str = "flat", accent: Colour | None = None
    ) -> None:
        """Put up a building: shadow now, roof when the ground is done.

        Args:
            block: Footprint.
            height: Length of the shadow in tile units.
            colour: Roof colour.
            kind: ``"flat"``, ``"gable"``, ``"saw"``, ``"solar"``, ``"stripes"``, ``"tank"`` or ``"plain"``.
            accent: Second colour, where the kind has one.
        """
        points = self.corners(block)
        dx, dy = _SUN[0] * height * self.size, _SUN[1] * height * self.size
        moved = [(x + dx, y + dy) for x, y in points]
        self._shadow_pen.polygon(moved, fill=255)
        for k, n in ((0, 1), (1, 2), (2, 3), (3, 0)):
            self._shadow_pen.polygon([points[k], points[n], moved[n], moved[k]], fill=255)
        self._roofs.append((block, height, colour, kind, accent))

    def tree(self, u: float, v: float, radius: float, colour: Colour) -> None:
        """Plant a tree: shadow now, crown when everything else is done."""
        x, y = self.pixel(u, v)
        r, d = radius * self.size, radius * self.size * 0.8
        self._shadow_pen.ellipse(
            (x - r + d * _SUN[0], y - r + d * _SUN[1], x + r + d * _SUN[0], y + r + d * _SUN[1]), fill=255
        )
        self._crowns.append((x, y, r, colour))

    def finish(self, tint: Colour = (255, 255, 255)) -> Image.Image:
        """Lay the shadows, put on roofs and crowns, texture the whole, and scale to the final size."""
        soft = self._shadow.filter(ImageFilter.BoxBlur(1.2)).point([int(v * _SHADOW) for v in range(256)])
        self.image.paste((14, 18, 34), (0, 0), soft)
        for block, height, colour, kind, accent in sorted(self._roofs, key=lambda r: r[1]):
            self._draw_roof(block, height, colour, kind, accent)
        for x, y, r, colour in self._crowns:
            self.pen.ellipse((x - r, y - r, x + r, y + r), fill=shade(colour, 0.8))
            self.pen.ellipse((x - r, y - r, x + r * 0.55, y + r * 0.55), fill=colour)
        small = self.image.resize((self.px, self.px), Image.Resampling.BOX)
        return texture(small, self.rng, tint)

    def _draw_roof(
        self, block: Block, height: float, colour: Colour, kind: str, accent: Colour | None
    ) -> None:
        if kind == "tank":
            u, v = block.centre
            self.disc(u, v, block.width / 2, shade(colour, 0.8))
            self.disc(u - 0.003, v - 0.003, block.width * 0.42, colour)
            return
        # A tall building leans a little, so that its height shows in its wall as well as in its shadow.
        lean = min(height * 0.16, 0.02)
        if lean > 0.004:
            self.rect(block, shade(colour, 0.5))
            block = Block(block.u0 - lean, block.v0 - lean, block.u1 - lean, block.v1 - lean)
        self.rect(block, colour)
        long_u = block.width >= block.height
        if kind in ("gable", "solar"):
            u, v = block.centre
            half = (block.u0, v) if long_u else (u, block.v0)
            self.rect(Block(*half, block.u1, block.v1), shade(colour, 0.72))
        if kind == "solar":
            self._panels(block, long_u)
        if kind in ("saw", "stripes"):
            n = 6 if kind == "saw" else 5
            for k in range(0, n, 2):
                self.rect(_slice(block, k / n, (k + 1) / n, long_u), accent or shade(colour, 0.78))
        if kind == "flat":
            self.outline(block, shade(colour, 1.18), 0.003)
            for _ in range(2 if block.width * block.height > 0.0018 else 1):
                u = block.u0 + block.width * self.rng.uniform(0.2, 0.7)
                v = block.v0 + block.height * self.rng.uniform(0.2, 0.7)
                self.rect(Block(u, v, u + 0.008, v + 0.008), shade(colour, 0.7))

    def _panels(self, block: Block, long_u: bool) -> None:
        """Dark blue solar panels with a light frame over nearly the whole roof."""
        body = block.inset(min(block.width, block.height) * 0.1)
        self.rect(body, (24, 44, 120))
        for k in (1, 2):
            self.rect(_slice(body, k / 3 - 0.03, k / 3 + 0.03, long_u), (120, 150, 215))


def _slice(block: Block, start: float, stop: float, along_u: bool) -> Block:
    if along_u:
        return Block(block.u0 + start * block.width, block.v0, block.u0 + stop * block.width, block.v1)
    return Block(block.u0, block.v0 + start * block.height, block.u1, block.v0 + stop * block.height)


def texture(image: Image.Image, rng: np.random.Generator, tint: Colour, grain: float = 5.0) -> Image.Image:
    """Sensor noise, uneven light and a colour cast, so that no two pictures share their flat colours."""
    pixels = np.asarray(image, dtype=np.float32)
    h, w, _ = pixels.shape
    noise = rng.standard_normal((h, w, 1), dtype=np.float32) * np.float32(grain)
    coarse = rng.normal(0, 5.0, size=(6, 6)).astype(np.float32)
    cloud = np.asarray(Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC))[..., None]
    cast = np.asarray(tint, dtype=np.float32) / np.float32(255.0)
    out = np.clip(pixels * cast + noise + cloud, 0, 255).astype(np.uint8)
    return Image.fromarray(out)
