"""What names of columns say: lists of real ones, each with what it is."""

from __future__ import annotations

import pytest

from urbanln.tables.names import (
    counted,
    fits,
    flat_pairs,
    known_key,
    lonlat_pairs,
    may_be_feature,
    pattern_of,
)


@pytest.mark.parametrize(
    "name",
    [
        "A00",
        "feature0",
        "0",
        "emb_000",
        "dim1",
        "ndvi",
        "embedding",
        "vector",
        "B11",
        "PC1",
        "place_embedding",
        "image_features",
        "geoclip_0",
        "pixelEmbedding",
        "latent_3",
        "roads",
    ],
)
def test_a_feature_may_be_called_so(name: str) -> None:
    assert may_be_feature(name)


@pytest.mark.parametrize(
    "name",
    [
        "lon",
        "long",
        "INTPTLAT",
        "centroid_lon",
        "lat_center",
        "centroidLng",
        "x",
        "Y",
        "center_x",
        "bbox",
        "pixel_bbox",
        "proj:shape",
        "stats:mean",
        "geometry",
        "grid_row_u",
        "area_km2",
        "ALAND",
        "GEOID",
        "OBJECTID",
        "geoid20",
        "system:index",
        "STATEFP",
        "zcta5",
        "h3",
        "feature_id",
        "n_images",
        "year",
        "Unnamed: 0",
        "Shape_Length",
        "id_3",
    ],
)
def test_no_feature_is_called_so(name: str) -> None:
    assert not may_be_feature(name)


def test_columns_that_count_up_are_found_in_the_order_of_their_numbers() -> None:
    assert counted(["A10", "A2", "A1", *(f"A{i}" for i in range(3, 10))])["A", ""] == [
        f"A{i}" for i in range(1, 11)
    ]
    assert counted(["2", "0", "1"]) == {("", ""): ["0", "1", "2"]}
    assert counted(["e[0]", "e[1]"]) == {("e[", "]"): ["e[0]", "e[1]"]}
    assert len(counted([f"h{i}" for i in range(9)])["h", ""]) == 9  # h3 among them
    assert counted(["x0", "x1", "x2"])["x", ""] == ["x0", "x1", "x2"]
    assert list(counted(["A00", "A01", "B0", "B1"])) == [("A", ""), ("B", "")]


@pytest.mark.parametrize(
    "names",
    [
        ["pop_2019", "pop_2020"],
        ["A00", "A02"],
        ["A00"],
        ["A0", "A00", "A1"],
        ["x1", "y1", "x2", "y2"],
        ["pm10", "pm25"],
        ["GID_0", "GID_1"],
        ["bbox_0", "bbox_1", "bbox_2", "bbox_3"],
    ],
)
def test_years_gaps_single_columns_corners_and_codes_do_not_count_up(names: list[str]) -> None:
    assert counted(names) == {}


def test_longitude_and_latitude_of_one_thing_are_a_pair() -> None:
    assert lonlat_pairs(["INTPTLAT", "INTPTLON", "lon", "lat"]) == [("INTPTLON", "INTPTLAT"), ("lon", "lat")]
    assert lonlat_pairs(["lon_center", "centre_lat", "lon"]) == []  # of two things
    assert lonlat_pairs(["decimalLongitude", "decimalLatitude"]) == [("decimalLongitude", "decimalLatitude")]
    assert lonlat_pairs(["along", "flat"]) == []
    assert flat_pairs(["center_x", "center_y", "x"]) == [("center_x", "center_y")]


def test_ids_are_known_however_they_are_written() -> None:
    assert all(
        map(known_key, ["place", "GEOID", "GEO_ID", "system:index", "h3_index", "ZCTA5CE20", "regionId"])
    )
    assert not any(map(known_key, ["OBJECTID", "fid", "name", "A00"]))


def test_the_pattern_of_a_run_fits_the_run_alone() -> None:
    run = ["A00", "A01"]
    assert pattern_of(run, ("A", ""), run) == "A*"
    assert pattern_of(run, ("A", ""), [*run, "ALAND"]) == "A[0-9]*"
    assert pattern_of(run, ("A", ""), [*run, "A0_total"]) == "A00,A01"
    brackets = ["e[0]", "e[1]", "e"]
    assert [
        name for name in brackets if fits(name, [pattern_of(brackets[:2], ("e[", "]"), brackets)])
    ] == brackets[:2]
    assert fits("e[0]", ["e[0]"])  # a whole name is no pattern
