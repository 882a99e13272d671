"""Pictures or points into regions, and regions into districts, as a user asked for them."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.city.extent import Extent, in_several
from urbanln.city.regions import districts_of, make_regions


def divide(
    units: pd.DataFrame, rows: pd.DataFrame, how: str, reading: dict[str, Any]
) -> tuple[gpd.GeoDataFrame, pd.DataFrame, pd.DataFrame, int, list[str]]:
    """Divide a city into regions.

    Args:
        units: Pictures, or points: ``key``, ``image_id``, ``lon``, ``lat``.
        rows: Rows of the table that are about them, by ``key``.
        how: See :func:`urbanln.city.regions.make_regions`.
        reading: How files of polygons are read.

    Returns:
        The regions; the units and the rows inside with their ``region_id``; how many rows are outside; and
        what there is to say.

    Raises:
        InputError: Everything is outside, or the regions cannot be made.
    """
    lon, lat = (units[c].to_numpy(dtype=np.float64) for c in ("lon", "lat"))
    shapes, ids = make_regions(how, lon, lat, units["image_id"], **reading)
    inside_now, swapped = int(ids.notna().sum()), 0
    if 2 * inside_now < len(units) and np.abs(lon).max() <= 90:
        exchanged = make_regions(how, lat, lon, units["image_id"], **reading | {"tell": False})
        swapped = int(exchanged[1].notna().sum())
    units = units.assign(region_id=ids.to_numpy())
    rows = rows.assign(region_id=rows["key"].map(units.set_index("key")["region_id"]))
    inside = rows[rows["region_id"].notna()]
    exchange = "longitude and latitude look swapped: exchange --lon and --lat"
    if inside.empty:
        raise InputError(
            "every point is outside the polygons",
            value=f"points {Extent.around(lon, lat)}, polygons {_bounds(*shapes.total_bounds)}",
            where=how,
            remedy=exchange if swapped else "check that both are of one city, and --crs",
        )
    found = in_several(shapes, lon, lat)
    if swapped > inside_now:
        found.append(
            f"{inside_now} points are inside the polygons, exchanged it would be {swapped}: {exchange}"
        )
    return shapes, units[units["region_id"].notna()], inside, len(rows) - len(inside), found


def with_districts(
    shapes: gpd.GeoDataFrame, rows: pd.DataFrame, district: str | None, reading: dict[str, Any]
) -> tuple[gpd.GeoDataFrame, int | None]:
    """The regions with a column ``district``, and how many have none.

    Args:
        shapes: The regions.
        rows: Rows inside, with ``region_id`` and, where the table has them, ``district``.
        district: What was asked for: a column, a file of polygons, or nothing.
        reading: How files of polygons are read.

    Raises:
        InputError: No region is in any.
    """
    if district is None:
        return shapes, None
    named = rows["district"].notna()
    if named.any():
        # The most frequent one; of several, the one that stands first in the table.
        count = rows[named].groupby(["region_id", "district"], sort=False).size().reset_index(name="n")
        most = count.sort_values("n", ascending=False, kind="stable").drop_duplicates("region_id")
        districts = shapes["region_id"].map(most.set_index("region_id")["district"])
    else:
        middles = shapes.geometry.representative_point()
        districts = districts_of(district, middles.x.to_numpy(), middles.y.to_numpy(), **reading)
    shapes = shapes.assign(district=districts.astype("str").to_numpy())
    missing = int(shapes["district"].isna().sum())
    if missing == len(shapes):
        raise InputError(
            "no region is in any district",
            value=district,
            remedy="check --district and --crs, and that longitude and latitude are not exchanged",
            where="--district",
        )
    return shapes, missing


def _bounds(west: float, south: float, east: float, north: float) -> str:
    return f"lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}"
