"""A small invented result, as probe and training leave it, for the report's tests."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from shapely.geometry import box

from urbanln.report import Example

LEVELS = {"mean": -0.02, "coordinates-nearest": 0.31, "pixels": 0.36, "base_clip": 0.42, "urbanln": 0.55}
UNITS = {"population": "people/km²", "crime": "reports/year", "night_light": "nW/cm²/sr"}


def picture(shade: int = 90, size: int = 64) -> bytes:
    """A PNG of one colour with a darker street across it."""
    pixels = np.full((size, size, 3), shade, dtype=np.uint8)
    pixels[size // 3 : size // 2] //= 2
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def score_row(indicator: str, split: str, features: str, shift: float) -> dict[str, Any]:
    """One row of scores.json."""
    r2 = LEVELS[features] + shift + (0.2 if split == "random" and features != "mean" else 0.0)
    floor = features in ("mean", "coordinates-nearest")
    gap = r2 - LEVELS["coordinates-nearest"] - shift - (0.2 if split == "random" else 0.0)
    versus = {"diff": gap, "low": gap - 0.08, "high": gap + 0.07}
    return {
        "indicator": indicator,
        "split": split,
        "features": features,
        "head": "none" if floor else "ridge",
        "n": 100,
        "transform": "log1p",
        "r2": r2,
        "r2_sd": 0.01,
        "r2_low": r2 - 0.06,
        "r2_high": r2 + 0.05,
        "r2_seeds": [r2] * 2,
        "rmse_log": 0.41,
        "mae_log": 0.3,
        "rmse": 1234.5,
        "mae": 900.1,
        "spearman": 0.71,
        "vs": {} if floor else {"coordinates-nearest": versus, "mean": versus, "base_clip": versus},
    }


def make_inputs(
    side: int = 10, indicators: tuple[str, ...] = ("population", "crime", "night_light"), points: bool = False
) -> dict[str, Any]:
    """Arguments of ``write_report`` for a city of ``side`` × ``side`` square regions."""
    rng = np.random.default_rng(3)
    step = 0.005
    cells = [
        box(114.2 + x * step, 30.5 + y * step, 114.2 + (x + 1) * step, 30.5 + (y + 1) * step)
        for y in range(side)
        for x in range(side)
    ]
    ids = [f"r{i:04d}" for i in range(len(cells))]
    regions = gpd.GeoDataFrame({"region_id": ids}, geometry=cells, crs="EPSG:4326")
    if points:
        regions.geometry = [cell.centroid for cell in cells]
    place = np.arange(len(cells))
    frames, rows, verdicts = [], [], []
    for k, indicator in enumerate(indicators):
        wave = np.sin(place % side / 2 + k) + np.cos(place // side / 2.5)
        truth = np.exp(6.5 + wave + rng.normal(0, 0.3, len(cells)))
        for split in ("random", "block"):
            rows += [score_row(indicator, split, features, -0.25 * k) for features in LEVELS]
            for features in ("coordinates-nearest", "base_clip", "urbanln"):
                for seed in (0, 1):
                    frames.append(
                        pd.DataFrame(
                            {
                                "region_id": ids,
                                "indicator": indicator,
                                "split": split,
                                "features": features,
                                "head": "none" if features == "coordinates-nearest" else "ridge",
                                "seed": seed,
                                "truth": truth,
                                "prediction": truth * np.exp(rng.normal(0, 0.5, len(cells))),
                                "fold": place % 5,
                            }
                        )
                    )
        beats = ("yes", "undecided", "no")[k % 3]
        for rival in ("the coordinates floor", "base_clip"):
            sentence = f"{indicator}: urbanln beats {rival} under 2 km blocks by .24 [.16, .31] R²."
            verdicts.append({"indicator": indicator, "sentence": sentence, "beats": beats})
    scores = {
        "schema_version": 1,
        "kind": "scores",
        "settings": {"folds": 5, "block_km": 2.0, "buffer_km": 0.5, "seeds": 2, "heads": ["ridge"]},
        "main": "urbanln",
        "baseline": "base_clip",
        "splits": {
            "random": {"folds": 5, "edge_km": None, "buffer_km": None, "nearest_km_median": 0.48},
            "block": {"folds": 5, "edge_km": 2.0, "buffer_km": 0.5, "nearest_km_median": 1.24},
        },
        "regions": {"total": len(cells), "common": len(cells)},
        "notes": [
            "Pre-training saw the pictures of the test regions, as in the literature; no label was seen."
        ],
        "rows": rows,
        "verdicts": verdicts,
    }
    steps = [
        {
            "event": "step",
            "step": i,
            "epoch": i // 50,
            "loss": 4.2 * np.exp(-i / 150) + 1,
            "L_C": 4.4 * np.exp(-i / 120) + 0.9,
            "L_D": 3 * np.exp(-i / 200) + 1.3,
        }
        for i in range(1, 401)
    ]
    checks = [
        {"event": "validation", "step": i, "n": 200}
        | {f"{way}_r{k}": min(1.0, k * (0.02 + i / 4000)) for way in ("i2t", "t2i") for k in (1, 5, 10)}
        for i in range(0, 401, 50)
    ]
    caption = (
        "A dense residential district seen from above. Rows of tall grey-roofed apartment blocks stand in "
        "the north-west, along a wide avenue; to the south lies a park with a pond, and beside it a car park."
    )
    return {
        "title": "Example city",
        "run": {
            "commands": {"This page": "urbanln demo --set train.epochs=8"},
            "settings": '[train]\nepochs = 8\nview = "satellite"\n',
            "settings hash": "9f2c" * 16,
            "versions": {"urbanln": "0.1.0", "torch": "2.5"},
            "hashes": {"regions": "ab" * 32, "captions": "cd" * 32},
        },
        "regions": regions,
        "scores": scores,
        "predictions": pd.concat(frames, ignore_index=True),
        "metrics": [{"event": "start", "device": "cpu"}, *steps, *checks],
        "examples": [
            Example(picture(60 + 40 * i), caption, ("satellite", "street")[i % 2], f"r{i:04d}", "simulated")
            for i in range(4)
        ],
        "synthetic": True,
        "notes": ["Pictures: drawn by the package."],
        "units": UNITS,
    }


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    """The factory of arguments."""
    return make_inputs
