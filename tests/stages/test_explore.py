"""What ``explore`` is given becomes what a page shows; what is taken away is what the city says."""

from __future__ import annotations

import io
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.train.fake_city import make_city

from urbanln.base.config import Settings
from urbanln.base.written import Written
from urbanln.city.store import City
from urbanln.explore.answers import Answers
from urbanln.explore.content import Content
from urbanln.explore.exporting import export_page
from urbanln.explore.taken import take
from urbanln.stages.explore import Asked, content_of, is_free

ODD = (1e308, 1234567891.25, 1e-9, 0.1, -7.0)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> City:
    """A city whose label has numbers of all sizes, and none in its last region."""
    folder = tmp_path_factory.mktemp("odd") / "city"
    make_city(folder, regions=len(ODD) + 1)
    table = pq.read_table(folder / "indicators.parquet")
    values = pa.array([*ODD, None], pa.float64())
    changed = table.set_column(table.column_names.index("label"), "label", values)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), folder / "indicators.parquet")
    return City.open(folder)


@pytest.fixture(scope="module")
def content(odd: City) -> Content:
    return content_of([odd], Asked(), Settings())


@pytest.mark.parametrize("form", ["geojson", "csv", "parquet"])
def test_what_is_taken_away_has_all_its_digits(content: Content, odd: City, form: str) -> None:
    rows = np.arange(len(content))
    data = io.BytesIO(take(content, rows, list(content.columns.values()), form))  # type: ignore[arg-type]
    read = {"csv": pd.read_csv, "parquet": gpd.read_parquet, "geojson": gpd.read_file}[form]
    frame = read(data)
    assert list(frame["region_id"]) == list(odd.regions["region_id"])
    np.testing.assert_array_equal(frame["label:label"], odd.indicators["label"])
    if form != "csv":
        assert frame.geometry.geom_equals_exact(odd.regions.geometry, 1e-9).all()


def test_a_number_too_large_to_be_drawn_is_left_out_and_said(
    odd: City, capsys: pytest.CaptureFixture[str]
) -> None:
    content = content_of([odd], Asked(), Settings())
    assert "1 values are beyond 3.4e+38 and not drawn" in capsys.readouterr().err
    assert Answers(content).region(0)["values"]["label:label"] is None
    (entry,) = [one for one in Answers(content).overview()["columns"] if one["key"] == "label:label"]
    assert (entry["missing"], entry["high"]) == (2, np.float32(ODD[1]))


def test_vectors_of_one_number_have_no_layout(odd: City, tmp_path: Path) -> None:
    rows = odd.regions["region_id"]
    pd.DataFrame({"region_id": rows, "a0": np.linspace(1, 2, len(rows))}).to_csv(
        tmp_path / "v.csv", index=False
    )
    content = content_of([odd], Asked(vectors=f"{tmp_path / 'v.csv'}#a0"), Settings())
    assert not Answers(content).overview()["layout"]
    assert len(Answers(content).similar([0])["rows"]) == len(rows) - 1


def test_a_table_of_vectors_is_read_as_it_is_for_a_probe(odd: City, tmp_path: Path) -> None:
    rows = odd.regions["region_id"]
    table = pd.DataFrame({"code": rows, "a0": np.linspace(1, 2, len(rows)), "a1": -999.0})
    table.loc[1:, "a1"] = 0.5
    table.to_csv(tmp_path / "v.csv", index=False, sep=";", decimal=",")
    how = {"keys": ("code",), "nodata": ("-999",), "written": Written(decimal=",")}
    content = content_of([odd], Asked(f"{tmp_path / 'v.csv'}#a0,a1", **how), Settings())
    assert list(content.vectors.rows) == list(range(1, len(rows)))


def test_a_city_of_nothing_but_regions_is_a_page(tmp_path: Path) -> None:
    make_city(tmp_path / "bare", regions=1, captions=0)
    for name in ("indicators", "images"):
        table = pq.read_table(tmp_path / "bare" / f"{name}.parquet")
        pq.write_table(table.slice(0, 0), tmp_path / "bare" / f"{name}.parquet")
    content = content_of([City.open(tmp_path / "bare")], Asked(), Settings())
    told = Answers(content).overview()
    assert (told["n"], told["can"]["similar"], told["can"]["pictures"]) == (1, False, False)
    assert Answers(content).region(0)["near"] == []


def test_an_export_says_what_brings_what_it_lacks(tmp_path: Path) -> None:
    make_city(tmp_path / "plain", regions=3)
    content = content_of([City.open(tmp_path / "plain")], Asked(), Settings())
    export_page(content, tmp_path / "page")
    script = (tmp_path / "page" / "data.js").read_text(encoding="utf-8")
    told = json.loads(script[script.index("{") : script.rindex("}") + 1])["content"]["why_not"]
    brings = "start explore with --vectors FILE and --model RUN"  # a server without them has no answer either
    assert told["text"] == told["evidence"] == brings
    assert told["upload"] == brings + ", without --export"


@pytest.mark.parametrize(
    "names", [[["Nord", "Pohjola"], None, ["Etel"]], [1, 2, None], ["Nord", None, "Etel"]]
)
def test_names_of_any_kind_are_texts(tmp_path: Path, names: list[object]) -> None:
    make_city(tmp_path / "named", regions=len(names))
    table = pq.read_table(tmp_path / "named" / "regions.parquet")
    kept = table.drop_columns(["name"]) if "name" in table.column_names else table
    changed = kept.append_column("name", pa.array(names)).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, tmp_path / "named" / "regions.parquet")
    content = content_of([City.open(tmp_path / "named")], Asked(), Settings())
    told = list(content.regions["name"])
    assert [one is None or one != one for one in told] == [one is None for one in names]
    assert all(isinstance(one, str) for one in told if one == one and one is not None)
    assert len(Answers(content).overview()["named"]) == 2


@pytest.mark.parametrize(
    ("free", "licences"),
    [
        (True, ["CC0-1.0", "CC BY 4.0", "cc-by-sa-4.0", "ODbL 1.0", "Public domain", "Copernicus Sentinel"]),
        (True, ["Norwegian Licence for Open Government Data"]),
        (False, ["CC BY-NC 4.0", "cc-by-nc-sa-4.0", "CC BY-ND", "CC BY  NC", "CC BY SA NC4"]),
        (False, ["all rights reserved", "not public domain"]),
        (False, ["CC BY for non-commercial use", "CC BY NonCommercial", "CC BY NoDerivatives"]),
        (False, ["", None, float("nan")]),
    ],
)  # fmt: skip
def test_a_picture_goes_along_only_where_anybody_may_pass_it_on(free: bool, licences: list[object]) -> None:
    assert [is_free(one) for one in licences] == [free] * len(licences)
