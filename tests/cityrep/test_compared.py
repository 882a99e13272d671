"""Means, ranks and gains, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from urbanln.cityrep.compared import above_the_map, means, ranks


def row(city: str, features: str, score: float, **given: Any) -> dict[str, Any]:
    made = {"city": city, "label": "gdp", "features": features, "score": score, "metric": "R2"}
    made |= {"split": "block", "head": "none", "theirs": features.isupper()} | given
    return made | {"task": f"{city}.{made['label']}.2024"}


ROWS = [
    row("a", "coordinates-nearest", 0.5), row("b", "coordinates-nearest", 0.7),
    row("a", "ONE", 0.6), row("b", "ONE", 0.4),
    row("a", "TWO", 0.1), row("b", "TWO", 0.4),
    row("a", "FEW", 0.9),
]  # fmt: skip


def test_means_are_over_the_same_cities_and_the_best_is_first() -> None:
    found = means(ROWS, [])
    assert [(one["features"], one["mean"], one["cities"]) for one in found] == [
        ("coordinates-nearest", pytest.approx(0.6), 2),
        ("ONE", pytest.approx(0.5), 2),
        ("TWO", pytest.approx(0.25), 2),
    ], "FEW has no score of one city"
    assert found[1]["sd"] == pytest.approx(0.1)
    assert (found[0]["low"], found[0]["high"]) == (pytest.approx(0.5), pytest.approx(0.7)), "two cities"
    assert [one["cities"] for one in means(ROWS, ["b.gdp.2024"])] == [1, 1, 1, 1]


def test_ranks_are_within_cities_then_averaged() -> None:
    found = {one["features"]: one for one in ranks(ROWS, [])}
    assert {name: one["rank"] for name, one in found.items()} == {
        "coordinates-nearest": (2 + 1) / 2,
        "ONE": (1 + 2.5) / 2,
        "TWO": (3 + 2.5) / 2,
    }
    # Of two cities drawn twice, (a, a) has ONE first and the others have coordinates.
    assert found["ONE"]["first"] == pytest.approx(0.25, abs=0.05)
    assert found["coordinates-nearest"]["first"] == pytest.approx(0.75, abs=0.05)
    assert (found["ONE"]["low"], found["ONE"]["high"]) == (1, 2.5)


def test_where_less_is_better_the_least_is_first() -> None:
    rows = [row(one["city"], one["features"], one["score"], metric="KL") for one in ROWS]
    assert next(one["features"] for one in means(rows, [])) == "TWO"
    assert ranks(rows, [])[0]["features"] == "TWO"


def test_gains_are_over_the_strongest_floor_and_paired() -> None:
    """The same resampled blocks for both, so the interval of the difference is that of the differences."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=1000)
    rows = [
        row("a", "mean", 0.0, samples=(common - 1).tolist()),
        row("a", "coordinates-nearest", 0.5, samples=common.tolist()),
        row("a", "mine", 0.6, samples=(common + 0.1).tolist()),
    ]
    found = above_the_map(rows)
    assert [(one["features"], one["floor"]) for one in found] == [("mine", "coordinates-nearest")]
    assert found[0]["gain"] == pytest.approx(0.1)
    assert (found[0]["low"], found[0]["high"]) == (pytest.approx(0.1), pytest.approx(0.1))
    worse = above_the_map([one | {"metric": "KL"} for one in rows])[0]
    assert (worse["floor"], worse["gain"]) == ("mean", pytest.approx(-0.6))
