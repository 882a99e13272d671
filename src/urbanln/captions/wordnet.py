"""WordNet 3.0: base forms and synonyms of words, from the table that the package ships."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Literal, Protocol

Pos = Literal["n", "v", "a", "r"]
POS: tuple[Pos, ...] = ("n", "v", "a", "r")
_FOLDER = "wordnet_table"
# Princeton's morphy(7WN): endings of inflected forms and what they may stand for.
_ENDINGS: Mapping[Pos, tuple[tuple[str, str], ...]] = {
    "n": (
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "v": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}


class Synonyms(Protocol):
    """What the score needs to know about words; WordNet for English, anything else for another language."""

    def lemma(self, word: str, pos: Pos = "n") -> str:
        """The base form of a word, or the word itself where none is known."""

    def synonyms(self, word: str, pos: Pos | None = None, senses: int | None = None) -> frozenset[str]:
        """All words that share a meaning with this one (itself too); empty for an unknown word."""


class WordNet:
    """Synsets and irregular forms, looked up in memory.

    Args:
        lines: The table: see ``wordnet_table/README.md``.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        rows: dict[str, list[str]] = {}
        for line in lines:
            if line[:2] in ("= ", "! "):
                rows[line] = current = []
            else:
                current.append(line)
        self._synsets = {pos: rows[f"= {pos}"] for pos in POS}
        self._bases: dict[Pos, dict[str, list[str]]] = {
            pos: {form: bases for form, *bases in map(str.split, rows[f"! {pos}"])} for pos in POS
        }
        # "house#5" → row; sense numbers of a word have no gaps, so its senses are found by counting.
        self._row_of: dict[Pos, dict[str, int]] = {
            pos: {
                word: row for row, line in enumerate(self._synsets[pos]) for word in line.lower().split(" ")
            }
            for pos in POS
        }

    def lemma(self, word: str, pos: Pos = "n") -> str:
        """The base form of a word: by irregular forms, itself where WordNet has it, else by endings.

        Args:
            word: In any case; the words of a term are separated by blanks or ``_``. Of a term that is
                unknown as a whole only the last word is changed.
            pos: ``"n"``, ``"v"``, ``"a"`` or ``"r"``.

        Returns:
            In lower case, blanks between words; the word as it is where nothing is known about it.

        Example:
            >>> load_wordnet().lemma("parking lots")
            'parking lot'
        """
        form = _joined(word)
        known = self._forms(form, pos)
        head, joint, last = form.rpartition("_")
        if not known and head:
            known = [head + joint + base for base in self._forms(last, pos)]
        return (known[0] if known else form).replace("_", " ")

    def synonyms(self, word: str, pos: Pos | None = None, senses: int | None = None) -> frozenset[str]:
        """The words of all synsets that a word or one of its base forms is in.

        Args:
            word: As for :meth:`lemma`.
            pos: One part of speech; None for all.
            senses: Only synsets in which this word has one of its so many most frequent senses, and of
                their words only those that have one of theirs; None for all.

        Returns:
            Words in WordNet's spelling, blanks as ``_``; empty where WordNet has no such word.

        Example:
            >>> sorted(load_wordnet().synonyms("edifices", "n"))
            ['building', 'edifice']
        """
        form = _joined(word)
        found: set[str] = set()
        for part in POS if pos is None else (pos,):
            for base in self._forms(form, part):
                for row in self._rows(base, part, senses):
                    for entry in row.split(" "):
                        name, _, number = entry.partition("#")
                        if senses is None or int(number or 1) <= senses:
                            found.add(name)
        return frozenset(found)

    def _rows(self, form: str, pos: Pos, senses: int | None) -> list[str]:
        row_of = self._row_of[pos]
        rows: list[str] = []
        while senses is None or len(rows) < senses:
            row = row_of.get(form if not rows else f"{form}#{len(rows) + 1}")
            if row is None:
                break
            rows.append(self._synsets[pos][row])
        return rows

    def _forms(self, form: str, pos: Pos) -> list[str]:
        """All base forms that WordNet has, likeliest first (morphy)."""
        known = self._row_of[pos]
        irregular = self._bases[pos].get(form)
        if irregular is not None:
            return [base for base in dict.fromkeys((*irregular, form)) if base in known]
        forms = [form]
        found = [form] if form in known else []
        while forms:
            forms = [
                word[: -len(old)] + new for word in forms for old, new in _ENDINGS[pos] if word.endswith(old)
            ]
            found += [base for base in dict.fromkeys(forms) if base in known and base not in found]
            if found:
                break
        return found


def _joined(word: str) -> str:
    return "_".join(word.lower().replace("_", " ").split())


@cache
def load_wordnet() -> WordNet:
    """The package's WordNet 3.0; read at the first call (a third of a second), then shared."""
    packed = (resources.files("urbanln.captions") / _FOLDER / "wordnet.txt.gz").read_bytes()
    return WordNet(gzip.decompress(packed).decode("utf-8").splitlines())
