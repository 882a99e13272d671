"""The demo, killed at every stage and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from urbanln import demo
from urbanln.base.config import load_settings
from urbanln.base.errors import InputError
from urbanln.city.store import City
from urbanln.demo import run_demo
from urbanln.tables.vectors import matrix, read_embeddings
from urbanln.train import loop

REGIONS = "144"
# What shows on disk that a stage has begun or ended; the demo is killed as soon as each is there.
MARKS = (
    "city/images",
    "city/city.toml",
    "city/captions.parquet",
    "run-0/checkpoint/*",
    "vectors/*",
    "scores/*",
)


# The program, which says so and stands still when it touches a file once the mark is there.
_STANDING_STILL = """
import sys, time
from pathlib import Path
from urbanln.cli.app import main

out, mark = Path(sys.argv[1]), sys.argv[2]

def stand_still(event, _):
    if event in ("open", "os.mkdir", "os.rename") and any(out.glob(mark)):
        print("still", flush=True)
        time.sleep(3600)

sys.addaudithook(stand_still)
main(sys.argv[3:])
"""


def _start(out: Path, mark: str | None = None) -> subprocess.Popen[str]:
    program = ["-m", "urbanln"] if mark is None else ["-c", _STANDING_STILL, str(out), mark]
    command = [sys.executable, *program, "demo", "--out", str(out), "--regions", REGIONS, "--seeds", "1"]
    # One head and one seed: the stages count here, not what they find.
    for choice in ("train.epochs=2", "train.checkpoint_minutes=0", 'probe.heads=["ridge"]', "probe.seeds=1"):
        command += ["--set", choice]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_demo_killed_at_every_stage_ends_with_the_same_scores(tmp_path: Path) -> None:
    for mark in MARKS:
        with _start(tmp_path / "killed", mark) as process:
            said = []
            while said[-1:] not in (["still\n"], [""]):
                said.append(process.stdout.readline())
            assert said[-1] == "still\n", "".join(said)
            process.send_signal(signal.SIGKILL)
    finished = {}
    for name in ("killed", "whole"):
        with _start(tmp_path / name) as process:
            printed, _ = process.communicate()
        assert process.returncode == 0, printed
        assert "done in" in printed
        finished[name] = json.loads((tmp_path / name / "scores" / "scores.json").read_text())["rows"]
        page = (tmp_path / name / "report.html").read_text()
        assert "simulated" in page
    assert finished["killed"] == finished["whole"]


def test_a_folder_with_another_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(InputError, match="made with other options"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


def test_seeds_trained_side_by_side_are_those_trained_one_by_one(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = (f"model.name={clip_folder}", "train.epochs=1", "train.batch_size=8", "train.queue_size=16")
    settings = load_settings(overrides=choices)
    losses, vectors = {}, {}
    for hands in (1, 2):
        if hands == 2:
            monkeypatch.setattr(loop, "_train", None)  # not by this process
        out = tmp_path / str(hands)
        with demo._hands(hands) as start_on:
            runs, tables = demo._train(city, settings, out, 2, start_on)
        rows = [json.loads(row) for run in runs for row in (run / "metrics.jsonl").read_text().splitlines()]
        losses[hands] = [row["loss"] for row in rows if row["event"] == "step"]
        vectors[hands] = [
            matrix(read_embeddings(table), "") for table in [*tables[demo.OURS], *tables[demo.BASE]]
        ]
    assert len(set(losses[1])) == len(losses[1]) > 2  # of each seed its own
    assert losses[2] == pytest.approx(losses[1], abs=1e-4)
    np.testing.assert_allclose(vectors[2][2], vectors[1][2], atol=1e-3)
    assert all(len(made) == len(city.regions) for made in vectors[2])


def test_what_no_other_process_can_do_this_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def submit(self, do, *given):
            future: Future[object] = Future()
            future.set_exception(BrokenProcessPool())
            return future

    class BrokenBefore:
        def submit(self, do, *given):
            raise BrokenProcessPool

    for pool in (Broken(), BrokenBefore()):
        monkeypatch.setattr(demo, "worker_pool", lambda *_, pool=pool, **__: nullcontext(pool))
        with demo._hands(2) as start_on:
            assert start_on(sum, [1, 2], 3)() == 6
