"""The city folder: what is written is what is read, and every breach is one error naming row and value."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
import tomli_w

from urbanln.base.errors import ArtefactError, InputError, StorageError, UrbanLNError
from urbanln.base.files import hash_file
from urbanln.city.meta import IndicatorNote, Meta, Source
from urbanln.city.store import City
from urbanln.stages.cities import join_cities

Tables = dict[str, Any]


def _tables(folder: Path, n: int = 4) -> Tables:
    """A small city of ``n`` square regions with one picture each (any bytes do: the store never decodes)."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (folder / "pictures" / f"{i}.png").write_bytes(b"picture %d" % i)
    x = 114.0 + np.arange(n) * 0.01
    ids = [f"r{i}" for i in range(n)]
    regions = gpd.GeoDataFrame(
        {"region_id": ids, "district": "centre"}, geometry=shapely.box(x, 30, x + 0.01, 30.01), crs=4326
    )
    images = pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(n)],
            "region_id": ids,
            "view": ["satellite", "street"] * (n // 2) + ["street"] * (n % 2),
            "path": [f"pictures/{i}.png" for i in range(n)],
            "lon": x + 0.005,
            "lat": 30.005,
            "captured": ["2020", None] * (n // 2) + [None] * (n % 2),
        }
    )
    indicators = pd.DataFrame({"region_id": ids, "gdp": [1.5, np.nan, *range(n - 2)], "zero": 0})
    meta = Meta(
        name="Test",
        sources=[Source(name="us", licence="CC0")],
        indicators={"gdp": IndicatorNote(unit="EUR", year=2020)},
    )
    return {"meta": meta, "regions": regions, "images": images, "indicators": indicators}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "city"


@pytest.fixture
def tables(folder: Path) -> Tables:
    return _tables(folder)


def test_of_a_large_table_of_pictures_only_what_is_needed_is_read(folder: Path, tables: Tables) -> None:
    tables["images"]["cloud"] = 0.5
    City.create(folder, **tables)
    whole = City.open(folder)
    part = City.open(folder, check_files=False, pictures=["sha256", "region_id"])
    assert list(part.images.columns) == ["region_id", "sha256"]
    pd.testing.assert_frame_equal(part.images, whole.images[["region_id", "sha256"]])
    found = City.open(folder, pictures=["view", "cloud", "such as there is none"])
    assert list(found.images.columns) == ["image_id", "region_id", "view", "path", "cloud"]
    assert found.image_bytes("pictures/2.png") == b"picture 2"
    with pytest.raises(InputError, match="a part of this city was read"):
        part.save()
    (folder / "pictures" / "2.png").unlink()
    with pytest.raises(InputError, match="1 of 4 picture files are missing"):
        City.open(folder, pictures=["view"])


@pytest.mark.parametrize(
    ("column", "value", "needed", "what"),
    [
        ("lat", 95.0, "lat", "outside ±90 degrees"),
        ("view", "aerial", "view", "either satellite or street"),
        ("path", "../x.png", "path", "leaves the city folder"),
        ("region_id", "r9", "region_id", "unknown region_id"),
        ("image_id", "i0", "image_id", "image_id"),
    ],
)
def test_what_is_read_is_checked_and_nothing_else(
    folder: Path, tables: Tables, column: str, value: object, needed: str, what: str
) -> None:
    City.create(folder, **tables)
    images = pd.read_parquet(folder / "images.parquet")
    images.loc[3, column] = value
    images.to_parquet(folder / "images.parquet")
    with pytest.raises(InputError, match=what):
        City.open(folder, check_files=False, pictures=[needed])
    assert len(City.open(folder, check_files=False, pictures=["sha256"]).images) == 4


def test_terms_name_every_source_its_licence_and_whom_to_name() -> None:
    sources = [Source(name="a", licence="CC0", attribution="We"), Source(name="b")]
    assert Meta(name="c", sources=sources).terms() == "a, CC0, We; b, no licence named"
    assert Meta(name="c").terms() == "none named"


def test_what_is_created_is_what_is_opened(folder: Path, tables: Tables) -> None:
    made, read = City.create(folder, **tables), City.open(folder)
    assert read.meta == made.meta == tables["meta"]
    pd.testing.assert_frame_equal(pd.DataFrame(read.regions), pd.DataFrame(made.regions))
    pd.testing.assert_frame_equal(read.images, made.images)
    pd.testing.assert_frame_equal(read.indicators, made.indicators)
    assert read.regions.crs.to_epsg() == 4326
    assert read.image_bytes("pictures/2.png") == b"picture 2"
    assert read.captions.empty
    assert read.name == "Test"


def test_missing_labels_stay_null_and_zero_stays_zero(folder: Path, tables: Tables) -> None:
    City.create(folder, **tables)
    table = pq.read_table(folder / "indicators.parquet")
    assert table["gdp"].null_count == 1
    assert table["zero"].to_pylist() == [0.0] * 4
    assert np.isnan(City.open(folder).indicators["gdp"][1])


def test_other_tools_read_the_tables(folder: Path, tables: Tables) -> None:
    City.create(folder, **tables)
    plain = gpd.read_parquet(folder / "regions.parquet")
    assert plain.crs.to_epsg() == 4326
    assert list(plain["region_id"]) == ["r0", "r1", "r2", "r3"]
    metadata = pq.read_schema(folder / "regions.parquet").metadata
    assert json.loads(metadata[b"urbanln"])["kind"] == "regions"
    assert "geometry" in json.loads(metadata[b"geo"])["columns"]


def test_regions_in_another_crs_are_brought_to_wgs84(folder: Path, tables: Tables) -> None:
    before = tables["regions"]
    tables["regions"] = before.to_crs("EPSG:32650").rename_geometry("shape")
    after = City.create(folder, **tables).regions
    assert shapely.equals_exact(after.geometry.to_numpy(), before.geometry.to_numpy(), tolerance=1e-9).all()


def test_tables_given_are_left_as_they_are(folder: Path, tables: Tables) -> None:
    copies = {k: v.copy() for k, v in tables.items() if k != "meta"}
    City.create(folder, **tables)
    for kind, copy in copies.items():
        pd.testing.assert_frame_equal(pd.DataFrame(tables[kind]), pd.DataFrame(copy))


def _set(kind: str, column: str, row: int, value: object) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        frame = tables[kind]
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value

    return change


def _geometry(row: int, shape: shapely.Geometry | None) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        shapes = list(tables["regions"].geometry)
        shapes[row] = shape
        tables["regions"] = tables["regions"].set_geometry(shapes, crs=4326)

    return change


def _drop(kind: str, column: str) -> Callable[[Tables], None]:
    return lambda tables: tables.update({kind: tables[kind].drop(columns=column)})


def _replace(kind: str, change: Callable[[Any], Any]) -> Callable[[Tables], None]:
    return lambda tables: tables.update({kind: change(tables[kind])})


def _without_geometry(frame: gpd.GeoDataFrame) -> pd.DataFrame:
    return pd.DataFrame(frame).drop(columns="geometry")


BOW_TIE = shapely.Polygon([(114, 30), (114.1, 30.1), (114.1, 30), (114, 30.1)])
FAULTS: dict[str, tuple[Callable[[Tables], None], str]] = {
    "region unknown to images": (_set("images", "region_id", 2, "r9"), r"unknown region_id\n.*r9\n.*row 2"),
    "region unknown to labels": (_set("indicators", "region_id", 1, "x"), r"unknown region_id\n.*x\n.*row 1"),
    "region twice": (_set("regions", "region_id", 3, "r1"), r"region_id occurs twice.*\n.*r1\n.*row 3"),
    "image twice": (_set("images", "image_id", 3, "i0"), r"image_id occurs twice.*\n.*i0\n.*row 3"),
    "labels twice": (_set("indicators", "region_id", 3, "r0"), r"region_id occurs twice.*\n.*r0\n.*row 3"),
    "region without id": (_set("regions", "region_id", 1, None), r"'region_id' is empty(.|\n)*row 1"),
    "integer region id": (_set("regions", "region_id", 1, 7), r"must be text\n.*7\n.*row 1"),
    "longitude": (_set("images", "lon", 1, 181.0), r"'lon' is outside ±180.*\n.*181\.0\n.*row 1"),
    "latitude": (_set("images", "lat", 2, -90.5), r"'lat' is outside ±90.*\n.*-90\.5\n.*row 2"),
    "text latitude": (_set("images", "lat", 2, "30,5"), r"'lat' must be a numeric.*\n.*30,5\n.*row 2"),
    "view": (_set("images", "view", 2, "drone"), r"satellite or street\n.*drone\n.*row 2"),
    "view missing": (_set("images", "view", 2, None), r"'view' is empty(.|\n)*row 2"),
    "picture gone": (_set("images", "path", 2, "pictures/x.png"), r"1 of 4 picture.*\n.*x\.png\n.*row 2"),
    "folder gone": (_set("images", "path", 2, "no/x.png"), r"1 of 4 picture files"),
    "path leaves": (_set("images", "path", 1, "a/../../x.png"), r"leaves the city folder\n.*x\.png\n.*row 1"),
    "text label": (_set("indicators", "gdp", 2, "12,5"), r"'gdp' must be a numeric.*\n.*12,5\n.*row 2"),
    "infinite label": (_set("indicators", "zero", 2, -np.inf), r"'zero' is infinite\n.*-inf\n.*row 2"),
    "numbers as text": (_set("indicators", "gdp", 2, "12.5"), r"'gdp' must be a numeric.*\n.*12\.5\n.*row 2"),
    "no view column": (_drop("images", "view"), r"column 'view' is missing(.|\n)*there are: image_id"),
    "no region_id": (_drop("regions", "region_id"), r"column 'region_id' is missing"),
    "near name": (
        _replace("images", lambda f: f.rename(columns={"path": "paths"})),
        r"'path' is missing(.|\n)*did you mean 'paths'",
    ),
    "empty city": (_replace("regions", lambda f: f.iloc[:0]), r"empty city"),
    "no geometry at all": (_replace("regions", _without_geometry), "no geometry"),
    "null geometry": (_geometry(1, None), r"without geometry\n.*r1\n.*row 1"),
    "empty geometry": (_geometry(2, shapely.Polygon()), r"without geometry\n.*r2\n.*row 2"),
    "bow tie": (_geometry(3, BOW_TIE), r"invalid geometry\n.*Self-intersection(.|\n)*row 3"),
    "line": (_geometry(0, shapely.LineString([(0, 0), (1, 1)])), r"polygon or a point\n.*LineString"),
    "no CRS": (_replace("regions", lambda f: f.set_crs(None, allow_override=True)), "no coordinate"),
    "metres called degrees": (
        _replace("regions", lambda f: f.to_crs(3857).set_crs(4326, allow_override=True)),
        r"looks like a projected CRS(.|\n)*row 0(.|\n)*set_crs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_breach_is_one_error_and_writes_nothing(fault: str, folder: Path, tables: Tables) -> None:
    change, message = FAULTS[fault]
    change(tables)
    with pytest.raises(InputError, match=message):
        City.create(folder, **tables)
    assert sorted(p.name for p in folder.iterdir()) == ["pictures"]


def test_open_checks_what_others_changed(folder: Path, tables: Tables) -> None:
    City.create(folder, **tables)
    tables["regions"].to_crs(3857).to_parquet(folder / "regions.parquet")
    with pytest.raises(InputError, match=r"must be in EPSG:4326(.|\n)*3857(.|\n)*to_crs"):
        City.open(folder)
    tables["regions"].drop(columns="geometry").to_parquet(folder / "regions.parquet")
    with pytest.raises(InputError, match="no geometry"):
        City.open(folder)
    tables["regions"].to_parquet(folder / "regions.parquet")
    assert len(City.open(folder).regions) == 4
    (folder / "pictures" / "1.png").unlink()
    with pytest.raises(InputError, match=r"1 of 4 picture files are missing"):
        City.open(folder)
    assert len(City.open(folder, check_files=False).images) == 4


def test_open_says_what_is_no_city(tmp_path: Path, folder: Path, tables: Tables) -> None:
    with pytest.raises(InputError, match="no such folder"):
        City.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no city\.toml"):
        City.open(tmp_path)
    with pytest.raises(InputError, match="this is a file"):
        City.open(folder / "pictures" / "0.png")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"name = ", ArtefactError, "is not TOML"),
        (b"\xff\xfe", ArtefactError, "is not TOML"),
        (b'schema_version = 9\nname = "x"', ArtefactError, "newer urbanln"),
        (b"synthetic = true", InputError, "name: Field required"),
        (b'name = "x"\nsynthetik = true', InputError, "synthetik"),
    ],
)
def test_damaged_city_toml(
    content: bytes, error: type[UrbanLNError], message: str, folder: Path, tables: Tables
) -> None:
    City.create(folder, **tables)
    (folder / "city.toml").write_bytes(content)
    with pytest.raises(error, match=message):
        City.open(folder)


@pytest.mark.parametrize("kind", ["regions", "images", "indicators"])
def test_damaged_and_absent_tables(kind: str, folder: Path, tables: Tables) -> None:
    City.create(folder, **tables)
    path = folder / f"{kind}.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtefactError, match=f"(?s)not a readable.*{kind}"):
        City.open(folder)
    # The footer is whole, so that the schema reads, and the rows are not.
    path.write_bytes(whole[:4] + b"\xab" * 200 + whole[204:])
    with pytest.raises(ArtefactError, match=f"(?s)damaged.*{kind}"):
        City.open(folder)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        City.open(folder)


def test_create_refuses_what_it_would_overwrite(folder: Path, tables: Tables) -> None:
    tables["indicators"].to_parquet(folder / "indicators.parquet")
    before = hash_file(folder / "indicators.parquet")
    with pytest.raises(InputError, match="would be overwritten"):
        City.create(folder, **tables)
    assert hash_file(folder / "indicators.parquet") == before
    (folder / "indicators.parquet").unlink()
    City.create(folder, **tables)
    with pytest.raises(InputError, match="a city in this folder already"):
        City.create(folder, **tables)


def test_stopped_creation_goes_on(folder: Path, tables: Tables) -> None:
    City.create(folder, **tables)
    (folder / "city.toml").unlink()
    with pytest.raises(InputError, match="not a city folder"):
        City.open(folder)
    City.create(folder, **tables)
    assert len(City.open(folder).regions) == 4


def test_folder_that_cannot_be_made(tmp_path: Path, folder: Path, tables: Tables) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(InputError, match="a file stands"):
        City.create(tmp_path / "file", **tables)
    tables["images"]["path"] = [str(folder / p) for p in tables["images"]["path"]]
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        City.create(tmp_path / "file" / "city", **tables)
    assert (tmp_path / "file").read_text() == "here"


def test_failed_write_leaves_the_old_city(
    folder: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    city = City.create(folder, **tables)
    before = city.fingerprint()

    def full_disk(path: Path, frame: pd.DataFrame, *, kind: str) -> None:
        if kind == "indicators":
            raise OSError(28, "No space left on device")
        path.write_bytes(b"new")

    monkeypatch.setattr("urbanln.city.store.write_table", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        city.save()
    assert City.open(folder).fingerprint() == before
    assert not list(folder.glob(".*"))


def test_save_checks_and_writes_changes(folder: Path, tables: Tables) -> None:
    city = City.create(folder, **tables)
    city.indicators["new"] = [1, 2, 3, None]
    city.meta.synthetic = True
    city.save()
    read = City.open(folder)
    assert read.meta.synthetic
    assert list(read.indicators["new"].fillna(-1)) == [1, 2, 3, -1]
    city.images.loc[0, "view"] = "plane"
    with pytest.raises(InputError, match="plane"):
        city.save()
    assert City.open(folder).images["view"][0] == "satellite"


def test_pictures_elsewhere(tmp_path: Path, folder: Path, tables: Tables) -> None:
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/store/a.png", b"remote")
    (tmp_path / "far.png").write_bytes(b"far")
    tables["images"]["path"] = [
        "memory://store/a.png",
        str(tmp_path / "far.png"),
        "pictures/2.png",
        "s3://x/y",
    ]
    City.create(folder, **tables)
    city = City.open(folder)
    assert [city.image_bytes(p) for p in city.images["path"][:3]] == [b"remote", b"far", b"picture 2"]
    with pytest.raises(InputError, match="no such picture"):
        city.image_bytes("memory://store/none.png")
    with pytest.raises(InputError, match="no such picture"):
        city.image_bytes("pictures/none.png")
    with pytest.raises(UrbanLNError):
        city.image_bytes("nosuchscheme://x/y.png")


@pytest.mark.parametrize("kind", ["Polygon", "Point"])
def test_centroids(kind: str, folder: Path, tables: Tables) -> None:
    if kind == "Point":
        tables["regions"] = tables["regions"].set_geometry(
            gpd.points_from_xy(114.005 + np.arange(4) * 0.01, np.full(4, 30.005)), crs=4326
        )
    centres = City.create(folder, **tables).centroids()
    assert centres.shape == (4, 2)
    np.testing.assert_allclose(centres[:, 0], 114.005 + np.arange(4) * 0.01, atol=1e-6)
    np.testing.assert_allclose(centres[:, 1], 30.005, atol=1e-6)


def test_centroids_of_a_world_of_regions(folder: Path, tables: Tables) -> None:
    x = np.array([-170.0, -10.0, 60.0, 160.0])
    tables["regions"] = tables["regions"].set_geometry(shapely.box(x, 10, x + 1, 11), crs=4326)
    np.testing.assert_allclose(City.create(folder, **tables).centroids()[:, 0], x + 0.5, atol=1e-6)


def test_one_region_is_a_city(tmp_path: Path) -> None:
    tables = _tables(tmp_path / "one", n=2)
    tables = {**tables, **{k: tables[k].iloc[:1] for k in ("regions", "images", "indicators")}}
    assert City.create(tmp_path / "one", **tables).centroids().shape == (1, 2)


def test_text_in_city_toml_survives(folder: Path, tables: Tables) -> None:
    tables["meta"] = Meta(name='Łódź "центр"\n武汉', indicators={"a.b c": IndicatorNote(unit="µg/m³")})
    City.create(folder, **tables)
    assert City.open(folder).meta == tables["meta"]
    assert tomli_w.dumps({"name": tables["meta"].name}) in (folder / "city.toml").read_text(encoding="utf-8")


def _of_every_kind(tables: Tables) -> Tables:
    use, age = IndicatorNote(kind="classes"), IndicatorNote(kind="shares", columns=("young", "old"))
    labels = tables["indicators"].assign(use=["a", None, "b", "a"], young=[0.25, np.nan, 1, 0])
    labels["old"] = 1 - labels["young"]
    notes = tables["meta"].indicators | {"use": use, "age": age}
    return tables | {"indicators": labels, "meta": tables["meta"].model_copy(update={"indicators": notes})}


def test_labels_of_every_kind_are_written_and_read(folder: Path, tables: Tables) -> None:
    City.create(folder, **_of_every_kind(tables))
    city = City.open(folder)
    assert {name: label.kind for name, label in city.kinds().items()} == {
        "gdp": "number", "zero": "number", "use": "classes", "age": "shares",
    }  # fmt: skip
    assert city.kinds()["age"].columns == ("young", "old")
    frame = pd.read_parquet(folder / "indicators.parquet")  # as other programs read it
    assert frame["use"].tolist()[::2] == ["a", "b"]
    assert frame["use"].isna().tolist() == [False, True, False, False]
    assert pq.read_schema(folder / "indicators.parquet").field("old").type == "double"
    assert 'kind = "classes"' in (folder / "city.toml").read_text()
    city.indicators.loc[0, "old"] = 0.5
    with pytest.raises(InputError, match="the parts of 'age' do not sum to one"):
        city.save()


def test_of_numbers_city_toml_says_no_kind(folder: Path, tables: Tables) -> None:
    City.create(folder, **tables)
    text = (folder / "city.toml").read_text()
    assert "kind" not in text
    assert "columns" not in text


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ('[indicators.gdp]\nkind = "shares"', "columns names the parts"),
        ('[indicators.gdp]\ncolumns = ["gdp", "zero"]', "columns names the parts"),
        ('[indicators.gdp]\nkind = "sorts"', "kind"),
        ('[indicators.gdp]\nkind = "classes"', "'gdp' must be text"),
        ('[indicators.of]\nkind = "shares"\ncolumns = ["gdp", "nil"]', "'nil' is missing"),
    ],
)
def test_kinds_that_do_not_fit_the_table(folder: Path, tables: Tables, said: str, what: str) -> None:
    City.create(folder, **tables)
    (folder / "city.toml").write_text(f'name = "Test"\n{said}\n')
    with pytest.raises(InputError, match=what):
        City.open(folder)


def test_two_cities_agree_on_what_a_label_is(tmp_path: Path) -> None:
    one = City.create(tmp_path / "a", **_of_every_kind(_tables(tmp_path / "a")))
    plain = _tables(tmp_path / "b")
    plain["meta"] = plain["meta"].model_copy(update={"name": "Other"})
    other = City.create(tmp_path / "b", **plain)
    joint = join_cities([one, other])
    assert list(joint.kinds) == ["gdp", "zero", "use", "age"]
    assert joint.indicators["use"].isna().sum() == 5
    other.indicators = other.indicators.assign(old=1.0)  # a number here, a part of shares there
    with pytest.raises(InputError, match=r"as two kinds(.|\n)*shares|two kinds(.|\n)*number"):
        join_cities([one, other])
