"""Captions of real pictures from nothing but what is measured in their pixels.

The offline default, and the control: what a network learns from richer captions must beat what it learns from
these. They speak of surfaces, colours, edges and light and never of what things are for: "plant-like green"
is measured, "a park" would be a guess.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from urbanln.base.files import hash_bytes
from urbanln.base.processes import usable_cores
from urbanln.captions.captioners.base import Answer, Ask, Captioner, Identity, Limits, Picture
from urbanln.captions.captioners.phrases import Phrases, amount, corner_list, graded, join
from urbanln.city.pixels import COLOURS, QUADRANTS, measure_pixels

_CORNERS = dict(zip(QUADRANTS, ("upper left", "upper right", "lower left", "lower right"), strict=True))
_SURFACES = {
    "vegetation": ("plant-like green", "green, vegetated-looking surface", "leafy-looking green cover"),
    "built": (
        "grey, hard-looking surface",
        "colourless built-looking surface",
        "pale to grey paved-looking surface",
    ),
    "bare": ("sandy or earthy brown surface", "warm tan and brown surface", "ochre to brown surface"),
    "water": ("smooth bluish surface", "even, water-like blue", "blue-toned smooth surface"),
    "sky": ("open sky", "sky", "sky-like brightness"),
    "shadow": ("dark shadow", "deep shade", "nearly black shade"),
}
_SMALLEST = 0.04
RULES = "1"
"""Version of measures and wording: raised whenever the same picture would get another text."""


class MeasuredCaptioner(Captioner):
    """Describes a picture only from :func:`urbanln.city.pixels.measure_pixels`.

    About 110 to 150 words. The words are quantised from the numbers, and the phrasing is chosen by the
    picture's own hash, so that the same picture always gets the same text and different ones differ.

    Example:
        >>> from PIL import Image
        >>> flat = Image.new("RGB", (64, 64), (70, 120, 50))
        >>> describe_measures(measure_pixels(flat, view="satellite"), "satellite", seed="0")[:57]
        'From overhead, leafy-looking green cover extends over all'
    """

    identity = Identity("measured", revision=RULES)

    def __init__(self) -> None:
        self.limits = Limits(concurrency=usable_cores(), retries=0)

    def describe(self, picture: Picture) -> str:
        """Measure and describe one picture.

        Raises:
            OSError, ValueError, InputError: The picture cannot be read.
        """
        seed = picture.sha256 or hash_bytes(picture.read())
        measures = measure_pixels(picture.load(), view=picture.view)
        return describe_measures(measures, picture.view, seed=seed)

    async def answer(self, ask: Ask) -> Answer | None:
        """Describe a whole picture, in a thread of its own; None for every stage but the first.

        Raises:
            OSError, ValueError, InputError: The picture cannot be read.
        """
        if ask.stage != "describe":
            return None
        started = time.perf_counter()
        text = await asyncio.to_thread(self.describe, ask.picture)
        return Answer(text, finish="stop", cost_usd=0.0, seconds=time.perf_counter() - started)


def describe_measures(measures: Mapping[str, float], view: str, *, seed: str) -> str:
    """Put the measures of one picture into words.

    Args:
        measures: From :func:`urbanln.city.pixels.measure_pixels`.
        view: ``"satellite"`` or ``"street"``; they are described in different terms and order.
        seed: Chooses among phrasings; the same seed and measures give the same text.

    Returns:
        Eight or nine sentences, most salient first.
    """
    say = Phrases(seed)
    start = [_street_overview, _sides] if view == "street" else [_satellite_overview, _quarters]
    parts = [*start, _absent, _colours, _edges, _regularity, _texture, _light]
    sentences = (part(measures, view, say) for part in parts)
    return " ".join(sentence for sentence in sentences if sentence)


Measures = Mapping[str, float]


def _surfaces(measures: Measures, view: str) -> list[str]:
    """Surfaces worth a word, largest first; at eye level smooth blue may be a wall or a car: left out."""
    names = ["vegetation", "built", "bare", "shadow", "sky" if view == "street" else "water"]
    seen = [name for name in names if measures[f"{name}_share"] >= _SMALLEST]
    return sorted(seen, key=lambda name: -measures[f"{name}_share"])


def _list_surfaces(measures: Measures, names: Sequence[str], say: Phrases) -> str:
    return join([f"{amount(measures[f'{n}_share'])} is {say.choose(n, *_SURFACES[n])}" for n in names])


def _satellite_overview(measures: Measures, view: str, say: Phrases) -> str:
    names = _surfaces(measures, view)
    if not names:
        return "A picture from above whose colours belong to no common kind of surface."
    first, rest = names[0], names[1:]
    lead = say.choose(
        "lead",
        "Seen from above, {n} of the ground is {s}",
        "A view from above in which {n} of the area is {s}",
        "From overhead, {s} extends over {n} of the picture",
        "An overhead picture with {s} over {n} of it",
    )
    text = lead.format(n=amount(measures[f"{first}_share"]), s=say.choose(first, *_SURFACES[first]))
    return text + (
        f"; {_list_surfaces(measures, rest, say)}." if rest else ", and little else can be told apart."
    )


def _street_overview(measures: Measures, view: str, say: Phrases) -> str:
    sky = measures["sky_share"]
    openness = graded(
        sky,
        (0.03, "A view at eye level that is closed above, with hardly any sky"),
        (0.15, "A mostly enclosed view at eye level with a little sky, {n} of the frame"),
        (0.35, "A half-open view at eye level in which {n} of the frame is sky"),
        (0.55, "An open view at eye level; {n} of the frame is sky"),
        (2.0, "A wide open view at eye level under a sky that fills {n} of the frame"),
    ).format(n=amount(sky))
    tone = ""
    if sky >= 0.15:
        pale = measures["colour_white"] + measures["colour_light_grey"]
        blue = measures["colour_blue"] + measures["colour_teal"]
        tone = " of a blue tone" if blue > sky / 2 else " of a pale, even tone" if pale > sky / 2 else ""
    rest = [name for name in _surfaces(measures, view) if name != "sky"]
    below = _list_surfaces(measures, rest, say) if rest else "little else can be told apart"
    link = say.choose("below", "of the whole, ", "around it, ", "apart from it, ")
    return f"{openness}{tone and ',' + tone}; {link}{below}."


def _absent(measures: Measures, view: str, say: Phrases) -> str:
    names = {"vegetation": "green", "bare": "earthy brown"} | (
        {} if view == "street" else {"water": "water-like blue"}
    )
    none = [word for name, word in names.items() if measures[f"{name}_share"] < 0.01]
    few = [word for name, word in names.items() if 0.01 <= measures[f"{name}_share"] < _SMALLEST]
    ways = (
        (none, "none", "there is no {w} to speak of", "nothing is {w}"),
        (few, "few", "only specks are {w}", "{w} shows in specks only"),
    )
    text = join([say.choose(key, *said).format(w=join(words, "or")) for words, key, *said in ways if words])
    return text[:1].upper() + text[1:] + "." if text else ""


def _placed(measures: Measures, name: str, say: Phrases) -> str:
    """Where a surface lies, from its share of the four quarters."""
    return corner_list(
        {corner: measures[f"{name}_{c}"] for c, corner in _CORNERS.items()}, say.choose(name + "at", 0, 1, 2)
    )


def _quarters(measures: Measures, view: str, say: Phrases) -> str:
    words = {"vegetation": "the green", "built": "the grey part", "water": "the bluish part"}
    seen = [(n, w) for n, w in words.items() if measures[f"{n}_share"] >= _SMALLEST]
    text = "; ".join(f"{word} {_placed(measures, name, say)}" for name, word in seen)
    return text[:1].upper() + text[1:] + "." if text else ""


def _sides(measures: Measures, view: str, say: Phrases) -> str:
    """At eye level left and right matter more than the quarters: which side is green, which is built up."""
    parts = []
    for name, word in (("vegetation", "green"), ("built", "the grey surface")):
        if measures[f"{name}_share"] < _SMALLEST:
            continue
        nw, ne, sw, se = (measures[f"{name}_{quarter}"] for quarter in QUADRANTS)
        left, right, up, low = nw + sw, ne + se, nw + ne, sw + se
        side = graded(
            (right - left) / (left + right),
            (-0.6, "almost only on the left"), (-0.2, "more on the left than on the right"),
            (0.2, "on both sides alike"), (0.6, "more on the right than on the left"),
            (2.0, "almost only on the right"),
        )  # fmt: skip
        height = graded(
            up / (up + low),
            (0.1, "confined to the lower half"), (0.35, "mostly in the lower half"),
            (0.65, "reaching into the upper half"), (2.0, "mostly in the upper half"),
        )  # fmt: skip
        parts.append(f"{word} stands {side}, {height}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""


def _colours(measures: Measures, view: str, say: Phrases) -> str:
    shares = {name: measures[f"colour_{name.replace(' ', '_')}"] for name in COLOURS}
    ranked = [name for name in sorted(COLOURS, key=lambda n: -shares[n]) if shares[name] >= 0.05][:3]
    if not ranked:
        return ""
    lead = say.choose(
        "colours",
        "The leading colours are {c}",
        "By colour it is {c}",
        "Its main colours: {c}",
        "Colours by area: {c}",
    ).format(c=join([f"{name} ({amount(shares[name])})" for name in ranked]))
    rich = graded(
        measures["colourfulness"],
        (0.06, "almost without colour"), (0.11, "muted"), (0.17, "moderately colourful"),
        (0.25, "colourful"), (9.0, "strongly coloured"),
    )  # fmt: skip
    accents = [n for n in ("red", "orange", "yellow", "blue", "violet", "pink") if 0.004 <= shares[n] < 0.03]
    extra = f", with small accents of {join(accents[:3])}" if accents else ""
    return f"{lead}; in all {rich}{extra}."


def _edges(measures: Measures, view: str, say: Phrases) -> str:
    # A city from above is all roofs and kerbs: what is dense at eye level is ordinary there.
    density = graded(
        measures["edge_density"] * (1.0 if view == "street" else 0.6),
        (0.03, "Hardly any edges"), (0.08, "Few edges"), (0.13, "A moderate number of edges"),
        (0.18, "Rather many edges"), (0.23, "Many edges"), (0.265, "Very many edges"), (0.3, "Dense edges"),
        (0.38, "Very dense edges"), (2.0, "Crowded, extremely dense edges"),
    )  # fmt: skip
    where = {corner: measures[f"edge_{c}"] for c, corner in _CORNERS.items()}
    busy, calm = max(where, key=lambda c: where[c]), min(where, key=lambda c: where[c])
    if where[busy] < 0.02:
        return f"{density} can be made out."
    if where[busy] - where[calm] < 0.25 * where[busy]:
        spread = say.choose("even", "are spread evenly over the frame", "run through the whole frame alike")
        return f"{density} {spread}."
    ways = (
        "{d}, most of them in the {b}, fewest in the {c}.",
        "{d}, thickest in the {b} and thinnest in the {c}.",
        "{d} throughout, busiest in the {b}, quietest in the {c}.",
    )
    return say.choose("busy", *ways).format(d=density, b=busy, c=calm)


_ONE_WAY = ("line", "The edges run mainly in one direction", "One direction of edges prevails")
# By how far the edges keep to two crossing directions, the strictest first.
_GRIDS = (
    (-0.4, ("grid", "The edges form a strict, grid-like pattern",
            "Edges meet at right angles, as in a grid")),
    (-0.22, ("near", "Edges keep mostly to two crossing directions",
             "The edges are fairly regular, near to a grid")),
    (-0.1, ("some", "The edges are only loosely ordered",
            "There is a weak order in the directions of the edges")),
    (1.0, ("none2", "The edges point in all directions, without order",
           "The directions of the edges are irregular")),
)  # fmt: skip


def _regularity(measures: Measures, view: str, say: Phrases) -> str:
    if measures["edge_density"] < 0.02:
        return ""
    grid = measures["edge_grid"]
    text = say.choose(*_ONE_WAY if measures["edge_line"] > 0.3 else graded(-grid, *_GRIDS))
    if view != "street" and grid > 0.22:
        text += graded(
            measures["edge_tilt"],
            (0.15, ", parallel to the frame"), (0.5, ", slightly turned against the frame"),
            (0.85, ", clearly turned against the frame"), (2.0, ", running diagonally"),
        )  # fmt: skip
    return text + "."


def _texture(measures: Measures, view: str, say: Phrases) -> str:
    scales = {s: measures[f"texture_{s}"] for s in ("fine", "middle", "coarse")}
    strongest = max(scales, key=lambda s: scales[s])
    if scales[strongest] < 0.01:
        return "The surface is smooth at every scale."
    words = {"fine": "fine-grained", "middle": "in small patches", "coarse": "in broad patches"}
    grain = graded(
        scales["fine"],
        (0.015, "hardly any fine grain"),
        (0.03, "barely any fine grain"),
        (0.042, "a little fine grain"),
        (0.05, "some fine grain"),
        (0.06, "rather much fine grain"),
        (0.08, "much fine grain"),
        (9.0, "a very rough fine grain"),
    )
    lead = say.choose("texture", "The texture is {t}, with {g}.", "Texture: {t}, {g}.")
    return lead.format(t=words[strongest], g=grain)


def _light(measures: Measures, view: str, say: Phrases) -> str:
    bright = graded(
        measures["brightness_mean"],
        (0.2, "very dark"), (0.33, "dark"), (0.43, "rather dark"), (0.53, "of middle brightness"),
        (0.63, "rather bright"), (0.75, "bright"), (2.0, "very bright"),
    )  # fmt: skip
    contrast = graded(
        measures["contrast"],
        (0.15, "very low"), (0.3, "low"), (0.45, "moderate"), (0.6, "clear"), (0.75, "strong"),
        (2.0, "very strong"),
    )  # fmt: skip
    tones = graded(
        measures["entropy"],
        (0.5, "a few tones only"), (0.75, "a limited range of tones"), (0.88, "a good range of tones"),
        (2.0, "a full range of tones"),
    )  # fmt: skip
    lead = say.choose(
        "light",
        "Overall {b}, with {c} contrast and {t}.",
        "The light is {b}; contrast is {c}, with {t}.",
        "Altogether {b}, of {c} contrast, with {t}.",
    )
    return lead.format(b=bright, c=contrast, t=tones)
