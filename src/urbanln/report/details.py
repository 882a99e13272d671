"""Pictures with captions, and the facts of a run, as the page prints them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from PIL import Image

from urbanln.pages.text import clean, words

CAPTION_LIMIT = 2000
_THUMBNAIL = 288


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
    pictures, unreadable = [], 0
    for example in examples:
        source = _thumbnail(example.image_bytes)
        if source is None:
            unreadable += 1
            continue
        pictures.append(
            {
                "source": source,
                "caption": clean(example.caption, CAPTION_LIMIT).strip(),
                "cut": len(str(example.caption)) > CAPTION_LIMIT,
                "length": len(str(example.caption)),
                "view": clean(example.view, 40),
                "region_id": clean(example.region_id, 120),
                "captioner": clean(example.captioner, 120),
            }
        )
    return pictures, [f"{unreadable} example pictures could not be read."] if unreadable else []


def _thumbnail(data: bytes) -> Markup | None:
    """A JPEG data address of a picture, or ``None`` when it cannot be read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (2 * _THUMBNAIL, 2 * _THUMBNAIL))
            small = image.convert("RGB")
        small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=82, optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Markup("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())  # noqa: S704


def run_facts(run: Mapping[str, Any]) -> dict[str, Any]:
    """Sorted by how they are printed: the command, short facts, groups of facts, long texts to unfold."""
    facts: dict[str, str] = {}
    groups: dict[str, dict[str, str]] = {}
    texts: dict[str, str] = {}
    for key, value in run.items():
        if key == "command":
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
    command = run.get("command")
    if isinstance(command, (list, tuple)):
        command = "\n".join(map(str, command))
    return {"command": command, "facts": facts, "groups": groups, "texts": texts}
