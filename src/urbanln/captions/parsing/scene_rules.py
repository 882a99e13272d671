"""Rules that read objects, attributes and relations off one parsed text.

Each rule is a pattern over a word of the dependency tree, the word it hangs on and those that hang on it;
what they find is put together without order or counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from itertools import pairwise

from urbanln.captions.parsing import scene_words as words
from urbanln.captions.parsing.scene_denial import Denials
from urbanln.captions.parsing.scene_tree import MOST_CONJUNCTS, MOST_STEPS, NOUNS, OBJECTS, SUBJECTS
from urbanln.captions.parsing.spacy_words import Words
from urbanln.captions.scene_graph import SceneGraph

_SAME_VERBS = {"lie": "lay", "rid": "ride", "shin": "shine", "ske": "ski"}  # used alike, or cut too short

# Of a thing that is not there: how many there are not, and that it is gone.
_NO_LOOKS = {"single", *words.NUMBERS.values()} | words.GONE | words.SEEN


class Reader(Denials):
    """What one text names, collected word by word.

    Args:
        found: The words of the text.
    """

    def __init__(self, found: Words) -> None:
        super().__init__(found)
        self.attributes: dict[int, set[str]] = defaultdict(set)
        self.relations: set[tuple[int, str, int]] = set()
        self.places: dict[int, set[str]] = defaultdict(set)
        self._not = ""  # before what the clause at hand denies

    def read(self) -> SceneGraph:
        """The scene graph: all patterns, then only what is left in the world that is shown."""
        for i, pos in enumerate(self.pos):
            if pos in NOUNS:
                self._describe(i)
                self._relate_noun(i)
            elif pos == "NUM" and self.lower[i] != "one":
                for thing in self.things(i):  # "three of the houses"
                    self.attributes[thing].add(self._count(i))
            elif pos in ("VERB", "AUX"):
                self._not = words.NOT if self.denies(i) else ""
                self._relate_verb(i)
                self._not = ""
        named = {i: self.name(i) for i, pos in enumerate(self.pos) if pos in NOUNS and self._is_object(i)}
        absent = {i for i in named if self.is_absent(i)}
        names = {i: name for i, name in named.items() if i not in absent}
        relations = {(names[s], r, names[o]) for s, r, o in self.relations if s in names and o in names}
        denied = {self._described(i, named[i]) for i in absent} | self._nobody()
        return SceneGraph(
            objects=tuple(sorted(set(names.values()))),
            attributes=_by_name(names, self.attributes, words.NO_ATTRIBUTES),
            relations=tuple(sorted(relation for relation in relations if relation[0] != relation[2])),
            absent=tuple(sorted(denied - set(names.values()))),
            places=_by_name(names, self.places, frozenset()),
        )

    def _described(self, i: int, name: str) -> str:
        """What is not there, as closely as it is told: "no red roofs" leave room for others."""
        told = self.attributes[i] - words.NO_ATTRIBUTES - words.LOOSE_QUANTITIES - _NO_LOOKS
        return " ".join([*sorted(word for word in told if not word.startswith(words.NOT)), name])

    def _nobody(self) -> set[str]:
        alone = any(word in ("nobody", "no-one") for word in self.lower)
        return {"people"} if alone or ("no", "one") in pairwise(self.lower) else set()

    def _is_object(self, i: int) -> bool:
        lemma, dep = self.lemma[i], self.dep[i]
        told = self.attributes[i] - words.LOOSE_QUANTITIES - words.NO_ATTRIBUTES
        vague = lemma in words.PLACES_WITHIN or (lemma in words.VAGUE and not told)
        return not (
            dep in ("compound", "nmod", "nummod")
            or self.direction(i)
            or not any(c.isalpha() for c in lemma)
            or self.joined(i + 2)  # "tree-lined", "red-roofed"
            or lemma in words.NO_OBJECTS
            or self.measured(i) is not None
            or self.is_part_of_place(i)
            or (dep == "poss" and self.lemma[self.head[i]] in words.NO_OBJECTS)  # "a bird's eye view"
            or (vague and not self.compounds(i))
            or self._is_hidden(i)
        )

    def _is_hidden(self, i: int) -> bool:
        """Inside a name, or only felt: the flats of "block of flats", "a sense of community"."""
        if self.dep[i] != "pobj" or self.lower[self.head[i]] != "of":
            return False
        whole = self.head[self.head[i]]
        return self.lemma[whole] in words.NOT_SHOWN or self.flats(whole) == i

    # Attributes.

    def _describe(self, i: int) -> None:
        found = self.attributes[i]
        inner = self.measured(i) if self.lower[i] in words.COUNTED else None
        if inner is not None:
            self.attributes[inner].add(self.lower[i])
        for k in self.kids[i]:
            dep = self.dep[k]
            if self.is_few(k):
                found.add("few")
            elif dep in ("amod", "nmod") and k < i and not self.joined(k + 2):
                found.update(self._qualities(k))
            elif dep == "nummod" and not self.joined(k + 2):
                found.add(self._count(k))
            elif dep == "compound" and self.lemma[k] in words.LOOKS:
                found.add(self.whole(k, self.lemma[k]))
                colours = [j for j in self.below(k, "amod", "compound") if self.lemma[j] in words.COLOURS]
                found.update(self.lemma[j] for j in colours)  # "grey slate roofs"
            elif dep in ("amod", "acl") and k > i and self.pos[k] == "ADJ":
                self._relate_quality([i], k)

    def _count(self, i: int) -> str:
        rough = any(self.lower[k] in words.ROUGHLY for k in self.below(i, "advmod", "quantmod"))
        return (words.ABOUT if rough else "") + words.NUMBERS.get(self.lower[i], self.lower[i])

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
                self.attributes[subject].update(self._not + quality for quality in self._qualities(i))

    # Relations.

    def _relate(self, subjects: list[int], verb: str, preposition: int) -> bool:
        """Relations by one preposition; whether there were any."""
        found = self._place(self._nearest(subjects, preposition), self._ends(preposition))
        for name, objects in self._places(preposition):
            found = True
            for thing in objects:
                relation = f"{verb} {words.SAME_PLACES.get(name, name)}".strip()
                if relation in ("in", "dress in") and self.lemma[thing] in words.CLOTHES:
                    relation = "wear"
                self._add(subjects, relation, [thing])
        return found

    def _nearest(self, subjects: list[int], preposition: int) -> list[int]:
        """Whom a place is meant for: in "fields in the south, woods and a road", the fields alone."""
        above = self.head[preposition]
        if above in subjects:
            return [subject for subject in subjects if subject < preposition]
        return [self.head[above]] if self.dep[above] in ("acl", "relcl") else subjects

    def _ends(self, preposition: int) -> list[int]:
        """The nouns after a preposition that are only places; "from north to south" tells none."""
        way = self.lower[preposition] in ("from", "to", "toward", "towards")
        found = [k for k in self.below(preposition, "pobj") if not self.reference(k)]
        return [k for k in found if not way or self.below(k, "det")]

    def _add(self, subjects: list[int], relation: str, things: list[int]) -> None:
        self.relations.update((s, self._not + relation, thing) for s in subjects for thing in things)

    def _place(self, subjects: list[int], ends: list[int]) -> bool:
        """Things at places of the picture, "in the upper left corner"; whether there were any places."""
        sides = {side for side in map(self.direction, ends) if side}
        if not self._not:
            for subject in subjects:
                self.places[subject] |= sides
        return bool(sides)

    def _side(self, preposition: int, part: int) -> str:
        """A direction from a thing as a relation: "left of", or "in north of" for its northern part."""
        side = self.direction(part)
        if not side or not self.reference(part) or not self._is_turn(part):
            return ""
        inside = self.lower[preposition] in ("in", "within") or self.lemma[part] in words.SIDES - {"side"}
        return f"in {side} of" if inside and self.lower[part] not in ("left", "right") else f"{side} of"

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
            side = self._side(i, objects[0])
            if side:
                i, name = of[0], side
                continue
            if self.direction(objects[0]) and not self.reference(objects[0]):
                return
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
            elif dep == "prep" and self._owns(i):
                for _, owners in self._places(k):
                    self.relations.update((owner, "have", i) for owner in owners)
            elif dep == "poss":
                self.relations.update((owner, "have", i) for owner in self.things(k))
            elif dep == "advmod" and self.lower[k] in words.BEFORE_PREPOSITION:
                for preposition in self.below(k, "prep"):
                    self._relate(self.things(i), self.lower[k], preposition)

    def _is_turn(self, part: int) -> bool:
        """Whether a place lies to some side of a thing; its top and its middle are on and in it."""
        turns = words.COMPASS | {"left", "right"}
        return self.lemma[part] in words.SIDES or words.DIRECTIONS[self.lower[part]] in turns

    def _owns(self, i: int) -> bool:
        """Whether what follows "of" has this noun, as the house has its roof."""
        named = self.flats(i) is not None or bool(self.direction(i))
        return self.measured(i) is None and not named and not self.is_part_of_place(i)

    def _place_by_verb(self, i: int, subjects: list[int], objects: list[int]) -> None:
        """ "Houses occupy the northern part", "the left side shows houses"."""
        for k in self.below(i, *OBJECTS):
            self._turn(k, subjects)
        agents = [
            thing for k in self.below(i, "agent") for p in self.below(k, "pobj") for thing in self.things(p)
        ]
        shown = [thing for k in self.below(i, "attr") for thing in self.things(k)]
        for k in self.below(i, *SUBJECTS):
            self._turn(k, [*objects, *agents, *shown])

    def _turn(self, part: int, things: list[int]) -> None:
        side, of = self.direction(part), self.reference(part)
        if side and of and self._is_turn(part):
            where = f"{side} of" if self.lemma[part] == "side" else f"in {side} of"
            self._add(things, where, [thing for k in of for thing in self.things(k)])
        elif side and not of:
            self._place(things, [part])

    def _relate_verb(self, i: int) -> None:
        subjects = self._subjects(i)
        objects = [thing for k in self.below(i, *OBJECTS) for thing in self.things(k)]
        objects = [thing for thing in objects if thing not in subjects]
        self._place_by_verb(i, subjects, objects)
        if self.lemma[i] in words.NO_SIGHT or (self._not and self.lemma[i] in words.HOLD | words.SEEN):
            return
        if self.dep[i] == "amod":
            makers = [k for k in self.below(i, "npadvmod") if not self.joined(k + 2)]  # "snow covered roofs"
            self.relations.update((maker, self._verb(i), self.head[i]) for maker in makers)
            return
        verb = self._verb(i)
        passive = self.tag[i] == "VBN" and not any(self.lemma[k] == "have" for k in self.below(i, "aux"))
        if not objects and self.dep[i] == "relcl" and not self._relative(i):
            verb = " ".join(
                [verb, *(self.lower[k] for k in self.below(i, "prep") if not self.kids[k])]
            ).strip()
            objects = self.things(self.head[i]) if verb else []
        placed, covered = bool(objects), passive and verb in ("cover", "surround", "line")
        self._add(subjects, verb, objects)
        for k in self.kids[i]:
            dep = self.dep[k]
            if dep == "agent" and verb in words.POSITIONS:
                placed = self._relate(subjects, verb, k) or placed
            elif dep == "agent":
                for agents in (self.things(p) for p in self.below(k, "pobj")):
                    placed = True
                    self._add(agents, verb, subjects)
            elif dep == "prep" and covered and self.lower[k] in ("with", "in", "by"):
                things = [thing for _, found in self._places(k) for thing in found]
                placed = placed or bool(things)
                self._add(things, verb, subjects)
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
                self.attributes[subject].add(self._not + self.lower[i])

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
            own = own or self._turned_subject(i)
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

    def _turned_subject(self, i: int) -> list[int]:
        """The noun after its verb: "on the left is a park", "in the corner stands a house"."""
        if self.lemma[i] == "be":
            return self.below(i, "attr")
        stands = self.tag[i] in ("VBZ", "VBP", "VBD") and any(k < i for k in self.below(i, "prep", "advmod"))
        return [k for k in self.below(i, "dobj") if k > i] if stands else []

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


def _by_name(
    names: Mapping[int, str], found: Mapping[int, Set[str]], left_out: Set[str]
) -> dict[str, tuple[str, ...]]:
    """What was found of single words, by what they are called."""
    of: dict[str, set[str]] = defaultdict(set)
    for i, name in names.items():
        of[name] |= found.get(i, set()) - left_out - {name}
    return {name: tuple(sorted(told)) for name, told in sorted(of.items()) if told}
