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

from urbanln.pages.text import clean, quantity, score

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
    """Ids, GeoJSON geometries (EPSG:4326, 6 decimals = 0.1 m), and notes on what was left out.

    Polygons are simplified only when there are very many vertices, by less than a pixel of the first view.
    """
    notes: list[str] = []
    frame = regions[["region_id", "geometry"]]
    if frame.crs is not None and not frame.crs.equals("EPSG:4326"):
        frame = frame.to_crs("EPSG:4326")
    shapes = np.asarray(frame.geometry.values, dtype=object)
    bounds = shapely.bounds(shapes) if len(shapes) else np.empty((0, 4))
    drawn = np.isfinite(bounds).all(axis=1)
    if not drawn.all():
        notes.append(f"{int((~drawn).sum()):,} regions have no geometry and are not on the map.")
    ids, shapes = frame["region_id"].astype(str).to_numpy()[drawn], shapes[drawn]
    if len(shapes) > MOST_REGIONS:
        keep = np.linspace(0, len(shapes) - 1, MOST_REGIONS).round().astype(int)
        notes.append(f"The map shows {MOST_REGIONS:,} of {len(shapes):,} regions, evenly picked.")
        ids, shapes = ids[keep], shapes[keep]
    # Squares have nothing to lose but their shape, so many vertices are those of many corners each.
    if shapely.get_num_coordinates(shapes).sum() > max(_MOST_VERTICES, 8 * len(shapes)):
        west, south, east, north = shapely.total_bounds(shapes)
        shapes = shapely.simplify(shapes, max(east - west, north - south) / 3000)
        notes.append("Outlines are simplified by less than a pixel of the first view.")
    rounded = shapely.transform(shapes, lambda xy: np.round(xy, 6)) if len(shapes) else shapes
    return list(ids), [json.loads(text) for text in shapely.to_geojson(rounded)], notes


def errors(truth: np.ndarray, prediction: np.ndarray, log: bool) -> np.ndarray:
    """Prediction minus truth, (N,): of ln(1 + x) where ``log``, else in the indicator's unit."""
    if not log:
        return prediction - truth
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.log1p(prediction) - np.log1p(truth)
    return np.where(np.isfinite(difference), difference, np.nan)


def layer(
    name: str,
    unit: str,
    truth: np.ndarray,
    prediction: np.ndarray,
    log: bool,
    ends: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """One indicator's values and colour scales, aligned with the regions drawn.

    ``ends`` are the lower and upper ends of the predictions' intervals, NaN where there is none; ``outside``
    then tells for which regions the truth lies outside.

    Truth and prediction share a scale from the 2nd to the 98th percentile of the truth (evenly in ln(1 + x)
    where ``log``); the scale of the error is symmetric and ends at the 98th percentile of its size.
    """
    error = errors(truth, prediction, log)
    known = truth[np.isfinite(truth)]
    if not len(known):
        known = prediction[np.isfinite(prediction)]
    low, high = (np.percentile(known, [2, 98])) if len(known) else (0.0, 1.0)
    if not high > low:
        low, high = low - max(abs(low), 1.0) * 0.01, high + max(abs(high), 1.0) * 0.01
    bend, unbend = (np.log1p, np.expm1) if log and low > -1 else (np.asarray, np.asarray)
    stops = unbend(np.linspace(bend(low), bend(high), len(VIRIDIS)))
    size = np.abs(error[np.isfinite(error)])
    end = float(np.percentile(size, 98)) if len(size) else 1.0
    error_stops = np.linspace(-1, 1, len(DIVERGING)) * (end or 1.0)
    bounds = {}
    if ends is not None and any(np.isfinite(part).any() for part in ends):
        outside = (truth < ends[0]) | (truth > ends[1])
        known_ends = np.isfinite(truth) & np.isfinite(ends[0]) & np.isfinite(ends[1])
        bounds = {
            "low": _figures(ends[0]),
            "high": _figures(ends[1]),
            "outside": [bool(o) if k else None for o, k in zip(outside, known_ends, strict=True)],
        }
    return {
        "name": name,
        "unit": unit,
        "log": log,
        "truth": _figures(truth),
        "prediction": _figures(prediction),
        "error": _figures(error),
        "stops": [float(v) for v in stops],
        "labels": [quantity(v) for v in stops[::2]],
        "error_stops": [float(v) for v in error_stops],
        "error_labels": [score(v, sign=True) if log else quantity(v) for v in error_stops[::2]],
        **bounds,
    }


def _figures(values: np.ndarray) -> list[float | None]:
    return [float(f"{v:.4g}") if math.isfinite(v) else None for v in values]


def map_data(
    ids: list[str],
    shapes: list[dict[str, Any]],
    layers: list[dict[str, Any]],
    cities: Mapping[str, Sequence[int]] | None = None,
) -> Markup:
    """The whole data block of the maps, as JSON for :func:`embed_json`'s place in the page.

    ``cities`` are the rows of ``ids`` by city, where there are several: the maps then show one at a time.
    """
    boxes = shapely.bounds(shapely.from_geojson([json.dumps(s) for s in shapes]))
    places = [
        {"name": name, "bounds": _view(boxes[list(rows)])}
        for name, rows in (cities or {"": range(len(ids))}).items()
    ]
    return embed_json(
        {
            "ids": [clean(i, 120) for i in ids],
            "shapes": shapes,
            "layers": layers,
            "places": places,
            "viridis": VIRIDIS,
            "diverging": DIVERGING,
        }
    )


def _view(boxes: np.ndarray) -> list[float]:
    """West, south, east, north around all boxes; a single point gets room around it."""
    west, south = boxes[:, :2].min(axis=0)
    east, north = boxes[:, 2:].max(axis=0)
    margin = 0.004 if max(east - west, north - south) < 1e-4 else 0.0
    return [west - margin, max(south - margin, -85.0), east + margin, min(north + margin, 85.0)]
