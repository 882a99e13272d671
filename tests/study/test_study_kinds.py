"""Studies over labels of every kind: scored as the probe scores them, each kind in tables of its own."""

from __future__ import annotations

import csv
import html
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import Point
from tests.study import fake_stages
from tests.study.fake_stages import MEAN, PARTS, REGIONS, FakeStages, part_prediction, part_truth

from urbanln.base.config import ProbeSettings, Settings
from urbanln.base.errors import InputError
from urbanln.base.parsing import read_json
from urbanln.city.meta import IndicatorNote, Meta
from urbanln.city.store import City
from urbanln.city.synthetic.make import make_synthetic_city
from urbanln.cli.app import main
from urbanln.probe.kinds import SCORE_NAMES, kind_of
from urbanln.probe.part_metrics import part_score
from urbanln.stages.probe import run_probe
from urbanln.study.kept import DONE
from urbanln.study.run import CACHE, run_study
from urbanln.study.spec import Study, load_study
from urbanln.study.stages import make_work
from urbanln.tables.vectors import read_embeddings

PROBE = """
[common.probe]
heads = ["ridge"]
splits = ["block"]
floors = ["coordinates-nearest"]
folds = 3
block_km = 3.0
buffer_km = 0.0
bootstrap = 100
"""
VARIANTS = """
[variants.sky]
pretrain = "none"
embed = { view = "satellite" }

[variants.street]
pretrain = "none"
embed = { view = "street" }
"""
GAINS = """
[common.train]
lr = 0.1

[parts.vote]
without = { train = { lr = 0.5 } }

[[conditions]]
name = "centre"
at = { false = 30 }
predicted = { vote = [-0.9, 0.9] }
"""


def study_of(folder: Path, city: Path, tail: str, head: str = "") -> Study:
    file = folder / "study.toml"
    text = f"[study]\nname = 'kinds'\ncities = ['{city}']\nseeds = [0, 1]\n{head}\n{PROBE}{tail}"
    file.write_text(text, encoding="utf-8")
    return load_study(file)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic city of every kind of label, none missing, with both views of every region.

    Two regions are of a class of their own, and one label is the same everywhere.
    """
    folder = tmp_path_factory.mktemp("kinds") / "city"
    city = make_synthetic_city(
        folder, regions=49, seed=1, tile_px=64, street_views=1, street_missing=0, kinds=True, workers=1
    )
    labels = city.indicators[["region_id", "population", "land_use", *city.kinds()["land_cover"].columns]]
    labels.loc[:1, "land_use"] = "<i>quarry|"
    city.indicators = labels.fillna({"land_use": "derelict"}).assign(flat=7.0)
    notes = {name: note for name, note in city.meta.indicators.items() if name.startswith(("land", "popul"))}
    city.meta = city.meta.model_copy(update={"indicators": notes})
    city.save()
    return folder


@pytest.fixture(scope="module")
def ran(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study over that city."""
    folder = tmp_path_factory.mktemp("ran")
    run_study(study_of(folder, drawn, VARIANTS), folder / "out", jobs=1)
    return folder / "out"


def test_every_kind_is_scored_as_the_probe_scores_it(drawn: Path, ran: Path) -> None:
    result = read_json(ran / "study.json")
    work = make_work(study_of(ran.parent, drawn, VARIANTS))
    tables: dict[str, pd.DataFrame] = {}
    for score in work.scores:
        if score.variant:
            (_, embed) = work.stages[score.stage].needs
            tables[score.variant] = read_embeddings(
                work.stages[embed].folder(ran / CACHE) / "vectors.parquet"
            )
    probe = ProbeSettings(
        heads=("ridge",), splits=("block",), floors=("coordinates-nearest",), folds=3, block_km=3,
        buffer_km=0, bootstrap=100, seeds=2, joint=False, curve=(),
    )  # fmt: skip
    scores = run_probe(City.open(drawn), tables, Settings(probe=probe), transductive=True).scores
    assert {kind_of(row) for row in scores["rows"]} == {"number", "classes", "shares"}
    rows = {(row["measure"], row["name"]): row for row in result["rows"]}
    for theirs in scores["rows"]:
        key, name = theirs["score_name"], theirs["indicator"]
        ours = rows[key, theirs["features"]]
        for end in ("", "_low", "_high"):
            assert ours["by_indicator"][name][key + end] == pytest.approx(theirs["score" + end], abs=1e-12)
        assert list(ours["by_seed"].values()) == pytest.approx(theirs["score_seeds"], abs=1e-12)
        gap = theirs["vs"].get("sky")
        if gap and theirs["features"] == "street":
            told = [ours["by_indicator"][name][end] for end in ("diff", "diff_low", "diff_high")]
            assert told == pytest.approx([gap["diff"], gap["low"], gap["high"]], abs=1e-12)
    assert len(rows) == 3 * 5, "two variants and three floors, of each kind"
    assert result["synthetic"] == [str(drawn)], "a city that was drawn is said to be, as a folder, too"


def test_labels_that_cannot_be_scored_and_classes_too_rare_are_named(drawn: Path, ran: Path) -> None:
    result, page = read_json(ran / "study.json"), (ran / "study.html").read_text("utf-8")
    (left,) = result["left_out"]
    assert (left["city"], left["indicator"], left["split"]) == (str(drawn), "flat", "")
    assert f"Not scored: flat, {drawn.name}: all 49 labels are equal" in page
    counts = City.open(drawn).indicators["land_use"].value_counts()
    (classes,) = (one for one in result["measures"] if one["of"] == "classes")
    (rare,) = classes["rare"]
    assert "<i>quarry|" in rare["classes"]
    assert set(rare["classes"]) == {name for name, count in counts.items() if count < 5}
    assert classes["chance"] == pytest.approx(1 / len(counts))
    told = f"classes of fewer than 5 regions, whose F1 is chance: {', '.join(rare['classes'])}."
    assert html.escape(told) in page
    assert told.replace("|", "\\|") in (ran / "study.md").read_text("utf-8")


# A study that stands still where the first label of classes of a variant is predicted.
_STANDING_STILL = """
import sys, time
from urbanln.cli.app import main
from urbanln.study import predict

together = predict._together

def stand_still(ready, *args):
    if any(labels.kind == "classes" for labels in ready.values()):
        print("still", flush=True)
        time.sleep(3600)
    return together(ready, *args)

predict._together = stand_still
main(sys.argv[1:])
"""


def test_a_kill_while_classes_are_predicted_loses_that_stage_alone(
    drawn: Path, ran: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(ran, out)
    good = {path.name: path.read_bytes() for path in out.glob("study.*")}
    work = make_work(study_of(tmp_path, drawn, VARIANTS))
    lost = next(out / CACHE / score.stage for score in work.scores if score.variant == "street")
    shutil.rmtree(lost)
    arguments = ["study", str(tmp_path / "study.toml"), "--out", str(out), "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", _STANDING_STILL, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    said = process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    _, complaint = process.communicate()
    assert said == "still\n", complaint
    assert lost.exists()
    assert not (lost / DONE).exists()
    stood = {path: path.stat().st_mtime_ns for path in out.glob(f"{CACHE}/*/*/{DONE}")}
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert {path: path.stat().st_mtime_ns for path in stood} == stood
    assert {path.name: path.read_bytes() for path in out.glob("study.*")} == good


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A city folder with labels of every kind, for stages that cost nothing."""
    folder = tmp_path / "small"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "one.jpg").write_bytes(b"not read here")
    images = pd.DataFrame({"image_id": ["a"], "region_id": ["r0"], "view": ["satellite"]})
    labels = pd.DataFrame({"region_id": ["r0"], "calm": [1.0], "wood": [0.25], "rest": [0.75], "use": ["x"]})
    kinds = {
        "use": IndicatorNote(kind="classes"),
        "cover": IndicatorNote(kind="shares", columns=("wood", "rest")),
    }
    City.create(
        folder,
        meta=Meta(name="small", indicators=kinds),
        regions=gpd.GeoDataFrame({"region_id": ["r0"]}, geometry=[Point(0, 0)], crs=4326),
        images=images.assign(path="pictures/one.jpg", lon=0.0, lat=0.0),
        indicators=labels,
    )
    return folder


def part_gain(name: str, rate: float, other: float) -> float:
    kind: Any = PARTS[name]
    mean = np.tile(MEAN, (60, 1))
    scores = [
        [part_score(kind, part_truth(name), part_prediction(name, seed, r), mean) for r in (rate, other)]
        for seed in (0, 1)
    ]
    return float(np.mean([own - theirs for own, theirs in scores]))


def test_gains_are_told_of_each_kind_and_predictions_of_the_one_that_is_named(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeStages(kinds=True).install(monkeypatch)
    with pytest.raises(InputError, match="labels of several kinds") as caught:
        make_work(study_of(tmp_path, small, GAINS))
    assert "number, classes, shares" in str(caught.value)
    out = tmp_path / "out"
    page = run_study(study_of(tmp_path, small, GAINS, "kind = 'classes'"), out, jobs=1).read_text("utf-8")
    result = read_json(out / "study.json")
    assert [one["key"] for one in result["measures"]] == ["macro_f1", "r2", "kl_skill"]
    gains = {row["measure"]: row for row in result["gains"]}
    assert set(gains) == set(SCORE_NAMES.values())
    for name, kind in PARTS.items():
        assert gains[SCORE_NAMES[kind]]["gain"] == pytest.approx(part_gain(name, 0.1, 0.5), abs=1e-12)
    assert gains["macro_f1"]["predicted"] == [-0.9, 0.9]
    assert not any(row["guessed"] for row in gains.values())
    assert gains["r2"]["predicted"] is None
    assert gains["kl_skill"]["predicted"] is None
    assert "Gain in macro F1 of each part" in (out / "study.svg").read_text("utf-8")
    assert page.index("pay? classes, block split") < page.index("pay? numbers, block split")
    assert page.count("in the range that was predicted") == 1
    assert page.count("Bands behind them") == 1
    assert "Macro F1 with a part less that without it" in page
    assert "KL skill with a part less that without it" in (out / "study.md").read_text("utf-8")


def test_gains_of_what_guesses_are_held_undecided(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guess(name: str, seed: int, rate: float) -> np.ndarray:
        return np.random.default_rng([seed, round(1000 * rate)]).dirichlet([1, 1, 1], REGIONS)

    monkeypatch.setattr(fake_stages, "part_prediction", guess)
    FakeStages(kinds=True).install(monkeypatch)
    page = run_study(study_of(tmp_path, small, GAINS, "kind = 'classes'"), tmp_path / "out", jobs=1)
    gains = {row["measure"]: row for row in read_json(tmp_path / "out" / "study.json")["gains"]}
    assert [gains[name]["guessed"] for name in ("macro_f1", "kl_skill", "r2")] == [True, False, False]
    told = page.read_text("utf-8")
    assert told.count("even the better macro F1 may be that of guessing") == 1
    assert told.count("hollow, too, where even the better score") == 1


def test_each_kind_has_tables_of_its_own_and_no_mean_goes_over_two(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeStages(kinds=True).install(monkeypatch)
    out = tmp_path / "out"
    page = run_study(study_of(tmp_path, small, VARIANTS.replace("street", "satellite")), out, jobs=1)
    result = read_json(out / "study.json")
    for row in result["rows"]:
        of = {"r2": {"calm", "wild"}, "macro_f1": {"use"}, "kl_skill": {"cover"}}[row["measure"]]
        assert set(row["by_indicator"]) == of
        values = [one[row["measure"]] for one in row["by_indicator"].values()]
        assert row[row["measure"]] == pytest.approx(np.mean(values))
        assert not ({*SCORE_NAMES.values()} - {row["measure"]}) & set(row)
    (classes,) = (one for one in result["measures"] if one["of"] == "classes")
    assert classes["chance"] == pytest.approx(1 / 3)
    text, markdown = page.read_text("utf-8"), (out / "study.md").read_text("utf-8")
    for told in (text, markdown):
        assert "numbers, block split, ridge head" in told
        assert "Macro F1 of use." in told
        assert "Guessing reaches a macro F1 of .33 at most" in told
        assert "never averaged" in told
    assert text.count('<svg class="chart"') == 3
    lines = list(csv.DictReader((out / "study.csv").read_text("utf-8").splitlines()))
    assert [line["measure"] for line in lines] == [row["measure"] for row in result["rows"]]
    for line in lines:
        assert [key for key in SCORE_NAMES.values() if line[key]] == [line["measure"]]
        assert bool(line["kl_skill cover"]) == (line["measure"] == "kl_skill")


def test_numbers_are_scored_the_same_to_the_last_bit_whatever_stands_beside_them(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    for kinds in (False, True):
        FakeStages(kinds=kinds).install(monkeypatch)
        out = tmp_path / f"out-{kinds}"
        run_study(study_of(tmp_path, small, VARIANTS.replace("street", "satellite")), out, jobs=1)
        rows.append([row for row in read_json(out / "study.json")["rows"] if row["measure"] == "r2"])
    assert rows[0]
    assert rows[0] == rows[1]


def test_kinds_change_what_is_scored_and_nothing_that_is_trained(small: Path, tmp_path: Path) -> None:
    study = study_of(tmp_path, small, GAINS, "kind = 'number'")
    before = make_work(study).stages
    city = City.open(small)
    city.meta = city.meta.model_copy(update={"indicators": {}})
    city.indicators = city.indicators.drop(columns="use")
    city.save()
    after = make_work(study).stages
    assert {before[name].kind for name in before.keys() - after.keys()} == {"score", "floors"}


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("kind = 'words'", "no such kind"),
        ("kind = 3", "no such kind"),
        ("kind = 'shares'", "label of this kind"),
    ],
)
def test_a_kind_that_is_none_or_not_there_is_refused(tmp_path: Path, head: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        make_work(study_of(tmp_path, Path("synthetic:16:0"), VARIANTS, head))
    assert "number" in str(caught.value)
