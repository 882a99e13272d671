"""From pictures and a table to a city: what comes out, what is counted, and one error for each bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image

from urbanln.base.errors import InputError, StorageError
from urbanln.city.datum import from_wgs84
from urbanln.city.images import inspect_pictures
from urbanln.city.ingest import IngestReport, ingest
from urbanln.city.store import City


def _picture(path: Path, seed: int, kind: str = "JPEG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, kind)


class Place:
    """Six pictures along a road, their table, and a call of ``ingest`` with what fits them."""

    def __init__(self, root: Path) -> None:
        self.root, self.photos, self.out = root, root / "photos", root / "out"
        for i in range(6):
            _picture(self.photos / f"00{i}.png", seed=i)
        self.table = pd.DataFrame(
            {
                "id": [f"00{i}" for i in range(6)],
                "lon": 114.0 + 0.01 * np.arange(6),
                "lat": 30.005,
                "price": [1.0, 2.0, 3.0, np.nan, 5.0, 6.0],
                "when": [f"2020:01:0{i}" for i in range(6)],
            }
        )

    def ingest(self, *, ending: str = "csv", **options: Any) -> IngestReport:
        path = self.root / f"table.{ending}"
        if ending == "csv":
            self.table.to_csv(path, index=False)
        elif ending == "parquet":
            self.table.to_parquet(path)
        else:
            self.table.to_file(path)
        chosen = {"name": "Test", "id_column": "id", "labels": ["price"], **options}
        return ingest(self.photos, path, self.out, **chosen)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_one_region_per_picture(place: Place) -> None:
    report = place.ingest(captured="when", source="us", licence="CC0", attribution="We")
    city = City.open(place.out)
    assert list(city.images["image_id"]) == list(city.regions["region_id"]) == [f"00{i}" for i in range(6)]
    assert (city.regions.geom_type == "Point").all()
    assert city.images["captured"][3] == "2020:01:03"
    assert set(city.images["licence"]) == {"CC0"}
    assert city.meta.sources[0].attribution == "We"
    assert city.image_bytes(city.images["path"][2]) == (place.photos / "002.png").read_bytes()
    assert list(city.indicators["price"].fillna(-1)) == [1, 2, 3, -1, 5, 6]
    assert (report.pictures, report.regions, report.labels) == (6, 6, {"price": 1})
    assert city.images[["width", "height"]].to_numpy().tolist() == [[16, 16]] * 6
    good, _ = inspect_pictures([place.out / p for p in city.images["path"]])
    assert list(good["sha256"]) == list(city.images["sha256"])


def test_report_is_kept_and_told(place: Place) -> None:
    (place.photos / "001.png").write_text("<html>")
    report = place.ingest()
    kept = json.loads((place.out / "ingest.json").read_text())
    assert kept == json.loads(json.dumps(report.facts()))
    assert kept["corrupt"] == 1
    text = "\n".join(report.lines())
    assert "5 pictures in 5 regions, from 6 rows" in text
    assert "001.png: not a picture" in text
    assert "4 regions with a value, 1 without" in text
    assert "missing" not in text


def test_broken_pictures_are_left_out_and_the_rest_goes_on(place: Place) -> None:
    whole = (place.photos / "000.png").read_bytes()
    (place.photos / "000.png").write_bytes(whole[: len(whole) // 2])
    (place.photos / "001.png").write_bytes(b"")
    (place.photos / "002.png").unlink()
    (place.photos / "003.png").rename(place.photos / "003.jpg")
    (place.photos / "004.png").unlink()
    (place.photos / "004.jpg").write_text("text, whatever its name says")
    place.table.loc[5, "lat"] = np.nan
    report = place.ingest()
    assert (report.corrupt, report.missing, report.no_coordinates, report.pictures) == (3, 1, 1, 1)
    assert list(City.open(place.out).images["image_id"]) == ["003"]
    reasons = {Path(p).name: reason for p, reason in report.rejected}
    assert reasons["002.jpg"] == "missing"
    assert "truncated" in reasons["000.png"]


def test_rows_that_repeat_a_picture_are_averaged(place: Place) -> None:
    # A house sold three times: one picture, the mean price; a sale without a price changes nothing.
    place.table["id"] = ["000", "000", "000", "000", "004", "005"]
    report = place.ingest()
    assert (report.repeats, report.pictures) == (3, 3)
    assert list(City.open(place.out).indicators["price"]) == [2.0, 5.0, 6.0]


def test_equal_content_in_one_region_becomes_one_picture(place: Place) -> None:
    for name in ("001", "005"):
        shutil.copy(place.photos / "000.png", place.photos / f"{name}.png")
    place.table["lon"] = [114.0, 114.0001, 114.0002, 114.0003, 114.0004, 114.5]
    report = place.ingest(regions="tile:12")
    assert (report.pictures, report.duplicates, report.same_content, report.regions) == (5, 1, 1, 2)
    city = City.open(place.out)
    assert list(city.images["image_id"]) == ["000", "002", "003", "004", "005"]
    # The row whose picture was dropped still counts in the mean of its region.
    assert city.indicators["price"].tolist() == [np.mean([1, 2, 3, 5]), 6.0]


@pytest.mark.parametrize("ending", ["csv", "parquet", "geojson", "gpkg"])
def test_every_kind_of_table(ending: str, place: Place) -> None:
    if ending in ("geojson", "gpkg"):
        points = gpd.points_from_xy(place.table["lon"], place.table["lat"])
        place.table = gpd.GeoDataFrame(place.table.drop(columns=["lon", "lat"]), geometry=points, crs=4326)
        place.table = place.table.to_crs(4326 if ending == "geojson" else 3857)
    city = place.ingest(ending=ending, regions="h3:8").city
    np.testing.assert_allclose(city.images["lon"], 114.0 + 0.01 * np.arange(6), atol=1e-9)
    assert city.image_bytes(city.images["path"][0])


def test_polygons_given(place: Place) -> None:
    edges = np.array([113.99, 114.015, 115.0])
    zones = gpd.GeoDataFrame(
        {"id": [11, 12, 13]}, geometry=shapely.box(edges, 30, edges + 0.022, 30.01), crs=4326
    )
    zones.to_file(place.root / "zones.gpkg")
    report = place.ingest(regions=str(place.root / "zones.gpkg"))
    assert report.outside == 2
    assert report.labels == {"price": 1}
    city = City.open(place.out)
    assert list(city.regions["region_id"]) == ["11", "12", "13"]
    assert list(city.images["region_id"]) == ["11", "11", "12", "12"]
    assert list(city.indicators["price"].fillna(-1)) == [1.5, 3.0, -1]


def test_coordinates_in_metres(place: Place) -> None:
    moved = gpd.GeoSeries(gpd.points_from_xy(place.table["lon"], place.table["lat"]), crs=4326).to_crs(3857)
    place.table = place.table.assign(east=moved.x, north=moved.y)
    city = place.ingest(lon="east", lat="north", crs="EPSG:3857").city
    np.testing.assert_allclose(city.images["lon"], place.table["lon"], atol=1e-9)
    assert "EPSG:3857" in city.meta.datum


def test_files_named_in_a_column_views_and_odd_names(place: Place) -> None:
    names = ["a/x.jpg", "b/x.jpg", "c d/é #1.jpg", "Y.jpg", "y.jpg", ".hidden.jpg"]
    for i, name in enumerate(names):
        _picture(place.photos / name, seed=10 + i)
    place.table["file"] = names
    place.table["kind"] = ["street", "Satellite", "street", "street ", "street", "satellite"]
    report = place.ingest(id_column=None, image_column="file", view="kind", regions="tile:3")
    images = City.open(place.out).images
    assert report.pictures == 6
    assert list(images["view"]) == ["street", "satellite", "street", "street", "street", "satellite"]
    assert images["image_id"].is_unique
    assert images["path"].str.casefold().is_unique
    for name, path in zip(names, images["path"], strict=True):
        assert (place.out / path).read_bytes() == (place.photos / name).read_bytes()


@pytest.mark.parametrize("option", ["name", "source", "licence", "attribution"])
def test_texts_that_are_no_utf_8_are_refused_before_anything_is_made(place: Place, option: str) -> None:
    with pytest.raises(InputError, match=r"no UTF-8[\s\S]*--" + option):
        place.ingest(**{"name": "x", option: "caf\udce9"})
    assert not place.out.exists()


def test_several_pictures_of_one_id(place: Place) -> None:
    place.table["file"] = [f"00{i}.png" for i in range(6)]
    place.table["id"] = ["h", "h", "h", "k", "k", None]
    city = place.ingest(image_column="file").city
    assert list(city.images["image_id"]) == ["h", "h-2", "h-3", "k", "k-2", "005"]


def test_pictures_referred_to(place: Place) -> None:
    city = place.ingest(copy=False).city
    assert not (place.out / "pictures").exists()
    assert city.images["path"][0] == str((place.photos / "000.png").resolve())
    assert city.image_bytes(city.images["path"][0])


def test_limit_and_one_region(place: Place) -> None:
    report = place.ingest(limit=1)
    assert (report.rows, report.pictures, report.regions) == (1, 1, 1)
    assert len(City.open(place.out).regions) == 1
    assert report.city.meta.sources == []


def test_labels_without_any_value_stay_null(place: Place) -> None:
    place.table["nothing"] = np.nan
    report = place.ingest(labels=["nothing", "price"])
    assert report.labels == {"nothing": 6, "price": 1}
    assert City.open(place.out).indicators["nothing"].isna().all()


def _column(name: str, value: object) -> Callable[[Place], None]:
    return lambda place: place.table.__setitem__(name, value)


def _break_pictures(place: Place) -> None:
    for path in place.photos.iterdir():
        path.write_text("no picture")


BAD: dict[str, tuple[Callable[[Place], object], dict[str, Any], str]] = {
    "missing label": (lambda p: None, {"labels": ["prize"]}, r"'prize' is missing(.|\n)*mean 'price'"),
    "missing longitude": (lambda p: None, {"lon": "long"}, r"'long' is missing(.|\n)*did you mean 'lon'"),
    "places called otherwise": (
        lambda p: setattr(p, "table", p.table.rename(columns={"lon": "east", "lat": "north"})),
        {},
        r"'lon' is missing(.|\n)*--lon and --lat(.|\n)*there are: .*east, north",
    ),
    "missing id": (lambda p: None, {"id_column": "ID"}, r"'ID' is missing(.|\n)*did you mean 'id'"),
    "missing date": (lambda p: None, {"captured": "date"}, r"'date' is missing(.|\n)*there are: id, lon"),
    "no naming column": (lambda p: None, {"id_column": None}, r"which picture belongs(.|\n)*--image-column"),
    "unknown view": (lambda p: None, {"view": "aerial"}, r"no such column\n.*aerial(.|\n)*there are"),
    "bad view value": (_column("v", ["street"] * 5 + ["air"]), {"view": "v"}, r"either.*\n.*air\n.*row 5"),
    "metres": (_column("lon", 12_690_000.0), {}, r"outside ±180(.|\n)*wrong CRS\?.*--crs"),
    "swapped": (lambda p: None, {"lon": "lat", "lat": "lon"}, r"outside ±180(.|\n)*swapped"),
    "degrees called metres": (lambda p: None, {"crs": "EPSG:3857"}, r"look like degrees"),
    "unknown CRS": (lambda p: None, {"crs": "EPSG:1"}, r"unknown coordinate reference system"),
    "text coordinate": (_column("lat", ["30,5"] + ["30"] * 5), {}, r"'lat' must be(.|\n)*30,5(.|\n)*row 0"),
    "no coordinates": (_column("lat", np.nan), {}, "no row has coordinates"),
    "text label": (_column("price", ["1"] * 3 + ["12,5"] * 3), {}, r"'price' must be(.|\n)*12,5(.|\n)*row 3"),
    "infinite label": (_column("price", np.inf), {}, "'price' is infinite"),
    "empty table": (lambda p: setattr(p, "table", p.table.iloc[:0]), {}, "table is empty"),
    "no usable picture": (_break_pictures, {}, r"used: 0 missing, 6 corrupt(.|\n)*not a picture"),
    "wrong folder": (lambda p: setattr(p, "photos", p.root / "gone"), {}, "no such folder of pictures"),
    "names of nothing": (_column("id", list("abcdef")), {}, "no picture can be used: 6 missing"),
    "unknown regions": (lambda p: None, {"regions": "blocks"}, "picture, h3:RESOLUTION"),
    "no name": (lambda p: None, {"name": " "}, "needs a name(.|\n)*--name"),
    "label region_id": (_column("region_id", 1), {"labels": ["region_id"]}, "cannot be called region_id"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_error_and_leaves_nothing(case: str, place: Place) -> None:
    change, options, message = BAD[case]
    change(place)
    with pytest.raises(InputError, match=message):
        place.ingest(**options)
    assert not place.out.exists()


def test_polygons_elsewhere(place: Place) -> None:
    zone = gpd.GeoDataFrame({"id": [1]}, geometry=[shapely.box(2, 48, 3, 49)], crs=4326)
    zone.to_file(place.root / "paris.geojson")
    with pytest.raises(InputError, match=r"outside the polygons\n.*114\.0000.*2\.0000 to 3\.0000"):
        place.ingest(regions=str(place.root / "paris.geojson"))


def test_table_of_lines(place: Place) -> None:
    lines = [shapely.LineString([(0, 0), (1, 1)])] * 6
    place.table = gpd.GeoDataFrame(place.table.drop(columns=["lon", "lat"]), geometry=lines, crs=4326)
    with pytest.raises(InputError, match=r"must be points(.|\n)*LineString(.|\n)*row 0"):
        place.ingest(ending="geojson")


def test_a_city_is_not_overwritten(place: Place) -> None:
    before = place.ingest().city.fingerprint()
    with pytest.raises(InputError, match=r"a city in this folder already(.|\n)*choose another folder"):
        place.ingest()
    assert City.open(place.out).fingerprint() == before


def test_output_that_cannot_be_written(place: Place) -> None:
    (place.root / "file").write_text("kept")
    place.out = place.root / "file" / "city"
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        place.ingest()
    assert (place.root / "file").read_text() == "kept"


def test_pictures_of_others_are_not_overwritten(place: Place) -> None:
    # Somebody keeps photographs in mycity/pictures and makes the city in mycity, under ids of its own.
    place.out = place.photos.parent
    place.photos = place.photos.rename(place.out / "pictures")
    before = {path.name: path.read_bytes() for path in place.photos.iterdir()}
    place.table["file"] = [f"00{i}.png" for i in (1, 2, 3, 4, 5, 0)]
    with pytest.raises(InputError, match=r"would be overwritten(.|\n)*another --out"):
        place.ingest(image_column="file")
    assert {path.name: path.read_bytes() for path in place.photos.iterdir()} == before


def test_long_names_of_many_bytes(place: Place) -> None:
    place.table["file"] = [f"00{i}.png" for i in range(6)]
    place.table["id"] = ["漢" * 200 + str(i) for i in range(6)]
    images = place.ingest(image_column="file").city.images
    assert images["path"].is_unique
    assert (images["path"].str.encode("utf-8").str.len() < 255).all()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_output(place: Place) -> None:
    place.root.joinpath("locked").mkdir(mode=0o500)
    place.out = place.root / "locked" / "city"
    with pytest.raises(StorageError, match="may not write"):
        place.ingest()


def test_full_disk_says_so_and_going_on_works(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    copy = shutil.copyfile

    def full_after_three(source: Path, target: Path) -> None:
        if len(copied) == 3:
            target.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        copied.append(source.name)
        copy(source, target)

    monkeypatch.setattr("urbanln.city.picture_files.shutil.copyfile", full_after_three)
    with pytest.raises(StorageError, match=r"No space left(.|\n)*it goes on"):
        place.ingest()
    assert not (place.out / "city.toml").exists()
    monkeypatch.setattr(
        "urbanln.city.picture_files.shutil.copyfile", lambda s, t: (copied.append(s.name), copy(s, t))
    )
    city = place.ingest().city
    # The three that were whole are not copied again; the half one is.
    assert copied == [f"00{i}.png" for i in range(6)]
    assert city.image_bytes("pictures/003.png") == (place.photos / "003.png").read_bytes()


def test_killed_while_writing_and_run_again(place: Place) -> None:
    place.table.to_csv(place.root / "t.csv", index=False)
    code = (
        "import os, sys, urbanln.city.store as store\n"
        "from urbanln.city.ingest import ingest\n"
        "write = store.write_table\n"
        "def killed(path, frame, *, kind):\n"
        "    if kind == 'indicators': os.kill(os.getpid(), 9)\n"
        "    write(path, frame, kind=kind)\n"
        "store.write_table = killed\n"
        "ingest(*sys.argv[1:4], name='Test', id_column='id', labels=['price'])\n"
    )
    arguments = [place.photos, place.root / "t.csv", place.out]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr
    with pytest.raises(InputError, match="not a city folder"):
        City.open(place.out)
    assert place.ingest().pictures == 6
    assert len(City.open(place.out).images) == 6


def _urbanclip(root: Path) -> Path:
    """A table as UrbanCLIP's: no pictures, one column "(lat, lon)" in BD-09, a row that comes twice."""
    lon, lat = np.array([116.40, 116.42, 116.44, 116.46]), np.array([39.90, 39.91, 39.92, 39.93])
    x, y = from_wgs84(lon, lat, "bd09")
    table = pd.DataFrame(
        {
            "tile": ["007", "008", "009", "010"],
            "corner": [f"({b}, {a})" for a, b in zip(x, y, strict=True)],
            "gdp": [1.0, 2.0, 3.0, 4.0],
            "quarter": ["north", "north", "south", None],
            "empty": None,
        }
    )
    pd.concat([table, table[:1].assign(gdp=5.0)]).to_csv(root / "labels.csv", index=False)
    return root / "labels.csv"


def test_a_table_without_pictures_off_a_chinese_map(tmp_path: Path) -> None:
    report = ingest(
        None, _urbanclip(tmp_path), tmp_path / "out", name="B", id_column="tile", latlon_column="corner",
        datum="bd09", labels=["gdp"], district="quarter",
    )  # fmt: skip
    assert (report.pictures, report.regions, report.repeats, report.no_district) == (0, 4, 1, 1)
    assert "4 regions without pictures" in report.lines()[0]
    city = City.open(tmp_path / "out")
    assert city.meta.datum == "WGS 84, converted from BD-09: 5 of 5 rows moved by 1,338 to 1,380 m"
    assert list(city.regions["region_id"]) == ["007", "008", "009", "010"]
    assert list(city.indicators["gdp"]) == [3, 2, 3, 4]
    assert list(city.regions["district"].fillna("-")) == ["north", "north", "south", "-"]
    expected = np.column_stack([[116.40, 116.42, 116.44, 116.46], [39.90, 39.91, 39.92, 39.93]])
    np.testing.assert_allclose(city.centroids(), expected, atol=1e-8, rtol=0)
    assert city.images.empty


def test_points_are_gathered_into_cells_without_an_id(tmp_path: Path) -> None:
    report = ingest(
        None, _urbanclip(tmp_path), tmp_path / "out", name="B", latlon_column="corner", datum="gcj02",
        labels=["gdp"], regions="h3:5",
    )  # fmt: skip
    assert report.regions < 4
    assert report.repeats == 0
    assert report.city.indicators["gdp"].notna().all()


def test_districts_are_polygons_by_the_middle_of_a_region(place: Place) -> None:
    edges = np.array([113.9, 114.025])
    shapes = shapely.box(edges, 29, edges + 0.125, 31)
    gpd.GeoDataFrame({"ward": ["west", "east"]}, geometry=shapes, crs=4326).to_file(place.root / "w.geojson")
    report = place.ingest(district=str(place.root / "w.geojson") + "#ward")
    assert report.no_district == 0
    assert list(City.open(place.out).regions["district"]) == ["west"] * 3 + ["east"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latlon_column": "gdp"}, "two numbers"),
        ({"latlon_column": "corner", "lonlat_column": "corner"}, "one column or the other"),
        ({"lonlat_column": "corner"}, "no point is there|swapped"),
        ({"latlon_column": "corner", "datum": "mars"}, "unknown datum"),
        ({"latlon_column": "corner", "crs": "EPSG:3857"}, "look like degrees"),
        ({"latlon_column": "corner", "district": "nowhere"}, "districts must be a column"),
        ({"latlon_column": "corner", "district": "empty"}, "column of districts is empty"),
        ({"latlon_column": "corner", "id_column": "tiles"}, "did you mean 'tile'"),
        ({"latlon_column": "corner", "image_column": "tile"}, "no folder of pictures"),
    ],
)
def test_wrong_ways_to_read_a_table_without_pictures(tmp_path: Path, options: dict, message: str) -> None:
    chosen = {"datum": "bd09", "id_column": "tile", "labels": ["gdp"], **options}
    with pytest.raises(InputError) as caught:
        ingest(None, _urbanclip(tmp_path), tmp_path / "out", name="B", **chosen)
    assert re.search(message, str(caught.value))
    assert not (tmp_path / "out" / "city.toml").exists()


class Points:
    """A plain table of 60 points in a city, and a call of ``ingest`` without pictures."""

    def __init__(self, root: Path) -> None:
        self.root = root
        step = np.arange(60)
        self.table = pd.DataFrame(
            {
                "id": [f"p{i}" for i in step],
                "lon": 116.3 + 0.001 * (step % 10),
                "lat": 39.9 + 0.001 * (step // 10),
                "pop": 1000.0 + step,
            }
        )

    def ingest(self, **options: Any) -> IngestReport:
        self.table.to_csv(self.root / "t.csv", index=False)
        chosen = {"name": "T", "id_column": "id", "labels": ["pop"], **options}
        return ingest(None, self.root / "t.csv", self.root / "out", **chosen)


@pytest.fixture
def points(tmp_path: Path) -> Points:
    return Points(tmp_path)


@pytest.mark.parametrize("regions", ["picture", "h3:8", "tile:15"])
def test_codes_are_missing_before_rows_are_averaged(regions: str, points: Points) -> None:
    sound = points.table["pop"].copy()
    points.table.loc[::9, "pop"] = -9999
    report = points.ingest(regions=regions)
    values = report.city.indicators["pop"]
    assert values.min() >= sound.min()
    assert values.max() <= sound.max()
    assert "7 rows hold -9999, taken as missing (--missing none keeps them)" in "\n".join(report.lines())
    shutil.rmtree(points.root / "out")
    kept = points.ingest(regions=regions, missing=["none"])
    assert kept.city.indicators["pop"].min() < 0
    assert "-9999" not in "\n".join(kept.lines())


def test_what_was_read_is_told_with_its_extent(points: Points) -> None:
    lines = points.ingest().lines()
    assert lines[1] == "  read of t.csv: 60 rows; id id, position lon, lat (EPSG:4326), labels pop"
    assert lines[2] == "  lon 116.3000 to 116.3090, lat 39.9000 to 39.9050, 0.77 × 0.56 km"
    kept = json.loads((points.root / "out" / "ingest.json").read_text())
    assert kept["extent"] in lines[2]


def test_null_island_is_left_out_and_far_rows_are_told(points: Points) -> None:
    points.table.loc[[3, 4], ["lon", "lat"]] = 0.0
    points.table.loc[7, "lon"] = -116.3
    report = points.ingest()
    assert (report.null_island, report.no_coordinates, report.regions) == (2, 0, 58)
    text = "\n".join(report.lines())
    assert "2 rows at (0, 0), far from all others, left out" in text
    assert "1 rows lie far from the others, kept: row 7 at lon -116.3000" in text


def test_one_id_at_places_far_apart_is_refused_unless_trusted(points: Points) -> None:
    points.table.loc[[5, 50], "id"] = "NA"
    assert points.ingest().repeats == 1  # 0.7 km: one place
    shutil.rmtree(points.root / "out")
    points.table.loc[50, "lon"] += 0.3
    with pytest.raises(
        InputError, match=r"1 id stands at places over 3 km apart(.|\n)*NA: 25\.\d km between rows 5 and 50"
    ):
        points.ingest()
    report = points.ingest(trust_ids=True)
    assert report.city.indicators.set_index("region_id")["pop"]["NA"] == np.mean([1005, 1050])


def test_ids_a_spreadsheet_mangled_are_refused(points: Points) -> None:
    points.table["id"] = "1.40E+14"
    with pytest.raises(InputError, match=r"spreadsheet(.|\n)*--trust-ids"):
        points.ingest()
    points.table["id"] = [f"{i}.0" for i in range(60)]
    with pytest.raises(InputError, match=r"were whole once(.|\n)*--trust-ids"):
        points.ingest()
    assert list(points.ingest(trust_ids=True).city.regions["region_id"])[:2] == ["0.0", "1.0"]


def test_swapped_axes_are_named_where_polygons_show_them(points: Points) -> None:
    points.table["lon"] -= 86  # 30.3 east, 39.9 north: both orders are on the map
    zone = gpd.GeoDataFrame({"id": ["z"]}, geometry=[shapely.box(30.2, 39.8, 30.4, 40)], crs=4326)
    zone.to_file(points.root / "z.gpkg")
    with pytest.raises(InputError, match=r"every point is outside(.|\n)*look swapped"):
        points.ingest(regions=str(points.root / "z.gpkg"), lon="lat", lat="lon")
    report = points.ingest(regions="tile:15", lon="lat", lat="lon")
    assert any("longitude is read from 'lat'" in line for line in report.lines())
    shutil.rmtree(points.root / "out")
    most = points.table.copy()
    points.table.loc[10:, ["lon", "lat"]] = most.loc[10:, ["lat", "lon"]].to_numpy()
    report = points.ingest(regions=str(points.root / "z.gpkg"))
    assert any(
        "10 points are inside the polygons, exchanged it would be 50" in line for line in report.lines()
    )


def test_points_in_several_polygons_are_counted(points: Points) -> None:
    shapes = [shapely.box(116.2, 39.8, 116.3045, 40), shapely.box(116.3025, 39.8, 116.4, 40)]
    zones = gpd.GeoDataFrame({"id": ["a", "b"]}, geometry=shapes, crs=4326)
    zones.to_file(points.root / "z.gpkg")
    report = points.ingest(regions=str(points.root / "z.gpkg"))
    assert any(
        "12 points lie in several polygons, which overlap (a and b)" in line for line in report.lines()
    )
    shutil.rmtree(points.root / "out")
    # A common border, with points upon it, is no overlap.
    shapes = [shapely.box(116.2, 39.8, 116.304, 40), shapely.box(116.304, 39.8, 116.4, 40)]
    gpd.GeoDataFrame({"id": ["a", "b"]}, geometry=shapes, crs=4326).to_file(points.root / "z.gpkg")
    assert "overlap" not in "\n".join(points.ingest(regions=str(points.root / "z.gpkg")).lines())


def test_a_constant_label_and_true_and_false_are_told(points: Points) -> None:
    points.table["same"], points.table["built"] = 0.1, points.table["pop"] > 1030
    text = "\n".join(points.ingest(labels=["same", "built"]).lines())
    assert "label same: every region has 0.1: there is nothing to predict" in text
    assert "label built: true and false are read as 1 and 0" in text


def test_a_table_as_a_german_spreadsheet_writes_it(points: Points) -> None:
    text = points.table.assign(stadt="Köln").to_csv(sep=";", decimal=",", index=False)
    text = "sep=;\n" + text.replace("1000,0", "1.000,0")
    path = points.root / "de.csv"
    path.write_bytes(text.encode("cp1252"))
    options: dict[str, Any] = {"name": "T", "id_column": "id", "labels": ["pop"]}
    with pytest.raises(InputError, match="--encoding cp1252"):
        ingest(None, path, points.root / "out", **options)
    with pytest.raises(InputError, match=r"--thousands \."):
        ingest(None, path, points.root / "out", encoding="cp1252", **options)
    report = ingest(None, path, points.root / "out", encoding="cp1252", thousands=".", **options)
    assert report.city.indicators["pop"].tolist() == points.table["pop"].tolist()
    assert "read of de.csv (encoding cp1252, numbers like 1.234,5)" in "\n".join(report.lines())


COMPOSED, DECOMPOSED = "caf\u00e9 \u00fc", "cafe\u0301 u\u0308"


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        (f"{COMPOSED}.png", f"{DECOMPOSED}.png"),
        (f"{DECOMPOSED}.png", f"{COMPOSED}.png"),
        ("street/a.png", "street\\a.png"),
        ("street/a.png", "STREET\\A.png"),
        ("street/a.png", "a.png"),
        ("A.PNG", "a.png"),
        (f"2019/{DECOMPOSED}.PNG", f"{COMPOSED}.png"),
        ("a.png", "./a.png"),
    ],
)
def test_names_in_another_spelling_are_found(
    there: str, asked: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.photos / there).parent.mkdir(exist_ok=True)
    (place.photos / "003.png").rename(place.photos / there)
    place.table["file"] = ["000.png", "001.png", "002.png", asked, "004.png", "005.png"]
    report = place.ingest(id_column=None, image_column="file")
    assert (report.pictures, report.missing) == (6, 0)
    assert np.isnan(City.open(place.out).indicators["price"][3])  # its own label, and nobody else's
    told = "found under another spelling" in capsys.readouterr().err
    assert told != asked.startswith("./")


def test_ids_in_another_spelling_are_found(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.photos / "001.png").rename(place.photos / f"{DECOMPOSED}.JPG")
    _picture(place.photos / f"{DECOMPOSED}.PNG", 9)  # of several endings the first that is tried
    (place.photos / "002.png").rename(place.photos / "b.AVIF")
    place.table["id"] = ["000", COMPOSED, "B", "003.png", "004", "005"]
    report = place.ingest()
    assert (report.pictures, report.missing) == (6, 0)
    assert "2 pictures are found" in capsys.readouterr().err


def test_names_that_two_files_answer_to_are_not_guessed_and_both_are_named(place: Place) -> None:
    for name in ("one/a.png", "two/a.png"):
        _picture(place.photos / name, seed=len(name))
    _picture(place.photos / "B.png", seed=20)
    _picture(place.photos / "c.jpg", seed=21)
    # Two different names for one file: one of them means another picture, and it is not known which.
    place.table["file"] = ["000.png", "a.png", "b.png", "b.PNG", "c.png", "gone.png"]
    report = place.ingest(id_column=None, image_column="file")
    assert (report.pictures, report.missing) == (1, 5)
    reasons = {Path(path).name: reason for path, reason in report.rejected}
    assert reasons["a.png"] == "missing; near it: one/a.png, two/a.png"
    assert reasons["b.png"] == reasons["b.PNG"] == "missing; near it: B.png"
    assert reasons["c.png"] == "missing; near it: c.jpg"
    assert reasons["gone.png"] == "missing"


def test_where_no_picture_is_found_the_near_one_stands_in_the_error(place: Place) -> None:
    place.table["file"] = [f"00{n}.tga" for n in range(6)]
    with pytest.raises(InputError) as caught:
        place.ingest(id_column=None, image_column="file")
    assert "near it: 000.png" in str(caught.value)


def _grid(points: Points, **columns: Any) -> gpd.GeoDataFrame:
    """The table of points as shapes, without columns of coordinates."""
    shapes = gpd.points_from_xy(points.table["lon"], points.table["lat"])
    return gpd.GeoDataFrame(
        points.table.drop(columns=["lon", "lat"]).assign(**columns), geometry=shapes, crs=4326
    )


def test_a_polygon_stands_for_a_point_in_it(points: Points) -> None:
    frame = _grid(points)
    frame.geometry = frame.to_crs(32650).buffer(20).to_crs(4326)
    frame.to_file(points.root / "t.gpkg")
    report = ingest(
        None, points.root / "t.gpkg", points.root / "out", name="T", id_column="id", labels=["pop"]
    )
    assert report.regions == 60
    centres = report.city.centroids()
    assert np.abs(centres[:, 0] - points.table["lon"]).max() < 1e-3


def test_columns_that_are_named_are_used_or_missed_and_never_replaced_by_shapes(points: Points) -> None:
    _grid(points).to_file(points.root / "t.gpkg")
    with pytest.raises(InputError, match="column 'x' is missing"):
        ingest(None, points.root / "t.gpkg", points.root / "out", name="T", lon="x", lat="y")
    _grid(points, lon=points.table["lon"] + 3, lat=points.table["lat"]).to_file(points.root / "u.gpkg")
    with pytest.raises(InputError, match="say different places"):
        ingest(None, points.root / "u.gpkg", points.root / "out", name="T")
    _grid(points, lon=points.table["lon"], lat=points.table["lat"]).to_file(points.root / "v.gpkg")
    assert ingest(None, points.root / "v.gpkg", points.root / "out", name="T").regions == 60


def test_shapes_that_name_their_system_are_read_by_it(points: Points) -> None:
    metres = gpd.points_from_xy(points.table["lon"], points.table["lat"], crs=4326).to_crs(32650)
    table = points.table.drop(columns=["lon", "lat"])
    table.assign(geom=[f"SRID=32650;{point.wkt}" for point in metres]).to_csv(
        points.root / "t.csv", index=False
    )
    report = ingest(
        None, points.root / "t.csv", points.root / "out", name="T", id_column="id", labels=["pop"]
    )
    assert np.abs(report.city.centroids()[:, 0] - points.table["lon"]).max() < 1e-6
    assert (
        "by geometry ('geom' holds WKB or WKT without a CRS, read as EPSG:32650, which its EWKB names)"
        in report.read
    )
    assert "(EPSG:32650)" in report.read
    table.assign(geom=[point.wkt for point in metres]).to_csv(points.root / "u.csv", index=False)
    with pytest.raises(InputError, match="not degrees"):
        ingest(None, points.root / "u.csv", points.root / "other", name="T", id_column="id", labels=["pop"])


def test_places_that_stand_for_none_and_rows_of_one_place(points: Points) -> None:
    points.table.loc[[1, 2], ["lon", "lat"]] = -9999
    assert points.ingest().no_coordinates == 2
    shutil.rmtree(points.root / "out")
    points.table.loc[5, ["lon", "lat"]] = points.table.loc[4, ["lon", "lat"]]
    said = "\n".join(points.ingest(id_column=None).lines())
    assert "2 rows share their place with another" in said
    shutil.rmtree(points.root / "out")
    points.table.loc[[1, 2], ["lon", "lat"]] = 0.0
    assert points.ingest(datum="gcj02").null_island == 2


def test_coordinates_have_no_groups_of_thousands(points: Points) -> None:
    points.table["pop"] = [f"1.{n:03d}.567" for n in range(60)]
    points.table["lon"] = points.table["lon"].map("{:.3f}".format)
    values = points.ingest(thousands=".").city.indicators["pop"]
    assert values.min() == 1000567
