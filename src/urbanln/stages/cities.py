"""Several cities joined for the probe and the report: a region is then called ``CITYNAME/region_id``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind
from urbanln.city.near_duplicates import shared_pictures
from urbanln.city.store import City
from urbanln.tables.cities import prefix, region_ids


@dataclass(frozen=True, eq=False)
class Joint:
    """Several cities as one: what the probe is handed besides the vectors.

    Args:
        indicators: ``region_id`` and the columns of every label; missing where a city lacks one.
        kinds: Every label, in order: a number, classes or shares, and its columns of ``indicators``.
        where: ``region_id``, ``lon``, ``lat`` in degrees, ``city``, and ``district`` where regions have it.
        units: Unit of each label.
        groups: Region to the number of the group that shows the same picture; None where none do.
        made_from: Names and SHA-256 of the tables.
    """

    indicators: pd.DataFrame
    kinds: dict[str, LabelKind]
    where: pd.DataFrame
    units: dict[str, str]
    groups: dict[str, int] | None
    made_from: dict[str, str]


def join_cities(cities: Sequence[City]) -> Joint:
    """Labels, positions and shared pictures of one or several cities.

    Raises:
        InputError: Two cities have one name, or give one label in two units or as two kinds.
    """
    labels, places, images = [], [], []
    units: dict[str, str] = {}
    made_from: dict[str, str] = {}
    for city, names in zip(cities, region_ids(cities), strict=True):
        before = prefix(cities, city)
        labels.append(city.indicators.assign(region_id=before + city.indicators["region_id"]))
        places.append(_positions(city, names, before))
        pictures = city.images[["region_id", "sha256"]]
        images.append(pictures.assign(region_id=before + pictures["region_id"]))
        made_from |= {before + k: v for k, v in city.fingerprint().items()}
        for name, note in city.meta.indicators.items():
            if units.setdefault(name, note.unit) != note.unit:
                raise InputError(
                    "two cities give one label in two units",
                    value=f"{units[name]!r} and {note.unit!r}",
                    where=f"indicator {name}, {city.folder}",
                    remedy="convert one of them, or rename it",
                )
    return Joint(
        indicators=pd.concat(labels, ignore_index=True),
        kinds=_joint_kinds(cities),
        where=pd.concat(places, ignore_index=True),
        units=units,
        groups=shared_pictures(pd.concat(images, ignore_index=True)) or None,
        made_from=made_from,
    )


def _joint_kinds(cities: Sequence[City]) -> dict[str, LabelKind]:
    """What each label is in all cities that have it."""
    joint: dict[str, LabelKind] = {}
    owner: dict[str, str] = {}
    for city in cities:
        for name, label in city.kinds().items():
            known = joint.setdefault(name, label)
            owners = {owner.setdefault(column, name) for column in label.columns}
            if (known.kind, {*known.columns}) != (label.kind, {*label.columns}) or owners != {name}:
                told = [f"{one.kind} ({', '.join(one.columns)})" for one in (known, label)]
                raise InputError(
                    "two cities give one label as two kinds, or with other parts",
                    value=" and ".join(told),
                    where=f"indicator {name}, {city.folder}",
                    remedy="ingest one of them again, or rename it",
                )
    return joint


def join_regions(cities: Sequence[City]) -> gpd.GeoDataFrame:
    """``region_id``, ``geometry`` (EPSG:4326) and ``city`` of all regions."""
    frames = [
        city.regions[["region_id", "geometry"]].assign(region_id=names, city=city.name)
        for city, names in zip(cities, region_ids(cities), strict=True)
    ]
    return gpd.GeoDataFrame(pd.concat(frames, ignore_index=True))


def _positions(city: City, names: pd.Series, before: str) -> pd.DataFrame:
    lonlat = city.centroids()
    frame = pd.DataFrame({"region_id": names, "lon": lonlat[:, 0], "lat": lonlat[:, 1], "city": city.name})
    if "district" in city.regions.columns:
        district = city.regions["district"]
        frame["district"] = (before + district.astype(str)).where(district.notna(), None)
    return frame
