"""Labels looked at before anything is trained: gaps, saturation, twins, tails, and their reach in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from urbanln.base.autocorrelation import morans_i
from urbanln.base.columns import number_column
from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind, check_label, label_kinds
from urbanln.base.missing import missing_codes
from urbanln.base.space import Floats, spacing_km, to_metres
from urbanln.base.variogram import variogram
from urbanln.probe.advice import advise
from urbanln.probe.class_audit import audit_classes
from urbanln.probe.label_audit import Audited, IndicatorAudit, LabelAudit, Saturated, few_values
from urbanln.probe.labels import auto_transform, skewness
from urbanln.probe.shares_audit import audit_shares
from urbanln.probe.twins import held_together, near_twins, twin_metres

SATURATED = 0.02
"""A value that more than this share of the regions hold is no measurement of each of them."""
_HEAVY = 10.0  # the largest value in units of the 95th percentile
_OUTSTANDING, _BESIDE = 5.0, 5  # times the count of the values beside it in size, five on either side


def audit_labels(
    indicators: pd.DataFrame,
    lonlat: pd.DataFrame,
    units: Mapping[str, str] | None = None,
    *,
    kinds: Mapping[str, LabelKind] | None = None,
    permutations: int = 199,
    seed: int = 0,
) -> LabelAudit:
    """Look at labels before anything is trained on them.

    Args:
        indicators: ``region_id`` and the columns of the labels; missing values are missing, not 0.
        lonlat: ``region_id``, ``lon``, ``lat`` in degrees, and perhaps ``city``: neighbours, pairs and blocks
            are then taken within a city.
        units: Unit of each indicator, for reading.
        kinds: Labels that are classes or shares, and their columns; every other column is a number.
        permutations: Of Moran's test, and that of joins.
        seed: Of the tests and of the sample of pairs.

    Raises:
        InputError: A column is missing or not what it is said to be; a region is doubled; there is no label.
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
    audits: dict[str, Audited] = {}
    for name, label in label_kinds(table.columns, kinds or {}).items():
        unit = (units or {}).get(name, "")
        if label.kind == "number":
            numbers = _numbers(table, name).reindex(ids).to_numpy()
            audits[name] = _audit_one(numbers, metres, spacing, unit, permutations, seed)
            continue
        values = check_label(table, name, label, "labels").reindex(ids)
        test = {"permutations": permutations, "seed": seed}
        audits[name] = (
            audit_classes(values[name], metres, spacing, **test)
            if label.kind == "classes"
            else audit_shares(values, label.columns, metres, spacing, unit, **test)
        )
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
        advice=advise(gram, places, spacing),
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
