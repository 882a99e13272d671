"""Pictures of the maps, for browsers without JavaScript or WebGL."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from markupsafe import Markup
from PIL import Image, ImageColor, ImageDraw

from urbanln.pages.maps import DIVERGING, VIRIDIS

_SIDE, _GAP, _DOT = 340, 24, 2.5
_EMPTY = "#c9ced3"
Colour = tuple[int, int, int]


def stills(shapes: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A PNG per layer with its maps side by side, and what its colours mean, in words and as classes.

    Args:
        shapes: GeoJSON polygons and points of the regions.
        layers: As :func:`urbanln.pages.maps.layer` makes them, values in the order of ``shapes``.
    """
    parts, region = shapely.get_parts(
        shapely.from_geojson([json.dumps(s) for s in shapes]), return_index=True
    )
    west, south, east, north = shapely.total_bounds(parts)
    narrow = math.cos(math.radians((south + north) / 2))
    scale = (_SIDE - 4 * _DOT) / max((east - west) * narrow, north - south, 1e-6)

    def pixels(part: Any) -> list[tuple[float, float]]:
        ring = part.exterior if part.geom_type == "Polygon" else part
        return [(2 * _DOT + (x - west) * narrow * scale, 2 * _DOT + (north - y) * scale)
                for x, y in shapely.get_coordinates(ring)]  # fmt: skip

    places = [(int(i), pixels(part)) for i, part in zip(region, parts, strict=True)]
    dots = np.array([_is_dot(place) for _, place in places], dtype=bool)
    area = np.where(dots, 0.0, shapely.area(parts))
    tall = math.ceil((north - south) * scale + 4 * _DOT)
    out = []
    for layer in layers:
        views = layer["views"]
        picture = Image.new("RGB", (len(views) * (_SIDE + _GAP) - _GAP, tall), "white")
        draw = ImageDraw.Draw(picture)
        for number, view in enumerate(views):
            colours = _colours(view)
            empty = np.array([view["values"][index] is None for index in region], dtype=bool)
            # The largest first, so that an area inside another one's hole is not painted over; dots last, and
            # of these first what has no value, so that it covers nothing that has one.
            for at in np.lexsort((~(empty & dots), -area)):
                index, place = places[at]
                shifted = [(x + number * (_SIDE + _GAP), y) for x, y in place]
                _paint(draw, shifted, colours[index], dot=bool(dots[at]))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        out.append(
            {
                "name": layer["name"],
                "titles": ", ".join(view["title"] for view in views),
                "scale": "; ".join(dict.fromkeys(_scale(view) for view in views if "ramp" in view)),
                "classes": [part for view in views for part in view.get("classes", [])],
                "source": Markup(source),  # noqa: S704
            }
        )
    return out


def _scale(view: Mapping[str, Any]) -> str:
    """What the colours of a ramp mean."""
    low, high, unit = view["labels"][0], view["labels"][-1], f" {view['unit']}".rstrip()
    if view["ramp"] == "diverging":
        return f"{view['title']} {low} (blue) to {high} (red){unit}"
    return f"{low} (dark) to {high}{unit} (bright)"


def _is_dot(place: list[tuple[float, float]]) -> bool:
    """A point, or too small an area to be seen."""
    xs, ys = zip(*place, strict=True)
    return max(max(xs) - min(xs), max(ys) - min(ys)) < 2 * _DOT


def _paint(draw: ImageDraw.ImageDraw, place: list[tuple[float, float]], colour: Colour, *, dot: bool) -> None:
    if not dot:
        draw.polygon(place, fill=colour)
    else:
        xs, ys = zip(*place, strict=True)
        x, y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
        draw.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), fill=colour)


def _colours(view: Mapping[str, Any]) -> list[Colour]:
    known = np.array([np.nan if v is None else v for v in view["values"]], dtype=float)
    ramp: Sequence[str]
    if "classes" in view:
        ramp = [part["colour"] for part in view["classes"]] or [_EMPTY]
        stops = range(len(ramp))
    else:
        stops, ramp = view["stops"], {"viridis": VIRIDIS, "diverging": DIVERGING}[view["ramp"]]
    channels = np.array([ImageColor.getrgb(colour) for colour in ramp], dtype=float)
    mixed = np.stack([np.interp(known, stops, channel) for channel in channels.T], axis=1)
    drawn = np.where(np.isnan(known)[:, None], ImageColor.getrgb(_EMPTY), mixed).astype(int)
    return [(int(r), int(g), int(b)) for r, g, b in drawn]
