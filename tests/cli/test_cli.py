"""The command line as a newcomer meets it: the whole chain on a small city, then everything done wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from urbanln.base.locks import alone_in
from urbanln.city.store import City
from urbanln.cli.app import main
from urbanln.cli.program import app
from urbanln.cli.scores import print_scores

SMALL = ["--set", "probe.block_km=2", "--set", "probe.folds=3", "--set", "probe.seeds=2"]
FLOORS = {"mean", "coordinates-nearest", "coordinates-boosting", "coordinates-gp"}
QUICK = ["--set", "train.epochs=1", "--set", "train.batch_size=8", "--set", "train.warmup_steps=1"]


def run(*arguments: object) -> int:
    """The exit code of ``urbanln ARGUMENTS``."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything the chain of commands makes of a synthetic city of 36 regions."""
    folder = tmp_path_factory.mktemp("chain")
    city, vectors = folder / "city", folder / "v.parquet"
    for command in (
        ["synthetic", city, "--regions", 36, "--seed", 5],
        ["caption", city, "--captioner", "simulated"],
        ["pretrain", city, "--out", folder / "run", *QUICK],
        ["embed", city, "--model", folder / "run", "--out", vectors],
        ["embed", city, "--model", "pixels", "--out", folder / "pixels.parquet"],
        [
            "probe",
            city,
            "--vectors",
            f"ours={vectors}",
            "--vectors",
            folder / "pixels.parquet",
            "--out",
            folder / "s",
            *SMALL,
        ],
        ["report", city, "--scores", folder / "s", "--run", folder / "run", "--out", folder / "r.html"],
    ):
        assert run(*command) == 0, command
    return folder


def test_the_chain_leaves_tables_that_others_open(chain: Path) -> None:
    vectors = gpd.read_parquet(chain / "v.parquet")
    assert len(vectors) == 36
    assert vectors.crs.to_epsg() == 4326
    assert np.isfinite(np.stack(vectors["vector"])).all()
    scores = json.loads((chain / "s" / "scores.json").read_text())
    found = {row["features"] for row in scores["rows"]}
    assert found >= {*FLOORS, "ours", "pixels", "map", "coordinates + ours"}
    assert {row["split"] for row in scores["rows"]} == {"random", "block"}
    page = (chain / "r.html").read_text()
    assert "synthetic" in page
    asked = "urbanln probe city --vectors ours=v.parquet --vectors pixels.parquet --out s "
    assert scores["command"].startswith(asked)
    assert "probe.block_km=2" in scores["command"]
    assert asked in page
    assert "urbanln report city --scores s --run run --out r.html" in page
    assert "settings of the probe" in page
    assert str(chain) not in page + json.dumps(scores), "whose machine it was is nobody's business"
    assert "satellite · region" in page
    assert "street · region" not in page, "examples are of the view that was trained on"


def test_the_closing_table_and_a_verdict_per_indicator_are_printed(chain: Path, capsys) -> None:
    scores = json.loads((chain / "s" / "scores.json").read_text())
    print_scores(scores)
    printed = capsys.readouterr().out
    for indicator in City.open(chain / "city").indicators.columns.drop("region_id"):
        assert f"{indicator}: ours" in printed
    assert "coordinates-nearest" in printed
    assert "2 km blocks" in printed
    hostile = json.dumps(scores).replace("ours", r"\u001b[2J[/bold]")
    print_scores(json.loads(hostile))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b[2J[/bold]" in printed


def test_a_finished_run_and_a_second_caption_call_change_nothing(chain: Path) -> None:
    before = (chain / "run" / "model" / "model.safetensors").read_bytes()
    captions = City.open(chain / "city").captions
    assert run("caption", chain / "city", "--captioner", "simulated") == 0
    assert run("pretrain", chain / "city", "--out", chain / "run", *QUICK) == 0
    assert (chain / "run" / "model" / "model.safetensors").read_bytes() == before
    pd.testing.assert_frame_equal(City.open(chain / "city").captions, captions)


def test_floors_alone_need_no_vectors(chain: Path, tmp_path: Path) -> None:
    assert run("probe", chain / "city", "--out", tmp_path, *SMALL) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {row["features"] for row in scores["rows"]} == FLOORS


def test_keys_and_codes_of_tables_of_vectors_are_named_by_options(
    chain: Path, tmp_path: Path, capsys
) -> None:
    ids = City.open(chain / "city").regions["region_id"]
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(len(ids), 3)), columns=["A0", "A1", "A2"])
    table.loc[0, "A1"] = -9999
    table.assign(bezirk=ids).to_csv(tmp_path / "t.csv", index=False)
    probe = ["probe", chain / "city", "--vectors", f"t={tmp_path / 't.csv'}", "--out", tmp_path / "o", *SMALL]
    probe += ["--indicator", "population", "--set", "probe.floors=[]", "--set", "probe.curve=[]"]
    assert run(*probe) == 2
    assert "--key t=bezirk" in capsys.readouterr().err
    with alone_in(tmp_path / "o", "works here"):
        assert run(*probe, "--key", "t=bezirk", "--nodata", "-9999") == 1
    assert "another process scores into this folder" in capsys.readouterr().err
    assert run(*probe, "--key", "bezirk") == 2
    assert "--nodata t=-9999" in capsys.readouterr().err
    assert run(*probe, "--key", "t=bezirk", "--nodata", "-9999") == 0
    said = capsys.readouterr().err
    assert "t: 35 of 36 regions of" in said
    assert "nodata -9999; 1 rows left out (hold -9999: 1); 1 regions without one" in said


def test_help_and_version_answer() -> None:
    runner = CliRunner()
    assert "pretrain" in runner.invoke(app, ["--help"]).stdout
    assert runner.invoke(app, ["--version"]).stdout.startswith("urbanln ")


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("from urbanln.cli.app import main; main(['probe', '--help'])", ["numpy", "pandas", "rich"]),
        (
            "import urbanln.cli.program, urbanln.stages.probe, urbanln.probe.run, urbanln.probe.transfer",
            ["sklearn", "scipy.stats", "scipy.optimize", "torch"],
        ),
    ],
)
def test_what_takes_long_to_import_is_not_imported_before_it_is_used(code: str, heavy: list[str]) -> None:
    told = f"atexit.register(lambda: print([m for m in {heavy} if m in sys.modules]))"
    said = f"import sys, atexit; {told}; {code}"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("urbanln.demo.run_demo", interrupted)
    assert run("demo") == 130
    assert "run the same command again" in capsys.readouterr().err


def test_libraries_warn_nobody_who_has_not_asked_for_it(monkeypatch, capsys) -> None:
    def warning(*_: object, **__: object) -> None:
        warnings.warn("geometry is in a geographic CRS", stacklevel=1)

    monkeypatch.setattr("urbanln.demo.run_demo", warning)
    for options, said in (([], False), (["default"], True)):
        monkeypatch.setattr(sys, "warnoptions", options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            assert run("demo") == 0
        assert bool(caught) is said


def test_a_file_that_cannot_be_used_is_no_traceback(monkeypatch, capsys) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", "some.file")

    monkeypatch.setattr("urbanln.demo.run_demo", failing)
    assert run("demo") == 1
    assert "Input/output error\n  where:   some.file" in capsys.readouterr().err


def test_bad_input_is_one_clear_error_with_exit_code_2(chain: Path, tmp_path: Path, capsys) -> None:
    city = chain / "city"
    (tmp_path / "text.parquet").write_text("not parquet")
    (tmp_path / "empty").mkdir()
    wrong = [
        (["probe", tmp_path / "nowhere", "--out", tmp_path / "o"], "no such"),
        (["probe", tmp_path / "empty", "--out", tmp_path / "o"], "city"),
        (
            ["probe", city, "--out", tmp_path / "o", "--set", "probe.block_kmm=2"],
            "did you mean 'probe.block_km'",
        ),
        (["probe", city, "--out", tmp_path / "o", "--indicator", "popul"], "population"),
        (["probe", city, "--out", tmp_path / "o", "--set", "probe.block_km=500"], "block"),
        (["caption", city, "--captioner", "gpt"], "gpt"),
        (["caption", city, "--captioner", f"recorded:{tmp_path / 'no.csv'}"], "no.csv"),
        (["pretrain", city, "--out", tmp_path / "r", "--set", "model.name=/no/such/clip"], "no/such/clip"),
        (["pretrain", city, "--out", tmp_path / "r2", "--set", "train.batch_size=1000"], "batch_size"),
        (["pretrain", city, "--out", chain / "run", "--set", "train.lr=1"], "choose another --out"),
        (["embed", city, "--model", tmp_path / "empty", "--out", tmp_path / "v.parquet"], "empty"),
        (["report", city, "--scores", tmp_path / "empty", "--out", tmp_path / "r.html"], "scores.json"),
        (["ingest", tmp_path / "empty", tmp_path / "no.csv", "--out", tmp_path / "c"], "no.csv"),
        (["synthetic", city], "choose another"),
    ]
    for command, message in wrong:
        assert run(*command) == 2, command
        printed = capsys.readouterr().err
        assert message in printed, (command, printed)
        assert "Traceback" not in printed


def test_failures_have_exit_code_1_and_keep_what_was_there(chain: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "v.parquet").write_text("not parquet")
    assert run("probe", chain / "city", "--vectors", tmp_path / "v.parquet", "--out", tmp_path / "o") == 1
    assert "not a readable Parquet file" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert run("probe", chain / "city", "--out", tmp_path / "file" / "o", *SMALL) == 1
    assert "could not write" in capsys.readouterr().err
    copy = tmp_path / "run"
    shutil.copytree(chain / "run", copy)
    weights = copy / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert run("embed", chain / "city", "--model", copy, "--out", tmp_path / "e.parquet") == 1
    assert "weights cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "e.parquet").exists()


def test_without_torch_the_extra_is_named(tmp_path: Path) -> None:
    # A stand-in for an installation without the extra: torch cannot be found.
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')\n")
    for verb in (["pretrain", "x", "--out", "y"], ["demo", "--out", str(tmp_path / "demo")]):
        done = subprocess.run(
            [sys.executable, "-m", "urbanln", *verb],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        assert done.returncode == 2
        assert "urbanln[train]" in done.stderr
        assert "Traceback" not in done.stderr


def test_ingest_reports_what_it_left_out_and_goes_on(tmp_path: Path, capsys) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        noise = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(pictures / f"{number}.jpg")
    (pictures / "4.jpg").write_text("a text file named .jpg")
    (pictures / "5.jpg").write_bytes((pictures / "0.jpg").read_bytes()[:300])
    (pictures / "6.jpg").write_bytes(b"")
    table = pd.DataFrame({"id": range(8), "lon": 10 + 0.01 * np.arange(8), "lat": 50.0, "price": 1.0})
    table.loc[1, "price"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    ok = ["ingest", pictures, tmp_path / "t.csv", "--id-column", "id", "--label", "price"]
    assert run(*ok, "--out", tmp_path / "city") == 0
    printed = capsys.readouterr().out
    assert "4 pictures in 4 regions" in printed
    for name in ("4.jpg", "5.jpg", "6.jpg", "7.jpg"):
        assert name in printed
    assert City.open(tmp_path / "city").indicators["price"].isna().sum() == 1
    for extra, message in (
        (["--label", "prize"], "price"),
        (["--lon", "long"], "lon"),
        (["--view", "drone"], "drone"),
        (["--regions", "hexagon:3"], "hexagon"),
        (["--crs", "EPSG:nonsense"], "nonsense"),
    ):
        assert run(*ok, *extra, "--out", tmp_path / "bad") == 2
        assert message in capsys.readouterr().err
    assert run(*ok, "--out", tmp_path / "city") == 2
    assert "another" in capsys.readouterr().err
    table["lon"] *= 1e5
    table.to_csv(tmp_path / "metres.csv", index=False)
    assert (
        run("ingest", pictures, tmp_path / "metres.csv", "--id-column", "id", "--out", tmp_path / "bad") == 2
    )
    assert "--crs" in capsys.readouterr().err


def test_how_a_table_is_written_is_told_to_ingest_and_to_audit(tmp_path: Path, capsys) -> None:
    rows = [f"NA{i};116,3{i:02d};39,9{i:02d};1.000,{i};-1;{'-' if i == 3 else i}" for i in range(40)]
    table = tmp_path / "köln.csv"
    table.write_bytes(("sep=;\nid;lon;lat;price;age;size in m²\n" + "\n".join(rows)).encode("cp1252"))
    labels = ["--label", "price", "--label", "age", "--label", "size in m²"]
    told = ["--encoding", "cp1252", "--thousands", ".", "--decimal", ","]
    missing = ["--missing", "size in m²=-", "--missing", "age=-1", "--missing", "-9999"]
    common = [*labels, *told, *missing]
    assert run("ingest", table, "--out", tmp_path / "c", "--id-column", "id", *labels) == 2
    assert "--encoding cp1252" in capsys.readouterr().err
    assert run("ingest", table, "--out", tmp_path / "c", "--id-column", "id", *common, "--trust-ids") == 0
    said = capsys.readouterr().out
    assert "encoding cp1252, numbers like 1.234,5" in said
    assert "label age: 40 rows hold -9999 or -1, missing as you say" in said
    values = City.open(tmp_path / "c").indicators
    assert values["price"].tolist() == [1000 + float(f"0.{i}") for i in range(40)]
    assert values.isna().sum().tolist() == [0, 0, 40, 1]
    assert values["region_id"][7] == "NA7"
    assert run("audit", "--labels", table, *common) == 0
    said = capsys.readouterr().out
    assert "read of köln.csv (encoding cp1252, numbers like 1.234,5): 40 rows; position lon, lat" in said
    assert "lon 116.3000 to 116.3390, lat 39.9000 to 39.9390" in said
    assert "age: no region has a value" in said
    assert run("audit", tmp_path / "c", "--missing", "-1") == 2
    assert "--labels TABLE" in capsys.readouterr().err
