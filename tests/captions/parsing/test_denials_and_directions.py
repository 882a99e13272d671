"""What is said not to be there, where things are, and how many: as captioners write it."""

from __future__ import annotations

import pytest

from urbanln.captions.parsing.spacy_parser import SpacyParser, plain_turns
from urbanln.captions.scene_graph import SceneGraph


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    return SpacyParser()


def read(parser: SpacyParser, text: str) -> SceneGraph:
    return parser.parse([text])[0]


@pytest.mark.parametrize(
    ("text", "absent", "there"),
    [
        ("There are no trees.", {"tree"}, set()),
        ("There aren't any cars on the road.", {"car"}, {"road"}),
        ("Neither trees nor cars are in the street.", {"tree", "car"}, {"street"}),
        ("The estate has neither shops nor a school.", {"shop", "school"}, {"estate"}),
        ("The school does not have any trees.", {"tree"}, {"school"}),
        ("The harbour lacks ships.", {"ship"}, {"harbour"}),
        ("The square is free of cars and benches.", {"car", "bench"}, {"square"}),
        ("The lot is devoid of vehicles.", {"vehicle"}, {"lot"}),
        ("A street without cars and trucks.", {"car", "truck"}, {"street"}),
        ("There is a lack of greenery.", {"greenery"}, set()),
        ("The estate has neither a pond nor trees.", {"pond", "tree"}, {"estate"}),
        ("Cars are nowhere to be seen.", {"car"}, set()),
        ("0 cars are parked there.", {"car"}, set()),
        ("Trees are absent.", {"tree"}, set()),
        ("Cars are not visible on the bridge.", {"car"}, {"bridge"}),
        ("Trees cannot be seen.", {"tree"}, set()),
        ("Not a single tree is visible.", {"tree"}, set()),
        ("None of the houses have red roofs.", {"red roof"}, {"house"}),
        ("No house has a pool.", {"pool"}, {"house"}),
        ("Nobody is on the pavement.", {"people"}, {"pavement"}),
        ("Houses but not shops line the road.", {"shop"}, {"house", "road"}),
    ],
)
def test_what_is_denied_is_absent(parser: SpacyParser, text: str, absent: set[str], there: set[str]) -> None:
    graph = read(parser, text)
    assert (set(graph.absent), set(graph.objects)) == (absent, there)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("Few trees stand there.", "tree"),
        ("Hardly any trees line the road.", "tree"),
        ("Not many cars are parked there.", "car"),
        ("There is no lack of trees.", "tree"),
        ("The trees are not tall.", "tree"),
        ("There are no cars but several trees.", "tree"),
        ("There aren't many trees.", "tree"),
        ("There are almost no trees.", "tree"),
        ("Not all trees are tall.", "tree"),
        ("No fewer than two trees stand there.", "tree"),
        ("There are no benches and a few trees.", "tree"),
        ("The square is not only full of trees.", "tree"),
        ("No roof is red.", "roof"),
        ("There are no trees in the park, but trees line the road.", "tree"),
    ],
)
def test_what_is_there_all_the_same(parser: SpacyParser, text: str, there: str) -> None:
    graph = read(parser, text)
    assert there in graph.objects
    assert there not in graph.absent


@pytest.mark.parametrize(
    ("text", "thing", "quality"),
    [
        ("The roof is not red.", "roof", "not red"),
        ("The road isn't wet.", "road", "not wet"),
        ("No roof is red.", "roof", "not red"),
        ("None of the cars is red.", "car", "not red"),
    ],
)
def test_a_quality_is_denied_of_its_thing(parser: SpacyParser, text: str, thing: str, quality: str) -> None:
    assert read(parser, text).attributes == {thing: (quality,)}


def test_a_relation_is_denied(parser: SpacyParser) -> None:
    assert ("tree", "not line", "road") in read(parser, "The trees do not line the road.").relations


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("Two cars are left of the church.", ("car", "left of", "church")),
        ("The church is right of the cars.", ("church", "right of", "car")),
        ("The bus stop is to the left of the shop.", ("bus stop", "left of", "shop")),
        ("To the left of the shop is a bus stop.", ("bus stop", "left of", "shop")),
        ("Cars are parked on the left side of the road.", ("car", "park left of", "road")),
        ("A lake lies west of the village.", ("lake", "lay west of", "village")),
        ("A pond lies north-east of the field.", ("pond", "lay northeast of", "field")),
        ("A park is to the north of the river.", ("park", "north of", "river")),
        ("In the northern part of the park is a pond.", ("pond", "in north of", "park")),
        ("Houses occupy the western half of the island.", ("house", "in west of", "island")),
        ("On the right side of the street are shops.", ("shop", "right of", "street")),
        ("Under the bridge goes a road.", ("road", "go under", "bridge")),
    ],
)
def test_directions_from_a_thing_are_relations(
    parser: SpacyParser, text: str, relation: tuple[str, str, str]
) -> None:
    graph = read(parser, text)
    assert relation in graph.relations
    assert not {"left", "right", "north", "north-east", "side", "part"} & set(graph.objects)
    assert not {"left", "right"} & {word for told in graph.attributes.values() for word in told}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("In the upper left corner, there is a pond.", {"pond": ("top left",)}),
        ("A pond is in the top-left corner of the image.", {"pond": ("top left",)}),
        ("The houses on the left are red.", {"house": ("left",)}),
        ("On the right-hand side there is a park.", {"park": ("right",)}),
        ("A hospital is in the north-eastern corner.", {"hospital": ("northeast",)}),
        ("To the north, there is a lake.", {"lake": ("north",)}),
        ("At the bottom of the image is a stadium.", {"stadium": ("bottom",)}),
        ("A large park occupies the centre of the image.", {"park": ("center",)}),
        ("In the background there are hills.", {"hill": ("background",)}),
        (
            "The left side of the image shows dense houses, and the right side is dominated by a park.",
            {"house": ("left",), "park": ("right",)},
        ),
    ],
)
def test_places_in_the_picture(parser: SpacyParser, text: str, places: dict[str, tuple[str, ...]]) -> None:
    assert read(parser, text).places == places


@pytest.mark.parametrize("text", ["A man holds a ball in his right hand.", "The left wing was left open."])
def test_left_and_right_are_not_always_places(parser: SpacyParser, text: str) -> None:
    assert read(parser, text).places == {}


def test_other_corners_and_tops_stay_what_they_are(parser: SpacyParser) -> None:
    graph = read(parser, "A shop at the street corner has an antenna on top of its roof.")
    assert "street corner" in graph.objects
    assert ("antenna", "on top of", "roof") in graph.relations


@pytest.mark.parametrize(
    ("text", "thing", "count"),
    [
        ("Three of the houses are red.", "house", "three"),
        ("A couple of buses stand at the terminal.", "bus", "couple"),
        ("A dozen cars fill the lot.", "car", "dozen"),
        ("The block has 20 windows.", "window", "20"),
    ],
)
def test_counts(parser: SpacyParser, text: str, thing: str, count: str) -> None:
    graph = read(parser, text)
    assert count in graph.attributes[thing]
    assert "dozen" not in graph.objects


def test_a_block_of_flats_is_one_thing(parser: SpacyParser) -> None:
    graph = read(parser, "Blocks of flats surround the lawn.")
    assert graph.objects == ("block of flats", "lawn")
    assert graph.relations == (("block of flats", "surround", "lawn"),)


def test_turns_are_put_so_that_a_tagger_knows_them() -> None:
    assert plain_turns("Left of it") == "to the Left of it"
    assert (
        plain_turns("to the left of it, at the top left of it") == "to the left of it, at the top left of it"
    )
    assert plain_turns("He has left. The right hand of it") == "He has left. The right hand of it"
