"""What a split lets through: how near its sides are, which pictures and labels they share; in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.kinds import few, quoted
from urbanln.base.space import CITY_GAP_M, Floats, Ints, nearest_metres
from urbanln.probe.labels import Labels, finite_labels
from urbanln.probe.splits import Fold, each_fold
from urbanln.probe.twins import COINCIDE, ONE_SOURCE, near_twins
from urbanln.probe.units import group_numbers

SAME_PLACE_M = 1.0
TWINS_TOLD = 0.05  # share of held-out labels that stand among those learned from, beyond which it is said
COMMON_VALUE = 0.02  # a value that more than this share of rows hold is common: the audit's business


def leakage_report(
    folds_by_seed: Sequence[Sequence[Fold]],
    *,
    metres: Floats,
    labels: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    buffer_km: float | None = None,
) -> dict[str, Any]:
    """How far a split keeps its sides apart, over all seeds; "learned from" is training or validation.

    Args:
        folds_by_seed: Folds of every seed.
        metres: (N, 2) positions of the rows in local metres.
        labels: (N,) labels in their own unit; what depends on them is left out without them.
        groups: (N,) labels of what must not be shared (the picture of a region).
        buffer_km: Width of the strip that was asked for.

    Returns:
        JSON value: ``train_min``, ``train_max``, and so for ``val`` and ``test`` (rows per fold);
        ``nearest_km_min`` and ``nearest_km_median`` (from a held-out row to the nearest row learned from;
        None where no held-out row has one in its own city); ``same_place`` (held-out rows within a metre of
        one learned from); ``shared_groups`` (held-out rows that share a group with one learned from; None
        without groups); ``on_two_sides`` and ``never_held_out`` (rows); ``found``: a sentence for each thing
        that is wrong; with ``labels`` also what :func:`label_leakage` returns. Rows are counted once if it
        happens to them under any seed.

    Raises:
        InputError: There is no fold, or groups or labels do not fit the rows.
    """
    rows = len(metres)
    if not folds_by_seed or not all(folds_by_seed):
        raise InputError(
            "there are no folds to report on",
            where="folds_by_seed",
            remedy="give one fold or more for each seed",
        )
    folds = [fold for _, _, fold in each_fold(folds_by_seed)]
    nearest = [nearest_metres(metres[fold.test], metres[fold.known]) for fold in folds]
    near = np.concatenate(nearest)
    near = near[near < CITY_GAP_M / 2] / 1000
    on_top = (fold.test[away < SAME_PLACE_M] for fold, away in zip(folds, nearest, strict=True))
    report: dict[str, Any] = {
        **_sizes(folds),
        "nearest_km_min": float(near.min()) if len(near) else None,
        "nearest_km_median": float(np.median(near)) if len(near) else None,
        "same_place": _count(on_top),
        "shared_groups": None if groups is None else _shared(folds, group_numbers(groups, rows)),
        "on_two_sides": _count(map(_twice, folds)),
        "never_held_out": rows - _count(fold.test for fold in folds),
    }
    report["found"] = _sentences(report, rows, buffer_km)
    if labels is not None:
        told = label_leakage(folds_by_seed, labels, metres)
        report |= told | {"found": report["found"] + told["found"]}
    return report


def label_leakage(
    folds_by_seed: Sequence[Sequence[Fold]], labels: npt.ArrayLike, metres: Floats | None = None
) -> dict[str, Any]:
    """What a split's leakage report says of one indicator.

    Args:
        folds_by_seed: Folds of every seed.
        labels: (N,) labels in their own unit, finite.
        metres: (N, 2) positions of the rows in local metres: whether it is neighbours that hold one value.

    Returns:
        ``twins`` (mean share of held-out rows whose very value stands among those learned from);
        ``label_range`` (for each fold of the first seed: ``fold``, and minimum, median, maximum of its
        ``test`` and ``known`` labels); ``found``: a sentence for each thing that is wrong in any seed.

    Raises:
        InputError: A label is missing or no number.
    """
    values = finite_labels(labels)
    spreads = [
        (seed, number, _spread(values[fold.test]), _spread(values[fold.known]))
        for seed, number, fold in each_fold(folds_by_seed)
    ]
    twins, found = _twins(folds_by_seed, values, metres)
    return {
        "twins": twins,
        "label_range": [
            {"fold": number, "test": test, "known": known}
            for seed, number, test, known in spreads
            if not seed
        ],
        "found": _range_sentences(spreads) + found,
    }


def part_leakage(folds_by_seed: Sequence[Sequence[Fold]], labels: Labels) -> dict[str, Any]:
    """What a split's leakage report says of classes or shares; there are no twins and ranges of these.

    Args:
        folds_by_seed: Folds of every seed.
        labels: The labelled rows.

    Returns:
        As :func:`label_leakage`, ``twins`` None; ``found`` names folds that hold out a class of which nothing
        was learned, and folds whose rows to learn from are all alike.
    """
    absent: dict[str, int] = {}
    alike, number = 0, 0
    for _, _, fold in each_fold(folds_by_seed):
        known, test = labels.y[fold.known], labels.y[fold.test]
        number += 1
        alike += bool((known == known[:1]).all())
        if labels.kind == "classes":
            for part in np.flatnonzero((test > 0).any(axis=0) & ~(known > 0).any(axis=0)):
                absent[labels.names[part]] = absent.get(labels.names[part], 0) + 1
    found = _unlearned(absent, number)
    if alike:
        found.append(f"In {alike} of {number} folds all labels learned from are equal.")
    return {"twins": None, "label_range": [], "found": found}


def _unlearned(absent: Mapping[str, int], number: int) -> list[str]:
    """What is said of classes that are held out where none of them is learned from, most folds first.

    Args:
        absent: Folds by class.
        number: Of all folds.
    """
    if not absent:
        return []
    ranked = sorted(absent.items(), key=lambda one: -one[1])
    if len(ranked) == 1:
        ((name, count),) = ranked
        return [
            f"In {count} of {number} folds the class {quoted(name)} is held out, and none of it is learned "
            "from."
        ]
    named = few([f"{quoted(name)} in {count}" for name, count in ranked])
    return [
        f"{len(ranked)} classes are held out in some of {number} folds where none of them is learned from: "
        f"{named}."
    ]


def _sizes(folds: Sequence[Fold]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for side in ("train", "val", "test"):
        counts = [len(getattr(fold, side)) for fold in folds]
        sizes |= {f"{side}_min": min(counts), f"{side}_max": max(counts)}
    return sizes


def _count(rows_of_folds: Iterable[Ints]) -> int:
    """Number of rows that are named in any fold of any seed."""
    return len(np.unique(np.concatenate(list(rows_of_folds))))


def _shared(folds: Sequence[Fold], groups: Ints) -> int:
    return _count(fold.test[np.isin(groups[fold.test], groups[fold.known])] for fold in folds)


def _twice(fold: Fold) -> Ints:
    row, times = np.unique(np.concatenate([fold.train, fold.val, fold.test]), return_counts=True)
    return row[times > 1]


def _twins(
    folds_by_seed: Sequence[Sequence[Fold]], values: Floats, metres: Floats | None
) -> tuple[float, list[str]]:
    """Share of held-out rows with a twin among those learned from, and what is to be said of it."""
    distinct, of_row, held_by = np.unique(values, return_inverse=True, return_counts=True)
    rare = (held_by <= max(2, COMMON_VALUE * len(values)))[of_row]
    twins = rare_twins = held = 0
    for _, _, fold in each_fold(folds_by_seed):
        twin = np.isin(of_row[fold.test], of_row[fold.known])
        twins, held = twins + int(twin.sum()), held + len(twin)
        rare_twins += int((twin & rare[fold.test]).sum())
    if rare_twins <= TWINS_TOLD * held:
        return twins / held, []
    counts = " (or it counts something)" if (distinct == np.round(distinct)).all() else ""
    why = f"where neighbours share them, {ONE_SOURCE}{counts}; elsewhere {COINCIDE}"
    if metres is not None:
        shared = near_twins(values, metres).one_source
        why = f"neighbours share them, {ONE_SOURCE}{counts}" if shared else COINCIDE
    return twins / held, [
        f"{rare_twins / held:.0%} of the held-out labels stand, to the last digit, among those learned from, "
        f"common values aside: {why}."
    ]


def _range_sentences(spreads: Sequence[tuple[int, int, list[float], list[float]]]) -> list[str]:
    cases: dict[str, list[str]] = {
        "all held-out labels are equal: a score within them means nothing": [],
        "all labels learned from are equal: there is nothing to learn": [],
        "the labels held out and those learned from do not overlap: this is extrapolation": [],
    }
    for seed, number, test, known in spreads:
        where = f"seed {seed}, fold {number}: held out {_range(test)}, learned from {_range(known)}"
        apart = test[0] > known[2] or test[2] < known[0]
        for places, is_so in zip(
            cases.values(), (test[0] == test[2], known[0] == known[2], apart), strict=True
        ):
            if is_so:
                places.append(where)
    return [
        f"In {len(places)} of {len(spreads)} folds {what} ({places[0]})."
        for what, places in cases.items()
        if places
    ]


def _sentences(report: dict[str, Any], rows: int, buffer_km: float | None) -> list[str]:
    def told(count: str, what: str) -> list[str]:
        return [f"{report[count]:,} of {rows:,} regions {what}"] if report[count] else []

    found = told("on_two_sides", "stand on two sides of one fold.")
    found += told("shared_groups", "share a picture with a region learned from, while held out.")
    found += told("same_place", "lie where a region learned from lies, while held out.")
    nearest = report["nearest_km_min"]
    # The buffer was cleared on a plane of its own: positions agree to 0.1 %.
    if buffer_km and nearest is not None and nearest < 0.999 * buffer_km:
        found.append(
            f"A region learned from lies {nearest:.3g} km from one held out, "
            f"within the buffer of {buffer_km:g} km."
        )
    return found + told("never_held_out", "are never held out, and so are not scored.")


def _spread(values: Floats) -> list[float]:
    if len(values) == 0:
        return [float("nan")] * 3
    return [float(values.min()), float(np.median(values)), float(values.max())]


def _range(spread: Sequence[float]) -> str:
    return f"{spread[0]:.6g} to {spread[2]:.6g}"
