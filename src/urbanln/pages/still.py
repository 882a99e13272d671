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
    """A PNG per indicator with its three maps side by side, and what its colours mean.

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
    size = (3 * _SIDE + 2 * _GAP, math.ceil((north - south) * scale + 4 * _DOT))
    out = []
    for layer in layers:
        picture = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(picture)
        for number, panel in enumerate(("truth", "prediction", "error")):
            error = panel == "error"
            stops, ramp = (layer["error_stops"], DIVERGING) if error else (layer["stops"], VIRIDIS)
            colours = _colours(layer[panel], stops, ramp)
            empty = np.array([layer[panel][index] is None for index in region], dtype=bool)
            # The largest first, so that an area inside another one's hole is not painted over; dots last, and
            # of these first what has no value, so that it covers nothing that has one.
            for at in np.lexsort((~(empty & dots), -area)):
                index, place = places[at]
                shifted = [(x + number * (_SIDE + _GAP), y) for x, y in place]
                _paint(draw, shifted, colours[index], dot=bool(dots[at]))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        ends = f"{layer['labels'][0]} (dark) to {layer['labels'][-1]} {layer['unit']}".rstrip() + " (bright)"
        wrong = f"error {layer['error_labels'][0]} (blue) to {layer['error_labels'][-1]} (red)"
        legend = f"{ends}; {wrong}{' in log units' if layer['log'] else ''}"
        out.append({"name": layer["name"], "scale": legend, "source": Markup(source)})  # noqa: S704
    return out


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


def _colours(values: Sequence[float | None], stops: Sequence[float], ramp: Sequence[str]) -> list[Colour]:
    channels = np.array([ImageColor.getrgb(colour) for colour in ramp], dtype=float)
    known = np.array([np.nan if v is None else v for v in values])
    mixed = np.stack([np.interp(known, stops, channel) for channel in channels.T], axis=1)
    drawn = np.where(np.isnan(known)[:, None], ImageColor.getrgb(_EMPTY), mixed).astype(int)
    return [(int(r), int(g), int(b)) for r, g, b in drawn]
