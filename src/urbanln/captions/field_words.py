"""Words of towns that mean the same and that WordNet does not take for synonyms: a small, reviewed table.

British and American words for one thing above all. Left out, as they mean two things and captions do not say
which: "subway" (trains, or a way under a road), "pavement" as a surface (beside a street it is a sidewalk),
"football field" (of either game), "highway" (a motorway, or any road), "trailer" (a caravan, or a lorry's),
"yard" (a garden, or a depot), "garage", "bin", "pitch", "estate", "duplex", "first floor", "hoarding" (a
billboard, or a builder's fence), "rotary", "trolley", "lift", "nursery". A "terrace" by itself is taken for
houses, as beside streets it mostly is; a roof terrace is not.
"""

from __future__ import annotations

import re
from functools import lru_cache

from urbanln.base.sentences import word_set
from urbanln.captions.parsing.scene_words import COMPASS, DIRECTIONS, NOT

# A line is one thing; the first name stands for all. Where a name ends in a plainer one ("terraced house"),
# that is first, as "house" then still matches it.
_THINGS = """
terraced house = row house, rowhouse, terrace house, terraced home, row home, terrace
detached house = single-family house, single-family home, detached home, single family house
semi-detached house = semi-detached home, semidetached house, semidetached home, semi-detached
apartment = flat
apartment building = block of flats, block of flat, block of apartments, apartment block, apartment house
high-rise building = high-rise, highrise, high rise, tower block, high-rise block, high-rise tower
housing development = housing estate
truck = lorry
semi-trailer truck = articulated lorry, articulated truck, semi truck, tractor trailer
garbage truck = bin lorry, dustbin lorry, refuse lorry, refuse truck, trash truck
van = delivery van
taxi = cab, taxicab
car = automobile, motorcar, motor car
minivan = people carrier
station wagon = estate car
motorway = freeway, expressway, interstate highway
divided highway = dual carriageway
beltway = ring road, orbital road
freeway ramp = slip road, highway ramp, motorway ramp, expressway ramp
median strip = central reservation, median, central median
guardrail = crash barrier, guard rail
overpass = flyover
roundabout = traffic circle
crosswalk = zebra crossing, pedestrian crossing, pedestrian crosswalk
level crossing = grade crossing, railroad crossing, railway crossing
sidewalk = pavement, footway
parking lot = car park, carpark, parking area
parking garage = multistory car park, multistory parking garage, parking structure, parking deck
parking space = parking bay, parking spot
gas station = petrol station, filling station, fuel station
streetcar = tram, tramcar, trolley car
railroad = railway, railway line, railroad line, rail line, train line
railroad track = railway track, train track, rail track
railroad bridge = railway bridge, rail bridge, train bridge
railroad station = railway station, train station, rail station
subway station = underground station, metro station, tube station
rail yard = railway yard, railroad yard, marshalling yard
freight train = goods train
airplane = plane, aeroplane, aircraft
soccer field = football pitch, soccer pitch
athletic field = sports field, playing field, sports pitch, athletics field
community garden = allotment, allotment garden
front yard = front garden
backyard = back garden, back yard, rear garden
movie theater = cinema, movie house, film theater
store = shop
liquor store = off-licence
drugstore = pharmacy, chemist shop
shopping mall = shopping center, mall
main street = high street
downtown = city center, town center
pedestrian zone = pedestrian precinct, pedestrianized zone, pedestrianized street, pedestrian mall
elementary school = primary school
high school = secondary school
dumpster = skip
trash can = rubbish bin, garbage can, litter bin, dustbin, trash bin, waste bin, wheelie bin
trash = rubbish, garbage
landfill = rubbish tip, garbage dump, rubbish dump
junkyard = scrapyard
lumberyard = timber yard
power plant = power station
transmission tower = electricity pylon, power pylon, pylon
wastewater treatment plant = sewage works, sewage treatment plant, sewage plant
mailbox = post box, postbox, letter box
phone booth = telephone box, phone box, telephone booth
street light = street lamp, streetlight, lamp post, lamppost, streetlamp
traffic light = stoplight, traffic signal
people = person
"""

_QUALITIES = """
multistory = multistoried
high-rise = highrise, high rise
low-rise = lowrise, low rise
single-story = one-story, 1-story
two-story = 2-story, double-story
three-story = 3-story
four-story = 4-story
wood = wooden, timber
metal = metallic
asphalt = asphalted, tarmac, blacktop
unoccupied = vacant, empty
derelict = abandoned
"""

# What an object is said to do where it is; "stands in front of" is no more than "in front of".
_POSTURES = word_set(
    """
    stand lie lay sit rest be locate situate place position find park moor dock anchor run go stretch extend
    rise grow wait remain pass
    """
)
_RELATIONS = """
next to = beside, alongside, adjacent to, by, next
near = close to, nearby
over = above
under = below, beneath, underneath
on = on top of, atop, upon
in = inside, within, inside of
outside = outside of
opposite = across from, opposite to, face
behind = in rear of, at rear of, in back of
in front of = ahead of
surround = around, encircle, ring
along = line
cross = cross over, span, traverse
have = with, feature, include, contain
lead to = go to, run to
drive past = go past, pass, drive by, go by
parallel to = parallel with
"""

_SPELLINGS = (
    ("storeyed", "story"), ("storey", "story"), ("storied", "story"), ("grey", "gray"), ("centre", "center"),
    ("colour", "color"), ("metre", "meter"), ("kerb", "curb"), ("tyre", "tire"), ("theatre", "theater"),
    ("harbour", "harbor"), ("neighbour", "neighbor"), ("aluminium", "aluminum"), ("plough", "plow"),
    ("carriage-way", "carriageway"), ("cosy", "cozy"), ("mould", "mold"), ("pedestrianis", "pedestrianiz"),
)  # fmt: skip
_BRITISH = re.compile("|".join(british for british, _ in _SPELLINGS))
_MULTI = re.compile(r"\bmulti[- ]story\b")
_AMERICAN = dict(_SPELLINGS)
_DIRECTION = "|".join(sorted(COMPASS | {"left", "right"}, key=len, reverse=True))
_SIDE = re.compile(rf"(?:(?:at|on|to) )?(?:the )?({_DIRECTION})(?: side)? of")
# One and the same said from the other end.
_TURNED = {
    "right of": "left of", "under": "over", "behind": "in front of", "south of": "north of",
    "west of": "east of", "southwest of": "northeast of", "southeast of": "northwest of",
}  # fmt: skip
_BOTH_WAYS = frozenset(
    ("next to", "near", "far from", "opposite", "parallel to", "connect to", "adjoin", "meet")
)


def spelled(term: str) -> str:
    """A term in American spelling.

    Example:
        >>> spelled("multi-storey car park"), spelled("grey kerb")
        ('multistory car park', 'gray curb')
    """
    return _MULTI.sub("multistory", _BRITISH.sub(lambda found: _AMERICAN[found[0]], term))


def _read(lines: str) -> dict[str, str]:
    table: dict[str, str] = {}
    for line in lines.strip().splitlines():
        first, _, others = line.partition(" = ")
        table |= dict.fromkeys((first, *others.split(", ")), first)
    return table


_THING, _QUALITY, _RELATION = _read(_THINGS), _read(_QUALITIES), _read(_RELATIONS)


@lru_cache(100_000)
def thing_named(term: str) -> str:
    """The name that stands for a thing, or for the thing at the end of a longer name.

    Args:
        term: A noun with its compounds, in its base form.

    Example:
        >>> thing_named("lorry"), thing_named("city car park"), thing_named("house")
        ('truck', 'city parking lot', 'house')
    """
    term = spelled(term)
    words = term.split()
    for start in range(len(words)):
        known = _THING.get(" ".join(words[start:]))
        if known is not None and (start == 0 or known != "terraced house"):  # a roof terrace is no house
            return " ".join([*words[:start], known])
    return term


def things_with(term: str, qualities: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names of things whose names qualities are part of, with the other qualities.

    Args:
        term: A noun with its compounds, in its base form.
        qualities: Of all things of that name in a text.

    Returns:
        The names, sorted, and the qualities that are in none of them.

    Example:
        >>> things_with("house", frozenset(["red", "terraced"]))
        (('terraced house',), frozenset({'red'}))
        >>> things_with("house", frozenset(["detached", "terraced"]))
        (('detached house', 'terraced house'), frozenset())
    """
    plain = spelled(term)
    within = {
        quality: _THING[f"{quality} {plain}"] for quality in qualities if f"{quality} {plain}" in _THING
    }
    return tuple(sorted(set(within.values()))) or (thing_named(term),), qualities - within.keys()


@lru_cache(100_000)
def quality_named(word: str) -> str:
    """The word that stands for a quality: "grey" and "gray" are one, as are "eastern" and "east".

    Example:
        >>> quality_named("multi-storey"), quality_named("not grey"), quality_named("western")
        ('multistory', 'not gray', 'west')
    """
    if word.startswith(NOT):
        return NOT + quality_named(word.removeprefix(NOT))
    word = spelled(word)
    side = DIRECTIONS.get(word, "")
    return side if side in COMPASS else _QUALITY.get(word, word)


@lru_cache(100_000)
def relation_named(relation: str) -> tuple[str, bool]:
    """The words that stand for a relation, and whether its ends change places with them.

    Example:
        >>> relation_named("stand beside"), relation_named("right of"), relation_named("drive under")
        (('next to', False), ('left of', True), ('drive under', False))
    """
    denied = NOT if relation.startswith(NOT) else ""
    words = spelled(relation.removeprefix(NOT)).split()
    if len(words) > 1 and words[0] in _POSTURES:
        words = words[1:]
    name = " ".join(words)
    side = _SIDE.fullmatch(name)
    name = f"{side[1]} of" if side else _RELATION.get(name, name)
    if len(words) > 1 and not side and name == " ".join(words):
        last = " ".join(words[1:])
        name = f"{words[0]} {_RELATION.get(last, last)}"
    return denied + _TURNED.get(name, name), name in _TURNED


def goes_both_ways(relation: str) -> bool:
    """Whether a relation says the same from either end: "next to"."""
    return relation.removeprefix(NOT) in _BOTH_WAYS
