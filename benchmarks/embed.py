"""Embedding from JPEG files on disk, end to end, against the network alone on pixels that are on its device.

    python -m benchmarks embed [--images 512] [--batch 64] [--precision bf16] [--device auto] [--workers 0]
        [--size b16] [--repeat 5] [--json FILE]

Both embed the same pictures in the same batches, precision and threads, and take turns, so that whatever
else the machine does falls on both. Parts are kept on disk, as the verb does. The first round warms up and
does not count; after it the files are in the system's cache, so the disk's reading speed is not measured.
The vectors must agree.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import torch
from PIL import Image

from benchmarks.models import SIZES, model_of
from urbanln.base.files import remove_folder
from urbanln.city.store import City, Meta
from urbanln.embed.encode import embed_regions
from urbanln.embed.stream import Job, evaluating
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_device, pick_precision
from urbanln.tables.vectors import matrix

_EDGE = 256  # pixels of a tile on disk


def main(argv: list[str]) -> None:
    """Measure, print and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks embed", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", default="bf16", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0, help="threads that decode; 0: one per core")
    parser.add_argument("--size", default="b16", choices=SIZES)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    model = model_of(args.size).to(device)
    with tempfile.TemporaryDirectory() as folder:
        city = tiles(Path(folder) / "city", args.images)
        found = measure(model, city, args, pick_precision(args.precision, device))
    found |= {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": machine(device)}
    print(json.dumps(found, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def measure(model: LongClip, city: City, args: argparse.Namespace, precision: str) -> dict[str, Any]:
    """Rates of both, in pictures per second, and the median and range of their ratio."""
    paths = list(city.images["path"])
    pixels = torch.stack([model.preprocess(Image.open(city.folder / path)) for path in paths])
    pixels = pixels.to(model.device)
    job = Job(model, city, paths, "crop", False, args.batch, precision, args.workers)
    seconds, cosine, parts = [], 0.0, city.folder / "v.parts"
    for _ in range(args.repeat + 1):
        start = time.perf_counter()
        alone = encoder_alone(job, pixels)
        middle = time.perf_counter()
        frame = embed_regions(
            model, city, batch_size=args.batch, precision=precision, workers=args.workers, parts=parts
        )
        seconds.append((middle - start, time.perf_counter() - middle))
        cosine = lowest_cosine(matrix(frame), alone)
        remove_folder(parts)
    if cosine < 0.999:
        raise SystemExit(f"the vectors do not agree: cosine {cosine}")
    rates = len(paths) / np.array(seconds[1:])
    ratios = rates[:, 1] / rates[:, 0]
    return {
        "images_per_s": statistics.median(rates[:, 1]),
        "encoder_images_per_s": statistics.median(rates[:, 0]),
        "ratio": statistics.median(ratios),
        "range": [float(ratios.min()), float(ratios.max())],
        "images": len(paths),
        "batch": args.batch,
        "precision": precision,
        "size": args.size,
        "lowest_cosine": cosine,
    }


def encoder_alone(job: Job, pixels: torch.Tensor) -> np.ndarray:
    """Vectors of pixels that are decoded already, in the precision and batches of the embedding."""
    with evaluating(job):
        batches = [job.encoder.encode_image(batch, normalize=False) for batch in pixels.split(job.batch_size)]
        return torch.cat(batches).cpu().numpy()


def lowest_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The smallest cosine between two vectors of the same picture."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


def tiles(folder: Path, count: int) -> City:
    """A city of so many regions with a JPEG tile each: patches of colour, edges and grain, as tiles have."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    ids = [f"r{i:05d}" for i in range(count)]
    for name in ids:
        coarse = Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8))
        wide = np.asarray(coarse.resize((_EDGE, _EDGE), Image.Resampling.BILINEAR)).astype(np.float32)
        grain = rng.normal(0, 10, (_EDGE, _EDGE, 1))
        tile = Image.fromarray(np.clip(wide // 32 * 32 + grain, 0, 255).astype(np.uint8))
        tile.save(folder / "pictures" / f"{name}.jpg", quality=90)
    x = 114 + np.arange(count) * 1e-3
    box = shapely.box(x, 30, x + 1e-3, 30.001)
    images = {"image_id": ids, "region_id": ids, "view": "satellite", "lon": x, "lat": 30.0}
    return City.create(
        folder,
        meta=Meta(name="tiles", synthetic=True),
        regions=gpd.GeoDataFrame({"region_id": ids}, geometry=box, crs="EPSG:4326"),
        images=pd.DataFrame(images | {"path": [f"pictures/{name}.jpg" for name in ids]}),
        indicators=pd.DataFrame({"region_id": ids, "label": np.arange(count, dtype=float)}),
    )


def machine(device: torch.device) -> str:
    """What it ran on, in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
