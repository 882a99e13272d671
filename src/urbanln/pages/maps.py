"""What the maps draw: simplified regions, values, colour scales, as JSON that is safe inside a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from markupsafe import Markup

from urbanln.pages.text import Kind, clean, quantity, score, written

# Viridis (van der Walt and Smith, CC0) and a blue–white–red scale: colour-blind readers can order both.
VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
DIVERGING = (
    "#2166ac",
    "#4393c3",
    "#92c5de",
    "#d1e5f0",
    "#f7f7f7",
    "#fddbc7",
    "#f4a582",
    "#d6604d",
    "#b2182b",
)
# Okabe and Ito's, for classes.
CLASSES = ("#0072b2", "#009e73", "#56b4e9", "#f0e442", "#e69f00", "#8a8a8a", "#d55e00", "#cc79a7")
GREY = CLASSES[5]
MOST_REGIONS = 20_000
_MOST_VERTICES = 40_000


def embed_json(value: Any) -> Markup:
    """JSON that may stand inside a ``script`` element: no ``<``, ``>``, ``&`` or separator is left in it.

    Raises:
        ValueError: A number in it is not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 (the three signs that could end the element are escaped)


def region_shapes(regions: gpd.GeoDataFrame) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """Ids, GeoJSON geometries (EPSG:4326, 6 decimals = 0.1 m), and notes on what was left out."""
    rows, shapes, notes = drawn_shapes(regions)
    ids = regions["region_id"].astype(str).to_numpy()[rows]
    return list(ids), geojson(shapes), notes


def geojson(shapes: np.ndarray) -> list[dict[str, Any]]:
    """Shapes as GeoJSON values."""
    return [json.loads(text) for text in shapely.to_geojson(shapes)]


def drawn_shapes(regions: gpd.GeoDataFrame) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows and shapes (EPSG:4326, 6 decimals = 0.1 m) of what a map draws, and notes on what it leaves out.

    Polygons are simplified only when there are very many vertices, by less than a pixel of the first view.
    """
    frame = regions[["geometry"]]
    if frame.crs is not None and not frame.crs.equals("EPSG:4326"):
        frame = frame.to_crs("EPSG:4326")
    shapes = np.asarray(frame.geometry.values, dtype=object)
    rows, notes = np.flatnonzero(placed(shapes)), []
    if len(rows) < len(shapes):
        notes.append(f"{len(shapes) - len(rows):,} regions have no geometry and are not on the map.")
    if len(rows) > MOST_REGIONS:
        keep = np.linspace(0, len(rows) - 1, MOST_REGIONS).round().astype(int)
        notes.append(f"The map shows {MOST_REGIONS:,} of {len(rows):,} regions, evenly picked.")
        rows = rows[keep]
    shapes = shapes[rows]
    # Squares have nothing to lose but their shape, so many vertices are those of many corners each.
    if shapely.get_num_coordinates(shapes).sum() > max(_MOST_VERTICES, 8 * len(shapes)):
        west, south, east, north = shapely.total_bounds(shapes)
        shapes = shapely.simplify(shapes, max(east - west, north - south) / 3000)
        notes.append("Outlines are simplified by less than a pixel of the first view.")
    rounded = shapely.transform(shapes, lambda xy: np.round(xy, 6)) if len(shapes) else shapes
    return rows, rounded, notes


def placed(shapes: np.ndarray) -> np.ndarray:
    """Which of some shapes lie anywhere, (N,) of bool."""
    return np.isfinite(shapely.bounds(shapes)).all(axis=1) if len(shapes) else np.empty(0, bool)


def spread(values: np.ndarray, log: bool = False) -> list[float]:
    """Where the colours of a ramp stand, (9,): from the 2nd to the 98th percentile of what is known.

    Args:
        values: (N,), NaN where there is none.
        log: Evenly in ln(1 + x) instead of in x.
    """
    known = values[np.isfinite(values)]
    low, high = (np.percentile(known, [2, 98])) if len(known) else (0.0, 1.0)
    if not high > low:
        low, high = low - max(abs(low), 1.0) * 0.01, high + max(abs(high), 1.0) * 0.01
    bend, unbend = (np.log1p, np.expm1) if log and low > -1 else (np.asarray, np.asarray)
    return [float(v) for v in unbend(np.linspace(bend(low), bend(high), len(VIRIDIS)))]


def ramp_view(
    title: str, values: np.ndarray, stops: Sequence[float], unit: str = "", kind: Kind = "number"
) -> dict[str, Any]:
    """A number per region, dark to bright.

    Args:
        title: What it is, ``truth``.
        values: (N,), in the order of the regions drawn; NaN is grey.
        stops: From :func:`spread`; views that are to compare share them.
        unit: Of the values.
        kind: Of the values; whole ones are shown as they are.
    """
    labels = [written(v, kind) for v in stops[::2]]
    return {"title": title, "unit": unit, "kind": kind, "values": _figures(values), "ramp": "viridis",
            "stops": list(stops), "labels": labels}  # fmt: skip


def difference_view(title: str, values: np.ndarray, log: bool, unit: str = "") -> dict[str, Any]:
    """A difference per region, blue below 0 and red above; the scale ends at the 98th percentile of its size.

    Args:
        title: What it is, ``error``.
        values: (N,), in the order of the regions drawn; NaN is grey.
        log: The difference is one of logarithms, and without unit.
        unit: Of the values where not ``log``.
    """
    size = np.abs(values[np.isfinite(values)])
    end = float(np.percentile(size, 98)) if len(size) else 1.0
    stops = [float(v) for v in np.linspace(-1, 1, len(DIVERGING)) * (end or 1.0)]
    labels = [score(v, sign=True) if log else quantity(v) for v in stops[::2]]
    return {"title": title, "unit": "in log units" if log else unit, "values": _figures(values),
            "ramp": "diverging", "log": log, "stops": stops, "labels": labels}  # fmt: skip


def class_view(
    title: str,
    states: Sequence[str | None],
    classes: Mapping[str, str],
    colours: Sequence[str] = CLASSES,
) -> dict[str, Any]:
    """A class per region.

    Args:
        title: What it is, the name of a source.
        states: In the order of the regions drawn; ``None``, or what is in no class, is grey.
        classes: State → what it is called, in the order of the legend; eight have colours of their own.
        colours: In the order of the classes, as ``#rrggbb``.
    """
    names = list(classes)
    used = [name for name in names if name in set(states)]
    places = {name: at for at, name in enumerate(used)}
    shown = [{"name": classes[name], "colour": colours[names.index(name) % len(colours)]} for name in used]
    return {
        "title": title,
        "unit": "",
        "values": [places.get(str(state)) for state in states],
        "classes": shown,
    }


def layer(
    name: str,
    views: Sequence[Mapping[str, Any]],
    note: str = "",
    ends: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """What the maps of a page show at a time: a view each.

    Args:
        name: In the page's list of what can be shown.
        views: One for each map, from :func:`ramp_view` and its like.
        note: A sentence below the maps.
        ends: Lower and upper end of an interval per region, (N,) each, and the truth that may lie outside it;
            regions whose truth does are marked on the last map.
    """
    made: dict[str, Any] = {"name": name, "note": note, "views": list(views)}
    if ends is not None and any(np.isfinite(part).any() for part in ends[:2]):
        low, high, truth = ends
        outside = (truth < low) | (truth > high)
        known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
        made |= {
            "low": _figures(low),
            "high": _figures(high),
            "outside": [bool(o) if k else None for o, k in zip(outside, known, strict=True)],
        }
    return made


def _figures(values: np.ndarray) -> list[float | None]:
    """What a map needs of numbers: four figures, and whole ones whole."""
    whole = np.round(values) == values
    return [
        (float(v) if one else float(f"{v:.4g}")) if math.isfinite(v) else None
        for v, one in zip(values, whole, strict=True)
    ]


def map_data(
    ids: list[str],
    shapes: list[dict[str, Any]],
    layers: Sequence[Mapping[str, Any]],
    cities: Mapping[str, Sequence[int]] | None = None,
) -> Markup:
    """The whole data block of the maps, as JSON for :func:`embed_json`'s place in the page.

    ``cities`` are the rows of ``ids`` by city, where there are several: the maps then show one at a time.
    """
    boxes = shapely.bounds(shapely.from_geojson([json.dumps(s) for s in shapes]))
    places = [
        {"name": name, "bounds": around(boxes[list(rows)])}
        for name, rows in (cities or {"": range(len(ids))}).items()
    ]
    return embed_json(
        {
            "ids": [clean(i, 120) for i in ids],
            "shapes": shapes,
            "layers": list(layers),
            "places": places,
        }
    )


def around(boxes: np.ndarray) -> list[float]:
    """West, south, east, north around all boxes that are any, (N, 4); a single point gets room around it."""
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(boxes):
        return [-180.0, -85.0, 180.0, 85.0]
    west, south = boxes[:, :2].min(axis=0)
    east, north = boxes[:, 2:].max(axis=0)
    margin = 0.004 if max(east - west, north - south) < 1e-4 else 0.0
    return [west - margin, max(south - margin, -85.0), east + margin, min(north + margin, 85.0)]
