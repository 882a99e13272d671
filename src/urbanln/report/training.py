"""From ``metrics.jsonl`` to the loss and retrieval curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from urbanln.pages.charts import axis_score
from urbanln.pages.text import finite, score
from urbanln.report.curves import Curve, curves

_LOSSES = (("loss", "loss", "a"), ("L_C", "contrast", "b"), ("L_D", "distil", "c"))
_RETRIEVAL = (("i2t", "Picture to caption"), ("t2i", "Caption to picture"))
_RANKS = ((10, "a"), (5, "b"), (1, "c"))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The events of a run; a last line cut off by a kill is left out."""
    events = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            break
        if not isinstance(event, dict):
            break  # half a line can be JSON, too
        events.append(event)
    return events


def _series(events: Sequence[Mapping[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps, values) of one field; a step written twice (a run taken up again) counts as last written."""
    found: dict[float, float] = {}
    for event in events:
        step, value = finite(event.get("step")), finite(event.get(key))
        if step is not None and value is not None:
            found[step] = value
    steps = sorted(found)
    return np.array(steps), np.array([found[s] for s in steps])


def training_charts(metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The curves there are numbers for, each with a title, a picture and a line of summary."""
    steps = [m for m in metrics if m.get("event") == "step"]
    lines = [Curve(name, *_series(steps, key), style) for key, name, style in _LOSSES]
    lines = [line for line in lines if len(line.x)]
    out: list[dict[str, Any]] = []
    if lines:
        first = lines[0]
        summary = f"{first.name} from {first.y[0]:.2f} to {first.y[-1]:.2f} over {int(first.x[-1]):,} steps"
        picture = curves(f"Training losses: {summary}", lines, y_zero=False, y_label=lambda v: f"{v:.4g}")
        out.append({"title": "Training loss", "picture": picture, "summary": summary + "."})
    validation = [m for m in metrics if m.get("event") == "validation"]
    for way, title in _RETRIEVAL:
        chart = _retrieval(validation, way, title)
        if chart:
            out.append(chart)
    return out


def _retrieval(validation: Sequence[Mapping[str, Any]], way: str, title: str) -> dict[str, Any] | None:
    lines = [Curve(f"R@{k}", *_series(validation, f"{way}_r{k}"), style) for k, style in _RANKS]
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return None
    sizes = [n for n in (finite(m.get("n")) for m in validation) if n]
    ends = ", ".join(f"{line.name} {score(line.y[-1])}" for line in reversed(lines))
    summary = f"At the end {ends}"
    if sizes:
        chance = min(1.0, 10 / sizes[-1])
        x = lines[0].x
        lines.append(Curve("chance", x, np.full(len(x), chance), "chance"))
        summary += f", among {int(sizes[-1]):,} validation pairs (R@10 by chance: {score(chance)})"
    picture: Markup = curves(f"{title}: {summary}", lines, y_zero=True, y_label=axis_score)
    return {"title": f"{title}, recall on validation pairs", "picture": picture, "summary": summary + "."}
