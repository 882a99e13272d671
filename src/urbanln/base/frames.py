"""Tables as people have them, read by their ending; ids as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from urbanln.base.delimited import read_csv, refuse_doubled
from urbanln.base.encodings import not_decoded
from urbanln.base.errors import InputError
from urbanln.base.files import UNREADABLE
from urbanln.base.geometry import GEOMETRY_NAMES, as_geometry, earth_crs
from urbanln.base.nested import above, arrow_part
from urbanln.base.parsing import no_file, parse_json
from urbanln.base.written import AS_IT_IS, Written, with_plain_numbers

_TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
_PARQUET_SUFFIXES = (".parquet", ".geoparquet", ".pq")
_MAP_SUFFIXES = (".geojson", ".json", ".gpkg", ".shp", ".fgb")


def read_frame(
    path: Path | str, *, text: Sequence[str] = (), crs: str | None = None, written: Written = AS_IT_IS,
    shapes: bool = True, ungrouped: Sequence[str] = (), columns: Sequence[str] | None = None,
) -> pd.DataFrame | gpd.GeoDataFrame:  # fmt: skip
    """Read a table by its ending: CSV or TSV, Parquet or GeoParquet, GeoJSON, GeoPackage, Shapefile.

    Args:
        path: The file. A CSV may be split by comma, semicolon, tab or bar; its first line names the columns.
        text: Columns to keep as written (ids with leading zeros, or called NA; dates).
        crs: Reference system of shapes held as WKB or WKT, which no file says
            (:func:`urbanln.base.geometry.as_geometry`).
        written: Encoding of a text file or Shapefile, and how numbers that are text are written.
        shapes: Read such shapes; False leaves them as they are for who may not need them.
        ungrouped: Columns whose numbers have no groups of thousands: coordinates.
        columns: The only ones that are needed, besides shapes: Parquet and maps then leave the others on the
            disk. One that is not there may be a part of another (:mod:`urbanln.base.nested`), which is read.

    Returns:
        The rows; a GeoDataFrame where the file has a geometry.

    Raises:
        InputError: No such file, an ending that is not known, a file that is empty, cannot be parsed or has
            two columns of one name; an encoding for a file that says its own.
    """
    path = Path(path)
    if not path.is_file():
        raise no_file(path)
    suffix = path.suffix.lower()
    if written.encoding and suffix not in (*_TEXT_SUFFIXES, ".shp"):
        raise InputError(
            "only text tables and Shapefiles have an encoding to be told",
            value=written.encoding,
            where=path,
            remedy="leave --encoding out",
        )
    with _reading(path):
        if suffix in _TEXT_SUFFIXES:
            frame = read_csv(path, text=text, written=written, ungrouped=ungrouped)
            return as_geometry(frame, path, crs=crs) if shapes else frame
        if suffix in _PARQUET_SUFFIXES:
            frame = with_plain_numbers(_read_parquet(path, columns), text, written, ungrouped)
            return as_geometry(frame, path, crs=crs) if shapes else frame
        if suffix in _MAP_SUFFIXES:
            _check_encoding(path, written)
            kept = None if columns is None else sorted({part for name in columns for part in above(name)})
            frame = gpd.read_file(path, encoding=written.encoding, columns=kept)
            refuse_doubled(frame.columns, path)
            return with_plain_numbers(frame, text, written, ungrouped)
    raise InputError(
        "a table of this kind cannot be read",
        value=path.suffix or "no ending",
        where=path,
        remedy="give CSV, Parquet, GeoJSON or GeoPackage",
    )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong while a table is read, as one error."""
    try:
        yield
    except pd.errors.EmptyDataError as error:
        raise InputError("the table is empty", where=path, remedy="give a table with rows") from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", value=str(error), where=path, remedy="save it as UTF-8") from error
    except PermissionError as error:
        remedy = "change its permissions, or give a copy"
        raise InputError("you may not read this file", where=path, remedy=remedy) from error
    except (*UNREADABLE, OSError) as error:
        raise InputError(
            f"this is not a readable {path.suffix.lower()} table",
            value=(str(error).strip() or type(error).__name__).splitlines()[0],
            where=path,
            remedy="open it with the program that made it, and save it again",
        ) from error


def _check_encoding(path: Path, written: Written) -> None:
    """Refuse a Shapefile with letters beyond ASCII of which nothing says how they are written."""
    table = path.with_suffix(".dbf")
    if path.suffix.lower() != ".shp" or written.encoding:
        return
    if any(path.with_suffix(ending).exists() for ending in (".cpg", ".CPG", ".cst")) or not table.exists():
        return
    data = table.read_bytes()
    # Byte 29 names the code page; 0 and 0x57 ("ANSI", whichever that is) do not.
    if len(data) > 32 and data[29] in (0, 0x57) and not (rows := data[32:]).isascii():
        raise not_decoded(path, "declared", rows)


def _read_parquet(path: Path, columns: Sequence[str] | None) -> pd.DataFrame | gpd.GeoDataFrame:
    """Parquet with its shapes, whether GeoParquet, GeoArrow or Parquet itself says which they are."""
    schema = pq.read_schema(path)
    refuse_doubled(schema.names, path)
    geo = parse_json((schema.metadata or {}).get(b"geo", b"{}"), dict[str, Any])
    noted = set(geo.get("columns", ())) & set(
        schema.names
    )  # tools drop or rename the shapes and leave the note
    kinds = {f.name: (f.metadata or {}).get(b"ARROW:extension:name", b"") for f in schema}
    arrows = {name for name, kind in kinds.items() if kind.startswith(b"geoarrow.")}
    native = _native_shapes(path)
    kept = None
    if columns is not None:
        may_be = {name for name in schema.names if name.lower() in GEOMETRY_NAMES}
        kept = [name for name in schema.names if name in {*columns, *noted, *arrows, *native, *may_be}]
    frame = _whole_columns(path, kept, native, noted=bool(noted), arrows=bool(arrows))
    for name in columns or ():
        if name not in schema.names and (part := arrow_part(path, schema, name)) is not None:
            frame[name] = part
    return frame


def _whole_columns(
    path: Path, kept: list[str] | None, native: dict[str, str], *, noted: bool, arrows: bool
) -> pd.DataFrame | gpd.GeoDataFrame:
    if noted:
        return gpd.read_parquet(path, columns=kept)
    if arrows:
        return gpd.GeoDataFrame.from_arrow(pq.read_table(path, columns=kept))
    frame = pd.read_parquet(path, columns=kept)
    for name, crs in native.items():  # the first: a table has one
        shapes = gpd.GeoSeries.from_wkb(frame[name], crs=earth_crs(crs, path))
        return gpd.GeoDataFrame(frame.assign(**{name: shapes}), geometry=name)
    return frame


def _native_shapes(path: Path) -> dict[str, str]:
    """Columns of Parquet's own types of shapes, and their systems: pyarrow gives them as mere bytes."""
    schema = pq.ParquetFile(path).schema
    found = {}
    for column in map(schema.column, range(len(schema.names))):
        kind = parse_json(column.logical_type.to_json())
        if kind.get("Type") in ("Geometry", "Geography") and column.path == column.name:
            # Its writers name a system as PROJJSON, OGC:CRS84 or srid:5070; none at all is OGC:CRS84.
            found[column.path] = re.sub(r"^srid:", "EPSG:", kind.get("crs") or "OGC:CRS84")
    return found


def id_text(values: pd.Series) -> pd.Series:
    """Ids as text: 7 and 7.0 become ``"7"``, text loses blanks around it, missing stays missing."""
    if pd.api.types.is_float_dtype(values):
        numbers = values.dropna()
        if (numbers == np.floor(numbers)).all():
            values = values.astype("Int64")
    text = values.astype("str").where(values.notna(), None)
    text = text.str.strip().astype("str")
    return text.mask(text == "")
