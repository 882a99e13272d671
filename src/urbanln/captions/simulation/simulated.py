"""Simulated captioners: texts from a synthetic picture's true scene, with known errors.

They stand in for multimodal models of different quality where none is at hand: each overlooks objects (small
ones more often), makes some up, and mistakes attributes, always the same way for the same picture. Because
the errors are known, what a later step does about them can be measured.

How they describe parts and merge texts follows assumptions, set by judgement and measured on no model:

* A closer look overlooks half as much, but invents too: on average half an object per part where the rate
  ``hallucination`` is 1 (two parts invent as much as a quarter of a whole picture's description).
* Told to write one text, a model believes what it reads: of named things that are not there, it strikes out
  half where it never makes things up, and fewer the more it does.
* A thing it was told not to mention is left out nine times in ten.
* While rewriting it forgets a tenth of what it would overlook, and makes up a quarter of what it makes up
  when it describes a picture.
* What is taken for something else (``untrue``) is so in every answer on a picture, but for half of it in a
  closer look; merging, a captioner doubts what it reads the less, the more it takes for something else.
* Captioners err independently of each other. Real ones share habits, so that a vote helps them less; how
  much less, ``shared`` shows. Attributes and numbers are always mistaken independently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from numpy.random import Generator

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.captions.captioners.base import Box
from urbanln.captions.captioners.phrases import join
from urbanln.captions.simulation.naming import meant_objects, mentions_any, named_objects, read_prompt
from urbanln.captions.simulation.untrue import mistakes, take_for_others
from urbanln.captions.simulation.wording import (
    STYLES,
    WORDS_AT_MOST,
    Mention,
    compose,
    generator,
    how_many,
    invented,
    mentions,
    noun_phrase,
    other_attribute,
    places,
    sentence,
    spoken_lines,
)
from urbanln.city.synthetic.scene import VOCABULARY, part_of_scene

UNCLEAR = "unclear"
"""What a captioner says of a part in which it makes nothing out."""

# Small things are overlooked more often, and what fills the picture hardly ever.
_OVERLOOKED = {"large": 0.3, "middle": 0.9, "small": 1.4}
_MADE_UP_AT_MOST = 4
WORDS, DETAILS_AT = (40, 400), (0, 20)
"""What the length of a text and the place of its details may be."""
_PART_WORDS = 20
# Counted into the revision: other rules, another captioner.
_RULES = 1

# The assumptions of the module's docstring.
_CLOSER_LOOK = 0.5
_INVENTED_WHOLE, _INVENTED_PART, _INVENTED_MERGING = 4.0, 0.5, 1.0
_DOUBT = 0.5
_OBEDIENCE = 0.9
_FORGETS = 0.1


class Described(NamedTuple):
    """A caption and what is wrong with it: names of objects left out, and of objects made up."""

    text: str
    omitted: list[str]
    hallucinated: list[str]


@dataclass(frozen=True)
class SimulatedCaptioner:
    """Describes true scenes with errors at known rates; each text is a function of the arguments alone.

    Args:
        name: Name in the caption table; part of the random seed, so that captioners differ.
        omission: Chance to overlook an object of middle size; 0.3 of it for large, 1.4 for small ones.
        hallucination: Mean number of objects made up per picture, divided by four.
        wrong_attribute: Chance that an object's attribute, or its number, is mistaken for another.
        style: Way of speaking, one of ``wording.STYLES``.
        seed: Another seed makes other errors at the same rates.
        shared: Chance that a made-up object, and the decision whether to overlook one or to take it for
            another, comes from random numbers common to all captioners asked the same of a picture, instead
            of its own; the rates stay. Of what the common numbers decide, a careful captioner's errors are
            among a careless one's.
        untrue: Share of the objects it tells of that are not in the picture, each in place of one that is;
            what ``hallucination`` adds comes on top.
        words: The longest description, in words.
        details_at: Which sentence is the first on details, from 1; 0: after the layout of the whole.

    Raises:
        InputError: A rate outside 0–1, a length or place out of range, or no such style.
    """

    name: str
    omission: float = 0.15
    hallucination: float = 0.1
    wrong_attribute: float = 0.06
    style: str = "plain"
    seed: int = 0
    shared: float = 0.0
    untrue: float = 0.0
    words: int = WORDS_AT_MOST
    details_at: int = 0

    def __post_init__(self) -> None:
        rates = dict.fromkeys(("omission", "hallucination", "wrong_attribute", "shared", "untrue"), (0, 1))
        for label, (low, high) in (rates | {"words": WORDS, "details_at": DETAILS_AT}).items():
            if not low <= getattr(self, label) <= high:
                raise InputError(
                    f"{label} must be from {low} to {high}",
                    value=getattr(self, label),
                    where=self.name,
                    remedy=f"give a number from {low} to {high}",
                )
        if self.style not in STYLES:
            raise InputError(
                "no such style", value=self.style, remedy=f"one of {', '.join(STYLES)}", where="style"
            )

    @property
    def revision(self) -> str:
        """Hash of all that its texts depend on besides pictures and prompts."""
        depends = {**asdict(self), "rules": _RULES}
        for name in ("shared", "untrue", "words", "details_at"):  # texts are then those from before them
            if depends[name] == type(self).__dataclass_fields__[name].default:
                del depends[name]
        return hash_bytes(json.dumps(depends).encode())[:12]

    def describe(self, scene: Mapping[str, Any], image_id: str) -> str:
        """A long text (about 85 to 150 words) on a true scene, the same for the same picture."""
        return self.describe_with_errors(scene, image_id).text

    def describe_with_errors(self, scene: Mapping[str, Any], image_id: str) -> Described:
        """The text of :meth:`describe`, with the objects left out and made up in it."""
        rng = generator(self.seed, self.name, image_id)
        true = mentions(scene)
        seen = [m for k, m in enumerate(true) if k < 2 or not self._overlooks(m, rng, image_id)]
        seen = [self._mistake(m, rng) for m in seen]
        told, false = self._take_for_others(seen, scene, image_id)
        known = {m.name for m in [*true, *false]}
        made_up = self._make_up(known, str(scene["view"]), rng, image_id, _INVENTED_WHOLE)
        if false:
            scene = _related(scene, {m.name for m in told})
        text, said = self._compose(told, made_up, scene, rng)
        omitted = [m.name for m in true if m.name not in said]
        return Described(text, omitted, [m.name for m in [*false, *made_up] if m.name in said])

    def describe_part(self, scene: Mapping[str, Any], image_id: str, box: Box) -> str:
        """At most 20 words on a part of a picture, or "unclear".

        Args:
            scene: The true scene of the whole picture.
            image_id: Its id.
            box: The part.

        Raises:
            ArtefactError: The scene does not say where its objects are.
        """
        left, upper, right, lower = (round(edge, 4) for edge in box)
        part = part_of_scene(scene, (left, upper, right, lower))
        edges = f"{left},{upper},{right},{lower}"
        rng, asked = self._generator("local", image_id, edges), f"{image_id}\n{edges}"
        true = mentions(part)
        seen = [self._mistake(m, rng) for m in true if not self._overlooks(m, rng, asked, _CLOSER_LOOK)]
        seen, _ = self._take_for_others(seen, scene, image_id, _CLOSER_LOOK)
        known = {m.name for m in [*true, *seen]}
        seen += self._make_up(known, str(scene["view"]), rng, asked, _INVENTED_PART)
        phrases: list[str] = []
        for mention in [seen[k] for k in rng.permutation(len(seen))]:
            phrase = noun_phrase(mention, rng)
            if len(join([*phrases, phrase]).split()) <= _PART_WORDS:
                phrases.append(phrase)
        return sentence(join(phrases)) if phrases else UNCLEAR

    def merge(self, scene: Mapping[str, Any], image_id: str, prompt: str) -> str:
        """One long text from what the prompt says of a picture, as a model that rewrites gives it.

        Args:
            scene: The true scene.
            image_id: Id of the picture.
            prompt: Filled in, with the headings :func:`naming.read_prompt` looks for.

        Raises:
            LastingFault: The headings are missing.
        """
        told, view = read_prompt(prompt), str(scene["view"])
        # Not the prompt: each captioner's holds what it said before.
        rng, asked = self._generator("merge", image_id, prompt), f"{image_id}\nmerge"
        banned = self._obeyed(told.rejected, view, rng)[1]
        true = mentions(scene)
        there = {m.name: m for m in true}
        kept, made_up = set(), []
        for name in named_objects(f"{told.description}\n{told.notes}", view):
            if name in banned:
                continue
            if name not in there:
                if rng.random() >= _DOUBT * (1 - max(self.hallucination, self.untrue)):
                    made_up.append(invented(name, view, rng))
            elif not self._overlooks(there[name], rng, asked, _FORGETS):
                kept.add(name)
        known = set(there) | banned | {m.name for m in made_up}
        made_up += self._make_up(known, view, rng, asked, _INVENTED_MERGING)
        seen = [self._mistake(m, rng) for m in true if m.name in kept]
        return self._compose(seen, made_up, _related(scene, kept), rng)[0]

    def repair(self, scene: Mapping[str, Any], image_id: str, prompt: str) -> str:
        """The prompt's description again; sentences that name a rejected thing are worded anew without it.

        Args:
            scene: The true scene.
            image_id: Id of the picture.
            prompt: As for :meth:`merge`, without notes.

        Raises:
            LastingFault: The headings are missing.
        """
        told, view = read_prompt(prompt), str(scene["view"])
        rng = self._generator("repair", image_id, prompt)
        phrases, banned = self._obeyed(told.rejected, view, rng)
        there = {m.name: m for m in mentions(scene)}
        bare = {**scene, "relations": []}

        def touched(line: str) -> bool:
            return not banned.isdisjoint(named_objects(line, view)) or mentions_any(line, phrases)

        lines: list[str] = []
        for line in re.split(r"(?<=[.!?])\s+", told.description.strip()):
            if not touched(line):
                lines.append(line)
                continue
            names = [name for name in named_objects(line, view) if name not in banned]
            for gross in (True, False):
                group = [
                    there.get(n) or invented(n, view, rng) for n in names if VOCABULARY[n].gross is gross
                ]
                anew = spoken_lines(group, bare, self.style, rng, detail=not gross)
                lines += [said for _, said in anew if not touched(said)]
        return " ".join(lines) or told.description

    def _compose(
        self, told: list[Mention], made_up: list[Mention], scene: Mapping[str, Any], rng: Generator
    ) -> tuple[str, set[str]]:
        how = {"words": self.words, "details_at": self.details_at}
        return compose(told, made_up, scene, self.style, rng, **how)

    def _take_for_others(
        self, seen: list[Mention], scene: Mapping[str, Any], image_id: str, factor: float = 1.0
    ) -> tuple[list[Mention], list[Mention]]:
        """What it tells of what it sees, and of that what is not there."""
        if not self.untrue:
            return seen, []
        true, view = mentions(scene), str(scene["view"])
        own = mistakes(true, view, generator(self.seed, f"{self.name}/untrue", image_id))
        common = mistakes(true, view, self._common("untrue", image_id))
        return take_for_others(
            seen, own, common, share=factor * self.untrue, shared=self.shared,
            whose=self._common("whose mistake", image_id),
        )  # fmt: skip

    def _generator(self, stage: str, image_id: str, what: str) -> Generator:
        return generator(self.seed, f"{self.name}/{stage}", f"{image_id}\n{what}")

    def _obeyed(self, rejected: Sequence[str], view: str, rng: Generator) -> tuple[list[str], set[str]]:
        """The phrases it takes notice of, and the objects they mean."""
        phrases = [phrase for phrase in rejected if rng.random() < _OBEDIENCE]
        return phrases, {name for phrase in phrases for name in meant_objects(phrase, view)}

    def _common(self, what: str, asked: str) -> Generator:
        """Random numbers for all captioners that are asked the same."""
        return generator(self.seed, f"all captioners/{what}", asked)

    def _overlooks(self, mention: Mention, rng: Generator, asked: str, factor: float = 1.0) -> bool:
        chance = factor * self.omission * _OVERLOOKED[VOCABULARY[mention.name].size]
        drawn = rng.random()
        if self.shared:
            which, common = self._common("overlook", f"{asked}\n{mention.name}").random(2)
            drawn = common if which < self.shared else drawn
        return bool(drawn < min(chance, 1.0))

    def _mistake(self, mention: Mention, rng: Generator) -> Mention:
        attributes = [
            other_attribute(a, rng) if rng.random() < self.wrong_attribute else a for a in mention.attributes
        ]
        count = mention.count
        if rng.random() < self.wrong_attribute:
            count = max(1, round(count * float(rng.choice((0.4, 2.5)))))
        return replace(mention, attributes=tuple(dict.fromkeys(attributes)), count=count)

    def _make_up(
        self, known: set[str], view: str, rng: Generator, asked: str, factor: float
    ) -> list[Mention]:
        """Objects that are not among the known ones; their mean number is ``factor × hallucination``."""
        others = [t.name for t in VOCABULARY.values() if view in t.views and t.name not in known]
        rate = factor * self.hallucination
        common = self._take_up(known, view, asked, rate * self.shared) if self.shared else []
        taken = {m.name for m in common}
        # The sum of the two Poisson numbers has the rate of the whole, as without sharing.
        n = len(common) + int(rng.poisson(rate * (1 - self.shared)))
        n = min(n, _MADE_UP_AT_MOST, len(others)) - len(common)
        names = [others[k] for k in rng.permutation(len(others)) if others[k] not in taken][:n]
        counts = [how_many(name, rng) for name in names]
        return common + [
            Mention(name, count, (), str(rng.choice(places(view))), 0.01)
            for name, count in zip(names, counts, strict=True)
        ]

    def _take_up(self, known: set[str], view: str, asked: str, rate: float) -> list[Mention]:
        """Of the objects that come to the mind of all captioners, as many as the rate gives.

        They come up one after another as in a Poisson process, and each captioner makes up those that come
        up before its rate: their number has the distribution that it has without sharing.
        """
        rng = self._common("make up", asked)
        comes_up = rng.exponential(size=_MADE_UP_AT_MOST).cumsum()
        names = [t.name for t in VOCABULARY.values() if view in t.views]
        things = [invented(names[k], view, rng) for k in rng.permutation(len(names))]
        unknown = [thing for thing in things if thing.name not in known]
        return [thing for thing, when in zip(unknown, comes_up, strict=False) if when < rate]


def _related(scene: Mapping[str, Any], names: set[str]) -> Mapping[str, Any]:
    """A scene with those relations alone that hold among some of its things."""
    among = [r for r in scene.get("relations", []) if r[0] in names and r[2] in names]
    return {**scene, "relations": among}


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
