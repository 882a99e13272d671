"""What was read of a table of vectors and how it was matched, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from urbanln.tables.columns import Features
from urbanln.tables.match import Match

_SHOWN = 3
_SAME_PLACE_KM = 0.001


class _City(Protocol):
    regions: Any

    @property
    def name(self) -> str:
        """What the city is called."""


def told(
    name: str, file: str | None, found: Features, cities: Sequence[_City], matches: Mapping[str, Match],
    nodata: Sequence[str] = (),
) -> str:  # fmt: skip
    """Regions matched, which columns are the vector, by what, rows left out and why, who is left without.

    Args:
        name: Of the table.
        file: Where it was read from; None: it was handed in.
        found: What was read.
        cities: Those the table is of.
        matches: What was found for each of them.
        nodata: What the user said that means "nothing is there".
    """
    said = [_matched(name, cities, matches), _dimensions(found)]
    rows = f"{found.read:,} rows" + ("" if file is None else f" of {Path(file).name}")
    writing = next((match.said for match in matches.values() if match.said), "")
    said.append(f"{rows}, {found.key}{f' {writing}' if writing else ''}")
    if nodata:
        said.append(f"nodata {', '.join(nodata)}")
    if found.reasons:
        why = "; ".join(f"{reason}: {count:,}" for reason, count in found.reasons.items())
        said.append(f"{found.left_out:,} rows left out ({why})")
    for city in cities:
        without = np.ones(len(city.regions), dtype=bool)
        without[matches[city.name].rows] = False
        if without.any():
            of = f" of {city.name}" if len(cities) > 1 else ""
            said.append(
                f"{without.sum():,} regions{of} without one: {_few(city.regions['region_id'][without])}"
            )
    lost = ~np.any([match.used for match in matches.values()], axis=0)
    if lost.any():
        said.append(
            f"{lost.sum():,} rows of no region" + ("" if found.ids is None else f": {_few(found.ids[lost])}")
        )
    if found.passed_over:
        said.append(f"passed over, since a label is called so: {', '.join(found.passed_over)}")
    if found.chosen.constant:
        said.append(f"constant, left out: {_few(found.chosen.constant)}")
    if found.chosen.passed:
        said.append(f"passed over, no feature by name or type: {_few(found.chosen.passed)}")
    if found.chosen.unused:
        said.append(f"not used: {_few(found.chosen.unused)}")
    return "; ".join(said)


def _matched(name: str, cities: Sequence[_City], matches: Mapping[str, Match]) -> str:
    parts, ways = [], []
    for city in cities:
        match = matches[city.name]
        parts.append(f"{len(match.rows):,} of {len(city.regions):,} regions of {city.name}")
        if match.reach_km is not None:
            far = f"the farthest {match.farthest_km:.2g} km away"
            far = far if match.farthest_km >= _SAME_PLACE_KM else "which is at the very place"
            ways.append(
                f"{match.inside:,} by the points inside, {match.near:,} by the nearest point within "
                f"{match.reach_km:.3g} km{f', {far}' if match.near else ''}"
            )
    return "; ".join([f"{name}: {', '.join(parts)} have a vector", *ways])


def _dimensions(found: Features) -> str:
    names = found.names
    if not names:
        return f"{found.vectors.shape[1]} dimensions: {found.chosen.lists}"
    return f"{len(names)} dimensions: {names[0] if len(names) == 1 else f'{names[0]} … {names[-1]}'}"


def _few(values: Iterable[object] | pd.Series) -> str:
    there = list(islice(values, _SHOWN + 1))
    return ", ".join(map(str, there[:_SHOWN])) + (" …" if len(there) > _SHOWN else "")
