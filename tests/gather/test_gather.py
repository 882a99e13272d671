"""From a recipe to a city: the same one however often it was cut off, with its price known before."""

from __future__ import annotations

import re
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
from PIL import Image
from tests.gather.world import Handler, TileServer, as_jpeg, flat, tile, write_recipe

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import hash_bytes, read_table
from urbanln.city.making import MAKING
from urbanln.city.store import City
from urbanln.gather import run

Place = tuple[int, int, int]


def test_a_city_of_tiles_is_what_the_server_has(tmp_path: Path, server: TileServer) -> None:
    report = run.gather(write_recipe(tmp_path, server.url, more='captured = "2023"'), tmp_path / "city")
    city = City.open(tmp_path / "city")
    assert len(city.regions) == len(city.images) == len(server.asked) == 15
    for row in city.images.itertuples():
        zoom, x, y = map(int, row.region_id.split("-"))
        assert city.image_bytes(row.path) == tile(zoom, x, y)
        assert row.sha256 == hash_bytes(tile(zoom, x, y))
        assert (row.view, row.captured, row.source, row.licence) == ("satellite", "2023", "aerial", "CC0-1.0")
    shapes = city.regions.set_index("region_id").geometry
    assert all(shapes[row.region_id].contains_properly(_point(row)) for row in city.images.itertuples())
    (source,) = city.meta.sources
    assert (source.name, source.licence, source.attribution) == ("aerial", "CC0-1.0", "Somebody")
    assert not (tmp_path / "city" / MAKING).exists()
    assert "15 regions, 15 pictures" in report.lines()[0]


def _point(row: object) -> object:
    return gpd.points_from_xy([row.lon], [row.lat])[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path",
    [
        "{z}/{x}/{-y}",
        "wmts/{TileMatrix}/{TileRow}/{TileCol}",
        "wmts?m=E:{TileMatrix}&r={TileRow}&c={TileCol}",
    ],
)
def test_tms_and_wmts_give_the_same_pictures(tmp_path: Path, server: TileServer, path: str) -> None:
    def behave(handler: Handler, place: Place) -> bool:
        numbers = [int(word) for word in re.findall(r"\d+", handler.path)]
        zoom, a, b = numbers
        x, y = (b, a) if "wmts" in path else (a, 2**zoom - 1 - b)
        return handler.answer(tile(zoom, x, y))

    server.behave = behave
    run.gather(write_recipe(tmp_path, server.url, ("{z}/{x}/{y}.jpg", path)), tmp_path / "city")
    city = City.open(tmp_path / "city")
    assert len(city.images) == 15
    for row in city.images.itertuples():
        assert city.image_bytes(row.path) == tile(*map(int, row.region_id.split("-")))


def test_what_does_not_cover_the_place_is_counted_and_mapped(tmp_path: Path, server: TileServer) -> None:
    words = as_jpeg(Image.effect_noise((64, 64), 90).convert("RGB"))  # "Map data not yet available"

    def behave(handler: Handler, place: Place) -> bool:
        number = (place[1] + place[2]) % 9
        if number < 3:
            return handler.answer(b"", 404)
        if number < 5:
            return handler.answer(words if number == 3 else flat((200, 200, 200)))
        if number == 5:
            return handler.answer(tile(*place)[:500])
        return False

    server.behave = behave
    path = write_recipe(tmp_path, server.url, ("tile:14", "tile:16"))
    report = run.gather(path, tmp_path / "city")
    city = City.open(tmp_path / "city")
    covered = read_table(tmp_path / "city" / "coverage.parquet", kind="coverage")
    assert isinstance(covered, gpd.GeoDataFrame)
    expected = {0: "absent", 1: "absent", 2: "absent", 3: "blank", 4: "blank", 5: "broken"}
    for region, state in zip(covered["region_id"], covered["aerial"], strict=True):
        _, x, y = map(int, region.split("-"))
        assert state == expected.get((x + y) % 9, "picture")
    assert set(city.images["region_id"]) == set(covered["region_id"][covered["aerial"] == "picture"])
    assert len(city.regions) == len(covered) > len(city.images)
    head, row = report.lines()[1:3]
    assert head.split("  ")[-4:] == ["with a picture", "no imagery", "nothing there", "not readable"]
    states = ("picture", "blank", "absent", "broken")
    counts = [(covered["aerial"] == state).sum() for state in states]
    assert [int(word) for word in row.split()[1:]] == [len(covered), *counts]


def test_squares_get_mosaics_of_a_stated_resolution(tmp_path: Path, server: TileServer) -> None:
    path = write_recipe(
        tmp_path, server.url, ('by = "tile:14"', 'by = "square:1"\nkeep = "inside"'), more="gsd_m = 20"
    )
    run.gather(path, tmp_path / "city")
    city = City.open(tmp_path / "city")
    assert len(city.images) == len(city.regions) > 3
    for row in city.images.itertuples():
        with Image.open(tmp_path / "city" / row.path) as picture:
            assert all(48 <= edge <= 56 for edge in picture.size)  # 1 km, and the square is turned a little
    assert max(server.counts.values()) == 1


def test_regions_partly_covered_are_left_out_or_taken_as_the_recipe_says(
    tmp_path: Path, server: TileServer
) -> None:
    server.behave = lambda handler, place: place[1] % 2 == 0 and handler.answer(b"", 404)
    change = ('by = "tile:14"', 'by = "h3:7"')
    with pytest.raises(InputError, match="nothing covers this place") as caught:
        run.gather(write_recipe(tmp_path, server.url, change, more="gsd_m = 20"), tmp_path / "a")
    assert str(caught.value.value).startswith("aerial: ")
    assert "in part only" in str(caught.value.value)
    lower = write_recipe(tmp_path, server.url, change, more="gsd_m = 20\nmin_cover = 0.5")
    states = run.gather(lower, tmp_path / "b").coverage["aerial"]
    assert set(states) == {"picture", "partial"}
    assert len(City.open(tmp_path / "b").images) == (states == "picture").sum()


def test_the_plan_is_right_in_requests_and_bytes(tmp_path: Path, server: TileServer) -> None:
    path = write_recipe(tmp_path, server.url, ("tile:14", "tile:16"))
    planned = run.plan(run.prepare(path)).plans[0]
    sampled = len(server.asked)
    assert sampled <= 100
    run.gather(path, tmp_path / "city")
    came = sum(len(tile(*map(int, one[1:-4].split("/")))) for one in server.asked[sampled:])
    assert planned.to_ask == len(server.asked) - sampled
    assert planned.bytes == pytest.approx(came, rel=0.1)
    assert planned.pictures == len(City.open(tmp_path / "city").images)
    assert max(server.counts.values()) == 1
    done = run.plan(run.prepare(path)).plans[0]
    assert (done.to_ask, done.bytes, done.seconds) == (0, 0, 0)


def test_a_plan_says_time_money_and_terms_and_asks_nothing_where_sizes_are_said(
    tmp_path: Path, server: TileServer
) -> None:
    path = write_recipe(
        tmp_path,
        server.url,
        ("per_second = 100000", "per_second = 0.5"),
        more="mean_kb = 20\nusd_per_1000 = 500",
    )
    lines = run.plan(run.prepare(path)).lines()
    assert server.asked == []
    assert lines[0] == "15 regions"
    assert lines[1] == "aerial: 15 pictures, 15 requests"
    assert lines[2].strip() == (
        "to fetch: 15 requests, 300 kB (mean_kb says so), about 30 s, $7.50 in all, $0.00 of it spent"
    )
    assert lines[3].strip() == "licence: CC0-1.0; attribution: Somebody"


def test_what_the_recipe_does_not_allow_is_refused_before_anything_is_asked(
    tmp_path: Path, server: TileServer
) -> None:
    for more, fetch, told in (
        ("usd_per_1000 = 500", "", r"this costs \$7.50, and \[fetch\] max_usd allows \$0.00"),
        ("", "max_requests = 14", "this takes 15 requests"),
    ):
        with pytest.raises(InputError, match=told):
            run.gather(write_recipe(tmp_path, server.url, more=more, fetch=fetch), tmp_path / "city")
    assert server.asked == []
    assert not (tmp_path / "city" / "city.toml").exists()


def test_a_limit_is_of_regions_and_only_names_sources(tmp_path: Path, server: TileServer) -> None:
    other = f'[tiles.other]\nurl = "{server.url}/t/{{z}}/{{x}}/{{y}}"\ntile_px = 64\n'
    other += 'licence = "x"\nattribution = "y"\n'
    path = write_recipe(tmp_path, server.url, ("[fetch]", f"{other}\n[fetch]"))
    run.gather(path, tmp_path / "both", limit=3)
    both = City.open(tmp_path / "both")
    assert len(both.regions) == 3
    assert both.images["source"].value_counts().to_dict() == {"aerial": 3, "other": 3}
    assert [one.name for one in both.meta.sources] == ["aerial", "other"]
    assert len(server.asked) == 6
    run.gather(path, tmp_path / "one", limit=2, only=["other"])
    assert set(City.open(tmp_path / "one").images["source"]) == {"other"}
    assert len(server.asked) == 6
    with pytest.raises(InputError, match="no such source") as caught:
        run.prepare(path, only=["others"])
    assert "aerial, other, tiles" in str(caught.value)


def test_requests_without_an_answer_make_no_city_and_what_came_is_kept(
    tmp_path: Path, server: TileServer
) -> None:
    bad = "/14/9326/4742.jpg"
    server.behave = lambda handler, place: handler.path == bad and handler.answer(b"", 500)
    path = write_recipe(tmp_path, server.url)
    with pytest.raises(StorageError, match="1 of 15 requests have no answer: 1 × HTTP 500") as caught:
        run.gather(path, tmp_path / "city")
    assert str(caught.value.where).endswith(bad)
    assert not (tmp_path / "city" / "city.toml").exists()
    allowed = write_recipe(tmp_path, server.url, fetch="max_failed = 0.1")
    with_gap = run.gather(allowed, tmp_path / "gap")
    assert with_gap.coverage["aerial"].value_counts().to_dict() == {"picture": 14, "unanswered": 1}
    server.behave = None
    run.gather(write_recipe(tmp_path, server.url), tmp_path / "city")
    assert len(City.open(tmp_path / "city").images) == 15
    assert all(times == 1 for one, times in server.counts.items() if one != bad)


def test_a_place_that_nothing_covers_is_told(tmp_path: Path, server: TileServer) -> None:
    server.behave = lambda handler, place: handler.answer(b"", 404)
    with pytest.raises(InputError, match="nothing covers this place"):
        run.gather(write_recipe(tmp_path, server.url), tmp_path / "city")


def test_tiles_of_another_size_are_told_with_their_size(tmp_path: Path, server: TileServer) -> None:
    with pytest.raises(InputError, match="not 256 pixels") as caught:
        run.gather(write_recipe(tmp_path, server.url, ("tile_px = 64\n", "")), tmp_path / "city")
    assert "tile_px = 64" in caught.value.remedy


def test_a_folder_of_tiles_is_a_source_without_any_server(tmp_path: Path) -> None:
    for x in (9325, 9326):
        (tmp_path / "tiles" / "14" / str(x)).mkdir(parents=True)
        (tmp_path / "tiles" / "14" / str(x) / "4741.jpg").write_bytes(tile(14, x, 4741))
    path = write_recipe(tmp_path, "file:tiles", fetch='folders = ["tiles"]')
    run.gather(path, tmp_path / "city")
    city = City.open(tmp_path / "city")
    assert sorted(city.images["region_id"]) == ["14-9325-4741", "14-9326-4741"]
    assert not (tmp_path / "cache" / "gathered").exists()
    with pytest.raises(InputError, match="does not name a folder"):
        run.gather(write_recipe(tmp_path, "file:tiles"), tmp_path / "other")


def test_somebodys_files_are_not_overwritten(tmp_path: Path, server: TileServer) -> None:
    (tmp_path / "city" / "pictures").mkdir(parents=True)
    (tmp_path / "city" / "pictures" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="would be overwritten"):
        run.gather(write_recipe(tmp_path, server.url), tmp_path / "city")
    assert server.asked == []


def test_the_command_line_plans_and_gathers(
    tmp_path: Path, server: TileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    from urbanln.cli.app import main

    path = write_recipe(tmp_path, server.url)
    for words, code, told in (
        (["--plan", "--limit", "4"], 0, "4 regions"),
        ([], 2, "the city needs a folder"),
        (["--out", str(tmp_path / "city"), "--only", "tiles"], 0, "15 regions, 15 pictures"),
        (["--out", str(tmp_path / "city")], 2, "there is a city in this folder already"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["gather", str(path), *words])
        assert (caught.value.code or 0) == code
        captured = capsys.readouterr()
        assert told in captured.out + captured.err


def test_a_city_that_was_gathered_is_a_city_like_any(tmp_path: Path, server: TileServer) -> None:
    run.gather(write_recipe(tmp_path, server.url), tmp_path / "city")
    city = City.open(tmp_path / "city")
    city.indicators = city.indicators.assign(price=pd.Series(range(15), dtype="float64"))
    city.save()
    assert City.open(tmp_path / "city").indicators["price"].sum() == 105
