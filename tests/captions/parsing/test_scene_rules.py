"""What the rules read off sentences as captioners write them."""

from __future__ import annotations

import pytest

from urbanln.captions.parsing.spacy_parser import SpacyParser
from urbanln.captions.scene_graph import SceneGraph


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    return SpacyParser()


def read(parser: SpacyParser, text: str) -> SceneGraph:
    return parser.parse([text])[0]


def test_objects_are_singular_heads_with_their_compounds(parser: SpacyParser) -> None:
    graph = read(parser, "Street lamps line the parking lots between the apartment blocks.")
    assert graph.objects == ("apartment block", "parking lot", "street lamp")


@pytest.mark.parametrize(
    ("text", "thing", "attributes"),
    [
        ("Two tall houses stand by the road.", "house", {"two", "tall"}),
        ("The 2 houses are empty.", "house", {"two", "empty"}),
        ("The roof is red and old.", "roof", {"red", "old"}),
        ("There are several red-roofed houses.", "house", {"several", "red-roofed"}),
        ("A tree-lined street runs past.", "street", {"tree-lined"}),
        ("The lawn is dark green.", "lawn", {"dark green"}),
        ("A black and white sign is on the wall.", "sign", {"black", "white"}),
        ("Parked cars fill the winding street.", "car", {"parked"}),
        ("A brick wall stands there.", "wall", {"brick"}),
    ],
)
def test_attributes(parser: SpacyParser, text: str, thing: str, attributes: set[str]) -> None:
    assert set(read(parser, text).attributes[thing]) == attributes


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("A park lies next to a river.", ("park", "lay next to", "river")),
        ("There is a park next to the river.", ("park", "next to", "river")),
        ("The river is crossed by a bridge.", ("bridge", "cross", "river")),
        ("The cars are parked by the road.", ("car", "park by", "road")),
        ("A bridge that spans the river is old.", ("bridge", "span", "river")),
        ("The lot is surrounded by trees.", ("tree", "surround", "lot")),
        ("The station is located near the park.", ("station", "near", "park")),
        ("A fountain stands in front of the church.", ("fountain", "stand in front of", "church")),
        ("Shops stand at the edge of the park.", ("shop", "stand on edge of", "park")),
        ("A house with balconies stands there.", ("house", "with", "balcony")),
        ("The roof of the house is red.", ("house", "have", "roof")),
        ("The house's roof is red.", ("house", "have", "roof")),
        ("A narrow road runs between the houses.", ("road", "run between", "house")),
        ("There are snow covered roofs.", ("snow", "cover", "roof")),
        ("A man in a red jacket is waiting.", ("man", "wear", "jacket")),
    ],
)
def test_relations(parser: SpacyParser, text: str, relation: tuple[str, str, str]) -> None:
    assert relation in read(parser, text).relations


def test_conjuncts_share_what_is_said_of_them(parser: SpacyParser) -> None:
    graph = read(parser, "Cars and trucks are parked along the street and the canal.")
    assert {("car", "park along", "canal"), ("truck", "park along", "street")} <= set(graph.relations)


def test_a_measure_shows_what_it_is_of(parser: SpacyParser) -> None:
    graph = read(parser, "A group of people walks past a mix of residential and commercial buildings.")
    assert graph.objects == ("building", "people")
    assert graph.attributes["building"] == ("commercial", "residential")


@pytest.mark.parametrize(
    "text",
    [
        "There are no cars.",
        "A street without cars and trucks.",
        "The lack of trucks is plain.",
        "No car or truck is visible.",
    ],
)
def test_what_is_denied_is_no_object(parser: SpacyParser, text: str) -> None:
    assert not {"car", "truck"} & set(read(parser, text).objects)


def test_the_picture_is_not_in_the_world(parser: SpacyParser) -> None:
    text = "The image is a bird's eye view of a city, giving the scene on the left a sense of community."
    assert read(parser, text).objects == ("city",)


def test_vague_places_need_a_word_that_tells_them_apart(parser: SpacyParser) -> None:
    graph = read(parser, "The area is near a residential area with streets and an intersection.")
    assert graph.objects == ("area", "intersection", "street")
    assert read(parser, "The area has streets and an intersection.").objects == ("intersection", "street")


def test_ends_of_relations_and_owners_of_attributes_are_objects(parser: SpacyParser) -> None:
    text = (
        "The picture shows it. They walk in the middle of the scene, near the big other one, which is red. "
        "Everything on the left of the image looks busy, and nothing is next to something without trees."
    )
    graph = read(parser, text)
    ends = {end for subject, _, thing in graph.relations for end in (subject, thing)}
    assert ends | set(graph.attributes) <= set(graph.objects)
