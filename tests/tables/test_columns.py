"""Vectors out of tables that others made: by region id, by position, and what is no vector at all."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from tests.oracles.points import mean_inside_or_nearest

from urbanln.base.errors import InputError
from urbanln.base.space import spacing_km, to_metres
from urbanln.tables.columns import features_of
from urbanln.tables.match import match_ids, match_points


def _grid(side: int = 6, cell: float = 0.01) -> tuple[gpd.GeoSeries, np.ndarray]:
    """Square regions around 116 E, 40 N, and their centres."""
    x, y = np.meshgrid(116 + cell * np.arange(side), 40 + cell * np.arange(side))
    x, y = x.reshape(-1), y.reshape(-1)
    shapes = gpd.GeoSeries(shapely.box(x, y, x + cell, y + cell), crs=4326)
    return shapes, np.column_stack([x + cell / 2, y + cell / 2])


def test_columns_that_count_up_are_dimensions_and_a_pattern_takes_what_may_be_a_feature() -> None:
    frame = pd.DataFrame(
        {
            "region_id": ["a", "b"], "year": 2020, "A00": [1.0, 2.0], "name": ["x", "y"], "A01": [3, 4],
            "Longitude": 1.0, "lat": 2.0, "population": [10.0, 20.0], "n_images": 3,
        }
    )  # fmt: skip
    found = features_of(frame, labels=["population"], where="t")
    assert found.names == ("A00", "A01")
    assert found.passed_over == ("population",)
    assert found.vectors.dtype == np.float32
    assert found.vectors.tolist() == [[1, 3], [2, 4]]
    assert list(found.ids) == ["a", "b"]
    assert found.chosen.unused == ()
    assert features_of(frame, columns=["A*1", "n_images"], where="t").names == ("A01", "n_images")
    every = features_of(frame, columns=["*"], labels=["population"], where="t")
    assert every.names == ("A00", "A01")
    assert every.chosen.passed == ("region_id", "year", "name", "Longitude", "lat", "n_images")
    with pytest.raises(InputError, match="no column of this table") as caught:
        features_of(frame, columns=["B*"], where="t")
    assert "A00" in str(caught.value)


def test_a_column_of_lists_is_the_vector_whatever_it_is_called() -> None:
    lists = pd.DataFrame({"region_id": ["a", "b", "c"], "embedding": [[1.0, 2.0], None, [3.0, np.nan]]})
    found = features_of(lists, where="t")
    assert found.vectors.tolist() == [[1, 2]]
    assert list(found.ids) == ["a"]
    assert found.left_out == 2
    with pytest.raises(InputError, match="differ in length"):
        features_of(pd.DataFrame({"region_id": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}), where="t")


def test_rows_with_missing_values_are_left_out_and_counted_by_why() -> None:
    frame = pd.DataFrame(
        {"region_id": ["a", "b", "c", None], "v0": [1.0, np.nan, np.nan, 4.0], "v1": [0.0, 1.0, np.nan, 2.0]}
    )
    found = features_of(frame, where="t")
    assert (list(found.ids), found.left_out, found.rows.tolist()) == (["a"], 3, [0])
    assert found.reasons == {"without a vector": 1, "a value is missing": 1, "without region_id": 1}
    with pytest.raises(InputError, match="no row of this table has a whole vector"):
        features_of(frame.assign(v1=np.nan), where="t")
    with pytest.raises(InputError, match="no rows"):
        features_of(frame.iloc[:0], where="t")


def test_no_key_no_numbers_and_text_numbers_are_named() -> None:
    with pytest.raises(InputError, match="neither which region nor where"):
        features_of(pd.DataFrame({"v0": [1.0]}), where="t")
    with pytest.raises(InputError, match="no vectors in this table"):
        features_of(pd.DataFrame({"region_id": ["a"], "v0": ["1,5"]}), where="t")
    with pytest.raises(InputError, match="is no number") as caught:
        features_of(pd.DataFrame({"region_id": ["a"], "v0": ["1,5"]}), columns=["v0"], where="t")
    assert "1,5" in str(caught.value)
    with pytest.raises(InputError, match="position in the table") as caught:
        features_of(pd.DataFrame({"lon": [40.0], "lat": [116.0], "v0": [1.0]}), where="t")
    assert "EPSG:4326" in str(caught.value)


def test_ids_are_matched_in_the_order_they_are_preferred() -> None:
    found = features_of(
        pd.DataFrame({"region_id": ["r1", "X/r0", "X/r1"], "v": [1.0, 2.0, 3.0]}), columns=["v"], where="t"
    )
    match = match_ids(found, [["X/r0", "r0"], ["X/r1", "r1"], ["X/r2"], ["Y/r1", "r1"]], where="t")
    assert match.rows.tolist() == [0, 1, 3]
    assert match.vectors[:, 0].tolist() == [2, 3, 1]
    twice = features_of(pd.DataFrame({"region_id": ["a", "a"], "v": [1.0, 2.0]}), columns=["v"], where="t")
    with pytest.raises(InputError, match="stands twice"):
        match_ids(twice, [["a"]], where="t")


def test_points_inside_are_averaged_and_the_nearest_one_serves_else() -> None:
    shapes, centres = _grid()
    rng = np.random.default_rng(0)
    points = rng.uniform([116, 40], [116.05, 40.06], size=(50, 2))  # leaves the eastern column empty
    far = np.array([[-70.0, -30.0]])  # a point of another continent changes nothing
    values = rng.normal(size=(51, 3)).astype(np.float32)
    frame = pd.DataFrame(values, columns=["v0", "v1", "v2"]).assign(
        lon=np.append(points[:, 0], far[:, 0]), lat=np.append(points[:, 1], far[:, 1])
    )
    match = match_points(features_of(frame, where="t"), shapes, centres)
    reach = spacing_km(to_metres(centres))
    rows, vectors, inside, near = mean_inside_or_nearest(
        np.vstack([points, far]), values, np.array([s.bounds for s in shapes]), centres, reach
    )
    assert match.rows.tolist() == rows
    np.testing.assert_allclose(match.vectors, vectors, rtol=1e-5, atol=1e-6)
    assert (match.inside, match.near) == (inside, near)
    assert inside > 0
    assert near > 0
    assert len(rows) < len(centres), "some regions are too far from any point"
    assert match.reach_km == pytest.approx(0.85, rel=0.02), "0.01 degrees of longitude at 40 N"


def test_regions_at_one_place_do_not_shorten_the_reach() -> None:
    pair = [(116.0, 40.0), (116.01, 40.0)]
    shapes = gpd.GeoSeries(shapely.points(np.repeat(pair, 2, axis=0)), crs=4326)
    centres = shapely.get_coordinates(shapes.to_numpy())
    frame = pd.DataFrame({"v": [1.0], "lon": [115.995], "lat": [40.0]})
    match = match_points(features_of(frame, columns=["v"], where="t"), shapes, centres)
    assert match.reach_km == pytest.approx(0.85, rel=0.02)
    assert match.rows.tolist() == [0, 1]


def test_two_columns_of_one_name_are_refused_as_dimensions() -> None:
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "b", "a"]).assign(region_id="r")
    with pytest.raises(InputError, match="two columns of the table have one name") as caught:
        features_of(frame, where="t")
    assert caught.value.value == "a"


def test_regions_that_are_points_take_the_nearest_point_within_reach() -> None:
    _, centres = _grid()
    shapes = gpd.GeoSeries(shapely.points(centres), crs=4326)
    frame = gpd.GeoDataFrame(
        {"v": np.arange(36.0)}, geometry=shapely.points(centres + np.array([0.001, 0.0])), crs=4326
    ).to_crs(3857)
    match = match_points(features_of(frame, columns=["v"], where="t"), shapes, centres)
    assert match.vectors[:, 0].tolist() == list(range(36))
    assert (match.inside, match.near) == (0, 36)
    assert match.farthest_km == pytest.approx(0.0853, rel=0.01), "0.001 degrees of longitude at 40 N"
    none = match_points(features_of(frame, columns=["v"], where="t"), shapes, centres, reach_km=0.05)
    assert len(none.rows) == 0
    # A polygon in the table stands for a point within it.
    polygons = gpd.GeoDataFrame({"v": np.arange(36.0)}, geometry=_grid()[0], crs=4326)
    assert match_points(features_of(polygons, columns=["v"], where="t"), _grid()[0], centres).inside == 36


def test_the_key_named_as_a_vector_is_refused() -> None:
    frame = pd.DataFrame({"region_id": [1, 2, 3], "A0": [0.1, 0.3, 0.2], "A1": [0.4, 0.1, 0.3]})
    with pytest.raises(InputError, match="no dimension"):
        features_of(frame, columns=["region_id"], where="t")


def test_a_column_that_is_empty_throughout_is_named_with_the_others() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 4))
    frame = pd.DataFrame(rows, columns=["f0", "f1", "f2", "f3"]).assign(f2=np.nan, region_id=list("abcde"))
    with pytest.raises(InputError) as caught:
        features_of(frame, where="t", spec="t=a.csv")
    assert (caught.value.value, caught.value.remedy) == (
        "f2", "name the others: --vectors 't=a.csv#f0,f1,f3'"
    )  # fmt: skip
