"""GeoTIFFs of the shapes that people have, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine


def write_tif(
    path: Path,
    values: np.ndarray,
    bounds: tuple[float, float, float, float],
    crs: str | None = "EPSG:4326",
    *,
    upside_down: bool = False,
    scale: float = 1.0,
    offset: float = 0.0,
    **options: Any,
) -> Path:
    """Write numbers as stored, rows given from the north.

    Args:
        path: Of the file.
        values: (H, W) or (bands, H, W).
        bounds: West, south, east, north.
        crs: System; None: none is named.
        upside_down: Rows are stored from the south, as ODIAC's and AlphaEarth's are.
        scale, offset: Written as tags.
        options: For rasterio, e.g. ``nodata``.
    """
    values = values[None] if values.ndim == 2 else values
    bands, height, width = values.shape
    west, south, east, north = bounds
    across, up = (east - west) / width, (north - south) / height
    grid = Affine(across, 0, west, 0, up, south) if upside_down else Affine(across, 0, west, 0, -up, north)
    shape = {"width": width, "height": height, "count": bands, "dtype": values.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", transform=grid, crs=crs, **shape, **options) as file:
        file.write(values[:, ::-1] if upside_down else values)
        if scale != 1 or offset:
            file.scales, file.offsets = [scale] * bands, [offset] * bands
    return path
