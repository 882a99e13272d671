"""Whole set-up to the first step of a pre-training run: the first time, after a restart, and without a cache.

    python -m benchmarks restart [--images 4000] [--model b16] [--repeat 3] [--workers 2] [--json FILE]

What ``pretrain`` does before its first step (open the city, note what the run is made from, load the model,
read and check every picture, tokenise the captions, make teacher and optimiser) and fetching the first batch,
over JPEG tiles of 256 px. ``first`` decodes and keeps the pixels, ``restart`` finds them kept, ``no cache``
keeps none: it still decodes every picture once, to check it, and again batch by batch in training. A
checkpoint, which a restart reads besides, is not part of it. The three take turns; medians. The files are in
the system's cache, so the disk's reading speed is not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import torch

from benchmarks.embed import tiles
from benchmarks.models import SIZES, model_of
from benchmarks.vote_speed import grammar_groups
from urbanln.base.config import Settings, load_settings
from urbanln.captions.table import candidates_table
from urbanln.city.store import City
from urbanln.model.clip import load_clip
from urbanln.train.loop import load_data
from urbanln.train.pairs import epoch_plan
from urbanln.train.run import describe_run
from urbanln.train.step import assemble, make_schedule, start_engine

WAYS = {"first": 20.0, "restart": 20.0, "no cache": 0.0}  # GB that may be kept
PARTS = (
    "open city", "note what the run is made from", "load model", "read pictures and captions",
    "teacher and optimiser", "first batch",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print a table; with ``--json`` also write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks restart", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--model", choices=SIZES, default="b16")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="threads that decode")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        city = captioned_tiles(root / "city", args.images)
        model_of(args.model).save(root / "model")
        train = {"batch_size": args.batch, "workers": args.workers}
        base = {"model": {"name": str(root / "model")}, "train": train}
        found = measure(city.folder, root / "cache", base, args.repeat)
    found |= {"images": args.images, "model": args.model, "workers": args.workers, "repeat": args.repeat}
    found |= {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.machine()}
    print(_table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def measure(city: Path, cache: Path, base: dict[str, dict[str, object]], repeat: int) -> dict[str, Any]:
    """Median seconds of the three ways and of their parts.

    Args:
        city: A city folder with pictures and captions.
        cache: Folder for kept pixels; emptied.
        base: Settings of the run, for :func:`urbanln.base.config.load_settings`.
        repeat: Rounds.
    """
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with mock.patch.dict(os.environ, URBANLN_CACHE=str(cache)):
        set_up(city, _settings(base, 0.0))  # files and code are in memory from here on
        for _ in range(repeat):
            shutil.rmtree(cache, ignore_errors=True)
            batches = []
            for way, gigabytes in WAYS.items():
                seconds, batch = set_up(city, _settings(base, gigabytes))
                rounds[way].append(seconds)
                batches.append(batch)
            if not all(torch.equal(batch, batches[0]) for batch in batches):
                raise SystemExit("the first batch depends on the cache")
        kept = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    found: dict[str, Any] = {"cache_bytes": kept}
    for way, rows in rounds.items():
        name = way.replace(" ", "_")
        found[f"{name}_s"] = statistics.median(sum(row.values()) for row in rows)
        found[f"{name}_parts_s"] = {part: statistics.median(row[part] for row in rows) for part in PARTS}
    ratios = [
        sum(again.values()) / sum(first.values())
        for again, first in zip(rounds["restart"], rounds["first"], strict=True)
    ]
    return found | {"ratio": statistics.median(ratios), "range": [min(ratios), max(ratios)]}


def set_up(folder: Path, settings: Settings) -> tuple[dict[str, float], torch.Tensor]:
    """Seconds of each part of what ``pretrain`` does before its first step, and the first batch's pixels."""
    spent: dict[str, float] = {}
    train = settings.train
    engine = start_engine(train)
    with _clock(spent, "open city"):
        city = City.open(folder)
    with _clock(spent, "note what the run is made from"):
        describe_run(settings, [city], 1)
    with _clock(spent, "load model"):
        student = load_clip(settings.model.name, **settings.model.model_dump(exclude={"name"}))
    with _clock(spent, "read pictures and captions"):
        data = load_data([city], student, train, settings.cache, say=False)
        plan = epoch_plan(data.pairs, train, 0)
        make_schedule(len(plan), 1, train)
    with _clock(spent, "teacher and optimiser"):
        assemble(engine, student, train)
    with _clock(spent, "first batch"):
        pixels = data.pictures.pixels(plan.picture[: train.batch_size])
    return spent, pixels


@contextmanager
def _clock(spent: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    spent[part] = time.perf_counter() - start


def _settings(base: dict[str, dict[str, object]], gigabytes: float) -> Settings:
    return load_settings(base={**base, "cache": {"pixels_gb": gigabytes}})


def captioned_tiles(folder: Path, count: int) -> City:
    """The tiles of the embedding's benchmark with a caption each, of about 90 words; all differ."""
    city = tiles(folder, count)
    captions = [group[0] for group in grammar_groups(count)]
    rows = {"image_id": city.images["image_id"], "captioner": "templates", "caption": captions}
    city.save_captions(candidates_table(pd.DataFrame(rows)))
    return city


def _table(found: dict[str, Any]) -> str:
    names = [way.replace(" ", "_") for way in WAYS]
    lines = [f"| s before the first step | {' | '.join(WAYS)} |", "|---|---:|---:|---:|"]
    for part in PARTS:
        lines.append(_row(part, [found[f"{name}_parts_s"][part] for name in names]))
    lines.append(_row("all", [found[f"{name}_s"] for name in names]))
    ends = "–".join(f"{end:.2f}" for end in found["range"])
    return "\n".join([*lines, f"\nrestart / first: {found['ratio']:.2f} ({ends})"])


def _row(what: str, seconds: Sequence[float]) -> str:
    return f"| {what} | {' | '.join(f'{value:.2f}' for value in seconds)} |"
