"""Ids of a table and of regions in several writings, by tables of real ones."""

from __future__ import annotations

import pytest

from urbanln.base.errors import InputError
from urbanln.tables.ids import writings


def _found(theirs: list[str], ours: list[str]) -> tuple[list[str | None], str]:
    """What each region finds in the best writing, and how that is said."""
    best = max(
        writings(theirs, [[name] for name in ours]),
        key=lambda w: sum(names[0] in w.theirs for names in w.ours),
    )
    return [theirs[best.theirs.index(n[0])] if n[0] in best.theirs else None for n in best.ours], best.said


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (["r1", "r2"], ["r1", "r2"], ""),
        (["geoId/06037", "geoId/06001"], ["06037", "06001"], "with geoId/06037 read as 06037"),
        (["06037", "06001"], ["geoId/06037", "geoId/06001"], "with geoId/06037 read as 06037"),
        (["zip/94043", "zip/94016"], ["94043", "94016"], "with zip/94043 read as 94043"),
        (["0500000US06037", "0500000US06001"], ["06037", "06001"], "with 0500000US06037 read as 06037"),
        (["0500000US06037"], ["geoId/06037"], "with 0500000US06037 read as geoid/06037"),
        (["860Z200US94043"], ["zip/94043"], "with 860Z200US94043 read as zip/94043"),
        (["6037", "48201"], ["06037", "48201"], "with 6037 read as 06037"),
        (["06037", "06001"], ["6037", "6001"], "with 6037 read as 06037"),
        (["geoId/06037", "geoId/06001"], ["6037", "6001"], "with geoId/06037 read as 06037"),
        (["613196570331971583", "x"], ["8828308281fffff"], "with 613196570331971583 read as 8828308281fffff"),
    ],
)
def test_one_id_is_found_in_another_writing(theirs: list[str], ours: list[str], said: str) -> None:
    found, how = _found(theirs, ours)
    assert found == theirs[: len(ours)]
    assert how == said


def test_ids_of_many_widths_keep_their_zeros() -> None:
    assert _found(["7", "12", "345"], ["007", "12", "0345"])[0] == [None, "12", None]
    assert _found(["a7"], ["a07"])[0] == [None]


def test_a_county_is_no_town_of_the_same_number() -> None:
    assert _found(["zip/06037", "zip/06001"], ["geoId/06037", "geoId/06001"]) == ([None, None], "")


def test_of_two_that_become_one_nobody_knows_which_is_meant() -> None:
    import pandas as pd

    from urbanln.tables.columns import features_of
    from urbanln.tables.match import match_ids

    def features(*ids: str):
        frame = pd.DataFrame({"region_id": ids, "A0": range(len(ids)), "A1": 1.0})
        return features_of(frame, where="t")

    with pytest.raises(InputError, match=r"a region stands twice.*read as 06037") as caught:
        match_ids(features("geoId/06037", "zip/06037", "zip/94043"), [["06037"], ["94043"]], where="t")
    assert caught.value.value == "geoId/06037 and zip/06037"
    with pytest.raises(InputError, match="two regions of the city have one id"):
        match_ids(features("06037", "06001"), [["06037x"], ["6001"], ["6037"], ["06037"]][2:], where="t")
    # What stands twice and is no region is no matter in another writing.
    match = match_ids(features("geoId/06037", "geoId/1", "zip/1"), [["06037"]], where="t")
    assert match.rows.tolist() == [0]
    assert match.used.tolist() == [True, False, False]
