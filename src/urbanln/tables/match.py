"""Vectors found for regions: by the ids they go by, or by where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, spacing_km, to_metres
from urbanln.tables.columns import Features
from urbanln.tables.ids import Writing, writings

_KM_PER_DEGREE = 111.0
_ONE_ROW = "one row per region: choose a year, or average the rows"
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Match:
    """Vectors that were found for the regions of one city.

    Args:
        rows: (M,) numbers of the regions that have a vector, ascending.
        vectors: (M, D) float32.
        used: (P,) which rows of the table say something of a region.
        inside: Regions that took the mean of the points inside.
        near: Regions that took the nearest point.
        reach_km: How far the nearest point may lie; None where rows were matched by id.
        farthest_km: How far the farthest of those taken lies.
        said: How ids were compared, where not as they stand.
    """

    rows: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    used: npt.NDArray[np.bool_]
    inside: int = 0
    near: int = 0
    reach_km: float | None = None
    farthest_km: float = 0.0
    said: str = ""


def match_ids(
    found: Features, accepted: Sequence[Sequence[str]], *, where: str, several: bool = False
) -> Match:
    """Vectors of the regions whose id stands in the table, in the plainest writing that finds most of them.

    Args:
        found: A table keyed by region id.
        accepted: The ids each region goes by, the one to be preferred first.
        where: Name of the table, for errors.
        several: Whether the table is of several cities.

    Raises:
        InputError: A region stands there twice, or two regions would be one in that writing.
    """
    theirs = [] if found.ids is None else list(found.ids)
    instead = f"; regions of several cities are called like {accepted[0][0]}" if several else ""
    best, said = rows_by_id(
        theirs, accepted, a_row="a region stands twice in the table of vectors",
        ours="two regions of the city have one id", where=where, instead=instead,
    )  # fmt: skip
    regions = np.flatnonzero(best >= 0)
    used = np.zeros(len(theirs), dtype=bool)
    used[best[regions]] = True
    rows = best[regions]
    # A table made for this very city: its vectors are what takes the memory, and need no second copy.
    in_order = np.array_equal(rows, np.arange(len(found.vectors)))
    return Match(regions, found.vectors if in_order else found.vectors[rows], used, said=said)


def rows_by_id(
    theirs: Sequence[str], accepted: Sequence[Sequence[str]], *, a_row: str, ours: str, where: str,
    instead: str = "",
) -> tuple[npt.NDArray[np.int64], str]:  # fmt: skip
    """The row of every region, by ids in the plainest writing that finds most of them.

    Args:
        theirs: (P,) ids of the rows.
        accepted: (N,) the ids each region goes by, the one to be preferred first.
        a_row, ours: What is wrong where two rows, or two regions, have one id.
        where: Name of the table, for errors.
        instead: What else can be done about that.

    Returns:
        (N,) numbers of rows, -1 where there is none; and how ids were compared, where not as they stand.

    Raises:
        InputError: An id stands in two rows, or two regions would be one in that writing.
    """
    _refuse_twice(theirs, theirs, a_row, where, instead)
    best, said = np.full(len(accepted), -1), ""
    for writing in writings(theirs, accepted):
        rows = _rows_of(writing)
        if (rows >= 0).sum() > (best >= 0).sum():
            best, said, chosen = rows, writing.said, writing
        if (best >= 0).sum() in (len(accepted), len(theirs)):
            break  # no other writing can find more
    if said:
        known = {n for names in chosen.ours for n in names}
        named = [at for at, name in enumerate(chosen.theirs) if name in known]
        written = [theirs[at] for at in named]
        _refuse_twice([chosen.theirs[at] for at in named], written, f"{a_row}, {said}", where)
        own = [names[-1] for names in accepted]
        _refuse_twice([names[-1] for names in chosen.ours], own, f"{ours}, {said}", where)
    return best, said


def _rows_of(writing: Writing) -> npt.NDArray[np.int64]:
    """For each region the number of its row, -1 where there is none; of several the first."""
    number: dict[str, int] = {}
    for at, name in enumerate(writing.theirs):
        number.setdefault(name, at)
    return np.array(
        [next((number[n] for n in names if n in number), -1) for names in writing.ours], dtype=np.int64
    )


def _refuse_twice(
    ids: Sequence[str], written: Sequence[str], what: str, where: str, instead: str = ""
) -> None:
    twice = pd.Series(list(ids), dtype=object).duplicated(keep=False).to_numpy()
    if twice.any():
        first = ids[int(twice.argmax())]
        raise InputError(
            what,
            value=" and ".join(dict.fromkeys(w for i, w in zip(ids, written, strict=True) if i == first)),
            where=where,
            remedy=f"{_ONE_ROW}{instead}",
        )


def _refuse_one_place(found: Features, used: npt.NDArray[np.bool_]) -> None:
    """Refuse several rows at the very place of a row that is used: years of one place, for example."""
    places = pd.DataFrame(found.lonlat)
    twice = places.duplicated(keep=False).to_numpy()
    if (twice & used).any():
        row = int((twice & used).argmax())
        alike = np.flatnonzero((places == places.iloc[row]).all(axis=1))
        lon, lat = places.iloc[row]
        raise InputError(
            "several rows of the table of vectors have one position",
            value=f"{lon:.7g}, {lat:.7g} in rows {', '.join(str(found.rows[at]) for at in alike[:_SHOWN])}",
            where="the first row is 0",
            remedy=_ONE_ROW,
        )


def match_points(
    found: Features, shapes: gpd.GeoSeries, lonlat: Floats, *, reach_km: float | None = None
) -> Match:
    """Vectors of regions by position: the mean of the points inside, else the nearest point.

    A region whose own point was left out, since it had no vector, does not take its neighbour's.

    Args:
        found: A table keyed by position.
        shapes: (N,) polygons or points of the regions, EPSG:4326.
        lonlat: (N, 2) their centres.
        reach_km: How far the nearest point may lie from the centre of a region; by default the median
            distance from a region's centre to the next one's.

    Raises:
        InputError: The table has no positions, or several rows for one place.
    """
    if found.lonlat is None:
        raise InputError(
            "the table of vectors has no positions",
            remedy="it needs lon and lat, or a geometry",
            where="vectors",
        )
    if reach_km is None:
        spacing = spacing_km(to_metres(lonlat))
        reach_km = spacing if np.isfinite(spacing) else 0.0
    mean_NP = _points_inside(found.lonlat, shapes)
    inside = np.flatnonzero(np.diff(mean_NP.indptr))
    gone = np.empty((0, 2)) if found.gone is None else found.gone
    emptied = np.flatnonzero(np.diff(_points_inside(gone, shapes).indptr))
    outside = np.setdiff1d(np.arange(len(lonlat)), np.union1d(inside, emptied))
    nearest = _nearest_points(np.vstack([found.lonlat, gone]), lonlat, outside, reach_km)
    nearest[nearest >= len(found.lonlat)] = -1
    near = outside[nearest >= 0]
    vectors = np.empty((len(lonlat), found.vectors.shape[1]), dtype=np.float32)
    vectors[inside] = mean_NP[inside] @ found.vectors
    vectors[near] = found.vectors[nearest[nearest >= 0]]
    rows = np.union1d(inside, near)
    used = np.zeros(len(found.lonlat), dtype=bool)
    used[mean_NP.indices] = True
    used[nearest[nearest >= 0]] = True
    _refuse_one_place(found, used)
    here, there = np.split(to_metres(np.vstack([lonlat[near], found.lonlat[nearest[nearest >= 0]]])), 2)
    return Match(
        rows, vectors[rows], used, inside=len(inside), near=len(near), reach_km=reach_km,
        farthest_km=float(np.linalg.norm(here - there, axis=1).max(initial=0.0)) / 1000,
    )  # fmt: skip


def _points_inside(points: Floats, shapes: gpd.GeoSeries) -> csr_array:
    """(N, P) weights: 1 / count for the points that lie in a region."""
    tree = shapely.STRtree(shapely.points(points))
    areas = np.flatnonzero((shapes.geom_type != "Point").to_numpy())
    area, point = tree.query(shapes.to_numpy()[areas], predicate="intersects")
    region = areas[area]
    count = np.bincount(region, minlength=len(shapes))
    weights = (1.0 / count[region]).astype(np.float64)
    return csr_array((weights, (region, point)), shape=(len(shapes), len(points)))


def _nearest_points(
    points: Floats, centres: Floats, chosen: npt.NDArray[np.int64], reach_km: float
) -> npt.NDArray[np.int64]:
    """For each chosen region the number of the nearest point within reach, -1 where there is none."""
    low, high = centres.min(axis=0), centres.max(axis=0)
    squeeze = max(np.cos(np.radians(np.abs(centres[:, 1]).max())), 0.01)
    margin = 1.1 * reach_km / _KM_PER_DEGREE * np.array([1 / squeeze, 1.0]) + 1e-9
    # Points of the rest of the world would move the middle of the projection far away.
    around = np.flatnonzero(((points >= low - margin) & (points <= high + margin)).all(axis=1))
    if len(around) == 0 or len(chosen) == 0:
        return np.full(len(chosen), -1)
    metres = to_metres(np.vstack([centres, points[around]]))
    tree = cKDTree(metres[len(centres) :])
    distance, number = tree.query(metres[chosen], distance_upper_bound=1000 * reach_km * (1 + 1e-9) + 1e-6)
    return np.where(np.isfinite(distance), around[np.minimum(number, len(around) - 1)], -1)
