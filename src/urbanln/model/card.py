"""The card in every saved model's folder: what it is, made from what, on what terms, with what limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from urbanln.base.errors import InputError, printable
from urbanln.base.parsing import read_file
from urbanln.base.version import __version__

CARD = "README.md"
_MOST_BYTES = 1 << 20
_LIMITS = (
    "Vectors say what pictures and captions show, not why. Score them on your own city beside the floors of",
    "the map (`urbanln probe`) before anything is decided on them.",
)


@dataclass(frozen=True)
class Training:
    """What a card tells of a training.

    Args:
        cities: Of each its name, its pictures, and the licences of its sources.
        settings: As they were resolved, by section.
        outcome: The last losses, and the retrieval on held-out regions.
    """

    cities: Sequence[Mapping[str, str]]
    settings: Mapping[str, Mapping[str, Any]]
    outcome: Mapping[str, float] = field(default_factory=dict)


def licence_of(folder: Path) -> str:
    """The licence that a model's own card names in its front matter; empty where there is none."""
    try:
        head = read_file(folder / CARD, _MOST_BYTES).decode("utf-8", "replace")
    except (OSError, InputError):  # somebody's file, and nothing depends on it
        return ""
    front = re.match(r"---\r?\n(.*?)\n---", head, re.DOTALL)
    named = re.search(r"^license: *[\"']?([A-Za-z0-9.+-]+)", front[1], re.MULTILINE) if front else None
    return named[1] if named else ""


def network_facts(config: Any, context: int, parameters: int) -> dict[str, str]:
    """What a card says of a network.

    Args:
        config: Its ``CLIPConfig``.
        context: Its text positions.
        parameters: How many numbers its weights are.
    """
    vision, text = config.vision_config, config.text_config
    return {
        "picture tower": f"{vision.num_hidden_layers} layers of width {vision.hidden_size}",
        "text tower": f"{text.num_hidden_layers} layers of width {text.hidden_size}",
        "pictures": f"{vision.image_size} px, patches of {vision.patch_size}",
        "text positions": str(context),
        "dimensions": str(config.projection_dim),
        "parameters": f"{parameters:,}",
        "activation": str(vision.hidden_act),
    }


def model_card(
    network: Mapping[str, str], positions: str, origin: Mapping[str, str], training: Training | None = None
) -> str:
    """The card of a model, in Markdown with the front matter that model hubs read.

    Args:
        network: Facts of the network, by what they are called.
        positions: What was done to the text positions, a sentence.
        origin: Of the base model: ``base``, ``revision``, ``file``, ``sha256``, ``activation``, ``known_by``,
            ``licence``; any may be missing.
        training: None for a model that was not trained here.
    """
    licence = origin.get("licence", "")
    head = ["---", "library_name: transformers", "tags: [clip, urbanln, long-captions]"]
    # What no hub knows by its short name is named in the text alone.
    if re.fullmatch(r"[A-Za-z0-9.+-]+", licence):
        head.append(f"license: {licence.lower()}")
    lines = [*head, "---", "# A CLIP that reads long captions", ""]
    lines += [
        f"Written by urbanln {__version__}. Plain `transformers` opens it (`CLIPModel`, `AutoTokenizer`,"
    ]
    lines += ["`AutoImageProcessor`), and so does `urbanln.load_clip(FOLDER, context=None)`.", ""]
    lines += ["## The network", "", *_rows(network), "", positions, ""]
    lines += ["## Where it comes from", "", *_rows(origin), ""]
    lines += ["" if licence else "No licence of the base model was given: ask who made it.", ""]
    if training is not None:
        lines += _trained(training)
    lines += ["## Limits", "", *_LIMITS]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _trained(training: Training) -> list[str]:
    lines = [
        "## Training",
        "",
        "Stretched and trained with momentum self-distillation (UrbanLN, arXiv 2511.07062) on:",
        "",
    ]
    for city in training.cities:
        said = ", ".join(f"{name} {_inert(value)}" for name, value in city.items() if name != "name")
        lines.append(f"- **{_inert(city['name'])}**: {said}")
    lines += ["", "| setting | value |", "|---|---|"]
    lines += [
        f"| {section}.{name} | {_inert(value)} |"
        for section, values in training.settings.items()
        for name, value in values.items()
    ]
    if training.outcome:
        lines += ["", "| at the end | |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in training.outcome.items()]
    return [*lines, ""]


def _rows(facts: Mapping[str, str]) -> list[str]:
    return [
        "| | |",
        "|---|---|",
        *(f"| {name} | {_inert(value)} |" for name, value in facts.items() if value),
    ]


def _inert(value: object) -> str:
    """Text that is no markup, whoever wrote it."""
    return re.sub(r"([\\`*_{}\[\]<>|#!])", r"\\\1", printable(str(value)))
