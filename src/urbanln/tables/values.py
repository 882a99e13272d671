"""Cells of anybody's table as vectors: text parsed, a bad cell named, codes for "no data" asked about."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.columns import at_row, number_column
from urbanln.base.errors import InputError
from urbanln.base.missing import CODES
from urbanln.base.space import Floats
from urbanln.base.written import as_floats
from urbanln.tables.choice import Chosen
from urbanln.tables.vectors import matrix

Matrix = npt.NDArray[np.float32]
KEEP, CONSTANT = "none", "constant"
_WRAPPED = re.compile(r"(?:np\.|numpy\.|torch\.)?(?:array|tensor)\((.*?)(?:,\s*dtype=[\w.]+)?\)", re.DOTALL)
_SCALAR = re.compile(r"np\.float\d+\(([^()]*)\)")
_MISSING = ("", "null", "none", "nan", "na")
# Smaller ones (99, -9, 255) are values like others among whole numbers of 8 bits.
_CODES = np.array([code for code in CODES if abs(code) >= 999], dtype=np.float32)
_TOO_LARGE = 1e18  # no encoder gives such numbers: 1e20, 9.96921e36 and -3.4e38 mean that nothing is there
_INTEGER_CODES = (-128.0, -32768.0)  # the least int8 and int16, which quantised products keep for "nothing"
_CONSTANT_FROM = 4  # dimensions; fewer may be equal by chance
_ALIKE = 0.05  # of the extent of the rows: rounded degrees, or another point of the same region
_SAMPLE = 64


def read_values(frame: pd.DataFrame, chosen: Chosen, where: str) -> Matrix:
    """The vectors, (N, D) float32, NaN where a value or the whole vector is missing.

    Raises:
        InputError: A value is no number, vectors differ in length, or there is none at all.
    """
    if chosen.lists is not None:
        return _from_lists(frame[chosen.lists], f"{where}, column {chosen.lists}")
    block = frame[list(chosen.numbers)]
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is found as that
        if all(isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in block.dtypes):
            return np.ascontiguousarray(block.to_numpy(dtype=np.float32))
        values = np.empty(block.shape, dtype=np.float32)
        for at, name in enumerate(chosen.numbers):
            values[:, at] = _numbers(frame, name, where)
    return values


def _numbers(frame: pd.DataFrame, name: str, where: str) -> pd.Series:
    try:
        return number_column(frame, name, where, text_numbers=True, finite=False)
    except InputError as error:
        remedy = "write plain numbers such as 0.25 (a point, nothing between thousands); leave gaps empty"
        if error.remedy and "--missing" not in error.remedy:
            remedy = error.remedy  # the option that reads them
        raise InputError(
            "a dimension of the vectors is no number",
            value=error.value,
            where=f"{error.where}, column {name}",
            remedy=remedy,
        ) from error


def _from_lists(column: pd.Series, where: str) -> Matrix:
    there = column.notna().to_numpy()
    if not isinstance(column.dtype, np.dtype) or column.dtype == object:
        is_text = np.fromiter((isinstance(value, str) for value in column), dtype=bool, count=len(column))
        if is_text.any():
            cells = [_parsed(v, at_row(where, row)) if text else v
                     for row, (v, text) in enumerate(zip(column, is_text, strict=True))]  # fmt: skip
            column = pd.Series(cells, dtype=object, index=column.index)
            there = column.notna().to_numpy()
    if not there.any():
        raise InputError(
            "there is no vector in this column", where=where, remedy="name the columns of numbers"
        )
    whole = matrix(column[there].to_frame("vector"), where)
    if there.all():
        return whole
    values = np.full((len(column), whole.shape[1]), np.nan, dtype=np.float32)
    values[there] = whole
    return values


def _parsed(text: str, where: str) -> list[float] | None:
    """A vector written as text by Python, NumPy, JSON, Postgres or pgvector; None where nothing is there."""
    bare = text.strip()
    if bare.lower() in _MISSING:
        return None
    if "..." in bare or "…" in bare:
        raise InputError(
            "a vector was cut when it was printed: its middle is gone",
            value=text,
            where=where,
            remedy="save the numbers themselves: as Parquet, or one column per dimension",
        )
    if bare.endswith(")") and (wrapped := _WRAPPED.fullmatch(bare)):
        bare = wrapped[1].strip()
    if "np." in bare:
        bare = _SCALAR.sub(r"\1", bare)
    inner = bare[1:-1].strip() if bare[:1] + bare[-1:] in ("[]", "{}", "()") else None
    parts = [] if not inner else inner.rstrip(",").split(",") if "," in inner else inner.split()
    try:
        if not parts or "_" in bare:
            raise ValueError("no list of numbers in brackets")
        return [float("nan") if part.strip().lower() in _MISSING[1:] else float(part) for part in parts]
    except ValueError as error:
        raise InputError(
            "a vector is text, not numbers",
            value=text,
            where=where,
            remedy='write it as "[0.1, 0.2]", as one numeric column per dimension, or in Parquet',
        ) from error


def left_out(
    values: Matrix, frame: pd.DataFrame, chosen: Chosen, nodata: Sequence[str], where: str, spec: str | None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Rows without a usable vector, by the reason in words.

    Args:
        values: (N, D), from :func:`read_values`.
        frame: The table they came from.
        chosen: Its columns that are the vector.
        nodata: What the user said: codes such as ``-9999``, ``constant`` for rows of one value throughout,
            ``none`` to keep whatever looks like a code.
        where: Name of the table, for errors.
        spec: ``NAME=FILE``, for the option in errors.

    Raises:
        InputError: A value is infinite, or looks like a code for "no data" and nothing was said about it.
    """
    missing = np.isnan(values)
    empty = np.asarray(missing.all(axis=1))
    found: dict[str, npt.NDArray[np.bool_]] = {
        "without a vector": empty,
        "a value is missing": np.asarray(missing.any(axis=1)) & ~empty,
    }
    for text in nodata:
        if text not in (KEEP, CONSTANT):
            found[f"hold {text}"] = np.asarray((values == _code(text)).any(axis=1))
    if CONSTANT in nodata:
        found["one value throughout"] = _constant(values)
    kept = ~np.any(list(found.values()), axis=0)
    _refuse_infinite(values, kept, frame, chosen, where, spec)
    if KEEP not in nodata:
        _ask(values if kept.all() else values[kept], np.flatnonzero(kept), chosen, where, spec)
    return found


def _code(text: str) -> np.float32:
    try:
        with np.errstate(over="ignore"):
            return np.float32(float(text))
    except ValueError as error:
        raise InputError(
            "a code for missing values is a number",
            value=text,
            where="--nodata",
            remedy=f"e.g. -9999; '{CONSTANT}' for rows of one value throughout; '{KEEP}' to keep all",
        ) from error


def _refuse_infinite(
    values: Matrix,
    kept: npt.NDArray[np.bool_],
    frame: pd.DataFrame,
    chosen: Chosen,
    where: str,
    spec: str | None,
) -> None:
    bad = np.isinf(values)
    if not bad.any() or not (bad := bad & kept[:, None]).any():
        return
    row, dim = (int(at[0]) for at in np.nonzero(bad))
    value: Any = frame[chosen.lists].iloc[row] if chosen.lists else frame[chosen.numbers[dim]].iloc[row]
    if chosen.lists and not isinstance(value, str):
        value = value[dim]
    if not isinstance(value, str):
        value = float(as_floats(pd.Series([value], dtype=object)).iloc[0])
    if not isinstance(value, str) and np.isfinite(value):
        raise _asked(repr(value), int(bad.any(axis=1).sum()), row, dim, chosen, where, spec)
    raise InputError(
        "a value of a vector is infinite", value=value, where=_at(row, dim, chosen, where),
        remedy="leave missing values empty",
    )  # fmt: skip


def _ask(values: Matrix, rows: npt.NDArray[np.int64], chosen: Chosen, where: str, spec: str | None) -> None:
    """Refuse what looks like a code for "no data", until the user says what it is."""
    if not len(values):
        return
    low, high = values.min(axis=0), values.max(axis=0)
    suspects = [(dim, low[dim]) for dim in np.flatnonzero(np.isin(low, _CODES) | (low < -_TOO_LARGE))]
    suspects += [(dim, high[dim]) for dim in np.flatnonzero(np.isin(high, _CODES) | (high > _TOO_LARGE))]
    for dim, code in suspects:
        rest = values[:, dim][values[:, dim] != code] * np.sign(code)
        if abs(code) > _TOO_LARGE or not len(rest) or rest.max() < abs(code) / 2:
            break
    else:
        code = next((np.float32(c) for c in _INTEGER_CODES if low.min() == c and high.max() < -c), None)
        if code is None or not (values == np.floor(values)).all():
            return _ask_constant(values, rows, chosen, where, spec)
        dim = np.argmin(low)
    hit = (values == code).any(axis=1)
    row = int(rows[np.flatnonzero(values[:, dim] == code)[0]])
    raise _asked(str(code).removesuffix(".0"), int(hit.sum()), row, int(dim), chosen, where, spec)


def _ask_constant(
    values: Matrix, rows: npt.NDArray[np.int64], chosen: Chosen, where: str, spec: str | None
) -> None:
    hit = _constant(values)
    if hit.any() and not hit.all():
        row = int(rows[np.flatnonzero(hit)[0]])
        raise _asked(CONSTANT, int(hit.sum()), row, None, chosen, where, spec)


def _constant(values: Matrix) -> npt.NDArray[np.bool_]:
    """Rows that hold one value throughout, where there are dimensions enough to tell."""
    if values.shape[1] < _CONSTANT_FROM:
        return np.zeros(len(values), dtype=bool)
    return np.asarray((values[:, 1:] == values[:, :1]).all(axis=1))


def _asked(
    code: str, count: int, row: int, dim: int | None, chosen: Chosen, where: str, spec: str | None
) -> InputError:
    what = "are one value throughout" if dim is None else f"hold {code}"
    if spec is None:
        remedy = "leave such rows out of the frame, or hand in region_id and vector, taken as they are"
    else:
        name = shlex.quote(spec.partition("=")[0] + "=")
        remedy = f"--nodata {name}{code} leaves such rows out; --nodata {name}{KEEP} keeps them as they are"
    return InputError(
        f"{count:,} rows of this table of vectors {what}, which may mean that nothing is there",
        value=None if dim is None else code,
        where=_at(row, dim, chosen, where),
        remedy=remedy,
    )


def _at(row: int, dim: int | None, chosen: Chosen, where: str) -> str:
    place = at_row(where, row)
    if dim is None:
        return place
    return f"{place}, " + (
        f"column {chosen.lists}, number {dim}" if chosen.lists else f"column {chosen.numbers[dim]}"
    )


def refuse_positions(values: Matrix, lonlat: Floats, chosen: Chosen, where: str) -> None:
    """Refuse vectors of which a dimension is the longitude or latitude of the rows.

    Args:
        values: (N, D), all finite.
        lonlat: (N, 2) degrees; NaN where not known.
        chosen: Columns named in full by the user may be positions.
        where: Name of the table, for errors.

    Raises:
        InputError: Names the dimension.
    """
    known = np.isfinite(lonlat).all(axis=1)
    for axis, name in enumerate(("longitude", "latitude")):
        there = lonlat[known, axis]
        spread = np.ptp(there) if len(there) else 0.0
        near = _ALIKE * spread
        if near == 0:  # of one place, nobody can say
            continue
        few = np.flatnonzero(known)[:_SAMPLE]
        with np.errstate(invalid="ignore"):
            like = np.flatnonzero((np.abs(values[few] - lonlat[few, axis, None]) <= near).all(axis=0))
        for dim in like:
            if chosen.numbers and chosen.numbers[dim] in chosen.by_name:
                continue
            if (np.abs(values[known, dim] - there) <= near).all():
                raise InputError(
                    f"a dimension of the vectors is the {name} of the regions",
                    value=f"number {dim}" if chosen.lists else chosen.numbers[dim],
                    where=where,
                    remedy="a position is what the floors have: "
                    + (
                        "take it out of the lists"
                        if chosen.lists
                        else "leave it out, or name each column in full"
                    ),
                )
