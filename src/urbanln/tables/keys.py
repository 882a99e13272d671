"""Which column of anybody's table says whose a row is: a region's id, or a position."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.columns import at_row, first, need_columns, number_column
from urbanln.base.errors import InputError
from urbanln.base.frames import id_text
from urbanln.base.geometry import as_geometry, lonlat_of
from urbanln.base.space import Floats
from urbanln.tables.ids import writings
from urbanln.tables.names import flat_pairs, known_key, lonlat_pairs

_ROW_NUMBERS = ("index", "unnamed: 0", "gid", "uid")  # ids where they are text, else mostly counts of rows
_MANGLED = re.compile(r"[-+]?\d([.,]\d+)?[eE]\+\d+")
_EXACT = 2.0**53  # floats beyond lose digits
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
        key: Column the user named, or two of them, ``LON,LAT``; None: ``region_id``, else a position, else the
            one column called like an id whose values are regions.
        known: What each region goes by.
        where: Name of the table, for errors.
        spec: ``NAME=FILE``, for the option in errors.

    Raises:
        InputError: No key, several that could be, ids that lost digits, positions that are none.
    """
    names = [str(name) for name in frame.columns]
    if key is not None:
        parts = [key] if key in names else [part.strip() for part in key.split(",")]
        need_columns(names, parts, where)
        if len(parts) == 2:
            return _by_position(frame, (parts[0], parts[1]), where)
        return _by_id(frame, parts[0], where)
    if "region_id" in names:
        return _by_id(frame, "region_id", where)
    pairs = lonlat_pairs(names) or [
        pair for pair in flat_pairs(names) if not isinstance(frame, gpd.GeoDataFrame) and _are_degrees(frame, pair)
    ]
    if pairs:
        return _by_position(frame, _one_pair(frame, pairs, where, spec), where)
    frame = as_geometry(frame, where)
    if isinstance(frame, gpd.GeoDataFrame) and frame.active_geometry_name is not None and frame.crs is not None:
        lonlat = lonlat_of(frame.geometry, where)
        return _placed(lonlat, (str(frame.active_geometry_name),), where)
    return _by_id(frame, _one_id(frame, names, known, where, spec), where)


def _one_pair(
    frame: pd.DataFrame, pairs: Sequence[tuple[str, str]], where: str, spec: str | None
) -> tuple[str, str]:
    """The pair of position columns; several that say the same are one."""
    taken = [_degrees(frame, pair, where) for pair in pairs]
    if all(np.allclose(taken[0], other, atol=_SAME_DEGREES, equal_nan=True) for other in taken[1:]):
        return pairs[0]
    raise InputError(
        "the table of vectors has several positions",
        value="; ".join(f"{lon}, {lat}" for lon, lat in pairs),
        where=where,
        remedy=f"say which: {' or '.join(_option(spec, ','.join(pair)) for pair in pairs)}",
    )


def _one_id(
    frame: pd.DataFrame, names: Sequence[str], known: Collection[Sequence[str]], where: str, spec: str | None
) -> str:
    """The one column called like an id that holds ids of regions."""
    matching = {}
    for name in names:
        if pd.api.types.is_float_dtype(frame[name]) or not _may_hold_ids(frame[name]):
            continue
        if count := _matching(id_text(frame[name]), known):
            matching[name] = count
    likely = [
        name
        for name in matching
        if known_key(name) and not (name.lower() in _ROW_NUMBERS and pd.api.types.is_numeric_dtype(frame[name]))
    ]
    if len(likely) == 1:
        return likely[0]
    if matching:
        choices = likely or list(matching)
        raise InputError(
            "the table of vectors does not say which column is the region's id",
            value="; ".join(f"{name} ({matching[name]:,} values are regions)" for name in choices),
            where=where,
            remedy=f"say which: {' or '.join(_option(spec, name) for name in choices)}",
        )
    shapes = isinstance(frame, gpd.GeoDataFrame)
    near = [name for name in names if known_key(name)]
    hint = f"; or name the ids: {_option(spec, near[0])}" if near else f"; or name it: {_option(spec, 'COLUMN')}"
    raise InputError(
        "the table of vectors says neither which region nor where",
        where=where,
        remedy="its geometry has no CRS: frame.set_crs(4326) for longitude and latitude" if shapes else
        "it needs a column region_id, or lon and lat in degrees, or a geometry with a CRS" + hint,
    )  # fmt: skip


def _option(spec: str | None, column: str) -> str:
    if spec is None:
        return f"rename '{column}' to region_id"
    return f"--key {spec.partition('=')[0]}={column}"


def _may_hold_ids(column: pd.Series) -> bool:
    if pd.api.types.is_integer_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype):
        return True
    if column.dtype != object:
        return False
    there = column.dropna()
    return len(there) > 0 and isinstance(there.iloc[0], str | int | bytes)


def _matching(ids: pd.Series, known: Collection[Sequence[str]]) -> int:
    """How many regions a column names, in the writing that fits best."""
    there = list(dict.fromkeys(ids.dropna()))
    return max(
        (sum(any(name in held for name in names) for names in ours)
         for theirs, ours, _ in writings(there, list(known)) for held in [set(theirs)]),
        default=0,
    )  # fmt: skip


def _by_id(frame: pd.DataFrame, name: str, where: str) -> Keys:
    column = frame[name]
    if column.dtype == object:
        column = column.map(lambda value: value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
    text = id_text(column)
    here = text.notna().to_numpy()
    lost = text.str.fullmatch(_MANGLED).fillna(False).to_numpy(dtype=bool)
    if column.dtype.kind == "f":
        lost |= (column.abs() > _EXACT).to_numpy(dtype=bool)
    if (row := first(lost)) is not None:
        raise InputError(
            f"an id of '{name}' has lost its digits, as spreadsheets do it to long numbers: others may share it",
            value=text.iloc[row],
            where=at_row(where, row),
            remedy="export the ids as text, or name another column: --key COLUMN",
        )
    if not here.any():
        raise InputError(f"'{name}' names no region in any row", where=where)
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
    here = np.isfinite(lonlat).all(axis=1)
    if not here.any():
        raise _no_position("missing in every row", where)
    return Keys(columns, None, lonlat, here, f"by {', '.join(columns)}")


def _no_position(value: object, where: object) -> InputError:
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
