"""Parts of columns that hold several values: ``categories.primary`` of a column ``categories``.

Overture's tables hold such columns as structs and lists, extracts of OpenStreetMap their tags as maps, as
JSON or as GDAL's ``"amenity"=>"cafe"``. A column that is called so itself comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from urbanln.base.columns import need_columns
from urbanln.base.errors import InputError
from urbanln.base.parsing import parse_json

_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"\s*=>\s*(?:"((?:[^"\\]|\\.)*)"|NULL)')


def above(name: str) -> list[str]:
    """The columns that a name may stand for: itself, and what stands before each of its points.

    Example:
        >>> above("categories.primary")
        ['categories.primary', 'categories']
    """
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1) if all(parts[:count])]


def column_of(frame: pd.DataFrame, name: str, table: str) -> pd.Series:
    """A column of a table, or a part of one.

    Args:
        frame: The table.
        name: Of the column, or ``COLUMN.PART``.
        table: Name of the table, for errors.

    Raises:
        InputError: There is no such column, or the one before the point has no parts.
    """
    there = [str(column) for column in frame.columns]
    held = next((column for column in above(name) if column in there), None)
    if held is None:
        need_columns(there, [name], table)
    assert held is not None
    column = frame[held]
    if held == name:
        return column
    parts = name[len(held) + 1 :]
    found = [_part(value, parts) for value in column]
    if column.notna().any() and all(one is _NOTHING for one in found):
        what, remedy = f"'{held}' has no parts", f"name a column: there are {', '.join(there)}"
        raise InputError(what, value=str(column.dropna().iloc[0])[:60], where=table, remedy=remedy)
    return pd.Series([None if one is _NOTHING else one for one in found], index=frame.index, dtype=object)


_NOTHING = object()  # a value that has no parts at all


def _part(value: Any, name: str) -> Any:
    """The part of a value; None where it is not there."""
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, Mapping):
        if name in value or "." not in name:
            return value.get(name)
        first, _, rest = name.partition(".")
        return _part(value.get(first), rest)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):  # a map, as pairs
        pairs = [one for one in value if isinstance(one, tuple) and len(one) == 2]
        return dict(pairs).get(name) if pairs else None
    return _NOTHING


def _parsed(text: str) -> Any:
    """A text of JSON or of GDAL's pairs; what is neither stays as it is."""
    if text.startswith("{"):
        try:
            return parse_json(text)
        except ValueError:
            return text
    if pairs := _PAIR.findall(text):
        return {_bare(key): _bare(value) for key, value in pairs}
    return text


def _bare(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def arrow_part(path: Path, schema: pa.Schema, name: str) -> pd.Series | None:
    """A part of a column of structs or maps of Parquet, without what else it holds; None where it is none.

    Args:
        path: The file.
        schema: Of the file.
        name: ``COLUMN.PART``.
    """
    held = next((column for column in above(name)[1:] if column in schema.names), None)
    if held is None:
        return None
    parts = name[len(held) + 1 :].split(".")
    kind, known = schema.field(held).type, True
    for part in parts:
        known = known and pa.types.is_struct(kind) and kind.get_field_index(part) >= 0
        kind = kind.field(part).type if known else kind
    if known:
        column = pq.ParquetFile(path).read(columns=[name])[held]
        return pc.struct_field(column, parts).to_pandas()
    column = pq.ParquetFile(path).read(columns=[held])[held]
    if pa.types.is_map(schema.field(held).type):
        return pc.map_lookup(column, ".".join(parts), "first").to_pandas()
    return column_of(pd.DataFrame({held: column.to_pandas()}), name, str(path))
