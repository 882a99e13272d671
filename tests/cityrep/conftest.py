"""A clone of CityRep in small: two cities of its layout, made here, none of its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

CLASSES = ["Residential", "Commercial", "Water", "Other"]
AGES = ["age_00_14", "age_15_64", "age_65_plus"]
WIDTH, HEIGHT, CELL = 24, 18, 0.01


def _grid(name: str, west: float, north: float) -> pd.DataFrame:
    """Samples of a task with a raster: most cells of a grid, as a city's outline leaves them."""
    row, col = (part.ravel() for part in np.indices((HEIGHT, WIDTH)))
    inside = (row - 8.5) ** 2 / 81 + (col - 11.5) ** 2 / 144 <= 1
    row, col = row[inside], col[inside]
    ids = [f"{name}:r{r}:c{c}" for r, c in zip(row, col, strict=True)]
    x, y = west + (col + 0.5) * CELL, north - (row + 0.5) * CELL
    return pd.DataFrame({"sample_id": ids, "row": row, "col": col, "x": x, "y": y})


def _smooth(frame: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    x, y = (frame[name].to_numpy() - frame[name].mean() for name in ("x", "y"))
    return np.sin(40 * x) + np.cos(55 * y) + 0.2 * rng.normal(size=len(frame))


def make_clone(folder: Path) -> Path:
    """Write ``data/tasks.json`` and payloads: a number, classes, shares of a city, a number of another."""
    rng = np.random.default_rng(7)
    specs: dict[str, dict[str, Any]] = {}
    frames: dict[str, pd.DataFrame] = {}
    for city, west, north in (("atown", 10.0, 50.0), ("btown", -60.0, -10.0)):
        name = f"{city}.gdp.2024"
        frame = _grid(name, west, north)
        frames[name] = frame.assign(label=1e6 * np.exp(_smooth(frame, rng)))
        specs[name] = {"task_type": "regression", "label_col": "label", "normalization": "zscore"}
    frame = _grid("atown.age_distribution.2024", 10.0, 50.0)
    raw = np.exp(np.column_stack([_smooth(frame, rng) * s for s in (0.2, 0.0, -0.3)]))
    frames["atown.age_distribution.2024"] = frame.assign(**dict(zip(AGES, raw.T, strict=True)))
    specs["atown.age_distribution.2024"] = {"task_type": "distribution", "label_cols": AGES}
    x, y = 10 + 0.24 * rng.random(400), 50 - 0.18 * rng.random(400)
    points = pd.DataFrame({"sample_id": [f"atown_{n:06d}" for n in range(400)], "x": x, "y": y})
    codes = np.digitize(_smooth(points, rng), [-0.8, 0.6, 1.2])
    frames["atown.landuse.2026"] = points.assign(label=[CLASSES[c] for c in codes], label_id=codes)
    specs["atown.landuse.2026"] = {
        "task_type": "classification", "label_col": "label_id", "class_names": CLASSES,
    }  # fmt: skip
    specs["btown.landuse.2026"] = specs["atown.landuse.2026"]
    for name, spec in specs.items():
        city, label, _ = name.split(".")
        spec = spec | {"task_id": name, "city": city, "task": label, "source_type": "samples"}
        spec |= {"samples_path": f"tasks/{name}/samples.parquet", "sample_id_col": "sample_id"}
        specs[name] = spec | {"crs": "EPSG:4326"}
        if name in frames:
            (folder / "data" / "tasks" / name).mkdir(parents=True)
            frames[name].to_parquet(folder / "data" / "tasks" / name / "samples.parquet")
    (folder / "data" / "tasks.json").write_text(json.dumps({"tasks": specs}), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the made clone."""
    return make_clone(tmp_path_factory.mktemp("cityrep"))
