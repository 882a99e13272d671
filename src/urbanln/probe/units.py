"""What a split keeps together: blocks, districts, cities, groups; dealt to folds, validation, inner folds."""

from __future__ import annotations

import heapq
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, Ints, check_lonlat, square_blocks, to_metres

BlockShape = Literal["square", "h3"]
INNER_FOLDS = 5
# Inner folds need so many units, none of which holds more than half of the rows; else units are cut.
MIN_UNITS = 3
CUTS = 4  # squares along the longer side of a unit that is cut


def h3_resolution(edge_km: float) -> int:
    """The H3 resolution whose mean edge is nearest to ``edge_km``; 6 (3.7 km) for 5 km.

    The cells of one resolution have edges 2.6 times as long as those of the next, so the blocks can be
    that far off what was asked for.

    Raises:
        InputError: The edge is not a positive number.
    """
    import h3

    if not (np.isfinite(edge_km) and edge_km > 0):
        raise InputError(
            "the edge of a block is a positive number of km",
            value=edge_km,
            where="probe.block_km",
            remedy="give a number above 0",
        )
    return min(range(16), key=lambda r: abs(h3.average_hexagon_edge_length(r, unit="km") - edge_km))


def block_units(
    lonlat: npt.ArrayLike,
    *,
    edge_km: float,
    blocks: BlockShape = "square",
    shift: tuple[float, float] = (0.0, 0.0),
    cities: npt.ArrayLike | None = None,
) -> Ints:
    """Number of the block each row lies in, (N,), counted from 0 without gaps; no block spans two cities.

    Args:
        lonlat: (N, 2) longitude, latitude in degrees.
        edge_km: Edge of a block in km; for H3 the resolution nearest to it is taken.
        blocks: Squares of local metres, or H3 cells.
        shift: Shift of the squares as a share of an edge; H3 cells lie where they lie.
        cities: (N,) city of each row.

    Raises:
        InputError: Bad positions, edge or shape; a row without a city.
    """
    if blocks == "square":
        cells = square_blocks(to_metres(lonlat, cities), edge_km, shift)
    elif blocks == "h3":
        import h3.api.numpy_int as h3

        resolution = h3_resolution(edge_km)
        points = check_lonlat(lonlat)
        found = [h3.latlng_to_cell(lat, lon, resolution) for lon, lat in points.tolist()]
        cells = np.unique(np.array(found, dtype=np.uint64), return_inverse=True)[1].astype(np.int64)
    else:
        raise InputError(
            "no such shape of blocks", value=blocks, remedy="there are: square, h3", where="probe.blocks"
        )
    return cells if cities is None else crossed(city_numbers(cities, len(cells)), cells)


def city_numbers(cities: npt.ArrayLike, rows: int) -> Ints:
    """Number of each row's city, (N,), from 0.

    Raises:
        InputError: Another number of rows, or a row without a city.
    """
    number = labelled(cities, rows, "cities")
    if (number < 0).any():
        row = int(np.flatnonzero(number < 0)[0])
        raise InputError("a region has no city", where=f"row {row}", remedy="fill the column 'city'")
    return number


def labelled(values: npt.ArrayLike, rows: int, what: str) -> Ints:
    """Labels numbered from 0 in the order of their text, -1 where missing or empty.

    Args:
        values: (N,) labels of any kind.
        rows: N.
        what: What they are called in the error.

    Raises:
        InputError: Another number of rows.
    """
    given = np.asarray(values, dtype=object)
    if given.shape != (rows,):
        raise InputError(
            f"{what} are one value per row",
            value=given.shape,
            where=f"{rows} rows",
            remedy="give as many as there are positions",
        )
    text, there = texts(given)
    number = np.full(rows, -1, dtype=np.int64)
    number[there] = np.unique(text[there], return_inverse=True)[1]
    return number


def texts(values: npt.ArrayLike) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.bool_]]:
    """(N,) values as text, and which of them are there: neither missing nor empty."""
    given = np.asarray(values, dtype=object)
    text = given.astype(str)
    return text, ~pd.isna(given) & (text != "")


def group_numbers(groups: npt.ArrayLike, rows: int) -> Ints:
    """Number of each row's group, (N,), from 0; a row without one is a group of its own.

    Raises:
        InputError: Another number of rows.
    """
    number = labelled(groups, rows, "groups")
    alone = number < 0
    number[alone] = number.max(initial=-1) + 1 + np.arange(alone.sum())
    return number


def crossed(first: Ints, second: Ints) -> Ints:
    """Number of each pair of numbers, (N,), from 0 without gaps."""
    pairs = np.unique(np.column_stack([first, second]), axis=0, return_inverse=True)[1]
    return pairs.reshape(-1).astype(np.int64)


def filled(units: Ints, metres: Floats) -> Ints:
    """Units in which a row without one (-1) counts with the nearest row that has one."""
    without = units < 0
    if without.any():
        units = units.copy()
        nearest = cKDTree(metres[~without]).query(metres[without])[1]
        units[without] = units[~without][nearest]
    return units


def deal(units: Ints, folds: int, rng: np.random.Generator, remedy: str) -> Ints:
    """Fold of every row: whole units, largest first, each to the fold that has fewest rows so far.

    Raises:
        InputError: Fewer units than folds.
    """
    sizes = np.bincount(units)
    if len(sizes) < folds:
        what = f"{len(sizes)} blocks or groups" if len(sizes) > 1 else "one block or group alone"
        raise InputError(f"{what} cannot be dealt to {folds} folds", remedy=remedy, where="probe.folds")
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of = np.empty(len(sizes), dtype=np.int64)
    # Drawn numbers settle ties, so that folds equally full take turns in no fixed order.
    fullness = [(0, tie, fold) for fold, tie in enumerate(rng.random(folds).tolist())]
    heapq.heapify(fullness)
    for unit, tie in zip(order.tolist(), rng.random(len(order)).tolist(), strict=True):
        rows, _, fold = fullness[0]
        fold_of[unit] = fold
        heapq.heapreplace(fullness, (rows + int(sizes[unit]), tie, fold))
    return fold_of[units]


def enough_units(units: Ints, metres: Floats | None) -> Ints:
    """The same units, or finer ones where they are too few or too unequal to choose a model by.

    Fewer than three units, or one with more than half of the rows, are cut into squares, a quarter of the
    unit's longer side each; where that is still not enough (all rows in one place), every row is a unit.

    Args:
        units: (n,) unit of each row that may be looked at.
        metres: (n, 2) their positions; None leaves only the rows.
    """
    if _will_do(units):
        return np.unique(units, return_inverse=True)[1].astype(np.int64)
    if metres is not None:
        units = _quartered(units, metres)
        if _will_do(units):
            return units
    return np.arange(len(units))


def _quartered(units: Ints, metres: Floats) -> Ints:
    """Units cut into squares of a quarter of their longer side; all at once, there may be thousands."""
    number = np.unique(units, return_inverse=True)[1]
    low, high = np.full((2, number.max() + 1, 2), [[[np.inf]], [[-np.inf]]])
    np.minimum.at(low, number, metres)
    np.maximum.at(high, number, metres)
    # A hair wider than a quarter, so that the far edge opens no row of its own.
    edge = 1.001 * (high - low).max(axis=1) / CUTS
    edge[edge == 0] = 1.0
    cells = np.floor((metres - low[number]) / edge[number, None]).astype(np.int64)
    return crossed(number, CUTS * cells[:, 0] + cells[:, 1])


def _will_do(units: Ints) -> bool:
    sizes = np.unique(units, return_counts=True)[1]
    return len(sizes) >= MIN_UNITS and 2 * int(sizes.max()) <= len(units)


def inner_folds(units: Ints, rng: np.random.Generator) -> Ints:
    """Inner fold of each row, (n,): three to five of them, made of whole units."""
    names, number = np.unique(units, return_inverse=True)
    return deal(number.astype(np.int64), min(INNER_FOLDS, len(names)), rng, remedy="use fewer folds")


def validation(rows: Ints, units: Ints, share: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Training and validation rows, in whole units; both parts get a row.

    Args:
        rows: (n,) rows that may be looked at.
        units: (n,) their units, two or more.
        share: Share of the rows wanted for validation.
        rng: Source of randomness.
    """
    names, unit_of = np.unique(units, return_inverse=True)
    sizes = np.bincount(unit_of)
    order = rng.permutation(len(names))
    target = max(1.0, share * len(rows))
    chosen: list[int] = []
    taken = 0
    for unit in order:
        if taken + sizes[unit] <= target + 0.5:
            chosen.append(int(unit))
            taken += int(sizes[unit])
    if not chosen:
        chosen = [int(order[np.argmin(sizes[order])])]
    held = np.isin(unit_of, chosen)
    return rows[~held], rows[held]
