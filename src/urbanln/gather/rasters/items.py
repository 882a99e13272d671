"""Lists of STAC items, as JSON or GeoParquet: which of the files they name a place needs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from urbanln.base.errors import InputError
from urbanln.base.frames import read_frame
from urbanln.base.parsing import read_json
from urbanln.gather.local_files import is_address
from urbanln.gather.rasters.settings import RasterSource

_REMEDY = "give a FeatureCollection of STAC items, or stac-geoparquet: id, geometry, datetime, assets"
_PARQUET = (".parquet", ".geoparquet", ".pq")


@dataclass(frozen=True)
class Item:
    """One item of a list.

    Attributes:
        id: Its name.
        time: When it was taken, or the beginning of that; NaT where it does not say.
        cloud: Per cent of clouds; NaN where it does not say.
        shape: Where it lies, in degrees.
        hrefs: Asset → address or path.
    """

    id: str
    time: Any
    cloud: float
    shape: shapely.Geometry
    hrefs: Mapping[str, str]


def files_of(settings: RasterSource, regions: gpd.GeoDataFrame) -> tuple[str, ...]:
    """The files of the items that are asked for and lie on the regions: least clouds first, then the newest.

    Args:
        settings: Of the source, with the list's path from here.
        regions: In EPSG:4326.

    Raises:
        InputError: No such list, none of its items fits, an item lacks the asset, or what it names is neither
            an address nor a path.
        ArtefactError: The list is damaged.
    """
    path = Path(settings.items)
    ground = shapely.union_all(regions.geometry.to_numpy())
    items = list(_items(path))
    near = [one for one in items if shapely.intersects(one.shape, ground)]
    found = [one for one in near if _fits(one, settings)]
    if not found:
        told = f"{len(items):,} items, {len(near):,} of them on the place"
        remedy = "take a list of this place, or allow more days (since, until) and clouds (max_cloud)"
        raise InputError("no item of the list fits", value=told, where=path, remedy=remedy)
    found.sort(key=lambda one: (np.nan_to_num(one.cloud, nan=101.0), -_seconds(one.time), one.id))
    return tuple(dict.fromkeys(_file(one, settings, path) for one in found))


def _seconds(time: Any) -> float:
    return -math.inf if pd.isna(time) else float(time.timestamp())


def _fits(item: Item, settings: RasterSource) -> bool:
    """Whether an item is of the days and as clear as asked for; one that does not say is not."""
    if settings.since or settings.until:
        if pd.isna(item.time):
            return False
        day = item.time.date()
        if (settings.since and day < settings.since) or (settings.until and day > settings.until):
            return False
    return settings.max_cloud is None or item.cloud <= settings.max_cloud


def _file(item: Item, settings: RasterSource, path: Path) -> str:
    href = item.hrefs.get(settings.asset)
    if href is None:
        what, remedy = "an item has no such asset", f"it has {', '.join(item.hrefs) or 'none'}"
        raise InputError(what, value=settings.asset, where=f"{path}, item {item.id}", remedy=remedy)
    if not is_address(href):
        if urlsplit(href).scheme:
            remedy = (
                "only https:// and http:// are asked, and paths read: sign or rewrite the list's addresses"
            )
            raise InputError("this is no address", value=href, where=f"{path}, item {item.id}", remedy=remedy)
        return str(path.parent / href)
    return href


def _items(path: Path) -> Iterator[Item]:
    """The items of a file."""
    if path.suffix.lower() in _PARQUET:
        frame = read_frame(path)
        if not isinstance(frame, gpd.GeoDataFrame) or not {"id", "assets"} <= set(frame.columns):
            raise InputError("this is no list of STAC items", where=path, remedy=_REMEDY)
        for row in frame.to_dict("records"):
            yield _item(row["id"], row["geometry"], row["assets"], row)
        return
    told = read_json(path, fault="this is no list of STAC items", remedy=_REMEDY)
    features = told.get("features", [told]) if isinstance(told, dict) else told
    try:
        for one in features:
            shape = shapely.from_geojson(json.dumps(one["geometry"]))
            yield _item(one["id"], shape, one["assets"], one["properties"])
    except (KeyError, TypeError, AttributeError, ValueError, shapely.errors.GEOSException) as error:
        what = "this is no list of STAC items"
        raise InputError(what, value=repr(error), where=path, remedy=_REMEDY) from error


def _item(name: Any, shape: Any, assets: Any, facts: Mapping[str, Any]) -> Item:
    times = [facts.get(key) for key in ("datetime", "start_datetime")]
    told = [one for one in times if one is not None and one is not pd.NaT]
    time = pd.to_datetime(str(told[0]), utc=True, errors="coerce") if told else pd.NaT
    cloud = facts.get("eo:cloud_cover")
    hrefs = {key: str(asset["href"]) for key, asset in assets.items() if asset and asset.get("href")}
    return Item(str(name), time, math.nan if cloud is None else float(cloud), shape, hrefs)
