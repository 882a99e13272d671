"""Every verb that writes, told to write over something of the user's: it says so, and all stays."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from tests.cli.test_cli import run

from urbanln.base.files import hash_file, write_json
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city
from urbanln.tables.cities import read_vectors

_REFUSED = (
    "not written in this format|would be overwritten|may be overwritten|the command reads this|is a link|"
    "a file stands|this folder holds|a city in this folder already|a CSV does not say"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioned city, what looks like a run and like scores, and files of the user's."""
    folder = tmp_path_factory.mktemp("made")
    make_synthetic_city(folder / "c", regions=12, seed=3, street_views=0)
    assert run("caption", folder / "c", "--captioner", "measured") == 0
    (folder / "r").mkdir()
    (folder / "r" / "run.toml").write_text('[run]\nsettings_hash = "1"\n')
    (folder / "s").mkdir()
    write_json(folder / "s" / "scores.json", {"kind": "scores", "rows": []})
    pd.DataFrame({"image_id": ["a", "b"], "captioner": ["x", "x"], "caption": ["A roof.", "A road."]}).to_csv(
        folder / "t.csv", index=False
    )
    (folder / "mine.html").write_text("<p>mine")
    (folder / "mine.json").write_text('{"mine": 1}')
    (folder / "loop.parquet").symlink_to("loop.parquet")
    (folder / "o" / "images" / "satellite").mkdir(parents=True)
    (folder / "o" / "images" / "satellite" / "r0000.jpg").write_bytes(b"a picture of mine")
    (folder / "study").mkdir()
    (folder / "study" / "study.csv").write_text("mine")
    (folder / "demo").mkdir()
    (folder / "demo" / "report.html").write_text("mine")
    (folder / "study.toml").write_text(
        '[study]\nname = "x"\nseeds = [0]\ncities = ["synthetic:36:0"]\nreference = "a"\n'
        '[variants.a]\nabout = "x"\n'
    )
    return folder


def everything(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hash_file(path) if path.is_file() else "link or folder"
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    "command",
    [
        "audit c --out c/city.toml",
        "audit c --out mine.json",
        "audit c --out s/scores.json",
        "audit c --page mine.html",
        "audit --labels t.csv --out t.csv",
        "retrieve c --model tiny --out mine.json",
        "retrieve c --model tiny --out s/scores.json",
        "retrieve c --model tiny --out t.csv",
        "embed c --model pixels --out c/regions.parquet",
        "embed c --model pixels --out c/captions.parquet",
        "embed c --model pixels --out loop.parquet",
        "embed c --model pixels --out t.csv",
        "embed c --model pixels --out v.geojson",
        "embed c --model pixels --out c",
        "embed c --model text --captions t.csv --out t.csv",
        "embed c --model tiny --out v.csv --part 1/2",
        "caption --vote t.csv --out t.csv",
        "caption --vote t.csv --out c/captions.parquet",
        "caption c --export-ledger c/captions.parquet",
        "caption c --export-ledger t.csv",
        "caption c --import-ledger t.csv --export-ledger t.csv",
        "caption c --show r0000_satellite --out mine.html",
        "report c --scores s --out s/scores.json",
        "report c --scores s --out mine.html",
        "synthetic o",
        "synthetic r",
        "synthetic c",
        "ingest t.csv --out r",
        "ingest t.csv --out t.csv",
        "pretrain c --out c",
        "pretrain c --out o/images",
        "probe c --out r",
        "probe c --out c",
        "probe c --out t.csv",
        "study study.toml --out study",
        "study study.toml --out study.toml",
        "demo --out demo",
        "demo --out c",
    ],
)
def test_what_is_there_stays(made: Path, monkeypatch: pytest.MonkeyPatch, capsys, command: str) -> None:
    monkeypatch.chdir(made)
    before = everything(made)
    assert run(*command.split()) == 2
    assert everything(made) == before
    told = capsys.readouterr().err
    assert re.search(_REFUSED, told), told
    assert "remedy:" in told


@pytest.mark.parametrize("verb", ["synthetic", "demo --out", "probe c --out", "pretrain c --out"])
def test_an_empty_name_is_not_the_folder_one_is_in(made: Path, monkeypatch, capsys, verb: str) -> None:
    monkeypatch.chdir(made)
    before = everything(made)
    assert run(*verb.split(), "") == 2
    assert everything(made) == before
    assert "a folder needs a name" in capsys.readouterr().err


def test_ours_is_written_again(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    for command in (
        ["audit", "c", "--out", tmp_path / "a.json", "--page", tmp_path / "a.html"],
        ["caption", "c", "--show", "r0000_satellite", "--out", tmp_path / "p.html"],
        ["caption", "c", "--export-ledger", tmp_path / "l.parquet"],
        ["caption", "--vote", "t.csv", "--out", tmp_path / "voted.csv"],
    ):
        assert run(*command) == 0
        assert run(*command) == 0
    assert json.loads((tmp_path / "a.json").read_text())["kind"] == "audit"
    voted = pd.read_csv(tmp_path / "voted.csv")
    assert voted["caption"].tolist() == ["A roof.", "A road."]


def test_the_ending_decides_what_embed_writes(made: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"v{suffix}" for suffix in (".parquet", ".csv", ".gpkg")]
    for path in paths:
        assert run("embed", made / "c", "--model", "pixels", "--out", path) == 0
    city = City.open(made / "c")
    first, *others = (read_vectors([f"v={path}"], [city])["v"] for path in paths)
    for other in others:
        pd.testing.assert_frame_equal(first, other)


def test_a_name_of_a_city_is_not_looked_for_behind_links(tmp_path: Path, capsys) -> None:
    (tmp_path / "t.csv").write_text("lon,lat,price\n13.3,52.5,1\n")
    (tmp_path / "loop").symlink_to("loop")
    for out in ("loop", "a\0b"):
        assert run("ingest", tmp_path / "t.csv", "--out", tmp_path / out, "--label", "price") == 2
        assert "remedy:" in capsys.readouterr().err
