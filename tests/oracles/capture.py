"""The CAPTURE score spelled out: one element, one pair, one class at a time."""

from __future__ import annotations

from functools import partial

import numpy as np

from urbanln.captions import field_words as words
from urbanln.captions import opposed

EPS = 1e-6


def legacy(graph_a, graph_b, vectors, wordnet):
    """As published: lists in order, substrings are synonyms, empty classes give 0."""
    fs = []
    for kind in ("objects", "attributes", "relations"):
        left_a, left_b = legacy_items(graph_a, kind), legacy_items(graph_b, kind)
        n_a, n_b, m = len(left_a), len(left_b), 0
        for same in (lambda x, y: x == y, lambda x, y: all(map(legacy_synonyms(wordnet), x, y))):
            for x in list(left_a):
                for y in left_b:
                    if same(x, y):
                        m += 1
                        left_a.remove(x)
                        left_b.remove(y)
                        break
        m_a, m_b = m, m
        if left_a and left_b:
            m_a += sum(max(cosine(x, y, vectors) for y in left_b) for x in left_a)
            m_b += sum(max(cosine(x, y, vectors) for x in left_a) for y in left_b)
        p, r = m_a / (n_a + EPS), m_b / (n_b + EPS)
        fs.append(2 * p * r / (p + r + EPS))
    return (0.5 * fs[0] + 0.5 * fs[1] + 0.2 * fs[2]) / 1.2


def legacy_items(graph, kind):
    if kind == "objects":
        return [(o,) for o in sorted(graph.objects)]
    if kind == "attributes":
        said = (a for told in graph.attributes.values() for a in told)
        return sorted((a,) for a in said if " of" not in a and not a.startswith("not "))
    return sorted(r for r in graph.relations if not r[1].startswith("not "))


def legacy_synonyms(wordnet):
    def test(a, b):
        return a in b or b in a or bool(wordnet.synonyms(a) & wordnet.synonyms(b))

    return test


def cosine(x, y, vectors):
    return float(
        vectors.encode([" ".join(x)])[0].astype(float) @ vectors.encode([" ".join(y)])[0].astype(float)
    )


def strict(graph_a, graph_b, vectors, wordnet):
    """The formula with the faults mended: closest synonyms first, classes empty in both left out."""
    said_a, said_b = said(graph_a, wordnet), said(graph_b, wordnet)
    total, weights, contradictions, agreed = 0.0, 0.0, 0, 0
    for weight, kind, parts in ((0.5, "objects", "n"), (0.5, "attributes", "an"), (0.2, "relations", "nvn")):
        a, b = said_a[kind], said_b[kind]
        left_a, left_b = a - b, b - a
        m = len(a & b)
        for _ in taken_in_pairs(left_a, left_b, partial(closeness, parts, wordnet)):
            m += 1
        unlike = 0
        for x, y in taken_in_pairs(left_a, left_b, partial(opposite, kind, wordnet)):
            if kind == "attributes" and not (firm(x[0]) or firm(y[0])):
                unlike += 1
            else:
                contradictions += 1
        n_a, n_b = len(a), len(b)
        if kind == "attributes":
            n_a -= sum(opposed.is_loose(x[0]) for x in left_a)
            n_b -= sum(opposed.is_loose(y[0]) for y in left_b)
            left_a, left_b = ({x for x in left if not firm(x[0])} for left in (left_a, left_b))
        if kind == "objects":
            gone_a, gone_b = said_a["absent"], said_b["absent"]
            n_a, n_b, m = n_a + len(gone_a), n_b + len(gone_b), m + len(gone_a & gone_b)
            open_a, open_b = gone_a - gone_b, gone_b - gone_a
            for _ in taken_in_pairs(open_a, open_b, partial(closeness, "n", wordnet)):
                m += 1
            contradictions += sum(shown(x[0], said_b, wordnet) for x in open_a)
            contradictions += sum(shown(y[0], said_a, wordnet) for y in open_b)
        agreed += m
        if not n_a and not n_b:
            continue
        weights += weight
        if not n_a or not n_b:
            continue
        m_a, m_b = float(m), float(m)
        if left_a and left_b:
            s = {(x, y): round(min(max(cosine(x, y, vectors), 0), 1), 4) for x in left_a for y in left_b}
            m_a += sum(max(s[x, y] for y in left_b) for x in left_a)
            m_b += sum(max(s[x, y] for x in left_a) for y in left_b)
        p, r = m_a / n_a, m_b / n_b
        f = 2 * p * r / (p + r) if p + r else 0
        if unlike:
            f *= m / (m + unlike)
        total += weight * f
    if contradictions:
        total *= agreed / (agreed + 4 * contradictions)
    return total / weights if weights else 0.0


def taken_in_pairs(left_a, left_b, measure):
    """Take out of two sets the closest pair, again and again, as long as any measures above 0."""
    while True:
        close = [(measure(x, y), x, y) for x in left_a for y in left_b]
        close = [found for found in close if found[0] > 0]
        if not close:
            return
        _, x, y = min(close, key=lambda found: (-found[0], sorted(found[1:])))
        left_a.remove(x)
        left_b.remove(y)
        yield x, y


def said(graph, wordnet):
    """Sets of what is compared, every word as the field's table has it."""
    found = {"objects": set(), "attributes": set(), "relations": set(), "absent": set()}
    named = {}
    for o in set(graph.objects) | set(graph.attributes) | set(graph.places):
        qualities = {words.quality_named(a) for a in graph.attributes.get(o, ())}
        names, rest = words.things_with(o, frozenset(qualities))
        named[o] = names[0] if len(names) == 1 else words.thing_named(o)
        if o in graph.objects:
            found["objects"] |= {(name,) for name in names}
        found["attributes"] |= {(word, named[o]) for word in [*rest, *graph.places.get(o, ())]}
    for s, verb, o in graph.relations:
        name, turned = words.relation_named(verb)
        ends = [named.get(end) or words.thing_named(end) for end in (s, o)]
        if turned:
            ends.reverse()
        if words.goes_both_ways(name):
            ends.sort()
        found["relations"].add((ends[0], name, ends[1]))
    found["absent"] = {(words.thing_named(o),) for o in graph.absent} - found["objects"]
    return found


def firm(word):
    return opposed.is_firm(word)


def opposite(kind, wordnet, x, y):
    if kind == "attributes":
        return opposed.bearing(x[0], y[0]) < 0 and same(x[1], y[1], wordnet)
    if kind == "relations":
        straight = opposed.relation_bearing(x[1], y[1], False) < 0
        turned = opposed.relation_bearing(x[1], y[1], True) < 0
        return (straight and same(x[0], y[0], wordnet) and same(x[2], y[2], wordnet)) or (
            turned and same(x[0], y[2], wordnet) and same(x[2], y[0], wordnet)
        )
    return False


def same(a, b, wordnet):
    return a == b or word_closeness(a, b, "n", wordnet) > 0


def shown(absent, other, wordnet):
    """Whether the other text has this object, with all that is denied of it."""
    looks = absent.split()[:-1]
    for (thing,) in other["objects"]:
        if not looks and (absent == thing or word_closeness(absent, thing, "n", wordnet) > 0):
            return True
        own = set(thing.split()) | {word for word, owner in other["attributes"] if owner == thing}
        if looks and thing.split()[-1] == absent.split()[-1] and own >= set(looks):
            return True
    return False


def closeness(parts, wordnet, x, y):
    return min(
        1.0 if a == b else word_closeness(a, b, pos, wordnet) for a, b, pos in zip(x, y, parts, strict=True)
    )


def word_closeness(a, b, pos, wordnet):
    told = {"a": opposed.bearing(a, b), "v": opposed.relation_bearing(a, b, False)}.get(pos, 0)
    if told:
        return float(told > 0)
    words_a, words_b = a.split(), b.split()
    smaller, larger = sorted((set(words_a), set(words_b)), key=len)
    if smaller <= larger and words_a[-1] == words_b[-1]:
        return 1.0
    of_a = {name.lower() for name in wordnet.synonyms(a, pos, 3)}
    of_b = {name.lower() for name in wordnet.synonyms(b, pos, 3)}
    if "_".join(words_b) not in of_a and "_".join(words_a) not in of_b:
        return 0.0
    return len(of_a & of_b) / len(of_a | of_b)


class HashedVectors:
    """Unit vectors drawn by the phrase: deterministic, with cosines of either sign."""

    version = "hashed"

    def __init__(self):
        self.calls = []

    def encode(self, phrases):
        self.calls.append(list(phrases))
        rows = [np.random.default_rng(list(phrase.encode())).normal(size=6) for phrase in phrases]
        table = np.array(rows).reshape(len(phrases), 6)
        return (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)
