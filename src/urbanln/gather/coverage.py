"""What covers the place and what does not: a count per source for people, a row per region for maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import pandas as pd

from urbanln.base.files import write_table
from urbanln.gather.source import STATES

COVERAGE_FILE = "coverage.parquet"
WORDS = {
    "picture": "with a picture",
    "label": "with a label",
    "vector": "with a vector",
    "partial": "in part only",
    "blank": "no imagery",
    "absent": "nothing there",
    "broken": "not readable",
    "unanswered": "no answer",
}
"""What a region's state is called."""


def write_coverage(
    folder: Path,
    regions: gpd.GeoDataFrame,
    coverage: Mapping[str, pd.Series],
    shares: Mapping[str, pd.Series],
) -> None:
    """Write the state of every region at every source, with its shape, so that any map program shows it.

    Args:
        folder: Of the city.
        regions: ``region_id`` and ``geometry``.
        coverage: By source: ``region_id`` → state.
        shares: By source, of some: ``region_id`` → share of its area that is covered (``NAME_cover``).

    Raises:
        StorageError: The folder cannot be written.
    """
    frame = regions[["region_id", "geometry"]].copy()
    for name, states in coverage.items():
        frame[name] = frame["region_id"].map(states).astype("str")
    for name, values in shares.items():
        frame[f"{name}_cover"] = frame["region_id"].map(values)
    write_table(folder / COVERAGE_FILE, frame, kind="coverage")


def counts_of(states: pd.Series) -> dict[str, int]:
    """How many regions are in which state, in the order of ``STATES``; those that none is in are left out."""
    found = states.value_counts()
    return {state: int(found[state]) for state in STATES if state in found}


def in_words(states: pd.Series) -> str:
    """The counts of one source: ``"9 nothing there, 2 no imagery"``."""
    return ", ".join(f"{count:,} {WORDS[state]}" for state, count in counts_of(states).items())


def coverage_lines(coverage: Mapping[str, pd.Series]) -> list[str]:
    """The counts of all sources as lines of a table."""
    counts = {name: counts_of(states) for name, states in coverage.items()}
    used = [state for state in STATES if any(state in found for found in counts.values())]
    wide = max(map(len, counts), default=0)
    head = "  ".join([" " * wide, "regions", *(WORDS[state] for state in used)])
    rows = [
        "  ".join(
            [
                name.ljust(wide),
                f"{sum(found.values()):>7,}",
                *(f"{found.get(state, 0):>{len(WORDS[state])},}" for state in used),
            ]
        )
        for name, found in counts.items()
    ]
    return [head, *rows]
