"""What is seen, told at length: how simulated captioners put a text together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.random import Generator

from urbanln.captions.captioners.phrases import join
from urbanln.captions.simulation.wording import (
    STYLES,
    Mention,
    count_word,
    generator,
    land_use,
    mentions,
    noun_phrase,
    sentence,
    with_place,
)
from urbanln.city.synthetic.scene import VOCABULARY

_WORDS_AT_MOST = 150
_WORDS_AT_LEAST = 84
_SHORT_WORDS = 40
_AERIAL = ("an aerial view of", "a satellite image of", "a picture from above of", "a tile showing")


def compose(
    seen: list[Mention], made_up: list[Mention], scene: Mapping[str, Any], style: str, rng: Generator
) -> tuple[str, set[str]]:
    """A long text: summary, gross layout, then details as far as the length allows; and what was named.

    Args:
        seen: True things, most salient first.
        made_up: Things put in at places of their own.
        scene: As in :func:`spoken_lines`.
        style: Way of speaking.
        rng: Decides the wording and the order of details.
    """
    gross = [m for m in seen if VOCABULARY[m.name].gross]
    details = [m for m in seen if not VOCABULARY[m.name].gross]
    for mention in made_up:
        target = gross if VOCABULARY[mention.name].gross else details
        target.insert(int(rng.integers(min(2, len(target)), len(target) + 1)), mention)
    lines = [_summary(gross, scene, style, rng)]
    lines += [line for _, line in spoken_lines(gross, scene, style, rng, detail=False)]
    said = {m.name for m in gross}
    # Roughly by size, as people tell, but not strictly: else the same small things were always cut off.
    details.sort(key=lambda m: rng.normal() - math.log(m.share + 1e-3))
    details_told: list[str] = []
    for group, line in spoken_lines(details, scene, style, rng, detail=True):
        if _words(lines) + _words(details_told) + len(line.split()) <= _WORDS_AT_MOST:
            details_told.append(line)
            said |= {m.name for m in group}
    lines += details_told
    for line in _padding(gross, str(scene["view"]), rng):
        if _words(lines) >= _WORDS_AT_LEAST:
            break
        lines.insert(max(1, len(lines) - len(details_told)), line)
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


def spoken_lines(
    things: Sequence[Mention], scene: Mapping[str, Any], style: str, rng: Generator, *, detail: bool
) -> list[tuple[list[Mention], str]]:
    """Two or three objects to a sentence, in the order given, some with a relation instead of a place.

    Args:
        things: What to tell of.
        scene: Says which relations hold, and by its number of objects how briefly to speak.
        style: Way of speaking.
        rng: Decides the wording.
        detail: Speak of details rather than of the gross layout.

    Returns:
        Per sentence the things in it, and the sentence.
    """
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
    trees = next((m for m in gross if m.name == "tree"), None)
    built = [m for m in gross if m.name.endswith(("house", "block", "tower", "hall"))]
    if built:
        plural = VOCABULARY[built[0].name].plural
        lines.append(
            f"Among the buildings, the {plural} take up the most room and set the character of the place."
        )
    if trees is not None:
        lines.append(f"In all, {count_word(trees.count, rng)} trees bring some green between the buildings.")
    if view == "satellite":
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
