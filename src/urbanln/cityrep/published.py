"""The scores that CityRep publishes of its eleven models, read from a clone: none comes with this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from urbanln.base.columns import need_columns, number_column
from urbanln.base.errors import InputError
from urbanln.base.frames import read_frame
from urbanln.cityrep.metrics import MAIN
from urbanln.cityrep.payloads import Task
from urbanln.cityrep.predicted import HEAD

TABLES = {"block": "results/main_eval/summary.csv", "random": "results/random_eval/summary.csv"}
MANIFEST = "splits/manifest.csv"


def read_published(clone: Path | str, tasks: list[Task]) -> list[dict[str, Any]]:
    """A row per model, task and split, like those of our own scores; ``theirs`` says whose they are.

    Args:
        clone: Folder with ``results``: a clone of CityRepFull. What is not there is not read.
        tasks: Scores of others are left out.

    Raises:
        InputError: A table lacks a column, or holds no numbers.
    """
    of = {task.name: task for task in tasks}
    rows = []
    for split, name in TABLES.items():
        path = Path(clone) / name
        if not path.is_file():
            continue
        frame = read_frame(path)
        used = sorted({MAIN[task.kind] for task in tasks})
        need_columns(frame.columns, ["model_label", "task_id", "n_samples", *used], str(path))
        numbers = {
            column: number_column(frame, column, str(path))
            for one in used
            for column in (one, f"{one}_std")
            if column in frame.columns
        }
        for at, (model, task_id) in enumerate(zip(frame["model_label"], frame["task_id"], strict=True)):
            task = of.get(str(task_id))
            metric = MAIN[task.kind] if task is not None else ""
            if task is None or not np.isfinite(numbers[metric].iloc[at]):
                continue
            spread = numbers.get(f"{metric}_std")
            rows.append(
                {
                    "task": task.name, "city": task.city, "label": task.label, "kind": task.kind,
                    "features": str(model), "head": HEAD, "split": split, "theirs": True,
                    "n": int(frame["n_samples"].iloc[at]), "metric": metric,
                    "score": float(numbers[metric].iloc[at]),
                    "score_sd": None if spread is None else float(spread.iloc[at]),
                }
            )  # fmt: skip
    return rows


def read_digests(clone: Path | str) -> dict[tuple[str, str], str]:
    """SHA-256 of CityRep's split files, by protocol and task; empty where the clone lists none.

    Raises:
        InputError: The list lacks a column.
    """
    path = Path(clone) / MANIFEST
    if not path.is_file():
        return {}
    frame = read_frame(path, text=["protocol_id", "task_id", "sha256"])
    need_columns(frame.columns, ["protocol_id", "task_id", "sha256"], str(path))
    names = zip(frame["protocol_id"], frame["task_id"], strict=True)
    return dict(zip(names, frame["sha256"], strict=True))


def folder_of_results(clone: Path | str, published: Path | str | None) -> Path:
    """The clone that holds CityRep's results: the one that is named, else that of the payloads.

    Raises:
        InputError: The one that is named holds none.
    """
    if published is None:
        return Path(clone)
    if not any((Path(published) / name).is_file() for name in TABLES.values()):
        remedy = "give a clone of CityRepFull, with results/main_eval/summary.csv"
        raise InputError("no results of CityRep", value=str(published), where="--published", remedy=remedy)
    return Path(published)
