"""The joins: vectors of every kind from a city, and several cities through probe, transfer and report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.model.imagenet_stand_in import install
from tests.train.fake_city import make_city

from urbanln.base.config import Settings, load_settings
from urbanln.base.errors import InputError
from urbanln.base.files import read_table, table_note, write_text
from urbanln.base.parsing import read_json
from urbanln.city.ingest import ingest
from urbanln.city.pixels import PIXEL_FEATURES
from urbanln.city.store import City
from urbanln.embed.networks import saw_pictures
from urbanln.probe.saved import save_result
from urbanln.report.drawn import held_out, read_predictions
from urbanln.stages import embed, explore, probe, report
from urbanln.stages.audit import audit
from urbanln.stages.embed import embed_cities, embed_city, pixel_table
from urbanln.stages.probe import run_probe
from urbanln.stages.report import report_run
from urbanln.tables.cities import read_vectors
from urbanln.tables.vectors import matrix, read_embeddings

QUICK = [
    'probe.heads=["ridge"]', 'probe.floors=["coordinates-nearest"]', "probe.joint=false", "probe.curve=[]",
    "probe.seeds=2", "probe.folds=3", "probe.block_km=4", "probe.buffer_km=0", "probe.shots=[0]",
    "probe.bootstrap=100",
]  # fmt: skip


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(overrides=QUICK)


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> list[City]:
    """Two cities whose regions have the same ids."""
    folder = tmp_path_factory.mktemp("cities")
    made = [make_city(folder / name, regions=30, seed=i) for i, name in enumerate(("alpha", "beta"))]
    made[1].regions = made[1].regions.assign(geometry=made[1].regions.geometry.translate(xoff=5.0))
    made[1].images = made[1].images.assign(lon=made[1].images["lon"] + 5.0)
    made[1].save()
    return [City.open(city.folder) for city in made]


def test_every_word_makes_a_file_that_says_what_it_is(
    cities: list[City], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    install(monkeypatch, tmp_path / "weights.pth")
    for word, dim in (("pixels", len(PIXEL_FEATURES)), ("imagenet", 1280), ("text", None), ("tiny", None)):
        path = embed_city(cities[0], word, tmp_path / f"{word}.parquet", settings)
        frame, note = read_embeddings(path), table_note(path)
        assert list(frame["region_id"]) == list(cities[0].regions["region_id"])
        assert (frame["n_images"] == 1).all()
        assert dim is None or matrix(frame).shape[1] == dim
        assert (note["model"], note["transductive"]) == ("CLIP" if word == "tiny" else word, False)
    assert not matrix(read_embeddings(tmp_path / "text.parquet")).max() > 1.0 + 1e-6


def test_a_run_that_saw_the_pictures_is_said_to_have(cities: list[City], tmp_path: Path) -> None:
    images = cities[0].fingerprint()["images"]
    write_text(tmp_path / "run.toml", f'[run]\n[[run.cities]]\nimages = "{images}"\n')
    assert saw_pictures(tmp_path, cities[0])
    assert not saw_pictures(tmp_path, cities[1])
    write_text(tmp_path / "run.toml", '[run]\n[[run.cities]]\nname = "beta"\nimages = "of before"\n')
    assert saw_pictures(tmp_path, cities[1])
    assert not saw_pictures("tiny", cities[0])


def test_both_views_in_pixels_stand_side_by_side_with_a_flag(city: City) -> None:
    size = len(PIXEL_FEATURES)
    both = matrix(pixel_table(city, "both"))
    assert both.shape == (24, 2 * size + 1)
    np.testing.assert_array_equal(both[:, :size], matrix(pixel_table(city, "satellite")))
    np.testing.assert_array_equal(both[1:, size:-1], matrix(pixel_table(city, "street")))
    assert both[:, -1].tolist() == [0.0] + [1.0] * 23
    assert (both[0, size:] == 0).all()


def test_text_of_several_cities_shares_its_terms(
    cities: list[City], tmp_path: Path, settings: Settings, capsys
) -> None:
    a, b = embed_cities(cities, "text", f"{tmp_path}/{{city}}.parquet", settings)
    assert [a.name, b.name] == ["alpha.parquet", "beta.parquet"]
    vectors = [matrix(read_embeddings(path)) for path in (a, b)]
    assert vectors[0].shape == vectors[1].shape
    (narrow,) = embed_cities(cities[:1], "text", str(tmp_path / "n.parquet"), settings, terms=5)
    assert matrix(read_embeddings(narrow)).shape == (30, 5)
    rows = [{"image": f"x/r{i:03d}.jpg", "caption": f"roof number {i % 3}"} for i in range(20)]
    (tmp_path / "recorded.json").write_text(json.dumps(rows))
    recorded = [tmp_path / "recorded.json"]
    (path,) = embed_cities(cities[:1], "text", str(tmp_path / "r.parquet"), settings, captions=recorded)
    assert len(read_embeddings(path)) == 20
    assert "recorded.json" in table_note(path)["made_from"]
    assert "alpha: 20 of 30 regions have a recorded caption; 20 of 20 names" in capsys.readouterr().err
    with pytest.raises(InputError, match="written to one file"):
        embed_cities(cities, "text", str(tmp_path / "one.parquet"), settings)
    with pytest.raises(InputError, match="for the model 'text' only"):
        embed_cities(cities[:1], "pixels", str(tmp_path / "p.parquet"), settings, captions=recorded)


def test_two_cities_are_scored_as_one_and_from_one_to_the_other(
    cities: list[City], tmp_path: Path, settings: Settings
) -> None:
    embed_cities(cities, "pixels", f"{tmp_path}/{{city}}.parquet", settings)
    tables = read_vectors([f"pixels={tmp_path}/{{city}}.parquet"], cities)
    result = run_probe(cities, tables, settings)
    scores = result.scores
    assert scores["transductive"] is False
    assert scores["regions"]["total"] == 60
    assert {i.split("/")[0] for i in result.predictions["region_id"]} == {"alpha", "beta"}
    pairs = {(row["source"], row["target"]) for row in scores["transfer"]}
    assert pairs >= {("alpha", "beta"), ("beta", "alpha")}
    save_result(tmp_path / "scores", result)
    assert read_json(tmp_path / "scores" / "scores.json")["transfer"] == scores["transfer"]
    assert read_json(tmp_path / "scores" / "transfer.json")["rows"] == scores["transfer"]
    saved = read_table(tmp_path / "scores" / "transfer.parquet", kind="transfer")
    assert saved["r2"].tolist() == [row["r2"] for row in scores["transfer"]]
    page = report_run(cities, tmp_path / "scores", tmp_path / "r.html").read_text()
    assert "alpha, beta" in page
    assert 'id="map-place"' in page
    assert "region beta/r0" in page
    assert "Synthetic city, simulated labels." in page
    real = City.open(cities[0].folder)
    real.meta = real.meta.model_copy(update={"synthetic": False})
    assert all(f"Data of {city.name}: {city.meta.terms()}." in page for city in cities)
    mixed = report_run([real, cities[1]], tmp_path / "scores", tmp_path / "m.html").read_text()
    assert "Synthetic, with simulated labels: beta." in mixed
    alone = run_probe(cities[:1], {}, settings)
    save_result(tmp_path / "alone", alone)
    assert not (tmp_path / "alone" / "transfer.json").exists()


def test_a_city_read_in_part_gives_what_the_whole_gives(
    cities: list[City], tmp_path: Path, settings: Settings
) -> None:
    folder = cities[0].folder
    whole = City.open(folder)
    parts = {of: City.open(folder, pictures=of.PICTURES) for of in (embed, explore, report)}
    parts[probe] = City.open(folder, check_files=False, pictures=probe.PICTURES)
    (tables := tmp_path / "tables").mkdir()
    for word in ("pixels", "text", "tiny"):
        one, other = tables / f"{word}.parquet", tables / f"{word}-part.parquet"
        embed_city(whole, word, one, settings)
        embed_city(parts[embed], word, other, settings)
        assert one.read_bytes() == other.read_bytes()
    spec = [f"tiny={tables / 'tiny.parquet'}"]
    results = [run_probe(city, read_vectors(spec, [city]), settings) for city in (whole, parts[probe])]
    assert results[0].scores["rows"] == results[1].scores["rows"]
    save_result(tmp_path / "scores", results[0])
    pages = [
        report_run(
            city, tmp_path / "scores", tmp_path / f"{n}.html", audit=audit(city).as_json()
        ).read_bytes()
        for n, city in enumerate((whole, parts[report]))
    ]
    assert pages[0] == pages[1]
    asked = explore.Asked(vectors=spec[0], scores=tmp_path / "scores")
    shown, other_shown = (explore.content_of([city], asked, settings) for city in (whole, parts[explore]))
    pd.testing.assert_frame_equal(shown.pictures, other_shown.pictures)
    assert shown.open_picture(3) == other_shown.open_picture(3)
    assert list(shown.columns) == list(other_shown.columns)
    held = read_table(tmp_path / "scores" / "predictions.parquet", kind="predictions")
    drawn = read_predictions(tmp_path / "scores" / "predictions.parquet", results[0].scores)
    assert 0 < len(drawn) < len(held)
    slow, fast = (held_out(results[0].scores, table)["label"] for table in (held, drawn))
    pd.testing.assert_frame_equal(slow, fast)


def test_plain_frames_do_as_well_as_files(cities: list[City], settings: Settings) -> None:
    city = cities[0]
    frame = pd.DataFrame(
        {"A0": np.arange(30.0), "A1": np.arange(30) % 3}, index=pd.Index(city.regions["region_id"])
    )
    plain = run_probe(city, {"aef": frame}, settings)
    assert plain.scores["transductive"] is None
    assert plain.scores["regions"]["tables"] == {"aef": 30}
    lists = frame.reset_index()[["region_id"]].assign(vector=list(frame.to_numpy()))
    assert run_probe(city, {"aef": lists}, settings).scores["rows"] == plain.scores["rows"]


def test_an_unknown_indicator_is_named_with_those_there_are(cities: list[City], settings: Settings) -> None:
    with pytest.raises(InputError, match="no such indicator") as caught:
        run_probe(cities, {}, settings, indicators=["labl"])
    assert "label" in str(caught.value)


def test_a_city_without_labels_is_refused_with_what_brings_one(tmp_path: Path, settings: Settings) -> None:
    table = pd.DataFrame({"lon": [24.0, 24.1, 24.2], "lat": 60.0, "price": [1.0, 2.0, 3.0]})
    table.to_csv(tmp_path / "t.csv", index=False)
    made = ingest(None, tmp_path / "t.csv", tmp_path / "bare", name="bare")
    assert "no label" in made.lines()[-1]
    with pytest.raises(InputError, match=r"no label to score(.|\n)*--label COLUMN"):
        run_probe(made.city, {}, settings)
    labelled = ingest(None, tmp_path / "t.csv", tmp_path / "town", name="town", labels=["price"])
    assert not any("no label" in line for line in labelled.lines())
