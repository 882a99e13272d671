"""The demo, killed at every stage and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from urbanln.base.errors import InputError
from urbanln.demo import run_demo

REGIONS = "144"
# What shows on disk that a stage has begun or ended; the demo is killed at the first sight of each.
MARKS = (
    "city/images",
    "city/city.toml",
    "city/captions.parquet",
    "run-0/checkpoint/*",
    "vectors/*",
    "scores/*",
)


def _start(out: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "urbanln",
        "demo",
        "--out",
        str(out),
        "--regions",
        REGIONS,
        "--seeds",
        "1",
    ]
    command += ["--set", "train.epochs=2", "--set", "train.checkpoint_minutes=0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_demo_killed_at_every_stage_ends_with_the_same_scores(tmp_path: Path) -> None:
    for mark in MARKS:
        with _start(tmp_path / "killed") as process:
            while process.poll() is None and not list((tmp_path / "killed").glob(mark)):
                time.sleep(0.02)
            assert process.poll() is None or list((tmp_path / "killed").glob(mark)), process.stdout.read()
            process.send_signal(signal.SIGKILL)
    finished = {}
    for name in ("killed", "whole"):
        with _start(tmp_path / name) as process:
            printed, _ = process.communicate(timeout=500)
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
