"""What is drawn of scores and held-out predictions: score plots, maps with their pictures, scatters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from markupsafe import Markup

from urbanln.base.written import as_floats
from urbanln.pages import maps
from urbanln.pages.still import stills
from urbanln.pages.text import clean, finite, score, words
from urbanln.report.plots import Dot, SplitDots, forest, scatter
from urbanln.report.reading import (
    floors_of,
    indicators,
    is_joint,
    is_log,
    main_head,
    main_row,
    ordered,
    rows_of,
    scale_of,
    shown_split,
    splits_of,
    strongest_floor,
    subject,
    unique,
)

VALUES = ["truth", "prediction", "low", "high"]
# What there is room for beside a plot.
_SHORT = {
    "coordinates": "coordinates: nearest",
    "coordinates-boosting": "coordinates: boosting",
    "coordinates-gp": "coordinates: Gaussian",
}


def forests(scores: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """Name and score plot of every indicator: floors and tables under every split, with intervals."""
    rows = [r for r in scores.get("rows") or [] if not is_joint(str(r.get("features")))]
    ends = [finite(r.get(key)) for r in rows for key in ("r2", "r2_low", "r2_high")]
    known = [e for e in ends if e is not None]
    if not known:
        return []
    low = min(0.0, max(-0.5, min(known)))
    high = max(min(1.0, max(known)), 0.2)
    # Round ends, so that the axis closes on a tick.
    low, high = -0.1 * -(-abs(low) // 0.1), 0.1 * -(-high // 0.1)
    out = []
    for name in indicators(scores):
        scale = scale_of(scores, name) if is_log(scores, name) else "the label"
        axis = f"R² of {scale}, held out"
        out.append((words(name), forest(f"R² for {words(name)}", _groups(scores, name), (low, high), axis)))
    return out


def _groups(scores: Mapping[str, Any], indicator: str) -> list[SplitDots]:
    groups = []
    floors = floors_of(scores, indicator)
    for split, title in splits_of(scores).items():
        rows = {
            (str(r["features"]), str(r.get("head") or "")): r
            for r in rows_of(scores, indicator=indicator, split=split)
        }
        pairs = [p for p in ordered(scores, indicator) if p in rows]
        if not pairs:
            continue
        heads = unique([head for features, head in pairs if features not in floors])
        strongest = strongest_floor(scores, indicator, split)
        dots = tuple(
            Dot(
                name=f"{f}, {h}" if len(heads) > 1 and f not in floors else _SHORT.get(f, f),
                r2=finite(rows[f, h].get("r2")),
                low=finite(rows[f, h].get("r2_low")),
                high=finite(rows[f, h].get("r2_high")),
                main=f == scores.get("main"),
            )
            for f, h in pairs
        )
        marked = [(f, finite(rows[f, h].get("r2"))) for f, h in pairs if f in ("mean", strongest)]
        lines = {"mean" if f == "mean" else "strongest": r2 for f, r2 in marked if r2 is not None}
        groups.append(SplitDots(split, title, dots, lines))
    return groups


def held_out(scores: Mapping[str, Any], predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per indicator: region_id with truth, held-out prediction and interval of the main vectors.

    Each is the mean over seeds; ``low`` and ``high`` are missing where the predictions have none.
    """
    chosen = predictions[
        (predictions["split"] == shown_split(scores)) & (predictions["features"] == subject(scores))
    ]
    if main_head(scores) is not None:
        chosen = chosen[chosen["head"] == main_head(scores)]
    plain = chosen.reindex(columns=["region_id", "indicator", *VALUES])
    plain = plain.astype({"region_id": str, "indicator": str})
    values = plain[VALUES].apply(as_floats)
    plain[VALUES] = values.where(np.isfinite(values))
    found = {str(name): rows for name, rows in plain.groupby("indicator", sort=False)}
    return {
        name: found[name].groupby("region_id", sort=False)[VALUES].mean().reset_index()
        for name in unique([*indicators(scores), *found])
        if name in found
    }


def draw_maps(
    regions: gpd.GeoDataFrame,
    scores: Mapping[str, Any],
    shown: Mapping[str, pd.DataFrame],
    units: Mapping[str, str],
) -> dict[str, Any]:
    """Data of the maps, pictures for browsers without scripts, names of several cities, and notes."""
    drawn: dict[str, Any] = {"map_json": None, "stills": [], "map_places": []}
    if not shown:
        return drawn | {"map_notes": ["There are no held-out predictions to draw."]}
    ids, shapes, notes = maps.region_shapes(regions)
    if not ids:
        return drawn | {"map_notes": [*notes, "No region has a geometry, so there is no map."]}
    layers = []
    for name, rows in shown.items():
        placed = rows.set_index("region_id").reindex(ids)
        truth, prediction, low, high = (placed[column].to_numpy(float) for column in VALUES)
        unit = clean(units.get(name, ""), 60)
        layers.append(maps.layer(words(name), unit, truth, prediction, is_log(scores, name), (low, high)))
    cities = _cities(regions, ids)
    return {
        "map_json": maps.map_data(ids, shapes, layers, cities),
        "stills": [
            picture | {"name": f"{city}: {picture['name']}" if city else picture["name"]}
            for city, rows in cities.items()
            for picture in stills([shapes[i] for i in rows], [_part(layer, rows) for layer in layers])
        ],
        "map_places": [name for name in cities if name],
        "map_notes": notes,
    }


def _cities(regions: gpd.GeoDataFrame, ids: list[str]) -> dict[str, list[int]]:
    """Rows of ``ids`` by city; one city without a name where regions do not tell."""
    rows: dict[str, list[int]] = {}
    if "city" in regions.columns:
        city = dict(zip(regions["region_id"].astype(str), regions["city"].astype(str), strict=True))
        for row, region in enumerate(ids):
            rows.setdefault(clean(city[region], 80), []).append(row)
    return rows if len(rows) > 1 else {"": list(range(len(ids)))}


def _part(layer: Mapping[str, Any], rows: list[int]) -> dict[str, Any]:
    """A layer of some of the regions; its colours mean what they mean on the whole."""
    return {**layer, **{key: [layer[key][row] for row in rows] for key in ("truth", "prediction", "error")}}


def draw_scatters(
    scores: Mapping[str, Any], shown: Mapping[str, pd.DataFrame], units: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Truth against prediction, one picture per indicator."""
    out = []
    for name, rows in shown.items():
        row = main_row(scores, name)
        known = int(rows[["truth", "prediction"]].notna().all(axis=1).sum())
        log = is_log(scores, name)
        summary = (
            f"R² {score(row.get('r2'))}{f' of {scale_of(scores, name)}' if log else ''}, "
            f"rank correlation {score(row.get('spearman'))}, {known:,} regions"
        )
        picture = scatter(
            f"{words(name)}: truth against held-out prediction. {summary}",
            rows["truth"].to_numpy(float),
            rows["prediction"].to_numpy(float),
            log=log,
            unit=clean(units.get(name, ""), 40),
        )
        out.append({"indicator": words(name), "picture": picture, "summary": summary})
    return out
