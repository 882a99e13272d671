"""Word lists of the scene-graph rules: what is no object, what is an attribute, what is only a quantity.

Short on purpose. Words of towns (street, traffic, intersection, neighbourhood) are in none of them: they are
what captions of towns are about.
"""

from __future__ import annotations

from urbanln.base.sentences import word_set

# The picture itself, what a viewer feels, and what cannot be seen at all.
NO_OBJECTS = word_set(
    """
    image picture photo photograph photography shot scene view viewpoint overview perspective eye glimpse
    look imagery snapshot screenshot background foreground backdrop distance vicinity proximity direction
    midst atmosphere sense feel feeling impression essence touch charm beauty ambiance ambience vibe mood
    tranquility calm serenity hustle bustle vastness openness interconnectedness diversity complexity
    density coexistence grandeur presence absence lack contrast balance blend combination mix mixture
    juxtaposition variety number amount size width height depth kind sort style form color colour
    appearance nature life day time way fact idea indication evidence importance purpose use reason
    element feature aspect detail activity addition total layout orientation position motion movement flow
    connection opportunity option safety leisure relaxation routine maintenance representation management
    control everyone everything something anything nothing none other one thing
    """
)

# Places within the picture or on a thing; objects only by a noun before them, as a "shopping center" is.
PLACES_WITHIN = word_set(
    """
    left right top bottom middle center centre side end rest half portion part shape frame surrounding
    outskirt
    """
)

# Say what is meant only with a word beside them: "residential area" is an object, "the area" is none.
VAGUE = word_set("area zone region space place spot location section setting environment landscape site")

# Parts of a picture, a town or a thing that are told apart by a direction only: "the upper left corner".
SIDES = word_set(
    """
    side corner part portion half section area zone region quadrant third quarter end edge border boundary
    periphery margin bank
    """
)

# Where something is, as captions say it.
DIRECTIONS = {
    **dict.fromkeys(word_set("left leftmost leftward"), "left"),
    **dict.fromkeys(word_set("right rightmost rightward"), "right"),
    **dict.fromkeys(word_set("top upper topmost uppermost"), "top"),
    **dict.fromkeys(word_set("bottom lower bottommost lowermost"), "bottom"),
    **dict.fromkeys(word_set("center centre central middle"), "center"),
    "foreground": "foreground",
    "background": "background",
    **{
        word + ending: word
        for word in word_set("north south east west northeast northwest southeast southwest")
        for ending in ("", "ern", "ernmost")
    },
}
COMPASS = word_set("north south east west northeast northwest southeast southwest")
NO_DIRECTION = word_set("far very hand most immediate extreme outer")  # beside a direction, say nothing more

# "A group of people" shows people, "the front of the house" the house.
MEASURES = (
    NO_OBJECTS
    | PLACES_WITHIN
    | word_set(
        """
    group bunch pair couple lot row line set series cluster crowd herd flock pile stack assortment array
    collection range plenty handful majority piece slice bit section patch body abundance dozen hundred
    thousand multitude network expanse stretch strip load ton
    """
    )
)

# Measures that are counts: "a couple of buses".
COUNTED = word_set("couple pair dozen dozens handful")

# "A lack of trees" says that there are none; "a sense of community" shows no community, but denies none.
LACKS = word_set("lack absence")
NOT_SHOWN = word_set("shortage sense feeling feel impression idea indication atmosphere")

# Denials: "free of cars"; "has no cars"; "cars are missing", "are not visible", "cannot be seen".
FREE = word_set("free devoid empty clear bare void")
HOLD = word_set("have contain include show feature possess hold see display")
GONE = word_set("absent missing lacking nonexistent miss lack")
SEEN = word_set("visible present apparent evident noticeable see find show observe identify notice discern")
HARDLY = word_set("hardly barely scarcely almost nearly practically virtually")
NOT = "not "
"""Begins an attribute or relation that is denied."""
ABOUT = "about "
"""Begins a count that is meant roughly."""
ROUGHLY = word_set("around about approximately roughly nearly almost some over")

# Nouns before a noun that say what it is made of, or how it looks: "brick wall" is a wall, and brick.
MATERIALS = word_set(
    """
    metal wood brick glass stone concrete cement asphalt plastic leather paper iron steel chrome aluminum
    aluminium copper brass gold silver marble granite ceramic porcelain clay tile slate gravel dirt mud
    sand grass straw bamboo wicker rubber cloth fabric cotton wool denim lace fur cardboard vinyl bronze
    rock cobblestone pebble plaid stripe floral polka tan beige maroon cream peach lavender turquoise teal
    burgundy khaki adult male female baby
    """
)

# "Dark green" is one colour.
COLOURS = word_set(
    """
    white black blue green red brown yellow gray grey orange pink tan purple silver gold beige maroon teal
    turquoise cream violet colored coloured
    """
)
LOOKS = MATERIALS | COLOURS
SHADES = word_set("dark light bright pale deep")

# Quantities too loose to tell pictures apart: attributes, but not to be held against an annotator.
LOOSE_QUANTITIES = word_set(
    """
    several many few some various numerous multiple lots countless much more most
    couple pair dozens handful
    """
)

NUMBERS = {
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
    "8": "eight", "9": "nine", "10": "ten", "11": "eleven", "12": "twelve",
}  # fmt: skip

# Say nothing of the thing itself.
NO_ATTRIBUTES = word_set("visible other same overall such own different certain likely able due")

# Verbs that only link: "the roof is red", "the lane looks empty".
LINKS = word_set("be look seem appear remain stay become get")

# Where on a thing: "at the edge of the park" is a preposition as a whole, "on edge of".
PARTS_OF_PLACE = {
    **dict.fromkeys(
        word_set("top side back bottom middle center centre edge left right foot base heart"), "on"
    ),
    **dict.fromkeys(word_set("front corner end midst rear"), "in"),
}

# Said in several ways.
SAME_PLACES = {
    "beneath": "under", "underneath": "under", "below": "under", "in between": "between", "atop": "on top of",
    "upon": "on", "onto": "on", "inside of": "inside", "outside of": "outside",
}  # fmt: skip

# Adverbs and adjectives that make a preposition with the one that follows: "next to", "full of".
BEFORE_PREPOSITION = word_set(
    "next close adjacent near far opposite parallel connected full covered out away"
)

# Compare, explain or time; they place nothing.
NO_RELATIONS = word_set(
    "as like such including than due because during despite while after before since until"
)

# In which people are: "a man in a red jacket" wears it.
CLOTHES = word_set(
    """
    shirt pant pants jean jeans jacket coat dress hat cap suit short shorts uniform skirt sweater vest
    helmet shoe outfit tie wetsuit glasses sunglasses clothing clothes gear scarf hoodie t-shirt apron
    robe gown boot sock glove costume bikini swimsuit trunk blouse attire trouser trousers
    """
)

# Verbs that tell what a sight means or does to a viewer, not what is where.
NO_SIGHT = word_set(
    """
    indicate suggest imply ensure allow create provide add capture offer showcase evidence contribute
    characterize reflect highlight emphasize enhance convey display depict represent try
    """
)

# "Located near the park" is near it.
PLACED = word_set("situate locate position find see")

# What is "parked by the road" is not parked by it.
POSITIONS = word_set("park sit stand lie lay place locate situate position build")

_PLURALS = {
    "men": "man", "women": "woman", "people": "person", "children": "child", "leaves": "leaf",
    "knives": "knife", "shelves": "shelf", "loaves": "loaf", "halves": "half", "wolves": "wolf",
    "calves": "calf", "hooves": "hoof", "scarves": "scarf", "feet": "foot", "teeth": "tooth",
    "geese": "goose", "mice": "mouse", "buses": "bus",
}  # fmt: skip


def singular(word: str) -> str:
    """A noun's singular by its ending, for nouns that stand in no sentence; a singular stays as it is.

    Example:
        >>> singular("benches"), singular("bus"), singular("women")
        ('bench', 'bus', 'woman')
    """
    if word in _PLURALS:
        return _PLURALS[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes", "toes")):
        return word[:-2]
    plain = len(word) <= 3 or word.endswith(("ss", "us", "is"))
    return word if plain else word.removesuffix("s")
