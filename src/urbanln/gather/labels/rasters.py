"""Labels of rasters as a source: one number per region, or shares or a class of parts, or none."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from urbanln.base.errors import InputError, placed, require
from urbanln.base.kinds import Kind, simplex
from urbanln.gather.addressed import Addressed, Window
from urbanln.gather.labels.settings import OTHER, RasterLabel
from urbanln.gather.labels.told import built, partly, refuse_codes
from urbanln.gather.source import Answers, Built

_COVER = "pixels with a value cover"
_ROUNDING = 1e-4  # parts of pixels are numbers of 32 bits
_ZERO = "where a pixel without a value means 0 (nobody lives on water), say nodata_means = 0"


class Rastered(Addressed):
    """A label of the regions from a raster; see :class:`urbanln.gather.source.Leading`.

    Args:
        name: Of the label.
        settings: Its section of the recipe, with paths from here.
        regions: ``region_id`` and ``geometry`` in EPSG:4326.
        by: What the regions are; any kind is well.

    Raises:
        InputError: No such raster or band, it cannot be used, or does not cover the place.
        MissingExtraError: rasterio or exactextract is not installed.
    """

    def __init__(self, name: str, settings: RasterLabel, regions: gpd.GeoDataFrame, by: str) -> None:
        self.name, self.settings, self._regions = name, settings, regions
        grids = require("urbanln.gather.grids")
        self._zonal = require("urbanln.gather.labels.zonal").zonal
        given = settings
        reading = grids.Reading(given.nodata, given.nodata_means, given.scale, given.offset, given.crs)
        self._dtype = ""
        super().__init__(f"[labels.{name}]", [given.raster], reading, self._wanted)
        self._local = partial(grids.open_grid, reading=reading)
        if not self._remote:
            with placed(self._where), self._local(given.raster) as grid:
                self._wanted(grid)

    def _wanted(self, grid: Any) -> list[Window]:
        """Check a raster; the window that is needed of it."""
        grid.check_band(self.settings.band, "band")
        grid.need_overlap(self._regions)
        self._dtype = grid.dtype
        return [grid.window(grid.shapes(self._regions))]

    def pictures(self) -> int:
        """None."""
        return 0

    def build(self, answers: Answers, folder: Path) -> Built:
        """The label of every region that is covered well enough.

        Raises:
            InputError: The raster holds a code for missing values that it does not declare.
            StorageError: It is damaged.
        """
        asked, ids = self.settings, self._regions["region_id"]
        with placed(self._where), ExitStack() as stack:
            if self.absent(answers):
                raise InputError(
                    "no such raster", value=asked.raster, where="raster", remedy="check the address"
                )
            grid = self.opened(stack, asked.raster, answers, self._local)
            if grid is None:
                nothing = built(self.name, asked, ids, np.full(len(ids), np.nan), [])
                return replace(nothing, coverage=pd.Series("unanswered", index=ids))
            if asked.parts:
                return self._of_parts(grid)
            found = self._zonal(grid, self._regions, asked.statistic, band=asked.band, classes=asked.classes)
            if asked.statistic != "share":
                extremes = np.concatenate([found.low, found.high])
                refuse_codes(extremes, self._dtype, "the raster", asked.raster)
        said = partly(found.cover, asked.min_cover, _COVER, _ZERO)
        return built(self.name, asked, ids, found.values, said, found.cover, asked.min_cover)

    def _of_parts(self, grid: Any) -> Built:
        """Shares of the parts of each region, or the largest part as its class."""
        asked, shares, cover = self.settings, pd.DataFrame(), np.zeros(len(self._regions))
        for part, codes in asked.parts.items():
            found = self._zonal(grid, self._regions, "share", band=asked.band, classes=codes)
            shares[part], cover = found.values, found.cover
        rest = (1 - shares.sum(axis=1, skipna=False)).to_numpy()
        shares[OTHER] = np.where(rest < _ROUNDING, 0.0, rest)
        shares[:] = simplex(shares)
        values = shares.add_prefix(f"{self.name}_")
        if asked.statistic == "class":
            known = shares.notna().all(axis=1)
            largest = shares.fillna(0).idxmax(axis=1).where(known).astype("str")
            values = pd.DataFrame({self.name: largest})
        said = partly(cover, asked.min_cover, _COVER, _ZERO)
        kind: Kind = "shares" if asked.statistic == "shares" else "classes"
        ids = self._regions["region_id"]
        return built(self.name, asked, ids, values, said, cover, asked.min_cover, kind)
