"""Names of places in captions: a leak from one city to the next, found and written over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from urbanln.base.sentences import word_set
from urbanln.captions.wordnet import load_wordnet

_WORD = re.compile(r"[^\W_]+")
# From here on scripts are written without blanks, so that a name may stand inside a word.
_UNSPACED = "\u2e80"
_HERE = "这里"
# Most words of a text begin no name: they are passed over at once where all names begin with a capital.
_CAPITAL = re.compile(r"(?<![^\W_])[^\W\d_a-z][^\W_]*")
_INSIDE = r"(?: |-|\. ?|'|’)"
_NO_MORE = r"(?![^\W_])"
_BETWEEN = frozenset(
    ("", "，", "、", " ", ", ", ",", " and ", ", and ", " or ", ", or ", "/", " / ", " - ", "-")
)
_KIND = re.compile(rf" (?:City|Province|District|Municipality|County|Prefecture|State|Region){_NO_MORE}")
_LEADING = word_set(
    """in of from near at to into across throughout within around over above like through for by with
    between toward towards outside inside beyond about and or but as than that which where when while if
    because"""
)
_WHERE = word_set("in of from near across throughout within")
_ARTICLES = word_set("a an the this that these those its his her their our my your every each one")
_PARTS = word_set(
    """downtown central inner outer greater modern contemporary historic historical old ancient urban suburban
    rural northern southern eastern western north south east west northeast northwest southeast southwest
    mainland"""
)
_FOLLOWING = word_set(
    """is was are were has had have does did can could may might will would seems appears offers lies stands
    looks shows features in on at of with where which that who when as by from to for during while and or but
    under over itself also alone today s"""
)
_OUR_WORDS = word_set("this place local part the")


@dataclass(frozen=True)
class Mention:
    """A place named in a text, with all names of a row such as ``Beijing, China``.

    Attributes:
        start: First character.
        end: After the last one.
        names: As they are known, first to last.
    """

    start: int
    end: int
    names: tuple[str, ...]


@cache
def _built_in() -> tuple[str, ...]:
    text = files("urbanln.captions.cleaning").joinpath("places.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(name.strip() for line in lines for name in line.split(",") if name.strip())


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Only those of names that occur: compiling all of them takes longer than cleaning a small city.
    return re.compile(pattern)


def _as_spelled(name: str) -> str:
    """A city's name as captions have it; ordinary words count only after one such as "in", numbers never."""
    name = " ".join(name.split()) if any(map(str.isalpha, name)) else ""
    if name[:1] >= _UNSPACED or name != name.lower():
        return name
    title = " ".join(word.capitalize() for word in _WORD.findall(name))
    return f"?{title}" if name in load_wordnet().synonyms(name) else title


class PlaceNames:
    """Finds names of places, and puts "this place" where they stood.

    Names count as written or in capitals, as whole words: case tells "China" from "china". Words for peoples
    and languages ("Chinese") are no names of places: lettering in a picture is described by them.

    Args:
        names: Beside the built-in ones (countries, provinces, very large cities): the city's own.
            Words that stand in the replacement itself ("place") are passed over. One in small letters only
            is taken for a folder's: "new-haven" means New Haven, and "city" no word "city" of a text.

    Example:
        >>> PlaceNames().hide("A street in Beijing, China. The Shanghai skyline.")
        'A street in this place. The local skyline.'
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._sure: dict[tuple[str, ...], bool] = {}
        self._spelling: dict[tuple[str, ...], str] = {}
        unspaced = []
        for entry in (*_built_in(), *map(_as_spelled, names)):
            sure, name = not entry.startswith("?"), entry.lstrip("?")
            if name[:1] >= _UNSPACED:
                unspaced += [] if name in _HERE else [name]
                continue
            for spelling in (name, name.upper()):
                words = tuple(_WORD.findall(spelling))
                if words and not _OUR_WORDS.issuperset(word.casefold() for word in words):
                    self._sure[words] = sure
                    self._spelling[words] = name
        tails: dict[str, list[str]] = {}
        for words in sorted(self._sure, key=len, reverse=True):
            tails.setdefault(words[0], []).append(_INSIDE.join(words))
        self._tails = {first: f"(?:{'|'.join(tail)}){_NO_MORE}" for first, tail in tails.items()}
        self._starts = _CAPITAL if all(_CAPITAL.match(first) for first in tails) else _WORD
        longest_first = sorted(map(re.escape, unspaced), key=len, reverse=True)
        self._unspaced = re.compile("|".join(longest_first))

    def mentions(self, text: str) -> list[Mention]:
        """Every mention of a place, in order; names in a row make one.

        Takes time linear in the length of the text.
        """
        rows: list[list[tuple[Mention, bool]]] = []
        for mention, sure in self._names(text):
            if rows and text[rows[-1][-1][0].end : mention.start] in _BETWEEN:
                rows[-1].append((mention, sure))
            else:
                rows.append([(mention, sure)])
        found = []
        for row in rows:
            first, end = row[0][0], max(mention.end for mention, _ in row)
            if any(sure for _, sure in row) or _word_before(text, first.start).casefold() in _WHERE:
                found.append(Mention(first.start, end, tuple(m.names[0] for m, _ in row)))
        return found

    def hide(self, text: str) -> str:
        """The text with "this place" or "local" for each mention, with what grammar needs around it."""
        parts: list[str] = []
        at = 0
        for mention in self.mentions(text):
            start, end, words = _instead(text, mention, at)
            parts += [text[at:start], words]
            at = end
        return "".join([*parts, text[at:]])

    def _names(self, text: str) -> list[tuple[Mention, bool]]:
        """Single names in order, and whether each counts without looking around."""
        unspaced = self._unspaced.finditer(text)
        found = [(Mention(match.start(), match.end(), (match.group(),)), True) for match in unspaced]
        at = 0
        for start in self._starts.finditer(text):
            tail = self._tails.get(start.group()) if start.start() >= at else None
            name = _compiled(tail).match(text, start.start()) if tail else None
            if name:
                at = name.end()
                kind = _KIND.match(text, at)
                words = tuple(_WORD.findall(name.group()))
                end = kind.end() if kind else at
                found.append((Mention(name.start(), end, (self._spelling[words],)), self._sure[words]))
        return sorted(found, key=lambda pair: pair[0].start)


def _word_before(text: str, start: int) -> str:
    """The word that ends one blank before a place in the text; empty where anything else stands there."""
    end = start - 1
    if end < 1 or text[end] != " ":
        return ""
    # No word that is looked for is longer, and a megabyte without a blank shall cost nothing.
    begin = max(0, end - 16)
    blank = text.rfind(" ", begin, end)
    word = text[blank + 1 : end].lstrip("\"'“‘(") if blank >= 0 or begin == 0 else ""
    return word if word.isalnum() else ""


def _word_after(text: str, end: int) -> str:
    """The word that begins one blank or hyphen after a place in the text."""
    if text[end : end + 1] not in (" ", "-"):
        return ""
    word = _WORD.match(text, end + 1)
    return word.group() if word else ""


def _instead(text: str, mention: Mention, since: int) -> tuple[int, int, str]:
    """From where to where a mention and the words bound to it go, and what comes instead."""
    start, end = mention.start, mention.end
    if text[start] >= _UNSPACED:
        return start, end, _HERE
    if text[end : end + 2] == ". " and text[end - 2 : end - 1] == "." and text[end + 2 : end + 3].islower():
        end += 1
    before, after = _word_before(text, start), _word_after(text, end)
    if start - len(before) - 1 < since:
        before = ""
    lower = before.casefold()
    if _is_attributive(text[end : end + 1], lower, after):
        words = "local" if lower in _ARTICLES or not after[0].isupper() else "the local"
    elif lower in _PARTS:
        start -= len(before) + 1
        outer = _word_before(text, start).casefold()
        before = outer if start - len(outer) - 1 >= since else ""
        indefinite = outer in _ARTICLES and outer != "the"
        words = f"{lower} place" if indefinite else f"the {lower} part of this place"
    else:
        words = "place" if lower in _ARTICLES and lower != "the" else "this place"
    if text[end - 1] in "sS" and text[end : end + 2] in ("' ", "’ "):
        words, end = words + "'s", end + 1
    if before.casefold() == "the" and words != "local":
        start -= len(before) + 1
    elif before.casefold() == "an":
        start, words = start - len(before) - 1, f"a {words}"
    return start, end, words[0].upper() + words[1:] if _begins_sentence(text, start) else words


def _is_attributive(link: str, before: str, after: str) -> bool:
    """Whether a name stands before the noun it belongs to, as in "the busy Beijing street"."""
    if not after:
        return False
    if link == "-" or after[0].isupper():
        return True
    return bool(before) and before not in _LEADING and after not in _FOLLOWING


def _begins_sentence(text: str, start: int) -> bool:
    at = start - 1
    while at >= 0 and text[at] in " \"'“‘(":
        at -= 1
    return at < 0 or text[at] in ".!?…。！？"
