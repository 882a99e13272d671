"""Region vectors out of tables that others made: by region id, or by where their points lie."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from urbanln.embed.table import matrix
from urbanln.errors import InputError
from urbanln.space import Floats, check_lonlat, to_metres

LON_NAMES = ("lon", "longitude", "lng")
LAT_NAMES = ("lat", "latitude")
# Numbers that say which row it is or where it lies, and nothing about what is there.
_NO_FEATURES = frozenset(
    (*LON_NAMES, *LAT_NAMES, "region_id", "id", "fid", "index", "unnamed: 0", "n_images", "x", "y", "year")
)
_KM_PER_DEGREE = 111.0


@dataclass(frozen=True, eq=False)
class Features:
    """The vectors of a table and what each row is keyed by.

    Args:
        vectors: (P, D) float32, all finite.
        names: (D,) names of the columns; empty where the table has one column of lists.
        ids: (P,) region ids, or None.
        lonlat: (P, 2) degrees, or None.
        left_out: Rows left out, since a value is missing or not finite.
        passed_over: Columns that would tell the label itself.
    """

    vectors: npt.NDArray[np.float32]
    names: tuple[str, ...]
    ids: npt.NDArray[Any] | None
    lonlat: Floats | None
    left_out: int
    passed_over: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Match:
    """Vectors that were found for the regions of one city.

    Args:
        rows: (M,) numbers of the regions that have a vector, ascending.
        vectors: (M, D) float32.
        inside: Regions that took the mean of the points inside.
        near: Regions that took the nearest point.
        reach_km: How far the nearest point may lie; None where rows were matched by id.
    """

    rows: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    inside: int = 0
    near: int = 0
    reach_km: float | None = None


def features_of(
    frame: pd.DataFrame, *, columns: Sequence[str] = (), labels: Collection[str] = (), where: str
) -> Features:
    """Take the vectors out of a table.

    Args:
        frame: Either a column of lists (``vector``, or the only one there is), or a numeric column per
            dimension: all of them but ids, positions and years. Keyed by ``region_id``; else by ``lon`` and
            ``lat`` (``longitude``, ``lng``, ``latitude`` too) in degrees, or by its geometry.
        columns: Only these columns, each a name or a pattern like ``A*``; all when empty.
        labels: Names of the labels to be predicted: a column that is called so, in upper or lower case, is
            passed over, whatever pattern it fits.
        where: Name of the table, for errors.

    Raises:
        InputError: No vectors, values that are no numbers, no key, or a label among the columns named.
    """
    names: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    lists = None if columns else _list_column(frame)
    if lists is not None:
        values = _from_lists(frame[lists], where)
    else:
        names, passed = _feature_columns(frame, columns, labels, where)
        values = frame[list(names)].to_numpy(dtype=np.float32, na_value=np.nan)
    good = np.isfinite(values).all(axis=1)
    if not good.any():
        raise InputError("no row of this table has a whole vector", value=f"{len(values)} rows", where=where)
    ids, lonlat = _keys(frame, where)
    return Features(
        vectors=values if good.all() else values[good],
        names=names,
        ids=None if ids is None else ids[good],
        lonlat=None if lonlat is None else lonlat[good],
        left_out=int((~good).sum()),
        passed_over=passed,
    )


def match_ids(found: Features, accepted: Sequence[Sequence[str]], *, where: str) -> Match:
    """Vectors of the regions whose id stands in the table.

    Args:
        found: A table keyed by region id.
        accepted: The ids each region goes by, the one to be preferred first.
        where: Name of the table, for errors.

    Raises:
        InputError: A region stands there twice.
    """
    index = pd.Index(np.asarray(found.ids, dtype=object))
    if not index.is_unique:
        raise InputError(
            "a region stands twice in the table of vectors",
            value=index[index.duplicated()][0],
            where=where,
            remedy="one row per region: choose a year, or average the rows",
        )
    rows = np.full(len(accepted), -1)
    for turn in range(max(map(len, accepted), default=0)):
        names = pd.Index([keys[turn] if turn < len(keys) else None for keys in accepted], dtype=object)
        rows = np.where(rows >= 0, rows, index.get_indexer(names))
    regions = np.flatnonzero(rows >= 0)
    return Match(regions, found.vectors[rows[regions]])


def match_points(
    found: Features, shapes: gpd.GeoSeries, lonlat: Floats, *, reach_km: float | None = None
) -> Match:
    """Vectors of regions by position: the mean of the points inside, else the nearest point.

    Args:
        found: A table keyed by position.
        shapes: (N,) polygons or points of the regions, EPSG:4326.
        lonlat: (N, 2) their centres.
        reach_km: How far the nearest point may lie from the centre of a region; by default the median
            distance from a region's centre to the next one's.

    Raises:
        InputError: The table has no positions.
    """
    if found.lonlat is None:
        raise InputError(
            "the table of vectors has no positions", remedy="it needs lon and lat, or a geometry"
        )
    if reach_km is None:
        reach_km = spacing_km(lonlat)
    mean_NP = _points_inside(found.lonlat, shapes)
    inside = np.flatnonzero(np.diff(mean_NP.indptr))
    outside = np.setdiff1d(np.arange(len(lonlat)), inside)
    nearest = _nearest_points(found.lonlat, lonlat, outside, reach_km)
    near = outside[nearest >= 0]
    vectors = np.empty((len(lonlat), found.vectors.shape[1]), dtype=np.float32)
    vectors[inside] = mean_NP[inside] @ found.vectors
    vectors[near] = found.vectors[nearest[nearest >= 0]]
    rows = np.union1d(inside, near)
    return Match(rows, vectors[rows], inside=len(inside), near=len(near), reach_km=reach_km)


def spacing_km(lonlat: Floats) -> float:
    """Median distance in km from a point to the nearest other one; 0 for a single point."""
    if len(lonlat) < 2:
        return 0.0
    metres = to_metres(lonlat)
    return float(np.median(cKDTree(metres).query(metres, k=2)[0][:, 1]) / 1000)


def _list_column(frame: pd.DataFrame) -> Any:
    """The column of lists: the one called ``vector``, or the only one."""
    if "vector" in frame.columns:
        return "vector"
    found = [
        name
        for name, column in frame.items()
        if column.dtype == object and len(column) and isinstance(column.iloc[0], list | tuple | np.ndarray)
    ]
    return found[0] if len(found) == 1 else None


def _from_lists(column: pd.Series, where: str) -> npt.NDArray[np.float32]:
    text = next((value for value in column if isinstance(value, str)), None)
    if text is not None:
        raise InputError(
            "a vector is text, not numbers",
            value=text,
            where=f"{where}, column {column.name}",
            remedy="write one numeric column per dimension, or save the table as Parquet",
        )
    missing = column.isna().to_numpy()
    if missing.all():
        raise InputError("there is no vector in this column", where=f"{where}, column {column.name}")
    if not missing.any():
        return matrix(pd.DataFrame({"vector": column}))
    whole = matrix(pd.DataFrame({"vector": column[~missing]}))
    values = np.full((len(column), whole.shape[1]), np.nan, dtype=np.float32)
    values[~missing] = whole
    return values


def _feature_columns(
    frame: pd.DataFrame, columns: Sequence[str], labels: Collection[str], where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the columns that make the vector, in the order of the table, and of labels passed over."""
    told = {label.casefold() for label in labels}
    there = [str(name) for name in frame.columns]
    if columns:
        lacking = [p for p in columns if not any(fnmatchcase(name, p) for name in there)]
        if lacking:
            raise InputError(
                "no column of this table is called so", value=lacking[0], where=where, remedy=_listing(there)
            )
        if (named := next((p for p in columns if p in there and p.casefold() in told), None)) is not None:
            raise InputError(
                "a label to be predicted is no dimension of a vector",
                value=named,
                where=where,
                remedy="leave it out; rename the column where it is something else",
            )
        chosen = [name for name in there if any(fnmatchcase(name, pattern) for pattern in columns)]
    else:
        chosen = [
            name
            for name in there
            if name.lower() not in _NO_FEATURES and pd.api.types.is_numeric_dtype(frame[name])
        ]
    passed = tuple(name for name in chosen if name.casefold() in told)
    chosen = [name for name in chosen if name not in passed]
    if not chosen:
        raise InputError(
            "there are no vectors in this table: neither a column of lists nor a numeric one",
            where=where,
            remedy=_listing(there),
        )
    if (text := next((n for n in chosen if not pd.api.types.is_numeric_dtype(frame[n])), None)) is not None:
        raise InputError(
            "a dimension of the vectors is no number",
            value=str(frame[text].iloc[0]),
            where=f"{where}, column {text}",
            remedy="write plain numbers such as 12.5 (a point, no unit); leave what is missing empty",
        )
    return tuple(chosen), passed


def _listing(names: Sequence[str]) -> str:
    return f"there are: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}"


def _keys(frame: pd.DataFrame, where: str) -> tuple[npt.NDArray[Any] | None, Floats | None]:
    """Region ids or positions (degrees) of the rows."""
    if "region_id" in frame.columns:
        return frame["region_id"].astype(str).to_numpy(dtype=object), None
    lower = {str(name).lower(): name for name in frame.columns}
    lon = next((lower[name] for name in LON_NAMES if name in lower), None)
    lat = next((lower[name] for name in LAT_NAMES if name in lower), None)
    if lon is not None and lat is not None:
        try:
            return None, check_lonlat(frame[[lon, lat]].to_numpy(dtype=np.float64, na_value=np.nan))
        except (InputError, ValueError) as error:
            value = error.value if isinstance(error, InputError) else str(error)
            raise InputError(
                "a position in the table of vectors cannot be used",
                value=value,
                where=where,
                remedy="give lon and lat in degrees (EPSG:4326) in every row",
            ) from error
    if isinstance(frame, gpd.GeoDataFrame) and frame.crs is not None:
        # A point on the surface lies inside its polygon, which a centroid need not.
        points = frame.to_crs(4326).geometry.representative_point()
        return None, check_lonlat(np.column_stack([points.x, points.y]))
    raise InputError(
        "the table of vectors says neither which region nor where",
        where=where,
        remedy="it needs a column region_id, or lon and lat in degrees, or a geometry with a CRS",
    )


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
