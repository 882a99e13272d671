"""Joined tables: one order of regions, several cities and districts, no copy of a block of float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from urbanln.base.errors import InputError
from urbanln.base.space import CITY_GAP_M, to_metres
from urbanln.probe.tables import common_regions
from urbanln.probe.units import group_numbers

N = 12
RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(N, 3)).astype(np.float32)
IDS = [f"r{i:02d}" for i in range(N)]


def frames() -> dict:
    positions = pd.DataFrame({"region_id": IDS, "lon": RNG.random(N) + 116, "lat": RNG.random(N) + 40})
    labels = pd.DataFrame({"region_id": IDS, "count": np.arange(N) * 1.0})
    vectors = pd.DataFrame({"region_id": IDS, "vector": list(MATRIX)})
    return {"tables": {"ours": vectors}, "indicators": labels, "lonlat": positions}


def test_tables_in_any_order_are_joined_by_region() -> None:
    given = frames()
    order = RNG.permutation(N)[: N - 2]
    given["tables"] = {"ours": given["tables"]["ours"].iloc[order]}
    given["indicators"] = given["indicators"].iloc[RNG.permutation(N)[: N - 3]]
    regions = common_regions(**given, groups={"r03": "p", "r04": "p"})
    assert list(regions.ids) == sorted(np.array(IDS)[order])
    for row, region in enumerate(regions.ids):
        number = IDS.index(region)
        assert np.array_equal(regions.vectors["ours"][0][row], MATRIX[number])
        assert regions.lonlat[row].tolist() == given["lonlat"].iloc[number][["lon", "lat"]].tolist()
        label = given["indicators"].set_index("region_id")["count"].get(region, np.nan)
        assert np.array_equal(regions.targets["count"][row], label, equal_nan=True)
    assert regions.groups is not None
    shared = np.bincount(group_numbers(regions.groups, len(regions.ids)))
    assert shared.max() == sum(region in ("r03", "r04") for region in regions.ids)
    assert regions.cities is None
    assert regions.districts is None
    assert np.array_equal(regions.metres, to_metres(regions.lonlat))
    assert regions.coverage["total"] == N
    assert regions.coverage["common"] == regions.coverage["tables"]["ours"] == N - 2


def test_city_and_district_columns_are_read() -> None:
    given = frames()
    given["lonlat"]["city"] = ["Aa"] * 6 + ["Bb"] * 6
    given["lonlat"]["district"] = ["one", None, "", np.nan, 5, "one"] * 2
    regions = common_regions(**given)
    assert list(regions.cities) == ["Aa"] * 6 + ["Bb"] * 6
    assert list(regions.districts) == ["one", None, None, None, "5", "one"] * 2
    assert np.array_equal(regions.metres, to_metres(regions.lonlat, regions.cities))
    assert regions.metres[6:, 0].min() - regions.metres[:6, 0].max() > CITY_GAP_M / 2
    given["lonlat"]["district"] = pd.Series([None] * N, dtype="string")
    assert common_regions(**given).districts is None


def test_a_block_of_float32_is_not_copied_and_anything_else_is_right(tmp_path: Path) -> None:
    given = frames()
    assert np.shares_memory(common_regions(**given).vectors["ours"][0], MATRIX)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(MATRIX.reshape(-1)), 3)
    pq.write_table(pa.table({"region_id": IDS, "vector": lists}), tmp_path / "v.parquet")
    read = pd.read_parquet(tmp_path / "v.parquet")
    found = common_regions(**{**given, "tables": {"ours": read}}).vectors["ours"][0]
    assert np.array_equal(found, MATRIX)
    assert np.shares_memory(found, read["vector"].iloc[5])
    del read  # the rows' memory must outlive their table
    assert np.array_equal(found, MATRIX)
    wide = np.hstack([MATRIX, MATRIX])
    for other in (
        MATRIX.astype(np.float64),
        wide[:, :3],
        wide.T[:3].T,
        np.asfortranarray(MATRIX),
        [row.tolist() for row in MATRIX],
        [row.copy() for row in MATRIX],
    ):
        given["tables"]["ours"]["vector"] = list(other)
        assert np.array_equal(common_regions(**given).vectors["ours"][0], MATRIX)
    twice = MATRIX.copy()
    given["tables"]["ours"]["vector"] = [twice[0], *twice[:-1]]  # one row in two places
    assert np.array_equal(common_regions(**given).vectors["ours"][0], np.vstack([twice[:1], twice[:-1]]))


def spoil(**changes):
    def change(given: dict) -> dict:
        for name, make in changes.items():
            given[name] = make(given[name])
        return given

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(lonlat=lambda f: f.drop(columns="lat")), "positions lacks a column"),
        (spoil(lonlat=lambda f: pd.concat([f, f[:1]])), "twice in the table of positions"),
        (spoil(indicators=lambda f: pd.concat([f, f[:1]])), "twice in the table of indicators"),
        (
            spoil(tables=lambda t: {"ours": pd.concat([t["ours"]] * 2)}),
            "twice in the table of vectors 'ours'",
        ),
        (spoil(lonlat=lambda f: f.assign(city=["A"] * 11 + [None])), "a region has no city"),
        (spoil(lonlat=lambda f: f.assign(lat=f["lon"], lon=f["lat"])), "longitude first"),
        (spoil(indicators=lambda f: f.assign(count="many")), "labels are not numbers"),
        (spoil(tables=lambda t: {"mean": t["ours"]}), "name of a floor"),
        (spoil(tables=lambda t: {"coordinates-gp": t["ours"]}), "name of a floor"),
        (spoil(tables=lambda t: {"map": t["ours"]}), "name of a floor"),
        (spoil(tables=lambda t: {"coordinates + ours": t["ours"]}), "name of a floor"),
        (spoil(tables=lambda t: {"ours": []}), "empty"),
        (spoil(tables=lambda t: {"ours": t["ours"].assign(region_id="x").head(1)}), "no region has a vector"),
        (spoil(lonlat=lambda f: f[:0], tables=lambda t: {}), "there is no region"),
    ],
)
def test_bad_tables_are_one_clear_error(change, message: str) -> None:
    with pytest.raises(InputError) as error:
        common_regions(**change(frames()))
    assert message in str(error.value)


def test_a_label_that_is_missing_everywhere_is_left_for_later() -> None:
    given = frames()
    given["indicators"]["empty"] = pd.Series([None] * N, dtype=object)
    assert np.isnan(common_regions(**given).targets["empty"]).all()


def test_groups_are_found_by_numbers_too_and_a_missing_one_is_shared_with_nobody() -> None:
    given = frames()
    numbers = list(range(N))
    for frame in (given["tables"]["ours"], given["indicators"], given["lonlat"]):
        frame["region_id"] = numbers
    regions = common_regions(**given, groups={1: "p", 2: "p", 3: None, 4: float("nan"), 5: None})
    assert regions.groups is not None
    held = group_numbers(regions.groups, N)
    assert held[1] == held[2]
    assert len(set(held)) == N - 1


def test_vectors_of_text_are_refused() -> None:
    given = frames()
    given["tables"]["ours"]["vector"] = ["a b"] * N
    with pytest.raises(InputError, match="not numbers") as error:
        common_regions(**given)
    assert "vectors 'ours'" in str(error.value)


def test_columns_that_stand_twice_and_complex_labels_are_refused() -> None:
    given = frames()
    given["indicators"] = given["indicators"].assign(more=1.0).set_axis(["region_id", "7", 7], axis=1)
    with pytest.raises(InputError, match="stands twice in the table of indicators"):
        common_regions(**given)
    given = frames()
    given["indicators"]["count"] = 1 + 1j
    with pytest.raises(InputError, match="labels are not numbers"):
        common_regions(**given)
