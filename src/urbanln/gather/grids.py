"""GeoTIFFs as everybody reads them here: north up, in blocks, missing as NaN, in their own system.

Files may have rows counted from the south, any system of the earth, scaled integers and several ways of
saying that a pixel has no value; what is read from here has none of that. Only what the file itself says is
used, and nothing beside it: the same file is the same raster everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import shapely
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from urbanln.base.errors import InputError, StorageError
from urbanln.base.geometry import earth_crs
from urbanln.base.parsing import refuse_endless

Floats = npt.NDArray[Any]
_CACHE_MB = 384  # of decoded blocks; GDAL's own default is a share of the machine's memory
_CHORD_DEG = 0.02  # edges of regions are straight in degrees, and bend in other systems
_EVEN = 1e-6  # of a pixel that a grid may be turned by


@dataclass(frozen=True)
class Reading:
    """How the numbers of a file become values.

    Attributes:
        nodata: Numbers, as stored, that stand for no value, besides those that the file declares.
        nodata_means: Value of pixels without one; None: they have none.
        scale, offset: value = scale × number + offset; None: as the file says.
        crs: System of a file that names none.
    """

    nodata: tuple[float, ...] = ()
    nodata_means: float | None = None
    scale: float | None = None
    offset: float | None = None
    crs: str = ""


class Grid(ABC):
    """Where pixels lie, north up; what has values, reads them.

    Attributes:
        path: The file, or its address.
        width, height: In pixels.
        bounds: West, south, east, north in its own system.
        crs: Its system.
        bands: How many.
    """

    path: Path | str
    width: int
    height: int
    bounds: tuple[float, float, float, float]
    crs: pyproj.CRS
    bands: int

    @abstractmethod
    def read(self, bands: Sequence[int], column: int, row: int, width: int, height: int) -> Floats:
        """Values of a window, (bands, height, width), rows from the north, missing ones NaN."""

    @property
    def pixel(self) -> tuple[float, float]:
        """Width and height of a pixel in its own system."""
        west, south, east, north = self.bounds
        return (east - west) / self.width, (north - south) / self.height

    def shapes(self, regions: gpd.GeoDataFrame) -> npt.NDArray[np.object_]:
        """The regions' shapes in its own system; an empty one where that does not reach.

        Args:
            regions: In EPSG:4326.
        """
        shapes = regions.geometry
        if not self.crs.is_geographic:
            shapes = shapes.segmentize(_CHORD_DEG)
        found = shapes.to_crs(self.crs).to_numpy()
        lost = ~np.isfinite(shapely.bounds(found)).all(axis=1)
        return np.where(lost, shapely.Polygon(), found)

    def window(self, shapes: npt.NDArray[np.object_]) -> tuple[int, int, int, int]:
        """Column, row, width and height of the pixels that shapes lie on; width 0 where they lie on none."""
        west, south, east, north = shapely.total_bounds(shapes)
        if not np.isfinite(west):
            return 0, 0, 0, 0
        (across, up), (left, _, _, top) = self.pixel, self.bounds
        columns = [
            int(np.clip((x - left) / across + way, 0, self.width)) for x, way in ((west, -1), (east, 2))
        ]
        rows = [int(np.clip((top - y) / up + way, 0, self.height)) for y, way in ((north, -1), (south, 2))]
        width, height = columns[1] - columns[0], rows[1] - rows[0]
        met = shapely.box(*self.bounds).intersects(shapely.box(west, south, east, north))
        return (columns[0], rows[0], width, height) if met and width and height else (0, 0, 0, 0)

    def need_overlap(self, regions: gpd.GeoDataFrame) -> None:
        """Refuse a raster that shares no ground with the regions.

        Raises:
            InputError: It shares none.
        """
        if not self.window(self.shapes(regions))[2]:
            to_degrees = pyproj.Transformer.from_crs(self.crs, 4326, always_xy=True)
            here = [round(float(x), 3) for x in to_degrees.transform_bounds(*self.bounds)]
            place = [round(float(x), 3) for x in regions.total_bounds]
            raise InputError(
                "the raster does not cover the place",
                value=f"raster {here}, place {place} (west, south, east, north)",
                where=self.path,
                remedy="take the file of this place; if it is, its CRS is wrong: gdalinfo shows it",
            )


class GeoTiff(Grid):
    """An open GeoTIFF. Made by :func:`open_grid`.

    Attributes:
        dtype: What its numbers are stored as.
    """

    def __init__(self, source: Any, path: Path | str, reading: Reading) -> None:
        self._source, self.path, self._reading = source, path, reading
        self.width, self.height, self.bands = int(source.width), int(source.height), int(source.count)
        self.dtype = str(source.dtypes[0])
        if self.dtype.startswith("complex"):
            remedy = "give a raster of plain numbers"
            raise InputError("the raster holds complex numbers", value=self.dtype, where=path, remedy=remedy)
        self._refuse_pages()
        # A number that stands for no value is found here; what else GDAL knows of costs a second reading.
        kinds = {flag for flags in source.mask_flag_enums for flag in flags}
        self._masked = bool(kinds - {MaskFlags.all_valid, MaskFlags.nodata})
        self._nodata = [] if source.nodata is None or np.isnan(source.nodata) else [float(source.nodata)]
        self.crs = self._system()
        grid = source.transform
        turned = max(abs(grid.b) * self.height, abs(grid.d) * self.width)
        if grid.is_identity or turned > _EVEN * max(abs(grid.a), abs(grid.e)) or not grid.a > 0:
            what = (
                "the raster has no place on the ground" if grid.is_identity else "the raster's grid is turned"
            )
            remedy = "bring it to a plain grid first: gdalwarp raster.tif upright.tif"
            raise InputError(what, value=tuple(grid)[:6], where=path, remedy=remedy)
        self.flipped = grid.e > 0
        ends = sorted((grid.f, grid.f + grid.e * self.height))
        self.bounds = (grid.c, ends[0], grid.c + grid.a * self.width, ends[1])
        if self.crs.is_geographic and self.bounds[2] > 180 + grid.a:
            remedy = (
                "bring it to −180 to 180: gdalwarp -t_srs EPSG:4326 -te -180 -90 180 90 raster.tif out.tif"
            )
            raise InputError(
                "the raster counts longitudes from 0 to 360", value=self.bounds, where=path, remedy=remedy
            )

    def _refuse_pages(self) -> None:
        """Refuse a file with several images of one size: GDAL opens the first, the others would be lost."""
        size = f"({self.width}P x {self.height}L x "
        told = self._source.tags(ns="SUBDATASETS")
        pages = sum(name.endswith("_DESC") and size in said for name, said in told.items())
        if pages > 1:
            raise InputError(
                "the GeoTIFF holds its bands as separate images, of which only the first would be read",
                value=f"{pages:,} images",
                where=self.path,
                remedy="write them as bands of one image; in tifffile: imwrite(…, planarconfig='separate', "
                "photometric='minisblack')",
            )

    def _system(self) -> pyproj.CRS:
        named = self._source.crs.to_wkt() if self._source.crs else self._reading.crs
        if not named:
            remedy = 'say which one it is in, crs = "EPSG:4326" for degrees'
            raise InputError("the raster names no CRS", where=self.path, remedy=remedy)
        return earth_crs(named, self.path)

    def check_band(self, band: int, where: str) -> None:
        """Refuse a band that the file does not have.

        Raises:
            InputError: It has not.
        """
        if not 1 <= band <= self.bands:
            remedy = f"{Path(self.path).name} has {self.bands:,}: give a number from 1"
            raise InputError("the raster has no such band", value=band, where=where, remedy=remedy)

    def colours(self) -> list[str]:
        """What each band shows: ``red``, ``alpha``, ``palette``, ``undefined``, …"""
        return [colour.name for colour in self._source.colorinterp]

    def read(
        self, bands: Sequence[int], column: int, row: int, width: int, height: int, *, shrink: int = 1
    ) -> Floats:
        """Values of a window, (bands, height, width), rows from the north, missing ones NaN.

        Args:
            bands: From 1.
            column, row, width, height: The window.
            shrink: Means of so many pixels a side, where that is possible: it saves memory. The result then
                has a part of width and height, rounded up.

        Raises:
            StorageError: The file is damaged, or cannot be read.
        """
        top = self.height - row - height if self.flipped else row
        if not width or not height:
            return self._values(np.empty((len(bands), height, width), dtype=self.dtype), bands)
        shape = (len(bands), height, width)
        if shrink > 1 and not self._reading.nodata:  # of which the file knows nothing: they would be mixed in
            shape = (len(bands), -(-height // shrink), -(-width // shrink))
        window = Window(column, top, width, height)
        try:
            data = self._source.read(
                list(bands),
                window=window,
                masked=self._masked,
                out_shape=shape,
                resampling=Resampling.average,
            )
        except (RasterioError, OSError) as error:
            what = f"the raster cannot be read: {error}"
            far = "its parts do not fit, if it was changed meanwhile: ask anew, with another URBANLN_CACHE"
            remedy = far if isinstance(self.path, str) else "copy it anew"
            raise StorageError(what, where=self.path, remedy=remedy) from error
        values = self._values(data, bands)
        return values[:, ::-1] if self.flipped else values

    def _values(self, numbers: Floats, bands: Sequence[int]) -> Floats:
        """Stored numbers, masked or not, as values."""
        stored, reading = np.ma.getdata(numbers), self._reading
        codes = _storable([*self._nodata, *reading.nodata], stored.dtype)
        missing = [stored == code for code in codes]
        if np.ma.is_masked(numbers):
            missing.append(np.ma.getmaskarray(numbers))
        plain = stored.dtype == np.float32 or (stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2)
        values = stored.astype(np.float32 if plain else np.float64, copy=False)
        scales = [self._source.scales[b - 1] if reading.scale is None else reading.scale for b in bands]
        offsets = [self._source.offsets[b - 1] if reading.offset is None else reading.offset for b in bands]
        if any(scale != 1 for scale in scales) or any(offsets):
            values = values * np.array(scales)[:, None, None] + np.array(offsets)[:, None, None]
        if stored.dtype.kind == "f":
            missing.append(np.isinf(values))
        for here in missing:
            np.copyto(values, np.nan, where=here)
        if reading.nodata_means is not None:
            np.copyto(values, reading.nodata_means, where=np.isnan(values))
        return values


def _storable(codes: Sequence[float], dtype: np.dtype[Any]) -> list[Any]:
    """Codes as a file of this type holds them; those that it cannot hold are left out."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return [dtype.type(code) for code in codes]
    ends = np.iinfo(dtype)
    return [dtype.type(code) for code in codes if ends.min <= code <= ends.max and code == int(code)]


@contextmanager
def open_grid(
    path: Path | str, reading: Reading | None = None, *, name: str | None = None
) -> Iterator[GeoTiff]:
    """Open a GeoTIFF of this machine.

    Args:
        path: The file.
        reading: How its numbers become values; default: as it says.
        name: Address of a file that is here with holes: what errors name. Its smaller copies are not read.

    Raises:
        InputError: No such file, no GeoTIFF, without a CRS, or on a grid that is turned.
    """
    path = Path(path)
    remedy = "give the path of a GeoTIFF, relative to the recipe"
    try:
        refuse_endless(path)
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError(f"could not read: {error.strerror}", where=name or path, remedy=remedy) from error
    if head not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        raise InputError("this is no GeoTIFF", value=head, where=name or path, remedy=remedy)
    # No other format: some lead to other files, or into the network. And nothing that lies beside the file.
    options = {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO", "GDAL_CACHEMAX": _CACHE_MB,
    }  # fmt: skip
    with rasterio.Env(**options):
        try:
            source = rasterio.open(path, driver="GTiff", **({"OVERVIEW_LEVEL": "NONE"} if name else {}))
        except (RasterioError, OSError) as error:
            raise InputError(
                "this GeoTIFF cannot be opened", value=str(error), where=name or path, remedy=remedy
            ) from error
        with source:
            yield GeoTiff(source, name or path, reading or Reading())
