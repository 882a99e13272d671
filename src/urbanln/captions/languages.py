"""Which texts are written alike: by script, and within the Latin one by the small words of their language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# Written together, in languages that take as little room.
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "KATAKANA-HIRAGANA")
# Words that hardly a sentence does without; what two languages share tells neither from the other.
_SMALL_WORDS = {
    "English": "the and with of is are there this that by from near along at between which past both into",
    "German": "der das und mit ein eine einer einem ist sind auf von zwischen neben entlang an im am dem den",
    "French": "le les des une avec est sont sur dans près du et aux entre deux de la",
    "Spanish": "el los las una con está en es son hay por cerca y al de la",
    "Italian": "il gli della delle di è sono una con sul vicino ed alla degli che e la",
    "Portuguese": "os uma com em há são da do das dos está perto ao entre um e de",
    "Dutch": "het een van met zijn op naast langs wegen er aan bij tussen de en",
}
_LANGUAGES = {word: [k for k, v in _SMALL_WORDS.items() if word in v.split()]
              for word in " ".join(_SMALL_WORDS.values()).split()}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
_ENOUGH = 2


def written_alike(texts: Sequence[str]) -> bool:
    """Whether the lengths of texts may be compared: one script, and no two languages told apart.

    Example:
        >>> written_alike(["A road with the trees.", "A wide road."]), written_alike(["A road.", "一条路"])
        (True, False)
    """
    languages = {language_of(text) for text in texts} - {""}
    return len({script_of(text) for text in texts}) == 1 and len(languages) < 2


def script_of(text: str) -> str:
    """The script most of a text's letters belong to, by its name in Unicode; empty without a letter.

    Example:
        >>> script_of("A wide road"), script_of("一条宽阔的马路 (road)"), script_of("дорога")
        ('LATIN', 'CJK', 'CYRILLIC')
    """
    names = (unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    found = Counter("CJK" if name in _EAST_ASIAN else name for name in names)
    return found.most_common(1)[0][0] if found else ""


def language_of(text: str) -> str:
    """The language whose small words a text has most of; empty where fewer than two tell, or two as many.

    Example:
        >>> language_of("Eine Straße mit Bäumen und Häusern."), language_of("red roof")
        ('German', '')
    """
    words = set(_WORD.findall(text.lower()))
    found = Counter(language for word in words for language in _LANGUAGES.get(word, ()))
    first, second = [*found.most_common(2), ("", 0), ("", 0)][:2]
    return first[0] if first[1] >= _ENOUGH and first[1] > second[1] else ""
