"""A control that must fail: the demo's pre-training with captions of other pictures.

    python -m benchmarks.controls --demo demo-out --out controls-out

Reads the city and the runs of a finished demo, pre-trains again with the captions shuffled among
the pictures of a view, and scores both beside the base CLIP. If shuffled captions helped as much as the true
ones, the gain would not come from what the captions say.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from urbanln.city.store import City
from urbanln.config import Settings, load_settings
from urbanln.demo import BASE, DEMO_SETTINGS, OURS
from urbanln.embed.encode import embed_regions
from urbanln.pipeline import run_probe
from urbanln.probe.table import scores_markdown
from urbanln.train.loop import pretrain

SHUFFLED = "captions shuffled"


def main() -> None:
    """Pre-train on shuffled captions, once per seed, and print the scores as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--demo", type=Path, default=Path("demo-out"))
    parser.add_argument("--out", type=Path, default=Path("controls-out"))
    args = parser.parse_args()
    settings = load_settings(base={**DEMO_SETTINGS, "probe": {**DEMO_SETTINGS["probe"], "heads": ["ridge"]}})
    true = City.open(args.demo / "city")
    runs = sorted(args.demo.glob("run-*"))
    city = shuffled_city(true, args.out / "city")
    controls = [run_with_seed(city, settings, args.out / run.name, seed) for seed, run in enumerate(runs)]
    tables = {
        SHUFFLED: [embed_regions(run, true) for run in controls],
        OURS: [embed_regions(run, true) for run in runs],
        BASE: embed_regions("tiny", true),
    }
    print(scores_markdown(run_probe(true, tables, settings, baseline=BASE).scores))


def shuffled_city(city: City, folder: Path) -> City:
    """A copy of a city in which every picture has the captions of another one of its view."""
    if not (folder / "captions.parquet").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(city.folder, folder)
        rng = np.random.default_rng(0)
        other: dict[str, str] = {}
        for _, images in city.images.groupby("view"):
            # A ring in random order: nobody keeps its own.
            ring = rng.permutation(images["image_id"].to_numpy())
            other |= dict(zip(ring, np.roll(ring, 1), strict=True))
        captions: pd.DataFrame = city.captions.assign(image_id=city.captions["image_id"].map(other))
        (folder / "captions.parquet").unlink()
        City.open(folder).save_captions(captions)
    return City.open(folder)


def run_with_seed(city: City, settings: Settings, out: Path, seed: int) -> Path:
    """One pre-training with the demo's settings."""
    train = settings.train.model_copy(update={"seed": seed})
    return pretrain(city, settings.model_copy(update={"train": train}), out)


if __name__ == "__main__":
    main()
