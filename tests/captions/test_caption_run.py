"""Captioning a whole city."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from shapely.geometry import Point

from urbanln.captions.captioner import Picture
from urbanln.captions.run import SceneCaptioner, caption_city, captioner_from_name
from urbanln.city.store import City, Meta
from urbanln.errors import InputError
from urbanln.files import hash_bytes, table_note


def make_city(folder: Path, n: int = 4) -> City:
    """Regions with a satellite tile and a street view each, of random blocks of colour."""
    rng = np.random.default_rng(0)
    rows = []
    for view in ("satellite", "street"):
        (folder / view).mkdir(parents=True)
        for at in range(n):
            path = folder / view / f"{at}.png"
            blocks = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize((48, 48), Image.Resampling.NEAREST).save(path)
            rows.append(
                {
                    "image_id": f"{view}{at}",
                    "region_id": f"r{at}",
                    "view": view,
                    "path": f"{view}/{at}.png",
                    "lon": 8.0,
                    "lat": 47.0,
                    "captured": None,
                    "source": None,
                    "licence": None,
                    "sha256": hash_bytes(path.read_bytes()),
                }
            )
    ids = [f"r{at}" for at in range(n)]
    shapes = [Point(8 + at / 100, 47) for at in range(n)]
    regions = gpd.GeoDataFrame({"region_id": ids}, geometry=shapes, crs="EPSG:4326")
    labels = pd.DataFrame({"region_id": ids, "y": np.arange(n, dtype=float)})
    images = pd.DataFrame(rows)
    return City.create(folder, meta=Meta(name="Test"), regions=regions, images=images, indicators=labels)


class Says:
    """A captioner for tests: its name and the image's id."""

    sources: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, name: str, only: str = "", text: str | None = None) -> None:
        self.name, self.only, self.text = name, only, text

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        return [f"{self.name} saw {len(pictures)}"]

    def caption(self, picture: Picture) -> str | None:
        if self.only and picture.view != self.only:
            return None
        return self.text or f"{self.name} of {picture.image_id}"


def test_all_pictures_by_all_captioners_in_order(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    report = caption_city(city, [Says("x"), Says("y", only="street")], count_tokens=lambda t: [100] * len(t))
    table = City.open(tmp_path / "c").captions
    assert list(table["image_id"].unique()) == list(city.images["image_id"])
    assert list(table.loc[table["image_id"] == "street1", "caption"]) == ["x of street1", "y of street1"]
    assert set(table.loc[table["selected"], "captioner"]) == {"x"}
    assert report.per_captioner == {"x": 8, "y": 4}
    assert report.nothing["y"] == 4
    text = "\n".join(report.lines())
    assert "100.0% over 77, 0.0% over 248" in text
    assert "x saw 8" in text
    assert report.shared == 0.0


def test_captions_of_others_are_kept_and_the_same_captioners_replaced(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    caption_city(city, [Says("x", text="old"), Says("y")])
    report = caption_city(city, [Says("z"), Says("x", text="new")], limit=3)
    table = city.captions.set_index(["image_id", "captioner"])["caption"]
    assert report.n_images == 3
    assert "captions that were there: 13 kept, 3 replaced" in report.remarks
    assert table["satellite0"].to_dict() == {"x": "new", "y": "y of satellite0", "z": "z of satellite0"}
    assert table["satellite3"].to_dict() == {"x": "old", "y": "y of satellite3"}
    assert list(table["satellite0"].index) == ["x", "y", "z"]
    caption_city(city, [Says("z")], replace=True)
    assert set(city.captions["captioner"]) == {"z"}


def test_equal_captions_on_many_pictures_are_reported(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    report = caption_city(city, [Says("x", only="street", text="Boilerplate.")])
    assert report.shared == 1.0
    assert report.n_described == 4


def test_corrupt_pictures_are_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    (tmp_path / "c/satellite/0.png").write_bytes(b"")
    whole = (tmp_path / "c/street/2.png").read_bytes()
    (tmp_path / "c/street/2.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c/street/3.png").unlink()
    report = caption_city(city, captioner_from_name("measured"))
    assert [line.split(":")[0] for line in report.skipped] == [
        "satellite/0.png",
        "street/2.png",
        "street/3.png",
    ]
    assert len(city.captions) == 5
    assert report.nothing == {"measured": 0}
    assert "3 pictures left out" in "\n".join(report.lines())


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    tables = []
    for workers in (1, 4):
        caption_city(city, captioner_from_name("measured"), workers=workers, replace=True)
        tables.append(city.captions)
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["tokens"].isna().all()


def test_nothing_described_is_an_error_and_the_old_captions_stay(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)
    caption_city(city, [Says("x")])
    for path in (tmp_path / "c").glob("*/0.png"):
        path.write_text("no picture")
    with pytest.raises(InputError, match="not one picture") as caught:
        caption_city(city, captioner_from_name("measured"))
    assert "not a picture" in str(caught.value)
    assert len(city.captions) == 2


def test_recorded_captions_note_their_file(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    (tmp_path / "t.csv").write_text("image_id,caption\nsatellite0,A tile.\nghost,None.\n")
    report = caption_city(city, captioner_from_name(f"recorded:{tmp_path / 't.csv'}"))
    assert list(city.captions["caption"]) == ["A tile."]
    assert "1 recorded captions belong to no picture" in "\n".join(report.lines())
    note = table_note(tmp_path / "c/captions.parquet")
    assert note["made_from"]["captions from t.csv"] == hash_bytes((tmp_path / "t.csv").read_bytes())


class _Echo:
    name = "echo"

    def describe(self, scene: dict, image_id: str) -> str:
        return f"{image_id}: {scene['objects'][0]['name']}"


def test_simulated_captioners_see_the_scene_beside_the_picture(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    with pytest.raises(InputError, match="simulated captions need a synthetic city"):
        caption_city(city, [SceneCaptioner(_Echo())])
    scene = {"schema_version": 1, "view": "street", "region_id": "r1", "objects": [{"name": "avenue"}]}
    (tmp_path / "c/street/1.scene.json").write_text(json.dumps(scene))
    (tmp_path / "c/street/2.scene.json").write_text("[]")
    report = caption_city(city, [SceneCaptioner(_Echo())])
    assert list(city.captions["caption"]) == ["street1: avenue"]
    assert "not a scene" in report.skipped[0]
    assert "6 pictures have no true scene" in "\n".join(report.lines())


def test_bad_captioners_are_refused(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)
    with pytest.raises(InputError, match="no captioner"):
        caption_city(city, [])
    with pytest.raises(InputError, match="same name"):
        caption_city(city, [Says("x"), Says("x")])
    for spec in ("gpt", "recorded:", "recorded:nowhere.csv", ""):
        with pytest.raises(InputError):
            captioner_from_name(spec)
