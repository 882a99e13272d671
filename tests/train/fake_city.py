"""A city of coloured squares, captions that say what they show, and a CLIP that trains in seconds."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from PIL import Image

from urbanln.base.config import Settings, load_settings
from urbanln.captions.table import candidates_table
from urbanln.city.meta import Meta
from urbanln.city.store import City

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "yellow": (230, 220, 30)}
LIGHTS = {"dark": 0.3, "dim": 0.6, "bright": 1.0}
HALVES = ("roofs above water", "water above roofs")


def caption_of(i: int, detail: int = 0) -> str:
    """What region ``i`` shows: one of 24 scenes."""
    colour, light, half = _scene(i)
    first = f"{light} {colour} ground, {half}"
    return [first, f"seen from above: {first}, and some trees", f"there is {colour} land; it is {light}"][
        detail
    ]


def _scene(i: int) -> tuple[str, str, str]:
    return list(COLOURS)[i % 4], list(LIGHTS)[i // 4 % 3], HALVES[i // 12 % 2]


def _picture(i: int, rng: np.random.Generator) -> Image.Image:
    colour, light, half = _scene(i)
    array = np.empty((20, 24, 3))
    array[:] = np.array(COLOURS[colour]) * LIGHTS[light]
    array[slice(0, 6) if half == HALVES[0] else slice(14, 20)] = 128
    return Image.fromarray(np.clip(array + rng.normal(0, 6, array.shape), 0, 255).astype(np.uint8))


def make_city(
    folder: Path, *, regions: int = 24, street: int = 0, captions: int = 2, unique: bool = True, seed: int = 0
) -> City:
    """One satellite picture per region, and ``street`` views in every region but the first.

    ``unique`` ends each caption with the region's number, so that no two are equal.
    """
    rng = np.random.default_rng(seed)
    (folder / "pictures").mkdir(parents=True)
    images, texts = [], []
    for i in range(regions):
        views = ["satellite"] + ["street"] * (street if i else 0)
        for k, view in enumerate(views):
            name = f"{view}-{i}-{k}"
            _picture(i, rng).save(folder / "pictures" / f"{name}.png")
            images.append((name, f"r{i:03d}", view, f"pictures/{name}.png", 114 + i * 0.01, 30.0))
            for rank in range(captions):
                text = caption_of(i, rank) + (f" {view} number {i} {k}" if unique else "")
                texts.append((name, rank, text, "test", rank == 0, 1 / captions))
    x = 114 + np.arange(regions) * 0.01
    ids = [f"r{i:03d}" for i in range(regions)]
    city = City.create(
        folder,
        meta=Meta(name=folder.name, synthetic=True),
        regions=gpd.GeoDataFrame(
            {"region_id": ids}, geometry=shapely.box(x, 30, x + 0.01, 30.01), crs="EPSG:4326"
        ),
        images=pd.DataFrame(images, columns=["image_id", "region_id", "view", "path", "lon", "lat"]),
        indicators=pd.DataFrame({"region_id": ids, "label": rng.random(regions)}),
    )
    columns = ["image_id", "rank", "caption", "captioner", "selected", "weight"]
    frame = pd.DataFrame(texts, columns=columns)
    if captions:
        city.save_captions(
            frame.assign(agreement=np.nan, margin=np.nan, n_candidates=captions, tokens=len("short"))
        )
    return City.open(folder)


def make_corpus(folder: Path, *, pictures: int = 24, divided: bool = True, captions: int = 1) -> City:
    """Pictures without places, and captions that name them.

    Of every six pictures four are to train on, one to validate with and one to test on.
    """
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    names = [f"p{i:02d}" for i in range(pictures)]
    for i, name in enumerate(names):
        _picture(i, rng).save(folder / "pictures" / f"{name}.png")
    paths = [f"pictures/{name}.png" for name in names]
    images = pd.DataFrame({"image_id": names, "region_id": names, "view": "satellite", "path": paths})
    if divided:
        kinds = ["train", "val", "test", "train", "train", "train"]
        images["split"] = [kinds[i % 6] for i in range(pictures)]
    meta = Meta(name=folder.name, synthetic=True, places=False)
    city = City.create(folder, meta=meta, images=images.assign(lon=np.nan, lat=np.nan))
    texts = [
        {"image_id": name, "captioner": f"human{k}", "caption": f"{caption_of(i, k)}, picture {name}"}
        for i, name in enumerate(names)
        for k in range(captions)
    ]
    city.save_captions(candidates_table(pd.DataFrame(texts)))
    return City.open(folder)


def make_clip(folder: Path) -> Path:
    """A CLIP of 32 positions with random weights: 16-pixel pictures, width 32, one layer."""
    from urbanln.model.clip import new_clip
    from urbanln.model.tokens import train_clip_tokenizer

    texts = [caption_of(i, k) + f" satellite street number {i} {k}" for i in range(24) for k in range(3)]
    tokenizer = train_clip_tokenizer(texts, 640)
    model = new_clip(
        tokenizer, image_size=16, patch=8, width=32, layers=1, heads=2, dim=16, context=32, seed=3
    )
    return model.save(folder)


def tiny_settings(clip: Path, **train: object) -> Settings:
    """Settings for a run of seconds; keywords go to the section ``train``."""
    chosen = {
        "epochs": 2,
        "batch_size": 6,
        "lr": 1e-3,
        "warmup_steps": 2,
        "queue_size": 16,
        "val_fraction": 0.2,
        "precision": "fp32",
        "workers": 1,
        **train,
    }
    return load_settings(base={"model": {"name": str(clip), "context": 48, "keep": 8}, "train": chosen})
