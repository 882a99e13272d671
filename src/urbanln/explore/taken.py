"""A selection to take away: regions with the columns that are wanted, as GeoJSON, CSV or GeoParquet."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.explore.content import Column, Content, Doubles, Floats, Ints

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
Format = Literal["geojson", "csv", "parquet"]
TYPES: dict[str, str] = {
    "geojson": "application/geo+json", "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}  # fmt: skip


def take(content: Content, rows: Ints, columns: Sequence[Column], form: Format) -> bytes:
    """The content of a file with the chosen regions.

    Args:
        content: Whose regions.
        rows: Which, in the order in which they are to stand.
        columns: What of them besides id, place and shape.
        form: Kind of file; CSV has the middles in place of shapes.

    Raises:
        InputError: Another form.
    """
    if form not in TYPES:
        raise InputError("no such form", value=form, where="format", remedy=f"one of {', '.join(TYPES)}")
    frame = pd.DataFrame({"region_id": content.regions["region_id"].to_numpy()[rows]})
    frame["lon"], frame["lat"] = content.lonlat[rows].round(6).T
    for one in columns:
        name = one.key if one.key else one.title
        if one.classes:
            frame[name] = [one.classes[int(v)] if v == v else None for v in one.values[rows]]
        else:
            frame[name] = _numbers(one, rows, form)
    if form == "csv":
        return frame.apply(lambda column: column.map(_inert)).to_csv(index=False).encode()
    shaped = gpd.GeoDataFrame(frame, geometry=content.regions.geometry.to_numpy()[rows], crs=4326)
    if form == "geojson":
        return shaped.to_json(na="null", drop_id=True).encode()
    whole = io.BytesIO()
    shaped.to_parquet(whole, index=False)
    return whole.getvalue()


def _numbers(column: Column, rows: Ints, form: Format) -> pd.Series | Floats | Doubles:
    """Numbers as they are written: 0.1 for what 32 bits hold as 0.10000000149; a year without a point."""
    if column.exact is None:
        values = column.values[rows]
        if form == "parquet":
            return values
        short = pd.Series(values.astype(np.str_).astype(np.float64))
    elif form == "parquet":
        return column.exact[rows]
    else:
        short = pd.Series(column.exact[rows])
    known = short.dropna()
    whole = ((known == known.round()) & (known.abs() < 2**53)).all()
    return short.astype("Int64") if whole else short


def _inert(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, made a text by the sign that says so there.

    A negative number is none, whether it is a number or an id of digits.
    """
    formula = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if formula else value
