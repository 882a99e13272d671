"""Which objects of synthetic pictures a text names, and what a prompt tells a simulated captioner."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from urbanln.captions.captioners.base import LastingFault
from urbanln.city.synthetic.scene import VOCABULARY

# Words of the vocabulary that stand for something else: a way to take pictures, what stalls and playgrounds
# have.
_MEANS_ELSE = re.compile(
    r"\bstreet[- ](?:level|views?)\b|\bplay towers?\b"
    r"|\bwith (?:blue|colourful|striped|red and white) awnings\b",
    re.IGNORECASE,
)
# Every building has one: the word alone does not mean a roof with panels.
_NOT_ALONE = ("roof", "roofs")
_SECTIONS = re.compile(
    r"^description:\n(?P<description>.*?)\n\n(?:notes[^\n]*:\n(?P<notes>.*?)\n\n)?"
    r"do not mention:\n(?P<rejected>.*?)(?:\n\n|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_NOTHING = ("", "none", "nothing", "-", "–")


class Told(NamedTuple):
    """What a prompt of the stages ``merge`` and ``repair`` holds."""

    description: str
    notes: str
    rejected: tuple[str, ...]


class Errors(NamedTuple):
    """How a text does against the true scene, as counts of kinds of objects.

    Attributes:
        named: Kinds the text names.
        true: Kinds in the scene.
        hits: Kinds both in the text and in the scene.
    """

    named: int
    true: int
    hits: int

    @property
    def hallucinated(self) -> float:
        """Share of what is named that is not there; 0 where nothing is named."""
        return 1 - self.hits / self.named if self.named else 0.0

    @property
    def missed(self) -> float:
        """Share of what is there that is not named; 0 where nothing is there."""
        return 1 - self.hits / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the shares that are right: 2 · hits / (named + true)."""
        both = self.named + self.true
        return 2 * self.hits / both if both else 1.0


@cache
def _pattern(view: str) -> tuple[re.Pattern[str], Mapping[str, str]]:
    forms = {
        form: thing.name
        for thing in VOCABULARY.values()
        if view in thing.views
        for form in (thing.name, thing.plural)
    }
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(longest_first)})(?![\w-])", re.IGNORECASE), forms


def named_objects(text: str, view: str) -> list[str]:
    """The kinds of objects a text names, in the order of their first mention, each once.

    The longest name counts ("street lamp" is no street), and plurals do.

    Args:
        text: Any text.
        view: ``"satellite"`` or ``"street"``: only what occurs in such pictures is looked for.

    Example:
        >>> named_objects("Street lamps and two parked cars beside the street.", "street")
        ['street lamp', 'parked car', 'street']
    """
    pattern, forms = _pattern(view)
    plain = _MEANS_ELSE.sub(" ", text)
    return list(dict.fromkeys(forms[found.group().lower()] for found in pattern.finditer(plain)))


@lru_cache(maxsize=4096)
def meant_objects(phrase: str, view: str) -> tuple[str, ...]:
    """The kinds of objects a phrase may mean: those it names, or all whose last word is the phrase's last.

    Args:
        phrase: For example ``"red parked cars"`` or only ``"car"``.
        view: As in :func:`named_objects`.

    Example:
        >>> meant_objects("tall towers", "satellite")
        ('office tower',)
    """
    named = named_objects(phrase, view)
    words = _MEANS_ELSE.sub(" ", phrase).lower().split()
    if named or not words or words[-1] in _NOT_ALONE:
        return tuple(named)
    _, forms = _pattern(view)
    return tuple(dict.fromkeys(name for form, name in forms.items() if form.split()[-1] == words[-1]))


def object_errors(text: str, scene: Mapping[str, Any]) -> Errors:
    """Compare the kinds of objects a text names with those of the true scene.

    Args:
        text: A caption.
        scene: The true scene of its picture.
    """
    named = set(named_objects(text, str(scene["view"])))
    true = {thing["name"] for thing in scene["objects"]}
    return Errors(len(named), len(true), len(named & true))


def read_prompt(text: str) -> Told:
    """Take apart a prompt of the stages ``merge`` and ``repair``.

    Args:
        text: The filled-in prompt, with the headings of the package's own: "Description:", "Notes on
            parts:" (not for ``repair``) and "Do not mention:", each before its lines and a blank line.

    Raises:
        LastingFault: The headings are missing.
    """
    found = _SECTIONS.search(text)
    if found is None:
        raise LastingFault(
            "a simulated captioner finds no description in the prompt",
            value=text,
            remedy="keep the headings 'Description:', 'Notes on parts:' and 'Do not mention:' of the prompts",
            where="prompt",
        )
    pieces = (piece.strip(" \t-•*.\"'") for piece in re.split(r"[\n,;]", found["rejected"]))
    rejected = tuple(dict.fromkeys(piece for piece in pieces if piece.lower() not in _NOTHING))
    return Told(found["description"], found["notes"] or "", rejected)


def mentions_any(text: str, phrases: Sequence[str]) -> bool:
    """Whether a text holds one of the phrases as whole words, whatever their case."""
    return any(re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE) for phrase in phrases)
