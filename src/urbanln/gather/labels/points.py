"""Counts and rates of points per region."""

from __future__ import annotations

from collections.abc import Mapping

import geopandas as gpd
import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.space import Floats
from urbanln.city.checks import WGS84
from urbanln.city.coordinates import Positions, point_coordinates
from urbanln.gather.labels.ground import Ground, Ints, ground_of, holders, need_overlap
from urbanln.gather.labels.local import Found, Local
from urbanln.gather.labels.rows import Counted, Flags, choose, numbers_of, of_kinds, read_rows
from urbanln.gather.labels.settings import LINES, PointLabel


class Points(Local):
    """A label from points; see :class:`urbanln.gather.labels.local.Local`."""

    @staticmethod
    def find(asked: PointLabel, regions: gpd.GeoDataFrame) -> Found:
        """Count the points, or their numbers, per region.

        A region without a point has a count, density or sum of 0, and no mean, share or rate.

        Args:
            asked: The section of the recipe, with paths from here.
            regions: ``region_id`` and ``geometry`` in EPSG:4326.

        Raises:
            InputError: The table cannot be used, or no point of it lies in a region.
        """
        columns = [column for column in (asked.column, asked.per) if column]
        frame = read_rows(asked, numbers=columns, ungrouped=(asked.lon, asked.lat), crs=asked.crs)
        where = Positions(
            asked.lon, asked.lat, crs=asked.crs or WGS84, datum=asked.datum, outside_china=asked.outside_china
        )
        counted = Counted(len(frame))
        if isinstance(frame, gpd.GeoDataFrame):
            lines = frame.geom_type.isin(LINES).to_numpy()
            counted.keep(~lines, "are lines")
            frame.loc[lines, frame.geometry.name] = None
        lon, lat, _ = point_coordinates(frame, where, asked.file)
        frame = pd.DataFrame(frame.drop(columns=frame.columns[frame.dtypes == "geometry"]))
        ground = ground_of(regions, asked.within)
        counted.keep(~np.isnan(lon), "without a place")
        if not counted.rows.any():
            remedy = "name the columns of degrees (lon, lat)"
            raise InputError("no row has a place", where=asked.file, remedy=remedy)
        box = (np.nanmin(lon), np.nanmin(lat), np.nanmax(lon), np.nanmax(lat))
        need_overlap(box, regions, asked.file, "check which column is the longitude")
        choose(frame, asked, counted)
        region, point = _pairs(ground, lon, lat, counted.rows)
        inside = np.zeros(len(frame), dtype=bool)
        inside[point] = True
        counted.keep(inside, "outside all regions" + (" or what is within" if asked.within else ""))
        values = {name: numbers_of(frame, name, asked, asked.nodata, counted.rows) for name in columns}
        for name, numbers in values.items():
            counted.keep(~np.isnan(numbers), f"without a number in '{name}'")
        every = np.bincount(region, minlength=len(ground.shapes))
        known = counted.rows[point]
        found = _statistic(asked, frame, values, region[known], point[known], ground)
        some = np.bincount(region[known], minlength=len(ground.shapes))
        found = np.where((every > 0) & (some == 0), np.nan, found)  # points, of which no number is known
        said = [counted.line("points")]
        if asked.statistic in ("count", "density", "sum"):
            said += ground.unsaid(every == 0, box)
        return Found(found, said, ground.cover)


def _pairs(ground: Ground, lon: Floats, lat: Floats, rows: Flags) -> tuple[Ints, Ints]:
    """Numbers of regions and rows of the points that lie in them."""
    at = np.flatnonzero(rows)
    region, point = holders(ground.shapes, lon[at], lat[at])
    return region, at[point]


def _statistic(
    asked: PointLabel, frame: pd.DataFrame, values: Mapping[str, Floats], region: Ints, point: Ints,
    ground: Ground,
) -> Floats:  # fmt: skip
    """(N,) of pairs of regions and points."""

    def total(weights: Floats | None = None) -> Floats:
        counts = np.bincount(region, weights=weights, minlength=len(ground.shapes))
        return np.asarray(counts, dtype=np.float64)

    if asked.statistic == "count":
        return total()
    if asked.statistic == "sum":
        return total(values[asked.column][point])
    with np.errstate(invalid="ignore", divide="ignore"):
        if asked.statistic == "density":
            return total() / (ground.square_m / 1e6)
        if asked.statistic == "share":
            chosen = of_kinds(frame, asked.classes, asked.file, "classes")
            return total(chosen[point].astype(np.float64)) / total()
        if asked.statistic == "mean":
            return total(values[asked.column][point]) / total()
        per = total(values[asked.per][point])
        return np.where(per != 0, total(values[asked.column][point]) / per, np.nan)
