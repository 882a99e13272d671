"""Region vectors on disk: a GeoParquet file that geopandas, QGIS and DuckDB open as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from urbanln.base.columns import among
from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import read_table, reading_parquet, table_note, write_table
from urbanln.base.parsing import AGAIN

KIND = "embeddings"
COLUMNS = ("region_id", "geometry", "n_images", "vector")


def region_table(regions: gpd.GeoDataFrame, vectors: pd.Series, counts: pd.Series) -> gpd.GeoDataFrame:
    """``region_id, geometry, n_images, vector`` of the regions that have a vector, in their order.

    Args:
        regions: ``region_id`` and ``geometry``.
        vectors: By region id.
        counts: Pictures by region id; 0 where an id is missing.
    """
    frame = regions.loc[among(regions["region_id"], vectors.index), ["region_id", "geometry"]]
    return frame.reset_index(drop=True).assign(
        n_images=lambda f: f["region_id"].map(counts).fillna(0).astype("int64"),
        vector=lambda f: vectors.loc[f["region_id"]].to_numpy(),
    )


def write_embeddings(
    path: Path | str, frame: gpd.GeoDataFrame, made_from: Mapping[str, str] | None = None, **facts: Any
) -> None:
    """Write region vectors as GeoParquet, whole or not at all.

    Args:
        path: Target file, by custom ``embeddings.parquet``.
        frame: ``region_id``, ``geometry`` (with a CRS; written in EPSG:4326), ``n_images``, ``vector``
            (equally long, finite); the vector becomes a fixed-size list of float32.
        made_from: Names and SHA-256 of what the vectors were computed from.
        facts: Further JSON values for the file's note (view, encoder, …); ``transductive`` says whether
            pre-training saw the pictures of these regions.

    Raises:
        InputError: A column is missing, a region stands there twice, no CRS, or a vector is not usable.
    """
    table = check_embeddings(frame, path)
    write_table(path, table, kind=KIND, made_from=made_from, vector="vector", **facts)


def check_embeddings(frame: gpd.GeoDataFrame, path: Path | str) -> gpd.GeoDataFrame:
    """The columns of a table of vectors, in EPSG:4326, as they may be written.

    Args:
        frame: As of :func:`write_embeddings`.
        path: Where it is to be written, for errors.

    Raises:
        InputError: See :func:`write_embeddings`.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(
            "the table of vectors lacks a column", value=missing[0], where=path, remedy="add the column"
        )
    twice = frame["region_id"][frame["region_id"].duplicated()]
    if len(twice):
        raise InputError(
            "a region stands twice in the table of vectors",
            value=twice.iloc[0],
            where=path,
            remedy="keep one row per region",
        )
    if frame.crs is None:
        raise InputError("the table of vectors has no CRS", where=path, remedy="set it: frame.set_crs(4326)")
    vectors = matrix(frame, str(path))
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        row = int(bad[0])
        region = frame["region_id"].iloc[row]
        raise InputError(
            "a vector has values that are not finite",
            value=float(vectors[row][~np.isfinite(vectors[row])][0]),
            where=f"region {region}",
            remedy="leave this region out, or make its vector again",
        )
    table = gpd.GeoDataFrame(frame[list(COLUMNS)], geometry="geometry").to_crs(4326)
    table["n_images"] = table["n_images"].astype("int64")
    # Attributes of the frame would be written into the pandas header too; the note alone carries facts.
    table.attrs = {}
    return table


@overload
def read_embeddings(path: Path | str) -> gpd.GeoDataFrame: ...
@overload
def read_embeddings(path: Path | str, *, shapes: bool) -> pd.DataFrame: ...
def read_embeddings(path: Path | str, *, shapes: bool = True) -> pd.DataFrame:
    """Read region vectors back: ``region_id``, ``geometry``, ``n_images``, ``vector`` (float32 arrays).

    ``.attrs["transductive"]`` says whether pre-training saw the pictures of these regions, ``["model"]`` the
    SHA-256 of the weights that made them; None: not known.

    Args:
        path: The file.
        shapes: Also read the shapes of the regions; without, what comes is a plain frame.

    Raises:
        InputError: No such file.
        ArtefactError: Not a table of vectors, damaged, or from a newer version.
    """
    wanted = [name for name in COLUMNS if shapes or name != "geometry"]
    frame = read_table(path, kind=KIND, columns=[name for name in wanted if name != "vector"])
    with reading_parquet(Path(path)):
        frame = _with_vectors(frame, Path(path))
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise ArtefactError("the table of vectors lacks a column", value=missing[0], where=path, remedy=AGAIN)
    if shapes and not isinstance(frame, gpd.GeoDataFrame):
        what = "the table of vectors does not say what its geometry is"
        raise ArtefactError(what, value="no note 'geo'", where=path, remedy=AGAIN)
    frame.attrs |= told_of(table_note(path))
    return frame


def _with_vectors(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table with its column of vectors: rows of one array where they are as we write them."""
    file = pq.ParquetFile(path, pre_buffer=False)
    if "vector" not in file.schema_arrow.names:
        return frame
    stacked = _stacked(file)
    if stacked is None:
        return frame.assign(vector=pd.read_parquet(path, columns=["vector"])["vector"].to_numpy())
    return frame.assign(vector=pd.Series(list(stacked), frame.index, dtype=object))


def _stacked(file: pq.ParquetFile) -> npt.NDArray[np.float32] | None:
    """All vectors, (N, D); None where they are no lists of one length of float32, or some are missing.

    Group by group: what a reader needs beside the numbers is several times as large as they are.
    """
    kind = file.schema_arrow.field("vector").type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        return None
    stacked: npt.NDArray[np.float32] | None = None
    at = 0
    for number in range(file.num_row_groups):
        column = file.read_row_group(number, columns=["vector"], use_threads=False)["vector"]
        for chunk in column.chunks:
            numbers = chunk.flatten()
            if chunk.null_count or numbers.null_count:
                return None
            if stacked is None:  # only now it is known that such lists are there
                stacked = np.empty((file.metadata.num_rows, kind.list_size), np.float32)
            stacked[at : at + len(chunk)] = numbers.to_numpy().reshape(len(chunk), -1)
            at += len(chunk)
    return stacked


def told_of(note: Mapping[str, Any]) -> dict[str, Any]:
    """What a note says for scores and maps: ``transductive``, SHA-256 of the ``model``'s weights, ``view``.

    None where it says nothing.
    """
    made_from = note.get("made_from")
    model = made_from.get("model") if isinstance(made_from, Mapping) else None
    view = note.get("view")
    return {
        "transductive": note.get("transductive"),
        "model": model if isinstance(model, str) else None,
        "view": view if isinstance(view, str) else None,
    }


def matrix(frame: pd.DataFrame, where: str = "vectors") -> npt.NDArray[np.float32]:
    """The vectors as one array (N, D), float32, in the order of the rows.

    Rows of float32 that lie one after the other in one piece of memory are not copied; the array is then
    read only. Parquet's lists of fixed size come back so, and so does ``list(matrix)``: at 100,000 × 512 a
    copy would take 205 MB beside the table.

    Args:
        frame: Its column ``vector`` is read.
        where: Name of the table, for errors.

    Raises:
        InputError: No rows, vectors of different length, or values that are no lists of numbers.
    """
    text = next((value for value in frame["vector"] if isinstance(value, str)), None)
    if text is not None:
        raise InputError(
            "a vector is text, not numbers",
            value=text,
            where=where,
            remedy="write one numeric column per dimension, or save the table as Parquet",
        )
    try:
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is found as that
            rows = [np.asarray(vector, dtype=np.float32) for vector in frame["vector"]]
    except (TypeError, ValueError) as error:
        raise InputError(
            "a vector is no list of numbers",
            value=str(error),
            where=where,
            remedy="give every region a list of numbers",
        ) from error
    if not rows:
        raise InputError(
            "the table of vectors has no rows", where=where, remedy="give a table with a row per region"
        )
    first = rows[0]
    other = next((at for at, row in enumerate(rows) if row.shape != first.shape), None)
    if other is not None:
        there = frame.index[[0, other]]
        raise InputError(
            "the vectors differ in length",
            value=f"{first.size} numbers in row {there[0]}, {rows[other].size} in row {there[1]}",
            where=where,
            remedy="give vectors of one length",
        )
    if first.ndim != 1 or first.size == 0:
        raise InputError(
            "a vector is no list of numbers",
            value=str(frame["vector"].iloc[0]),
            where=where,
            remedy="each row of the column 'vector' holds one list; other columns need other names",
        )
    if not first.flags.c_contiguous or not _follow(rows):
        return np.stack(rows)
    return np.lib.stride_tricks.as_strided(
        first, (len(rows), len(first)), (first.nbytes, first.itemsize), writeable=False
    )


def _follow(rows: Sequence[npt.NDArray[np.float32]]) -> bool:
    """Whether rows lie one after the other in one piece of memory."""
    owner, start = _owner(rows[0]), rows[0].ctypes.data
    return all(
        row.ctypes.data == start + number * row.nbytes and _owner(row) is owner
        for number, row in enumerate(rows)
    )


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
