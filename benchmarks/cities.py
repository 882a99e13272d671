"""Made-up cities to time: pictures and captions of any number, no two alike."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from PIL import Image

from urbanln.city.meta import Meta
from urbanln.city.store import City

CANDIDATES = 5
_DISTINCT = 100_000  # drawing more would take longer than what is timed
_SIZES = (
    "large", "small", "long", "narrow", "wide", "tall", "low", "modern", "old", "dense", "curved", "several",
)  # fmt: skip
_COLOURS = ("red", "grey", "white", "brown", "green", "dark", "blue", "bright")
_THINGS = (
    "building", "apartment block", "house", "road", "avenue", "park", "tree", "parking lot", "car", "river",
    "pond", "lawn", "roof", "warehouse", "factory", "field", "bridge", "stadium", "shop", "construction site",
    "railway", "courtyard", "playground", "hill", "path", "fence", "crane", "square", "school", "lake",
)  # fmt: skip
_LINKS = (
    "next to", "along", "behind", "in front of", "surrounded by", "between", "near", "across from", "above",
)  # fmt: skip


def tiles(folder: Path, lonlat: np.ndarray, label: np.ndarray, *, edge: int) -> City:
    """A city of regions with a JPEG tile each: patches of colour, edges and grain, as tiles have.

    Beyond 100,000 they are the first ones again, apart by a comment in the file: no two have the same bytes.

    Args:
        folder: To be filled.
        lonlat: (N, 2) the regions, points, and their tiles.
        label: (N,) their one indicator.
        edge: Pixels of a tile on disk.
    """
    (folder / "pictures").mkdir(parents=True)
    ids = [f"r{i:06d}" for i in range(len(lonlat))]
    paths = [f"pictures/{name}.jpg" for name in ids]
    drawn = range(min(len(ids), _DISTINCT))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda i: _draw(folder / paths[i], i, edge), drawn))
    for i in range(len(drawn), len(ids)):
        data = (folder / paths[i % _DISTINCT]).read_bytes()
        (folder / paths[i]).write_bytes(data[:2] + b"\xff\xfe\x00\x0a" + b"%08d" % i + data[2:])
    lon, lat = lonlat.T
    images = {"image_id": ids, "region_id": ids, "view": "satellite", "lon": lon, "lat": lat, "path": paths}
    return City.create(
        folder,
        meta=Meta(name="tiles", synthetic=True),
        regions=gpd.GeoDataFrame({"region_id": ids}, geometry=gpd.points_from_xy(lon, lat), crs="EPSG:4326"),
        images=pd.DataFrame(images),
        indicators=pd.DataFrame({"region_id": ids, "label": label}),
    )


def _draw(path: Path, number: int, edge: int) -> None:
    rng = np.random.default_rng((0, number))
    coarse = Image.fromarray(rng.integers(0, 255, (edge * 3 // 32, edge * 3 // 32, 3), dtype=np.uint8))
    wide = np.asarray(coarse.resize((edge, edge), Image.Resampling.BILINEAR)).astype(np.float32)
    grain = rng.normal(0, 10, (edge, edge, 1))
    tile = Image.fromarray(np.clip(wide // 32 * 32 + grain, 0, 255).astype(np.uint8))
    tile.save(path, quality=90)


def caption_groups(pictures: int, candidates: int = CANDIDATES) -> list[list[str]]:
    """Candidates of 80 words that tell the same in another choice: eight of a picture's twelve facts each."""
    rng = random.Random(0)

    def thing() -> str:
        return f"{rng.choice(_SIZES)} {rng.choice(_COLOURS)} {rng.choice(_THINGS)}"

    groups = []
    for _ in range(pictures):
        facts = [(thing(), rng.choice(_LINKS), thing()) for _ in range(12)]
        groups.append(
            [
                " ".join(f"There is a {a} {link} the {b}." for a, link, b in rng.sample(facts, 8))
                for _ in range(candidates)
            ]
        )
    return groups
