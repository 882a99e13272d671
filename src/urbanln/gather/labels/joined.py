"""A column of a table, by the ids of regions or of their districts."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd

from urbanln.base.columns import refuse
from urbanln.base.errors import InputError
from urbanln.base.ids import read_ids
from urbanln.city.classes import take_classes
from urbanln.city.indicators import parse_missing
from urbanln.city.shares import take_shares
from urbanln.gather.labels.local import Found, Local
from urbanln.gather.labels.rows import Counted, choose, numbers_of, read_rows
from urbanln.gather.labels.settings import JoinedLabel
from urbanln.tables.match import rows_by_id

_SHOWN = 3
_ONE = 'choose rows, e.g. only = {year = "2020"}, or say what becomes of several, e.g. agg = "mean"'


class Joined(Local):
    """A label from a table of ids; see :class:`urbanln.gather.labels.local.Local`."""

    @staticmethod
    def find(asked: JoinedLabel, regions: gpd.GeoDataFrame) -> Found:
        """Take the numbers of the regions, or of the districts they are in.

        Args:
            asked: The section of the recipe, with paths from here.
            regions: ``region_id``, and ``district`` where ids are of districts.

        Raises:
            InputError: The table cannot be used, an id stands in it twice, or none of them is known.
        """
        ours = _ours(asked, regions)
        classes = [asked.column] if asked.kind == "classes" else []
        numbers = [name for name in (asked.column, *asked.columns) if name and name not in classes]
        frame = read_rows(asked, text=[asked.ids, *classes], numbers=numbers)
        counted = Counted(len(frame))
        ids = read_ids(frame, asked.ids, asked.file, instead="or name another column of ids")
        counted.keep(ids.notna().to_numpy(), "without an id")
        choose(frame, asked, counted)
        values, lines = _by_id(asked, ids, frame, counted)
        if values.empty:
            what, remedy = "no row of the table counts", "check ids and only"
            raise InputError(what, value=counted.line("rows"), where=asked.file, remedy=remedy)
        named = list(ours.dropna().unique())
        rows, said = rows_by_id(
            list(values.index), [[one] for one in named], a_row=f"a {asked.by} stands in several rows",
            ours=f"two {asked.by}s have one id", where=asked.file,
        )  # fmt: skip
        known = rows >= 0
        if not known.any():
            theirs, own = (", ".join(some[:_SHOWN]) for some in (list(values.index), named))
            what = f"no id of '{asked.ids}' is that of a {asked.by}"
            value = f"the table has {theirs} …, the {asked.by}s are {own} …"
            remedy = "name the column that holds their ids; by says whether they are of regions or districts"
            raise InputError(what, value=value, where=asked.file, remedy=remedy)
        of_named = values.iloc[rows].set_axis(named)[known]
        lines = [counted.line("rows"), *lines]
        if said:
            lines.append(f"ids are compared {said}")
        if (lost := len(values) - int(known.sum())) > 0:
            lines.append(f"{lost:,} of {len(values):,} ids of the table are of no {asked.by}")
        if asked.by == "district":
            lines.append(
                f"{int(ours.notna().sum()):,} regions share the numbers of {int(known.sum()):,} districts"
            )
        of_ours = of_named.reindex(ours.to_numpy())
        if asked.kind == "number":
            return Found(of_ours.iloc[:, 0].to_numpy(dtype=np.float64), lines)
        return Found(of_ours, lines, kind=asked.kind)


def _ours(asked: JoinedLabel, regions: gpd.GeoDataFrame) -> pd.Series:
    """(N,) what regions go by; missing where one is in no district."""
    if asked.by == "region":
        return regions["region_id"]
    if "district" not in regions.columns:
        remedy = 'name their file, [regions] district = "districts.gpkg#code"'
        raise InputError("the regions have no districts", value=asked.by, where="by", remedy=remedy)
    return regions["district"]


def _by_id(
    asked: JoinedLabel, ids: pd.Series, frame: pd.DataFrame, counted: Counted
) -> tuple[pd.DataFrame, list[str]]:
    """The label's columns by id, in the order of the table, and what was done to them.

    An id without any value has none.
    """
    if not asked.agg:
        again = ids.where(counted.rows).duplicated() & counted.rows
        refuse(again, f"an id of '{asked.ids}' stands in several rows", ids, asked.file, _ONE)
    if asked.kind == "number":
        numbers = numbers_of(frame, asked.column, asked, asked.nodata, counted.rows)
        groups = pd.Series(numbers).groupby(ids.where(counted.rows).to_numpy(), sort=False)
        found = groups.sum(min_count=1) if asked.agg == "sum" else groups.agg(asked.agg or "first")
        return found.to_frame(), []
    rows = pd.DataFrame(frame[[*filter(None, [asked.column]), *asked.columns]]).where(
        pd.Series(counted.rows), axis=0
    )
    rule = parse_missing([f"{code:.15g}" for code in asked.nodata], [])
    if asked.kind == "classes":
        classes, said = take_classes(rows, asked.column, table=asked.file, rule=rule)
        values = classes.to_frame()
    else:
        values, said = take_shares(
            rows, "shares", asked.columns, table=asked.file, rule=rule, empty_part=asked.empty_part,
            tolerance=asked.share_tolerance,
        )  # fmt: skip
    return values[counted.rows].set_axis(ids[counted.rows].to_numpy()), said
