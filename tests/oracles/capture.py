"""The CAPTURE score spelled out: one element, one pair, one class at a time."""

from __future__ import annotations

import numpy as np

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
        return sorted((a,) for words in graph.attributes.values() for a in words if " of" not in a)
    return sorted(graph.relations)


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
    total, weights = 0.0, 0.0
    for weight, kind, parts in ((0.5, "objects", "n"), (0.5, "attributes", "an"), (0.2, "relations", "nvn")):
        a, b = strict_items(graph_a, kind), strict_items(graph_b, kind)
        if not a and not b:
            continue
        weights += weight
        if not a or not b:
            continue
        left_a, left_b = a - b, b - a
        m = len(a & b)
        while True:
            close = [(closeness(x, y, parts, wordnet), x, y) for x in left_a for y in left_b]
            close = [found for found in close if found[0] > 0]
            if not close:
                break
            _, x, y = min(close, key=lambda found: (-found[0], sorted(found[1:])))
            left_a.remove(x)
            left_b.remove(y)
            m += 1
        m_a, m_b = float(m), float(m)
        if left_a and left_b:
            s = {(x, y): round(min(max(cosine(x, y, vectors), 0), 1), 4) for x in left_a for y in left_b}
            m_a += sum(max(s[x, y] for y in left_b) for x in left_a)
            m_b += sum(max(s[x, y] for x in left_a) for y in left_b)
        p, r = m_a / len(a), m_b / len(b)
        total += weight * (2 * p * r / (p + r) if p + r else 0)
    return total / weights if weights else 0.0


def strict_items(graph, kind):
    if kind == "objects":
        return {(o,) for o in graph.objects}
    if kind == "attributes":
        return {(a, o) for o, words in graph.attributes.items() for a in words}
    return set(graph.relations)


def closeness(x, y, parts, wordnet):
    return min(word_closeness(a, b, pos, wordnet) for a, b, pos in zip(x, y, parts, strict=True))


def word_closeness(a, b, pos, wordnet):
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
