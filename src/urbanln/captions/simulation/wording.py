"""Words for true scenes: mentions, noun phrases, places, ways of speaking."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

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
        "red-roofed",
        "brown-roofed",
        "grey-roofed",
        "dark-roofed",
        "white-roofed",
        "blue-roofed",
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
)
_AFTER = (
    "with ",
    "in ",
    "on ",
    "running ",
    "stacked ",
    "strewn ",
    "parked ",
    "sprayed ",
    "leaning ",
    "paved ",
)
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
