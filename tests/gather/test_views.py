"""Street views of one's own: those of a table that lie in a region, spread, beside other sources."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import shapely
from tests.gather.world import SOMEWHERE, serving, tile, write_recipe

from urbanln.base.errors import InputError
from urbanln.city.store import City
from urbanln.gather import run

RECIPE = f"""{SOMEWHERE}keep = "middle"
"""
SECTION = """
[views.walk]
table = "walk.csv"
folder = "mine"
captured = "day"
per_region = 2
licence = "CC0-1.0"
attribution = "Me"
"""


def _walk(folder: Path, count: int = 12) -> pd.DataFrame:
    """Pictures along a street, with their table."""
    (folder / "mine" / "a").mkdir(parents=True)
    rows = []
    for number in range(count):
        name = f"{'a/' if number % 2 else ''}{number:03d}.jpeg"
        (folder / "mine" / name).write_bytes(tile(1, number, 0))
        day = "2024-05-01" if number else None
        rows.append({"image": name, "lon": 24.9005 + 0.005 * number, "lat": 60.171, "day": day})
    return pd.DataFrame(rows)


def _gather(folder: Path, frame: pd.DataFrame, more: str = SECTION) -> run.GatherReport:
    frame.to_csv(folder / "walk.csv", index=False)
    (folder / "recipe.toml").write_text(RECIPE + more)
    return run.gather(folder / "recipe.toml", folder / "city")


def test_views_of_a_table_are_spread_over_regions(tmp_path: Path) -> None:
    frame = _walk(tmp_path)
    report = _gather(tmp_path, frame)
    city = City.open(tmp_path / "city")
    shapes = city.regions.set_index("region_id").geometry
    places = frame.set_index("image")
    for row in city.images.itertuples():
        name = row.image_id.split("_", 2)[2]
        assert city.image_bytes(row.path) == (tmp_path / "mine" / name).read_bytes()
        assert (row.lon, row.lat) == pytest.approx(tuple(places.loc[name, ["lon", "lat"]]), abs=1e-12)
        assert shapes[row.region_id].intersects(shapely.Point(row.lon, row.lat))
        assert (row.view, row.source, row.licence) == ("street", "walk", "CC0-1.0")
        assert row.captured == "2024-05-01" or (name == "000.jpeg" and pd.isna(row.captured))
    counts = city.images["region_id"].value_counts()
    expected = {
        region: min(2, count)
        for region, shape in shapes.items()
        if (count := sum(shape.intersects(shapely.points(frame["lon"], frame["lat"]))))
    }
    assert counts.to_dict() == expected
    assert len(expected) > 2
    states = report.coverage["walk"]
    assert set(states[states == "picture"].index) == set(expected)
    assert set(states) == {"picture", "absent"}


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    frame = _walk(tmp_path)
    frame.loc[3, "lon"] = None
    (tmp_path / "mine" / "000.jpeg").write_bytes(b"no picture")
    (tmp_path / "mine" / "a" / "001.jpeg").unlink()
    report = _gather(tmp_path, frame, SECTION.replace("per_region = 2", "per_region = 100"))
    assert len(City.open(tmp_path / "city").images) == 9
    assert "walk: 1 rows of the table name no file or no place" in report.said
    assert "walk: 2 of the chosen files are missing or no pictures" in report.said


def test_both_views_come_into_one_city(tmp_path: Path) -> None:
    frame = _walk(tmp_path)
    frame.to_csv(tmp_path / "walk.csv", index=False)
    with serving() as server:
        path = write_recipe(tmp_path, server.url)
        path.write_text(path.read_text() + SECTION)
        report = run.gather(path, tmp_path / "city", cache=tmp_path / "kept")
    images = City.open(tmp_path / "city").images
    assert images.groupby("view")["source"].unique().map(list).to_dict() == {
        "satellite": ["aerial"],
        "street": ["walk"],
    }
    assert set(report.coverage) == {"aerial", "walk"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda frame: frame.rename(columns={"image": "file"}), "image"),
        (lambda frame: frame.assign(lon=frame["lat"], lat=frame["lon"]), "no view lies in a region"),
        (lambda frame: frame.assign(image="a/001.jpeg"), "two rows name one file"),
        (lambda frame: frame.assign(image=[f"../{n}.jpg" for n in range(12)]), "outside the folder"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, change: object, told: str) -> None:
    with pytest.raises(InputError) as caught:
        _gather(tmp_path, change(_walk(tmp_path)))  # type: ignore[operator]
    assert told in str(caught.value)
    assert "[views.walk]" in str(caught.value)
    assert not (tmp_path / "city").exists()
