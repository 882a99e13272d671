"""Maps as a page prints them: their data, pictures of them, and what can be chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import geopandas as gpd

from urbanln.pages.maps import map_data, region_shapes
from urbanln.pages.still import stills
from urbanln.pages.text import clean


def map_tool(
    regions: gpd.GeoDataFrame,
    layers: Callable[[list[str]], Sequence[Mapping[str, Any]]],
    *,
    none: str,
    chooser: str = "Indicator",
) -> dict[str, Any]:
    """What ``map_tool.html.j2`` prints, and ``map_json`` for the page's script, ``None`` without a map.

    Args:
        regions: region_id and geometry, polygons or points, in any CRS; EPSG:4326 when none is set. With a
            column ``city`` that names several, the maps show one city at a time.
        layers: Makes what can be shown, as :func:`urbanln.pages.maps.layer` does, of the ids that are drawn;
            all with equally many views.
        none: Said where there is no layer.
        chooser: What the list of layers is called.
    """
    drawn: dict[str, Any] = {"map_json": None, "map": None, "map_notes": []}
    ids, shapes, notes = region_shapes(regions)
    if not ids:
        return drawn | {"map_notes": [*notes, "No region has a geometry, so there is no map."]}
    made = layers(ids)
    if not made:
        return drawn | {"map_notes": [none]}
    cities = _cities(regions, ids)
    pictures = [
        picture | {"name": f"{city}: {picture['name']}" if city else picture["name"]}
        for city, rows in cities.items()
        for picture in stills([shapes[i] for i in rows], [_part(layer, rows) for layer in made])
    ]
    tool = {
        "stills": pictures,
        "chooser": chooser,
        "names": [(layer["name"], layer["views"][0]["unit"]) for layer in made],
        "places": [name for name in cities if name],
        "panels": len(made[0]["views"]),
    }
    return {"map_json": map_data(ids, shapes, made, cities), "map": tool, "map_notes": notes}


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
    views = [{**view, "values": [view["values"][row] for row in rows]} for view in layer["views"]]
    return {**layer, "views": views}
