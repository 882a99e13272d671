"""Pictures of regions as a source writes them, and their rows in the city's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import pandas as pd

from urbanln.base.files import hash_bytes, storing
from urbanln.gather.settings import SourceSettings


def write_picture(path: Path, data: bytes) -> tuple[str, str]:
    """Write a picture; its name and hash.

    Not through a temporary name: until ``city.toml`` stands, the folder is no city, and is made anew.

    Args:
        path: Of the file, in a folder that is there.
        data: Its content.

    Raises:
        StorageError: The folder cannot be written.
    """
    with storing(path):
        path.write_bytes(data)
    return path.name, hash_bytes(data)


def make_folder(folder: Path, source: str) -> Path:
    """The folder of a source's pictures in a city's, made where it is not there.

    Raises:
        StorageError: The city's folder cannot be written.
    """
    target = folder / "pictures" / source
    with storing(target):
        target.mkdir(parents=True, exist_ok=True)
    return target


def image_rows(
    source: str,
    settings: SourceSettings,
    captured: str,
    regions: gpd.GeoDataFrame,
    files: Mapping[str, tuple[str, str]],
) -> pd.DataFrame:
    """Rows of the city's table of pictures, one per region that has a satellite picture.

    Args:
        source: Its name.
        settings: Its section, for the licence.
        captured: Date of the pictures, empty where it is not known.
        regions: ``region_id`` and ``geometry``.
        files: ``region_id`` → name and SHA-256 of its file.
    """
    middles = dict(zip(regions["region_id"], regions.geometry.representative_point(), strict=True))
    rows = [
        {
            "image_id": f"{region}_{source}", "region_id": region, "view": "satellite",
            "path": f"pictures/{source}/{file}", "lon": middles[region].x, "lat": middles[region].y,
            "captured": captured or None, "source": source, "licence": settings.licence, "sha256": digest,
        }
        for region, (file, digest) in files.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)
