"""Simulated captioners: long texts from a synthetic picture's true scene, with known errors.

They stand in for multimodal models of different quality where none is at hand: each overlooks objects (small
ones more often), makes some up, and mistakes attributes, always the same way for the same picture. Because
the errors are known, what a later step does about them can be measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from numpy.random import Generator

from urbanln.captions.phrases import join
from urbanln.captions.wording import (
    STYLES,
    Mention,
    count_word,
    generator,
    land_use,
    mentions,
    noun_phrase,
    other_attribute,
    sentence,
    with_place,
)
from urbanln.city.synthetic.scene import VOCABULARY, read_scene, scene_path
from urbanln.errors import InputError

__all__ = ["SIMULATED", "Described", "SimulatedCaptioner", "read_scene", "scene_path", "short_caption"]

# Small things are overlooked more often, and what fills the picture hardly ever.
_OVERLOOKED = {"large": 0.3, "middle": 0.9, "small": 1.4}
_MADE_UP_AT_MOST = 4
_ONE_AT_A_TIME = ("river", "railway line", "avenue", "sky", "bridge", "plaza", "fountain", "barge")
_WORDS_AT_MOST = 150
_WORDS_AT_LEAST = 84
_SHORT_WORDS = 40


class Described(NamedTuple):
    """A caption and what is wrong with it: names of objects left out, and of objects made up."""

    text: str
    omitted: list[str]
    hallucinated: list[str]


@dataclass(frozen=True)
class SimulatedCaptioner:
    """Describes true scenes with errors at known rates.

    Args:
        name: Name in the caption table; part of the random seed, so that captioners differ.
        omission: Chance to overlook an object of middle size; 0.3 of it for large, 1.4 for small ones.
        hallucination: Mean number of objects made up per picture, divided by four.
        wrong_attribute: Chance that an object's attribute, or its number, is mistaken for another.
        style: Way of speaking, one of ``wording.STYLES``.
        seed: Another seed makes other errors at the same rates.

    Raises:
        InputError: A rate outside 0–1, or no such style.
    """

    name: str
    omission: float = 0.15
    hallucination: float = 0.1
    wrong_attribute: float = 0.06
    style: str = "plain"
    seed: int = 0

    def __post_init__(self) -> None:
        for label in ("omission", "hallucination", "wrong_attribute"):
            if not 0.0 <= getattr(self, label) <= 1.0:
                raise InputError(f"{label} must be from 0 to 1", value=getattr(self, label), where=self.name)
        if self.style not in STYLES:
            raise InputError("no such style", value=self.style, remedy=f"one of {', '.join(STYLES)}")

    def describe(self, scene: Mapping[str, Any], image_id: str) -> str:
        """A long text (about 85 to 150 words) on a true scene, the same for the same picture."""
        return self.describe_with_errors(scene, image_id).text

    def describe_with_errors(self, scene: Mapping[str, Any], image_id: str) -> Described:
        """The text of :meth:`describe`, with the objects left out and made up in it."""
        rng = generator(self.seed, self.name, image_id)
        true = mentions(scene)
        seen = [m for k, m in enumerate(true) if k < 2 or not self._overlooks(m, rng)]
        seen = [self._mistake(m, rng) for m in seen]
        made_up = self._make_up(true, str(scene["view"]), rng)
        text, said = _compose(seen, made_up, scene, self.style, rng)
        omitted = [m.name for m in true if m.name not in said]
        return Described(text, omitted, [m.name for m in made_up if m.name in said])

    def _overlooks(self, mention: Mention, rng: Generator) -> bool:
        return bool(rng.random() < min(self.omission * _OVERLOOKED[VOCABULARY[mention.name].size], 1.0))

    def _mistake(self, mention: Mention, rng: Generator) -> Mention:
        attributes = [
            other_attribute(a, rng) if rng.random() < self.wrong_attribute else a for a in mention.attributes
        ]
        count = mention.count
        if rng.random() < self.wrong_attribute:
            count = max(1, round(count * float(rng.choice((0.4, 2.5)))))
        return replace(mention, attributes=tuple(dict.fromkeys(attributes)), count=count)

    def _make_up(self, true: Sequence[Mention], view: str, rng: Generator) -> list[Mention]:
        known = {m.name for m in true}
        others = [t.name for t in VOCABULARY.values() if view in t.views and t.name not in known]
        n = min(int(rng.poisson(4 * self.hallucination)), _MADE_UP_AT_MOST, len(others))
        places = ("left", "right") if view == "street" else ("north", "south-east", "west", "centre")
        names = [others[k] for k in rng.permutation(len(others))[:n]]
        counts = [1 if name in _ONE_AT_A_TIME else int(rng.integers(1, 9)) for name in names]
        return [
            Mention(name, count, (), str(rng.choice(places)), 0.01)
            for name, count in zip(names, counts, strict=True)
        ]


def _compose(
    seen: list[Mention], made_up: list[Mention], scene: Mapping[str, Any], style: str, rng: Generator
) -> tuple[str, set[str]]:
    """Summary, gross layout, then details as far as the length allows; and what was named."""
    gross = [m for m in seen if VOCABULARY[m.name].gross]
    details = [m for m in seen if not VOCABULARY[m.name].gross]
    for mention in made_up:
        target = gross if VOCABULARY[mention.name].gross else details
        target.insert(int(rng.integers(min(2, len(target)), len(target) + 1)), mention)
    lines = [_summary(gross, scene, style, rng)]
    lines += [line for _, line in _spoken(gross, scene, style, rng, detail=False)]
    said = {m.name for m in gross}
    # Roughly by size, as people tell, but not strictly: else the same small things were always cut off.
    details.sort(key=lambda m: rng.normal() - math.log(m.share + 1e-3))
    spoken: list[str] = []
    for group, line in _spoken(details, scene, style, rng, detail=True):
        if _words(lines) + _words(spoken) + len(line.split()) <= _WORDS_AT_MOST:
            spoken.append(line)
            said |= {m.name for m in group}
    lines += spoken
    for line in _padding(gross, str(scene["view"]), rng):
        if _words(lines) >= _WORDS_AT_LEAST:
            break
        lines.insert(max(1, len(lines) - len(spoken)), line)
    return " ".join(lines), said


def _words(lines: Sequence[str]) -> int:
    return sum(len(line.split()) for line in lines)


def _summary(gross: Sequence[Mention], scene: Mapping[str, Any], style: str, rng: Generator) -> str:
    opening = str(rng.choice(STYLES[style].openings[str(scene["view"])]))
    named = [m for m in gross if m.name not in ("street", "sky", "pavement")][:2]
    what = " and ".join(VOCABULARY[m.name].plural if m.count > 1 else _one(m.name) for m in named)
    return sentence(opening.format(use=land_use(gross), what=what or "open ground"))


def _one(name: str) -> str:
    return f"an {name}" if name[0] in "aeio" else f"a {name}"


def _spoken(
    things: Sequence[Mention], scene: Mapping[str, Any], style: str, rng: Generator, *, detail: bool
) -> list[tuple[list[Mention], str]]:
    """Two or three objects to a sentence, in the order given, some with a relation instead of a place."""
    patterns = STYLES[style].details if detail else STYLES[style].gross
    names = {m.name for m in things}
    relations = {r[0]: r for r in scene.get("relations", []) if r[0] in names}
    # A full scene is told more briefly, so that its details still find room.
    full, very_full = len(scene["objects"]) > 11, len(scene["objects"]) > 15
    size, place_chance = (3, 0.1 if very_full else 0.3) if full else (2, 0.8)
    out, last = [], ""
    for k in range(0, len(things), size):
        group, parts = list(things[k : k + size]), []
        for mention in group:
            phrase = noun_phrase(mention, rng)
            relation = relations.get(mention.name)
            placed = rng.random() < place_chance
            if relation is not None and rng.random() < (0.1 if very_full else 0.25 if full else 0.6):
                phrase, placed = f"{phrase} {relation[1]} the {_other(relation[2], scene)}", False
            parts.append(with_place(phrase, mention.place if placed else "", rng))
        choices = [p for p in patterns if p != last]
        last = str(rng.choice(choices))
        verb = "is" if things[k].count == 1 else "are"
        out.append((group, sentence(last.format(what=join(parts), be=verb))))
    return out


def _other(name: str, scene: Mapping[str, Any]) -> str:
    count = next((o["count"] for o in scene["objects"] if o["name"] == name), 1)
    return VOCABULARY[name].plural if count > 1 else name


def _padding(gross: Sequence[Mention], view: str, rng: Generator) -> list[str]:
    """True sentences on the gross layout for a scene with little to tell."""
    lines = []
    top = gross[0] if gross else None
    trees = next((m for m in gross if m.name == "tree"), None)
    built = [m for m in gross if m.name.endswith(("house", "block", "tower", "hall"))]
    if built:
        plural = VOCABULARY[built[0].name].plural
        lines.append(
            f"Among the buildings, the {plural} take up the most room and set the character of the place."
        )
    if trees is not None:
        lines.append(f"In all, {count_word(trees.count, rng)} trees bring some green between the buildings.")
    if top is not None and view == "satellite":
        lines.append(
            "The streets divide the ground into blocks, and each block has its own use and its own colour."
        )
        lines.append(
            "Roofs, paving and open ground stand out clearly from one another, with shadows to one side."
        )
    else:
        lines.append(
            "The roadway runs straight away from the viewer towards the horizon between the two sides."
        )
        lines.append("The fronts on both sides line up with the kerb and grow smaller with distance.")
    lines.append(
        "Nothing else of any size stands out, and the rest of the picture repeats what was described."
    )
    return lines


def short_caption(scene: Mapping[str, Any], image_id: str, seed: int = 0) -> str:
    """One or two short sentences (40 words at most), as a base model is trained on.

    Names gross content and at most two details chosen at random; makes nothing up.

    Args:
        scene: The true scene.
        image_id: Decides the wording, with ``seed``.
        seed: Another seed, another wording and other details.
    """
    rng = generator(seed, "short", image_id)
    true = mentions(scene)
    gross = [m for m in true if VOCABULARY[m.name].gross and m.name not in ("street", "sky", "pavement")]
    details = [m for m in true if not VOCABULARY[m.name].gross]
    kind = ("a street with", "a street view of", "a photo of") if scene["view"] == "street" else _AERIAL
    top = gross[: int(rng.integers(2, 4))]
    named = [top[k] for k in sorted(rng.permutation(len(top))[:2])]
    text = f"{rng.choice(kind)} {' and '.join(noun_phrase(m, rng) for m in named) or 'open ground'}"
    lines = [sentence(text)]
    chosen = [details[k] for k in rng.permutation(len(details))[: int(rng.integers(0, 3))]]
    for n in range(len(chosen), 0, -1):
        phrases = " and ".join(noun_phrase(m, rng) for m in chosen[:n])
        line = sentence(f"there {'is' if chosen[0].count == 1 else 'are'} {phrases}")
        if _words([*lines, line]) <= _SHORT_WORDS:
            lines.append(line)
            break
    return " ".join(lines)


_AERIAL = ("an aerial view of", "a satellite image of", "a picture from above of", "a tile showing")

SIMULATED: tuple[SimulatedCaptioner, ...] = (
    SimulatedCaptioner("simulated-a", omission=0.06, hallucination=0.03, wrong_attribute=0.03, style="plain"),
    SimulatedCaptioner(
        "simulated-b", omission=0.14, hallucination=0.08, wrong_attribute=0.06, style="flowing"
    ),
    SimulatedCaptioner(
        "simulated-c", omission=0.24, hallucination=0.18, wrong_attribute=0.10, style="survey"
    ),
    SimulatedCaptioner("simulated-d", omission=0.38, hallucination=0.30, wrong_attribute=0.16, style="guide"),
    SimulatedCaptioner("simulated-e", omission=0.52, hallucination=0.55, wrong_attribute=0.25, style="terse"),
)
"""Five captioners, from careful to careless, each with a way of speaking of its own."""
