"""Labels of a table by ids: of regions or districts, each id once, missing where there is no number."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from tests.gather.world import saved

from urbanln.base.errors import InputError
from urbanln.city.store import City
from urbanln.gather import run

RECIPE = """
[place]
name = "Somewhere"
bbox = [0.0, 0.0, 4.0, 2.0]

[regions]
by = "tracts.gpkg#GEOID"
district = "districts.gpkg#name"

[labels.income]
table = "income.csv"
ids = "tract"
column = "income"
unit = "USD a year"
year = 2022
source = "a census"
licence = "public domain"
attribution = "Census Bureau"
"""
IDS = [f"0603700{number}" for number in range(8)]
BY_DISTRICT = [('ids = "tract"', 'ids = "name"\nby = "district"'), ("income.csv", "places.csv")]


@pytest.fixture(autouse=True)
def _world(tmp_path: Path) -> None:
    """Eight tracts in two districts and none, and what is known of them."""
    boxes = [shapely.box(x, y, x + 1, y + 1) for x in range(4) for y in range(2)]
    gpd.GeoDataFrame({"GEOID": IDS}, geometry=boxes, crs=4326).to_file(tmp_path / "tracts.gpkg")
    halves = [shapely.box(0, 0, 2, 2), shapely.box(2, 0, 3, 2)]
    gpd.GeoDataFrame({"name": ["West", "East"]}, geometry=halves, crs=4326).to_file(
        tmp_path / "districts.gpkg"
    )
    frame = pd.DataFrame({"tract": [*IDS[:7], "06037999"], "income": [10.0, 20, np.nan, 40, 50, 60, 70, 80]})
    frame.assign(year="2022").to_csv(tmp_path / "income.csv", index=False)
    pd.DataFrame({"name": ["East", "West", "North"], "income": [1.5, 2.5, 9]}).to_csv(
        tmp_path / "places.csv", index=False
    )


def _recipe(folder: Path, *changes: tuple[str, str]) -> Path:
    return saved(folder, RECIPE, *changes)


def _built(recipe: Path) -> tuple[list[float], pd.Series, list[str]]:
    """Values in the order of the regions, states, and what is said."""
    ready = run.prepare(recipe)
    found = ready.sources[0].build(lambda _: None, recipe.parent)
    assert found.indicators is not None
    assert list(found.indicators["region_id"]) == list(ready.regions.frame["region_id"]) == IDS
    return list(found.indicators["income"]), found.coverage, found.said


def test_a_region_has_the_number_of_its_row(tmp_path: Path) -> None:
    values, states, said = _built(_recipe(tmp_path))
    np.testing.assert_array_equal(values, [10, 20, np.nan, 40, 50, 60, 70, np.nan])
    assert list(states[states != "label"].index) == [IDS[2], IDS[7]]
    assert set(states) == {"label", "absent"}
    assert "8 of 8 rows count" in said[0]
    assert "1 of 8 ids of the table are of no region" in said[1]


def test_ids_that_lost_a_zero_are_found_and_that_is_said(tmp_path: Path) -> None:
    frame = pd.read_csv(tmp_path / "income.csv", dtype={"tract": "str"})
    frame.assign(tract=frame["tract"].str.lstrip("0")).to_csv(tmp_path / "income.csv", index=False)
    values, _, said = _built(_recipe(tmp_path))
    np.testing.assert_array_equal(values, [10, 20, np.nan, 40, 50, 60, 70, np.nan])
    assert any("6037000 read as 06037000" in line for line in said)


def test_regions_share_the_number_of_their_district(tmp_path: Path) -> None:
    values, states, said = _built(_recipe(tmp_path, *BY_DISTRICT))
    np.testing.assert_array_equal(values, [2.5] * 4 + [1.5] * 2 + [np.nan] * 2)
    assert (states == "absent").sum() == 2
    assert "6 regions share the numbers of 2 districts" in said
    assert "1 of 3 ids of the table are of no district" in said


@pytest.mark.parametrize("agg", ["mean", "sum", "median", "min", "max"])
def test_several_rows_become_one_as_the_recipe_says(tmp_path: Path, agg: str) -> None:
    frame = pd.read_csv(tmp_path / "income.csv", dtype={"tract": "str"})
    more = pd.concat([frame, frame.assign(income=frame["income"] * 3), frame[:1].assign(income=np.nan)])
    more.to_csv(tmp_path / "income.csv", index=False)
    with pytest.raises(InputError, match="stands in several rows") as caught:
        _built(_recipe(tmp_path))
    assert "agg" in caught.value.remedy
    values, _, _ = _built(_recipe(tmp_path, ("year =", f'agg = "{agg}"\nyear =')))
    slow = [
        getattr(pd.Series([x, 3 * x]), agg)() if x == x else np.nan for x in [10, 20, np.nan, 40, 50, 60, 70]
    ]
    np.testing.assert_array_equal(values, [*slow, np.nan])


def test_rows_of_one_year_are_chosen(tmp_path: Path) -> None:
    frame = pd.read_csv(tmp_path / "income.csv", dtype={"tract": "str"})
    more = pd.concat([frame.assign(year=2021, income=1), frame])
    more.loc[len(more)] = [None, 5.0, 2022]
    more["year"] = more["year"].astype("int64")  # pandas 3.0.0 makes floats of them
    more.to_csv(tmp_path / "income.csv", index=False)
    values, _, said = _built(_recipe(tmp_path, ("year =", 'only = {year = "2022"}\nyear =')))
    np.testing.assert_array_equal(values, [10, 20, np.nan, 40, 50, 60, 70, np.nan])
    assert "1 without an id" in said[0]
    assert "8 of other kinds (only)" in said[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([("income.csv", "none.csv")], "no such file"),
        ([('ids = "tract"', 'ids = "tracts"')], "column 'tracts' is missing"),
        ([('column = "income"', 'column = "wage"')], "column 'wage' is missing"),
        ([("income.csv", "others.csv")], "no id of 'tract' is that of a region"),
        ([('ids = "tract"', 'ids = "tract"\nby = "district"')], "no id of 'tract' is that of a district"),
        ([*BY_DISTRICT, ('district = "districts.gpkg#name"\n', "")], "the regions have no districts"),
        ([('ids = "tract"\n', "")], "labels.income.ids"),
        ([("year =", 'agg = "mode"\nyear =')], "labels.income.agg"),
        ([("year =", 'statistic = "sum"\nyear =')], "unknown setting 'labels.income.statistic'"),
        ([("income.csv", "coded.csv")], "looks like a code"),
        ([("income.csv", "words.csv")], "must be a numeric column"),
        ([("income.csv", "mangled.csv")], "looks like what a spreadsheet leaves"),
    ],
)  # fmt: skip
def test_what_cannot_be_joined_is_one_clear_error(
    tmp_path: Path, changes: list[tuple[str, str]], told: str
) -> None:
    frame = pd.read_csv(tmp_path / "income.csv", dtype={"tract": "str"})
    frame.assign(income=frame["income"].fillna(-666666666)).to_csv(tmp_path / "coded.csv", index=False)
    frame.assign(tract=[f"X{row}" for row in range(8)]).to_csv(tmp_path / "others.csv", index=False)
    frame.assign(income="secret").to_csv(tmp_path / "words.csv", index=False)
    frame.assign(tract="6.03E+09").to_csv(tmp_path / "mangled.csv", index=False)
    with pytest.raises(InputError, match=told) as caught:
        run.prepare(_recipe(tmp_path, *changes))
    assert "recipe.toml" in str(caught.value.where)
    assert caught.value.remedy


KIND = ('column = "income"', 'column = "use"\nkind = "classes"')


def test_a_column_of_words_is_a_label_of_classes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"tract": [*IDS[:7], "06037999"], "use": ["town", "wood"] * 3 + ["", "sea"]})
    frame.loc[[7], "year"] = "2021"
    frame.fillna({"year": "2022"}).to_csv(tmp_path / "income.csv", index=False)
    recipe = _recipe(tmp_path, KIND, ("ids =", 'only = {year = "2022"}\nids ='))
    report = run.gather(recipe, tmp_path / "city")
    city = City.open(tmp_path / "city")
    assert {name: label.kind for name, label in city.kinds().items()} == {"income": "classes"}
    named = city.indicators.set_index("region_id")["income"]
    assert named[IDS[:6]].tolist() == ["town", "wood"] * 3
    assert named[IDS[6:]].isna().all()
    assert set(report.coverage["income"][IDS[6:]]) == {"absent"}
    assert any("income: 2 classes, from 'town' (3 regions) to 'wood' (3)" in line for line in report.lines())


def test_columns_of_parts_are_a_label_of_shares(tmp_path: Path) -> None:
    frame = pd.DataFrame({"tract": IDS, "young": [20.0, 30, 40, None, 50, 60, 70, 75]})
    frame.assign(old=100 - frame["young"]).to_csv(tmp_path / "income.csv", index=False)
    parts = ('column = "income"', 'columns = ["young", "old"]\nkind = "shares"')
    city = run.gather(_recipe(tmp_path, parts), tmp_path / "city").city
    assert city.kinds()["income"].columns == ("income_young", "income_old")
    found = city.indicators.set_index("region_id")["income_young"]
    np.testing.assert_allclose(found[IDS], frame["young"] / 100)
    frame.assign(old=[80.0, None, 60, None, 50, 40, 30, 25]).to_csv(tmp_path / "income.csv", index=False)
    with pytest.raises(InputError, match=r"is empty(.|\n)*row 1(.|\n)*empty_part = \"rest\" takes"):
        run.prepare(_recipe(tmp_path, parts))
    rest = (parts[0], parts[1] + '\nempty_part = "rest"')
    again = run.gather(_recipe(tmp_path, rest), tmp_path / "again").city
    assert again.indicators.set_index("region_id").loc[IDS[1], "income_old"] == pytest.approx(0.7)


def test_rounded_parts_are_taken_by_a_key_of_the_recipe(tmp_path: Path) -> None:
    frame = pd.DataFrame({"tract": IDS, "young": [20.0, 30, 40, 45, 50, 60, 70, 75]})
    off = np.array([0, 0, 0, 0, 0, 0, 1, -1])
    frame.assign(old=100 - frame["young"] + off).to_csv(tmp_path / "income.csv", index=False)
    parts = ('column = "income"', 'columns = ["young", "old"]\nkind = "shares"')
    report = run.gather(_recipe(tmp_path, parts), tmp_path / "city")
    assert "if that is rounding, share_tolerance = 0.01 takes 2 of them)" in "\n".join(report.lines())
    taking = (parts[0], parts[1] + "\nshare_tolerance = 0.01")
    report = run.gather(_recipe(tmp_path, taking), tmp_path / "again")
    assert "2 rows sum to 100 but for 1 at most" in "\n".join(report.lines())
    assert report.city.indicators["income_young"].notna().all()
    frame.assign(old=101 - frame["young"]).to_csv(tmp_path / "income.csv", index=False)
    with pytest.raises(InputError, match=r"rounded: share_tolerance = 0\.01$"):
        run.prepare(_recipe(tmp_path, parts))


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ('kind = "classes"', "column names a label"),
        ('columns = ["income", "tract"]', "column names a label"),
        ('column = "income"\nkind = "shares"', "column names a label"),
        ('columns = ["income"]\nkind = "shares"', "two columns or more"),
        ('columns = ["income", "income"]\nkind = "shares"', "two columns or more"),
        ('column = "income"\nkind = "classes"\nagg = "mean"', "agg is of numbers"),
        ('column = "tract"\nkind = "classes"', "ids, names or numbers"),
        ('columns = ["income", "tract"]\nkind = "shares"', "sum to 1, or to 100"),
    ],
)  # fmt: skip
def test_kinds_that_do_not_fit_are_refused(tmp_path: Path, new: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        run.prepare(_recipe(tmp_path, ('column = "income"', new)))
