"""Region vectors for tools that read no lists: CSV and GeoPackage with a column per dimension.

``write_vectors`` and ``read_own`` are each other's reverse, to the bit: numbers of float32 are written with
the fewest digits that tell them apart, ids are text.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import SCHEMA_VERSION, atomic_path, table_note
from urbanln.base.outputs import FileKind, of_kind, with_first_line
from urbanln.base.parsing import parse_json
from urbanln.tables.vectors import KIND, check_embeddings, matrix, told_of, write_embeddings

_LAYER, _NOTE = "vectors", "urbanln"
_BEFORE = ("region_id", "n_images")
_MOST = 1990  # columns of numbers; SQLite has room for 2,000 of all kinds


def _names(dimensions: int) -> list[str]:
    return [f"v{number}" for number in range(dimensions)]


def _is_header(line: str) -> bool:
    before, dimensions = line.split(",")[: len(_BEFORE)], line.split(",")[len(_BEFORE) :]
    return before == [*_BEFORE] and bool(dimensions) and dimensions == _names(len(dimensions))


def _map_note(path: Path) -> dict[str, Any]:
    """What a GeoPackage of ours says of itself; empty for anybody's."""
    import pyogrio  # here, like below: most tables are Parquet, and GDAL takes a tenth of a second

    try:
        told = pyogrio.read_info(path, layer=_LAYER).get("layer_metadata") or {}
        note: dict[str, Any] = parse_json(told.get(_NOTE, "{}"), dict[str, Any])
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError):
        return {}
    return note


_is_csv = with_first_line(_is_header)


def _is_map(path: Path) -> bool:
    return _map_note(path).get("kind") == KIND


VECTORS = FileKind("a table of vectors", {".parquet": of_kind(KIND), ".csv": _is_csv, ".gpkg": _is_map})


def vectors_note(path: Path) -> dict[str, Any]:
    """The note in a table of vectors of ours; empty for a CSV, which has none."""
    if path.suffix.lower() == ".gpkg":
        return _map_note(path)
    return {} if path.suffix.lower() == ".csv" else table_note(path)


def write_vectors(
    path: Path | str, frame: gpd.GeoDataFrame, made_from: Mapping[str, str] | None = None, **facts: Any
) -> None:
    """Write region vectors whole or not at all, in the format the file's ending names.

    - ``.parquet``: GeoParquet (:func:`urbanln.tables.vectors.write_embeddings`).
    - ``.csv``: ``region_id``, ``n_images``, ``v0``, ``v1``, …; no shapes, and nothing of ``facts``.
    - ``.gpkg``: the same with the shapes, in a layer ``vectors``; −0 becomes 0, which SQLite does not tell
      apart.

    Args:
        path: Target file.
        frame: As of :func:`urbanln.tables.vectors.write_embeddings`.
        made_from: Names and SHA-256 of what the vectors were computed from.
        facts: Further JSON values for the file's note.

    Raises:
        InputError: See :func:`urbanln.tables.vectors.write_embeddings`; or there are more dimensions than a
            GeoPackage has room for.
        StorageError: The file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".gpkg"):
        write_embeddings(path, frame, made_from, **facts)
        return
    table = check_embeddings(frame, path)
    vectors = matrix(table, str(path))
    names = _names(vectors.shape[1])
    flat = pd.concat(
        [table[[*_BEFORE]], pd.DataFrame(vectors, columns=names, index=table.index)], axis=1
    ).reset_index(drop=True)
    if suffix == ".csv":
        write_csv(path, flat)
        return
    if len(names) > _MOST:
        raise InputError(
            f"a GeoPackage has room for {_MOST:,} dimensions",
            value=len(names),
            where=path,
            remedy="end the name in .parquet or .csv",
        )
    note = {"schema_version": SCHEMA_VERSION, "kind": KIND, "made_from": dict(made_from or {}), **facts}
    shapes = gpd.GeoDataFrame(flat, geometry=table.geometry.reset_index(drop=True))
    import pyogrio

    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The filename extension")  # until it has its own name
        told = {_NOTE: json.dumps(note, allow_nan=False)}
        pyogrio.write_dataframe(shapes, temporary, layer=_LAYER, driver="GPKG", layer_metadata=told)


def write_csv(path: Path, flat: pd.DataFrame) -> None:
    """Write a table as CSV whole or not at all: UTF-8, commas, text in quotes, the fewest digits that do."""
    table = pa.Table.from_pandas(flat, preserve_index=False)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write((",".join(map(str, flat.columns)) + "\n").encode())
        pa_csv.write_csv(table, file, pa_csv.WriteOptions(include_header=False))


def read_own(path: Path) -> gpd.GeoDataFrame | pd.DataFrame | None:
    """Vectors that :func:`write_vectors` wrote as CSV or GeoPackage; None where this file is none of it.

    Returns:
        ``region_id``, ``n_images``, ``vector`` and, where there are shapes, ``geometry``;
        ``.attrs`` as of :func:`urbanln.tables.vectors.read_embeddings`, None for a CSV.

    Raises:
        ArtefactError: It is damaged.
    """
    suffix = path.suffix.lower()
    if suffix == ".gpkg" and _is_map(path):
        frame = gpd.read_file(path, layer=_LAYER)
        told = told_of(_map_note(path))
    elif suffix == ".csv" and _is_csv(path):
        frame, told = _read_csv(path), told_of({})
    else:
        return None
    names = [name for name in frame.columns if name not in (*_BEFORE, "geometry")]
    vectors = frame[names].to_numpy(np.float32)
    found = frame.drop(columns=names).assign(vector=list(vectors))
    found.attrs = told
    return found


def _read_csv(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8") as file:
        names = file.readline().rstrip("\r\n").split(",")
    types = {"region_id": pa.string(), "n_images": pa.int64()}
    try:
        table = pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: types.get(name, pa.float32()) for name in names},
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtefactError(
            "this table of vectors is damaged",
            value=str(error).splitlines()[0],
            where=path,
            remedy="make it again: urbanln embed",
        ) from error
    return table.to_pandas()
