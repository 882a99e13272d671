"""Two processes that share a batch train as one that has it alone, on one node or two, also after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from safetensors.torch import load_file
from tests.train.fake_city import make_city, tiny_settings
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


PATIENCE = 300  # of a test on a busy machine; a node that waits for ever is what it is about


@contextmanager
def a_port(address: str) -> Iterator[int]:
    """A port that nobody else is given: it is bound, and left to whoever listens on it meanwhile."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind((address, 0))
        yield kept.getsockname()[1]


class Node:
    """A machine, as far as an address and a city, a cache and a run folder of its own make one."""

    def __init__(self, folder: Path, number: int, city: Path) -> None:
        self.folder, self.number = folder / f"node-{number}", number
        shutil.copytree(city, self.folder / "city")

    def start(self, port: int, commands: list[list[str]], dies_at: str = "") -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
            "--node-rank", str(self.number), "--master-addr", "127.0.0.2", "--master-port", str(port),
            "--local-addr", f"127.0.0.{2 + self.number}", "-m", "tests.train.node",
            str(self.folder / "codes.json"), dies_at, json.dumps([self._placed(words) for words in commands]),
        ]  # fmt: skip
        env = {**os.environ, "OMP_NUM_THREADS": "1", "URBANLN_CACHE": str(self.folder / "cache"),
               "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip
        with (self.folder / "said").open("w") as said:
            return subprocess.Popen(
                command, cwd=ROOT, env=env, text=True, stdout=said, stderr=said, start_new_session=True
            )

    def _placed(self, words: list[str]) -> list[str]:
        return [word.replace("HERE", str(self.folder)).replace("NODE", str(self.number)) for word in words]

    @property
    def codes(self) -> list[int]:
        found: list[int] = json.loads((self.folder / "codes.json").read_text())
        return found


def together(nodes: list[Node], commands: list[list[str]], dies_at: str = "") -> list[tuple[int, str]]:
    """Run the same on all nodes; how torchrun ended on each, and what it said."""
    with a_port("127.0.0.2") as port:
        running = [node.start(port, commands, dies_at) for node in nodes]
        try:
            codes = [process.wait(PATIENCE) for process in running]
        finally:
            for process in running:
                with suppress(ProcessLookupError):  # what it started is in its session
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return [(code, (node.folder / "said").read_text()) for code, node in zip(codes, nodes, strict=True)]


def _rows(run: Path, event: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == event]


def _untimed(run: Path, event: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("time", "seconds")} for row in _rows(run, event)]


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
        assert _untimed(runs / "stopped", event) == _untimed(runs / "queue", event)
    assert not (runs / "stopped" / ".lock").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers at 127.0.0.2 unasked")
def test_two_nodes_without_a_common_disk_train_as_two_processes_of_one_node(
    city: City, clip_folder: Path, tmp_path: Path, runs: Path
) -> None:
    train = {**CASES["queue"], "batch_size": 4, "checkpoint_minutes": 0}
    settings = tiny_settings(clip_folder, **train).model_dump(include={"model", "train"}, exclude_none=True)
    (tmp_path / "settings.toml").write_text(tomli_w.dumps(settings))
    nodes = [Node(tmp_path, number, city.folder) for number in (0, 1)]
    words = ["pretrain", "HERE/city", "--out", "HERE/run", "--settings", str(tmp_path / "settings.toml")]

    another = [*words, "--set", "train.lr=1NODEe-3"]
    (code, said), (killed, _) = together(nodes, [another, words], dies_at="3")
    assert nodes[0].codes == nodes[1].codes == [2], said
    assert "another train.lr" in said
    assert "process 1 of 2" in said
    assert killed == -signal.SIGKILL
    assert code == 1, said  # and does not wait for a node that is gone
    run = nodes[0].folder / "run"
    assert [row["step"] for row in _rows(run, "step")] == [1, 2, 3]

    for number, (code, said) in enumerate(together(nodes, [words, words])):
        assert code == 0, said
        assert (f"/node-{number}/run\n" in said) == (number == 0)  # one of them tells the folder
    assert nodes[0].codes == nodes[1].codes == [0, 0]
    assert not (nodes[1].folder / "run").exists()
    for event in ("step", "validation", "done"):
        assert _untimed(run, event) == _untimed(runs / "queue", event)
    for name in ("model", "teacher"):
        here, there = (folder / name / "model.safetensors" for folder in (run, runs / "queue"))
        assert here.read_bytes() == there.read_bytes()
