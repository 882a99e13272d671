"""A street in simple perspective: metres to points of the picture, and things drawn from far to near."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from urbanln.city.synthetic.scene import Notes
from urbanln.city.synthetic.sheet import Colour, texture

SIZE = (224, 160)
_FOCAL = 0.72  # in picture widths
_EYE_M = 1.7


class Street:
    """The picture while it is drawn; things wait until they are drawn from far to near.

    Args:
        rng: Random numbers of the view.
        notes: Where objects are taken down.
        half_m: Half the width of the roadway in metres.
    """

    def __init__(self, rng: np.random.Generator, notes: Notes, half_m: float) -> None:
        self.rng, self.notes, self.half_m = rng, notes, half_m
        self.w, self.h = SIZE[0] * 2, SIZE[1] * 2
        self.horizon = self.h * 0.60
        self.wall_m = half_m + 3.2
        self.image = Image.new("RGB", (self.w, self.h))
        self.pen = ImageDraw.Draw(self.image)
        self._waiting: list[tuple[float, Callable[[], None]]] = []

    def at(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Picture point of (x right, y up, z ahead) in metres."""
        scale = _FOCAL * self.w / z
        return self.w / 2 + x * scale, self.horizon - (y - _EYE_M) * scale

    def later(self, z: float, draw: Callable[[], None]) -> None:
        """Draw something ``z`` metres ahead in its turn."""
        self._waiting.append((z, draw))

    def quad(self, points: Sequence[tuple[float, float, float]], fill: Colour) -> None:
        """Fill a polygon of points in metres."""
        self.pen.polygon([self.at(*p) for p in points], fill=fill)

    def wall(self, x: float, y0: float, y1: float, z0: float, z1: float, fill: Colour) -> None:
        """Fill a rectangle on a wall along the street."""
        self.quad([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], fill)

    def card(self, x0: float, x1: float, y0: float, y1: float, z: float, fill: Colour) -> None:
        """Fill an upright rectangle that faces the viewer."""
        a, b = self.at(x0, y1, z), self.at(x1, y0, z)
        self.pen.rectangle((min(a[0], b[0]), a[1], max(a[0], b[0]), b[1]), fill=fill)

    def cards(self, x: float, z: float, parts: Sequence[tuple[float, float, float, float, Colour]]) -> None:
        """Fill upright rectangles around (x, z), each (right of x, half its width, bottom, top, colour)."""
        for dx, half, y0, y1, fill in parts:
            self.card(x + dx - half, x + dx + half, y0, y1, z, fill)

    def put(
        self, name: str, x: float, z: float, draw: Callable[[], None], *attributes: str, share: float
    ) -> None:
        """Draw an object at (x, z) in its turn, and take it down; nothing where it would not be seen."""
        if self.seen(x, z):
            self.later(z, draw)
            self.note(name, x, z, *attributes, share=share)

    def seen(self, x: float, z: float) -> bool:
        """Whether something at (x, z) stands within the picture."""
        px, _ = self.at(x, 1.0, z)
        return 6 <= px <= self.w - 6

    def note(self, name: str, x: float, z: float, *attributes: str, share: float = 0.0) -> None:
        """Take down an object at (x, z)."""
        px, py = self.at(x, 1.0, z)
        self.notes.add(name, px / self.w, py / self.h, *attributes, share=share)

    def finish(self) -> Image.Image:
        """Draw what waits, far things first, and scale to the final size."""
        for _, draw in sorted(self._waiting, key=lambda item: -item[0]):
            draw()
        small = self.image.resize(SIZE, Image.Resampling.BOX)
        tint = np.clip(self.rng.normal(248, 6) + self.rng.normal(0, 4, size=3), 225, 255)
        return texture(small, self.rng, (int(tint[0]), int(tint[1]), int(tint[2])), grain=3.0)


@dataclass(frozen=True)
class Front:
    """A building on one side of the street: which side, from where to where, how high, of what."""

    name: str
    side: int
    near: float
    far: float
    storeys: int
    wall: str
