"""Parquet files as tools leave them: shapes that the file names, and notes about shapes that are gone."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from urbanln.base.frames import read_frame


def _places() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {"id": ["a", "b"], "e": [[1.0, 2.0], [3.0, 4.0]]},
        geometry=gpd.points_from_xy([116.3, 116.4], [39.9, 40.0]), crs=4326,
    ).to_crs(3857)  # fmt: skip


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize("geo_parquet", [True, False])
def test_shapes_are_read_with_their_system(encoding: str, geo_parquet: bool, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    if geo_parquet:
        _places().to_parquet(path, geometry_encoding=encoding)
    else:
        pq.write_table(pa.table(_places().to_arrow(geometry_encoding=encoding)), path)
    found = read_frame(path)
    assert found.crs.to_epsg() == 3857
    assert found.geometry.to_crs(4326).x.tolist() == pytest.approx([116.3, 116.4])
    assert list(found["e"].iloc[1]) == [3.0, 4.0]


def test_a_note_about_shapes_that_are_gone_is_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    _places().to_parquet(path)
    pq.write_table(pq.read_table(path).drop(["geometry"]), path)
    assert list(read_frame(path).columns) == ["id", "e"]
