"""Names on the map: where a name's regions lie, how wide they are and how large, the largest first."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.explore.content import Place
from urbanln.pages.text import clean, cut

MOST_NAMES = 5_000
"""A page shows some tens at once; of more names than this the smallest are left out."""
_LENGTH = 40
_DEGREE_M = 111_320  # of latitude
Named = tuple[str, float, float, float, float]


def named_places(
    regions: gpd.GeoDataFrame, lonlat: npt.NDArray[np.float64], places: Sequence[Place]
) -> list[Named]:
    """What can be written on the map: regions of one city that share a name are one place.

    Args:
        regions: In EPSG:4326; without a column ``name`` there is nothing.
        lonlat: (N, 2) middles, degrees.
        places: The cities.

    Returns:
        Name; longitude and latitude of the middle of the region nearest to the middle of them all; the
        width of all of them in degrees; their size in square metres, about, 0 for a single dot.
        The largest first.
    """
    if "name" not in regions.columns:
        return []
    named = regions["name"]
    rows = np.flatnonzero(named.notna().to_numpy())
    city = np.repeat(np.arange(len(places)), [one.last - one.first for one in places])[rows]
    frame = pd.DataFrame(regions.geometry.bounds.to_numpy()[rows], columns=["west", "south", "east", "north"])
    frame["lon"], frame["lat"] = lonlat[rows].T
    frame["narrow"] = np.cos(np.radians(frame["lat"]))
    frame["size"] = (frame["east"] - frame["west"]) * (frame["north"] - frame["south"]) * frame["narrow"]
    frame = frame.loc[np.isfinite(frame.to_numpy()).all(axis=1)]
    keys = [city[frame.index], named.to_numpy()[rows][frame.index].astype(str)]
    groups = frame.groupby(keys, sort=False)
    away = (frame["lon"] - groups["lon"].transform("mean")) * frame["narrow"]
    frame["away"] = np.hypot(away, frame["lat"] - groups["lat"].transform("mean"))
    every = groups.agg({"west": "min", "south": "min", "east": "max", "north": "max", "size": "sum"})
    middle = frame.loc[frame.groupby(keys, sort=False)["away"].idxmin()]
    wide, high = (every["east"] - every["west"]).to_numpy(), (every["north"] - every["south"]).to_numpy()
    size = np.where(every["size"] > 0, every["size"], wide * high * middle["narrow"].to_numpy())
    size *= _DEGREE_M**2
    order = np.argsort(-size, kind="stable")[:MOST_NAMES]
    said = every.index.get_level_values(1)[order]
    texts = [cut(" ".join(clean(one, 4 * _LENGTH).split()), _LENGTH) for one in said]
    numbers = np.column_stack([middle[["lon", "lat"]].to_numpy(), wide, size])[order].round(6)
    lon, lat, across, area = numbers.T.tolist()
    return [one for one in zip(texts, lon, lat, across, area, strict=True) if one[0]]
