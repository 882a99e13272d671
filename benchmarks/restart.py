"""Whole set-up to the first step of a pre-training run: the first time, after a restart, and without a cache.

    python -m benchmarks restart [--images 4000] [--model b16] [--batch 64] [--repeat 3] [--json FILE]

What ``pretrain`` does before its first step (open the city, note what the run is made from, load the model,
read and check every picture, tokenise the captions, make teacher and optimiser) and fetching the first batch,
over JPEG tiles of 256 px. ``first`` decodes and keeps the pixels, ``restart`` finds them kept, ``no cache``
keeps none: it still decodes every picture once, to check it, and again batch by batch in training. A
checkpoint, which a restart reads besides, is not part of it. The three take turns; medians. Two threads
decode. The files are in the system's cache, so the disk's reading speed is not measured.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import torch

from benchmarks.cities import caption_groups
from benchmarks.embed import row_of_tiles
from benchmarks.harness import ends, facts, markdown, options, ratio, timed, turns, write
from benchmarks.models import SIZES, model_of
from urbanln.base.config import Settings, load_settings
from urbanln.captions.table import candidates_table
from urbanln.city.store import City
from urbanln.model.clip import LongClip, load_clip
from urbanln.train.described import describe_run
from urbanln.train.loop import load_data
from urbanln.train.pairs import Plan, epoch_plan
from urbanln.train.step import Data, assemble, make_schedule, start_engine

WAYS = ("first", "restart", "no_cache")
PARTS = (
    "open city", "note what the run is made from", "load model", "read pictures and captions",
    "teacher and optimiser", "first batch",
)  # fmt: skip
_WORKERS, _KEPT_GB = 2, 20.0
Found = tuple[dict[str, float], torch.Tensor]


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table; with ``--json`` also write the figures."""
    asked = options(__doc__, argv, images=4000, model=SIZES, batch=64, repeat=3, json=None)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        city = row_of_tiles(root / "city", asked.images)
        captions = [group[0] for group in caption_groups(asked.images)]
        rows = {"image_id": city.images["image_id"], "captioner": "templates", "caption": captions}
        city.save_captions(candidates_table(pd.DataFrame(rows)))
        model_of(asked.model).save(root / "model")
        train = {"batch_size": asked.batch, "workers": _WORKERS}
        base = {"model": {"name": str(root / "model")}, "train": train}
        found = measure(city.folder, root / "cache", base, asked.repeat)
    found |= {"images": asked.images, "model": asked.model, "workers": _WORKERS, "repeat": asked.repeat}
    table = [[part, *(f"{found[f'{way}_parts_s'][part]:.2f}" for way in WAYS)] for part in PARTS]
    table.append(["all", *(f"{found[f'{way}_s']:.2f}" for way in WAYS)])
    print(markdown(["s before the first step", *(way.replace("_", " ") for way in WAYS)], table))
    print(f"restart / first: {found['ratio']:.2f} ({ends(found['range'])})")
    write(asked.json, found | facts())


def measure(city: Path, cache: Path, base: dict[str, dict[str, object]], repeat: int) -> dict[str, Any]:
    """Median seconds of the three ways and of their parts.

    Args:
        city: A city folder with pictures and captions.
        cache: Folder for kept pixels; emptied.
        base: Settings of the run, for :func:`urbanln.base.config.load_settings`.
        repeat: Rounds.
    """
    kept, cacheless = (
        load_settings(base={**base, "cache": {"pixels_gb": gigabytes}}) for gigabytes in (_KEPT_GB, 0.0)
    )

    def first() -> Found:
        shutil.rmtree(cache, ignore_errors=True)
        return set_up(city, kept)

    with mock.patch.dict(os.environ, URBANLN_CACHE=str(cache)):
        set_up(city, cacheless)  # files and code are in memory from here on
        ways = (first, partial(set_up, city, kept), partial(set_up, city, cacheless))
        _, results = turns(repeat, *ways, warm_up=0)
        size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    if not all(torch.equal(batch, results[0][0][1]) for result in results for _, batch in result):
        raise SystemExit("the first batch depends on the cache")
    found: dict[str, Any] = {"cache_bytes": size}
    parts = {way: pd.DataFrame([row for row, _ in one]) for way, one in zip(WAYS, results, strict=True)}
    for way, table in parts.items():
        found |= {f"{way}_s": table.sum(axis=1).median(), f"{way}_parts_s": table.median().to_dict()}
    return found | ratio(parts["restart"].sum(axis=1), parts["first"].sum(axis=1))


def set_up(folder: Path, settings: Settings) -> Found:
    """Seconds of each part of what ``pretrain`` does before its first step, and the first batch's pixels."""
    train = settings.train
    engine = start_engine(train)
    opening, city = timed(City.open, folder)
    noting, _ = timed(describe_run, settings, [city])
    loading, student = timed(
        partial(load_clip, **settings.model.model_dump(exclude={"name"})), settings.model.name
    )
    reading, (data, plan) = timed(_read, city, student, settings)
    preparing, _ = timed(assemble, engine, student, train)
    fetching, pixels = timed(data.pictures.pixels, plan.picture[: train.batch_size])
    seconds = (opening, noting, loading, reading, preparing, fetching)
    return dict(zip(PARTS, seconds, strict=True)), pixels


def _read(city: City, student: LongClip, settings: Settings) -> tuple[Data, Plan]:
    data = load_data([city], student, settings.train, settings.cache, say=False)
    plan = epoch_plan(data.pairs, settings.train, 0)
    make_schedule(len(plan), 1, settings.train)
    return data, plan
