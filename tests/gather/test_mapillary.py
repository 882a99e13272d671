"""Street views of regions: found over pages, spread, by day, with fields missing; panoramas cut."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image
from tests.gather.streets import (
    TOKEN,
    Streets,
    along,
    panorama,
    picture,
    pictures,
    searches,
    street_recipe,
    view,
)
from tests.gather.world import TileServer

from urbanln.base.errors import InputError
from urbanln.city.store import City
from urbanln.gather import run
from urbanln.gather.fetching.guard import Guard
from urbanln.gather.mapillary import parse
from urbanln.gather.mapillary.picture import DIRECTIONS, cut, spread


def test_views_are_found_over_pages_and_spread(tmp_path: Path, server: TileServer) -> None:
    server.behave = Streets(along(120), page=7)
    report = run.gather(street_recipe(tmp_path, server, "per_region = 3"), tmp_path / "city")
    city = City.open(tmp_path / "city")
    shapes = city.regions.set_index("region_id").geometry
    there = [
        region
        for region, shape in shapes.items()
        if any(shape.intersects(shapely.Point(one["geometry"]["coordinates"])) for one in server.behave.views)
    ]
    assert 2 < len(there) < len(shapes)
    assert city.images["region_id"].value_counts().to_dict() == dict.fromkeys(there, 3)
    states = report.coverage["streets"]
    assert set(states[states == "picture"].index) == set(there)
    assert set(states) == {"picture", "absent"}
    for row in city.images.itertuples():
        name = row.image_id.rpartition("_")[2]
        assert city.image_bytes(row.path) == picture(name)
        assert shapes[row.region_id].intersects(shapely.Point(row.lon, row.lat))
        assert (row.view, row.captured, row.source) == ("street", "2019-07-04T10:11:12Z", "streets")
        assert (row.licence, row.compass) == ("CC BY-SA 4.0", 90.0)
        assert row.attribution == f"user{name}, Mapillary, https://www.mapillary.com/app/?pKey={name}"
    for _, rows in city.images.groupby("region_id"):  # the ends and the middle of the street
        lons = rows["lon"].sort_values().to_numpy()
        assert np.diff(lons).min() > 0.35 * np.ptp(lons)
        assert np.ptp(lons) > 0.006
    (source,) = city.meta.sources
    assert (source.licence, source.attribution) == ("CC BY-SA 4.0", "Mapillary contributors")
    assert len(searches(server)) > len(shapes)
    assert max(server.counts.values()) == 1


def test_the_token_goes_to_the_api_alone_and_is_written_nowhere(tmp_path: Path, server: TileServer) -> None:
    server.behave = Streets(along(40), page=5)
    run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    for path, headers in zip(server.asked, server.headers, strict=True):
        assert headers.get("Authorization") == (None if "/pictures/" in path else f"OAuth {TOKEN}")
        assert "access_token" not in path
    assert pictures(server)
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 20
    assert not any(b"4711" in content for content in kept)


def test_missing_fields_are_normal(tmp_path: Path, server: TileServer) -> None:
    place = [24.93, 60.171]
    server.behave = Streets(
        [
            view(1, *place, captured_at=None, compass_angle=None, creator=None, is_pano=None),
            view(2, *place, computed_geometry={"coordinates": [24.931, 60.1712]}, computed_compass_angle=-10),
            view(3, *place, geometry=None, computed_geometry={"coordinates": [24.932, 60.1713]}),
            view(4, *place, computed_geometry=None, computed_compass_angle="east", creator={"id": "9"}),
            view(5, *place, captured_at="yesterday", computed_geometry={"coordinates": [999, 0]}),
        ]
    )
    report = run.gather(street_recipe(tmp_path, server, "per_region = 9"), tmp_path / "city")
    images = City.open(tmp_path / "city").images
    images.index = pd.Index([one.rpartition("_")[2] for one in images["image_id"]])
    assert sorted(images.index) == ["1", "2", "3", "4", "5"]
    assert pd.isna(images.loc["1", "captured"])
    assert pd.isna(images.loc["1", "compass"])
    assert images.loc["1", "attribution"].startswith("Mapillary contributors, https://")
    assert images.loc["2", ["lon", "lat", "compass"]].tolist() == [24.931, 60.1712, 350.0]
    assert images.loc["3", "lon"] == 24.932
    assert images.loc["4", "compass"] == 90.0
    assert images.loc["5", ["lon", "lat"]].tolist() == place
    assert pd.isna(images.loc["5", "captured"])
    assert "streets: 1 regions have fewer views than are asked for" in report.said


def test_days_and_numbers_are_as_said(tmp_path: Path, server: TileServer) -> None:
    day = 86_400_000
    views = along(60)
    for number, one in enumerate(views):
        one["captured_at"] = 1562198400000 + (number % 4 - 1) * day + (day - 1 if number % 4 == 2 else 0)
    views[6].pop("captured_at")
    server.behave = Streets(views)
    more = "since = 2019-07-04\nuntil = 2019-07-05\nper_region = 100\nin_all = 20"
    run.gather(street_recipe(tmp_path, server, more), tmp_path / "city")
    images = City.open(tmp_path / "city").images
    assert set(images["captured"].str[:10]) == {"2019-07-04", "2019-07-05"}
    assert "1006" not in {one.rpartition("_")[2] for one in images["image_id"]}
    count = len(City.open(tmp_path / "city").regions)
    assert images["region_id"].value_counts().max() <= -(-20 // count)
    assert len(images) <= 20
    assert all("start_captured_at=2019-07-04T00:00:00Z" in path for path in searches(server))
    with pytest.raises(InputError, match=rf"in_all allows 2 views, and there are {count} regions"):
        run.prepare(street_recipe(tmp_path, server, "in_all = 2"))


def test_a_full_answer_without_a_next_page_is_quartered(tmp_path: Path, server: TileServer) -> None:
    server.behave = Streets(along(45), paging=False)
    run.gather(street_recipe(tmp_path, server, "per_region = 100\npage = 10"), tmp_path / "city")
    images = City.open(tmp_path / "city").images
    inside = [one for one in server.behave.views if _in_regions(tmp_path, one)]
    assert len(images) == len(inside) > 30


def _in_regions(tmp_path: Path, one: dict[str, object]) -> bool:
    point = shapely.Point(one["geometry"]["coordinates"])  # type: ignore[index]
    return bool(City.open(tmp_path / "city").regions.geometry.intersects(point).any())


def test_more_views_than_are_looked_through_are_said(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse, "_LAST_PAGE", 1)
    server.behave = Streets(along(60), page=3)
    report = run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    assert any("have more views than were looked through" in line for line in report.said)


def test_the_plan_bounds_all_before_anything_is_asked(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lons, lats = np.meshgrid(np.linspace(24.88, 24.98, 60), np.linspace(60.14, 60.20, 40))
    rows = zip(lons.ravel(), lats.ravel(), strict=True)
    server.behave = Streets([view(10000 + n, float(x), float(y)) for n, (x, y) in enumerate(rows)])
    ready = run.prepare(street_recipe(tmp_path, server, "per_region = 2\nmean_kb = 2"))
    monkeypatch.delenv("MAPILLARY_TOKEN")
    (planned,) = run.plan(ready).plans
    assert not server.asked
    count = len(ready.regions.frame)
    assert (planned.requests, planned.more, planned.pictures) == (count, 2 * count, 2 * count)
    assert planned.bytes == 2000 * 3 * count
    assert f"{count} requests and up to {2 * count} that answers lead to" in planned.lines()[0]
    monkeypatch.setenv("MAPILLARY_TOKEN", TOKEN)
    few = street_recipe(tmp_path, server, "per_region = 2", f"max_requests = {3 * count - 1}")
    with pytest.raises(InputError, match=f"takes {3 * count} requests"):
        run.gather(few, tmp_path / "city")
    run.gather(street_recipe(tmp_path, server, "per_region = 2"), tmp_path / "city")
    assert len(server.asked) == 3 * count
    (planned,) = run.plan(run.prepare(tmp_path / "recipe.toml")).plans
    assert (planned.requests, planned.more, planned.to_ask) == (3 * count, 0, 0)


def test_panoramas_are_cut_or_left_out(tmp_path: Path, server: TileServer) -> None:
    views = [view(11, 24.93, 60.171, is_pano=True), view(12, 24.931, 60.171), view(13, 24.932, 60.171)]
    views[2]["is_pano"] = True
    server.behave = Streets(views, odd={"13": (picture("13"), 200)})  # not twice as wide as high
    run.gather(street_recipe(tmp_path, server), tmp_path / "without")
    names = {one.rpartition("_")[2] for one in City.open(tmp_path / "without").images["image_id"]}
    assert names == {"12"}
    run.gather(street_recipe(tmp_path, server, 'panoramas = "cut"\nsize = "2048"'), tmp_path / "city")
    city = City.open(tmp_path / "city")
    images = city.images.set_index(city.images["image_id"].str.rpartition("_")[2])
    assert sorted(images.index) == ["11-0", "11-180", "11-270", "11-90", "12"]
    assert [images.loc[f"11-{one}", "compass"] for one in DIRECTIONS] == [90, 180, 270, 0]
    with Image.open(io.BytesIO(panorama("11"))) as stored:
        whole = stored.convert("RGB")
    for direction in DIRECTIONS:
        with Image.open(io.BytesIO(city.image_bytes(images.loc[f"11-{direction}", "path"]))) as made:
            assert made.size == (16, 16)
            assert np.abs(np.asarray(made, float) - np.asarray(cut(whole, direction), float)).mean() < 6


def _slow_cut(pixels: np.ndarray, direction: float) -> np.ndarray:
    """Each pixel by the direction it is seen in, one after the other."""
    height, width, _ = pixels.shape
    edge = width // 4
    made = np.zeros((edge, edge, 3))
    turn = math.radians(direction)
    for j in range(edge):
        for i in range(edge):
            right, up = (i + 0.5) / edge * 2 - 1, 1 - (j + 0.5) / edge * 2
            x, y = math.cos(turn) * right + math.sin(turn), math.cos(turn) - math.sin(turn) * right
            length = math.sqrt(x * x + y * y + up * up)
            column = (math.atan2(x / length, y / length) / (2 * math.pi) + 0.5) * width - 0.5
            row = (0.5 - math.asin(up / length) / math.pi) * height - 0.5
            for dx in (0, 1):
                for dy in (0, 1):
                    at_x, at_y = math.floor(column) + dx, math.floor(row) + dy
                    part = (1 - abs(column - at_x)) * (1 - abs(row - at_y))
                    made[j, i] += part * pixels[min(max(at_y, 0), height - 1), at_x % width]
    return made


@pytest.mark.parametrize("direction", [*DIRECTIONS, 33.0])
def test_views_of_a_panorama_are_exact(direction: float) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    made = np.asarray(cut(Image.fromarray(pixels), direction), float)
    assert np.abs(made - _slow_cut(pixels, direction)).max() <= 0.5 + 1e-6


def test_views_are_spread_whatever_their_order() -> None:
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 0.01, (50, 2))
    views = [parse.View(str(900 + n), 24 + x, 60 + y, "u") for n, (x, y) in enumerate(places)]
    chosen = spread(views, 6)
    assert spread(views[::-1], 6) == chosen
    metres = np.array([(one.lon * math.cos(math.radians(60.005)), one.lat) for one in views]) * 111_320
    index = {one.id: number for number, one in enumerate(views)}
    for number in range(1, 6):  # each next one is the farthest from those before
        taken = metres[[index[one.id] for one in chosen[:number]]]
        nearest = np.linalg.norm(metres[:, None] - taken[None], axis=2).min(axis=1)
        assert nearest[index[chosen[number].id]] == pytest.approx(nearest.max(), abs=0.1)
    same = [parse.View(name, 24.0, 60.0, "u") for name in ("10", "9", "11")]
    assert [one.id for one in spread(same, 2)] == ["9", "10"]
    assert [one.id for one in spread(same, 5)] == ["9", "10", "11"]


def test_regions_wider_than_the_api_takes_are_searched_in_parts(tmp_path: Path, server: TileServer) -> None:
    server.behave = Streets([view(n, 24.0 + n / 100, 60.2) for n in range(1, 90)])
    path = street_recipe(tmp_path, server, "per_region = 200")
    path.write_text(path.read_text().replace("tile:14", "tile:9").replace("middle", "meets"))
    run.gather(path, tmp_path / "city")
    city = City.open(tmp_path / "city")
    west, _, east, _ = city.regions.total_bounds
    assert len(city.images) == sum(west <= 24.0 + n / 100 <= east for n in range(1, 90)) > 20
    assert len(searches(server)) > 30


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('size = "640"', "size"),
        ("per_region = 0", "per_region"),
        ("since = 2020-01-02\nuntil = 2020-01-01", "since is 2020-01-02, after until"),
        ('panoramas = "keep"', "panoramas"),
        ("n_per_region = 3", "n_per_region"),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(
    tmp_path: Path, server: TileServer, more: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        run.prepare(street_recipe(tmp_path, server, more))
    assert told in str(caught.value)


def test_answers_that_are_none_are_no_views() -> None:
    asked = parse.searches("https://graph.example", (24, 60, 24.01, 60.01), "thumb_1024_url", {}, 50)[0]
    for data in (b"[]", b"not JSON", b'{"error": {}}', b'{"data": 3}'):
        assert not parse.read(data, asked, "thumb_1024_url").sound
    odd = b'{"data": [3, {"id": "../1"}, {"id": "1", "geometry": {"coordinates": [24, 60]}}], "paging": 7}'
    assert parse.read(odd, asked, "thumb_1024_url") == parse.Found()
    place = b'{"id": "1", "geometry": {"coordinates": [24, 60]}, "thumb_1024_url": "%s"}'
    for url in (b"file://there/etc/passwd", b"/etc/passwd", b"http://[", b"ftp://there/1.jpg"):
        data = b'{"data": [' + place % url + b'], "paging": {"next": "' + url + b'"}}'
        assert parse.read(data, asked, "thumb_1024_url") == parse.Found()
    elsewhere = b'{"data": [3], "paging": {"next": "https://graph.example.evil/images?after=1"}}'
    assert parse.read(elsewhere, asked, "thumb_1024_url") == parse.Found()


def test_hosts_that_end_alike_are_named_at_once() -> None:
    guard = Guard(["graph.example", "*.cdn.example"], [])
    assert guard.check("https://a-1.x.cdn.example/1", "") == "a-1.x.cdn.example"
    for host in ("cdn.example", "evilcdn.example", "cdn.example.evil", "a.graph.example"):
        with pytest.raises(InputError, match="does not name this host"):
            guard.check(f"https://{host}/1", "")
