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
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import torch

from benchmarks.cities import caption_groups
from benchmarks.embed import row_of_tiles
from benchmarks.harness import clock, ends, facts, markdown, options, ratio, write
from benchmarks.models import SIZES, model_of
from urbanln.base.config import Settings, load_settings
from urbanln.captions.table import candidates_table
from urbanln.city.store import City
from urbanln.model.clip import load_clip
from urbanln.train.loop import load_data
from urbanln.train.pairs import epoch_plan
from urbanln.train.run import describe_run
from urbanln.train.schedule import make_schedule
from urbanln.train.step import assemble, start_engine

WAYS = {"first": 20.0, "restart": 20.0, "no_cache": 0.0}  # GB that may be kept
PARTS = (
    "open city", "note what the run is made from", "load model", "read pictures and captions",
    "teacher and optimiser", "first batch",
)  # fmt: skip
_WORKERS = 2


def main(argv: Sequence[str] | None = None) -> None:
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
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    settings = {
        way: load_settings(base={**base, "cache": {"pixels_gb": gigabytes}})
        for way, gigabytes in WAYS.items()
    }
    with mock.patch.dict(os.environ, URBANLN_CACHE=str(cache)):
        set_up(city, settings["no_cache"])  # files and code are in memory from here on
        for _ in range(repeat):
            shutil.rmtree(cache, ignore_errors=True)
            batches = []
            for way in WAYS:
                seconds, batch = set_up(city, settings[way])
                rounds[way].append(seconds)
                batches.append(batch)
            if not all(torch.equal(batch, batches[0]) for batch in batches):
                raise SystemExit("the first batch depends on the cache")
        kept = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    found: dict[str, Any] = {"cache_bytes": kept}
    sums = {way: [sum(row.values()) for row in rows] for way, rows in rounds.items()}
    for way, rows in rounds.items():
        found[f"{way}_s"] = statistics.median(sums[way])
        found[f"{way}_parts_s"] = {part: statistics.median(row[part] for row in rows) for part in PARTS}
    return found | ratio(sums["restart"], sums["first"])


def set_up(folder: Path, settings: Settings) -> tuple[dict[str, float], torch.Tensor]:
    """Seconds of each part of what ``pretrain`` does before its first step, and the first batch's pixels."""
    spent: dict[str, float] = {}
    train = settings.train
    engine = start_engine(train)
    with clock(spent, "open city"):
        city = City.open(folder)
    with clock(spent, "note what the run is made from"):
        describe_run(settings, [city], 1)
    with clock(spent, "load model"):
        student = load_clip(settings.model.name, **settings.model.model_dump(exclude={"name"}))
    with clock(spent, "read pictures and captions"):
        data = load_data([city], student, train, settings.cache, say=False)
        plan = epoch_plan(data.pairs, train, 0)
        make_schedule(len(plan), 1, train)
    with clock(spent, "teacher and optimiser"):
        assemble(engine, student, train)
    with clock(spent, "first batch"):
        pixels = data.pictures.pixels(plan.picture[: train.batch_size])
    return spent, pixels
