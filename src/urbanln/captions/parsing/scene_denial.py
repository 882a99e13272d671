"""What a text says is not there, and what it denies of a thing that is."""

from __future__ import annotations

from urbanln.captions.parsing import scene_words as words
from urbanln.captions.parsing.scene_tree import MOST_STEPS, NOUNS, OBJECTS, SUBJECTS, Tree

_NO = ("no", "neither", "zero", "0")
_MANY = ("many", "much")
_ALL = ("all", "every", "each", "both")
_NONE = ("none", "neither", "nothing", "nobody")


class Denials(Tree):
    """A tree that knows its denials. "Few" and "hardly any" deny nothing."""

    def is_absent(self, i: int) -> bool:
        """Whether a noun is named only to say that it is not there: "no cars", "a lack of trees"."""
        for _ in range(MOST_STEPS):
            dep, head = self.dep[i], self.head[i]
            if self._is_denied(i):
                return True
            if dep == "pobj" and self.lower[head] == "of":
                whole = self.head[head]
                if self.lemma[whole] in words.LACKS:
                    return not self._has_no(whole)
                if self.measured(whole) != i:
                    return False
                i = whole
            elif dep == "conj" and not self._starts_anew(i):
                i = head
            else:
                return False
        return False

    def denies(self, verb: int) -> bool:
        """Whether a clause denies what its verb says: "is not red", "none of the cars is red"."""
        if any(self.lower[k] not in ("only", "just") for k in self.below(verb, "neg")):
            return True
        return any(self._has_no(k) or self.lower[k] in _NONE for k in self.below(verb, *SUBJECTS))

    def is_few(self, i: int) -> bool:
        """Whether a word before a noun means few: "hardly any", "not many", "almost no"."""
        before = self.lower[i - 1] if i else ""
        if self.lower[i] in _MANY:
            noun = self.head[i]
            below_verb = self.dep[noun] in ("attr", *OBJECTS) and self.denies(self.head[noun])
            return before == "not" or below_verb
        return self.lower[i] in ("any", "no") and before in words.HARDLY

    def _has_no(self, i: int) -> bool:
        no = [k for k in self.below(i, "det", "nummod", "preconj", "cc") if k < i and self.lower[k] in _NO]
        return any(not self.is_few(k) and self.lower[k + 1] not in ("more", "fewer", "less") for k in no)

    def _is_denied(self, i: int) -> bool:
        """Whether the words right beside a noun deny it."""
        dep, head = self.dep[i], self.head[i]
        if any(self.lower[k] in _MANY for k in self.below(i, "amod")):
            return False
        if self.below(i, "neg"):
            return not any(self.lower[k] in _ALL for k in self.below(i, "det", "predet"))
        if self._has_no(i):
            # "No house has a pool", "no roof is red": houses and roofs there are.
            return not (dep in SUBJECTS and self._tells(head))
        if dep == "conj" and any(self.lower[k] == "nor" for k in self.below(head, "cc")):
            return True
        if dep == "pobj":
            above = self.head[head]
            free = self.lemma[above] in words.FREE or (
                self.lemma[above] == "lack" and self.pos[above] not in NOUNS
            )
            return self.lower[head] == "without" or (self.lower[head] in ("of", "from", "in") and free)
        if dep in OBJECTS:
            return self.lemma[head] == "lack" or (self.lemma[head] in words.HOLD and self.denies(head))
        if dep == "attr":
            return bool(self.below(head, "expl")) and self.denies(head)
        return dep in SUBJECTS and self._is_gone(head)

    def _tells(self, verb: int) -> bool:
        """Whether a clause says more of its subject than that it is, or is not, there."""
        if self.lemma[verb] in words.HOLD and self.below(verb, *OBJECTS):
            return True
        said = self.below(verb, "acomp")
        return bool(said) and not any(self.lemma[k] in words.SEEN | words.GONE for k in said)

    def _is_gone(self, verb: int) -> bool:
        """Whether a clause says that its subject is not there: "cars are missing", "cannot be seen"."""
        if any(self.lower[k] == "nowhere" for k in self.below(verb, "advmod")):
            return True
        said = {self.lemma[k] for k in self.below(verb, "acomp", "oprd", "attr")}
        if self.tag[verb] in ("VBN", "VBG"):
            said.add(self.lemma[verb])
        return bool(said & (words.SEEN if self.denies(verb) else words.GONE)) and not self.below(
            verb, *OBJECTS
        )

    def _starts_anew(self, i: int) -> bool:
        """Whether a denial ends before a conjunct: "no cars but trees", "no cars and a few trees"."""
        between = [self.lower[k] for k in self.below(self.head[i], "cc") if k < i]
        own = any(
            self.dep[k] == "nummod" or self.lower[k] in words.LOOSE_QUANTITIES | {"a", "an", "the"}
            for k in self.below(i, "det", "nummod", "amod")
        )
        return between[-1:] in (["but"], ["yet"]) or (own and between[-1:] not in (["or"], ["nor"]))
