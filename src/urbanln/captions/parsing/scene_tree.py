"""The dependency tree of a text, mended where taggers err on captions, and the names of things in it.

Words are addressed by their position in the text.
"""

from __future__ import annotations

from urbanln.captions.parsing import scene_words as words
from urbanln.captions.parsing.spacy_words import Words

NOUNS = ("NOUN", "PROPN")
SUBJECTS = ("nsubj", "nsubjpass")
OBJECTS = ("dobj", "dative")
MOST_CONJUNCTS = 12  # of one thing: longer lists would pair off quadratically
MOST_STEPS = 12  # up a chain of verbs or prepositions


class Tree:
    """A parsed text: its words, which are mended in place, and what hangs on each.

    Args:
        found: The words of the text.

    Attributes:
        lower, lemma, pos, tag, dep, head, glued: As of the words.
        kids: The words that hang on each, in order.
    """

    def __init__(self, found: Words) -> None:
        self.lower, self.lemma, self.pos, self.tag = found.lower, found.lemma, found.pos, found.tag
        self.dep, self.head, self.glued = found.dep, found.head, found.glued
        self.kids: list[list[int]] = [[] for _ in self.head]
        for i, head in enumerate(self.head):
            if head != i:
                self.kids[head].append(i)
        for i in range(len(self.head)):
            self._mend(i)

    def below(self, i: int, *deps: str) -> list[int]:
        """The words that hang on a word in one of some ways."""
        kids = self.kids[i]  # of most words none
        return [k for k in kids if self.dep[k] in deps] if kids else []

    def ofs(self, i: int) -> list[int]:
        """The words "of" that hang on a word."""
        return [k for k in self.below(i, "prep") if self.lower[k] == "of"]

    def _mend(self, i: int) -> None:
        """Undo what the tagger often gets wrong where captions are no whole sentences."""
        pos, dep = self.pos[i], self.dep[i]
        if pos == "X" or (
            pos == "VERB" and dep in ("pobj", "dobj") and self._bare(i) and self.below(i, "det")
        ):
            self.pos[i], self.lemma[i] = "NOUN", self.lower[i]  # not "leave" for "on the left"
        elif pos in NOUNS and self.lemma[i] in words.COLOURS and dep in ("conj", "compound", "nmod"):
            self.pos[i] = "ADJ"  # "a black and white sign"
            self.dep[i] = "amod" if dep == "compound" else dep
        elif self.tag[i] in ("NNS", "VBZ") and self._is_clause(i):
            self._split_clause(i)
        elif (
            self.tag[i] == "VB" and dep == "ROOT" and self._bare(i) and self.below(i, "prep", "det", "xcomp")
        ):
            self.pos[i] = "NOUN"  # "log on the table": captions command nobody
        elif self.tag[i] in ("VBG", "VBN") and dep == "ROOT" and not self.below(i, *SUBJECTS):
            before = [k for k in self.below(i, "npadvmod", "compound", "amod", "nmod", "dep") if k < i]
            if before and self.pos[before[-1]] in NOUNS:
                self.dep[before[-1]] = "nsubj"  # "woman holding kite"

    def _bare(self, i: int) -> bool:
        """Whether a word has nothing that a verb has."""
        return not self.below(i, *SUBJECTS, *OBJECTS, "aux", "auxpass")

    def _is_clause(self, i: int) -> bool:
        """Whether a word after a noun is its verb and no plural: "a road runs along the river"."""
        if self.dep[i] != "ROOT" or (i - 1) not in self.below(i, "compound") or self.below(i, *SUBJECTS):
            return False
        return self.tag[i] == "VBZ" or any(self.lower[k] in ("a", "an") for k in self.below(i, "det"))

    def _split_clause(self, verb: int) -> None:
        """Make the noun before a verb its subject, with all that was said of it."""
        noun = verb - 1
        before = [k for k in self.kids[verb] if k < noun]
        for k in before:
            self.head[k] = noun
        self.kids[noun] = sorted([*before, *self.kids[noun]])
        self.kids[verb] = [k for k in self.kids[verb] if k >= noun]
        self.pos[verb], self.dep[noun] = "VERB", "nsubj"

    def is_part_of_place(self, i: int) -> bool:
        """Only part of a preposition: the front of "in front of the gate", the left of "left of the gate"."""
        part = self.lemma[i] in words.PARTS_OF_PLACE or bool(self.direction(i))
        return self.dep[i] == "pobj" and part and bool(self.ofs(i))

    def direction(self, i: int) -> str:
        """Where a noun that is only a place says something is: "top left" of "the upper left corner".

        Empty for any other noun, also for a place of which more is said: "a shopping center", "the old side".
        """
        own = words.DIRECTIONS.get(self.lower[i], "")
        if not own and self.lemma[i] not in words.SIDES:
            return ""
        told = [k for k in self.kids[i] if self.dep[k] in ("amod", "compound", "nmod", "advmod", "nummod")]
        told += [j for k in told for j in self.kids[k]]
        found = {own, *(words.DIRECTIONS.get(self.lower[k], self.lower[k]) for k in told)}
        found -= words.NO_DIRECTION | {"", "-"}
        if not found <= set(words.DIRECTIONS.values()):
            return ""
        if len(found) > 1:
            found.discard("center")
        return " ".join(sorted(found, key=("top", "bottom").__contains__, reverse=True))

    def reference(self, i: int) -> list[int]:
        """The things that a direction is meant from: the gate of "the left of the gate", but no picture."""
        below = [k for of in self.ofs(i) for k in self.below(of, "pobj")]
        return [k for k in below if self.lemma[k] not in words.NO_OBJECTS and not self.direction(k)]

    def joined(self, i: int) -> bool:
        """Whether a hyphen ties this word to the one before, without spaces."""
        return 1 < i < len(self.lower) and self.lower[i - 1] == "-" and self.glued[i] and self.glued[i - 1]

    def whole(self, i: int, last: str) -> str:
        """A hyphenated word with its earlier parts; ``last`` is the form of the last part."""
        parts = [last]
        while self.joined(i):
            i -= 2
            parts.append(self.lower[i])
        return "-".join(reversed(parts))

    def compounds(self, i: int) -> list[int]:
        """The nouns before a noun that make one name with it."""
        return [
            k
            for k in self.below(i, "compound")
            if k < i
            and self.lemma[k] not in words.LOOKS
            and not self.joined(k + 2)
            and self.lower[k].isalpha()
        ]

    def name(self, i: int) -> str:
        """What a noun is called: lemma, compounds and hyphens, as in "parking lot"; "block of flats" too."""
        parts = [self.whole(i, self.lemma[i])]
        for k in reversed(self.compounds(i)):
            inner = [self.lower[j] for j in self.compounds(k)]
            parts[:0] = [*inner, self.whole(k, self.lemma[k])]
        flats = self.flats(i)
        return " ".join([*parts, "of", self.lower[flats]] if flats is not None else parts)

    def flats(self, i: int) -> int | None:
        """The second noun of "block of flats", which is one thing."""
        if self.lemma[i] != "block":
            return None
        return next((k for k in self.reference(i) if self.lemma[k] in ("flat", "apartment")), None)

    def measured(self, i: int) -> int | None:
        """What a measure is of: the people of "a group of people", the houses of "three of the houses"."""
        if not (self.lemma[i] in words.MEASURES or self.pos[i] == "NUM") or self.compounds(i):
            return None
        return next((k for of in self.ofs(i) for k in self.below(of, "pobj")), None)

    def things(self, i: int) -> list[int]:
        """The nouns a phrase stands for: through measures, with its conjuncts."""
        found: list[int] = []
        waiting = [i]
        while waiting and len(found) < MOST_CONJUNCTS:
            word = waiting.pop(0)
            waiting += self.below(word, "conj")
            for _ in range(MOST_STEPS):
                inner = self.measured(word)
                if inner is None:
                    break
                waiting += self.below(inner, "conj")
                word = inner
            if self.pos[word] in NOUNS:
                found.append(word)
        return found
