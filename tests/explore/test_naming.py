"""Names on the map: one a place, where its regions are, the largest first."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import pytest
from tests.explore.world import EDGE, make_content

from urbanln.explore.answers import Answers
from urbanln.explore.content import Place
from urbanln.explore.naming import named_places


def test_regions_of_one_name_are_one_place() -> None:
    content = make_content(reads=False)
    names: list[str | None] = [None] * len(content)
    names[0] = "Corner"
    for row in (20, 21, 27):
        names[row] = "Three"
    names[35] = "Three"  # of another city
    names[1] = "A long\nname " * 9
    regions = content.regions.assign(name=names)
    half = 30
    places = [Place("a", 0, half), Place("b", half, EDGE * EDGE)]
    found = named_places(regions, content.lonlat, places)
    assert [one[0] for one in found[:2]] == ["Three", "Corner"]
    assert found[0][1:4] == pytest.approx((0.035, 0.035, 0.02))  # of the three the one in the middle
    assert found[0][4] == pytest.approx(3 * 1113.2**2, rel=0.01)
    assert sorted(one[0] for one in found[1:]) == [
        "A long name A long name A long name A l…",
        "Corner",
        "Three",
    ]
    assert named_places(content.regions, content.lonlat, places) == []
    assert Answers(replace(content, regions=regions)).overview()["named"]


def test_dots_have_no_size_of_their_own() -> None:
    content = make_content(reads=False)
    dots = gpd.points_from_xy(*content.lonlat.T, crs=4326)
    names = [
        "Row" if row < EDGE else "Column" if row % EDGE == 0 else f"r{row}" for row in range(len(content))
    ]
    names[7] = names[14] = "Square"
    regions = content.regions.set_geometry(dots).assign(name=names)
    found = named_places(regions, content.lonlat, content.places)
    assert [one[0] for one in found if one[4]] == ["Square"]
    assert {one[0]: one[3] for one in found if one[0] in ("Row", "r35")} == pytest.approx(
        {"Row": 0.05, "r35": 0}
    )
    empty = regions.iloc[:3].assign(name=None)
    assert named_places(empty, content.lonlat[:3], [Place("a", 0, 3)]) == []
