"""GeoTIFFs as a source of pictures: which files a region lies on, and what they show."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely

from urbanln.base.errors import InputError, placed, require
from urbanln.base.progress import track
from urbanln.base.space import MERCATOR_LATITUDE
from urbanln.gather.addressed import Addressed, Window
from urbanln.gather.local_files import need_files
from urbanln.gather.names import file_names
from urbanln.gather.rasters.items import files_of
from urbanln.gather.rasters.settings import RasterSource
from urbanln.gather.source import Answers, Built
from urbanln.gather.tiles.picture import as_jpeg, frames_of
from urbanln.gather.writing import image_rows, make_folder, write_picture

_OPEN = 32  # files at once
_OUTLINE_POINTS = 21


class Rasters(Addressed):
    """Pictures of regions out of GeoTIFFs; see :class:`urbanln.gather.source.Leading`.

    A picture shows the region's bounding box, as a mosaic of map tiles does.

    Args:
        name: Of the source.
        settings: Its section of the recipe, with paths from here.
        regions: ``region_id`` and ``geometry`` in EPSG:4326.
        by: What the regions are; any kind is well.

    Raises:
        InputError: A file is missing or cannot be used, is not of 8 bits and has no stretch, has bands to
            choose from, none covers the place; or a picture would be too large.
        MissingExtraError: rasterio is not installed.
    """

    def __init__(self, name: str, settings: RasterSource, regions: gpd.GeoDataFrame, by: str) -> None:
        if settings.items:
            with placed(f"[rasters.{name}]"):
                need_files([Path(settings.items)], "items")
                settings = settings.model_copy(update={"files": files_of(settings, regions)})
        self.name, self.settings, self._regions = name, settings, regions
        self._ids = list(regions["region_id"])
        self._where = f"[rasters.{name}]"
        need_files(settings.reads(), self._where)
        self._grids, self._pictures = (
            require("urbanln.gather.grids"), require("urbanln.gather.rasters.picture")
        )  # fmt: skip
        _, south, _, north = regions.total_bounds
        if max(abs(south), abs(north)) > MERCATOR_LATITUDE:
            what, remedy = "pictures end at ±85.05 degrees of latitude", "choose another place"
            raise InputError(what, value=f"{south:.4f} to {north:.4f}", where="regions", remedy=remedy)
        with placed(self._where):
            self._frames = frames_of(regions, 0, settings.gsd_m)
        reading = self._grids.Reading(settings.nodata, crs=settings.crs)
        super().__init__(self._where, settings.files, reading, self._wanted)
        self._local = partial(self._grids.open_grid, reading=reading)
        self._outlines: dict[str, shapely.Geometry] = {}
        for file in settings.files:
            if file not in self._remote:
                with placed(self._where), self._local(file) as grid:
                    self._check(grid, pixels=True)
                    self._outlines[file] = self._outline(grid)
                    if len(settings.files) == 1:
                        grid.need_overlap(regions)

    def _wanted(self, grid: Any) -> list[Window]:
        """Check a file at an address; the windows that are needed of it."""
        self._check(grid, pixels=False)
        windows = [self._pictures.window_of(grid, frame) for frame in self._frames]
        return [window for window in windows if window[2]]

    def _check(self, grid: Any, *, pixels: bool) -> None:
        """Refuse a file whose bands or brightness are not known; ``pixels``: they can be read."""
        bands = self._bands(grid)
        if grid.dtype == "uint8" or self.settings.ranges:
            return
        what, value = (
            f"numbers of type {grid.dtype} are no brightness: which is black, and which white?",
            None,
        )
        remedy = "stretch = [darkest, brightest], for all pictures alike; or a pair per band"
        if pixels:
            low, high = self._pictures.sample(grid, bands)
            value = f"98 of 100 lie above {low:.6g}, and 98 of 100 below {high:.6g}"
            remedy = f"stretch = [{low:.6g}, {high:.6g}], for all pictures alike; or a pair per band"
        raise InputError(what, value=value, where=grid.path, remedy=remedy)

    def _outline(self, grid: Any) -> shapely.Geometry:
        """Where a file lies, in degrees; nothing where it lies on none of the regions."""
        if not grid.window(grid.shapes(self._regions))[2]:
            return shapely.Polygon()
        to_degrees = pyproj.Transformer.from_crs(grid.crs, 4326, always_xy=True)
        west, south, east, north = to_degrees.transform_bounds(*grid.bounds, densify_pts=_OUTLINE_POINTS)
        if west > east:  # it crosses the antimeridian
            return shapely.MultiPolygon(
                [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
            )
        return shapely.box(west, south, east, north)

    def _far(self, answers: Answers) -> int:
        """Find out where the files at addresses lie; how many of them are not there."""
        absent = self.absent(answers)
        self._outlines |= dict.fromkeys(absent, shapely.Polygon())
        for file in self._remote.keys() - absent:
            try:
                with self._remote[file].said(answers) as grid:
                    self._outlines[file] = self._outline(grid)
            except require("urbanln.gather.cogs").UnansweredError:
                self._outlines[file] = shapely.box(-180, -90, 180, 90)  # it may lie anywhere
        return len(absent)

    def _bands(self, grid: Any) -> list[int]:
        """The bands of a picture."""
        asked = list(self.settings.bands)
        for band in asked:
            grid.check_band(band, "bands")
        colours = grid.colours()
        if "palette" in colours:
            what, remedy = (
                "the raster holds numbers of a palette",
                "gdal_translate -expand rgb in.tif out.tif",
            )
            raise InputError(what, value=colours, where=grid.path, remedy=remedy)
        shown = [band for band, colour in enumerate(colours, start=1) if colour != "alpha"]
        if asked or len(shown) in (1, 3):
            return asked or shown
        there = ", ".join(f"{band} {colour}" for band, colour in enumerate(colours, start=1))
        raise InputError(
            f"the raster has {len(shown)} bands: which are red, green and blue?",
            value=there, where=grid.path, remedy="bands = [1, 2, 3], or one of them for grey",
        )  # fmt: skip

    def pictures(self) -> int:
        """One per region."""
        return len(self._ids)

    def hosts(self) -> list[str]:
        """Of the addresses in the recipe; a list of items leads only to the section's ``hosts``."""
        return [] if self.settings.items else super().hosts()

    def build(self, answers: Answers, folder: Path) -> Built:
        """Write the pictures of the regions.

        Raises:
            StorageError: A file is damaged, or the folder cannot be written.
        """
        names, files, states, shares = file_names(self._ids), {}, [], []
        target = make_folder(folder, self.name)
        boxes = self._regions.geometry.to_numpy()
        absent = self._far(answers)
        tree = shapely.STRtree([self._outlines[file] for file in self.settings.files])
        with ExitStack() as stack, placed(self._where):
            opened: dict[int, Any] = {}
            rows = zip(self._ids, self._frames, boxes, strict=True)
            for region, frame, shape in track(rows, f"writing {self.name}", len(self._ids)):
                found, lost = None, False
                for number in sorted(int(one) for one in tree.query(shape)):
                    if number not in opened:
                        if len(opened) == _OPEN:
                            stack.close()
                            opened.clear()
                        file = self.settings.files[number]
                        opened[number] = self.opened(stack, file, answers, self._local)
                    grid = opened[number]
                    if lost := grid is None:
                        break
                    found = _filled(found, self._pictures.pixels(grid, frame, self._bands(grid)))
                    if found is not None and not np.isnan(found).any():
                        break
                share = 0.0 if found is None else float(1 - np.isnan(found).any(axis=0).mean())
                state = "unanswered" if lost else self._state(found, share)
                if state == "picture":
                    picture = self._pictures.as_picture(found, self.settings.ranges)
                    files[region] = write_picture(target / f"{names[region]}.jpg", as_jpeg(picture))
                states.append(state)
                shares.append(share)
        images = image_rows(self.name, self.settings, self.settings.captured, self._regions, files)
        said = [f"{absent:,} of the addresses lead to no file"] if absent else []
        return Built(
            pd.Series(states, index=self._ids), images, said=said, shares=pd.Series(shares, index=self._ids)
        )

    def _state(self, found: Any, share: float) -> str:
        if not share:
            return "absent"
        if share < self.settings.min_cover - 1e-9:
            return "partial"
        return "blank" if np.nanmax(found) == np.nanmin(found) else "picture"


def _filled(first: Any, more: Any) -> Any:
    """The first file's pixels, and the next one's where it has none."""
    if first is None or more is None:
        return more if first is None else first
    return np.where(np.isnan(first).any(axis=0), more, first)
