"""Pictures without places: what a corpus holds, how its pictures are divided, and who refuses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.city.test_making import _files

from urbanln.base.errors import InputError
from urbanln.city.ingest import IngestReport, ingest
from urbanln.city.near_duplicates import audit_pictures
from urbanln.city.store import City
from urbanln.stages.audit import audit
from urbanln.stages.audit_page import audit_page

_SPLITS = ["train", "Train", "valid", "dev", "validation", "test"]


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Six pictures, and a table that names each of them twice and says what it is for."""
    (tmp_path / "photos").mkdir()
    for at in range(6):
        pixels = np.random.default_rng(at).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(tmp_path / "photos" / f"{at}.png")
    _write(tmp_path, part=_SPLITS)
    return tmp_path


def _write(folder: Path, **columns: object) -> None:
    table = pd.DataFrame({"file": [f"{at}.png" for at in range(6)], "lon": 8.0, "lat": 47.0, **columns})
    pd.concat([table, table]).to_csv(folder / "t.csv", index=False)


def _ingest(given: Path, out: str = "corpus", **how: object) -> IngestReport:
    chosen = {"name": "T", "image_column": "file", "regions": "none", "split_column": "part", **how}
    return ingest(given / "photos", given / "t.csv", given / out, **chosen)


def test_a_corpus_has_pictures_and_splits_and_no_place(given: Path) -> None:
    (given / "photos" / "1.png").write_bytes(b"")
    said = _ingest(given, source="us", licence="CC0").lines()
    assert said[0].endswith("corpus: 5 pictures without places, from 12 rows; a corpus to train on, no city")
    assert "  split: train 1, val 3, test 1" in said
    assert "  1 pictures empty, truncated or no picture, left out" in said
    assert "  5 rows repeat an earlier row's picture" in said
    corpus = City.open(given / "corpus")
    assert not corpus.meta.places
    assert corpus.images["split"].tolist() == ["train", "val", "val", "val", "test"]
    assert (
        corpus.images["region_id"].tolist() == corpus.images["image_id"].tolist() == ["0", "2", "3", "4", "5"]
    )
    assert corpus.images[["lon", "lat"]].isna().all().all()
    assert set(corpus.fingerprint()) == {"images"}
    names = {path.name for path in corpus.folder.iterdir()}
    assert names == {"city.toml", "images.parquet", "ingest.json", "pictures"}


def test_whoever_asks_a_corpus_for_places_is_told_what_it_is(given: Path) -> None:
    _ingest(given)
    corpus = City.open(given / "corpus")
    for ask in (lambda: corpus.regions, lambda: corpus.indicators, corpus.centroids, corpus.need_places):
        with pytest.raises(InputError, match="a corpus of pictures without places, no city") as caught:
            ask()
        assert caught.value.value == "T"
        assert "pretrain" in str(caught.value.remedy)


def test_a_killed_ingest_of_a_corpus_ends_right(given: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from urbanln.city import ingest
from tests.city.test_corpus import _ingest
ingest.write_json = lambda path, facts: os.kill(os.getpid(), 9)
_ingest(Path(sys.argv[1]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(given)], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    _ingest(given)
    _ingest(given, "straight")
    assert _files(given / "corpus") == _files(given / "straight")


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"labels": ["lon"]}, "nothing to predict"),
        ({"district": "part"}, "nothing to predict"),
        ({"lon": "file"}, "nothing to predict"),
        ({"datum": "gcj02"}, "nothing to predict"),
        ({"split_column": "prt"}, "column 'prt' is missing"),
        ({"split_column": "file"}, "'file' says something else"),
    ],
)
def test_what_needs_places_is_refused(given: Path, how: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=what):
        _ingest(given, **how)
    assert not (given / "corpus").exists()


def test_splits_say_one_of_three_things_and_the_values_seen_are_named(given: Path) -> None:
    _write(given, part=["train", "test", "holdout", None, "train", "train"])
    with pytest.raises(InputError, match="or test, and 'part' says something else") as caught:
        _ingest(given)
    assert caught.value.value == "train, test, holdout, (empty)"


def test_a_picture_or_a_region_in_two_splits_is_refused(given: Path) -> None:
    table = pd.read_csv(given / "t.csv")
    table.loc[7, "part"] = "test"  # the second row of picture 1
    table.to_csv(given / "t.csv", index=False)
    with pytest.raises(InputError, match="a picture stands in two splits") as caught:
        _ingest(given)
    assert "1.png: test, train" in str(caught.value.value)
    _write(given, part=_SPLITS)
    with pytest.raises(InputError, match="a region stands in two splits"):
        _ingest(given, regions="tile:18")  # all at one place
    assert _ingest(given, regions="picture").splits == {"train": 2, "val": 3, "test": 1}
    with pytest.raises(InputError, match="there is no folder of them"):
        ingest(None, given / "t.csv", given / "x", name="T", split_column="part")
    with pytest.raises(InputError, match="there is no folder of them"):
        ingest(None, given / "t.csv", given / "x", name="T", regions="none")


def test_tables_of_pictures_are_checked(given: Path) -> None:
    corpus = _ingest(given).city
    good = corpus.images
    for images, what in (
        (good.assign(split="holdout"), "to train on, to validate with or to test on"),
        (good.assign(region_id="r"), "region_id is its image_id"),
    ):
        corpus.images = images
        with pytest.raises(InputError, match=what):
            corpus.save()


def test_equal_pictures_on_both_sides_are_said_by_ingest_and_by_the_audit(given: Path) -> None:
    (given / "photos" / "5.png").write_bytes((given / "photos" / "0.png").read_bytes())
    with Image.open(given / "photos" / "1.png") as picture:
        picture.resize((96, 96)).save(given / "photos" / "3.png")  # nearly the same
    assert "  1 pictures of val or test are byte for byte one of train" in _ingest(given).lines()
    found = audit_pictures(City.open(given / "corpus"))["satellite"]
    assert (found.exact, found.near, found.leaks) == (2, 2, 2)
    split = City.open(given / "corpus").images.set_index("image_id")["split"]
    assert len(found.leak_examples) == 2
    assert all(split[held_out] != "train" == split[seen] for held_out, seen in found.leak_examples)
    told = audit(given / "corpus")
    assert told.labels is None
    page = audit_page(told, given / "audit.html").read_text(encoding="utf-8")
    assert "held out (left), and in train (right)" in page
    assert "map-data" not in page
    assert told.found()[0] == (
        "satellite: 2 pictures of val or test show what one of train shows: scores on them flatter."
    )
    assert "6 satellite pictures without places" in told.lines()
    assert not any("region" in text for text in [*told.lines(), *told.as_json()["pictures"]["satellite"]])
    undivided = audit_pictures(_ingest(given, "undivided", split_column=None).city)["satellite"]
    assert undivided.leaks is None
