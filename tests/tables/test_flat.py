"""Vectors as CSV and GeoPackage: to the bit what they were, and ids as they were written."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import MultiPolygon, Point, box

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.outputs import output_file
from urbanln.tables.cities import read_vectors
from urbanln.tables.flat import VECTORS, read_own, vectors_note, write_vectors
from urbanln.tables.vectors import read_embeddings

IDS = ["007", "7", "1e5", "NA", 'a,"b"\nc', "nan", "区 1", "=1+1", "1_0", "true"]


def table(vectors: np.ndarray, ids: list[str] | None = None) -> gpd.GeoDataFrame:
    count = len(vectors)
    shapes = [
        [Point(i / 10, 0), box(i, 0, i + 1, 1), MultiPolygon([box(i, 0, i + 1, 1)])][i % 3]
        for i in range(count)
    ]
    frame = {"region_id": ids or [f"{i:04d}" for i in range(count)], "n_images": list(range(count))}
    return gpd.GeoDataFrame({**frame, "vector": list(vectors)}, geometry=shapes, crs=4326)


def floats(rows: int, columns: int) -> np.ndarray:
    """Numbers of every size, the odd ones among them."""
    bits = np.random.default_rng(0).integers(0, 2**32, (rows, columns), dtype=np.uint32)
    values = bits.view(np.float32).copy()
    values[~np.isfinite(values)] = 0.1
    odd = [0.0, 1.0, -1e-45, 1.1754944e-38, 3.4028235e38, 16777216.0, 1 / 3, 2e-5]
    values[0, : len(odd)] = odd
    return values


@pytest.mark.parametrize("suffix", [".csv", ".gpkg", ".parquet"])
@pytest.mark.parametrize("columns", [1, 40])
def test_vectors_come_back_to_the_bit(tmp_path: Path, suffix: str, columns: int) -> None:
    vectors = np.resize(floats(2000, 40), (2000, columns))
    path = tmp_path / f"v{suffix}"
    write_vectors(path, table(vectors), transductive=True)
    found = read_embeddings(path) if suffix == ".parquet" else read_own(path)
    assert found is not None
    assert (np.stack(found["vector"]).view(np.uint32) == vectors.view(np.uint32)).all()
    assert found["region_id"].tolist() == [f"{i:04d}" for i in range(2000)]
    assert found["n_images"].tolist() == list(range(2000))
    assert found.attrs == {"transductive": None if suffix == ".csv" else True, "model": None, "view": None}
    if suffix != ".csv":
        assert found.crs.to_epsg() == 4326
        assert found.geometry.geom_equals(table(vectors).geometry).all()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".csv", ".gpkg"])
def test_ids_stay_text(tmp_path: Path, suffix: str) -> None:
    write_vectors(tmp_path / f"v{suffix}", table(floats(len(IDS), 8), IDS))
    found = read_own(tmp_path / f"v{suffix}")
    assert found is not None
    assert found["region_id"].tolist() == IDS


def test_a_csv_keeps_the_sign_of_nothing_and_a_geopackage_does_not(tmp_path: Path) -> None:
    vectors = np.float32([[-0.0, 1], [2, 3]])
    for suffix, kept in ((".csv", True), (".gpkg", False)):
        write_vectors(tmp_path / f"v{suffix}", table(vectors))
        found = read_own(tmp_path / f"v{suffix}")
        assert found is not None
        assert bool(np.signbit(found["vector"][0][0])) is kept


def test_few_digits_are_written(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.csv", table(np.float32([[0.1, 1e-5], [1 / 3, 2.5]])))
    text = (tmp_path / "v.csv").read_text()
    assert text == 'region_id,n_images,v0,v1\n"0000",0,0.1,0.00001\n"0001",1,0.33333334,2.5\n'


def test_ours_is_written_over_and_anybody_elses_is_not(tmp_path: Path) -> None:
    for suffix in VECTORS.formats:
        path = tmp_path / f"v{suffix}"
        write_vectors(path, table(floats(3, 8)))
        output_file(path, VECTORS)
        write_vectors(path, table(floats(5, 8)))
        assert (vectors_note(path).get("kind") == "embeddings") is (suffix != ".csv")
    (tmp_path / "theirs.csv").write_text("region_id,n_images,v0,v2\n1,1,1,1\n")
    table(floats(3, 8)).drop(columns="vector").to_file(tmp_path / "theirs.gpkg", layer="vectors")
    (tmp_path / "broken.gpkg").write_text("no map")
    for name in ("theirs.csv", "theirs.gpkg", "broken.gpkg"):
        with pytest.raises(InputError, match="would be overwritten"):
            output_file(tmp_path / name, VECTORS)
        assert read_own(tmp_path / name) is None


def test_more_dimensions_than_a_geopackage_holds(tmp_path: Path) -> None:
    most = np.ones((2, 1990), dtype=np.float32)
    write_vectors(tmp_path / "v.gpkg", table(most))
    found = read_own(tmp_path / "v.gpkg")
    assert found is not None
    assert found["vector"][0].shape == (1990,)
    with pytest.raises(InputError, match="room for 1,990"):
        write_vectors(tmp_path / "w.gpkg", table(np.ones((2, 1991), dtype=np.float32)))


def test_a_damaged_csv_of_ours_is_told(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.csv", table(floats(3, 8)))
    text = (tmp_path / "v.csv").read_text()
    (tmp_path / "v.csv").write_text(text.rpartition(",")[0])
    with pytest.raises(ArtefactError, match="damaged"):
        read_own(tmp_path / "v.csv")


@pytest.mark.parametrize("suffix", [".csv", ".gpkg"])
def test_the_probe_reads_what_embed_wrote(tmp_path: Path, suffix: str, city) -> None:  # type: ignore[no-untyped-def]
    regions = city.regions
    vectors = floats(len(regions), 12)
    vectors[:, 3] = 1.0  # a table of ours is taken as it is, its constant dimensions too
    frame = gpd.GeoDataFrame(
        {"region_id": regions["region_id"], "n_images": 1, "vector": list(vectors)}, geometry=regions.geometry
    )
    for ending in (suffix, ".parquet"):
        write_vectors(tmp_path / f"v{ending}", frame, transductive=False)
    own = read_vectors([f"v={tmp_path / f'v{suffix}'}"], [city])["v"]
    whole = read_vectors([f"v={tmp_path / 'v.parquet'}"], [city])["v"]
    assert own["region_id"].tolist() == whole["region_id"].tolist()
    assert (np.stack(own["vector"]) == np.stack(whole["vector"])).all()
