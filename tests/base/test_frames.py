"""Parquet files as tools leave them: shapes that the file names, and notes about shapes that are gone."""

from __future__ import annotations

import math
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from urbanln.base.errors import InputError
from urbanln.base.frames import read_frame
from urbanln.base.written import Written, as_floats


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


class _Shapes(pa.ExtensionType):
    """What makes pyarrow write Parquet's own type for shapes."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        super().__init__(pa.binary(), "geoarrow.wkb")

    def __arrow_ext_serialize__(self) -> bytes:
        return self._said

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, said: bytes) -> _Shapes:
        return cls(said)


@pytest.mark.parametrize(
    ("said", "epsg"), [(b'{"crs": "EPSG:3857"}', 3857), (b'{"crs": "srid:3857"}', 3857), (b"{}", None)]
)
def test_parquet_s_own_type_for_shapes_is_read_with_its_system(
    said: bytes, epsg: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    shapes = pa.array([shapely.to_wkb(shapely.Point(12.5, 41.9)), None])
    table = pa.table({"id": ["a", "b"], "place": pa.ExtensionArray.from_storage(_Shapes(said), shapes)})
    pq.write_table(table, path, store_schema=False)
    if "Geometry" not in pq.ParquetFile(path).schema.column(1).logical_type.to_json():
        pytest.skip("this pyarrow does not write it")
    found = read_frame(path)
    assert found.geometry.name == "place"
    assert found.geometry.x.iloc[0] == 12.5
    assert found.geometry.isna().tolist() == [False, True]
    assert found.crs.to_epsg() == epsg
    assert found.crs.is_projected == (epsg is not None)


@pytest.mark.parametrize(("encoding", "likely"), [("gb18030", "gb18030"), ("utf-8", "utf-8")])
def test_a_shapefile_that_names_no_encoding_is_asked_about(
    encoding: str, likely: str, tmp_path: Path
) -> None:
    frame = gpd.GeoDataFrame(
        {"name": ["海淀区", "朝阳区"]}, geometry=gpd.points_from_xy([1, 2], [1, 2]), crs=4326
    )
    frame.to_file(tmp_path / "zh.shp", encoding=encoding)
    assert list(read_frame(tmp_path / "zh.shp")["name"]) == ["海淀区", "朝阳区"]
    (tmp_path / "zh.cpg").unlink()
    with pytest.raises(InputError, match=f"--encoding {likely}"):
        read_frame(tmp_path / "zh.shp")
    told = read_frame(tmp_path / "zh.shp", written=Written(encoding=encoding))
    assert list(told["name"]) == ["海淀区", "朝阳区"]
    plain = frame.assign(name=["a", "b"])
    plain.to_file(tmp_path / "plain.shp")
    (tmp_path / "plain.cpg").unlink()
    assert list(read_frame(tmp_path / "plain.shp")["name"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "Income, all households, 2019\tlon\tlat\n1\t2\t3\n"),
        ("t.csv", "a, b, c, d;lon;lat\n1;2;3\n"),
    ],
)
def test_commas_in_names_do_not_split_them(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    read = read_frame(tmp_path / name)
    assert list(read.columns)[1:] == ["lon", "lat"]
    assert read.iloc[0].tolist() == [1, 2, 3]


def test_a_whole_number_that_no_float_has_room_for_spoils_no_other_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"id,label,name\n007,{'9' * 400},park\n008,5,{'9' * 400}\n")
    read = read_frame(tmp_path / "t.csv", text=["id"])
    assert as_floats(read["label"]).tolist() == [math.inf, 5.0]
    assert read["id"].tolist() == ["007", "008"]
    assert read["name"].tolist() == ["park", "9" * 400]
