"""From tables keyed by region to arrays over the regions that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, check_lonlat, to_metres
from urbanln.probe.held_out import check_name, check_vectors
from urbanln.probe.units import city_numbers


@dataclass(frozen=True, eq=False)
class Regions:
    """Arrays in one order of regions.

    Args:
        ids: (N,) region ids.
        lonlat: (N, 2) degrees.
        metres: (N, 2) local metres; several cities lie far apart.
        vectors: Copies (N, D) of each table, by name; one copy unless the encoder was trained several times.
            Read only: a table that is one block of float32 in the order of the regions is not copied.
        targets: (N,) labels by indicator, NaN where missing.
        groups: (N,) labels that never stand on both sides of a fold, or None.
        coverage: How many regions there are, and how many have what.
        cities: (N,) city of each region, or None where positions have no column ``city``.
        districts: (N,) district of each region, None where it has none; None without that column.
    """

    ids: npt.NDArray[Any]
    lonlat: Floats
    metres: Floats
    vectors: dict[str, list[npt.NDArray[np.float32]]]
    targets: dict[str, Floats]
    groups: npt.NDArray[Any] | None
    coverage: dict[str, Any]
    cities: npt.NDArray[Any] | None = None
    districts: npt.NDArray[Any] | None = None


def common_regions(
    tables: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    indicators: pd.DataFrame,
    lonlat: pd.DataFrame,
    groups: Mapping[str, Any] | None = None,
) -> Regions:
    """Join everything by region, and keep the regions that have a vector in every table.

    Args:
        tables: Tables with ``region_id`` and ``vector`` by name; a sequence is one encoder trained several
            times. None at all keeps every region with a position.
        indicators: ``region_id`` and one numeric column per indicator, NaN where missing.
        lonlat: ``region_id``, ``lon``, ``lat`` in degrees; where there are any, ``city`` (for every region)
            and ``district`` (missing where a region lies in none).
        groups: Region to any label; regions without one are a group each.

    Raises:
        InputError: A column is missing or stands twice, a region stands twice or has no city, labels are not
            numbers, vectors are ragged or not finite, a table has the name of something else, or no region
            is left.
    """
    where = _by_region(lonlat, ("lon", "lat"), "positions")
    labels = _by_region(indicators, (), "indicators")
    copies = {name: _copies(name, table) for name, table in tables.items()}
    keep = where.index
    has: dict[str, int] = {}
    for name, columns in copies.items():
        inside = where.index
        for column in columns:
            inside = inside[inside.isin(column.index)]
        has[name] = len(inside)
        keep = keep[keep.isin(inside)]
    if len(keep) == 0:
        raise InputError(
            "no region has a vector in every table" if copies else "there is no region",
            value=has or None,
            remedy="the tables need the region_id values of this city",
        )
    cities = _words(where, "city", keep)
    if cities is not None:
        city_numbers(cities, len(keep))
    points = check_lonlat(where.loc[keep, ["lon", "lat"]].to_numpy())
    targets = {str(c): _numbers(labels[c], str(c)).reindex(keep).to_numpy() for c in labels.columns}
    return Regions(
        ids=keep.to_numpy(dtype=object),
        lonlat=points,
        metres=to_metres(points, cities),
        vectors={name: [_matrix(c.loc[keep], name) for c in columns] for name, columns in copies.items()},
        targets=targets,
        groups=None if groups is None else _groups(groups, keep),
        coverage={
            "total": len(where),
            "common": len(keep),
            "tables": has,
            "labelled": {name: int(np.isfinite(values).sum()) for name, values in targets.items()},
        },
        cities=cities,
        districts=_words(where, "district", keep),
    )


def _groups(groups: Mapping[str, Any], keep: pd.Index) -> npt.NDArray[Any]:
    """Labels in the order of the regions, None where a region has none (and so is a group of its own)."""
    by_id = {str(region): label for region, label in groups.items()}  # ids may be numbers, as in the tables
    values = np.empty(len(keep), dtype=object)
    values[:] = [by_id.get(region) for region in keep]
    return values


def _copies(name: str, table: pd.DataFrame | Sequence[pd.DataFrame]) -> list[pd.Series]:
    check_name(name)
    parts = [table] if isinstance(table, pd.DataFrame) else list(table)
    if not parts:
        raise InputError("a table of vectors is empty", where=name)
    return [_by_region(part, ("vector",), f"vectors '{name}'")["vector"] for part in parts]


def _words(frame: pd.DataFrame, column: str, keep: pd.Index) -> npt.NDArray[Any] | None:
    """A column as text, None where missing or empty; None where there is no such column or nothing in it."""
    if column not in frame.columns:
        return None
    values = frame[column].loc[keep].astype(object).to_numpy(copy=True)
    text = values.astype(str)
    missing = np.asarray(pd.isna(values)) | (text == "")
    values[:] = text
    values[missing] = None
    return None if missing.all() else values


def _by_region(frame: pd.DataFrame, columns: Sequence[str], what: str) -> pd.DataFrame:
    for name in ("region_id", *columns):
        if name not in frame.columns:
            raise InputError(f"the table of {what} lacks a column", value=name)
    ids = frame["region_id"].astype(str)
    twice = ids[ids.duplicated()]
    if len(twice):
        raise InputError(f"a region stands twice in the table of {what}", value=twice.iloc[0])
    columns_twice = frame.columns.astype(str).duplicated()
    if columns_twice.any():
        name = str(frame.columns[columns_twice][0])
        raise InputError(f"a column stands twice in the table of {what}", value=name)
    # A plain frame: geometry and CRS of a GeoDataFrame are of no use here.
    return pd.DataFrame(frame.drop(columns="region_id")).set_axis(pd.Index(ids, dtype=object))


def _numbers(column: pd.Series, name: str) -> pd.Series:
    if column.isna().all():  # whatever its type: it is skipped later, and the other indicators go on
        return pd.Series(np.nan, index=column.index)
    real = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)
    if not (real or pd.api.types.is_bool_dtype(column)):
        example = next((v for v in column if isinstance(v, str)), None)
        raise InputError("labels are not numbers", value=example, where=f"indicator {name}")
    return column.astype("float64")


def _matrix(column: pd.Series, name: str) -> npt.NDArray[np.float32]:
    try:
        rows = [np.asarray(vector, dtype=np.float32) for vector in column]
    except (TypeError, ValueError) as error:
        raise InputError("a vector is not numbers", value=str(error), where=f"vectors '{name}'") from error
    lengths = {row.shape for row in rows}
    if len(lengths) != 1:
        raise InputError("the vectors differ in length", value=sorted(lengths), where=f"vectors '{name}'")
    block = _one_block(rows)
    return check_vectors(
        np.stack(rows) if block is None else block, len(rows), f"vectors '{name}'", list(column.index)
    )


def _one_block(rows: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32] | None:
    """The matrix whose rows these are, one after the other in one piece of memory; None if they are not.

    Parquet's lists of fixed size come back so, and so does ``list(matrix)``: at 100,000 × 512 a copy would
    take 205 MB beside the table.
    """
    first = rows[0]
    if first.ndim != 1 or not first.flags.c_contiguous:
        return None
    owner, start = _owner(first), first.ctypes.data
    for number, row in enumerate(rows):
        if row.ctypes.data != start + number * first.nbytes or _owner(row) is not owner:
            return None
    return np.lib.stride_tricks.as_strided(
        first, (len(rows), len(first)), (first.nbytes, first.itemsize), writeable=False
    )


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
