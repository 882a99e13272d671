"""Tables of region vectors read from files and matched to the regions of one or several cities.

With several cities a region is called ``CITYNAME/region_id`` from here on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import geopandas as gpd
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.files import table_note
from urbanln.base.frames import read_frame
from urbanln.base.saying import say
from urbanln.base.space import Floats
from urbanln.base.written import AS_IT_IS, Written
from urbanln.tables.columns import Features, features_of
from urbanln.tables.flat import read_own
from urbanln.tables.match import Match, match_ids, match_points
from urbanln.tables.names import KEYS, POSITIONS
from urbanln.tables.told import told
from urbanln.tables.values import KEEP, refuse_positions
from urbanln.tables.vectors import read_embeddings

CITY_WORD = "{city}"
_COUNTED = re.compile(r"(?:.*/)?row-\d+")  # what ingest calls rows of no id
_NO_IDS = "the city was made without ids: urbanln ingest takes --id-column, and places need no --key"
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
        raise InputError("no city was given", where="cities", remedy="give one city folder or more")
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


def vector_files(specs: Sequence[str], cities: Sequence[City]) -> list[Path]:
    """The files that :func:`read_vectors` reads."""
    return [Path(_file_of(spec.path, city)) for spec in map(_parse, specs) if spec.path for city in cities]


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
            where="--out",
        )
    return paths


@dataclass(frozen=True)
class Spec:
    """What a user says about one table of vectors.

    Args:
        name: What the table is called in the scores.
        path: The file; ``{city}`` stands for the name of a city's folder.
        columns: Names or patterns of the columns that are the vector.
        key: Column of the regions' ids, or ``LON,LAT``.
        nodata: What says that nothing is there.
    """

    name: str
    path: str | None = None
    columns: tuple[str, ...] = ()
    key: str | None = None
    nodata: tuple[str, ...] = ()

    @property
    def source(self) -> str | None:
        """``NAME=FILE``, for the options that errors name."""
        return None if self.path is None else f"{self.name}={self.path}"


def read_vectors(
    specs: Sequence[str],
    cities: Sequence[City],
    *,
    keys: Sequence[str] = (),
    nodata: Sequence[str] = (),
    written: Written = AS_IT_IS,
) -> dict[str, pd.DataFrame]:
    """Read tables of region vectors, ours or anybody's, and match them to the regions of cities.

    A table is keyed by ``region_id`` (with several cities by ``CITYNAME/region_id``, or by ids that no two
    of them share), or by position: each region takes the mean of the points inside, else the nearest point
    within the median spacing of regions; or by the column that ``keys`` names. What was read and matched is
    said on stderr, in one line per table.

    Args:
        specs: ``[NAME=]FILE[#COLUMN,…]``: Parquet, GeoParquet, CSV; without a name the file's own. ``{city}``
            in the path stands for the name of each city's folder. Columns may be patterns like ``A*``; when
            none is named, the vector is the one column of lists, or the columns that count up.
        cities: Whose regions.
        keys: ``[NAME=]COLUMN`` or ``[NAME=]LON,LAT``: what says whose a row is, in one table or in all others
            (ours are keyed by ``region_id``).
        nodata: ``[NAME=]CODE``: rows that hold it are left out; ``constant``: rows of one value throughout;
            ``none``: what looks like a code is a value.
        written: How tables of text are written: encoding, thousands, decimals.

    Returns:
        ``region_id`` and ``vector`` by name, in order; ``.attrs`` as in
        :func:`urbanln.tables.vectors.read_embeddings`.

    Raises:
        InputError: Two tables of one name, no vectors in a table, or none for the regions of a city; what
            could mean two things (see :func:`urbanln.tables.columns.features_of`).
        ArtefactError: A table of ours that holds something else than vectors, or is damaged.
    """
    tables: dict[str, pd.DataFrame] = {}
    for spec in _parsed(specs, keys, nodata):
        files = {city.name: _file_of(str(spec.path), city) for city in cities}
        frames = {file: _read(file, spec.key, written) for file in dict.fromkeys(files.values())}
        tables[spec.name] = _match(spec, {city: frames[file] for city, file in files.items()}, cities)
    return tables


def as_vectors(name: str, table: pd.DataFrame, cities: Sequence[City]) -> pd.DataFrame:
    """A table with ``region_id`` and ``vector``: as it is, or one that is matched like a file.

    That is a foreign one, and with several cities one whose regions go by their ids alone.
    """
    if {"region_id", "vector"} <= set(table.columns):
        known = pd.concat(region_ids(cities), ignore_index=True)
        if len(cities) == 1 or table["region_id"].astype(str).isin(known).any():
            return table
    return _match(Spec(name), {city.name: table for city in cities}, cities)


def _parsed(specs: Sequence[str], keys: Sequence[str], nodata: Sequence[str]) -> list[Spec]:
    """Every ``[NAME=]FILE[#COLUMN,…]`` with the keys and codes that are meant for it."""
    found = [_parse(spec) for spec in specs]
    names = [spec.name for spec in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(
            "two tables of vectors have one name",
            value=twice,
            remedy="give names: --vectors ours=a.parquet",
            where="--vectors",
        )
    key_of, codes_of = (
        _by_table(names, said, option) for said, option in ((keys, "--key"), (nodata, "--nodata"))
    )
    for name in names:
        if len(key_of[name]) > 1:
            raise InputError(
                "a table of vectors has one key",
                value=" and ".join(key_of[name]),
                where=f"--key of {name}",
                remedy="give one --key for it",
            )
    return [
        replace(spec, key=next(iter(key_of[spec.name]), None), nodata=tuple(codes_of[spec.name]))
        for spec in found
    ]


def _by_table(names: Sequence[str], said: Sequence[str], option: str) -> dict[str, list[str]]:
    """What ``[NAME=]VALUE`` says of each table: what is said of it by name, else of all."""
    of: dict[str, list[str]] = {name: [] for name in names}
    of_all: list[str] = []
    for text in said:
        name, equals, value = text.partition("=")
        if equals and name not in of:
            raise InputError(
                "no table of vectors is called so",
                value=name,
                where=f"{option} {text}",
                remedy=f"there are: {', '.join(names) or 'none'}",
            )
        (of[name] if equals else of_all).append(value if equals else text)
    return {name: own or of_all for name, own in of.items()}


def _parse(spec: str) -> Spec:
    """One ``[NAME=]FILE[#COLUMN,…]``."""
    name, equals, path = spec.partition("=")
    if not equals or Path(spec).exists():  # a file may have "=" in its own name
        name, path = "", spec
    columns: tuple[str, ...] = ()
    if "#" in path and not Path(path).exists():
        path, _, listed = path.rpartition("#")
        columns = tuple(part.strip() for part in listed.split(",") if part.strip())
    name = name or Path(path).stem
    if CITY_WORD in name:
        raise InputError(
            "this table needs a name", value=spec, remedy=f"--vectors ours={path}", where="--vectors"
        )
    return Spec(name, path, columns)


def _file_of(path: str, city: City) -> str:
    return path.replace(CITY_WORD, city.folder.resolve().name)


def _read(file: str, key: str | None, written: Written) -> pd.DataFrame:
    path = Path(file)
    if path.suffix.lower() in _PARQUET and table_note(path):
        return read_embeddings(path, shapes=False)  # a table of ours, which says what it holds
    if path.is_file() and (own := read_own(path)) is not None:
        return own
    # Shapes are read where they turn out to be the key: others may be in a system that nothing names.
    if path.suffix.lower() in _PARQUET:
        written = AS_IT_IS  # of tables of text
    text = [*KEYS, *([] if key is None else [key])]
    return read_frame(path, text=text, written=written, shapes=False, ungrouped=POSITIONS)


def _is_ours(frame: pd.DataFrame) -> bool:
    return "transductive" in frame.attrs


def _match(spec: Spec, frames: Mapping[str, pd.DataFrame], cities: Sequence[City]) -> pd.DataFrame:
    """One table for all cities, and a line on stderr for each file that says what was read and matched."""
    ids_of = {city.name: ids for city, ids in zip(cities, region_ids(cities), strict=True)}
    labels = {str(c) for city in cities for c in city.indicators.columns} - {"region_id"}
    read: list[tuple[list[City], dict[str, list[list[str]]], Features]] = []
    for frame in {id(frame): frame for frame in frames.values()}.values():
        own = [city for city in cities if frames[city.name] is frame]
        names_of = {city.name: _accepted(city, ids_of, own) for city in own}
        ours = _is_ours(frame)
        found = features_of(
            frame, columns=spec.columns, labels=labels, key=None if ours else spec.key,
            nodata=(KEEP, *spec.nodata) if ours else spec.nodata,
            known=[names for regions in names_of.values() for names in regions],
            where=spec.name, spec=spec.source,
        )  # fmt: skip
        read.append((own, names_of, found.in_order_of(read[0][2], spec.name) if read else found))
    # Of several cities' files a dimension is constant where it is so in each of them.
    constant = set.intersection(*(set(found.constant()) for _, _, found in read))
    parts: dict[str, pd.DataFrame] = {}
    for own, names_of, every in read:
        found = every.without(constant)
        matches = {city.name: _match_city(spec.name, found, city, names_of[city.name], own) for city in own}
        file = None if spec.path is None else _file_of(spec.path, own[0])
        say(told(spec.name, file, found, own, matches, spec.nodata))
        for city in own:
            match = matches[city.name]
            vectors = pd.Series(list(match.vectors), dtype=object)
            parts[city.name] = pd.DataFrame(
                {"region_id": ids_of[city.name].to_numpy()[match.rows], "vector": vectors}
            )
    return _joined(spec.name, [parts[city.name] for city in cities], frames, cities)


def _joined(
    name: str, parts: Sequence[pd.DataFrame], frames: Mapping[str, pd.DataFrame], cities: Sequence[City]
) -> pd.DataFrame:
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
    for fact in ("model", "view"):
        told = {frame.attrs.get(fact) for frame in frames.values()}
        whole.attrs[fact] = told.pop() if len(told) == 1 else None
    return whole


def _accepted(city: City, ids_of: Mapping[str, pd.Series], sharing: Sequence[City]) -> list[list[str]]:
    """What each region goes by in a table: its name with the city's, and its own where no other has it."""
    others: set[str] = set()
    for other in sharing if len(sharing) > 1 else ():
        if other is not city:
            others |= {*other.regions["region_id"], *ids_of[other.name]}
    return [
        [joint] if own in others else [joint, own]
        for joint, own in zip(ids_of[city.name], city.regions["region_id"], strict=True)
    ]


def _match_city(
    name: str, found: Features, city: City, accepted: Sequence[Sequence[str]], sharing: Sequence[City]
) -> Match:
    if found.ids is None:
        match = match_points(found, city.regions.geometry, city.centroids())
        remedy = "are lon and lat in degrees, and not swapped?"
    else:
        match = match_ids(found, accepted, where=name, several=len(sharing) > 1)
        remedy = (
            f"the regions of this city are called like {accepted[0][0]}; the table's ({found.key}) like "
            f"{found.ids[0]}; another column may name them: --key {name}=COLUMN"
        )
        if _COUNTED.fullmatch(accepted[0][0]):
            remedy = f"{_NO_IDS}; {remedy}"
        if len(sharing) > 1:
            remedy += "; or give a file per city: NAME=vectors/{city}.parquet"
    if len(match.rows) == 0:
        raise InputError(
            f"no region of {city.name} has a vector in this table",
            value=name,
            where=city.folder,
            remedy=remedy,
        )
    refuse_positions(match.vectors, city.centroids()[match.rows], found.chosen, name)
    return match
