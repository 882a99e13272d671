from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.study.fake_stages import FAILS, LABELS, FakeStages, prediction, truth

from urbanln.base.errors import InputError, UrbanLNError
from urbanln.base.locks import BusyError, alone
from urbanln.base.parsing import read_json
from urbanln.cli.app import main
from urbanln.study import work as work_module
from urbanln.study.kept import DONE, name_for
from urbanln.study.run import CACHE, StudyIncompleteError, plan_lines, run_study
from urbanln.study.spec import Study, load_study
from urbanln.study.stages import make_work

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.toml"
TEXT = """
[study]
name = "x"
cities = ["synthetic:16:0", "synthetic:16:1"]
seeds = [0, 1, 2]
reference = "good"

[common.probe]
heads = ["ridge"]
bootstrap = 300

[variants.good]
train = { lr = 0.1 }

[variants.bad]
about = "with | <b>marks</b>"
train = { lr = 0.5 }

[variants.twin]
train = { lr = 0.1 }

[variants.teacher]
train = { lr = 0.1 }
embed = { encoder = "teacher" }

[variants.base]
pretrain = "none"
"""


# Two variants, one seed, one city.
SHORT = """
[study]
name = "x"
cities = ["synthetic:16:0"]
seeds = [0]
reference = "good"

[common.probe]
heads = ["ridge"]
bootstrap = 100

[variants.good]
train = { lr = 0.1 }

[variants.bad]
train = { lr = 0.5 }
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    stages = FakeStages()
    stages.install(monkeypatch)
    return stages


def read(folder: Path, *overrides: str, text: str = TEXT) -> Study:
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    return load_study(file, overrides)


def rows_of(out: Path, split: str = "block") -> dict[str, dict]:
    return {row["name"]: row for row in read_json(out / "study.json")["rows"] if row["split"] == split}


def test_shared_stages_are_done_once_and_only_what_changed_again(tmp_path: Path, fake: FakeStages) -> None:
    out = tmp_path / "out"
    run_study(read(tmp_path), out, jobs=1)
    assert Counter(fake.done) == {
        "city": 2, "candidates": 2, "vote": 2, "pretrain": 2 * 3 * 2, "embed": 2 * (3 * 3 + 1), "floors": 6,
        "score": 2 * 3 * 4,
    }  # fmt: skip
    fake.done.clear()
    run_study(read(tmp_path), out, jobs=1)
    assert fake.done == []
    changed = read(tmp_path, "variants.bad.train.lr=0.4")
    said = "\n".join(plan_lines(changed, out))
    assert "bad: 6 trainings (6 to do), 0 of 6 scored" in said
    assert "good: 6 trainings (0 to do), 6 of 6 scored" in said
    assert fake.done == [], "a plan does nothing"
    run_study(changed, out, jobs=1)
    assert Counter(fake.done) == {"pretrain": 6, "embed": 6, "score": 6}


def test_a_head_that_is_none_is_told_before_anything_is_done(tmp_path: Path, fake: FakeStages) -> None:
    with pytest.raises(InputError, match="no such head"):
        run_study(read(tmp_path, "common.probe.heads=['rigde']"), tmp_path / "out", jobs=1)
    assert fake.done == []


def test_whole_sets_come_first(tmp_path: Path) -> None:
    work = make_work(read(tmp_path))
    sets = [(score.city, score.seed) for score in work.scores]
    assert sets == sorted(sets)
    assert Counter(sets) == dict.fromkeys(sets, 6), "five variants and the floors"


def test_scores_equal_the_oracle(tmp_path: Path, fake: FakeStages) -> None:
    run_study(read(tmp_path), tmp_path / "out", jobs=1)
    rows = rows_of(tmp_path / "out")

    def r2(rate: float) -> float:
        scores = []
        for name in LABELS:
            y = truth(name)
            for seed in (0, 1, 2):
                scores.append(
                    1 - ((y - prediction(name, seed, rate)) ** 2).sum() / ((y - y.mean()) ** 2).sum()
                )
        return float(np.mean(scores))

    for name, rate in (("good", 0.1), ("bad", 0.5), ("base", 2.0), ("mean", 1.0), ("pixels", 0.7)):
        row = rows[name]
        assert row["r2"] == pytest.approx(r2(rate))
        assert row["r2_low"] < row["r2"] < row["r2_high"]
        assert row["head"] == ("none" if name == "mean" else "ridge")
    assert rows["good"]["diff"] is None
    assert rows["bad"]["diff"] == pytest.approx(r2(0.5) - r2(0.1))
    assert rows["bad"]["diff_low"] < rows["bad"]["diff"] < rows["bad"]["diff_high"] < 0
    assert set(rows["bad"]["by_indicator"]) == set(LABELS)
    assert set(rows["bad"]["by_city"]) == {"synthetic:16:0", "synthetic:16:1"}
    twin = rows["twin"]
    assert (twin["diff"], twin["diff_low"], twin["diff_high"]) == (0, 0, 0), "the draws are shared"


def test_a_failing_variant_stops_no_other_and_is_named(tmp_path: Path, fake: FakeStages) -> None:
    out = tmp_path / "out"
    with pytest.raises(StudyIncompleteError, match="6 of 36 scores are missing: bad") as caught:
        run_study(read(tmp_path, f"variants.bad.train.lr={FAILS}"), out, jobs=1)
    assert caught.value.exit_code == 1
    assert "cannot be trained" in str(caught.value)
    assert str(out / "study.html") in str(caught.value)
    result = read_json(out / "study.json")
    assert "bad" not in rows_of(out)
    assert {"good", "twin", "base", "pixels"} <= set(rows_of(out))
    assert len(result["failed"]) == 6
    assert all(
        fault["variant"] == "bad" and "cannot be trained" in fault["reason"] for fault in result["failed"]
    )
    assert "cannot be trained" in (out / "study.md").read_text()
    with pytest.raises(UrbanLNError, match="could be scored"):
        everything = [f"variants.{name}.train.lr={FAILS}" for name in ("good", "bad", "twin", "teacher")]
        text = TEXT.replace('pretrain = "none"', f"train = {{ lr = {FAILS} }}")
        fake.floors = fake.pretrain  # type: ignore[method-assign]
        study = read(tmp_path, *everything, text=text)
        with pytest.MonkeyPatch.context() as patch:
            fake.install(patch)
            run_study(study, tmp_path / "other", jobs=1)


def files_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("study.*")}


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "note"])
def test_a_damaged_stage_is_made_anew(tmp_path: Path, fake: FakeStages, damage: str) -> None:
    out, study = tmp_path / "out", read(tmp_path, text=SHORT)
    run_study(study, out, jobs=1)
    good = files_of(out)
    fake.done.clear()
    score = next(one for one in make_work(study).scores if one.variant == "bad")
    file = out / CACHE / score.stage / (DONE if damage == "note" else "predictions.parquet")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1 if damage == "flipped" else 0
    file.unlink()
    if damage != "gone":
        file.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    assert "bad: 1 trainings (0 to do), 0 of 1 scored" in "\n".join(plan_lines(study, out))
    run_study(study, out, jobs=1)
    assert fake.done == ["score"]
    assert files_of(out) == good


def test_an_incomplete_result_does_not_take_the_place_of_a_better_one(
    tmp_path: Path, fake: FakeStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, study = tmp_path / "out", read(tmp_path, text=SHORT)
    run_study(study, out, jobs=1)
    good = files_of(out)
    for score in make_work(study).scores:
        if score.variant == "bad":
            (out / CACHE / score.stage / "predictions.parquet").unlink()

    def fails(*_: object) -> None:
        raise InputError("not today", where="here", remedy="tomorrow")

    with monkeypatch.context() as patch:
        patch.setitem(work_module._WORK, "score", fails)
        with pytest.raises(StudyIncompleteError, match="better result that was there stays") as caught:
            run_study(study, out, jobs=1)
    assert str(out / "study-incomplete.html") in str(caught.value)
    assert files_of(out) == good
    assert {row["name"] for row in read_json(out / "study-incomplete.json")["rows"]}.isdisjoint({"bad"})
    run_study(study, out, jobs=1)
    assert files_of(out) == good
    assert not list(out.glob("study-incomplete.*")), "nobody needs it any more"


def test_of_two_incomplete_results_the_one_that_has_more_stays(tmp_path: Path, fake: FakeStages) -> None:
    out = tmp_path / "out"
    failing = f"variants.bad.train.lr={FAILS}"
    with pytest.raises(StudyIncompleteError):
        run_study(read(tmp_path, failing, text=SHORT), out, jobs=1)
    better = read_json(out / "study.json")
    assert name_for(out, {**better, "scored": better["scored"] - 1}) == "study-incomplete"
    assert name_for(out, {**better, "scored": better["scored"] + 1}) == "study"
    assert name_for(out, {**better, "scored": 1, "seeds": [7]}) == "study", "of another question"


def test_of_two_at_once_in_one_folder_the_second_is_told(tmp_path: Path, fake: FakeStages) -> None:
    out = tmp_path / "out"
    run_study(read(tmp_path, text=SHORT), out, jobs=1)
    fake.done.clear()
    with alone(out, "works here"), pytest.raises(BusyError, match="works on a study"):
        run_study(read(tmp_path, "variants.bad.train.lr=0.4", text=SHORT), out, jobs=1)
    assert fake.done == []


def test_an_unfinished_study_compares_what_both_have(tmp_path: Path, fake: FakeStages) -> None:
    out = tmp_path / "out"
    study = read(tmp_path)
    work = make_work(study)
    run_study(study, out, jobs=1)
    lost = [score.stage for score in work.scores if score.variant == "bad" and score.seed > 0]
    for name in lost:
        (out / CACHE / name / DONE).unlink()
    from urbanln.study.scores import collect

    rows = {
        row["name"]: row for row in collect(study, work, out / CACHE, {})["rows"] if row["split"] == "block"
    }
    y, (ours, theirs) = truth("calm"), (prediction("calm", 0, rate) for rate in (0.5, 0.1))
    wanted = (((y - theirs) ** 2).sum() - ((y - ours) ** 2).sum()) / ((y - y.mean()) ** 2).sum()
    assert rows["bad"]["by_indicator"]["calm"]["diff"] == pytest.approx(wanted)
    assert (rows["bad"]["seeds"], rows["good"]["seeds"]) == (1, 3)


def test_pages_and_tables_hold_hostile_names(tmp_path: Path, fake: FakeStages) -> None:
    text = TEXT.replace("[variants.twin]", '[variants."<script>x|y"]')
    out = tmp_path / "out"
    page = run_study(read(tmp_path, text=text), out, jobs=1).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;x|y" in page
    assert "with | &lt;b&gt;marks" in page
    assert "default-src 'none'" in html.unescape(page)
    assert page.count('<svg class="chart"') == 2
    markdown = (out / "study.md").read_text(encoding="utf-8")
    assert "with \\| <b>marks" in markdown
    lines = (out / "study.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * 7
    assert lines[0].startswith("name,kind,split,head,r2,")


def test_inductive_scores_stand_under_the_block_split_alone(tmp_path: Path, fake: FakeStages) -> None:
    text = TEXT + '[variants.inductive]\npretrain = "train-blocks"\ntrain = { lr = 0.2 }\n'
    run_study(read(tmp_path, text=text), tmp_path / "out", jobs=1)
    assert "inductive" in rows_of(tmp_path / "out", "block")
    assert "inductive" not in rows_of(tmp_path / "out", "random")


# A study that stands still once its first candidates are there.
_STANDING_STILL = """
import sys, time
from urbanln.base.locks import BusyError, alone
from urbanln.cli.app import main
from urbanln.study import work as work_module
from urbanln.study import run

over = run._Queue.over

def over_and_stand_still(queue, stage, reason):
    over(queue, stage, reason)
    if stage.kind == "candidates":
        print("still", flush=True)
        time.sleep(3600)

run._Queue.over = over_and_stand_still
main(sys.argv[1:])
"""


def test_the_smoke_study_survives_a_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", _STANDING_STILL, "study", str(SMOKE), "--out", str(out), "--jobs", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, text=True, **pipes)
    said = process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    _, complaint = process.communicate()  # returns when its own processes are gone too
    assert said == "still\n", complaint
    assert any(out.glob(f"{CACHE}/candidates/*/{DONE}"))
    stood = {path: path.stat().st_mtime_ns for path in out.glob(f"{CACHE}/*/*/{DONE}")}
    assert not (out / "study.json").exists()
    main_exits(["study", str(SMOKE), "--out", str(out), "--jobs", "1"])
    assert {path: path.stat().st_mtime_ns for path in stood} == stood, "what was done is not done again"
    rows = rows_of(out)
    assert {"voted", "base CLIP", "mean", "coordinates-nearest", "pixels"} == set(rows)
    assert rows["voted"]["r2"] != rows["base CLIP"]["r2"]
    capsys.readouterr()
    main_exits(["study", str(SMOKE), "--out", str(out), "--plan"])
    said = capsys.readouterr().out
    assert all("0 to do" in line for line in said.splitlines() if line.startswith("  ") and "to do" in line)
    run = next(out.glob(f"{CACHE}/pretrain/*"))
    assert not (run / "run" / "checkpoint").exists(), "checkpoints go when nothing needs them any more"
    assert json.loads((run / DONE).read_text())["train"]["epochs"] == 1


def main_exits(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
