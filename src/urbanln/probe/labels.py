"""Labels of one indicator made ready: what is missing is dropped, amounts are put on a logarithmic scale.

Classes and shares become parts that sum to one (:mod:`urbanln.probe.part_labels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats, Ints, check_lonlat, to_metres
from urbanln.probe.part_labels import class_parts, share_parts
from urbanln.probe.units import city_numbers

Transform = Literal["log1p", "log", "none"]
NO_LOGARITHM = "a value is negative, or a logarithm would not make the label less skewed"
"""Why :func:`auto_transform` leaves a label as it is, for whoever tells it."""
_BENDS = 1.5  # ratio of large to small values (plus 1) below which a logarithm is a straight line


@dataclass(frozen=True, eq=False)
class Labels:
    """The labelled rows of one indicator: see :func:`prepare_labels`.

    Args:
        rows: (n,) rows of the input that are scored, ascending.
        truth: (n,) labels in their own unit; of classes the number of each row's in ``names``, of shares
            (n, C) as in ``y``.
        y: (n,) labels on the scale that heads see; "log" in the names of scores means this scale;
            (n, L) where several labels of the same rows are predicted together. Of classes and shares
            (n, C) parts that sum to one.
        transform: ``"log1p"``, ``"log"`` (natural) or ``"none"``.
        missing: Rows left out because they have no label.
        dropped_zeros: Rows left out because their label is 0, which has no logarithm.
        lonlat: (n, 2) degrees.
        metres: (n, 2) local metres; several cities lie far apart.
        groups: (n,) labels that never stand on both sides of a fold, or None.
        cities: (n,) city of each row, or None.
        districts: (n,) district of each row, or None.
        kind: ``"number"``, ``"classes"`` or ``"shares"``.
        names: Of the C classes or shares; none for numbers.
    """

    rows: Ints
    truth: Floats
    y: Floats
    transform: Transform
    missing: int
    dropped_zeros: int
    lonlat: Floats
    metres: Floats
    groups: npt.NDArray[Any] | None = None
    cities: npt.NDArray[Any] | None = None
    districts: npt.NDArray[Any] | None = None
    kind: Kind = "number"
    names: tuple[str, ...] = ()

    def restore(self, y: Floats) -> Floats:
        """Back from the scale of ``y`` to the label's own unit; an amount is never below 0."""
        if self.transform == "log1p":
            return np.expm1(np.maximum(y, 0))
        return np.exp(y) if self.transform == "log" else y


def skewness(values: Floats) -> float:
    """Third standardised moment; NaN for fewer than three values, 0 for equal ones."""
    if len(values) < 3:
        return np.nan
    if values.min() == values.max():  # their mean may be off in the last digit, and the spread not 0
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())


def auto_transform(values: Floats) -> Transform:
    """The scale of a label under ``auto``, for the audit and the probe alike: its shape decides.

    ``log1p`` where no value is negative, the logarithm brings the skewness nearer to 0, and it bends the
    scale at all: years, temperatures in kelvin and whatever else lies within a factor of 1.5 stay as they
    are, also beside zeros that say "never".

    Args:
        values: (n,) labels, finite.
    """
    if len(values) < 3 or values.min() < 0 or not (values > 0).any():
        return "none"
    bends = (1 + values.max()) / (1 + np.quantile(values[values > 0], 0.05))
    return "log1p" if bends >= _BENDS and abs(skewness(np.log1p(values))) < abs(skewness(values)) else "none"


def prepare_labels(
    target: npt.ArrayLike,
    lonlat: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    where: str = "labels",
    *,
    transform: str = "auto",
    cities: npt.ArrayLike | None = None,
    districts: npt.ArrayLike | None = None,
    kind: Kind = "number",
    names: tuple[str, ...] = (),
) -> Labels:
    """Drop rows without a label and put amounts on a logarithmic scale.

    Most labels of cities span orders of magnitude, hence the logarithm; :func:`auto_transform` says which.
    log1p keeps the zeros, which the literature deletes.

    Args:
        target: (N,) labels, NaN where missing.
        lonlat: (N, 2) longitude, latitude in degrees.
        groups: (N,) labels; a row is never predicted from rows that share its label.
        where: Name of the indicator, for errors.
        transform: ``"auto"`` (log1p or none: :func:`auto_transform`), ``"log1p"``, ``"log"`` (the natural
            logarithm of the literature: zeros are dropped, and counted) or ``"none"``.
        cities: (N,) city of each row, where there are several.
        districts: (N,) district of each row, where they are known.
        kind: Of the labels: ``"classes"`` are (N,) names, ``"shares"`` (N, C) parts that sum to one; these
            two stay as they are under any transform.
        names: Of the C shares.

    Raises:
        InputError: Labels are text, infinite, all missing or all equal, or negative under a logarithm;
            classes or shares that are none (:mod:`urbanln.probe.part_labels`);
            positions, groups, cities or districts do not fit them; a row has no city.
    """
    points = check_lonlat(lonlat)
    given = {"groups": groups, "cities": cities, "districts": districts}
    kept = {name: _column(column, len(points), name) for name, column in given.items()}
    found = _parts(target, len(points), where, kind, names)
    if found is None:
        found = _on_scale(_numbers(target, len(points), where), transform, where)
    rows = found["rows"]
    return Labels(
        **found,
        lonlat=points[rows],
        metres=to_metres(points, kept["cities"])[rows],
        groups=_of(kept["groups"], rows),
        cities=_of(kept["cities"], rows),
        districts=_of(kept["districts"], rows),
    )


def _of(column: npt.NDArray[Any] | None, rows: Ints) -> npt.NDArray[Any] | None:
    return None if column is None else column[rows]


def _on_scale(values: Floats, transform: str, where: str) -> dict[str, Any]:
    """What :class:`Labels` holds of numbers."""
    labelled = ~np.isnan(values)
    scale = _choose(values[labelled], transform, where)
    zero = (values == 0) if scale == "log" else np.zeros(len(values), dtype=bool)
    rows = np.flatnonzero(labelled & ~zero).astype(np.int64)
    _check_enough(values[rows], where)
    truth = values[rows]
    y = np.log1p(truth) if scale == "log1p" else np.log(truth) if scale == "log" else truth
    left_out = {"missing": int((~labelled).sum()), "dropped_zeros": int(zero.sum())}
    return {"rows": rows, "truth": truth, "y": y, "transform": scale, **left_out}


def _parts(
    target: npt.ArrayLike, rows: int, where: str, kind: Kind, names: tuple[str, ...]
) -> dict[str, Any] | None:
    """What :class:`Labels` holds of classes and shares; None for numbers."""
    if kind == "number":
        return None
    shares = kind == "shares"
    parts = share_parts(target, names, rows, where) if shares else class_parts(target, rows, where)
    truth = parts.y if shares else parts.y.argmax(axis=1)
    left_out = {"missing": parts.missing, "dropped_zeros": 0}
    own = {"rows": parts.rows, "truth": truth, "y": parts.y, "transform": "none", "names": parts.names}
    return own | left_out | {"kind": kind}


def _column(column: npt.ArrayLike | None, rows: int, name: str) -> npt.NDArray[Any] | None:
    if column is None:
        return None
    # As objects: in an array of text a missing value would become a label called "nan".
    values = np.asarray(column, dtype=object)
    if values.shape != (rows,):
        raise InputError(
            f"{name} are one value per row",
            value=values.shape,
            where=f"{rows} rows",
            remedy="give as many as there are positions",
        )
    if name == "cities":
        city_numbers(values, rows)
    return values


def finite_labels(labels: npt.ArrayLike, rows: int | None = None) -> Floats:
    """Labels as float64, (N,), or (N, L) of several.

    Args:
        labels: (N,) labels, or (N, L).
        rows: Number of positions that they stand beside; None: any.

    Raises:
        InputError: A label is missing or no number, or there are more or fewer than positions.
    """
    values = _as_floats(labels)
    if values.ndim not in (1, 2) or not np.isfinite(values).all():
        raise InputError(
            "labels are one finite number per row",
            value=values.shape,
            remedy="drop rows without a label",
            where="labels",
        )
    if rows is not None and len(values) != rows:
        raise InputError(
            "positions and labels differ in number",
            value=(rows, len(values)),
            where="labels",
            remedy="give as many labels as positions",
        )
    return values


def _as_floats(labels: npt.ArrayLike, where: str = "labels") -> Floats:
    try:
        return np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "labels are not numbers",
            value=str(error),
            where=where,
            remedy="give numbers, and leave missing ones empty",
        ) from error


def _numbers(target: npt.ArrayLike, rows: int, where: str) -> Floats:
    values = _as_floats(target, where)
    if values.shape != (rows,):
        raise InputError(
            "labels and positions differ in number",
            value=values.shape,
            where=where,
            remedy="give as many labels as positions",
        )
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        place, value = f"{where}, row {row}", float(values[row])
        raise InputError("a label is infinite", value=value, where=place, remedy="leave it empty")
    return values


def _choose(values: Floats, transform: str, where: str) -> Transform:
    negative = len(values) > 0 and values.min() < 0
    scales: dict[str, Transform] = {
        "auto": auto_transform(values), "log1p": "log1p", "log": "log", "none": "none"
    }  # fmt: skip
    if transform not in scales:
        raise InputError(
            "no such transform of labels",
            value=transform,
            remedy=f"there are: {', '.join(scales)}",
            where="probe.transform",
        )
    if negative and scales[transform] != "none":
        raise InputError(
            "a negative label has no logarithm",
            value=float(values.min()),
            where=where,
            remedy="use the transform 'auto' or 'none'",
        )
    return scales[transform]


def _check_enough(values: Floats, where: str) -> None:
    if len(values) == 0:
        raise InputError(
            "no region has a label",
            where=where,
            remedy="check the column, and that ids are those of the city",
        )
    if len(values) == 1:
        raise InputError("only one region has a label", where=where, remedy="probing needs many")
    if values.min() == values.max():
        raise InputError(
            f"all {len(values)} labels are equal: there is nothing to predict",
            value=float(values[0]),
            where=where,
            remedy="leave this indicator out",
        )
