"""Vectors from files and over cities: what a file may look like, and how regions are found in it."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from tests.train.fake_city import make_city

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.written import Written
from urbanln.city.meta import IndicatorNote
from urbanln.city.store import City
from urbanln.stages.cities import join_cities, join_regions
from urbanln.tables.cities import as_vectors, read_vectors, region_ids
from urbanln.tables.vectors import matrix, read_embeddings, write_embeddings


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> list[City]:
    """Two cities whose regions have the same ids; the second is far away, and has districts."""
    folder = tmp_path_factory.mktemp("two")
    a, b = make_city(folder / "alpha", regions=6), make_city(folder / "beta", regions=8, seed=1)
    b.regions = b.regions.assign(
        geometry=b.regions.geometry.translate(xoff=5.0), district=["west"] * 4 + ["east"] * 3 + [None]
    )
    b.indicators = b.indicators.assign(other=1.0)
    b.save()
    return [a, City.open(folder / "beta")]


def _table(city: City, offset: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region_id": city.regions["region_id"],
            "A00": np.arange(len(city.regions)) + offset,
            "A01": np.arange(len(city.regions)) % 2 + 1.0,
        }
    )


def test_ours_and_foreign_files_give_the_same_table(cities: list[City], tmp_path: Path, capsys) -> None:
    city = cities[0]
    plain = _table(city)
    lists = plain[["region_id"]].assign(vector=list(plain[["A00", "A01"]].to_numpy()))
    ours = gpd.GeoDataFrame(lists.assign(n_images=1), geometry=city.regions.geometry)
    write_embeddings(tmp_path / "ours.parquet", ours, transductive=True)
    plain.iloc[::-1].to_csv(tmp_path / "plain.csv", index=False)
    lists.set_index("region_id").to_parquet(tmp_path / "indexed.parquet")
    gpd.GeoDataFrame(plain.drop(columns="region_id"), geometry=city.regions.geometry).to_parquet(
        tmp_path / "geo.parquet"
    )
    lonlat = city.centroids()
    plain.drop(columns="region_id").assign(lon=lonlat[:, 0], latitude=lonlat[:, 1]).to_csv(
        tmp_path / "points.csv", index=False
    )
    files = ("ours.parquet", "plain.csv", "indexed.parquet", "geo.parquet", "points.csv")
    tables = read_vectors([str(tmp_path / file) for file in files], [city])
    assert list(tables) == ["ours", "plain", "indexed", "geo", "points"]
    for name, table in tables.items():
        assert list(table["region_id"]) == list(city.regions["region_id"]), name
        assert matrix(table).tolist() == plain[["A00", "A01"]].to_numpy().tolist(), name
    assert [table.attrs["transductive"] for table in tables.values()] == [True, None, None, None, None]
    said = capsys.readouterr().err
    assert "ours: 6 of 6 regions of alpha have a vector; 2 dimensions: vector; 6 rows of ours.parquet" in said
    assert len(said.splitlines()) == len(files)
    assert "points: 6 of 6 regions of alpha have a vector; 6 by the points inside" in said
    assert "2 dimensions: A00 … A01" in said


def test_names_and_columns_are_given_by_hand(cities: list[City], tmp_path: Path) -> None:
    _table(cities[0]).to_csv(tmp_path / "lr=1.csv", index=False)
    shutil.copy(tmp_path / "lr=1.csv", tmp_path / "odd#name.csv")
    specs = [f"one={tmp_path}/lr=1.csv#A*1", f"{tmp_path}/lr=1.csv", f"{tmp_path}/odd#name.csv"]
    tables = read_vectors(specs, cities[:1])
    assert {name: matrix(table).shape[1] for name, table in tables.items()} == {
        "one": 1,
        "lr=1": 2,
        "odd#name": 2,
    }
    with pytest.raises(InputError, match="two tables of vectors have one name"):
        read_vectors([specs[1], specs[1]], cities[:1])
    with pytest.raises(InputError, match="no such file"):
        read_vectors([f"{tmp_path}/none.csv#A*"], cities[:1])


def test_a_column_called_like_a_label_is_no_feature(cities: list[City], tmp_path: Path, capsys) -> None:
    _table(cities[0]).assign(label=cities[0].indicators["label"]).to_csv(tmp_path / "t.csv", index=False)
    assert matrix(read_vectors([f"{tmp_path}/t.csv"], cities[:1])["t"]).shape == (6, 2)
    assert "passed over, since a label is called so: label" in capsys.readouterr().err


def test_a_label_is_no_feature_by_a_pattern_nor_in_capitals(
    cities: list[City], tmp_path: Path, capsys
) -> None:
    _table(cities[0]).assign(Label=cities[0].indicators["label"]).to_csv(tmp_path / "t.csv", index=False)
    for columns in ("", "#A*,L*"):
        assert matrix(read_vectors([f"{tmp_path}/t.csv{columns}"], cities[:1])["t"]).shape == (6, 2)
        assert "a label is called so: Label" in capsys.readouterr().err
    assert matrix(read_vectors([f"{tmp_path}/t.csv#A*"], cities[:1])["t"]).shape == (6, 2)
    assert "passed over" not in capsys.readouterr().err
    with pytest.raises(InputError, match="a label to be predicted is no dimension"):
        read_vectors([f"{tmp_path}/t.csv#A00,Label"], cities[:1])


def test_our_other_tables_are_not_taken_for_vectors(cities: list[City]) -> None:
    with pytest.raises(ArtefactError, match="expected a table of kind 'embeddings'"):
        read_vectors([f"labels={cities[0].folder}/indicators.parquet"], cities[:1])


def test_regions_without_a_row_have_no_vector_and_none_at_all_is_an_error(
    cities: list[City], tmp_path: Path, capsys
) -> None:
    table = _table(cities[0])
    table.loc[2, "A00"] = np.nan
    table.drop(index=4).to_csv(tmp_path / "t.csv", index=False)
    found = read_vectors([f"{tmp_path}/t.csv"], cities[:1])["t"]
    assert list(found["region_id"]) == ["r000", "r001", "r003", "r005"]
    said = capsys.readouterr().err
    assert "4 of 6 regions of alpha" in said
    assert "1 rows left out" in said
    table.assign(region_id="x" + table["region_id"]).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(InputError, match="no region of alpha has a vector") as caught:
        read_vectors([f"{tmp_path}/x.csv"], cities[:1])
    assert "r000" in str(caught.value)
    assert "xr000" in str(caught.value)


def test_ids_of_a_city_that_has_none_are_told_by_the_option_that_gives_them(
    cities: list[City], tmp_path: Path
) -> None:
    table = _table(cities[0]).rename(columns={"region_id": "id"})
    table.to_csv(tmp_path / "t.csv", index=False)
    ids = [f"row-{i}" for i in range(len(table))]
    counted = SimpleNamespace(
        name="alpha", folder=cities[0].folder, regions=cities[0].regions.assign(region_id=ids),
        indicators=cities[0].indicators, centroids=cities[0].centroids,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"no region of alpha(.|\n)*made without ids.*--id-column"):
        read_vectors([f"{tmp_path}/t.csv"], [counted], keys=["id"])


def test_the_line_says_how_far_the_nearest_points_lie(
    cities: list[City], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    lonlat = cities[0].centroids()
    points = cities[0].regions.set_geometry(gpd.points_from_xy(*lonlat.T, crs=4326))
    city = SimpleNamespace(
        name="alpha", folder=cities[0].folder, regions=points, indicators=cities[0].indicators,
        centroids=cities[0].centroids,
    )  # fmt: skip
    table = _table(cities[0]).drop(columns="region_id")
    for east, said in ((0.0, "which is at the very place"), (0.001, "the farthest 0.0")):
        table.assign(lon=lonlat[:, 0] + east, lat=lonlat[:, 1]).to_csv(tmp_path / "t.csv", index=False)
        read_vectors([f"{tmp_path}/t.csv"], [city])
        assert f"km, {said}" in capsys.readouterr().err


def test_several_cities_by_a_file_each_or_by_one_with_their_names(cities: list[City], tmp_path: Path) -> None:
    parts = []
    for number, city in enumerate(cities):
        table = _table(city, 100.0 * number)
        table.to_csv(tmp_path / f"{city.folder.name}.csv", index=False)
        parts.append(table.assign(region_id=city.name + "/" + table["region_id"]))
    pd.concat(parts).to_csv(tmp_path / "both.csv", index=False)
    tables = read_vectors([f"each={tmp_path}/{{city}}.csv", f"{tmp_path}/both.csv"], cities)
    pd.testing.assert_frame_equal(tables["each"], tables["both"])
    assert list(tables["each"]["region_id"]) == [i for ids in region_ids(cities) for i in ids]
    assert matrix(tables["each"])[-1, 0] == 107
    # Ids that both cities have say nothing of which one is meant.
    with pytest.raises(InputError, match="no region of alpha has a vector") as caught:
        read_vectors([f"{tmp_path}/alpha.csv"], cities)
    assert "{city}" in str(caught.value)
    with pytest.raises(InputError, match="needs a name"):
        read_vectors([f"{tmp_path}/{{city}}.csv"], cities)


def test_a_table_with_one_city_s_own_ids_does_where_no_two_share_them(cities: list[City]) -> None:
    a, b = (City.open(city.folder) for city in cities)
    b.regions = b.regions.assign(region_id="b" + b.regions["region_id"])
    own = pd.concat([_table(a), _table(b, 100.0)], ignore_index=True)
    lists = own[["region_id"]].assign(vector=list(own[["A00", "A01"]].to_numpy()))
    found = as_vectors("v", lists, [a, b])
    assert found["region_id"].iloc[[0, 6]].tolist() == ["alpha/r000", "beta/br000"]
    assert matrix(found)[-1, 0] == 107
    assert as_vectors("v", found, [a, b]) is found
    assert as_vectors("v", lists, [a]) is lists


def test_a_region_called_like_another_city_s_joint_name_takes_nothing_of_it(cities: list[City]) -> None:
    a, b = (City.open(city.folder) for city in cities)
    a.regions = a.regions.assign(region_id=["beta/r000", *a.regions["region_id"].iloc[1:]])
    names = pd.concat(region_ids([a, b]), ignore_index=True)
    table = pd.DataFrame(
        {"region_id": names[names != "alpha/beta/r000"], "A00": 1.0, "A01": range(len(names) - 1)}
    )
    found = as_vectors("v", table, [a, b])
    assert "alpha/beta/r000" not in set(found["region_id"])
    assert "beta/r000" in set(found["region_id"])


def test_columns_in_another_order_are_the_same_dimensions(cities: list[City], tmp_path: Path) -> None:
    first, other = (
        _table(city, 100.0 * at).rename(columns={"A00": "ndvi"}) for at, city in enumerate(cities)
    )
    first.to_csv(tmp_path / "alpha.csv", index=False)
    other[["region_id", "A01", "ndvi"]].to_csv(tmp_path / "beta.csv", index=False)
    found = read_vectors([f"v={tmp_path}/{{city}}.csv#ndvi,A01"], cities)["v"]
    assert matrix(found)[[0, -1]].tolist() == [[0, 1], [107, 2]]
    other.rename(columns={"A01": "roads"}).to_csv(tmp_path / "beta.csv", index=False)
    with pytest.raises(InputError, match="have different columns") as caught:
        read_vectors([f"v={tmp_path}/{{city}}.csv#*"], cities)
    assert caught.value.value == "A01, roads"


def test_one_line_says_what_was_read_and_who_was_left(cities: list[City], tmp_path: Path, capsys) -> None:
    table = _table(cities[0]).assign(place="geoId/" + cities[0].regions["region_id"], roads=range(6))
    table.loc[1, "A00"] = -9999
    table.loc[2, ["A00", "A01"]] = np.nan
    table.loc[5, "place"] = "geoId/elsewhere"
    table.drop(columns="region_id").to_csv(tmp_path / "t.csv", index=False)
    read_vectors([f"v={tmp_path}/t.csv"], cities[:1], nodata=["v=-9999"])
    assert capsys.readouterr().err.splitlines() == [
        "v: 3 of 6 regions of alpha have a vector; 2 dimensions: A00 … A01; 6 rows of t.csv, by place with "
        "geoId/r000 read as r000; nodata -9999; 2 rows left out (without a vector: 1; hold -9999: 1); 3 "
        "regions without one: r001, r002, r005; 1 rows of no region: geoId/elsewhere; not used: roads"
    ]


def test_what_is_said_of_one_table_goes_before_what_is_said_of_all(
    cities: list[City], tmp_path: Path
) -> None:
    table = _table(cities[0])
    table.rename(columns={"region_id": "kreis"}).to_csv(tmp_path / "a.csv", index=False)
    table.rename(columns={"region_id": "bezirk"}).to_csv(tmp_path / "b.csv", index=False)
    specs = [f"a={tmp_path}/a.csv", f"b={tmp_path}/b.csv"]
    found = read_vectors(specs, cities[:1], keys=["kreis", "b=bezirk"])
    assert [len(table) for table in found.values()] == [6, 6]
    with pytest.raises(InputError, match="no table of vectors is called so"):
        read_vectors(specs, cities[:1], keys=["c=bezirk"])
    with pytest.raises(InputError, match="one key"):
        read_vectors(specs, cities[:1], keys=["a=kreis", "a=bezirk"])
    with pytest.raises(InputError, match="is missing"):
        read_vectors(specs, cities[:1], keys=["kreis"])


def test_a_dimension_that_is_the_regions_position_is_refused(cities: list[City], tmp_path: Path) -> None:
    lonlat = cities[0].centroids()
    table = _table(cities[0]).assign(
        A02=np.arange(6), A01=lonlat[:, int(np.ptp(lonlat[:, 1]) > np.ptp(lonlat[:, 0]))]
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"is the l.*itude of the regions") as caught:
        read_vectors([f"v={tmp_path}/t.csv"], cities[:1])
    assert caught.value.value == "A01"
    assert matrix(read_vectors([f"v={tmp_path}/t.csv#A00,A01"], cities[:1])["v"]).shape == (6, 2)


def test_vectors_of_different_length_are_refused(cities: list[City], tmp_path: Path) -> None:
    _table(cities[0]).to_csv(tmp_path / "alpha.csv", index=False)
    _table(cities[1]).assign(A02=1.0).to_csv(tmp_path / "beta.csv", index=False)
    with pytest.raises(InputError, match="differ in length"):
        read_vectors([f"v={tmp_path}/{{city}}.csv"], cities)


def test_cities_are_joined_with_their_names(cities: list[City]) -> None:
    joint = join_cities(cities)
    assert list(joint.where["city"]) == ["alpha"] * 6 + ["beta"] * 8
    assert joint.where["region_id"].iloc[[0, 6]].tolist() == ["alpha/r000", "beta/r000"]
    assert joint.where["district"].iloc[6:13].tolist() == ["beta/west"] * 4 + ["beta/east"] * 3
    assert joint.where["district"].iloc[[0, 13]].isna().all()
    assert joint.indicators["other"].notna().sum() == 8
    assert set(joint.made_from) >= {"alpha/regions", "beta/captions"}
    assert join_regions(cities).crs.to_epsg() == 4326
    assert list(join_regions(cities)["city"]) == list(joint.where["city"])
    alone = join_cities(cities[:1])
    assert alone.where["region_id"].tolist() == cities[0].regions["region_id"].tolist()
    assert "regions" in alone.made_from
    with pytest.raises(InputError, match="two cities have one name"):
        join_cities([cities[0], cities[0]])


def test_one_picture_in_two_cities_makes_one_group(cities: list[City]) -> None:
    a, b = (City.open(city.folder) for city in cities)
    a.images["sha256"] = [f"{i:064x}" for i in range(6)]
    b.images["sha256"] = [f"{i + 5:064x}" for i in range(8)]
    assert set(join_cities([a, b]).groups) == {"alpha/r005", "beta/r000"}


def test_one_label_in_two_units_is_refused(cities: list[City]) -> None:
    a, b = (City.open(city.folder) for city in cities)
    for city, unit in ((a, "t"), (b, "kg")):
        city.meta = city.meta.model_copy(update={"indicators": {"label": IndicatorNote(unit=unit)}})
    with pytest.raises(InputError, match="two units"):
        join_cities([a, b])


def test_the_files_note_says_whether_pictures_were_seen(cities: list[City], tmp_path: Path) -> None:
    for number, city in enumerate(cities):
        frame = gpd.GeoDataFrame(
            {"region_id": city.regions["region_id"], "n_images": 1, "vector": [[1.0]] * len(city.regions)},
            geometry=city.regions.geometry,
        )
        write_embeddings(tmp_path / f"{city.name}.parquet", frame, transductive=bool(number))
    assert read_embeddings(tmp_path / "alpha.parquet").attrs["transductive"] is False
    assert read_vectors([f"v={tmp_path}/{{city}}.parquet"], cities)["v"].attrs["transductive"] is True


def _by_place(city: City) -> pd.DataFrame:
    lonlat = city.centroids()
    vectors = np.random.default_rng(0).normal(size=(len(lonlat), 4))
    table = pd.DataFrame(vectors, columns=[f"A{i}" for i in range(4)])
    return table.assign(lon=lonlat[:, 0], lat=lonlat[:, 1])


@pytest.mark.parametrize("buffer", [None, 1e-4])
def test_several_rows_at_one_place_are_refused_as_doubled_ids_are(
    cities: list[City], tmp_path: Path, buffer: float | None
) -> None:
    city = cities[0] if buffer is None else _buffered(cities[0], buffer)
    table = _by_place(city)
    years = pd.concat([table.assign(year=2019), (table * [2, 2, 2, 2, 1, 1]).assign(year=2020)])
    years.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"one position(.|\n)*in rows 0, 6(.|\n)*choose a year"):
        read_vectors([f"{tmp_path}/t.csv"], [city])


def _buffered(city: City, radius: float) -> City:
    city = copy.copy(city)
    city.regions = city.regions.assign(geometry=shapely.buffer(shapely.points(city.centroids()), radius))
    return city


def test_several_points_of_one_polygon_stay_a_mean_and_far_doubles_are_no_matter(
    cities: list[City], tmp_path: Path
) -> None:
    city = _buffered(cities[0], 1e-4)
    table = _by_place(city)
    far = table.assign(lon=table["lon"] + 20)
    pd.concat([table, table.assign(lon=table["lon"] + 5e-5, A0=3.0), far, far]).to_csv(
        tmp_path / "t.csv", index=False
    )
    found = matrix(read_vectors([f"{tmp_path}/t.csv"], [city])["t"])
    assert found[:, 0] == pytest.approx((table["A0"].to_numpy() + 3) / 2, abs=1e-6)


@pytest.mark.parametrize("buffer", [None, 1e-4])
@pytest.mark.parametrize("gone", [{"A1": np.nan}, {"A0": -9999.0}])
def test_a_row_that_was_left_out_does_not_lend_its_region_the_neighbours_vector(
    cities: list[City], tmp_path: Path, gone: dict, buffer: float | None, capsys: pytest.CaptureFixture
) -> None:
    city = cities[0] if buffer is None else _buffered(cities[0], buffer)
    table = _by_place(city)
    for name, value in gone.items():
        table.loc[2, name] = value
    table.to_csv(tmp_path / "t.csv", index=False)
    found = read_vectors([f"{tmp_path}/t.csv"], [city], nodata=["-9999"])["t"]
    assert list(found["region_id"]) == ["r000", "r001", "r003", "r004", "r005"]
    assert "1 regions without one: r002" in capsys.readouterr().err
    table.drop(index=2).to_csv(tmp_path / "t.csv", index=False)  # no row at all: the nearest, as ever
    assert len(read_vectors([f"{tmp_path}/t.csv"], [city])["t"]) == 6


def test_rows_of_two_cities_with_shared_ids_are_to_be_called_by_their_city(
    cities: list[City], tmp_path: Path
) -> None:
    pd.concat([_table(city).assign(city=city.name) for city in cities]).to_csv(
        tmp_path / "t.csv", index=False
    )
    with pytest.raises(InputError, match=r"stands twice(.|\n)*called like alpha/r000"):
        read_vectors([f"{tmp_path}/t.csv"], cities)


def test_a_constant_column_is_no_dimension_and_that_is_told(
    cities: list[City], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = _table(cities[0]).assign(A02=7.0)
    plain.to_csv(tmp_path / "t.csv", index=False)
    for spec in ("t.csv", "t.csv#A*"):
        table = read_vectors([f"v={tmp_path / spec}"], cities[:1])["v"]
        assert matrix(table).tolist() == plain[["A00", "A01"]].to_numpy().tolist()
        assert "constant, left out: A02" in capsys.readouterr().err
    named = read_vectors([f"v={tmp_path / 't.csv'}#A00,A01,A02"], cities[:1])["v"]
    assert matrix(named).shape == (6, 3), "a column named in full is taken"
    for city, seven in zip(cities, (7.0, 8.0), strict=True):
        frame = _table(city).assign(A02=np.arange(len(city.regions)) if seven == 8 else seven, A03=seven)
        frame.to_csv(tmp_path / f"{city.folder.name}.csv", index=False)
    both = read_vectors([f"v={tmp_path}/{{city}}.csv"], cities)["v"]
    assert matrix(both).shape == (14, 3), "A02 says something in one of the cities, A03 in none"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("region_id;A00;A01\nr000;0,5;1,5\nr001;2,5;3,25\n", Written(decimal=",")),
        ('region_id;A00;A01\nr000;"1,000.5";1.5\nr001;2.5;3.25\n', Written(thousands=",")),
    ],
)
def test_numbers_are_read_as_the_user_says_they_are_written(
    text: str, written: Written, cities: list[City], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=r"--(decimal|thousands) ,"):
        read_vectors([f"v={tmp_path / 't.csv'}"], cities[:1])
    table = read_vectors([f"v={tmp_path / 't.csv'}"], cities[:1], written=written)["v"]
    assert matrix(table)[:, 1].tolist() == [1.5, 3.25]


def test_a_table_in_another_encoding_is_read_with_the_option_its_refusal_names(
    cities: list[City], tmp_path: Path
) -> None:
    text = "region_id,place,A00,A01\nr000,caf\u00e9,1,2\nr001,x,3,5\n"
    (tmp_path / "t.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(InputError, match="--encoding cp1252"):
        read_vectors([f"v={tmp_path / 't.csv'}"], cities[:1])
    table = read_vectors([f"v={tmp_path / 't.csv'}"], cities[:1], written=Written(encoding="cp1252"))["v"]
    assert matrix(table).tolist() == [[1, 2], [3, 5]]


def test_a_number_that_no_float_has_room_for_is_one_error(cities: list[City], tmp_path: Path) -> None:
    points = cities[0].regions.geometry.representative_point()
    rows = "".join(
        f"{lon!r},{lat!r},{'9' * 400},{number}\n"
        for number, (lon, lat) in enumerate(zip(points.x.tolist(), points.y.tolist(), strict=True))
    )
    (tmp_path / "t.csv").write_text(f"lon,lat,A0,A1\n{rows}")
    with pytest.raises(InputError, match="a value of a vector is infinite"):
        read_vectors([f"{tmp_path}/t.csv"], cities[:1])
