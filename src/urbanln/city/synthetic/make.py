"""A whole synthetic city: fields, pictures with their true scenes, labels, and the city folder."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from PIL import Image
from pyproj import CRS, Transformer
from scipy.spatial import cKDTree
from shapely.geometry import Polygon

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes, storing, write_table
from urbanln.base.processes import usable_cores, worker_pool
from urbanln.base.progress import progress
from urbanln.city.making import making
from urbanln.city.meta import IndicatorNote, Meta, Source
from urbanln.city.store import City
from urbanln.city.synthetic.fields import Cell, Floats, make_cells
from urbanln.city.synthetic.kinds import NOTES, make_kinds
from urbanln.city.synthetic.labels import UNITS, make_labels
from urbanln.city.synthetic.satellite import draw_tile
from urbanln.city.synthetic.scene import scene_path
from urbanln.city.synthetic.street import draw_view

_QUALITY = 88
# Below this many cells, starting processes takes longer than drawing.
_FEW = 120
_BATCH = 16
_DISTRICTS = 8
_TRUTH = "truth.parquet"


# What a worker reports of one cell: (view, path, sha256) of its pictures, and the objects on its tile.
_Drawn = tuple[list[tuple[str, str, str]], dict[str, int]]


def make_synthetic_city(
    folder: Path | str,
    *,
    regions: int = 400,
    seed: int = 0,
    cell_km: float = 1.0,
    tile_px: int = 192,
    street_views: int = 2,
    street_missing: float = 0.25,
    kinds: bool = False,
    name: str | None = None,
    workers: int | None = None,
) -> City:
    """Make a procedural city with known causes: pictures, labels, and the truth behind both.

    Regions have a ``district``, one of eight of unequal size and shape. Equal arguments give equal files,
    whatever the number of workers. Beside each picture lies its true scene (``scene_path``), and
    ``truth.parquet`` holds latents, counts and noise-free labels.

    Args:
        folder: Where to; must hold no city yet.
        regions: Number of square cells, laid out in a near-square grid.
        seed: Decides everything; another seed is another city.
        cell_km: Edge of a cell in km.
        tile_px: Edge of a satellite tile in pixels; 192 shows every detail also when scaled to half.
        street_views: Mean number of street views of a region that has any; 0 for none at all.
        street_missing: Share of regions without street views (about a quarter in published city sets).
        kinds: Also a label of classes, ``land_use``, and one of shares, ``land_cover``, with their true
            probabilities (:func:`urbanln.city.synthetic.kinds.make_kinds`); all else stays as it is.
        name: Name of the city; ``synthetic-SEED`` unless given, and always with "synthetic" in it.
        workers: Processes to draw with; the number of processors unless given, 1 draws in this process.
            In a script, call this under ``if __name__ == "__main__":`` or with ``workers=1``.

    Raises:
        InputError: An argument out of range, or a city or files of somebody's in the folder already.
        BusyError: Another process makes a city there.
        StorageError: The folder cannot be written.

    Example:
        >>> city = make_synthetic_city("mycity", regions=50, seed=3)  # doctest: +SKIP
    """
    _check(regions, seed, cell_km, tile_px, street_views, street_missing)
    folder = Path(folder)
    how: dict[str, Any] = {
        "regions": regions, "seed": seed, "cell_km": cell_km, "tile_px": tile_px, "name": name,
        "street_views": street_views, "street_missing": street_missing, "kinds": kinds,
    }  # fmt: skip
    with making(folder, {"synthetic": how}, ("images", _TRUTH)):
        return _make(folder, workers=workers, **how)


def _make(
    folder: Path,
    *,
    regions: int,
    seed: int,
    cell_km: float,
    tile_px: int,
    name: str | None,
    street_views: int,
    street_missing: float,
    kinds: bool,
    workers: int | None,
) -> City:
    cells, xy = make_cells(
        regions, seed=seed, cell_km=cell_km, street_views=street_views, street_missing=street_missing
    )
    _make_folders(folder)
    drawn = _draw_all(cells, folder, tile_px, workers)
    counts = [found for _, found in drawn]
    labels, truth = make_labels(cells, counts, seed)
    if kinds:
        others = zip((labels, truth), make_kinds(cells, counts, seed), strict=True)
        labels, truth = (pd.concat(both, axis=1) for both in others)
    write_table(folder / _TRUTH, truth, kind="truth", seed=seed)
    shapes, centres = _georeference(xy, cell_km, seed)
    ids = [cell.region_id for cell in cells]
    return City.create(
        folder,
        meta=_meta(name or f"synthetic-{seed}", NOTES if kinds else {}),
        regions=gpd.GeoDataFrame(
            {"region_id": ids, "district": _districts(xy, seed)}, geometry=shapes, crs="EPSG:4326"
        ),
        images=_images(cells, drawn, centres),
        indicators=labels,
    )


def _check(
    regions: int, seed: int, cell_km: float, tile_px: int, street_views: int, street_missing: float
) -> None:
    for label, value, low, high in (
        ("regions", regions, 1, 1_000_000),
        ("seed", seed, 0, 2**63 - 1),
        ("cell_km", cell_km, 0.01, 10.0),
        ("tile_px", tile_px, 32, 2048),
        ("street_views", street_views, 0, 100),
        ("street_missing", street_missing, 0.0, 1.0),
    ):
        if not low <= value <= high:
            raise InputError(
                f"{label} is out of range",
                value=value,
                remedy=f"give a number from {low} to {high}",
                where=label,
            )


def _meta(name: str, more: Mapping[str, IndicatorNote]) -> Meta:
    name = name if "synthetic" in name.lower() else f"{name} (synthetic)"
    source = Source(
        name="synthetic",
        licence="CC0-1.0",
        attribution="drawn by urbanln; not a real place, labels simulated",
    )
    indicators = {key: IndicatorNote(unit=unit) for key, unit in UNITS.items()}
    return Meta(
        name=name,
        synthetic=True,
        datum="WGS 84; a made-up place in the open ocean",
        sources=[source],
        indicators=indicators | dict(more),
    )


def _georeference(xy: Floats, cell_km: float, seed: int) -> tuple[list[Polygon], Floats]:
    """Cell polygons and centres in longitude and latitude, in the open Atlantic."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_081,)))
    lon, lat = -30.0 + rng.uniform(-8, 8), 20.0 + rng.uniform(-6, 6)
    local = CRS.from_proj4(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=km")
    back = Transformer.from_crs(local, "EPSG:4326", always_xy=True)
    steps = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * cell_km / 2
    corners = xy[:, None, :] + steps  # (N, 4, 2)
    lons, lats = back.transform(corners[..., 0], corners[..., 1])
    shapes = [Polygon(list(zip(a, b, strict=True))) for a, b in zip(lons, lats, strict=True)]
    centres = np.stack(back.transform(xy[:, 0], xy[:, 1]), axis=1)
    return shapes, np.asarray(centres, dtype=np.float64)


def _districts(xy: Floats, seed: int) -> list[str]:
    """The district of each cell: that of the nearest of a few cells drawn at random, its middle."""
    # A stream of its own, so that pictures and labels of a seed are what they were without districts.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_083,)))
    middles = xy[rng.choice(len(xy), min(_DISTRICTS, len(xy)), replace=False)]
    return [f"district-{number + 1}" for number in cKDTree(middles).query(xy)[1]]


def _make_folders(folder: Path) -> None:
    with storing(folder):
        for view in ("satellite", "street"):
            (folder / "images" / view).mkdir(parents=True, exist_ok=True)


def _draw_all(cells: list[Cell], folder: Path, tile_px: int, workers: int | None) -> list[_Drawn]:
    draw = partial(_draw_cell, folder=folder, tile_px=tile_px)
    workers = min(workers or usable_cores(), math.ceil(len(cells) / _BATCH))
    drawn: list[_Drawn] = []
    with progress("drawing a synthetic city", len(cells)) as advance:
        if workers > 1 and len(cells) >= _FEW:
            # Where none can be started (a script without a main guard), this process draws what is missing.
            with suppress(BrokenProcessPool), worker_pool(workers) as pool:
                for found in pool.map(draw, cells, chunksize=_BATCH):
                    drawn.append(found)
                    advance(1)
        for cell in cells[len(drawn) :]:
            drawn.append(draw(cell))
            advance(1)
    return drawn


def _draw_cell(cell: Cell, folder: Path, tile_px: int) -> _Drawn:
    image, scene = draw_tile(cell, tile_px)
    path = f"images/satellite/{cell.region_id}.jpg"
    pictures = [("satellite", path, _save(image, scene, folder / path))]
    for number in range(cell.views):
        view, seen = draw_view(cell, number)
        path = f"images/street/{cell.region_id}_{number}.jpg"
        pictures.append(("street", path, _save(view, seen, folder / path)))
    return pictures, {thing["name"]: thing["count"] for thing in scene["objects"]}


def _save(image: Image.Image, scene: dict[str, object], path: Path) -> str:
    """Write a picture and its scene; returns the picture's hash.

    Not through a temporary name: until ``city.toml`` stands, the folder is no city, and is drawn anew.
    """
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    data = buffer.getvalue()
    with storing(path):
        path.write_bytes(data)
        scene_path(path).write_text(json.dumps(scene) + "\n", encoding="utf-8")
    return hash_bytes(data)


def _images(cells: list[Cell], drawn: list[_Drawn], centres: Floats) -> pd.DataFrame:
    rows = [
        {
            "image_id": Path(path).stem if view == "street" else f"{cell.region_id}_satellite",
            "region_id": cell.region_id,
            "view": view,
            "path": path,
            "lon": lon,
            "lat": lat,
            "captured": None,
            "source": "synthetic",
            "licence": "CC0-1.0",
            "sha256": digest,
        }
        for cell, (pictures, _), (lon, lat) in zip(cells, drawn, centres, strict=True)
        for view, path, digest in pictures
    ]
    return pd.DataFrame(rows)
