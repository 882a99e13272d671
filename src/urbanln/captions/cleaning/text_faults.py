"""Faults of one caption: each function says what is wrong with a text and how it reads when mended."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from urbanln.base.sentences import (
    is_finished,
    join_sentences,
    normalise,
    split_sentences,
    word_set,
)
from urbanln.captions.cleaning.place_names import PlaceNames

_SHOWN = 80
REFUSED = ("refusal", "content_filter")
"""Why a text ended that is a refusal, whatever it says."""

_CUT_BY_LIMIT = "length"
_ENDED = "stop"
# A refusal begins its sentence; further on, "sorry" and "cannot" may speak of what is seen.
_HEAD = 240
_ANY = r"(?:image|picture|photo)"
# Only words that point at the picture may stand before it: "I cannot see the image" refuses, "I cannot see
# people in the image" describes.
_PICTURE = (
    r"(?:\W+(?:the|this|that|these|those|any|an?|your|attached|provided|actual|contents?|of|or|and|open|process|"
    r"analy[sz]e|interpret|describe|what|is|in)){0,6}?"
    r"\W+(?:image|picture|photo|photograph|file|attachment|url|link|content)s?\b"
)
_END = r"\s*(?:$|[.!,;])"
_SEES = rf"(?:see|view|access|open|load|display)(?:{_END}|{_PICTURE})"
_DOES = (
    r"(?:assist|help(?!\s+but)|process|analy[sz]e|comply|fulfil|generate|continue|discuss|answer|caption)\b"
)
# "I cannot determine the number of floors" is a description's honest doubt.
_TELLS = (
    rf"(?:describe|identify|determine|recogni[sz]e|interpret)(?:\s+(?:this|that|it)\b|{_END}|{_PICTURE})"
    r"|(?:provide|give|write)(?:\s+(?:you|with|the|this|any|an?|your|detailed|accurate)){0,4}"
    rf"\s+(?:description|caption|answer|assistance)s?\b"
)
_UNABLE = (
    r"(?:cannot|can't|can not|could not|couldn't|(?:will not|won't)(?:\s+be\s+able\s+to)?|am not able to|"
    r"'m not able to|am unable to|'m unable to|am not allowed to|'m not allowed to)"
)
_SEEMINGLY = r"(?:it\s+(?:appears|seems|looks)\s+(?:that\s+|as\s+if\s+|like\s+)?)?"
_REFUSAL = re.compile(
    r"[\W_]*(?:(?:however|therefore|thus|unfortunately|but|so|oh|hello|hi|well)\b[,;:.!]?\s*){0,3}(?:"
    r"(?:i'm|i am|we're|we are)\s+(?:\w+\s+)?sorry\b"
    r"|sorry\b[,.!]?\s+(?:but\s+)?(?:i|we|as)\b|(?:my\s+|our\s+)?(?:\w+\s+)?apologies\b|i\s+apologi[sz]e\b"
    rf"|(?:i|we)(?:\s+|(?=')){_UNABLE}\s+(?:\w+ly\s+)?(?:{_DOES}|{_SEES}|{_TELLS})"
    rf"|unable\s+to\s+(?:{_DOES}|{_SEES}|{_TELLS})"
    rf"|i\s+(?:do not|don't|did not|didn't)\s+see\s+(?:an?|any|the|your)\s+{_ANY}"
    r"|i\s+(?:do not|don't)\s+have\s+(?:the\s+(?:ability|capability)|access)\b"
    r"|as\s+an?\s+(?:ai\b|artificial|large language|language model|text-based|multimodal)"
    r"|(?:i'm|i am)\s+(?:just\s+|only\s+)?an?\s+(?:ai\b|artificial|large language|language model|text-based)"
    rf"|(?:please|kindly)\s+(?:provide|upload|share|attach)\s+(?:an?|the|your)\s+{_ANY}"
    rf"|{_SEEMINGLY}(?:there\s+(?:is|was)\s+)?no\s+{_ANY}\s+(?:is\s+|was\s+)?(?:provided|attached|uploaded|given)"
    rf"|{_SEEMINGLY}the\s+{_ANY}\s+(?:(?:did not|didn't|failed to)\s+load"
    r"|(?:cannot|can't|could not)\s+be\s+(?:loaded|displayed|opened|processed|viewed))"
    r"|(?:非常|很)?(?:抱歉|对不起)|作为一个?(?:ai|人工智能|语言模型)|我(?:无法|不能)(?:查看|看到|识别|描述|提供|处理)"
    r")"
)
_DANGLING = word_set(
    """a an the and or but nor of in on at with to from by for into onto near as that which where while is are
    was were has have its their this these those very"""
)
_EDGE = string.punctuation + "…“”‘’。，、！？；："
_COPIES = 4
_PERIOD = 50
_ROW_OF_MARKS = re.compile(r"([^\w\s])\1{7,}")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a text.

    Attributes:
        detail: The sentence, the names or the numbers in question, short.
        mended: The text without the fault; empty when nothing worth keeping is left.
    """

    detail: str
    mended: str


def describes(text: str, finish: str = "") -> bool:
    """Whether a text says anything of a picture: no refusal, and not without a word."""
    return not is_wordless(text) and find_refusal(text, finish) is None


def find_refusal(text: str, finish: str = "") -> Fault | None:
    """Sentences in which a model says that it will not or cannot answer, in place of a description.

    They are told by how they begin ("I'm sorry, but", "As an AI", "Unable to view the image"), so that
    "a sorry-looking house" and "the number cannot be told from the image" are none; nor is doubt about one
    thing in a picture ("I cannot determine the number of floors").

    Args:
        text: The caption.
        finish: Why the captioner ended, where that is known: of one that says itself that it refused, or was
            filtered, nothing is kept.
    """
    if finish in REFUSED:
        return Fault(shorten(f"finish: {finish}; {text}"), "")
    sentences = split_sentences(text)
    refusing = [_is_refusal(sentence) for sentence in sentences]
    if not any(refusing):
        return None
    rest = [sentence for sentence, bad in zip(sentences, refusing, strict=True) if not bad]
    return Fault(shorten(sentences[refusing.index(True)]), join_sentences(rest))


def find_cut_off(text: str, finish: str = "") -> Fault | None:
    """A text that ended before its sentence did.

    A single phrase without a full stop ("a road with trees") is taken for a whole caption, unless its
    captioner says otherwise or it ends on a word such as "the". So are further phrases, such as the points of
    a list, where the captioner says that it ended by itself.

    Args:
        text: The caption.
        finish: Why the captioner ended, where that is known.
    """
    by_limit = finish == _CUT_BY_LIMIT
    if is_finished(text):
        return Fault(f"finish: {finish}", text) if by_limit else None
    sentences = split_sentences(text)
    last = sentences[-1]
    hangs = last[-1] in ",;:-–—(" or last.split()[-1].strip(_EDGE).casefold() in _DANGLING
    if not by_limit and not hangs and (len(sentences) == 1 or finish == _ENDED):
        return None
    return Fault(shorten("… " + last[-_SHOWN:]), join_sentences(sentences[:-1]))


def find_repeated(text: str) -> Fault | None:
    """Sentences said again, and words, phrases or marks that go round and round within one.

    A phrase of up to 50 words must follow itself three times, a mark seven times, before it counts.
    """
    mended, phrase = _unwind(_ROW_OF_MARKS.sub(r"\1", text))
    seen: set[str] = set()
    kept, again = [], ""
    for sentence in split_sentences(mended):
        key = normalise(sentence)
        again = again or (sentence if key in seen else "")
        if key not in seen:
            kept.append(sentence)
        seen.add(key)
    if again:
        mended = join_sentences(kept)
    return None if mended == text else Fault(shorten(phrase or again or "a row of marks"), mended)


def find_places(text: str, places: PlaceNames) -> Fault | None:
    """Names of places in a text; mended, it says "this place"."""
    names = [name for mention in places.mentions(text) for name in mention.names]
    return Fault(shorten(", ".join(dict.fromkeys(names))), places.hide(text)) if names else None


def find_too_long(text: str, tokens: int, limit: int, count: Callable[[str], int]) -> Fault | None:
    """A text of more tokens than the model has positions.

    Args:
        text: The caption.
        tokens: Of the whole text.
        limit: The most there may be.
        count: Tokens of any text.

    Returns:
        As many whole leading sentences as fit; words of the first one where even that is too long.
    """
    if tokens <= limit:
        return None
    sentences = split_sentences(text)
    fits = _longest(len(sentences), lambda n: count(join_sentences(sentences[:n])) <= limit)
    if fits:
        return Fault(f"{tokens} tokens", join_sentences(sentences[:fits]))
    words = sentences[0].split()

    def ended(words: list[str]) -> str:
        # With a full stop: it shall not be taken for a text that its captioner left unfinished.
        return " ".join(words).rstrip(_EDGE + " ") + "."

    fits = _longest(len(words), lambda n: count(ended(words[:n])) <= limit)
    return Fault(f"{tokens} tokens", ended(words[:fits]) if fits else "")


def is_wordless(text: str) -> bool:
    """Whether a text holds no letter and no digit."""
    return not any(character.isalnum() for character in text)


def _is_refusal(sentence: str) -> bool:
    return _REFUSAL.match(sentence[:_HEAD].casefold().replace("’", "'").replace("‘", "'")) is not None


def shorten(text: str, most: int = _SHOWN) -> str:
    """At most so many characters of a text, the last one "…" where there are more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _longest(n: int, fits: Callable[[int], bool]) -> int:
    """The largest count up to ``n`` that fits, by doubling: what lies far beyond is never looked at."""
    low, high = 0, 1
    while high <= n and fits(high):
        low, high = high, 2 * high
    high = min(high, n + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _unwind(text: str) -> tuple[str, str]:
    """The text with each loop of phrases run through once, and the first phrase that looped."""
    words = text.split(" ")
    keys = [word.strip(_EDGE).casefold() or word for word in words]
    kept: list[str] = []
    at, phrase = 0, ""
    for start, end, period in _loops(keys):
        if start < at:
            continue
        copies = (end - start) // period
        last = start + copies * period
        phrase = phrase or " ".join(words[start : start + period])
        # The last word comes from the last copy: there stands the full stop, if there is one.
        kept += [*words[at:start], *words[start : start + period - 1], words[last - 1]]
        at = end if end == len(words) else last
    return " ".join([*kept, *words[at:]]), phrase


def _loops(keys: list[str]) -> list[tuple[int, int, int]]:
    """Start, end and period of each stretch that repeats itself, earliest first, then shortest period."""
    counts = Counter(keys)
    found = []
    for begin, end in _stretches([counts[key] >= _COPIES for key in keys]):
        for period in range(1, min(_PERIOD, (end - begin) // _COPIES) + 1):
            same = [keys[i] == keys[i - period] for i in range(begin + period, end)]
            for first, after in _stretches(same):
                if after - first >= (_COPIES - 1) * period:
                    found.append((begin + first, begin + after + period, period))
    return sorted(found, key=lambda loop: (loop[0], loop[2]))


def _stretches(flags: list[bool]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of true values."""
    start = 0
    for flag, run in groupby(flags):
        end = start + len(list(run))
        if flag:
            yield start, end
        start = end
