"""Which column of anybody's table says whose a row is: a region's id, or a position."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.columns import at_row, first, need_columns, number_column
from urbanln.base.errors import InputError
from urbanln.base.geometry import as_geometry, geometry_name, lonlat_of, shapes_said
from urbanln.base.ids import read_ids
from urbanln.base.space import Floats
from urbanln.tables.ids import writings
from urbanln.tables.names import flat_pairs, known_key, lonlat_pairs

_ROW_NUMBERS = ("index", "unnamed: 0", "gid", "uid")  # ids where they are text; digits mostly count rows
_HINTED = 200_000  # rows; in larger tables of points nobody looks for ids
_SAME_DEGREES = 1e-6


@dataclass(frozen=True, eq=False)
class Keys:
    """What says whose each row is.

    Args:
        columns: The columns it stands in; none where it is the geometry.
        ids: (P,) text, None where missing; or None.
        lonlat: (P, 2) degrees, NaN where missing; or None.
        here: (P,) rows that have a key.
        said: In words.
    """

    columns: tuple[str, ...]
    ids: npt.NDArray[Any] | None
    lonlat: Floats | None
    here: npt.NDArray[np.bool_]
    said: str


def keys_of(
    frame: pd.DataFrame, key: str | None, known: Collection[Sequence[str]], where: str, spec: str | None
) -> Keys:
    """The ids or positions of the rows.

    Args:
        frame: The table; its columns are called by text.
        key: Column the user named, or two of them, ``LON,LAT``; None: ``region_id``, else a position, else
            the one column called like an id whose values are regions, else x and y that are degrees.
        known: What each region goes by.
        where: Name of the table, for errors.
        spec: ``NAME=FILE``, for the option in errors.

    Raises:
        InputError: No key, several that could be, ids that lost digits, positions that are none.
    """
    names = [str(name) for name in frame.columns]
    if key is not None:
        return _named(frame, names, key, where)
    if "region_id" in names:
        return _by_id(frame, "region_id", where)
    if pairs := lonlat_pairs(names):
        found = _by_position(frame, _one_pair(frame, pairs, where, spec), where)
        return _with_hint(found, frame, known, spec)
    shapes = as_geometry(frame, where)
    if _has_place(shapes):
        return _with_hint(_by_shape(shapes, where), frame, known, spec)
    likely = _likely(frame, known)
    if len(likely) == 1:
        return _by_id(frame, next(iter(likely)), where)
    flat = [pair for pair in flat_pairs(names) if _are_degrees(frame, pair)]
    if flat and not likely:
        return _by_position(frame, _one_pair(frame, flat, where, spec), where)
    raise _no_key(shapes, likely or _matching_columns(frame, names, known), where, spec)


def _named(frame: pd.DataFrame, names: Sequence[str], key: str, where: str) -> Keys:
    """By what the user named: a column of ids, one of shapes, or longitude and latitude."""
    parts = [key] if key in names else [part.strip() for part in key.split(",")]
    need_columns(names, parts, where)
    if len(parts) > 2:
        raise InputError(
            "a key is one column, or two: LON,LAT", value=key, where=where, remedy="--key COLUMN"
        )
    if len(parts) == 2:
        return _by_position(frame, (parts[0], parts[1]), where)
    if parts[0] == geometry_name(frame):
        frame, parts = as_geometry(frame, where), ["geometry"]
    if _has_place(frame) and parts[0] == frame.active_geometry_name:
        return _by_shape(frame, where)
    return _by_id(frame, parts[0], where)


def _has_place(frame: pd.DataFrame) -> TypeGuard[gpd.GeoDataFrame]:
    if not isinstance(frame, gpd.GeoDataFrame) or frame.active_geometry_name is None or frame.crs is None:
        return False
    return bool((~(frame.geometry.isna() | frame.geometry.is_empty)).any())


def _by_shape(frame: gpd.GeoDataFrame, where: str) -> Keys:
    found = _placed(lonlat_of(frame.geometry, where), (str(frame.active_geometry_name),), where)
    return replace(found, said=found.said + shapes_said(frame))


def _with_hint(found: Keys, frame: pd.DataFrame, known: Collection[Sequence[str]], spec: str | None) -> Keys:
    """Keyed by position, and a word on the column whose ids are most of the regions: it would be exact."""
    likely = _likely(frame, known) if len(frame) <= _HINTED else {}
    best = max(likely, key=lambda name: likely[name], default=None)
    if best is None or 2 * likely[best] < len(known):
        return found
    return replace(found, said=f"{found.said} ({best} holds ids of regions, too: {_option(spec, best)})")


def _likely(frame: pd.DataFrame, known: Collection[Sequence[str]]) -> dict[str, int]:
    """Columns called like ids whose values are regions, and how many they name."""
    called = [str(name) for name in frame.columns if known_key(str(name))]
    matching = _matching_columns(frame, called, known)
    return {name: count for name, count in matching.items() if not _counts_rows(frame, name)}


def _one_pair(
    frame: pd.DataFrame, pairs: Sequence[tuple[str, str]], where: str, spec: str | None
) -> tuple[str, str]:
    """The pair of position columns; several that say the same are one."""
    taken = [_degrees(frame, pair, where) for pair in pairs] if len(pairs) > 1 else []
    if all(np.allclose(taken[0], other, atol=_SAME_DEGREES, equal_nan=True) for other in taken[1:]):
        return pairs[0]
    raise InputError(
        "the table of vectors has several positions",
        value="; ".join(f"{lon}, {lat}" for lon, lat in pairs),
        where=where,
        remedy=f"say which: {' or '.join(_option(spec, ','.join(pair)) for pair in pairs)}",
    )


def _matching_columns(
    frame: pd.DataFrame, names: Sequence[str], known: Collection[Sequence[str]]
) -> dict[str, int]:
    """Columns whose values are regions, and how many of them."""
    columns = [name for name in names if _may_hold_ids(frame[name], name)] if known else []
    counts = {name: _matching(read_ids(frame, name, "", trust=True), known) for name in columns}
    return {name: count for name, count in counts.items() if count}


def _no_key(frame: pd.DataFrame, matching: Mapping[str, int], where: str, spec: str | None) -> InputError:
    """The refusal, with the columns that could be the key and the option that names one."""
    if matching:
        return InputError(
            "the table of vectors does not say which column is the region's id",
            value="; ".join(f"{name} ({count:,} values are regions)" for name, count in matching.items()),
            where=where,
            remedy=f"say which: {' or '.join(_option(spec, name) for name in matching)}",
        )
    if isinstance(frame, gpd.GeoDataFrame):
        remedy = "its geometry has no CRS: frame.set_crs(4326) for longitude and latitude"
    else:
        near = next((str(name) for name in frame.columns if known_key(str(name))), "COLUMN")
        remedy = (
            "it needs a column region_id, or lon and lat in degrees, or a geometry with a CRS; or name the "
            "ids: " + _option(spec, near)
        )
    return InputError("the table of vectors says neither which region nor where", where=where, remedy=remedy)


def _counts_rows(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column only numbers the rows, which regions may be called after as well."""
    values = list(read_ids(frame, name, "", trust=True).dropna())
    if name.lower() in _ROW_NUMBERS:
        return all(value.isdecimal() for value in values)
    return any(values == [str(start + at) for at in range(len(values))] for start in (0, 1))


def _option(spec: str | None, column: str) -> str:
    if spec is None:
        return f"rename '{column}' to region_id"
    return f"--key {shlex.quote(spec.partition('=')[0] + '=' + column)}"


def _may_hold_ids(column: pd.Series, name: str) -> bool:
    if pd.api.types.is_integer_dtype(column) or isinstance(
        column.dtype, pd.CategoricalDtype | pd.StringDtype
    ):
        return True
    there = column.dropna()
    if column.dtype.kind == "f":  # whole numbers beside a missing one
        return known_key(name) and bool((there == np.floor(there)).all())
    return column.dtype == object and len(there) > 0 and isinstance(there.iloc[0], str | int | bytes)


def _matching(ids: pd.Series, known: Collection[Sequence[str]]) -> int:
    """How many regions a column names, in the writing that fits best."""
    there = list(dict.fromkeys(ids.dropna()))
    return max(
        (sum(any(name in held for name in names) for names in ours)
         for theirs, ours, _ in writings(there, list(known)) for held in [set(theirs)]),
        default=0,
    )  # fmt: skip


def _by_id(frame: pd.DataFrame, name: str, where: str) -> Keys:
    text = read_ids(frame, name, where, instead="or name another column: --key COLUMN")
    here = text.notna().to_numpy()
    if not here.any():
        raise InputError(
            f"'{name}' names no region in any row", where=where, remedy="name another column with --key"
        )
    return Keys((name,), text.to_numpy(dtype=object), None, here, f"by {name}")


def _are_degrees(frame: pd.DataFrame, pair: tuple[str, str]) -> bool:
    """Whether x and y are degrees: fractions within range, which grid numbers and metres are not."""
    if not all(pd.api.types.is_float_dtype(frame[name]) for name in pair):
        return False
    x, y = (frame[name].dropna().to_numpy(dtype=np.float64) for name in pair)
    inside = len(x) > 0 and bool((np.abs(x) <= 180).all()) and bool((np.abs(y) <= 90).all())
    return inside and bool((x != np.floor(x)).any() and (y != np.floor(y)).any())


def _degrees(frame: pd.DataFrame, pair: tuple[str, str], where: str) -> Floats:
    columns = [number_column(frame, name, where, text_numbers=True, finite=False) for name in pair]
    return np.column_stack([column.to_numpy(dtype=np.float64) for column in columns])


def _by_position(frame: pd.DataFrame, pair: tuple[str, str], where: str) -> Keys:
    try:
        lonlat = _degrees(frame, pair, where)
    except InputError as error:
        raise _no_position(error.value, error.where) from error
    return _placed(lonlat, pair, where)


def _placed(lonlat: Floats, columns: tuple[str, ...], where: str) -> Keys:
    with np.errstate(invalid="ignore"):
        outside = (np.abs(lonlat[:, 0]) > 180) | (np.abs(lonlat[:, 1]) > 90)
    if (row := first(outside)) is not None:
        raise _no_position(tuple(lonlat[row].tolist()), at_row(where, row))
    here = np.asarray(np.isfinite(lonlat).all(axis=1))
    if not here.any():
        raise _no_position("missing in every row", where)
    return Keys(columns, None, lonlat, here, f"by {', '.join(columns)}")


def _no_position(value: object, where: str | Path) -> InputError:
    return InputError(
        "a position in the table of vectors cannot be used",
        value=value,
        where=where,
        remedy="longitude (-180 to 180) and latitude (-90 to 90) in degrees (EPSG:4326); are they swapped?",
    )


def positions_beside(frame: pd.DataFrame, where: str) -> list[Floats]:
    """Positions that stand in a table whatever it is keyed by, (P, 2) each; columns of text are no matter."""
    pairs = lonlat_pairs([str(name) for name in frame.columns])
    numeric = [pair for pair in pairs if all(pd.api.types.is_numeric_dtype(frame[name]) for name in pair)]
    return [_degrees(frame, pair, where) for pair in numeric]
