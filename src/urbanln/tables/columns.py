"""Which columns of anybody's table are the vectors, and which say whose they are: an id or a position."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.columns import number_column
from urbanln.base.errors import InputError
from urbanln.base.space import Floats, check_lonlat
from urbanln.tables.vectors import matrix

LON_NAMES = ("lon", "longitude", "lng")
LAT_NAMES = ("lat", "latitude")
# Numbers that say which row it is or where it lies, and nothing about what is there.
_NO_FEATURES = frozenset(
    (*LON_NAMES, *LAT_NAMES, "region_id", "id", "fid", "index", "unnamed: 0", "n_images", "x", "y", "year")
)


@dataclass(frozen=True, eq=False)
class Features:
    """The vectors of a table and what each row is keyed by.

    Args:
        vectors: (P, D) float32, all finite.
        names: (D,) names of the columns; empty where the table has one column of lists.
        ids: (P,) region ids, or None.
        lonlat: (P, 2) degrees, or None.
        left_out: Rows left out, since a value is missing or not finite.
        passed_over: Columns that would tell the label itself.
    """

    vectors: npt.NDArray[np.float32]
    names: tuple[str, ...]
    ids: npt.NDArray[Any] | None
    lonlat: Floats | None
    left_out: int
    passed_over: tuple[str, ...]


def features_of(
    frame: pd.DataFrame, *, columns: Sequence[str] = (), labels: Collection[str] = (), where: str
) -> Features:
    """Take the vectors out of a table.

    Args:
        frame: Either a column of lists (``vector``, or the only one there is), or a numeric column per
            dimension: all of them but ids, positions and years. Keyed by ``region_id``; else by ``lon`` and
            ``lat`` (``longitude``, ``lng``, ``latitude`` too) in degrees, or by its geometry.
        columns: Only these columns, each a name or a pattern like ``A*``; all when empty.
        labels: Names of the labels to be predicted: a column that is called so, in upper or lower case, is
            passed over, whatever pattern it fits.
        where: Name of the table, for errors.

    Raises:
        InputError: No vectors, values that are no numbers, no key, or a label among the columns named.
    """
    names: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    lists = None if columns else _list_column(frame)
    if lists is not None:
        values = _from_lists(frame[lists], f"{where}, column {lists}")
    else:
        names, passed = _feature_columns(frame, columns, labels, where)
        values = _from_numbers(frame, names, where)
    good = np.isfinite(values).all(axis=1)
    if not good.any():
        raise InputError("no row of this table has a whole vector", value=f"{len(values)} rows", where=where)
    ids, lonlat = _keys(frame, where)
    return Features(
        vectors=values if good.all() else values[good],
        names=names,
        ids=None if ids is None else ids[good],
        lonlat=None if lonlat is None else lonlat[good],
        left_out=int((~good).sum()),
        passed_over=passed,
    )


def _list_column(frame: pd.DataFrame) -> Any:
    """The column of lists: the one called ``vector``, or the only one."""
    if "vector" in frame.columns:
        return "vector"
    found = [
        name
        for name, column in frame.items()
        if column.dtype == object and len(column) and isinstance(column.iloc[0], list | tuple | np.ndarray)
    ]
    return found[0] if len(found) == 1 else None


def _from_lists(column: pd.Series, where: str) -> npt.NDArray[np.float32]:
    there = column.notna().to_numpy()
    if not there.any():
        raise InputError("there is no vector in this column", where=where)
    whole = matrix(column[there].to_frame("vector"), where)
    if there.all():
        return whole
    values = np.full((len(column), whole.shape[1]), np.nan, dtype=np.float32)
    values[there] = whole
    return values


def _from_numbers(frame: pd.DataFrame, names: Sequence[str], where: str) -> npt.NDArray[np.float32]:
    values = np.empty((len(frame), len(names)), dtype=np.float32)
    for at, name in enumerate(names):
        try:
            values[:, at] = number_column(frame, name, where, finite=False)
        except InputError as error:
            raise InputError(
                "a dimension of the vectors is no number",
                value=error.value,
                where=f"{where}, column {name}",
                remedy=error.remedy,
            ) from error
    return values


def _feature_columns(
    frame: pd.DataFrame, columns: Sequence[str], labels: Collection[str], where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the columns that make the vector, in the order of the table, and of labels passed over."""
    told = {label.casefold() for label in labels}
    there = [str(name) for name in frame.columns]
    if (twice := pd.Series(there).duplicated()).any():
        raise InputError(
            "two columns of the table have one name",
            value=there[int(twice.argmax())],
            where=where,
            remedy="rename one of them",
        )
    if columns:
        lacking = [p for p in columns if not any(fnmatchcase(name, p) for name in there)]
        if lacking:
            raise InputError(
                "no column of this table is called so", value=lacking[0], where=where, remedy=_listing(there)
            )
        if (named := next((p for p in columns if p in there and p.casefold() in told), None)) is not None:
            raise InputError(
                "a label to be predicted is no dimension of a vector",
                value=named,
                where=where,
                remedy="leave it out; rename the column where it is something else",
            )
        chosen = [name for name in there if any(fnmatchcase(name, pattern) for pattern in columns)]
    else:
        chosen = [
            name
            for name in there
            if name.lower() not in _NO_FEATURES and pd.api.types.is_numeric_dtype(frame[name])
        ]
    passed = tuple(name for name in chosen if name.casefold() in told)
    chosen = [name for name in chosen if name not in passed]
    if not chosen:
        raise InputError(
            "there are no vectors in this table: neither a column of lists nor a numeric one",
            where=where,
            remedy=_listing(there),
        )
    return tuple(chosen), passed


def _listing(names: Sequence[str]) -> str:
    return f"there are: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}"


def _keys(frame: pd.DataFrame, where: str) -> tuple[npt.NDArray[Any] | None, Floats | None]:
    """Region ids or positions (degrees) of the rows."""
    if "region_id" in frame.columns:
        return frame["region_id"].astype(str).to_numpy(dtype=object), None
    lower = {str(name).lower(): name for name in frame.columns}
    lon = next((lower[name] for name in LON_NAMES if name in lower), None)
    lat = next((lower[name] for name in LAT_NAMES if name in lower), None)
    if lon is not None and lat is not None:
        try:
            return None, check_lonlat(frame[[lon, lat]].to_numpy(dtype=np.float64, na_value=np.nan))
        except (InputError, ValueError) as error:
            value = error.value if isinstance(error, InputError) else str(error)
            raise InputError(
                "a position in the table of vectors cannot be used",
                value=value,
                where=where,
                remedy="give lon and lat in degrees (EPSG:4326) in every row",
            ) from error
    if isinstance(frame, gpd.GeoDataFrame) and frame.crs is not None:
        # A point on the surface lies inside its polygon, which a centroid need not.
        points = frame.to_crs(4326).geometry.representative_point()
        return None, check_lonlat(np.column_stack([points.x, points.y]))
    raise InputError(
        "the table of vectors says neither which region nor where",
        where=where,
        remedy="it needs a column region_id, or lon and lat in degrees, or a geometry with a CRS",
    )
