"""Means over cities, ranks with what is uncertain about them, and how far vectors are above the map."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from urbanln.base.space import Floats
from urbanln.cityrep.metrics import better
from urbanln.cityrep.predicted import MAP_FLOORS
from urbanln.probe.metrics import interval

RESAMPLES = 1000
Rows = Sequence[Mapping[str, Any]]
Who = tuple[str, str, bool]  # features, head, whether CityRep's own


def who(row: Mapping[str, Any]) -> Who:
    """Who predicted a row."""
    return str(row["features"]), str(row["head"]), bool(row["theirs"])


def means(rows: Rows, left_out: Sequence[str]) -> list[dict[str, Any]]:
    """Mean score over cities of each label, split and predictor, best first, with its interval.

    Args:
        rows: Ours, with ``samples`` where there are, and CityRep's.
        left_out: Names of tasks that do not count: those that CityRep leaves out, or calls synthetic.

    Returns:
        ``label``, ``split``, ``features``, ``head``, ``theirs``, ``metric``, ``cities``, ``mean``, ``sd`` (of
        cities, as CityRep gives it), ``low``, ``high``: the interval over resampled cities and, where scores
        have them, blocks. All of a label and split are over the same cities.
    """
    found = []
    for (label, split), own in _grouped(rows, left_out).items():
        table, cities = _table(own)
        weights = _city_draws(len(cities))
        made = []
        for name, by_city in table.items():
            scores = np.array([by_city[city]["score"] for city in cities], dtype=np.float64)
            samples = np.array([_samples(by_city[city]) for city in cities])  # (C, R)
            low, high = interval((weights * samples.T).sum(axis=1) / len(cities))
            first = by_city[cities[0]]
            made.append(
                {
                    "label": label, "split": split, "features": name[0], "head": name[1], "theirs": name[2],
                    "metric": first["metric"], "cities": len(cities), "mean": float(scores.mean()),
                    "sd": float(scores.std()), "low": low, "high": high,
                }
            )  # fmt: skip
        found += sorted(made, key=lambda one: -better(one["metric"]) * one["mean"])
    return found


def ranks(rows: Rows, left_out: Sequence[str]) -> list[dict[str, Any]]:
    """Mean rank of each predictor over labels and cities, best first, under each split.

    A predictor's rank within a city and label is averaged over cities, then over labels, as CityRep does.
    Cities are resampled, with all their labels: eight cities are few, and that is what the interval says.

    Args:
        rows: Ours and CityRep's.
        left_out: As of :func:`means`.

    Returns:
        ``split``, ``features``, ``head``, ``theirs``, ``rank``, ``low``, ``high``, ``first`` (share of
        resamples in which nobody has a better mean rank), ``of`` (how many are ranked), ``labels``.
    """
    splits: dict[str, list[tuple[dict[Who, dict[str, Any]], list[str]]]] = {}
    for (_, split), own in _grouped(rows, left_out).items():
        splits.setdefault(split, []).append(_table(own))
    found = []
    for split, tables in splits.items():
        everywhere = [name for name in tables[0][0] if all(name in table for table, _ in tables)]
        cities = sorted({city for _, there in tables for city in there})
        weights = _city_draws(len(cities))
        plain, drawn = [], []
        for table, there in tables:
            here = np.array([cities.index(city) for city in there])
            by_city = np.column_stack([_ranked([table[name][city] for name in everywhere]) for city in there])
            counts = weights[:, here]
            total = counts.sum(axis=1, keepdims=True)
            plain.append(by_city.mean(axis=1))
            with np.errstate(invalid="ignore"):
                drawn.append(counts @ by_city.T / np.where(total > 0, total, np.nan))
        rank, samples = np.mean(plain, axis=0), np.nanmean(drawn, axis=0)  # (M,), (R, M)
        best = samples <= samples.min(axis=1, keepdims=True) + 1e-9
        made: list[dict[str, Any]] = [
            {
                "split": split, "features": name[0], "head": name[1], "theirs": name[2],
                "rank": float(rank[at]), "low": low, "high": high, "first": float(best[:, at].mean()),
                "of": len(everywhere), "labels": len(tables),
            }
            for at, name in enumerate(everywhere)
            for low, high in [interval(samples[:, at])]
        ]  # fmt: skip
        found += sorted(made, key=lambda one: one["rank"])
    return found


def above_the_map(rows: Rows) -> list[dict[str, Any]]:
    """How far each table of vectors is above the strongest floor of the map, task by task and split by split.

    Returns:
        ``task``, ``split``, ``features``, ``head``, ``theirs``, ``floor`` (which is the strongest), ``gain``
        (above 0: the vectors are better, whatever the metric), ``low``, ``high``: its interval over the same
        resampled blocks, where both have one.
    """
    by_task: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        by_task.setdefault((row["task"], row["split"]), []).append(row)
    found = []
    for (task, split), own in by_task.items():
        floors = [row for row in own if row["features"] in MAP_FLOORS]
        if not floors:
            continue
        sign = better(floors[0]["metric"])
        floor = max(floors, key=lambda row: sign * row["score"])
        for row in own:
            if row["features"] in MAP_FLOORS:
                continue
            low, high = float("nan"), float("nan")
            if row.get("samples") and floor.get("samples"):
                low, high = interval(sign * (_samples(row) - _samples(floor)))
            gain = sign * (row["score"] - floor["score"])
            names = dict(zip(("features", "head", "theirs"), who(row), strict=True))
            found.append(
                {"task": task, "split": split, **names, "floor": floor["features"], "gain": gain,
                 "low": low, "high": high}
            )  # fmt: skip
    return found


def _grouped(rows: Rows, left_out: Sequence[str]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["task"] not in left_out:
            found.setdefault((row["label"], row["split"]), []).append(row)
    return found


def _table(rows: Rows) -> tuple[dict[Who, dict[str, Any]], list[str]]:
    """Rows of one label and split by predictor and city; and the cities that all of ours have a score of.

    Who has no score of one of these cities, is left out: means over other cities are no comparison.
    """
    table: dict[Who, dict[str, Any]] = {}
    for row in rows:
        table.setdefault(who(row), {})[row["city"]] = row
    floors = [set(by_city) for name, by_city in table.items() if name[0] in MAP_FLOORS]
    cities = sorted(set.intersection(*floors)) if floors else sorted({row["city"] for row in rows})
    return {name: by_city for name, by_city in table.items() if set(cities) <= set(by_city)}, cities


def _samples(row: Mapping[str, Any]) -> Floats:
    """Scores of resampled blocks; the score itself, again and again, where there are none."""
    given = row.get("samples") or []
    return np.asarray(given, dtype=np.float64) if given else np.full(RESAMPLES, row["score"])


def _city_draws(cities: int) -> Floats:
    """How often each city is in each resample, (R, C)."""
    rng = np.random.default_rng([0, 8])
    return rng.multinomial(cities, np.full(cities, 1 / cities), size=RESAMPLES).astype(np.float64)


def _ranked(rows: Rows) -> Floats:
    """Ranks (M,) of the predictors of one city and label, 1 the best, equal ones at their mean rank."""
    sign = better(rows[0]["metric"])
    return np.asarray(rankdata([-sign * row["score"] for row in rows]), dtype=np.float64)


def strongest(rows: Rows, **wanted: Hashable) -> Mapping[str, Any] | None:
    """The row with the best mean, or score, among those that say what is wanted; None where none does.

    Args:
        rows: From :func:`means`, or of scores.
        wanted: Keys and values.
    """
    own = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    key = "mean" if own and "mean" in own[0] else "score"
    return max(own, key=lambda row: better(row["metric"]) * row[key]) if own else None
