"""From tables keyed by region to arrays over the regions that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.errors import InputError
from urbanln.probe.score import FLOORS, check_vectors
from urbanln.probe.space import Floats, check_lonlat


@dataclass(frozen=True, eq=False)
class Regions:
    """Arrays in one order of regions.

    Args:
        ids: (N,) region ids.
        lonlat: (N, 2) degrees.
        vectors: Copies (N, D) of each table, by name; one copy unless the encoder was trained several times.
        targets: (N,) labels by indicator, NaN where missing.
        groups: (N,) labels that never stand on both sides of a fold, or None.
        coverage: How many regions there are, and how many have what.
    """

    ids: npt.NDArray[Any]
    lonlat: Floats
    vectors: dict[str, list[npt.NDArray[np.float32]]]
    targets: dict[str, Floats]
    groups: npt.NDArray[Any] | None
    coverage: dict[str, Any]


def common_regions(
    tables: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    indicators: pd.DataFrame,
    lonlat: pd.DataFrame,
    groups: Mapping[str, Any] | None = None,
) -> Regions:
    """Join everything by region, and keep the regions that have a vector in every table.

    Raises:
        InputError: A column is missing, a region stands twice, labels are not numbers, vectors are ragged
            or not finite, or no region is left.
    """
    where = _by_region(lonlat, ("lon", "lat"), "positions")
    labels = _by_region(indicators, (), "indicators")
    copies: dict[str, list[pd.Series]] = {}
    for name, table in tables.items():
        if name in FLOORS:
            raise InputError("a table of vectors has the name of a floor", value=name, remedy="rename it")
        parts = [table] if isinstance(table, pd.DataFrame) else list(table)
        if not parts:
            raise InputError("a table of vectors is empty", where=name)
        copies[name] = [_by_region(part, ("vector",), f"vectors '{name}'")["vector"] for part in parts]
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
    targets = {str(c): _numbers(labels[c], str(c)).reindex(keep).to_numpy() for c in labels.columns}
    return Regions(
        ids=keep.to_numpy(dtype=object),
        lonlat=check_lonlat(where.loc[keep, ["lon", "lat"]].to_numpy()),
        vectors={name: [_matrix(c.loc[keep], name) for c in columns] for name, columns in copies.items()},
        targets=targets,
        groups=None if groups is None else np.array([str(groups.get(i, f"own {i}")) for i in keep]),
        coverage={
            "total": len(where),
            "common": len(keep),
            "tables": has,
            "labelled": {name: int(np.isfinite(values).sum()) for name, values in targets.items()},
        },
    )


def _by_region(frame: pd.DataFrame, columns: Sequence[str], what: str) -> pd.DataFrame:
    for name in ("region_id", *columns):
        if name not in frame.columns:
            raise InputError(f"the table of {what} lacks a column", value=name)
    ids = frame["region_id"].astype(str)
    twice = ids[ids.duplicated()]
    if len(twice):
        raise InputError(f"a region stands twice in the table of {what}", value=twice.iloc[0])
    # A plain frame: geometry and CRS of a GeoDataFrame are of no use here.
    return pd.DataFrame(frame.drop(columns="region_id")).set_axis(pd.Index(ids, dtype=object))


def _numbers(column: pd.Series, name: str) -> pd.Series:
    if column.isna().all():  # whatever its type: it is skipped later, and the other indicators go on
        return pd.Series(np.nan, index=column.index)
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        example = next((v for v in column if isinstance(v, str)), None)
        raise InputError("labels are not numbers", value=example, where=f"indicator {name}")
    return column.astype("float64")


def _matrix(column: pd.Series, name: str) -> npt.NDArray[np.float32]:
    rows = [np.asarray(vector, dtype=np.float32) for vector in column]
    lengths = {row.shape for row in rows}
    if len(lengths) != 1:
        raise InputError("the vectors differ in length", value=sorted(lengths), where=f"vectors '{name}'")
    return check_vectors(np.stack(rows), len(rows), f"vectors '{name}'", list(column.index))
