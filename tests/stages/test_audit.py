"""The verb ``audit`` on a city, on a plain table and on captions; as Python and as a command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cli.test_cli import run

import urbanln
from urbanln.base.config import load_settings
from urbanln.base.errors import InputError
from urbanln.city.coordinates import Positions
from urbanln.city.labels import AskedLabels
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city
from urbanln.stages.audit import read_labels
from urbanln.stages.probe import run_probe


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> City:
    """64 regions; a label was filled in, and one picture stands in two regions."""
    city = make_synthetic_city(tmp_path_factory.mktemp("town") / "city", regions=64, seed=3, street_views=0)
    values = city.indicators["population"].to_numpy(copy=True)
    values[::8] = 4321.5
    city.indicators["population"] = values
    first, second = city.images["path"].iloc[:2]
    (city.folder / second).write_bytes((city.folder / first).read_bytes())
    sha256 = city.images["sha256"].to_list()
    city.images["sha256"] = [sha256[0], *sha256[:1], *sha256[2:]]
    city.save()
    return city


def _table(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    spots = rng.uniform(0, 0.2, (n, 2))
    filled = np.where(rng.random(n) < 0.2, 10000.0, rng.lognormal(9, 1, n))
    return pd.DataFrame({"lon": 116 + spots[:, 0], "lat": 39 + spots[:, 1], "gdp": filled, "note": "-"})


def test_a_city_is_looked_at_whole(town: City, tmp_path: Path, capsys) -> None:
    found = urbanln.audit(town)
    assert found.found()[0].startswith("population: 8 regions (12.5%) hold exactly 4321.5")
    values = found.as_json()
    assert set(values) >= {"labels", "pictures", "captions", "found"}
    assert set(values["labels"]) == set(town.indicators.columns) - {"region_id"}
    assert values["pictures"]["satellite"]["exact"] == 2
    assert values["captions"] == {}
    assert run("audit", town.folder, "--out", tmp_path / "a.json", "--page", tmp_path / "a.html") == 0
    text = (tmp_path / "a.html").read_text()
    assert "hold exactly 4321.5" in text
    first, second = town.images["image_id"].iloc[:2]
    assert values["pictures"]["satellite"]["exact_examples"] == [[first, second]]
    assert f'alt="satellite picture {second}"' in text
    assert text.count('class="chart"') >= 2 * len(values["labels"])  # a histogram and a variogram each
    assert 'id="map-data"' in text
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(json.dumps(values))
    printed = capsys.readouterr().out
    assert "byte for byte" in printed
    assert "--set probe.block_km=" in printed
    some = urbanln.audit(town.folder, labels=["population"], pictures=False)
    assert some.pictures == {}
    assert list(some.labels.labels) == ["population"]
    with pytest.raises(InputError, match="no such indicator"):
        urbanln.audit(town, labels=["rain"], pictures=False)


def test_a_plain_table_is_looked_at_without_a_city(tmp_path: Path, capsys) -> None:
    table = _table()
    found = urbanln.audit(table)
    assert list(found.labels.labels) == ["gdp"]
    assert "hold exactly 10000.0" in found.found()[0]
    assert list(found.table()["saturated_value"]) == [10000.0]
    table.rename(columns={"lon": "x", "lat": "y"}).to_csv(tmp_path / "t.csv", index=False)
    call = ("audit", "--labels", tmp_path / "t.csv", "--lon", "x", "--lat", "y")
    assert run(*call, "--label", "gdp", "--page", tmp_path / "a.html") == 0
    assert "Histogram of GDP: 400 values" in (tmp_path / "a.html").read_text()
    assert "hold exactly 10000.0" in capsys.readouterr().out
    assert run(*call) == 2
    assert "which columns are labels" in capsys.readouterr().err
    assert run(*call, "--label", "note") == 2
    assert run("audit") == 2
    assert "nothing to audit" in capsys.readouterr().err


def test_a_city_without_pictures_opens_audits_and_probes(tmp_path: Path) -> None:
    _table(200).assign(tile=range(200)).to_csv(tmp_path / "t.csv", index=False)
    made = ("--out", tmp_path / "city", "--id-column", "tile", "--label", "gdp")
    assert run("ingest", tmp_path / "t.csv", *made) == 0
    city = City.open(tmp_path / "city")
    assert urbanln.audit(city).pictures == {}
    few = ["probe.folds=2", "probe.seeds=1", 'probe.splits=["random"]', "probe.floors=[]", "probe.curve=[]"]
    result = run_probe(city, {}, load_settings(None, few))
    assert {row["features"] for row in result.scores["rows"]} == {"mean"}


def test_captions_are_looked_at_with_a_table(tmp_path: Path) -> None:
    texts = pd.DataFrame(
        {"image_id": ["1", "2"], "captioner": "c", "caption": ["I'm sorry, but I cannot.", "A road."]}
    )
    found = urbanln.audit(_table(), captions=texts)
    assert found.as_json()["captions"]["flags"]["refusal"]["captions"] == 1
    assert "captions: 1 (50.0%) flagged refusal." in found.found()


def test_rows_without_coordinates_are_counted_and_columns_may_have_any_name(tmp_path: Path) -> None:
    table = _table(60)
    table.loc[:4, "lat"] = np.nan
    found = urbanln.audit(table.rename(columns={"gdp": 2020}))
    assert (found.labels.regions, found.as_json()["unplaced"]) == (55, 5)
    assert list(found.labels.labels) == ["2020"]
    assert "5 regions with labels have no position; they are left out." in found.found()
    table.to_csv(tmp_path / "t.csv", index=False)
    where = Positions()
    assert urbanln.audit(read_labels(tmp_path / "t.csv", AskedLabels.of(["gdp"]), where)).labels.unplaced == 5
    with pytest.raises(InputError, match="coordinate is no label"):
        read_labels(tmp_path / "t.csv", AskedLabels.of(["gdp", "lat"]), where)


def test_tables_that_cannot_be_audited() -> None:
    with pytest.raises(InputError, match="no row has coordinates"):
        urbanln.audit(_table().assign(lon=np.nan))
    with pytest.raises(InputError, match="is no label"):
        urbanln.audit(_table(), labels=["lon"])
    with pytest.raises(InputError, match="named twice"):
        urbanln.audit(_table(), labels=["gdp", "gdp"])
    with pytest.raises(InputError, match="'lat' is missing"):
        urbanln.audit(_table().drop(columns="lat"))
    with pytest.raises(InputError, match="no numeric label"):
        urbanln.audit(_table()[["lon", "lat", "note"]])
    with pytest.raises(InputError, match="numeric column"):
        urbanln.audit(_table(), labels=["note"])
    with pytest.raises(InputError, match="out of range"):
        urbanln.audit(_table().rename(columns={"lon": "lat", "lat": "lon"}))
    few = urbanln.audit(_table(3))
    assert few.labels.suggested() is None
    assert any("too few" in sentence for sentence in few.found())


def test_columns_of_words_are_named_where_nobody_says_which_columns_to_look_at() -> None:
    assert any("since not numbers: note;" in line for line in urbanln.audit(_table()).lines())
    assert not any("since not numbers" in line for line in urbanln.audit(_table(), labels=["gdp"]).lines())
