"""Other people's vectors as a source: a table beside the city, with what made it and on whose terms."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from urbanln.base.errors import InputError, placed, require
from urbanln.base.files import hash_file
from urbanln.base.geometry import lonlat_of
from urbanln.base.space import Floats
from urbanln.gather.addressed import Addressed, Window
from urbanln.gather.embeddings.settings import EmbeddingSource
from urbanln.gather.local_files import need_files
from urbanln.gather.source import Answers, Built
from urbanln.tables.cities import read_vectors
from urbanln.tables.vectors import region_table, write_embeddings

FOLDER = "embeddings"
_STORED = {
    "plain": "none",
    "alphaearth": "int8: sign(v) · (|v| / 127.5)²",
    "tessera": "int8: v · scale of the pixel",
    "table": "none",
}
_OVERLAP = 1.001


class Embeddings(Addressed):
    """Vectors of the regions, not ours; see :class:`urbanln.gather.source.Leading`.

    Args:
        name: Of the table.
        settings: Its section of the recipe, with paths from here.
        regions: ``region_id`` and ``geometry`` in EPSG:4326.
        by: What the regions are; any kind is well.

    Raises:
        InputError: A file is missing or cannot be used, files differ in what they are, or none covers the
            place.
        MissingExtraError: rasterio or exactextract is not installed.
    """

    def __init__(self, name: str, settings: EmbeddingSource, regions: gpd.GeoDataFrame, by: str) -> None:
        self.name, self.settings, self._regions = name, settings, regions
        self._where = f"[embeddings.{name}]"
        need_files(settings.reads(), self._where)
        self._counts: dict[int, str] = {}
        if settings.form == "table":
            super().__init__(self._where, (), None, self._wanted)
            return
        self._grids = require("urbanln.gather.grids")
        codes = (*settings.nodata, *([-128.0] if settings.form == "alphaearth" else []))
        self._reading = self._grids.Reading(codes)
        super().__init__(self._where, settings.files, self._reading, self._wanted)
        here = [file for file in settings.files if file not in self._remote]
        met = False
        for file in here:
            with placed(self._where), self._open(file) as grid:
                self._check(grid)
                met = met or bool(grid.window(grid.shapes(regions))[2])
                if file == here[-1] and not met and not self._remote:
                    grid.need_overlap(regions)

    def _check(self, grid: Any) -> None:
        """Refuse a file that is of another kind than the others, or than was said."""
        self._counts.setdefault(grid.bands, str(grid.path))
        if len(self._counts) > 1:
            value = " and ".join(f"{path}: {count}" for count, path in self._counts.items())
            remedy = "take files of one version of one model"
            raise InputError("the files differ in their bands", value=value, where="files", remedy=remedy)
        self._check_kind(grid)
        for band in self.settings.bands:
            grid.check_band(band, "bands")

    def _wanted(self, grid: Any) -> list[Window]:
        """Check a file at an address; the windows that are needed of it."""
        self._check(grid)
        windows = [grid.window(np.array([shape], dtype=object)) for shape in grid.shapes(self._regions)]
        return [window for window in windows if window[2]]

    def _check_kind(self, grid: Any) -> None:
        small = getattr(grid, "dtype", "") == "int8"
        if small != (self.settings.form == "alphaearth") and self.settings.form != "tessera":
            what = (
                "these are numbers of 8 bits, and 'plain' takes them as they are"
                if small
                else ("AlphaEarth's files hold signed numbers of 8 bits")
            )
            remedy = (
                'form = "alphaearth" is sign(v) · (|v| / 127.5)²; other codes: write the values themselves'
            )
            raise InputError(what, value=getattr(grid, "dtype", ""), where=grid.path, remedy=remedy)

    def _open(self, file: str) -> AbstractContextManager[Any]:
        asked = self.settings
        if asked.form == "tessera":
            opened: AbstractContextManager[Any] = require("urbanln.gather.embeddings.tessera").open_array(
                Path(file), *asked.beside(file)
            )
            return opened
        opened = self._grids.open_grid(file, self._reading)
        return opened

    def pictures(self) -> int:
        """None."""
        return 0

    def build(self, answers: Answers, folder: Path) -> Built:
        """Write the table of vectors of the regions that are covered well enough.

        Raises:
            InputError: No region is; or the table cannot be used.
            StorageError: A file is damaged, or the folder cannot be written.
        """
        ids = self._regions["region_id"]
        with placed(self._where):
            found = self._from_table(folder) if self.settings.form == "table" else self._from_pixels(answers)
        if found is None:
            return Built(pd.Series("unanswered", index=ids))
        vectors, cover = found
        enough = np.isfinite(vectors).all(axis=1) & (
            np.nan_to_num(cover, nan=1.0) >= self.settings.min_cover - 1e-6
        )
        states = np.where(enough, "vector", np.where(cover > 0, "partial", "absent"))
        if enough.any():
            self._write(folder, pd.Series(list(vectors[enough].astype(np.float32)), index=ids[enough]))
        twice = int((cover > _OVERLAP).sum())
        said = (
            [f"{twice:,} regions lie on ground that several files cover; it counts each time"]
            if twice
            else []
        )
        return Built(
            pd.Series(states, index=ids), shares=pd.Series(np.minimum(cover, 1.0), index=ids), said=said
        )

    def _from_pixels(self, answers: Answers) -> tuple[Floats, Floats] | None:
        """Vectors and shares covered; None where a part of a file has no answer: it may belong to any."""
        absent = self.absent(answers)
        dimensions = len(self.settings.bands) or next(iter(self._counts), 1)
        bands = list(self.settings.bands) or list(range(1, dimensions + 1))
        means = require("urbanln.gather.embeddings.means").Means(self._regions, dimensions)
        value = alphaearth if self.settings.form == "alphaearth" else None
        for file in self.settings.files:
            with ExitStack() as stack:
                if file not in absent:
                    if (grid := self.opened(stack, file, answers, self._open)) is None:
                        return None
                    means.add(grid, bands, value)
        cover = np.where(np.abs(means.cover - 1) < 1e-5, 1.0, means.cover)
        return means.vectors(), cover

    def _from_table(self, folder: Path) -> tuple[Floats, Floats]:
        """Rows by id, or the mean of the points in a region, else the nearest within their spacing."""
        columns = f"#{','.join(self.settings.columns)}" if self.settings.columns else ""
        keys = [self.settings.ids] if self.settings.ids else []
        place = _Place(folder, self._regions)
        spec = f"{self.name}={self.settings.files[0]}{columns}"
        table = read_vectors([spec], [place], keys=keys)[self.name].set_index("region_id")["vector"]
        found = np.full((len(self._regions), len(table.iloc[0])), np.nan)
        there = self._regions["region_id"].isin(table.index).to_numpy()
        found[there] = np.stack(list(table.loc[self._regions["region_id"][there]]))
        return found, np.where(there, np.nan, 0.0)

    def _write(self, folder: Path, vectors: pd.Series) -> None:
        asked = self.settings
        dimensions = len(vectors.iloc[0])
        facts = {
            "encoder": asked.model, "year": asked.year, "licence": asked.licence,
            "attribution": asked.attribution, "emb:type": "point" if asked.form == "table" else "pixel",
            "emb:dimensions": dimensions, "emb:quantization": _STORED[asked.form], "data_type": "float32",
        }  # fmt: skip
        made_from = {path.name: hash_file(path) for path in asked.reads()}
        frame = region_table(self._regions, vectors, pd.Series(dtype="int64"))
        write_embeddings(folder / FOLDER / f"{self.name}.parquet", frame, made_from, **facts)


def alphaearth(numbers: Any) -> Any:
    """AlphaEarth's values of its stored numbers: sign(v) · (|v| / 127.5)².

    Example:
        >>> float(alphaearth(np.array(-127.5)))
        -1.0
    """
    return np.sign(numbers) * (np.abs(numbers) / 127.5) ** 2


@dataclass
class _Place:
    """The regions, as tables of vectors are matched to them."""

    folder: Path
    regions: gpd.GeoDataFrame

    def __post_init__(self) -> None:
        self.indicators = pd.DataFrame({"region_id": self.regions["region_id"]})

    @property
    def name(self) -> str:
        return "the place"

    def centroids(self) -> Floats:
        return lonlat_of(self.regions.geometry)
