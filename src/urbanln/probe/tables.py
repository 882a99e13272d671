"""From tables keyed by region to arrays over the regions that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.columns import among, number_column
from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind, label_kinds
from urbanln.base.space import Floats, check_lonlat, to_metres
from urbanln.probe.held_out import check_name, check_vectors
from urbanln.probe.units import city_numbers, texts
from urbanln.tables.vectors import matrix


@dataclass(frozen=True, eq=False)
class Regions:
    """Arrays in one order of regions.

    Args:
        ids: (N,) region ids.
        lonlat: (N, 2) degrees.
        metres: (N, 2) local metres; several cities lie far apart.
        vectors: Copies (N, D) of each table, by name; one copy unless the encoder was trained several times.
            Read only: a table that is one block of float32 in the order of the regions is not copied.
        targets: (N,) labels by indicator, NaN where missing: numbers, or classes as objects; shares (N, C).
        groups: (N,) labels that never stand on both sides of a fold, or None.
        coverage: How many regions there are, and how many have what.
        cities: (N,) city of each region, or None where positions have no column ``city``.
        districts: (N,) district of each region, None where it has none; None without that column.
        kinds: What each indicator is, and its columns.
    """

    ids: npt.NDArray[Any]
    lonlat: Floats
    metres: Floats
    vectors: dict[str, list[npt.NDArray[np.float32]]]
    targets: dict[str, npt.NDArray[Any]]
    groups: npt.NDArray[Any] | None
    coverage: dict[str, Any]
    cities: npt.NDArray[Any] | None = None
    districts: npt.NDArray[Any] | None = None
    kinds: Mapping[str, LabelKind] = field(default_factory=dict)


def common_regions(
    tables: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    indicators: pd.DataFrame,
    lonlat: pd.DataFrame,
    groups: Mapping[str, Any] | None = None,
    kinds: Mapping[str, LabelKind] | None = None,
) -> Regions:
    """Join everything by region, and keep the regions that have a vector in every table.

    Args:
        tables: Tables with ``region_id`` and ``vector`` by name; a sequence is one encoder trained several
            times. None at all keeps every region with a position.
        indicators: ``region_id`` and one column per indicator, NaN where missing; of shares one per part.
        lonlat: ``region_id``, ``lon``, ``lat`` in degrees; where there are any, ``city`` (for every region)
            and ``district`` (missing where there is none).
        groups: Region to any label; regions without one are a group each.
        kinds: Indicators that are classes or shares, and their columns; every other column is a number.

    Raises:
        InputError: A column is missing or stands twice, a region stands twice or has no city, labels are not
            as their kind, vectors ragged or not finite, a table named like something else, or no region left.
    """
    where = _by_region(lonlat, ("lon", "lat"), "positions")
    labels = _by_region(indicators, (), "indicators")
    copies = {name: _copies(name, table) for name, table in tables.items()}
    keep, has = where.index, dict.fromkeys(copies, 0)
    for name, parts in copies.items():
        inside = where.index[np.all([among(where.index, part.index) for part in parts], axis=0)]
        has[name] = len(inside)
        keep = keep[among(keep, inside)]
    if len(keep) == 0:
        raise InputError(
            "no region has a vector in every table" if copies else "there is no region",
            value=has or None,
            remedy="the tables need the region_id values of this city",
            where="region_id",
        )
    cities = _words(where, "city", keep)
    if cities is not None:
        city_numbers(cities, len(keep))
    points = check_lonlat(where.loc[keep, ["lon", "lat"]].to_numpy())
    named = label_kinds(labels, kinds or {}, "indicators")
    targets = {name: label_values(labels, label).reindex(keep).to_numpy() for name, label in named.items()}
    return Regions(
        ids=keep.to_numpy(dtype=object),
        lonlat=points,
        metres=to_metres(points, cities),
        vectors={name: [_vectors(part.loc[keep], name) for part in parts] for name, parts in copies.items()},
        targets=targets,
        groups=None if groups is None else _groups(groups, keep),
        coverage={
            "total": len(where),
            "common": len(keep),
            "tables": has,
            "labelled": {name: _labelled(values) for name, values in targets.items()},
        },
        cities=cities,
        districts=_words(where, "district", keep),
        kinds=named,
    )


def label_values(labels: pd.DataFrame, label: LabelKind) -> pd.Series | pd.DataFrame:
    """The column of a number or of classes, or the columns of shares, as they are scored.

    Args:
        labels: A row per region, its columns as the city has them.
        label: Which of them.

    Raises:
        InputError: They are no numbers, and are said to be.
    """
    if label.kind == "classes":
        return labels[label.columns[0]].astype(object)
    numbers = [_numbers(labels, column) for column in label.columns]
    return numbers[0] if label.kind == "number" else pd.concat(numbers, axis=1)


def _labelled(values: npt.NDArray[Any]) -> int:
    """How many rows have a label; infinite ones are refused later."""
    if values.dtype == object:
        return int(texts(values)[1].sum())
    finite = np.isfinite(values)
    return int((finite if finite.ndim == 1 else finite.all(axis=1)).sum())


def _groups(groups: Mapping[str, Any], keep: pd.Index) -> npt.NDArray[Any]:
    """Labels in the order of the regions; a region without one (NaN) is a group of its own."""
    by_id = {str(region): label for region, label in groups.items()}  # ids may be numbers, as in the tables
    return pd.Series(by_id, dtype=object).reindex(keep).to_numpy()


def _copies(name: str, table: pd.DataFrame | Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    check_name(name)
    parts = [table] if isinstance(table, pd.DataFrame) else list(table)
    if not parts:
        raise InputError(
            "a table of vectors is empty", where=name, remedy="give one table or more under this name"
        )
    return [_by_region(part, ("vector",), f"vectors '{name}'")[["vector"]] for part in parts]


def _words(frame: pd.DataFrame, column: str, keep: pd.Index) -> npt.NDArray[Any] | None:
    """A column as text, None where missing or empty; None where there is no such column or nothing in it."""
    if column not in frame.columns:
        return None
    text, there = texts(frame[column].loc[keep])
    words = text.astype(object)
    words[~there] = None
    return words if there.any() else None


def _by_region(frame: pd.DataFrame, columns: Sequence[str], what: str) -> pd.DataFrame:
    if lacking := [name for name in ("region_id", *columns) if name not in frame.columns]:
        raise InputError(
            f"the table of {what} lacks a column",
            value=lacking[0],
            where=f"table of {what}",
            remedy="add it, or name the column that holds it",
        )
    ids = frame["region_id"].astype(str)
    if (twice := ids.duplicated()).any():
        raise InputError(
            f"a region stands twice in the table of {what}",
            value=ids[twice].iloc[0],
            where=f"table of {what}",
            remedy="keep one row per region",
        )
    names = frame.columns.astype(str)
    if names.has_duplicates:
        raise InputError(
            f"a column stands twice in the table of {what}",
            value=names[names.duplicated()][0],
            where=f"table of {what}",
            remedy="rename one of them",
        )
    # A plain frame: geometry and CRS of a GeoDataFrame are of no use here.
    plain = pd.DataFrame(frame.drop(columns="region_id")).rename(columns=str)
    return plain.set_axis(pd.Index(ids, dtype=object))


def _numbers(labels: pd.DataFrame, name: str) -> pd.Series:
    if labels[name].isna().all():  # whatever its type: it is skipped later, and the other indicators go on
        return pd.Series(np.nan, index=labels.index)
    try:
        return number_column(labels, name, "labels", finite=False)
    except InputError as error:
        raise InputError(
            "labels are not numbers", value=error.value, where=f"indicator {name}", remedy=error.remedy
        ) from error


def _vectors(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float32]:
    where = f"vectors '{name}'"
    return check_vectors(matrix(frame, where), len(frame), where, list(frame.index))
