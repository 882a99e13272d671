"""Embedding from JPEG files on disk, end to end, against the network alone on pixels that are on its device.

    python -m benchmarks embed [--images 512] [--batch 64] [--size b16] [--repeat 5] [--json FILE]

Both embed the same pictures in the same batches, bf16 and threads, and take turns, so that whatever else the
machine does falls on both. Parts are kept on disk, as the verb does. The first round warms up and does not
count; after it the files are in the system's cache, so the disk's reading speed is not measured. The vectors
must agree.
"""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.cities import tiles
from benchmarks.harness import facts, options, ratio, turns, write
from benchmarks.models import SIZES, model_of
from urbanln.city.store import City
from urbanln.embed.encode import embed_regions
from urbanln.embed.parts import discard
from urbanln.embed.stream import Job, evaluating
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_device
from urbanln.tables.vectors import matrix

EDGE = 256  # pixels of a tile on disk


def main(argv: list[str] | None = None) -> None:
    """Measure, print and write what was found."""
    asked = options(__doc__, argv, images=512, batch=64, size=SIZES, repeat=5, json=None)
    model = model_of(asked.size).to(pick_device())
    with tempfile.TemporaryDirectory() as folder:
        found = measure(model, row_of_tiles(Path(folder) / "city", asked.images), asked.batch, asked.repeat)
    found |= {"size": asked.size, **facts()}
    print(json.dumps(found, indent=1))
    write(asked.json, found)


def row_of_tiles(folder: Path, count: int) -> City:
    """A city of so many regions along a street."""
    lonlat = np.column_stack([114 + np.arange(count) * 1e-3, np.full(count, 30.0)])
    return tiles(folder, lonlat, np.arange(count, dtype=float), edge=EDGE)


def measure(model: LongClip, city: City, batch: int, repeat: int, workers: int = 0) -> dict[str, Any]:
    """Rates of both, in pictures per second, and the median and range of their ratio."""
    job, pixels = job_of(model, city, batch, workers)
    parts = city.folder / "v.parts"

    def from_files() -> np.ndarray:
        found = embed_regions(model, city, batch_size=batch, precision="bf16", workers=workers, parts=parts)
        vectors = matrix(found)
        discard(parts)
        return vectors

    seconds, (alone, files) = turns(repeat, partial(encoder_alone, job, pixels), from_files)
    rates = len(job.paths) / seconds
    lengths = np.linalg.norm(files[-1], axis=1) * np.linalg.norm(alone[-1], axis=1)
    cosine = float(((files[-1] * alone[-1]).sum(axis=1) / lengths).min())
    if cosine < 0.999:
        raise SystemExit(f"the vectors do not agree: cosine {cosine}")
    return {
        "images_per_s": float(np.median(rates[1])),
        "encoder_images_per_s": float(np.median(rates[0])),
        **ratio(rates[1], rates[0]),
        "images": len(job.paths),
        "batch": batch,
        "precision": job.precision,
        "lowest_cosine": cosine,
    }


def job_of(model: LongClip, city: City, batch: int, workers: int) -> tuple[Job, torch.Tensor]:
    """All pictures of a city to be embedded in bf16, and their pixels (N, 3, S, S) on the model's device."""
    paths = list(city.images["path"])
    pixels = torch.stack([model.preprocess(Image.open(city.folder / path)) for path in paths])
    return Job(model, city, paths, "crop", False, batch, "bf16", workers), pixels.to(model.device)


def encoder_alone(job: Job, pixels: torch.Tensor) -> np.ndarray:
    """Vectors of pixels that are decoded already, in the precision and batches of the embedding."""
    with evaluating(job):
        batches = [job.encoder.encode_image(batch, normalize=False) for batch in pixels.split(job.batch_size)]
        return torch.cat(batches).cpu().numpy()
