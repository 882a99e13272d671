"""What a task's scores come to in a line."""

from __future__ import annotations

from typing import Any

from urbanln.cityrep.compared import Rows, strongest
from urbanln.cityrep.payloads import Task
from urbanln.cityrep.predicted import MAP_FLOORS
from urbanln.pages.text import DASH, finite, quantity, score, words

METRIC_WORDS = {"R2": "R²", "F1_macro": "macro F1", "KL": "KL (lower is better)"}
_LABELS = {
    "landuse": "land use", "nightlight": "night light", "pm25": "PM2.5", "age_distribution": "ages",
    "lst_day_mean": "surface temperature",
}  # fmt: skip


def label_words(label: str) -> str:
    """A label of CityRep's as a reader would write it."""
    return _LABELS.get(label) or words(label)


def shown(metric: str, value: object) -> str:
    """A score as it is written: R² and F1 as ``.12``, a divergence to three figures."""
    return quantity(value) if metric == "KL" and finite(value) is not None else score(value)


def task_line(task: Task, rows: Rows, theirs: Rows) -> str:
    """Under each split the strongest floor of the map, the vectors, and the best of CityRep's models.

    Args:
        task: Which.
        rows: Ours of this task.
        theirs: CityRep's, of any task.
    """
    metric = rows[0]["metric"]
    parts = []
    for split in dict.fromkeys(row["split"] for row in rows):
        own = [row for row in rows if row["split"] == split]
        floors = [row for row in own if row["features"] in MAP_FLOORS]
        best = strongest(theirs, task=task.name, split=split)
        told = [_named(strongest(floors))]
        told += [_named(row) for row in own if row["features"] not in MAP_FLOORS]
        told += [f"CityRep's best {_named(best)}"] if best is not None else []
        parts.append(f"{split}: {', '.join(told)}")
    return f"{task.name} ({rows[0]['n']:,} samples, {METRIC_WORDS[metric]}): {'; '.join(parts)}"


def _named(row: Any) -> str:
    return DASH if row is None else f"{row['features']} {shown(row['metric'], row['score'])}"
