"""Two processes that share a batch train as one process that has it alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.train.fake_city import make_city
from tests.train.worker import train_and_look

from urbanln.city.store import City

ROOT = Path(__file__).parents[2]
# Sums over a batch are taken in another order; fp32 rounding is about 1e-7 of the value.
TOLERANCE = 1e-5


CASES: dict[str, dict[str, Any]] = {
    "queue": {"contrast_keys": "batch+queue", "view": "both"},
    # Two processes cut their 4 pairs into 3 and 1, one process its 8 into 3, 3 and 2.
    "batch-cached": {"contrast_keys": "batch", "micro_batch": 3, "queue_size": 12, "epochs": 4},
    "adapters": {"lora_rank": 2, "layer_decay": 0.5, "lr": 1e-2, "view": "both"},
}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Views of a region share its id, and their captions the wording: both hide negatives, also those of
    the other process."""
    return make_city(tmp_path_factory.mktemp("city") / "alike", street=2, unique=False)


@pytest.fixture(scope="module")
def runs(city: City, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every case, trained by two processes of half the batch under torchrun."""
    folder = tmp_path_factory.mktemp("both")
    cases = {**CASES, "stopped": {**CASES["queue"], "stop_at": 3, "checkpoint_minutes": 60}}
    todo = {str(folder / name): {**train, "batch_size": 4} for name, train in cases.items()}
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
        "tests.train.worker", str(city.folder), str(clip_folder), json.dumps(todo),
    ]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def _rows(run: Path, event: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == event]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(
    city: City, clip_folder: Path, tmp_path: Path, runs: Path, case: str
) -> None:
    both, alone = runs / case, tmp_path / "alone"
    train_and_look(city, clip_folder, alone, {**CASES[case], "batch_size": 8})

    expected = load_file(f"{alone}-seen/grad-0.safetensors")
    for rank in (0, 1):
        found = load_file(f"{both}-seen/grad-{rank}.safetensors")
        assert found.keys() == expected.keys()
        assert "clip.logit_scale" in found
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=TOLERANCE, atol=TOLERANCE, msg=name)

    first, second, single = (
        load_file(f"{run}-seen/queue-{rank}.safetensors") for run, rank in ((both, 0), (both, 1), (alone, 0))
    )
    for name in single:
        assert torch.equal(first[name], second[name]), f"{name} differs between the processes"
    assert torch.equal(first["ids"], single["ids"])
    assert first["ids"].shape[1] == 2
    assert torch.equal(first["pointer_filled"], single["pointer_filled"])

    shared, own = _rows(both, "step"), _rows(alone, "step")
    assert len(shared) == len(own) > 4  # one process alone writes
    assert max(row["frac_masked"] for row in own) > 0
    for key in ("loss", "L_C", "L_D", "grad_norm", "frac_masked"):
        torch.testing.assert_close(
            torch.tensor([row[key] for row in shared]),
            torch.tensor([row[key] for row in own]),
            rtol=1e-3,  # after several steps: AdamW magnifies rounding where a gradient is nearly zero
            atol=1e-3,
        )


def test_told_in_one_process_all_stop_after_the_same_step_and_go_on_as_one(runs: Path) -> None:
    for event in ("step", "validation", "done"):
        whole, stopped = (
            [{k: v for k, v in row.items() if k not in ("time", "seconds")} for row in _rows(run, event)]
            for run in (runs / "queue", runs / "stopped")
        )
        assert stopped == whole
    assert not (runs / "stopped" / ".lock").exists()
