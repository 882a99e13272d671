"""Captions in the city folder: what is saved is what is read, and every breach is one error."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from urbanln.base.errors import InputError
from urbanln.base.files import hash_file
from urbanln.city.meta import Meta
from urbanln.city.store import City


@pytest.fixture
def city(tmp_path: Path) -> City:
    ids = ["i0", "i1", "i2", "i3"]
    regions = gpd.GeoDataFrame({"region_id": ids}, geometry=gpd.points_from_xy(range(4), range(4)), crs=4326)
    images = pd.DataFrame({"image_id": ids, "region_id": ids, "view": "street", "lon": 0.0, "lat": 0.0})
    images["path"] = "s3://bucket/" + images["image_id"]
    return City.create(
        tmp_path / "city",
        meta=Meta(name="Test"),
        regions=regions,
        images=images,
        indicators=pd.DataFrame({"region_id": ids}),
    )


def _captions(ids: list[str]) -> pd.DataFrame:
    rows = [(i, rank) for i in ids for rank in range(2)]
    frame = pd.DataFrame(rows, columns=["image_id", "rank"])
    frame["caption"] = [f"a long text {rank} of {i}" for i, rank in rows]
    frame["captioner"] = "simulated"
    frame["selected"] = frame["rank"] == 0
    frame["weight"] = 0.5
    frame["agreement"], frame["margin"], frame["n_candidates"] = np.nan, np.nan, 2
    frame["tokens"] = pd.array([None, 5] * len(ids), dtype="Int64")
    return frame


def test_captions_round_trip(city: City) -> None:
    folder = city.folder
    frame = _captions(["i0", "i3"])
    city.save_captions(frame, {"ledger": "ab"})
    for again in (city, City.open(folder)):
        pd.testing.assert_frame_equal(again.captions, frame, check_dtype=False)
    note = json.loads(pq.read_schema(folder / "captions.parquet").metadata[b"urbanln"])
    assert note["made_from"] == {"images": hash_file(folder / "images.parquet"), "ledger": "ab"}
    assert set(city.fingerprint()) == {"regions", "images", "indicators", "captions"}
    city.save_captions(frame.iloc[:2])
    assert len(city.captions) == 2


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("image_id", 0, "i9", r"unknown image_id\n.*i9\n.*row 0"),
        ("rank", 1, 0, r"i0 rank 0\n.*row 1"),
        ("caption", 1, "  ", "empty caption"),
        ("caption", 1, None, "'caption' is empty"),
        ("caption", 1, 3.5, "must be text"),
        ("selected", 0, False, r"exactly one caption.*\n.*0 selected\n.*i0"),
        ("selected", 3, True, r"exactly one caption.*\n.*2 selected\n.*i3"),
        ("weight", 3, 0.4, r"sum to 1\n.*0\.9\n.*i3"),
        ("weight", 3, -0.5, r"0 or more\n.*-0\.5\n.*row 3"),
        ("weight", 3, np.nan, r"0 or more\n.*nan\n.*row 3"),
        ("selected", 0, "yes", "'selected' must be bool"),
        ("rank", 0, None, "'rank' must be int64"),
    ],
)
def test_bad_captions(column: str, row: int, value: object, message: str, city: City) -> None:
    frame = _captions(["i0", "i3"])
    if not isinstance(value, bool | float | int) or column == "caption":
        frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    with pytest.raises(InputError, match=message):
        city.save_captions(frame)
    assert not (city.folder / "captions.parquet").exists()
