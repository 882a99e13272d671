"""Street views of one's own as a source: nothing is asked, the nearest and the farthest are copied."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from urbanln.base.columns import need_columns
from urbanln.base.errors import InputError, placed
from urbanln.base.frames import id_text, read_frame
from urbanln.base.parsing import read_file
from urbanln.base.pictures import MAX_BYTES, open_picture
from urbanln.base.progress import track
from urbanln.city.coordinates import Positions, point_coordinates
from urbanln.gather.mapillary.parse import View
from urbanln.gather.mapillary.picture import spread
from urbanln.gather.names import file_names
from urbanln.gather.source import Answers, AtHand, Built
from urbanln.gather.tiles.parse import ENDINGS
from urbanln.gather.views.settings import ViewSource
from urbanln.gather.writing import make_folder, write_picture


class Views(AtHand):
    """Street views of a table; see :class:`urbanln.gather.source.Source`.

    Args:
        name: Of the source.
        settings: Its section of the recipe, with paths from here.
        regions: ``region_id`` and ``geometry`` in EPSG:4326.
        by: What the regions are; any kind is well.

    Raises:
        InputError: No such table or column, values that are no coordinates, a file named twice or outside
            the folder, or no view in any region.
    """

    def __init__(self, name: str, settings: ViewSource, regions: gpd.GeoDataFrame, by: str) -> None:
        self.name, self.settings, self._ids = name, settings, list(regions["region_id"])
        with placed(f"[views.{name}]"):
            views, self._without = self._read()
            points = shapely.points(np.array([(view.lon, view.lat) for view in views]).reshape(-1, 2))
            found = shapely.STRtree(points).query(regions.geometry.to_numpy(), predicate="intersects")
            inside: list[list[View]] = [[] for _ in self._ids]
            for region, number in found.T:
                inside[region].append(views[number])
            if not found.size:
                what, remedy = "no view lies in a region", "check place, table and the order of lon and lat"
                raise InputError(what, value=f"{len(views):,} views", where=settings.table, remedy=remedy)
        self._chosen = [spread(some, settings.per_region) for some in inside]

    def _read(self) -> tuple[list[View], int]:
        """The table's views, and how many rows name no file or no place."""
        asked, table = self.settings, self.settings.table
        frame = read_frame(
            table, text=[asked.image, *filter(None, [asked.captured])], ungrouped=(asked.lon, asked.lat)
        )
        need_columns(frame.columns, [asked.image, *filter(None, [asked.captured])], table)
        lon, lat, _ = point_coordinates(frame, Positions(asked.lon, asked.lat), table)
        files = id_text(frame[asked.image])
        there = (files.notna() & ~np.isnan(lon) & ~np.isnan(lat)).to_numpy()
        days = id_text(frame[asked.captured]) if asked.captured else pd.Series([None] * len(frame))
        days = days.where(days.notna(), "")
        named = files[there]
        if named.duplicated().any():
            value, remedy = named[named.duplicated()].iloc[0], "give each view one row"
            raise InputError("two rows name one file", value=value, where=table, remedy=remedy)
        root = Path(asked.folder).resolve()
        outside = [file for file in named if not (root / file).resolve().is_relative_to(root)]
        if outside:
            remedy = "files are named relative to folder; set it to one that holds them all"
            raise InputError("a file lies outside the folder", value=outside[0], where=table, remedy=remedy)
        rows = zip(named, lon[there], lat[there], days[there], strict=True)
        return [View(file, float(x), float(y), "", day) for file, x, y, day in rows], int((~there).sum())

    def pictures(self) -> int:
        """Those that are chosen."""
        return sum(map(len, self._chosen))

    def build(self, answers: Answers, folder: Path) -> Built:
        """Copy the chosen views, as they are.

        Raises:
            StorageError: The folder cannot be written.
        """
        target, rows, states = make_folder(folder, self.name), list[dict[str, object]](), []
        names = file_names(sorted({view.id for some in self._chosen for view in some}))
        parts = zip(self._ids, self._chosen, strict=True)
        for region, chosen in track(parts, f"writing {self.name}", len(self._ids)):
            copied = [(view, self._copy(view, target, names[view.id])) for view in chosen]
            rows += [self._row(region, view, *file) for view, file in copied if file is not None]
            good = any(file is not None for _, file in copied)
            states.append("picture" if good else "broken" if chosen else "absent")
        few = sum(0 < len(some) < self.settings.per_region for some in self._chosen)
        bad = self.pictures() - len(rows)
        lines = {
            "rows of the table name no file or no place": self._without,
            "of the chosen files are missing or no pictures": bad,
            "regions have fewer views than are asked for": few,
        }
        said = [f"{count:,} {line}" for line, count in lines.items() if count]
        return Built(pd.Series(states, index=self._ids), pd.DataFrame(rows), said=said)

    def _copy(self, view: View, target: Path, name: str) -> tuple[str, str] | None:
        """Name and hash of a view's file in the city; None where it cannot be read."""
        try:
            data = read_file(Path(self.settings.folder) / view.id, MAX_BYTES)
            ending = ENDINGS[str(open_picture(data).format)]
        except (InputError, OSError):
            return None
        return write_picture(target / f"{name}.{ending}", data)

    def _row(self, region: str, view: View, file: str, digest: str) -> dict[str, object]:
        return {
            "image_id": f"{region}_{self.name}_{view.id}", "region_id": region, "view": "street",
            "path": f"pictures/{self.name}/{file}", "lon": view.lon, "lat": view.lat,
            "captured": view.captured or None, "source": self.name, "licence": self.settings.licence,
            "sha256": digest,
        }  # fmt: skip
