"""Tables of region vectors read from files and matched to the regions of one or several cities.

With several cities a region is called ``CITYNAME/region_id`` from here on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import geopandas as gpd
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.files import table_note
from urbanln.base.frames import id_text, read_frame
from urbanln.base.space import Floats
from urbanln.tables.columns import Features, features_of
from urbanln.tables.match import Match, match_ids, match_points
from urbanln.tables.vectors import read_embeddings

CITY_WORD = "{city}"
_PARQUET = (".parquet", ".geoparquet", ".pq")


class City(Protocol):
    """What is asked of a city here; :class:`urbanln.city.store.City` has it."""

    folder: Path
    regions: gpd.GeoDataFrame
    indicators: pd.DataFrame

    @property
    def name(self) -> str:
        """What its regions are called after, where there are several cities."""

    def centroids(self) -> Floats:
        """(N, 2) longitude and latitude of the regions, degrees."""


def region_ids(cities: Sequence[City]) -> list[pd.Series]:
    """What each city's regions are called: their ids, behind the city's name where there are several.

    Raises:
        InputError: No city, or two of one name.
    """
    if not cities:
        raise InputError("no city was given")
    names = [city.name for city in cities]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            "two cities have one name",
            value=twice,
            where=", ".join(str(city.folder) for city in cities if city.name == twice),
            remedy="change 'name' in one city.toml",
        )
    return [prefix(cities, city) + city.regions["region_id"] for city in cities]


def prefix(cities: Sequence[City], city: City) -> str:
    """What stands before the ids of a city's regions: its name, where there are several cities."""
    return f"{city.name}/" if len(cities) > 1 else ""


def city_paths(cities: Sequence[City], out: str) -> list[Path]:
    """A file per city: ``{city}`` in the path stands for the name of the city's folder.

    Raises:
        InputError: Two cities would have one file.
    """
    paths = [Path(out.replace("{city}", city.folder.resolve().name)) for city in cities]
    if len(set(paths)) < len(paths):
        raise InputError(
            "several cities would be written to one file",
            value=str(next(path for path in paths if paths.count(path) > 1)),
            remedy='put {city} into --out, e.g. "vectors/{city}.parquet", and name the folders apart',
        )
    return paths


def read_vectors(specs: Sequence[str], cities: Sequence[City]) -> dict[str, pd.DataFrame]:
    """Read tables of region vectors, ours or anybody's, and match them to the regions of cities.

    A table is keyed by ``region_id`` (with several cities by ``CITYNAME/region_id``, or by ids that no two
    of them share), or by position: each region takes the mean of the points inside, else the nearest point
    within the median spacing of regions. What was matched is said on stderr.

    Args:
        specs: ``[NAME=]FILE[#COLUMN,…]``: Parquet, GeoParquet, CSV; without a name the file's own. ``{city}``
            in the path stands for the name of each city's folder. Columns may be patterns like ``A*``; when
            none is named, every numeric column but ids and positions is a dimension.
        cities: Whose regions.

    Returns:
        ``region_id`` and ``vector`` by name, in order; ``.attrs["transductive"]`` as in
        :func:`urbanln.tables.vectors.read_embeddings`.

    Raises:
        InputError: Two tables of one name, no vectors in a table, or none for the regions of a city.
        ArtefactError: A table of ours that holds something else than vectors, or is damaged.
    """
    tables: dict[str, pd.DataFrame] = {}
    for name, path, columns in map(_parse, specs):
        if name in tables:
            raise InputError(
                "two tables of vectors have one name",
                value=name,
                remedy="give names: --vectors ours=a.parquet",
            )
        files = {city.name: path.replace(CITY_WORD, city.folder.resolve().name) for city in cities}
        frames = {file: _read(file) for file in dict.fromkeys(files.values())}
        tables[name] = _match(name, {city: frames[file] for city, file in files.items()}, cities, columns)
    return tables


def as_vectors(name: str, table: pd.DataFrame, cities: Sequence[City]) -> pd.DataFrame:
    """A table with ``region_id`` and ``vector``: as it is, or one that is matched like a file.

    That is a foreign one, and with several cities one whose regions go by their ids alone.
    """
    if {"region_id", "vector"} <= set(table.columns):
        known = pd.concat(region_ids(cities), ignore_index=True)
        if len(cities) == 1 or table["region_id"].astype(str).isin(known).any():
            return table
    return _match(name, {city.name: table for city in cities}, cities, ())


def _parse(spec: str) -> tuple[str, str, tuple[str, ...]]:
    """Name, path and columns of one ``[NAME=]FILE[#COLUMN,…]``."""
    name, equals, path = spec.partition("=")
    if not equals or Path(spec).exists():  # a file may have "=" in its own name
        name, path = "", spec
    columns: tuple[str, ...] = ()
    if "#" in path and not Path(path).exists():
        path, _, listed = path.rpartition("#")
        columns = tuple(part.strip() for part in listed.split(",") if part.strip())
    name = name or Path(path).stem
    if CITY_WORD in name:
        raise InputError("this table needs a name", value=spec, remedy=f"--vectors ours={path}")
    return name, path, columns


def _read(file: str) -> pd.DataFrame:
    path = Path(file)
    if path.suffix.lower() in _PARQUET and table_note(path):
        return read_embeddings(path)  # a table of ours, which says what it holds
    return read_frame(path, text=["region_id"])


def _match(
    name: str, frames: Mapping[str, pd.DataFrame], cities: Sequence[City], columns: Sequence[str]
) -> pd.DataFrame:
    """One table for all cities, and a line on stderr for each city that says what was matched."""
    taken: dict[int, Features] = {}
    parts: list[pd.DataFrame] = []
    labels = {str(c) for city in cities for c in city.indicators.columns} - {"region_id"}
    for city, ids in zip(cities, region_ids(cities), strict=True):
        frame = frames[city.name]
        if id(frame) not in taken:
            taken[id(frame)] = features_of(_keyed(frame), columns=columns, labels=labels, where=name)
        found = taken[id(frame)]
        shared = len(frames) > 1 and len({id(other) for other in frames.values()}) == 1
        match = _match_city(name, found, city, ids, cities if shared else [city])
        if line := _told(name, city, found, match):
            print(line, file=sys.stderr)
        vectors = pd.Series(list(match.vectors), dtype=object)
        parts.append(pd.DataFrame({"region_id": ids.to_numpy()[match.rows], "vector": vectors}))
    whole = pd.concat(parts, ignore_index=True)
    lengths = {city.name: len(part["vector"].iloc[0]) for city, part in zip(cities, parts, strict=True)}
    if len(set(lengths.values())) > 1:
        raise InputError(
            "the vectors of the cities differ in length", value=lengths, where=name,
            remedy="make them together: urbanln embed CITY CITY …",
        )  # fmt: skip
    known = {frame.attrs.get("transductive") for frame in frames.values()}
    # Pictures of one city seen in pre-training are enough for the sentence that says so.
    whole.attrs = {"transductive": True if True in known else None if None in known else False}
    return whole


def _keyed(frame: pd.DataFrame) -> pd.DataFrame:
    """With ``region_id`` as a column of text, also where it was the index."""
    if "region_id" not in frame.columns and frame.index.name == "region_id":
        frame = frame.reset_index()
    return frame.assign(region_id=id_text(frame["region_id"])) if "region_id" in frame.columns else frame


def _match_city(name: str, found: Features, city: City, ids: pd.Series, sharing: Sequence[City]) -> Match:
    if found.ids is None:
        match = match_points(found, city.regions.geometry, city.centroids())
        remedy = "are lon and lat in degrees, and not swapped?"
    else:
        others = {
            region
            for other, joint in zip(sharing, region_ids(sharing), strict=True)
            if other is not city
            for region in (*other.regions["region_id"], *joint)
        }
        accepted = [
            [joint] if own in others else [joint, own]
            for joint, own in zip(ids, city.regions["region_id"], strict=True)
        ]
        match = match_ids(found, accepted, where=name)
        remedy = f"the regions of this city are called like {ids.iloc[0]}; the table's like {found.ids[0]}"
        if len(sharing) > 1:
            remedy += "; or give a file per city: NAME=vectors/{city}.parquet"
    if len(match.rows) == 0:
        raise InputError(
            f"no region of {city.name} has a vector in this table",
            value=name,
            where=city.folder,
            remedy=remedy,
        )
    return match


def _told(name: str, city: City, found: Features, match: Match) -> str:
    """What was matched in one line; nothing where all regions have a vector by their id."""
    parts = []
    if match.reach_km is not None:
        parts.append(
            f"{match.inside:,} by the points inside, {match.near:,} by the nearest point within "
            f"{match.reach_km:.3g} km"
        )
    if found.names:
        shown = found.names[0] if len(found.names) == 1 else f"{found.names[0]} … {found.names[-1]}"
        parts.append(f"{len(found.names)} dimensions: {shown}")
    if found.passed_over:
        parts.append(f"passed over, since a label is called so: {', '.join(found.passed_over)}")
    if found.left_out:
        parts.append(f"{found.left_out:,} rows left out, a value is missing or not finite")
    if not parts and len(match.rows) == len(city.regions):
        return ""
    said = f"{name}: {len(match.rows):,} of {len(city.regions):,} regions of {city.name} have a vector"
    return "; ".join([said, *parts])
