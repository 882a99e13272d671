"""What the choice of captions is worth downstream: pre-training and probe, with nothing else changed.

Part of ``python -m benchmarks.captions_help``; reads the texts which that has collected.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.caption_measures import (
    Interval,
    captioners_by_merit,
    count_errors,
    first_available,
    interval,
    markdown,
    median_first,
)
from benchmarks.captions_help import BY_DETECTOR, DESCRIBED, UNCHECKED, read_texts, scenes_of
from urbanln.base.config import Settings, load_settings
from urbanln.base.files import read_json, write_json
from urbanln.captions.table import candidates_table
from urbanln.city.store import City
from urbanln.demo import DEMO_SETTINGS
from urbanln.stages.bridges import token_counter
from urbanln.stages.embed import embed_city
from urbanln.stages.probe import run_probe
from urbanln.tables.vectors import read_embeddings
from urbanln.train.loop import pretrain

RANDOM, BEST, MEDIAN = (
    "random candidate",
    "best single captioner (by truth)",
    "median single captioner (by truth)",
)
VOTED, FULL = "vote, not refined", "vote, refined (detector)"
LOOSE = "vote, refined (unchecked)"
VARIANTS = (RANDOM, MEDIAN, BEST, VOTED, LOOSE, FULL)
BASE = "base CLIP"
DETAILS = ("gdp", "poi_count", "crime")
"""Labels of synthetic cities that small things explain as much as the gross layout."""


def score_one(city: City, folder: Path) -> dict[str, dict[str, float]]:
    """R² (log) under the block split per variant and label, of one city; what is there already is kept."""
    done = folder / "downstream.json"
    if not done.exists():
        settings = load_settings(overrides=['probe.heads=["ridge"]'], base=DEMO_SETTINGS)
        texts = variant_texts(city, folder)
        tables = {name: _vectors(city, folder, name, texts[name], settings) for name in VARIANTS}
        tables[BASE] = embed_city(city, "tiny", folder / "vectors-base.parquet", settings)
        scores = run_probe(
            city, {k: read_embeddings(v) for k, v in tables.items()}, settings, baseline=BASE
        ).scores
        found: dict[str, dict[str, float]] = {}
        for row in scores["rows"]:
            if row["split"] == "block":
                found.setdefault(row["features"], {})[row["indicator"]] = row["r2"]
        write_json(done, found)
    result: dict[str, dict[str, float]] = read_json(done)
    return result


def variant_texts(city: City, folder: Path) -> dict[str, pd.DataFrame]:
    """One text per satellite picture for each variant: ``image_id``, ``captioner``, ``caption``."""
    tiles = set(city.images.loc[city.images["view"] == "satellite", "image_id"])
    described, voted = read_texts(folder, DESCRIBED)
    described = described[described["image_id"].isin(tiles)].reset_index(drop=True)
    merit = captioners_by_merit(count_errors(described, scenes_of(city)))
    rng = np.random.default_rng(0)
    shuffled = described.iloc[rng.permutation(len(described))]
    found = {
        RANDOM: shuffled.drop_duplicates("image_id"),
        BEST: first_available(described, merit),
        MEDIAN: first_available(described, median_first(merit)),
        VOTED: voted[voted["selected"]],
    }
    for name, setup in ((LOOSE, UNCHECKED), (FULL, BY_DETECTOR)):
        refined = read_texts(folder, setup)[1]
        found[name] = refined[refined["selected"]]
    columns = ["image_id", "captioner", "caption"]
    return {
        name: texts.loc[texts["image_id"].isin(tiles), columns].sort_values("image_id").reset_index(drop=True)
        for name, texts in found.items()
    }


def _vectors(city: City, folder: Path, variant: str, texts: pd.DataFrame, settings: Settings) -> Path:
    """Pre-train on one variant's captions, with the same training seed for all, and embed the city."""
    name = re.sub(r"[^a-z]+", "-", variant).strip("-")
    out = folder / f"vectors-{name}.parquet"
    if not out.exists():
        print(f"{folder.name}: pre-training on {variant}", file=sys.stderr, flush=True)
        run = pretrain(_with_captions(city, folder / f"city-{name}", texts), settings, folder / f"run-{name}")
        embed_city(city, str(run), out, settings)
    return out


def _with_captions(city: City, folder: Path, texts: pd.DataFrame) -> City:
    """A copy of a city with these captions."""
    if not (folder / "captions.parquet").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(city.folder, folder, ignore=shutil.ignore_patterns("captions.*"))
        City.open(folder).save_captions(candidates_table(texts, token_counter("tiny")))
    return City.open(folder)


def downstream_tables(scored: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    """Markdown: mean R² over labels per variant, and paired differences, mean ± 95 % interval over seeds."""
    labels = list(scored[0][BASE])
    groups = {"all labels": labels, "labels of details": [label for label in labels if label in DETAILS]}
    rows, names = [], [*VARIANTS, BASE]
    for name in names:
        row = [name]
        for of in groups.values():
            row.append(interval([_mean(one[name], of) for one in scored]).show())
            row.append("–" if name == RANDOM else _difference(scored, name, RANDOM, of).show(sign=True))
        rows.append(row)
    head = ["captions trained on"]
    for group in groups:
        head += [f"R², {group}", f"− {RANDOM}"]
    per_label = [
        [name, *(interval([one[name][label] for one in scored]).show(2) for label in labels)]
        for name in names
    ]
    gain = {group: _difference(scored, FULL, VOTED, of).show(sign=True) for group, of in groups.items()}
    said = "; ".join(f"{group} {value}" for group, value in gain.items())
    return (
        f"### R² (log) under the block split, ridge\n\n{markdown(head, rows)}\n"
        f"Refining beyond the vote ({FULL} − {VOTED}): {said}.\n\n"
        f"{markdown(['captions trained on', *labels], per_label)}"
    )


def _mean(scores: Mapping[str, float], labels: Sequence[str]) -> float:
    return float(np.mean([scores[label] for label in labels]))


def _difference(
    scored: Sequence[Mapping[str, Mapping[str, float]]], ours: str, theirs: str, labels: Sequence[str]
) -> Interval:
    return interval([_mean(one[ours], labels) - _mean(one[theirs], labels) for one in scored])
