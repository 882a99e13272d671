"""What is searched for in synthetic cities, and what is right by the true scene of a tile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OBJECT, ATTRIBUTE, RELATION = "objects", "attributes", "relations"
OTHER_WORDS = "in other words"
MIXED, FOREIGN = "known words that do not go together", "things this world has not"
_HOUSES = ("detached house", "terraced house")
_THIRD = 1 / 3


@dataclass(frozen=True)
class Query:
    """A text to search with, and which scenes are right for it.

    Attributes:
        text: What is asked.
        kind: Group in the tables.
        things: Names of the vocabulary, one of which has to be there; none: nothing is ever right.
        attribute: That it has to have.
        other: (how, name of the other thing): a relation that has to be noted between the two.
        side: Third of the picture in which one of its kind has to lie.
    """

    text: str
    kind: str
    things: tuple[str, ...] = ()
    attribute: str = ""
    other: tuple[str, str] | None = None
    side: str = ""


def holds(query: Query, scene: Mapping[str, Any]) -> bool:
    """Whether a scene is right for a query."""
    related = {(one, how, other) for one, how, other in scene["relations"]}
    return any(
        thing["name"] in query.things
        and (not query.attribute or query.attribute in thing["attributes"])
        and (query.other is None or (thing["name"], *query.other) in related)
        and (not query.side or any(_lies(query.side, x, y) for x, y in thing["at"]))
        for thing in scene["objects"]
    )


def _lies(side: str, x: float, y: float) -> bool:
    """Whether a place, (0, 0) in the upper left corner, lies in a third of the picture."""
    return {
        "north": y < _THIRD, "south": y > 1 - _THIRD, "west": x < _THIRD, "east": x > 1 - _THIRD,
        "middle": max(abs(x - 0.5), abs(y - 0.5)) < _THIRD / 2,
    }[side]  # fmt: skip


QUERIES = (
    Query("a round pond", OBJECT, ("pond",)),
    Query("woodland", OBJECT, ("woodland",)),
    Query("a farm field", OBJECT, ("farm field",)),
    Query("a river", OBJECT, ("river",)),
    Query("a railway line", OBJECT, ("railway line",)),
    Query("office towers", OBJECT, ("office tower",)),
    Query("storage tanks", OBJECT, ("storage tank",)),
    Query("greenhouses", OBJECT, ("greenhouse",)),
    Query("tennis courts", OBJECT, ("tennis court",)),
    Query("a playground", OBJECT, ("playground",)),
    Query("red-roofed houses", ATTRIBUTE, _HOUSES, "red-roofed"),
    Query("dark-roofed detached houses", ATTRIBUTE, ("detached house",), "dark-roofed"),
    Query("white-roofed apartment blocks", ATTRIBUTE, ("apartment block",), "white-roofed"),
    Query("tall apartment blocks", ATTRIBUTE, ("apartment block",), "tall"),
    Query("rust-coloured industrial halls", ATTRIBUTE, ("industrial hall",), "rust-coloured"),
    Query("yellow buses", ATTRIBUTE, ("bus",), "yellow"),
    Query("a nearly empty parking lot", ATTRIBUTE, ("parking lot",), "nearly empty"),
    Query("a sports field with a red track", ATTRIBUTE, ("sports field",), "with a red track"),
    Query("market stalls with blue awnings", ATTRIBUTE, ("market stall",), "with blue awnings"),
    Query("narrow streets", ATTRIBUTE, ("street",), "narrow"),
    Query(
        "a fountain in the middle of a plaza", RELATION, ("fountain",), other=("in the middle of", "plaza")
    ),
    Query("solar roofs on detached houses", RELATION, ("solar roof",), other=("on", "detached house")),
    Query("solar roofs on apartment blocks", RELATION, ("solar roof",), other=("on", "apartment block")),
    Query("swimming pools behind houses", RELATION, ("swimming pool",), other=("behind", "detached house")),
    Query("an avenue crossing a river", RELATION, ("avenue",), other=("crossing", "river")),
    Query("apartment blocks along an avenue", RELATION, ("apartment block",), other=("along", "avenue")),
    Query("a petrol station towards the north", RELATION, ("petrol station",), side="north"),
    Query("a derelict lot towards the west", RELATION, ("derelict lot",), side="west"),
    Query("containers towards the south", RELATION, ("container",), side="south"),
    Query("a construction site in the centre", RELATION, ("construction site",), side="middle"),
)
"""Thirty, in the words of the captions."""

IN_OTHER_WORDS = (
    Query("a lake", OTHER_WORDS, ("pond",)),
    Query("a forest", OTHER_WORDS, ("woodland",)),
    Query("cropland", OTHER_WORDS, ("farm field",)),
    Query("a railroad", OTHER_WORDS, ("railway line",)),
    Query("skyscrapers", OTHER_WORDS, ("office tower",)),
    Query("factories", OTHER_WORDS, ("industrial hall",)),
    Query("a supermarket", OTHER_WORDS, ("shopping hall",)),
    Query("wasteland", OTHER_WORDS, ("derelict lot",)),
    Query("photovoltaic panels", OTHER_WORDS, ("solar roof",)),
    Query("glasshouses", OTHER_WORDS, ("greenhouse",)),
)
"""Things that are there, in words that no caption uses."""

ABSENT = (
    Query("blue-roofed detached houses", MIXED, ("detached house",), "blue-roofed"),
    Query("white-roofed terraced houses", MIXED, ("terraced house",), "white-roofed"),
    Query("rust-coloured office towers", MIXED, ("office tower",), "rust-coloured"),
    Query("green buses", MIXED, ("bus",), "green"),
    Query("a yellow tennis court", MIXED, ("tennis court",), "yellow"),
    Query("a petrol station with a blue canopy", MIXED, ("petrol station",), "with a blue canopy"),
    Query("market stalls with green awnings", MIXED, ("market stall",), "with green awnings"),
    Query("a turquoise pond", MIXED, ("pond",), "turquoise"),
    Query("red storage tanks", MIXED, ("storage tank",), "red"),
    Query("blue farm fields", MIXED, ("farm field",), "blue"),
    Query("a crane above a swimming pool", MIXED, ("crane",), other=("above", "swimming pool")),
    Query("a fountain in the middle of a park", MIXED, ("fountain",), other=("in the middle of", "park")),
    Query("solar roofs on industrial halls", MIXED, ("solar roof",), other=("on", "industrial hall")),
    Query("swimming pools behind towers", MIXED, ("swimming pool",), other=("behind", "office tower")),
    Query("a bridge over a railway line", MIXED, ("bridge",), other=("over", "railway line")),
    *(
        Query(text, FOREIGN)
        for text in (
            "a volcano", "an airport with a runway", "ski slopes", "snowy mountains", "a sandy beach",
            "a lighthouse", "a football stadium", "a castle on a hill", "windmills", "a desert with dunes",
            "a harbour with sailing boats", "a cemetery", "vineyards", "a coal mine", "elephants in a zoo",
        )
    ),
)  # fmt: skip
"""Thirty of what is in no synthetic city: fifteen of known words, fifteen of things it does not have."""
