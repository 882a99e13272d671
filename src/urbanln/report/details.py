"""The run behind the scores as the page prints it: its curves, pictures with captions, facts."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.pictures import open_picture
from urbanln.pages.charts import axis_score
from urbanln.pages.text import clean, finite, score, words
from urbanln.report.plots import Axis, Curve, curves

CAPTION_LIMIT = 2000
_THUMBNAIL = 288
_STEPS = Axis("training step")
_LOSSES = (("loss", "loss", "a"), ("L_C", "contrast", "b"), ("L_D", "distil", "c"))
_RANKS = ((10, "a"), (5, "b"), (1, "c"))


@dataclass(frozen=True)
class Example:
    """A picture with one of its captions, as training read them.

    Args:
        image_bytes: The encoded picture (JPEG, PNG, …); shown as a thumbnail.
        caption: Its text; cut to 2,000 characters on the page.
        view: ``"satellite"`` or ``"street"``.
        region_id: The region it belongs to.
        captioner: Who wrote the caption.
    """

    image_bytes: bytes
    caption: str
    view: str
    region_id: str
    captioner: str


def example_pictures(examples: Sequence[Example]) -> tuple[list[dict[str, Any]], list[str]]:
    """The examples as the template prints them, and a note where some could not be read."""
    pictures = [
        {
            "source": source,
            "caption": clean(example.caption, CAPTION_LIMIT).strip(),
            "cut": len(str(example.caption)) > CAPTION_LIMIT,
            "length": len(str(example.caption)),
            "view": clean(example.view, 40),
            "region_id": clean(example.region_id, 120),
            "captioner": clean(example.captioner, 120),
        }
        for example, source in [(one, thumbnail(one.image_bytes)) for one in examples]
        if source is not None
    ]
    unreadable = len(examples) - len(pictures)
    return pictures, [f"{unreadable} example pictures could not be read."] if unreadable else []


def thumbnail(data: bytes, side: int = _THUMBNAIL) -> Markup | None:
    """A JPEG data address of a picture, at most ``side`` pixels long, or ``None`` when it cannot be read."""
    try:
        small = open_picture(data)
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=82, optimize=True)
    except InputError:
        return None
    return Markup("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())  # noqa: S704


def run_facts(run: Mapping[str, Any]) -> dict[str, Any]:
    """Sorted by how they are printed: commands, short facts, groups of facts, long texts to unfold."""
    facts: dict[str, str] = {}
    groups: dict[str, dict[str, str]] = {}
    texts: dict[str, str] = {}
    for key, value in run.items():
        if key == "commands":
            continue
        if isinstance(value, Mapping):
            long = {str(k): str(v) for k, v in value.items() if "\n" in str(v)}
            texts |= {f"{words(key)}: {k}": v for k, v in long.items()}
            short = {str(k): str(v) for k, v in value.items() if str(k) not in long}
            if short:
                groups[words(key)] = short
        elif isinstance(value, str) and ("\n" in value or len(value) > 160):
            texts[words(key)] = value
        elif isinstance(value, (list, tuple)):
            facts[words(key)] = ", ".join(map(str, value))
        elif value is not None:
            facts[words(key)] = str(value)
    commands = {str(made): str(command) for made, command in (run.get("commands") or {}).items() if command}
    return {"commands": commands, "facts": facts, "groups": groups, "texts": texts}


def training_charts(metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The curves there are numbers for, each with a title, a picture and a line of summary."""
    charts = []
    lines = _lines([m for m in metrics if m.get("event") == "step"], _LOSSES)
    if lines:
        first = lines[0]
        summary = f"{first.name} from {first.y[0]:.2f} to {first.y[-1]:.2f} over {int(first.x[-1]):,} steps"
        picture = curves(
            f"Training losses: {summary}", lines, y_zero=False, y_label=lambda v: f"{v:.4g}", axis=_STEPS
        )
        charts.append({"title": "Training loss", "picture": picture, "summary": f"{summary}."})
    validation = [m for m in metrics if m.get("event") == "validation"]
    sizes = [n for n in (finite(m.get("n")) for m in validation) if n]
    for way, title in (("i2t", "Picture to caption"), ("t2i", "Caption to picture")):
        lines = _lines(validation, [(f"{way}_r{k}", f"R@{k}", style) for k, style in _RANKS])
        if not lines:
            continue
        summary = "At the end " + ", ".join(f"{line.name} {score(line.y[-1])}" for line in reversed(lines))
        if sizes:
            chance, x = min(1.0, 10 / sizes[-1]), lines[0].x
            lines.append(Curve("chance", x, np.full(len(x), chance), "chance"))
            summary += f", among {int(sizes[-1]):,} validation pairs (R@10 by chance: {score(chance)})"
        picture = curves(f"{title}: {summary}", lines, y_zero=True, y_label=axis_score, axis=_STEPS)
        title = f"{title}, recall on validation pairs"
        charts.append({"title": title, "picture": picture, "summary": f"{summary}."})
    return charts


def _lines(events: Sequence[Mapping[str, Any]], fields: Sequence[tuple[str, str, str]]) -> list[Curve]:
    """A curve over the steps for each (field, name, style) there are numbers for.

    A step written twice (a run taken up again) counts as last written.
    """
    lines = []
    for field, name, style in fields:
        found: dict[float, float] = {}
        for event in events:
            step, value = finite(event.get("step")), finite(event.get(field))
            if step is not None and value is not None:
                found[step] = value
        if found:
            steps = sorted(found)
            lines.append(Curve(name, np.array(steps), np.array([found[s] for s in steps]), style))
    return lines
