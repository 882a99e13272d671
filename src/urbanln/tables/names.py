"""What the names of columns say: a position, an id, a dimension that is counted up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

_LON, _LAT = "longitude|long|lng|lon", "latitude|lat"
# What may stand beside lon and lat without making them another place's: INTPTLON, centroid_lon, lat_center.
_OF_A_PLACE = (
    "intpt|centroid|center|centre|middle|mid|point|decimal|degrees|deg|dd|wgs84|gps|region|place|cell|tile"
)
_AXIS = re.compile(rf"({_OF_A_PLACE})?(?:({_LON})|({_LAT}))({_OF_A_PLACE})?")
_FLAT = (
    ("x", "y"), ("centerx", "centery"), ("centrex", "centrey"), ("centroidx", "centroidy"),
    ("xcenter", "ycenter"), ("xcentre", "ycentre"), ("xcentroid", "ycentroid"),
    ("pointx", "pointy"), ("xcoord", "ycoord"),
)  # fmt: skip
# Ids that people publish region vectors under; a count of rows (OBJECTID, fid) is none.
KEYS = (
    "region_id", "region", "place", "dcid", "geoid", "GEOID", "GEOID10", "GEOID20", "GEO_ID",
    "AFFGEOID", "GEOIDFQ", "geo_id", "fips", "FIPS", "fips_code", "county_fips", "tract", "tract_id",
    "system:index", "h3", "h3_index", "h3_cell", "h3_id", "hex_id", "s2", "s2_id", "quadkey", "geohash",
    "zip", "ZIP", "zip_code", "zipcode", "ZIPCODE", "zcta", "ZCTA", "ZCTA5", "ZCTA5CE10", "ZCTA5CE20",
    "postcode", "postal_code", "nuts_id", "NUTS_ID", "LSOA11CD", "LSOA21CD", "MSOA11CD", "MSOA21CD",
    "lsoa", "msoa", "iris", "CODE_IRIS", "insee", "ags", "AGS", "gid", "GID", "id", "ID", "Id", "uid",
    "key", "code", "cell_id", "tile_id", "grid_id", "area_id", "zone_id", "district_id", "index",
    "Unnamed: 0",
)  # fmt: skip
POSITIONS = tuple(
    form
    for name in ("lon", "lat", "lng", "long", "longitude", "latitude", "x", "y")
    for form in (name, name.upper(), name.capitalize())
)
"""Columns of degrees, which have no groups of thousands."""
_KEYS = frozenset(re.sub(r"[^a-z0-9]", "", name.lower()) for name in KEYS)
_EMBEDDING = frozenset((
    "emb", "embed", "embedding", "embeddings", "feature", "features", "feat", "feats", "vector",
    "vectors", "vec", "dim", "dims", "latent",
))  # fmt: skip
_ID = frozenset((
    "id", "ids", "fid", "gid", "oid", "uid", "uuid", "objectid", "geoid", "geoidfq", "affgeoid", "dcid",
    "place", "fips", "statefp", "countyfp", "tractce", "blockce", "blkgrpce", "code", "codes", "zip",
    "zipcode", "zcta", "zctace", "postcode", "postal", "h3", "s2", "quadkey", "geohash", "index", "idx",
    "key", "rank", "rowid", "rownum", "osm", "wikidata", "unnamed", "level", "adm", "admin", "insee",
    "iris", "ags", "count",
))  # fmt: skip
_NO_FEATURE = _ID | frozenset((
    "lon", "lng", "long", "longitude", "lat", "latitude", "intptlon", "intptlat", "easting", "eastings",
    "northing", "northings", "utm", "lonlat", "latlon", "coord", "coords", "coordinate", "coordinates",
    "position", "location", "bbox", "box", "bounds", "extent", "envelope", "centroid", "center",
    "centre", "geometry", "geom", "wkb", "wkt", "crs", "epsg", "proj", "shape", "transform", "window",
    "pixel", "grid", "tile", "row", "col", "column", "xmin", "xmax", "ymin", "ymax", "minx", "maxx",
    "miny", "maxy", "year", "month", "day", "date", "datetime", "time", "timestamp", "epoch", "version",
    "stats", "images", "scale", "nodata", "mask", "area", "aland", "awater", "length", "perimeter",
))  # fmt: skip
_COUNTED = re.compile(r"(.*?)(\d+)([\])}]?)", re.DOTALL)


def known_key(name: str) -> bool:
    """Whether a column is called as the ids of regions are."""
    return re.sub(r"[^a-z0-9]", "", name.lower()) in _KEYS


def may_be_feature(name: str) -> bool:
    """Whether a name leaves open that its numbers say what is there: no id, no position, no date, no area."""
    text = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", text) if word]
    stems = [(word, word.rstrip("0123456789")) for word in words]
    if stems and any(word in _ID for word in stems[-1]):
        return False
    if any(word in _EMBEDDING for pair in stems for word in pair):
        return True
    whole = re.sub(r"[^a-z0-9]", "", text)
    if whole in {flat for pair in _FLAT for flat in pair} or _AXIS.fullmatch(whole):
        return False
    return not any(word in _NO_FEATURE for pair in stems for word in pair)


def lonlat_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Columns that are called longitude and latitude of one thing: INTPTLON, INTPTLAT."""
    axes: dict[tuple[str, bool], str] = {}
    for name in names:
        if found := _AXIS.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())):
            before, lon, _, after = found.groups()
            axes.setdefault(((before or "") + (after or ""), lon is not None), name)
    return [
        (name, axes[(of, False)]) for (of, is_lon), name in axes.items() if is_lon and (of, False) in axes
    ]


def flat_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Columns called x and y of one thing, which may be degrees."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in names}
    return [(plain[x], plain[y]) for x, y in _FLAT if x in plain and y in plain]


def counted(names: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Columns that share a prefix and count up from 0 or 1 without a gap: A00 … A63, feature0 …, 0 … 63.

    Returns:
        Names by what stands before and after their number, in the order of the numbers; two at least. What is
        called like an id, a position or a date is left out, and the corners of a box (x1, y1, x2, y2).
    """
    found: dict[tuple[str, str], dict[int, str]] = {}
    twice = set()
    for name in names:
        parts = _COUNTED.fullmatch(name)
        # What the run is called decides: among h0 … h63 the one called h3 is no cell.
        if parts is None or not may_be_feature(f"{parts[1]}0{parts[3]}"):
            continue
        around, number = (parts[1], parts[3]), int(parts[2])
        if number in found.setdefault(around, {}):
            twice.add(around)
        found[around][number] = name
    runs = {}
    for around, by_number in found.items():
        numbers = sorted(by_number)
        if len(numbers) > 1 and numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1:
            runs[around] = [by_number[number] for number in numbers]
    corners = [
        around for around in runs if around[0].lower().strip("_") in ("x", "y") and len(runs[around]) <= 4
    ]
    if len(corners) == 2:
        runs = {around: run for around, run in runs.items() if around not in corners}
    return {around: run for around, run in runs.items() if around not in twice}


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a column is called so, or fits a pattern like ``A*``."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def pattern_of(run: Sequence[str], around: tuple[str, str], names: Sequence[str]) -> str:
    """What fits a run of counted columns and no other column, to be written behind ``#``."""
    before, after = (re.sub(r"([*?\[])", r"[\1]", part) for part in around)
    for middle in ("*", "[0-9]*"):
        pattern = f"{before}{middle}{after}"
        if (before or middle != "*") and sum(fits(name, [pattern]) for name in names) == len(run):
            return pattern
    return ",".join(run)
