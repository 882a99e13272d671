"""Tessera's arrays: 8-bit vectors, a scale per pixel, and a land mask that says where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from urbanln.base.errors import InputError
from urbanln.base.parsing import refuse_endless
from urbanln.gather.grids import Floats, Grid, open_grid


class Array(Grid):
    """Vectors of an array, on the grid of its land mask. Made by :func:`open_array`."""

    def __init__(self, path: Path, vectors: Any, scales: Any, place: Grid) -> None:
        self.path, self._vectors, self._scales = path, vectors, scales
        self.height, self.width, self.bands = vectors.shape
        self.crs, self.bounds = place.crs, place.bounds

    def read(self, bands: Sequence[int], column: int, row: int, width: int, height: int) -> Floats:
        """Values of a window, (bands, height, width); a pixel without a finite scale has none."""
        here = slice(row, row + height), slice(column, column + width)
        numbers = np.asarray(self._vectors[here], dtype=np.float32)[..., [band - 1 for band in bands]]
        scales = np.asarray(self._scales[here], dtype=np.float32)
        return np.moveaxis(numbers * np.where(np.isfinite(scales), scales, np.nan)[..., None], -1, 0)


@contextmanager
def open_array(path: Path, scales: Path, mask: Path) -> Iterator[Array]:
    """Open an array of this machine; its numbers stay on disk.

    Args:
        path: Of ``grid_LON_LAT.npy``, (height, width, dimensions).
        scales: Of ``grid_LON_LAT_scales.npy``, (height, width).
        mask: The land mask, a GeoTIFF on the same grid.

    Raises:
        InputError: One of them is missing, is none, or they do not fit together.
    """
    vectors, factors = _load(path, 3), _load(scales, 2)
    with open_grid(mask) as place:
        shapes = (vectors.shape[:2], factors.shape, (place.height, place.width))
        if len(set(shapes)) > 1:
            what = "array, scales and land mask are not of one size"
            value = " and ".join(f"{high} × {wide}" for high, wide in shapes)
            raise InputError(
                what, value=value, where=path, remedy="take all three of one tile and one version"
            )
        yield Array(path, vectors, factors, place)


def _load(path: Path, axes: int) -> Any:
    try:
        refuse_endless(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        remedy = "Tessera has three files for a tile: NAME.npy, NAME_scales.npy and the land mask NAME.tiff"
        raise InputError("this array cannot be read", value=str(error), where=path, remedy=remedy) from error
    if array.ndim != axes or array.dtype.kind not in "iuf":
        shape = "(height, width, dimensions)" if axes == 3 else "(height, width)"
        remedy = "take Tessera's file as it is"
        raise InputError(
            f"the array is not {shape} numbers",
            value=(array.shape, str(array.dtype)),
            where=path,
            remedy=remedy,
        )
    return array
