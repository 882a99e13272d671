"""The table of the field's own words: pairs that mean the same, and pairs that do not."""

from __future__ import annotations

import pytest
from tests.oracles import capture as oracle

from urbanln.captions import field_words
from urbanln.captions.capture import score_graphs
from urbanln.captions.scene_graph import SceneGraph

_SAME = [
    "terrace/row house", "flat/apartment", "lorry/truck", "motorway/freeway", "freeway/expressway",
    "motorway/expressway", "car park/parking lot", "tower block/high-rise", "football pitch/soccer field",
    "petrol station/gas station", "pavement/sidewalk", "roundabout/traffic circle",
    "allotment/community garden", "multi-storey car park/multistorey car park",
    "multi-story car park/multi storey car park", "multistory car park/parking garage",
    "block of flats/apartment building", "dual carriageway/divided highway", "zebra crossing/crosswalk",
    "railway/railroad", "tram/streetcar", "skip/dumpster", "rubbish bin/trash can", "cinema/movie theater",
    "city centre/downtown", "housing estate/housing development", "kerb/curb", "theatre/theater",
    "city car park/city parking lot",
]  # fmt: skip
_OTHERS = [
    "car park/park", "roof terrace/row house", "pavement/road", "subway/underground station",
    "estate/estate car",
    "tower/tower block", "football field/soccer field", "bus lane/bus station", "yard/garden",
    "petrol station/railway station", "level crossing/zebra crossing", "lorry/car",
]  # fmt: skip


def _score(a: SceneGraph, b: SceneGraph) -> float:
    class Orthogonal:
        version = "orthogonal"

        def encode(self, phrases: list[str]) -> object:
            import numpy as np

            return np.eye(len(phrases), dtype=np.float32)

    return score_graphs(a, b, vectors=Orthogonal())


@pytest.mark.parametrize("pair", _SAME)
def test_british_and_american_names_of_a_thing_are_one(pair: str) -> None:
    a, b = (SceneGraph((name,)) for name in pair.split("/"))
    assert _score(a, b) == _score(b, a) == 1


@pytest.mark.parametrize("pair", _OTHERS)
def test_false_friends_are_not(pair: str) -> None:
    a, b = (SceneGraph((name,)) for name in pair.split("/"))
    assert _score(a, b) == 0


def test_a_name_may_stand_as_a_quality() -> None:
    british = SceneGraph(("house",), {"house": ("red", "terraced")})
    assert _score(british, SceneGraph(("row house",), {"row house": ("red",)})) == 1
    both = SceneGraph(("house",), {"house": ("detached", "terraced")})
    assert _score(both, SceneGraph(("detached house", "terraced house"))) == 1


@pytest.mark.parametrize(
    "pair", ["grey/gray", "multi-storey/multistory", "two-storey/two-story", "wooden/wood", "western/west"]
)
def test_qualities_are_spelled_alike(pair: str) -> None:
    a, b = (SceneGraph(("tower",), {"tower": (word,)}) for word in pair.split("/"))
    assert _score(a, b) == 1


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("car", "left of", "church"), ("church", "right of", "car")),
        (("car", "on left of", "church"), ("church", "on the right side of", "car")),
        (("road", "go under", "bridge"), ("bridge", "above", "road")),
        (("village", "lay south of", "lake"), ("lake", "to the north of", "village")),
        (("kiosk", "stand behind", "shelter"), ("shelter", "in front of", "kiosk")),
        (("park", "lay next to", "river"), ("river", "beside", "park")),
        (("house", "with", "balcony"), ("house", "have", "balcony")),
    ],
)
def test_relations_are_the_same_from_either_end(a: tuple[str, str, str], b: tuple[str, str, str]) -> None:
    ends = tuple(sorted((a[0], a[2])))
    assert _score(SceneGraph(ends, {}, (a,)), SceneGraph(ends, {}, (b,))) == 1


def test_the_table_names_each_thing_once_and_settles() -> None:
    for names in (field_words.thing_named, field_words.quality_named):
        for term in ("car park", "lorry", "multi-storey", "grey", "tower block", "high-rise", "flat"):
            assert names(names(term)) == names(term)
    table = field_words._THING
    assert {table.get(name, name) for name in table.values()} == set(table.values())
    listed = [line.partition(" = ") for line in field_words._THINGS.strip().splitlines()]
    names = [name for first, _, others in listed for name in (first, *others.split(", "))]
    assert len(names) == len(set(names))


def test_hashed_vectors_do_not_matter_to_names_that_are_one() -> None:
    a, b = SceneGraph(("lorry", "car park")), SceneGraph(("truck", "parking lot"))
    assert score_graphs(a, b, vectors=oracle.HashedVectors()) == 1
