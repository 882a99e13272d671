"""What is drawn of the held-out predictions: maps with their pictures, and scatters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from markupsafe import Markup

from urbanln.pages import maps
from urbanln.pages.still import stills
from urbanln.pages.text import clean, score, words
from urbanln.report import plots
from urbanln.report.reading import (
    indicators,
    is_log,
    main_head,
    main_row,
    scale_of,
    shown_split,
    subject,
    unique,
)

VALUES = ("truth", "prediction", "low", "high")


def held_out(scores: Mapping[str, Any], predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per indicator: region_id with truth, held-out prediction and interval of the main vectors.

    Each is the mean over seeds; ``low`` and ``high`` are missing where the predictions have none.
    """
    chosen = predictions[
        (predictions["split"] == shown_split(scores)) & (predictions["features"] == subject(scores))
    ]
    if main_head(scores) is not None:
        chosen = chosen[chosen["head"] == main_head(scores)]
    columns: dict[str, pd.Series] = {
        "region_id": chosen["region_id"].astype(str),
        "indicator": chosen["indicator"].astype(str),
    }
    for column in VALUES:
        given = chosen[column] if column in chosen.columns else pd.Series(np.nan, index=chosen.index)
        values = pd.to_numeric(given, errors="coerce").astype(float)
        columns[column] = values.where(np.isfinite(values))
    plain = pd.DataFrame(columns)
    out = {}
    for name in unique([*indicators(scores), *plain["indicator"]]):
        rows = plain[plain["indicator"] == name]
        if len(rows):
            out[name] = rows.groupby("region_id", sort=False)[list(VALUES)].mean().reset_index()
    return out


def draw_maps(
    regions: gpd.GeoDataFrame,
    scores: Mapping[str, Any],
    shown: Mapping[str, pd.DataFrame],
    units: Mapping[str, str],
) -> tuple[Markup | None, list[dict[str, Any]], list[str], list[str]]:
    """Data of the maps, pictures for browsers without scripts, names of several cities, and notes."""
    if not shown:
        return None, [], [], ["There are no held-out predictions to draw."]
    ids, shapes, notes = maps.region_shapes(regions)
    if not ids:
        return None, [], [], [*notes, "No region has a geometry, so there is no map."]
    layers = []
    for name, rows in shown.items():
        placed = rows.set_index("region_id").reindex(ids)
        truth, prediction, low, high = (placed[column].to_numpy(float) for column in VALUES)
        unit = clean(units.get(name, ""), 60)
        layers.append(maps.layer(words(name), unit, truth, prediction, is_log(scores, name), (low, high)))
    cities = _cities(regions, ids)
    pictures = [
        picture | {"name": f"{city}: {picture['name']}" if city else picture["name"]}
        for city, rows in cities.items()
        for picture in stills([shapes[i] for i in rows], [_part(layer, rows) for layer in layers])
    ]
    return maps.map_data(ids, shapes, layers, cities), pictures, [name for name in cities if name], notes


def _cities(regions: gpd.GeoDataFrame, ids: list[str]) -> dict[str, list[int]]:
    """Rows of ``ids`` by city; one city without a name where regions do not tell."""
    if "city" not in regions.columns:
        return {"": list(range(len(ids)))}
    city = dict(zip(regions["region_id"].astype(str), regions["city"].astype(str), strict=True))
    rows: dict[str, list[int]] = {}
    for row, region in enumerate(ids):
        rows.setdefault(clean(city[region], 80), []).append(row)
    return rows if len(rows) > 1 else {"": list(range(len(ids)))}


def _part(layer: Mapping[str, Any], rows: list[int]) -> dict[str, Any]:
    """A layer of some of the regions; its colours mean what they mean on the whole."""
    values = {key: [layer[key][row] for row in rows] for key in ("truth", "prediction", "error")}
    return {**layer, **values}


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
        picture = plots.scatter(
            f"{words(name)}: truth against held-out prediction. {summary}",
            rows["truth"].to_numpy(float),
            rows["prediction"].to_numpy(float),
            log=log,
            unit=clean(units.get(name, ""), 40),
        )
        out.append({"indicator": words(name), "picture": picture, "summary": summary})
    return out
