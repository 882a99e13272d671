"""Labels that are no numbers, wherever a city's labels are read."""

from __future__ import annotations

import io
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from urbanln.base.config import Settings, load_settings
from urbanln.base.errors import InputError
from urbanln.city.meta import IndicatorNote, Meta
from urbanln.city.store import City
from urbanln.explore.answers import Answers
from urbanln.explore.taken import take
from urbanln.stages.explore import Asked, content_of
from urbanln.stages.probe import run_probe

SIDE = 6
AGE = ("young", "middle_aged", "old")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> City:
    """36 points with a number, classes and shares; the last region has nothing but the number."""
    folder = tmp_path_factory.mktemp("kinds") / "town"
    n = SIDE**2
    ids = [f"r{i:02d}" for i in range(n)]
    x, y = np.divmod(np.arange(n), SIDE)
    regions = gpd.GeoDataFrame(
        {"region_id": ids}, geometry=shapely.points(10 + x * 0.01, 50 + y * 0.01), crs=4326
    )
    ages = np.random.default_rng(0).dirichlet([2, 3, 1], n)
    use = np.where(x < 2, "housing", np.where(y < 1, "port", "field")).astype(object)
    ages[-1], use[-1] = np.nan, None
    labels = pd.DataFrame(
        {"region_id": ids, "price": x + y + 0.5, "use": use, **dict(zip(AGE, ages.T, strict=True))}
    )
    notes = {"use": IndicatorNote(kind="classes"), "age": IndicatorNote(kind="shares", columns=AGE)}
    empty = pd.DataFrame(columns=["image_id", "region_id", "view", "path", "lon", "lat"])
    return City.create(
        folder, meta=Meta(name="town", indicators=notes), regions=regions, images=empty, indicators=labels
    )


def test_the_page_to_question_shows_classes_by_name_and_a_column_per_part(town: City) -> None:
    content = content_of([town], Asked(), Settings())
    shown = {one["key"]: one for one in Answers(content).overview()["columns"]}
    assert [key for key in shown if key.startswith("label:")] == [
        "label:price", "label:use", *(f"label:{part}" for part in AGE)
    ]  # fmt: skip
    use = shown["label:use"]
    assert (use["kind"], use["classes"], use["missing"]) == ("class", ["field", "housing", "port"], 1)
    assert shown["label:middle_aged"]["title"] == "age: middle aged"
    rows = np.arange(len(content))
    frame = pd.read_csv(io.BytesIO(take(content, rows, list(content.columns.values()), "csv")))
    assert frame["label:use"].fillna("-").tolist() == town.indicators["use"].fillna("-").tolist()
    np.testing.assert_array_equal(frame["label:old"], town.indicators["old"])


def test_a_part_of_shares_is_no_label_to_probe(town: City, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such indicator(.|\n)*price, use, age"):
        run_probe(town, {}, load_settings(), indicators=["young"])
