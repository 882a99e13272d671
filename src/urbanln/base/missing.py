"""Codes for a missing value among numbers, −9999 and its like: which are certain, which only may be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NINES = tuple(float("9" * digits) for digits in range(2, 11))  # 99 to 9,999,999,999
_WEATHER = (99.9, 99.99, 999.9, 999.99, 9999.9)
_BITS = (
    *(-(2.0 ** (bits - 1)) for bits in (8, 16, 32, 64)),
    *(2.0 ** (bits - 1) - 1 for bits in (16, 32, 64)),
    *(2.0**bits - 1 for bits in (8, 16, 32)),
)
# The annotation values of the US Census (American Community Survey).
_CENSUS = tuple(-float(str(digit) * 9) for digit in (2, 3, 5, 6, 8))
CODES = frozenset(
    (*(sign * nine for nine in (*_NINES, *_WEATHER) for sign in (-1, 1)), -9.0, *_BITS, *_CENSUS, 1e20, -1e20)
)
"""Values that stand for a missing one in some tables."""
_ENDLESS = 1e30  # −3.4e38, 9.97e36, 1e37: no label of a city is so large
_DWARFED = 1e6  # how many times smaller all others then are
_OFTEN = 5  # rows, and times as many as values commonly have


@dataclass(frozen=True)
class Code:
    """A value that looks like a code for a missing one.

    Attributes:
        value: The value.
        rows: How many hold it.
        certain: Whether it can hardly be anything else.
    """

    value: float
    rows: int
    certain: bool

    @property
    def text(self) -> str:
        """The value as one would type it."""
        return f"{self.value:.15g}"


def missing_codes(values: npt.ArrayLike, dtype: str = "") -> list[Code]:
    """Values that look like codes for a missing one, the unmistakable ones first.

    Only values off the usual list count, so that no measured value is ever thrown away for being far out:
    ±99, ±999, … , ±999.9, −9, the ends of 8, 16, 32 and 64 bits, the Census' −666666666, ±1e20, anything
    beyond 1e30; and as a mere suspicion −1 and 0. With "the others" as all values not on the list, one is
    certain where

    - it is beyond 1e30, or ±1e20, and a million times as large as all others;
    - it is −999 or below and the others are 0 or more, or lie closer together than to it;
    - it is −99 or −128, held twice or more, and the same is true of the others;
    - it is 255, 999 or above, held twice or more, the others lie closer together than to it, and there are
      three different ones or more (0 and 255 are a mask).

    Where there are no others, −999 and below are certain. What is on the list and is held suspiciously often,
    or stands apart from the others, is a suspicion.

    Args:
        values: (N,) numbers; missing ones are NaN.
        dtype: What they were stored as: in ``int8`` −128 is certain where it is held twice.
    """
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    different, count = np.unique(numbers, return_counts=True)
    listed = np.isin(different, _as_stored(dtype)) | (np.abs(different) >= _ENDLESS)
    others = different[~listed]
    if len(others) == 0:
        alone = different <= -999
        return [
            Code(float(v), int(n), certain=True) for v, n in zip(different[alone], count[alone], strict=True)
        ]
    common = float(np.median(count[~listed]))
    found = [
        code
        for value, rows in zip(different[listed], count[listed], strict=True)
        if (code := _judged(float(value), int(rows), others, common, dtype))
    ]
    found += _suspected(different, count, others)
    return sorted(found, key=lambda code: (not code.certain, -code.rows))


def _as_stored(dtype: str) -> list[float]:
    """The codes, and what floats of four bytes (or two, where these are some) round them to."""
    codes = np.array(sorted(CODES))
    with np.errstate(over="ignore"):
        rounded = [codes.astype(np.float32)]
        rounded += [codes.astype(np.float16)] if dtype.lower() in ("float16", "halffloat") else []
    return [*codes, *(value for kind in rounded for value in kind[np.isfinite(kind)].astype(np.float64))]


def _judged(value: float, rows: int, others: Floats, common: float, dtype: str) -> Code | None:
    """What a value on the list is; None for a plain value."""
    low, high = float(others.min()), float(others.max())
    apart = max(low - value, value - high) >= max(high - low, 1.0)
    twice = rows >= 2
    if abs(value) >= 1e20:
        return Code(value, rows, _DWARFED * max(abs(low), abs(high)) <= abs(value))
    if value == -128 and dtype.lower() == "int8":
        return Code(value, rows, certain=twice)
    if value < -9:
        certain = (twice or value < -128) and (low >= 0 or (value < low and apart))
    else:
        certain = twice and apart and value > 100 and len(others) > 2
    often = rows >= max(_OFTEN, _OFTEN * common)
    return Code(value, rows, certain) if certain or apart or often or (value < 0 <= low) else None


def _suspected(different: Floats, count: npt.NDArray[np.int64], others: Floats) -> list[Code]:
    """−1 among what is never negative, and 0 among what is far from 0."""
    found = []
    usual = others[(others != 0) & (others != -1)]
    for value in (-1.0, 0.0):
        at = np.flatnonzero(different == value)
        if len(at) == 0 or len(usual) == 0 or usual.min() < 0:
            continue
        if value == -1 or usual.min() > max(usual.max() - usual.min(), 1.0):
            found.append(Code(value, int(count[at[0]]), certain=False))
    return found


def without(values: Floats, codes: Sequence[float]) -> Floats:
    """The values with the codes as NaN; 4-byte floats are met by what they round a code to."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(codes, dtype=np.float32).astype(np.float64)
    near = rounded[np.isfinite(rounded)]
    return np.where(np.isin(values, [*codes, *near]), np.nan, values)
