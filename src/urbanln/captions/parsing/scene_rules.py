"""Rules that read objects, attributes and relations off one parsed text.

Each rule is a pattern over a word of the dependency tree, the word it hangs on and those that hang on it;
what they find is put together without order or counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from urbanln.captions.parsing import scene_words as words
from urbanln.captions.parsing.scene_tree import MOST_CONJUNCTS, MOST_STEPS, NOUNS, OBJECTS, SUBJECTS, Tree
from urbanln.captions.scene_graph import SceneGraph

if TYPE_CHECKING:
    from spacy.tokens import Doc

_SAME_VERBS = {"lie": "lay", "rid": "ride", "shin": "shine", "ske": "ski"}  # used alike, or cut too short


class Reader(Tree):
    """What one text names, collected word by word.

    Args:
        doc: With tags, lemmas and dependencies.
    """

    def __init__(self, doc: Doc) -> None:
        super().__init__(doc)
        self.attributes: dict[int, set[str]] = defaultdict(set)
        self.relations: set[tuple[int, str, int]] = set()

    def read(self) -> SceneGraph:
        """The scene graph: all patterns, then only what is left in the world that is shown."""
        for i, pos in enumerate(self.pos):
            if pos in NOUNS:
                self._describe(i)
                self._relate_noun(i)
            elif pos in ("VERB", "AUX"):
                self._relate_verb(i)
        names = {i: self.name(i) for i, pos in enumerate(self.pos) if pos in NOUNS and self._is_object(i)}
        attributes: dict[str, set[str]] = defaultdict(set)
        for i, name in names.items():
            attributes[name] |= self.attributes[i] - words.NO_ATTRIBUTES - {name}
        relations = {(names[s], r, names[o]) for s, r, o in self.relations if s in names and o in names}
        return SceneGraph(
            objects=tuple(sorted(set(names.values()))),
            attributes={name: tuple(sorted(found)) for name, found in sorted(attributes.items()) if found},
            relations=tuple(sorted(relation for relation in relations if relation[0] != relation[2])),
        )

    def _is_object(self, i: int) -> bool:
        lemma, dep = self.lemma[i], self.dep[i]
        told = self.attributes[i] - words.LOOSE_QUANTITIES - words.NO_ATTRIBUTES
        vague = lemma in words.PLACES_WITHIN or (lemma in words.VAGUE and not told)
        return not (
            dep in ("compound", "nmod")
            or not any(c.isalpha() for c in lemma)
            or self.joined(i + 2)  # "tree-lined", "red-roofed"
            or lemma in words.NO_OBJECTS
            or self.measured(i) is not None
            or self.is_part_of_place(i)
            or (dep == "poss" and self.lemma[self.head[i]] in words.NO_OBJECTS)  # "a bird's eye view"
            or (vague and not self.compounds(i))
            or self.is_denied(i)
        )

    # Attributes.

    def _describe(self, i: int) -> None:
        found = self.attributes[i]
        for k in self.kids[i]:
            dep = self.dep[k]
            if dep in ("amod", "nmod") and k < i and not self.joined(k + 2):
                found.update(self._qualities(k))
            elif dep == "nummod" and not self.joined(k + 2):
                found.add(words.NUMBERS.get(self.lower[k], self.lower[k]))
            elif dep == "compound" and self.lemma[k] in words.LOOKS:
                found.add(self.whole(k, self.lemma[k]))
            elif dep in ("amod", "acl") and k > i and self.pos[k] == "ADJ":
                self._relate_quality([i], k)

    def _qualities(self, i: int) -> Iterator[str]:
        """An adjective or participle with its conjuncts, shades and earlier parts."""
        waiting = [i]
        for _ in range(MOST_CONJUNCTS):
            if not waiting:
                return
            k = waiting.pop(0)
            waiting += self.below(k, "conj")
            if not self.lower[k][0].isalnum():
                continue
            word = self.whole(k, self.lower[k] if self.pos[k] != "ADJ" else self.lemma[k])
            shade = [self.lower[s] for s in self.below(k, "amod", "advmod") if self.lower[s] in words.SHADES]
            if shade and self.lemma[k] in words.COLOURS:
                word = f"{shade[0]} {word}"
            yield word

    def _relate_quality(self, subjects: list[int], i: int) -> None:
        """A quality after its noun: "the roof is red", or with a preposition, "close to the river"."""
        placed = False
        if self.lemma[i] in words.BEFORE_PREPOSITION:
            for preposition in self.below(i, "prep"):
                placed = self._relate(subjects, self.lemma[i], preposition) or placed
        if not placed:
            for subject in subjects:
                self.attributes[subject].update(self._qualities(i))

    # Relations.

    def _relate(self, subjects: list[int], verb: str, preposition: int) -> bool:
        """Relations by one preposition; whether there were any."""
        found = False
        for name, objects in self._places(preposition):
            found = True
            for thing in objects:
                relation = f"{verb} {words.SAME_PLACES.get(name, name)}".strip()
                if relation in ("in", "dress in") and self.lemma[thing] in words.CLOTHES:
                    relation = "wear"
                self.relations.update((subject, relation, thing) for subject in subjects)
        return found

    def _places(self, i: int) -> Iterator[tuple[str, list[int]]]:
        """A preposition's whole name with the things after it: "on top of", roofs."""
        name = self.lower[i]
        for _ in range(MOST_STEPS):
            purpose = self.lower[i] == "for" and self.pos[self.head[i]] in NOUNS
            inner = [k for k in self.below(i, "prep", "pcomp") if self.pos[k] in ("ADP", "SCONJ")]
            objects = self.below(i, "pobj")
            if self.lower[i] in words.NO_RELATIONS or purpose or not (objects or inner):
                return
            if not objects:
                i = inner[0]
                name = f"{name} {self.lower[i]}"
                continue
            part = self.lemma[objects[0]]
            of = self.ofs(objects[0])
            if part in words.PARTS_OF_PLACE and of:
                i = of[0]
                name = f"{words.PARTS_OF_PLACE[part]} {part} of"
                continue
            yield name, [thing for k in objects for thing in self.things(k)]
            return

    def _relate_noun(self, i: int) -> None:
        for k in self.kids[i]:
            dep = self.dep[k]
            if dep == "prep" and self.lower[k] != "of":
                self._relate(self.things(i), "", k)
            elif dep == "prep" and self.measured(i) is None and not self.is_part_of_place(i):
                for _, owners in self._places(k):
                    self.relations.update((owner, "have", i) for owner in owners)
            elif dep == "poss":
                self.relations.update((owner, "have", i) for owner in self.things(k))
            elif dep == "advmod" and self.lower[k] in words.BEFORE_PREPOSITION:
                for preposition in self.below(k, "prep"):
                    self._relate(self.things(i), self.lower[k], preposition)

    def _relate_verb(self, i: int) -> None:
        if self.below(i, "neg") or self.lemma[i] in words.NO_SIGHT:
            return
        if self.dep[i] == "amod":
            makers = [k for k in self.below(i, "npadvmod") if not self.joined(k + 2)]  # "snow covered roofs"
            self.relations.update((maker, self._verb(i), self.head[i]) for maker in makers)
            return
        subjects, verb = self._subjects(i), self._verb(i)
        passive = self.tag[i] == "VBN" and not any(self.lemma[k] == "have" for k in self.below(i, "aux"))
        objects = [thing for k in self.below(i, *OBJECTS) for thing in self.things(k)]
        if not objects and self.dep[i] == "relcl" and not self._relative(i):
            verb = " ".join(
                [verb, *(self.lower[k] for k in self.below(i, "prep") if not self.kids[k])]
            ).strip()
            objects = self.things(self.head[i]) if verb else []
        placed, covered = bool(objects), passive and verb in ("cover", "surround", "line")
        self.relations.update((s, verb, o) for s in subjects for o in objects)
        for k in self.kids[i]:
            dep = self.dep[k]
            if dep == "agent" and verb in words.POSITIONS:
                placed = self._relate(subjects, verb, k) or placed
            elif dep == "agent":
                for agents in (self.things(p) for p in self.below(k, "pobj")):
                    placed = True
                    self.relations.update((agent, verb, s) for agent in agents for s in subjects)
            elif dep == "prep" and covered and self.lower[k] in ("with", "in", "by"):
                things = [thing for _, found in self._places(k) for thing in found]
                placed = placed or bool(things)
                self.relations.update((thing, verb, s) for thing in things for s in subjects)
            elif dep == "prep":
                placed = self._relate(subjects, verb, k) or placed
            elif dep in ("acomp", "oprd") and self.pos[k] in ("ADJ", "VERB"):
                placed = True
                self._relate_quality(subjects, k)
            elif dep == "prt" and self.below(k, "pobj"):
                placed = self._relate(subjects, self.lemma[i], k) or placed
            elif dep in ("advmod", "prt") and self.below(k, "prep"):
                near = self.lower[k] if self.lower[k] in words.BEFORE_PREPOSITION or dep == "prt" else ""
                for preposition in self.below(k, "prep"):
                    placed = self._relate(subjects, f"{verb} {near}".strip(), preposition) or placed
        if verb and not placed and self.tag[i] in ("VBG", "VBN") and self.lemma[i] not in words.LINKS:
            for subject in subjects:
                self.attributes[subject].add(self.lower[i])

    def _verb(self, i: int) -> str:
        lemma = _SAME_VERBS.get(self.lemma[i], self.lemma[i])
        if lemma == "be" or (lemma in words.PLACED and self.tag[i] == "VBN"):
            return ""
        particles = [self.lower[k] for k in self.below(i, "prt") if not self.below(k, "prep", "pobj")]
        return " ".join([lemma, *particles[:1]])

    def _relative(self, i: int) -> bool:
        """Whether a relative clause's subject is its pronoun: "a bridge that spans the river"."""
        subjects = self.below(i, *SUBJECTS)
        return not subjects or self.tag[subjects[0]] in ("WDT", "WP")

    def _subjects(self, i: int) -> list[int]:
        """The nouns that do, or suffer, what a verb says."""
        for _ in range(MOST_STEPS):
            own = self.below(i, *(("attr", "dobj") if self.below(i, "expl") else SUBJECTS))
            dep, head = self.dep[i], self.head[i]
            if own and not (dep == "relcl" and self._relative(i)):
                return [thing for k in own for thing in self.things(k)]
            if dep in ("acl", "relcl"):
                return self._scope(head)
            if dep not in ("conj", "advcl", "xcomp", "ccomp") or head == i:
                break
            if self.pos[head] in NOUNS:
                return [head]
            i = head
        return []

    def _scope(self, noun: int) -> list[int]:
        """A noun with the conjuncts before it, which what follows describes as well."""
        found = [*self.things(noun)]
        for _ in range(MOST_CONJUNCTS):
            if self.dep[noun] != "conj":
                break
            noun = self.head[noun]
            if self.pos[noun] in NOUNS:
                found.append(noun)
        return found
