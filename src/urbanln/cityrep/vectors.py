"""Vectors brought to the samples of a task as CityRep does: rasters, tables, its own position encoding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError, require
from urbanln.base.frames import read_frame
from urbanln.base.space import Floats, to_metres
from urbanln.cityrep.hexagons import as_cell, cells_over, h3_column
from urbanln.cityrep.payloads import Payload, Task
from urbanln.probe.floors import FLOORS
from urbanln.tables.columns import features_of
from urbanln.tables.match import match_ids

Single = npt.NDArray[np.float32]
POSITION = "PE"
"""The one model of CityRep's whose vectors can be had: its position encoding, made of coordinates alone."""
SCALES, NEAREST_DEG, WIDEST_DEG = 64, 0.001, 360.0
TINY_LENGTH = 1e-6
_RASTERS = (".tif", ".tiff")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,60}")
_REMEDY = "--vectors 'mine=vectors/{city}.tif', or {city}.parquet; {task} is the task's name; or --vectors PE"


@dataclass(frozen=True)
class Source:
    """Where vectors come from.

    Attributes:
        name: What they are called in the scores.
        pattern: A path; ``{city}`` stands for the city's name, ``{task}`` for the task's. None: they are made
            of coordinates.
        columns: Names or patterns of a table's columns that are the vector; empty: as
            :func:`urbanln.tables.columns.features_of` finds them.
    """

    name: str
    pattern: str | None
    columns: tuple[str, ...] = ()

    def file(self, task: Task) -> Path | None:
        """The file for a task."""
        if self.pattern is None:
            return None
        return Path(self.pattern.replace("{city}", task.city).replace("{task}", task.name))


def parse_sources(specs: Sequence[str]) -> list[Source]:
    """``NAME=PATTERN[#COLUMN,…]`` or ``PE``, each.

    Raises:
        InputError: No name, one that is taken, or a pattern that is the same file for all cities.
    """
    found: list[Source] = []
    for spec in specs:
        name, _, pattern = spec.partition("=")
        pattern, _, listed = pattern.partition("#")
        columns = tuple(part.strip() for part in listed.split(",") if part.strip())
        what = ""
        if name == POSITION and not pattern:
            found.append(Source(POSITION, None))
            continue
        if not pattern:
            what = "vectors are given as NAME=FILE"
        elif not _NAME.fullmatch(name) or name in (*FLOORS, POSITION):
            what = "vectors need a name of their own, of letters and digits"
        elif "{city}" not in pattern and "{task}" not in pattern:
            what = "one file is given for all cities"
        if what:
            raise InputError(what, value=spec, where="--vectors", remedy=_REMEDY)
        found.append(Source(name, pattern, columns))
    names = [source.name for source in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(
            "two tables of vectors have one name", value=twice, where="--vectors", remedy=_REMEDY
        )
    return found


def vectors_of(source: Source, payload: Payload) -> tuple[Single, int]:
    """Vectors of all samples, (N, D), each of length 1; and how many samples have none, whose vector is 0.

    A raster finer or coarser than the task's own is brought to its grid by the mean over each cell, one on
    the same grid is taken as it is; where the task has no raster, it is looked up at the samples' points. A
    table is looked up by ``sample_id``, or by the H3 cell that a sample lies in; by position it gives each
    sample the nearest row.

    Raises:
        InputError: No such file, or no vectors in it that can be used.
    """
    file = source.file(payload.task)
    if file is None:
        made = position_encoding(payload.lonlat)
    elif file.suffix.lower() in _RASTERS:
        made = require("urbanln.cityrep.rasters").raster_vectors(file, payload)
    else:
        made = _from_table(file, source, payload)
    missing = ~np.isfinite(made).all(axis=1) | (np.linalg.norm(np.nan_to_num(made), axis=1) <= 1e-8)
    if missing.all():
        remedy = "check that it is the file of this city"
        raise InputError("no sample has a vector", value=str(file), where=payload.task.name, remedy=remedy)
    return unit_length(np.nan_to_num(made, nan=0.0)), int(missing.sum())


def unit_length(vectors: npt.NDArray) -> Single:
    """Each row divided by its length, in float32; a row of zeros stays one. Columns are not standardised."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.clip(length, TINY_LENGTH, None)).astype(np.float32)


def position_encoding(lonlat: Floats) -> Single:
    """CityRep's model PE: Sphere2Vec-sphereC at 64 scales, (N, 192), before it is brought to length 1.

    Args:
        lonlat: (N, 2) degrees.

    Source:
        Mai et al. 2023, ISPRS J. 202, equation of sphereC; scales from 0.001 to 360 in equal ratios, as
        CityRep's ``baselines/registry/embedding_manifest.csv`` says. With it CityRep's published scores of
        PE come out to the fourth digit (``docs/cityrep.md``).
    """
    scales = np.geomspace(NEAREST_DEG, WIDEST_DEG, SCALES)
    lon, lat = (np.radians(lonlat[:, axis : axis + 1]) / scales for axis in (0, 1))
    parts = [np.sin(lat), np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon)]
    return np.stack(parts, axis=-1).reshape(len(lonlat), -1).astype(np.float32)


@contextmanager
def _without_options() -> Iterator[None]:
    """What options of other verbs would do about a table is done in the table: this verb has none of them."""
    try:
        yield
    except InputError as error:
        if "--key" in error.remedy:
            error.remedy = (
                "it needs a column sample_id, or one of H3 cells in every row, or lon and lat in degrees"
            )
        elif "--nodata" in error.remedy:
            error.remedy = "leave such rows out of the table"
        raise


def _from_table(file: Path, source: Source, payload: Payload) -> Single:
    frame = read_frame(file, text=["sample_id"])
    keyed = "sample_id" in frame.columns
    hexagons = None if keyed else h3_column(frame, str(file))
    with _without_options():
        found = features_of(
            frame, columns=source.columns, labels=payload.task.columns,
            key="sample_id" if keyed else hexagons, known=[payload.ids.tolist()], where=str(file),
            spec=f"{source.name}={source.pattern}",
        )  # fmt: skip
    made = np.full((len(payload), found.vectors.shape[1]), np.nan, dtype=np.float32)
    usual = () if found.ids is None or keyed else [as_cell(str(name)) for name in found.ids]
    if usual and all(usual):  # of a column, or of the frame's index
        found = replace(found, ids=np.array(usual, dtype=object))
        for cells in cells_over(payload.lonlat, usual):
            each, sample = np.unique(cells, return_inverse=True)
            match = match_ids(found, [[name] for name in each.tolist()], where=str(file))
            row_of = np.full(len(each), -1)
            row_of[match.rows] = np.arange(len(match.rows))
            made[row_of[sample] >= 0] = match.vectors[row_of[sample][row_of[sample] >= 0]]
    elif found.ids is not None:
        match = match_ids(found, [[name] for name in payload.ids.tolist()], where=str(file))
        made[match.rows] = match.vectors
    else:
        assert found.lonlat is not None
        both = to_metres(np.vstack([payload.lonlat, found.lonlat]))
        nearest = cKDTree(both[len(payload) :]).query(both[: len(payload)])[1]
        made[:] = found.vectors[nearest]
    return made
