"""Vectors on disk: what is written is what is read, by us and by anybody's GeoParquet reader."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from urbanln.base import files
from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import table_note
from urbanln.tables.vectors import COLUMNS, matrix, read_embeddings, write_embeddings


def _frame(n: int = 3, dim: int = 4) -> gpd.GeoDataFrame:
    rng = np.random.default_rng(0)
    return gpd.GeoDataFrame(
        {
            "region_id": [f"r{i}" for i in range(n)],
            "n_images": np.arange(1, n + 1),
            "vector": list(rng.normal(size=(n, dim)).astype(np.float32)),
        },
        geometry=shapely.points(np.arange(n) + 100.0, 30.0),
        crs=4326,
    )


def test_round_trip_and_foreign_readers(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.parquet"
    frame = _frame()
    write_embeddings(path, frame, {"images": "abc"}, view="satellite")
    back = read_embeddings(path)
    assert (matrix(back) == matrix(frame)).all()
    assert matrix(back).dtype == np.float32
    assert list(back["region_id"]) == ["r0", "r1", "r2"]
    plain = gpd.read_parquet(path)
    assert plain.crs.to_epsg() == 4326
    assert plain.geometry.iloc[2].x == 102
    kind = pq.read_schema(path).field("vector").type
    assert pa.types.is_fixed_size_list(kind)
    assert (kind.list_size, kind.value_type) == (4, pa.float32())
    note = table_note(path)
    assert note["view"] == "satellite"
    assert note["made_from"] == {"images": "abc"}


def test_many_vectors_are_read_group_by_group_into_one_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_ROW_GROUP", 4)
    path, frame = tmp_path / "e.parquet", _frame(11)
    write_embeddings(path, frame)
    assert pq.ParquetFile(path).num_row_groups == 3
    for shapes in (True, False):
        back = read_embeddings(path, shapes=shapes)
        assert list(back.columns) == [name for name in COLUMNS if shapes or name != "geometry"]
        assert np.array_equal(matrix(back), matrix(frame))
        assert np.shares_memory(matrix(back), back["vector"].iloc[7]), "no second copy is made"
    other = pq.read_table(path)
    lists = pa.array([[1.0, 2.0]] * 10 + [None], pa.list_(pa.float32(), 2))
    for column in (lists, other["vector"].cast(pa.list_(pa.float64()))):
        at = other.column_names.index("vector")
        pq.write_table(other.set_column(at, "vector", column), path)
        try:
            whole = pd.read_parquet(path, columns=["vector"])["vector"]
        except pa.ArrowInvalid:  # pyarrow 17 reads no vector of fixed length that is missing
            with pytest.raises(ArtefactError):
                read_embeddings(path)
        else:
            assert list(map(str, read_embeddings(path)["vector"])) == list(map(str, whole))


def test_another_reference_system_is_brought_to_degrees(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "e.parquet", _frame().to_crs(3857))
    assert read_embeddings(tmp_path / "e.parquet").geometry.x.to_numpy() == pytest.approx([100, 101, 102])


def test_bad_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    with pytest.raises(InputError, match="lacks a column"):
        write_embeddings(path, _frame().drop(columns="n_images"))
    with pytest.raises(InputError, match="twice"):
        write_embeddings(path, _frame().assign(region_id="r0"))
    with pytest.raises(InputError, match="no CRS"):
        write_embeddings(path, gpd.GeoDataFrame(_frame().set_crs(None, allow_override=True)))
    spoiled = _frame()
    spoiled.at[1, "vector"] = np.array([1, np.nan, 0, 0], dtype=np.float32)
    with pytest.raises(InputError, match="finite") as caught:
        write_embeddings(path, spoiled)
    assert "r1" in str(caught.value)
    uneven = _frame()
    uneven.at[1, "vector"] = np.zeros(3, dtype=np.float32)
    with pytest.raises(InputError, match="differ in length"):
        write_embeddings(path, uneven)
    assert not path.exists()


def test_another_table_is_not_taken_for_vectors(tmp_path: Path) -> None:
    _frame().drop(columns="vector").to_parquet(tmp_path / "regions.parquet")
    with pytest.raises(ArtefactError, match="embeddings"):
        read_embeddings(tmp_path / "regions.parquet")
    with pytest.raises(InputError, match="no such file"):
        read_embeddings(tmp_path / "none.parquet")


@pytest.mark.parametrize("cells", [[1.0, 2.0], [[], []], [[[1.0]], [[2.0]]], [["a"], ["b"]], [{}, {}]])
def test_what_is_no_list_of_numbers_is_no_vector(cells: list) -> None:
    with pytest.raises(InputError, match="no list of numbers"):
        matrix(pd.DataFrame({"vector": pd.Series(cells, dtype=object)}))
