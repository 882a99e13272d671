"""A label as a source: what its section says it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import geopandas as gpd

from urbanln.gather.labels.joined import Joined
from urbanln.gather.labels.points import Points
from urbanln.gather.labels.rasters import Rastered
from urbanln.gather.labels.settings import JoinedLabel, LabelSource, PointLabel, RasterLabel, ShapeLabel
from urbanln.gather.labels.shapes import Shapes
from urbanln.gather.source import Source

_MADE_BY: Mapping[type[LabelSource], Callable[[str, Any, gpd.GeoDataFrame, str], Source]] = {
    RasterLabel: Rastered,
    PointLabel: Points,
    ShapeLabel: Shapes,
    JoinedLabel: Joined,
}


def label(name: str, settings: LabelSource, regions: gpd.GeoDataFrame, by: str) -> Source:
    """A label of the regions.

    Args:
        name: Of the label.
        settings: Its section of the recipe, with paths from here.
        regions: ``region_id`` and ``geometry`` in EPSG:4326, ``district`` where one was asked for.
        by: What the regions are; any kind is well.

    Raises:
        InputError: Its file cannot be read or used, or is of another place.
        MissingExtraError: It is of a raster, and rasterio or exactextract is not installed.
    """
    return _MADE_BY[type(settings)](name, settings, regions, by)
