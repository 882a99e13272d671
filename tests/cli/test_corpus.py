"""A corpus of pictures without places at the command line: from a table to recall, and what refuses it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.cli.test_cli import QUICK, run
from tests.train.fake_city import caption_of, make_corpus

from urbanln.city.store import City


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 24 pictures in three splits, five humans on each, and what the verbs make of it."""
    folder = tmp_path_factory.mktemp("made")
    pictures = make_corpus(folder / "drawn").folder / "pictures"
    names = [f"p{i:02d}.png" for i in range(24)]
    parts = [["train", "train", "valid", "test"][i % 4] for i in range(24)]
    pd.DataFrame({"file": names, "part": parts}).to_csv(folder / "t.csv", index=False)
    said = [(name, f"h{k}", caption_of(i, k % 3)) for i, name in enumerate(names) for k in range(5)]
    table = pd.DataFrame(said, columns=["image", "captioner", "caption"])
    table.to_csv(folder / "captions.csv", index=False)
    corpus = folder / "corpus"
    splits = ["--regions", "none", "--image-column", "file", "--split-column", "part"]
    for command in (
        ["ingest", pictures, folder / "t.csv", *splits, "--out", corpus],
        ["caption", corpus, "--captioner", f"recorded:{folder / 'captions.csv'}"],
        ["pretrain", corpus, "--out", folder / "run", *QUICK],
    ):
        assert run(*command) == 0, command
    return folder


def test_five_humans_are_five_captioners_and_the_vote_hears_them_all(made: Path) -> None:
    captions = City.open(made / "corpus").captions
    assert set(captions["n_candidates"]) == {5}  # two pairs say the same: three distinct texts
    assert captions.groupby("image_id").size().eq(3).all()
    chosen = captions[captions["selected"]]
    assert chosen["agreement"].notna().all()
    assert not chosen["captioner"].isin(["h2"]).any()  # whom nobody bears out


def test_recall_is_printed_beside_chance_and_written(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    both = ["--model", "run", "--model", "tiny"]
    assert run("retrieve", "corpus", *both, "--texts", "each", "--out", "r.json") == 0
    told = capsys.readouterr()
    assert "split test: 6 pictures, 30 texts (each), 15 of them distinct" in told.out
    assert "chance" in told.out
    assert told.err.splitlines()[-1] == "r.json"
    found = json.loads(Path("r.json").read_text())
    assert found["kind"] == "retrieval"
    assert [one["name"] for one in found["models"]] == ["run", "tiny"]
    assert len(found["rows"]) == 24
    first = found["rows"][0]
    assert first["chance"] == pytest.approx(5 / 30)
    assert run("retrieve", "corpus", "--model", "tiny", "--set", "retrieve.split=val", "--out", "r.json") == 0
    assert json.loads(Path("r.json").read_text())["split"] == "val"
    assert run("retrieve", "corpus", "--model", "tiny", "--out", "r.csv") == 2
    assert run("retrieve", "corpus", "--model", "tiny", "--out", "run/model/config.json") == 2


@pytest.mark.parametrize(
    "command",
    [
        "embed corpus --model tiny --out v.parquet",
        "embed corpus --model pixels --out v.parquet",
        "embed corpus --model text --out v.parquet",
        "probe corpus --out scores",
        "probe corpus --vectors ours=nowhere.parquet --out scores",
        "report corpus --scores nowhere --out r.html",
        "audit corpus --label price",
    ],
)
def test_what_needs_places_says_that_it_is_a_corpus_and_what_it_is_good_for(
    made: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    before = {path.name for path in made.iterdir()}
    assert run(*command.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: this is a corpus of pictures without places, no city")
    assert said.count("error") == 1
    assert "urbanln caption, audit, pretrain, retrieve and study take it" in said
    assert {path.name for path in made.iterdir()} == before


def test_the_audit_looks_at_pictures_and_captions_alone(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(made)
    assert run("audit", "corpus", "--page", tmp_path / "a.html", "--out", tmp_path / "a.json") == 0
    said = capsys.readouterr().out
    assert "24 satellite pictures without places" in said
    assert "120 captions of 24 pictures by 5 captioners" in said
    assert json.loads((tmp_path / "a.json").read_text())["labels"] == {}
    shutil.copytree("corpus", tmp_path / "bare")
    for file in tmp_path.glob("bare/captions*"):
        file.unlink()
    assert run("audit", tmp_path / "bare") == 0
