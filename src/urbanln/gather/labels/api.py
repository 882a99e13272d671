"""Labels of rasters as a source: one number per region, or none."""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from urbanln.base.errors import InputError, placed, require
from urbanln.base.missing import missing_codes
from urbanln.city.meta import IndicatorNote
from urbanln.gather.addressed import Addressed, Window
from urbanln.gather.labels.settings import LabelSource
from urbanln.gather.source import Answers, Built


class Labels(Addressed):
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

    def __init__(self, name: str, settings: LabelSource, regions: gpd.GeoDataFrame, by: str) -> None:
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
        note = IndicatorNote(unit=asked.unit, year=asked.year, source=asked.source, licence=asked.licence)
        with placed(self._where), ExitStack() as stack:
            if self.absent(answers):
                raise InputError(
                    "no such raster", value=asked.raster, where="raster", remedy="check the address"
                )
            grid = self.opened(stack, asked.raster, answers, self._local)
            if grid is None:
                nothing = pd.DataFrame({"region_id": ids, self.name: np.nan})
                return Built(pd.Series("unanswered", index=ids), indicators=nothing, notes={self.name: note})
            found = self._zonal(grid, self._regions, asked.statistic, band=asked.band, classes=asked.classes)
        self._refuse_codes(np.concatenate([found.low, found.high]))
        enough = found.cover >= asked.min_cover
        states = np.where(enough, "label", np.where(found.cover > 0, "partial", "absent"))
        labels = pd.DataFrame({"region_id": ids, self.name: np.where(enough, found.values, np.nan)})
        return Built(
            pd.Series(states, index=ids), indicators=labels, notes={self.name: note},
            shares=pd.Series(found.cover, index=ids), said=self._said(found.cover, enough),
        )  # fmt: skip

    def _refuse_codes(self, extremes: np.ndarray) -> None:
        codes = [code.text for code in missing_codes(extremes, self._dtype) if code.certain]
        if codes and self.settings.statistic != "share":
            raise InputError(
                "the raster holds what looks like a code for missing values, and does not declare it",
                value=codes[0],
                where=f"[labels.{self.name}], {self.settings.raster}",
                remedy=f"nodata = [{codes[0]}] in its section; scaled ones as they are stored",
            )

    def _said(self, cover: np.ndarray, enough: np.ndarray) -> list[str]:
        some = cover[(cover > 0) & ~enough]
        if not len(some):
            return []
        most = math.floor(some.max() * 1000) / 1000  # never told as 1
        return [
            f"{len(some):,} regions have no label, since pixels with a value cover {some.min():.3g} to "
            f"{most:g} of them, and min_cover is {self.settings.min_cover:g}; where a pixel without a value "
            "means 0 (nobody lives on water), say nodata_means = 0"
        ]
