"""Make the tiny base CLIP of the package: 77 positions, trained on short captions of synthetic cities.

    python tools/make_tiny_base.py --out src/urbanln/model/tiny

The cities here (seeds from 9000 on) are others than the demo's and the tests'. The captions are one or two
short sentences, as web captions are, so that the demo starts where the paper starts: from a CLIP that has
only ever read short texts. About 8 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from urbanln.base.config import Settings, load_settings
from urbanln.base.files import atomic_folder, hash_file
from urbanln.captions.simulation.short import short_caption
from urbanln.captions.simulation.simulated import SIMULATED
from urbanln.city.pixels import measure_pixels
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city, read_scene
from urbanln.model.clip import load_clip, new_clip
from urbanln.model.tokens import train_clip_tokenizer
from urbanln.train.loop import pretrain

FIRST_SEED = 9000
SHORT_CAPTIONS = 6
SHAPE = {"image_size": 96, "patch": 12, "width": 128, "layers": 4, "heads": 4, "dim": 128}
VOCABULARY = 2000


def make_cities(folder: Path, cities: int, regions: int) -> list[City]:
    """Synthetic cities with several short captions per picture; kept when they are there already."""
    made = []
    for seed in range(FIRST_SEED, FIRST_SEED + cities):
        path = folder / f"city-{seed}"
        if not (path / "captions.parquet").exists():
            shutil.rmtree(path, ignore_errors=True)
            city = make_synthetic_city(path, regions=regions, seed=seed)
            city.save_captions(short_captions(city))
        made.append(City.open(path))
    return made


def short_captions(city: City) -> pd.DataFrame:
    """``SHORT_CAPTIONS`` short texts per picture, equally weighted."""
    rows = []
    for image_id, path in zip(city.images["image_id"], city.images["path"], strict=True):
        scene = read_scene(city.folder / path)
        texts = dict.fromkeys(short_caption(scene, image_id, seed) for seed in range(SHORT_CAPTIONS))
        rows += [
            {"image_id": image_id, "rank": rank, "caption": text, "captioner": "simulated-short",
             "selected": rank == 0, "weight": 1 / len(texts), "agreement": float("nan"),
             "margin": float("nan"), "n_candidates": len(texts), "tokens": None}
            for rank, text in enumerate(texts)
        ]  # fmt: skip
    return pd.DataFrame(rows).astype({"tokens": "Int64"})


def vocabulary_texts(cities: list[City]) -> list[str]:
    """Texts the tokenizer learns its merges on: short, long and measured captions, so that all stay short."""
    from PIL import Image

    from urbanln.captions.captioners.measured import describe_measures

    texts = []
    for city in cities:
        texts += city.captions["caption"].tolist()
        for number, (image_id, view, path) in enumerate(
            city.images[["image_id", "view", "path"]].itertuples(index=False)
        ):
            scene = read_scene(city.folder / path)
            texts += [captioner.describe(scene, image_id) for captioner in SIMULATED]
            if number % 3 == 0:
                with Image.open(city.folder / path) as image:
                    texts.append(describe_measures(measure_pixels(image), view, seed=image_id))
    return texts


def base_settings(start: Path, epochs: int) -> Settings:
    """Plain CLIP training: in-batch keys, no teacher's share, 77 positions."""
    model = {"name": str(start), "context": 77, "freeze_head": False}
    train = {
        "view": "both", "epochs": epochs, "batch_size": 128, "lr": 1e-3, "weight_decay": 0.05,
        "warmup_steps": 200, "mu": 0.0, "queue_size": 0, "contrast_keys": "batch",
        "val_fraction": 0.03, "seed": 0,
    }  # fmt: skip
    return load_settings(base={"model": model, "train": train})


def write_card(folder: Path, facts: dict) -> None:
    """Replace the facts block at the end of the card that stands beside this script's output."""
    card = Path(__file__).with_name("tiny_card.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(
        card + "\n```json\n" + json.dumps(facts, indent=1) + "\n```\n", encoding="utf-8"
    )


def main() -> None:
    """Make the cities, the tokenizer, the random network; train; write the folder and its card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "urbanln-tiny-base")
    parser.add_argument("--cities", type=int, default=6)
    parser.add_argument("--regions", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()

    cities = make_cities(args.work, args.cities, args.regions)
    start = args.work / "start"
    if not start.exists():
        tokenizer = train_clip_tokenizer(vocabulary_texts(cities), VOCABULARY)
        new_clip(tokenizer, context=77, seed=0, **SHAPE).save(start)
    run = pretrain(cities, base_settings(start, args.epochs), args.work / "run")
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [m for m in metrics if m["event"] == "validation"][-1]
    with atomic_folder(args.out) as folder:
        load_clip(str(run / "model"), context=77).save(folder / "model")
        for file in (folder / "model").iterdir():
            file.rename(folder / file.name)
        (folder / "model").rmdir()
        facts = {
            "cities": args.cities, "regions": args.regions, "epochs": args.epochs, "first_seed": FIRST_SEED,
            "shape": SHAPE, "vocabulary": VOCABULARY,
            "weights_sha256": hash_file(folder / "model.safetensors"),
            "validation": {k: v for k, v in last.items() if k != "event"},
        }  # fmt: skip
        write_card(folder, facts)


if __name__ == "__main__":
    main()
