"""True scenes in words: mentions, noun phrases and ways of speaking, and what is seen, told at length."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from urbanln.captions.captioners.phrases import join
from urbanln.city.synthetic.scene import VOCABULARY


@dataclass(frozen=True)
class Mention:
    """An object of a scene as a captioner takes it: name, number, attributes, place, share of the picture."""

    name: str
    count: int
    attributes: tuple[str, ...]
    place: str
    share: float


@dataclass(frozen=True)
class Style:
    """A way of speaking: openings by view (with ``{use}``, ``{what}``), patterns (``{what}``, ``{be}``)."""

    openings: Mapping[str, tuple[str, ...]]
    gross: tuple[str, ...]
    details: tuple[str, ...]


STYLES: dict[str, Style] = {
    "plain": Style(
        {
            "satellite": (
                "this aerial image shows {use} with {what}",
                "the satellite picture shows {use} dominated by {what}",
            ),
            "street": (
                "this street-level photo shows {use} with {what}",
                "the picture shows {use}, seen from the roadway, with {what}",
            ),
        },
        ("there {be} {what}", "the layout includes {what}", "one can see {what}"),
        ("there {be} also {what}", "further details are {what}", "a closer look shows {what}"),
    ),
    "flowing": Style(
        {
            "satellite": (
                "seen from above, {use} spreads out, shaped by {what}",
                "from the air one looks down on {use} made up of {what}",
            ),
            "street": (
                "standing on the road, one looks along {use} lined by {what}",
                "the view opens along {use}, framed by {what}",
            ),
        },
        ("the ground is taken up by {what}", "the eye finds {what}", "much of the scene consists of {what}"),
        (
            "smaller things catch the eye: {what}",
            "here and there one notices {what}",
            "one also finds {what}",
        ),
    ),
    "survey": Style(
        {
            "satellite": ("overview: {use}, mainly {what}", "land use: {use}; dominant elements are {what}"),
            "street": ("overview: {use}, mainly {what}", "setting: {use}; dominant elements are {what}"),
        },
        ("main elements: {what}", "the layout comprises {what}", "structure: {what}"),
        ("details: {what}", "also recorded: {what}", "further features: {what}"),
    ),
    "guide": Style(
        {
            "satellite": (
                "what we have here is {use}, easy to recognise by {what}",
                "this tile takes us over {use} with plenty of {what}",
            ),
            "street": (
                "here we are in {use}, easy to recognise by {what}",
                "this photo takes us through {use} with {what}",
            ),
        },
        ("notice {what}", "the place is shaped by {what}", "we come across {what}"),
        ("looking closer, we make out {what}", "do not miss {what}", "on top of that, we spot {what}"),
    ),
    "terse": Style(
        {
            "satellite": ("aerial view, {use}, {what}", "top-down image of {use} with {what}"),
            "street": ("street view, {use}, {what}", "road scene in {use} with {what}"),
        },
        ("visible {be} {what}", "it has {what}", "present {be} {what}"),
        ("also visible: {what}", "in addition: {what}", "seen as well: {what}"),
    ),
}
"""Ways of speaking by name."""

# Attributes one of which may be mistaken for another.
_SLOTS: tuple[tuple[str, ...], ...] = (
    (
        "red-roofed", "brown-roofed", "grey-roofed", "dark-roofed", "white-roofed", "blue-roofed",
        "rust-coloured",
    ),
    ("tall", "mid-rise", "low"),
    ("full", "half full", "nearly empty"),
    ("with colourful awnings", "with red and white awnings", "with blue awnings"),
    ("clay", "blue"),
    ("yellow", "green", "brown"),
    ("brick", "plastered", "concrete", "white", "glass", "metal-clad"),
    ("clear", "overcast", "hazy"),
    ("wide", "narrow"),
    ("with a red track", "with white lines"),
    ("with a red canopy", "with a green canopy"),
    ("red", "orange", "silver", "black"),
    ("running north to south", "running west to east"),
    ("straight", "diagonal"),
)  # fmt: skip
_AFTER = (
    "with ", "in ", "on ", "running ", "stacked ", "strewn ", "parked ", "sprayed ", "leaning ", "paved ",
)  # fmt: skip
_COUNTS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (2, ("two", "a pair of")),
    (3, ("three",)),
    (5, ("a few", "a handful of")),
    (8, ("several", "a number of")),
    (14, ("about a dozen", "around ten")),
    (26, ("around twenty", "a good many")),
    (10**9, ("dozens of", "very many")),
)
_USES: dict[str, tuple[str, ...]] = {
    "a residential neighbourhood": ("detached house", "terraced house", "apartment block"),
    "an industrial area": ("industrial hall",),
    "a business district": ("office tower", "shopping hall"),
    "a green and open area": ("park", "woodland", "farm field"),
}

WORDS_AT_MOST = 150
"""The longest text, unless a captioner is told otherwise."""
_AT_LEAST = 0.56  # of the longest: shorter ones are filled up
_ONE_AT_A_TIME = ("river", "railway line", "avenue", "sky", "bridge", "plaza", "fountain", "barge")
_PADDING = {
    "satellite": (
        "The streets divide the ground into blocks, and each block has its own use and its own colour.",
        "Roofs, paving and open ground stand out clearly from one another, with shadows to one side.",
    ),
    "street": (
        "The roadway runs straight away from the viewer towards the horizon between the two sides.",
        "The fronts on both sides line up with the kerb and grow smaller with distance.",
    ),
}
# What holds of every picture: said where nothing else is left, so that a sentence can be the tenth.
_OF_ANY = (
    "The picture was taken in daylight, and everything in it can be made out without much effort.",
    "Light and shade alternate across the whole of it, and the edges of most things are sharp.",
    "The colours are of a middle strength throughout, as is usual in pictures of this kind.",
    "All of it was taken at one moment and from one position, and all of it is in focus.",
    "It takes a moment to find the way around in it, since much of it is equally bright.",
    "What is near the edges goes on beyond them, and only the part inside can be described.",
)
_LAST = "Nothing else of any size stands out, and the rest of the picture repeats what was described."


def generator(seed: int, name: str, image_id: str) -> Generator:
    """Random numbers that depend on these three alone."""
    digest = hashlib.blake2b(f"{seed}\n{name}\n{image_id}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def mentions(scene: Mapping[str, Any]) -> list[Mention]:
    """The objects of a true scene, most salient first."""
    return [
        Mention(o["name"], int(o["count"]), tuple(o["attributes"]), o["place"], float(o["share"]))
        for o in scene["objects"]
    ]


def count_word(count: int, rng: Generator) -> str:
    """A number of two or more in words that nobody could count back exactly above three."""
    words = next(words for limit, words in _COUNTS if count <= limit)
    return str(rng.choice(words))


def noun_phrase(mention: Mention, rng: Generator) -> str:
    """ "several tall, grey-roofed apartment blocks", "a wide avenue running west to east"."""
    before = [a for a in mention.attributes if not a.startswith(_AFTER)]
    after = [a for a in mention.attributes if a.startswith(_AFTER)]
    thing = VOCABULARY[mention.name]
    if mention.name == "sky":
        return f"{_article(before)} {_listed(before)} sky" if before else "a sky"
    noun = thing.name if mention.count == 1 else thing.plural
    rows = [a for a in after if "rows" in a]
    rest = " and ".join(a for a in after if "rows" not in a)
    words = [w for w in (_listed(before), noun, *rows, rest) if w]
    number = _article(words) if mention.count == 1 else count_word(mention.count, rng)
    return f"{number} {' '.join(words)}"


def _listed(adjectives: Sequence[str]) -> str:
    """Adjectives of one kind joined by "and" (several things differ), others by commas."""
    if len(adjectives) < 2:
        return "".join(adjectives)
    same = any(adjectives[0] in slot and adjectives[1] in slot for slot in _SLOTS)
    return f"{', '.join(adjectives[:-1])}{' and ' if same else ', '}{adjectives[-1]}"


def _article(words: Sequence[str]) -> str:
    return "an" if words and words[0][0] in "aeio" else "a"


def how_many(name: str, rng: Generator) -> int:
    """A number for a thing that is not there."""
    return 1 if name in _ONE_AT_A_TIME else int(rng.integers(1, 9))


def invented(name: str, view: str, rng: Generator) -> Mention:
    """A thing that is not there, somewhere."""
    return Mention(name, how_many(name, rng), (), str(rng.choice(places(view))), 0.01)


def places(view: str) -> tuple[str, ...]:
    """Where something can be said to be."""
    return ("left", "right") if view == "street" else ("north", "south-east", "west", "centre")


def with_place(phrase: str, place: str, rng: Generator) -> str:
    """The phrase with where it is; an empty place adds nothing."""
    if not place:
        return phrase
    if place == "throughout":
        return f"{phrase} {rng.choice(('throughout', 'all over the area', 'spread over the picture'))}"
    if place in ("left", "right"):
        return f"{phrase} on the {place}"
    return f"{phrase} {rng.choice(('in the', 'towards the')) if place != 'centre' else 'in the'} {place}"


def land_use(gross: Sequence[Mention]) -> str:
    """What kind of area the largest shares make: residential, industrial, business, green, or mixed."""
    shares = {use: sum(m.share for m in gross if m.name in names) for use, names in _USES.items()}
    best = max(shares, key=lambda use: shares[use])
    total = sum(shares.values())
    return best if total and shares[best] / total > 0.5 else "an area of mixed use"


def other_attribute(attribute: str, rng: Generator) -> str:
    """Another attribute of the same kind; the same one where nothing is easily mistaken for it."""
    for slot in _SLOTS:
        if attribute in slot:
            return str(rng.choice([other for other in slot if other != attribute]))
    return attribute


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def compose(
    seen: list[Mention],
    made_up: list[Mention],
    scene: Mapping[str, Any],
    style: str,
    rng: Generator,
    *,
    words: int = WORDS_AT_MOST,
    details_at: int = 0,
) -> tuple[str, set[str]]:
    """A long text: summary, gross layout, then details as far as the length allows; and what was named.

    Args:
        seen: What is told of the scene, most salient first.
        made_up: Things put in at places of their own.
        scene: As in :func:`spoken_lines`.
        style: Way of speaking.
        rng: Decides the wording and the order of details.
        words: The longest text; the layout is told in any case. Shorter than half of it is filled up.
        details_at: Which sentence is the first on details, from 1; what precedes it is filled up with
            sentences that hold of any picture. 0: after the layout.
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
    spoken = spoken_lines(details, scene, style, rng, detail=True)
    fillers = _padding(gross, str(scene["view"]), rng)
    before = [*fillers[:-1], *_OF_ANY]
    lines += before[: max(0, details_at - 1 - len(lines))]
    details_told: list[str] = []
    for group, line in spoken:
        if count_words(lines) + count_words(details_told) + len(line.split()) <= words:
            details_told.append(line)
            said |= {m.name for m in group}
    for line in fillers:
        if count_words(lines) + count_words(details_told) >= round(_AT_LEAST * words):
            break
        if line not in lines:
            lines.append(line)
    first = details_at - 1 if details_at else len(lines)
    return " ".join([*lines[:first], *details_told, *lines[first:]]), said


def count_words(lines: Sequence[str]) -> int:
    """Words of all sentences."""
    return sum(len(line.split()) for line in lines)


def _summary(gross: Sequence[Mention], scene: Mapping[str, Any], style: str, rng: Generator) -> str:
    opening = str(rng.choice(STYLES[style].openings[str(scene["view"])]))
    named = [m for m in gross if m.name not in ("street", "sky", "pavement")][:2]
    what = " and ".join(
        VOCABULARY[m.name].plural if m.count > 1 else f"{_article([m.name])} {m.name}" for m in named
    )
    return sentence(opening.format(use=land_use(gross), what=what or "open ground"))


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
    built = [m for m in gross if m.name.endswith(("house", "block", "tower", "hall"))]
    if built:
        plural = VOCABULARY[built[0].name].plural
        lines.append(
            f"Among the buildings, the {plural} take up the most room and set the character of the place."
        )
    trees = next((m for m in gross if m.name == "tree"), None)
    if trees is not None:
        lines.append(f"In all, {count_word(trees.count, rng)} trees bring some green between the buildings.")
    return [*lines, *_PADDING[view], _LAST]
