"""The card in every saved model's folder: what it is, made from what, on what terms, with what limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from urbanln.base.errors import InputError, printable
from urbanln.base.parsing import read_file
from urbanln.base.version import __version__
from urbanln.model.context import CLIP_POSITIONS

CARD = "README.md"
OPENED_BY = (
    "Plain `transformers` opens it (`AutoModel`, `AutoTokenizer`,\n"
    "`AutoImageProcessor`), and so does `urbanln.load_clip(FOLDER, context=None)`."
)
_WRITTEN, _SCORES_TITLE, _LIMITS_TITLE = "Written by urbanln ", "## Scores", "## Limits"
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


@dataclass(frozen=True)
class Section:
    """Scores of one evaluation, as a card tells them.

    Args:
        title: What was scored on what.
        columns: Of its table.
        rows: Of its table, as text.
        sentences: What the numbers mean, and what weakens them.
        results: The same for machines, entries of ``model-index`` without a name.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    sentences: Sequence[str] = ()
    results: Sequence[Mapping[str, Any]] = ()


def card_of(folder: Path) -> str:
    """The card in a folder, where it is one of ours; else nothing."""
    try:
        text = read_file(folder / CARD, _MOST_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
    except (OSError, InputError):
        return ""
    ours = rf"---\n.*?\n---\n.*^{_WRITTEN}.*^{_LIMITS_TITLE}\n"
    return text if re.match(ours, text, re.DOTALL | re.MULTILINE) else ""


def retold(
    card: str, *, opened_by: str, library: str, sections: Sequence[Section] = (), name: str = ""
) -> str:
    """A card for a copy of its model: how that is opened, and scores in the place of earlier ones.

    Args:
        card: One of ours.
        opened_by: How the copy is opened, in Markdown.
        library: The tool, by the name that model hubs know.
        sections: Scores to tell; none leaves those that the card tells.
        name: Of the model, for ``model-index``.
    """
    _, front, text = card.split("---\n", 2)
    lines = [line for line in front.splitlines() if not line.startswith("library_name:")]
    lines.insert(0, f"library_name: {library}")
    text = re.sub(rf"(?ms)^{_WRITTEN}.*?\n\n", lambda _: f"{_written(opened_by)}\n\n", text, count=1)
    if sections:
        lines = [line for line in lines if not line.startswith("model-index:")]
        if results := [result for section in sections for result in section.results]:
            # JSON is YAML, where everybody's words are quoted, but for pairs of surrogates.
            told = json.dumps([{"name": name, "results": results}], ensure_ascii=False)
            lines.append(f"model-index: {printable(told)}")
        before, _, after = text.rpartition(f"\n{_LIMITS_TITLE}\n")
        before = before.partition(f"\n{_SCORES_TITLE}\n")[0].rstrip("\n")
        told = "\n".join(_scored(sections))
        text = f"{before}\n\n{_SCORES_TITLE}\n\n{told}\n{_LIMITS_TITLE}\n{after}"
    return "---\n" + "\n".join(lines) + "\n---\n" + text


def _scored(sections: Sequence[Section]) -> list[str]:
    lines = []
    for section in sections:
        lines += [f"### {_inert(section.title)}", "", f"| {' | '.join(section.columns)} |"]
        lines += ["|---" * len(section.columns) + "|"]
        lines += [f"| {' | '.join(map(_inert, row))} |" for row in section.rows]
        lines += ["", *(f"- {_inert(sentence)}" for sentence in section.sentences), ""]
    return lines


def _written(opened_by: str) -> str:
    return f"{_WRITTEN}{__version__}. {opened_by}"


def licence_of(folder: Path) -> str:
    """The licence that a model's own card names in its front matter; empty where there is none."""
    try:
        head = read_file(folder / CARD, _MOST_BYTES).decode("utf-8", "replace")
    except (OSError, InputError):  # somebody's file, and nothing depends on it
        return ""
    front = re.match(r"---\r?\n(.*?)\n---", head, re.DOTALL)
    named = re.search(r"^license: *[\"']?([A-Za-z0-9.+-]+)", front[1], re.MULTILINE) if front else None
    return named[1] if named else ""


def network_facts(
    config: Any, *, kind: str, size: int, context: int, dim: int, parameters: int
) -> dict[str, str]:
    """What a card says of a network.

    Args:
        config: Of its class in transformers. What a tower does not tell of itself is left out.
        kind: What networks like it are called, and its class.
        size: Edge of its pictures in pixels.
        context: Its text positions.
        dim: Length of its vectors.
        parameters: How many numbers its weights are.
    """
    vision, patch = config.vision_config, getattr(config.vision_config, "patch_size", None)
    return {
        "kind": kind,
        "picture tower": _tower(vision),
        "text tower": _tower(config.text_config),
        "pictures": f"{size} px" + (f", patches of {patch}" if patch else ""),
        "text positions": str(context),
        "dimensions": str(dim),
        "parameters": f"{parameters:,}",
        "activation": str(getattr(vision, "hidden_act", "")),
    }


def _tower(config: Any) -> str:
    layers, width = (getattr(config, name, None) for name in ("num_hidden_layers", "hidden_size"))
    return f"{layers} layers of width {width}" if layers and width else str(config.model_type)


def model_card(
    network: Mapping[str, str],
    positions: str,
    origin: Mapping[str, str],
    training: Training | None = None,
    *,
    title: str = "CLIP",
) -> str:
    """The card of a model, in Markdown with the front matter that model hubs read.

    Args:
        network: Facts of the network, by what they are called.
        positions: What was done to the text positions, a sentence.
        origin: Of the base model: ``base``, ``revision``, ``file``, ``sha256``, ``activation``, ``known_by``,
            ``licence``; any may be missing.
        training: None for a model that was not trained here.
        title: What networks of its kind are called.
    """
    licence = origin.get("licence", "")
    long = int(network.get("text positions", 0)) > CLIP_POSITIONS
    head = ["---", "library_name: transformers", f"tags: [clip, urbanln{', long-captions' * long}]"]
    # What no hub knows by its short name is named in the text alone.
    if re.fullmatch(r"[A-Za-z0-9.+-]+", licence):
        head.append(f"license: {licence.lower()}")
    lines = [*head, "---", f"# A {title}{' that reads long captions' * long}", ""]
    lines += [_written(OPENED_BY), ""]
    lines += ["## The network", "", *_rows(network), "", positions, ""]
    lines += ["## Where it comes from", "", *_rows(origin), ""]
    lines += ["" if licence else "No licence of the base model was given: ask who made it.", ""]
    if training is not None:
        lines += _trained(training)
    lines += [_LIMITS_TITLE, "", *_LIMITS]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _trained(training: Training) -> list[str]:
    lines = [
        "## Training",
        "",
        "Trained with momentum self-distillation (UrbanLN, arXiv 2511.07062) on:",
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
