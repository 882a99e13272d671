"""Labels that are shares: parts of a whole, read from a column each, that sum to one in every row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.bounds import SHARES_MOST_OFF, SHARES_OFF
from urbanln.base.columns import refuse
from urbanln.base.errors import InputError
from urbanln.base.kinds import few, simplex
from urbanln.base.space import Floats
from urbanln.city.indicators import Missing, take_labels

EMPTY_PARTS = ("refuse", "rest", "missing")
_ROUNDING = 1e-9  # what a subtraction leaves below 0


def parse_shares(shares: Sequence[str] | Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """What ``--shares`` says: ``NAME=COLUMN,COLUMN,…`` each.

    Args:
        shares: As typed, or name → columns.

    Raises:
        InputError: A name is missing or stands twice, or there are fewer than two columns.
    """
    if isinstance(shares, Mapping):
        pairs = [(str(name), tuple(map(str, columns))) for name, columns in shares.items()]
    else:
        pairs = []
        for option in map(str, shares):
            name, _, columns = option.partition("=")
            pairs.append((name.strip(), tuple(c for part in columns.split(",") if (c := part.strip()))))
    found: dict[str, tuple[str, ...]] = {}
    for name, parts in pairs:
        if not name or len(parts) < 2 or name in found:
            raise InputError(
                "shares have a name of their own, and two columns or more",
                value=f"{name}={','.join(parts)}",
                where="--shares",
                remedy="--shares age=age_young,age_middle,age_old; once per label",
            )
        found[name] = parts
    return found


def take_shares(
    frame: pd.DataFrame,
    name: str,
    columns: Sequence[str],
    *,
    table: str,
    rule: Missing,
    empty_part: str = "refuse",
    tolerance: float = SHARES_OFF,
) -> tuple[pd.DataFrame, list[str]]:
    """The parts of one label as float64 that sum to one in every row, and what was done to them in words.

    Parts in per cent are divided by 100, which is said. A row that is off by no more than the tolerance is
    divided by its sum, which is said where it is more than the last digits; one whose parts sum to something
    else has no such label, and is counted. A part that is empty where the others sum to one is 0; elsewhere
    it is asked about.

    Args:
        frame: The table.
        name: Of the label.
        columns: Of its parts.
        table: Name of the table, for errors.
        rule: What the user says stands for a missing value.
        empty_part: What an empty part is where the others do not sum to one: ``refuse``; ``rest``, what they
            leave of it; ``missing``, so that the row has no such label.
        tolerance: How far a sum may be from 1: .001 for all that arithmetic can do, more for parts that were
            rounded; a row of which a part is empty is held to .001.

    Raises:
        InputError: As :func:`urbanln.city.indicators.take_labels`; a part is negative or empty, or the parts
            sum neither to 1 nor to 100.
    """
    values, said = take_labels(frame, columns, table=table, missing=rule.also(name, columns))
    parts = values.to_numpy()
    there = ~np.isnan(parts).all(axis=1)
    if not there.any():
        return values, said
    whole = _whole(parts, name, table, tolerance)
    if whole == 100:
        said.append(f"label {name}: its parts sum to 100, and are divided by it")
    parts = parts / whole
    low = (parts < -_ROUNDING).any(axis=1)
    refuse(low, f"a part of '{name}' is negative", _shown(values), table, "shares are 0 or more")
    parts = np.maximum(parts, 0)
    partly = there & np.isnan(parts).any(axis=1) & ~_near(parts, 1, tolerance)
    refuse(
        partly & (empty_part == "refuse"),
        f"a part of '{name}' is empty, and the others do not sum to {whole}",
        _shown(values),
        table,
        "--empty-part rest takes what the others leave, --empty-part missing leaves such rows out",
    )
    rest = partly & (empty_part == "rest") & (np.nansum(parts, axis=1) <= 1 + tolerance)
    parts, told = _filled(parts, rest, f"label {name}", whole)
    kept = ~np.isnan(parts).any(axis=1) & _near(parts, 1, tolerance)
    said += told + _divided(name, parts[kept], whole, tolerance)
    said += _left_out(name, there & ~kept, parts, whole, tolerance)
    parts[~kept] = np.nan
    return pd.DataFrame(simplex(parts), index=values.index, columns=list(columns)), said


def _shown(values: pd.DataFrame) -> Callable[[int], str]:
    """What a row holds, for an error."""
    rows = values.to_numpy()
    return lambda row: ", ".join("empty" if np.isnan(value) else f"{value:.6g}" for value in rows[row])


def _filled(parts: Floats, rest: npt.NDArray[np.bool_], label: str, whole: int) -> tuple[Floats, list[str]]:
    """Empty parts that are known: 0 beside others that sum to one, and on demand what the others leave."""
    gaps, left = np.isnan(parts), np.maximum(1 - np.nansum(parts, axis=1), 0)
    said = []
    zero = gaps.any(axis=1) & _near(parts, 1, SHARES_OFF)
    if zero.any():
        said.append(f"{label}: {int(zero.sum())} rows have empty parts beside others that sum to {whole}: 0")
    rest = rest & (gaps.sum(axis=1) == 1)
    if rest.any():
        said.append(f"{label}: {int(rest.sum())} rows have one empty part, taken as what the others leave")
    parts = np.where(gaps & zero[:, None], 0, parts)
    return np.where(gaps & rest[:, None], left[:, None], parts), said


def _near(parts: Floats, whole: int, tolerance: float) -> npt.NDArray[np.bool_]:
    """Whether the parts that are there sum to the whole; beside a gap a tolerance says nothing of the gap."""
    allowed = np.where(np.isnan(parts).any(axis=1), SHARES_OFF, tolerance)
    return np.asarray(np.abs(np.nansum(parts, axis=1) - whole) <= allowed * whole * (1 + 1e-9))


def _whole(parts: Floats, name: str, table: str, tolerance: float) -> int:
    """What the parts of most rows sum to: 1 or 100."""
    near = {whole: _near(parts, whole, tolerance) for whole in (1, 100)}
    whole = max(near, key=lambda one: int(near[one].sum()))
    full = ~np.isnan(parts).any(axis=1) | near[whole]
    if not full.any() or near[whole].sum() < full.sum() / 2:
        told = parts[full] if full.any() else parts[~np.isnan(parts).all(axis=1)]
        likely = _rounded(parts.shape[1])
        rounded = max(int(_near(told, one, likely).sum()) for one in (1, 100)) >= len(told) / 2
        raise InputError(
            f"the parts of '{name}' sum to 1, or to 100, in {int(near[whole].sum())} of {len(told)} rows",
            value=f"{np.median(np.nansum(told, axis=1)):.6g} in the middle one",
            where=table,
            remedy="name every part of the whole, and divide counts by their sum first"
            + (f"; parts that were rounded: --share-tolerance {likely:g}" if rounded else ""),
        )
    return whole


def _rounded(parts: int) -> float:
    """How far the sum of so many parts can be off that were rounded to whole per cent."""
    return min(0.005 * parts, SHARES_MOST_OFF)


def _divided(name: str, parts: Floats, whole: int, tolerance: float) -> list[str]:
    """What is said of rows that are off by more than the last digits."""
    off = np.abs(parts.sum(axis=1) - 1)
    if not (rounded := off > SHARES_OFF * (1 + 1e-9)).any():
        return []
    what = f"sum to {whole} but for {off.max() * whole:.3g} at most, and are divided by their sum"
    return [f"label {name}: {int(rounded.sum())} rows {what} (--share-tolerance {tolerance:g})"]


def _left_out(
    name: str, out: npt.NDArray[np.bool_], parts: Floats, whole: int, tolerance: float
) -> list[str]:
    """What is said of rows whose parts do not sum to the whole, and what would take them."""
    if not out.any():
        return []
    row = int(np.flatnonzero(out)[0])
    first = f"the first to {np.nansum(parts[row]) * whole:.6g}, in row {row}"
    off = np.abs(parts[out].sum(axis=1) - 1)  # none of a row with a gap
    near = off[off <= _rounded(parts.shape[1]) * (1 + 1e-9)]
    takes = "too far off for rounding, which --share-tolerance is for"
    if len(near):
        least = math.ceil(1000 * near.max() - 1e-6) / 1000
        takes = f"if that is rounding, --share-tolerance {least:g} takes {len(near)} of them"
    what = f"their parts do not sum to {whole} within {tolerance * whole:g} ({first}; {takes})"
    return [f"label {name}: {int(out.sum())} rows left out, since {what}"]


def told_of_shares(name: str, shares: pd.DataFrame) -> list[str]:
    """What there is to say of a label of shares: its parts, the largest first, and whether they differ.

    Args:
        name: Of the label.
        shares: (N, C) parts of each region, missing where there are none.
    """
    means = shares.mean().sort_values(ascending=False, kind="stable")
    if means.isna().any():
        return []
    shown = few([f"{part} {mean:.3g}" for part, mean in means.items()])
    said = [f"label {name}: {len(means)} parts, on average {shown}"]
    known = shares.dropna()
    if len(known) > 1 and bool((np.ptp(known.to_numpy(), axis=0) <= _ROUNDING).all()):
        said.append(f"label {name}: every region has the same shares: there is nothing to predict")
    return said
