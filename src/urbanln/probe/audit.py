"""Labels looked at before anything is trained: gaps, saturation, twins, tails, and their reach in space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from urbanln.base.autocorrelation import Variogram, morans_i, variogram
from urbanln.base.columns import number_column
from urbanln.base.errors import InputError
from urbanln.base.missing import missing_codes
from urbanln.base.space import Floats, spacing_km, square_blocks, to_metres
from urbanln.probe.label_audit import Advice, IndicatorAudit, LabelAudit, Saturated, few_values
from urbanln.probe.labels import auto_transform, skewness
from urbanln.probe.twins import held_together, near_twins, twin_metres

SATURATED = 0.02
"""A value that more than this share of the regions hold is no measurement of each of them."""
_HEAVY = 10.0  # the largest value in units of the 95th percentile
_OUTSTANDING, _BESIDE = 5.0, 5  # times the count of the values beside it in size, five on either side
_LEAST_REGIONS = 30  # below, neither a variogram nor a test says much
_LEAST_BLOCKS = 10  # five folds of two blocks
_TRY_KM = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500)


def audit_labels(
    indicators: pd.DataFrame,
    lonlat: pd.DataFrame,
    units: Mapping[str, str] | None = None,
    *,
    permutations: int = 199,
    seed: int = 0,
) -> LabelAudit:
    """Look at labels before anything is trained on them.

    Args:
        indicators: ``region_id`` and numeric columns; missing values are missing, not 0.
        lonlat: ``region_id``, ``lon``, ``lat`` in degrees, and perhaps ``city``: neighbours, pairs and blocks
            are then taken within a city.
        units: Unit of each indicator, for reading.
        permutations: Of Moran's test.
        seed: Of the test and of the sample of pairs.

    Raises:
        InputError: A column is missing or no number, a region is doubled, or there is no label at all.
    """
    for frame, name, needed in ((indicators, "labels", ()), (lonlat, "positions", ("lon", "lat"))):
        _check_table(frame, name, ("region_id", *needed))
    table = indicators.set_index("region_id").rename(columns=str)
    if table.columns.empty:
        raise InputError("there are no labels to audit", remedy="name columns with --label", where="labels")
    if lonlat.empty:
        raise InputError(
            "there are no regions to audit", where="positions", remedy="give positions with a row per region"
        )
    ids = lonlat["region_id"]
    if not (placed := table.index.isin(ids)).any():
        raise InputError(
            "no region of the labels has a position",
            value=f"labels: {table.index[:1].tolist()}, positions: {ids[:1].tolist()}",
            remedy="both tables need the same region_id, and of the same type",
            where="region_id",
        )
    cities = lonlat["city"] if "city" in lonlat.columns else None
    metres = to_metres(lonlat[["lon", "lat"]].to_numpy(dtype=np.float64), cities)
    spacing = spacing_km(metres)
    audits = {}
    for name in table.columns:
        numbers = _numbers(table, name).reindex(ids).to_numpy()
        unit = (units or {}).get(name, "")
        audits[name] = _audit_one(numbers, metres, spacing, unit, permutations, seed)
    return LabelAudit(len(ids), spacing, audits, int((~placed).sum()))


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    """A label as float64, missing values as NaN."""
    numbers = number_column(table, name, "labels", finite=False)
    if (infinite := np.isinf(numbers)).any():
        raise InputError(
            f"the label '{name}' is infinite",
            value=float(numbers[infinite].iloc[0]),
            where=f"region {numbers.index[infinite][0]}",
            remedy="leave missing values empty",
        )
    return numbers


def _check_table(frame: pd.DataFrame, name: str, needed: Sequence[str]) -> None:
    for column in needed:
        if column not in frame.columns:
            raise InputError(
                f"{name} lack the column '{column}'",
                value=", ".join(map(str, frame.columns)),
                where=name,
                remedy=f"add '{column}'",
            )
    if (named := frame.columns.map(str)).has_duplicates:
        raise InputError(
            f"{name} have two columns of one name",
            value=named[named.duplicated()][0],
            where=name,
            remedy="rename one of them",
        )
    if (twice := frame["region_id"].duplicated()).any():
        raise InputError(
            f"a region occurs twice in the {name}",
            value=frame["region_id"][twice].iloc[0],
            where=name,
            remedy="keep one row per region",
        )


def _audit_one(
    numbers: Floats, metres: Floats, spacing: float, unit: str, permutations: int, seed: int
) -> IndicatorAudit:
    there = np.isfinite(numbers)
    values, places = numbers[there], metres[there]
    n = len(values)
    negatives = int((values < 0).sum())
    transform = auto_transform(values)
    shaped = np.log1p(values) if transform == "log1p" else values
    gram = variogram(shaped, places, seed=seed)
    different, count = np.unique(values, return_counts=True)
    p95 = float(np.quantile(values, 0.95)) if n else np.nan
    ratio = float(values.max() / p95) if n and p95 > 0 else np.nan
    twins = np.isin(values, different[(count > 1) & (different != 0)])
    twin_m = twin_metres(values[twins], places[twins])
    near = near_twins(values, places)
    return IndicatorAudit(
        n=n,
        missing=len(numbers) - n,
        zeros=int((values == 0).sum()),
        negatives=negatives,
        minimum=float(values.min()) if n else np.nan,
        median=float(np.median(values)) if n else np.nan,
        maximum=float(values.max()) if n else np.nan,
        distinct=len(different),
        saturated=_saturated(values, places, different, count),
        codes=missing_codes(values),
        twins=float(twins.mean()) if n else 0.0,
        twin_km=float(np.median(twin_m)) / 1000 if len(twin_m) else np.nan,
        near_twins=near.share,
        near_by_chance=near.by_chance,
        one_source=near.one_source,
        max_to_p95=ratio,
        skew=skewness(values),
        skew_log=skewness(np.log1p(values)) if negatives == 0 else np.nan,
        heavy_tail=bool(ratio > _HEAVY),
        transform=transform,
        moran=morans_i(shaped, places, permutations=permutations, seed=seed),
        variogram=gram,
        advice=_advice(gram, places, spacing) if n >= _LEAST_REGIONS else None,
        unit=unit,
    )


def _saturated(values: Floats, places: Floats, different: Floats, count: np.ndarray) -> list[Saturated]:
    if few_values(len(different), len(values)):
        return []
    beside = pd.Series(count).rolling(2 * _BESIDE + 1, center=True, min_periods=1).median().to_numpy()
    often = (count > SATURATED * len(values)) & (count >= _OUTSTANDING * beside) & (different != 0)
    median = float(np.median(values))
    found = []
    for value, n in zip(different[often].tolist(), count[often].tolist(), strict=True):
        together = held_together(value, values, places)
        found.append(Saturated(value, n, n / len(values), value == median, together))
    return sorted(found, key=lambda one: -one.regions)


def _advice(gram: Variogram, places: Floats, spacing: float) -> Advice | None:
    """Blocks as long as the range where ten of them fit, and a buffer of a quarter of a block or more."""
    if not math.isfinite(gram.range_km):
        return None
    fitting = [edge for edge in _TRY_KM if square_blocks(places, edge).max() + 1 >= _LEAST_BLOCKS]
    if not fitting:
        return None
    largest, range_km = fitting[-1], gram.range_km
    wanted = next((edge for edge in _TRY_KM if edge >= max(range_km, 3 * spacing)), _TRY_KM[-1])
    block = min(wanted, largest)
    buffer = max(1.5 * spacing, min(range_km, block / 4))
    if range_km == 0:
        by, why = "noise", f"no range was found, so a few regions ({spacing:.2g} km apart) make a block"
    elif gram.limited or wanted > largest:
        reach = f"beyond {range_km:.3g} km" if gram.limited else f"of {range_km:.3g} km"
        by, why = "map", f"the range is {reach}, and blocks over {block:g} km would be fewer than ten"
    else:
        by, why = "range", f"blocks are as long as the range of {range_km:.3g} km"
    return Advice(block, math.ceil(10 * buffer) / 10, by, why)
