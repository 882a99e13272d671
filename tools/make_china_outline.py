"""Make the outline inside which maps of China are shifted, from Natural Earth's countries at 1:10m.

Run: npm pack world-atlas@2.0.2, unpack it, then
    python tools/make_china_outline.py package/countries-10m.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import geopandas as gpd
import shapely

FOLDER = Path(__file__).parents[1] / "src/urbanln/city/china_outline"
# ISO 3166-1 numbers; Hong Kong and Macau are shifted as the mainland is.
PARTS = {"china": ("156", "344", "446"), "taiwan": ("158",)}
SEA_M = 22_224  # twelve nautical miles: harbours, bridges and reclaimed land lie off any outline
TOLERANCE_M = 300
AROUND = shapely.box(60, -5, 150, 65)
# Equal-area, made for China: its metres are right to a few percent anywhere in it.
FLAT = "+proj=aea +lat_1=25 +lat_2=47 +lat_0=35 +lon_0=105 +datum=WGS84 +units=m"


def outline(countries: gpd.GeoDataFrame, numbers: tuple[str, ...]) -> shapely.Geometry:
    """Land of these countries and twelve miles of sea, but no land of others; degrees to three decimals."""
    own = countries["id"].isin(numbers)
    land, others = countries[own].union_all(), countries[~own].union_all()
    shape = land.buffer(SEA_M, quad_segs=4).difference(others).simplify(TOLERANCE_M)
    degrees = gpd.GeoSeries([shape], crs=FLAT).to_crs(4326).iloc[0]
    return shapely.set_precision(degrees, 0.001)


def main() -> None:
    """Write ``china.geojson``, the same bytes every time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="countries-10m.json")
    countries = gpd.read_file(parser.parse_args().file, layer="countries").set_crs(4326)
    countries = countries[countries.intersects(AROUND)]
    countries.geometry = countries.make_valid().intersection(AROUND)
    countries = countries.to_crs(FLAT)
    shapes = {part: shapely.geometry.mapping(outline(countries, ids)) for part, ids in PARTS.items()}
    features = [{"type": "Feature", "properties": {"part": p}, "geometry": s} for p, s in shapes.items()]
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))
    (FOLDER / "china.geojson").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
