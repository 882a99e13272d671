"""A run killed at any moment and called again ends as the run that nobody disturbed, bit for bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
import tomllib
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.fake_city import tiny_settings

from urbanln.base.errors import ArtefactError, InputError, StorageError
from urbanln.base.files import hash_file
from urbanln.base.locks import BusyError
from urbanln.base.stopping import StopRequested
from urbanln.city.store import City
from urbanln.train.checkpoint import Checkpoint, list_checkpoints, load_newest, save_checkpoint
from urbanln.train.loop import pretrain
from urbanln.train.run import RunFolder

# Every step a checkpoint; dropout-free as CLIP is; flips, several captions and a queue that wraps.
TRAIN = {
    "epochs": 5,
    "checkpoint_minutes": 0,
    "captions_per_image": 2,
    "flip": True,
    "view": "both",
    "batch_size": 8,
}


def _curve(run: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in row.items() if k not in ("time", "seconds")}
        for row in rows
        if row["event"] != "start"
    ]


def _weights(run: Path) -> list[str]:
    return [hash_file(run / part / "model.safetensors") for part in ("model", "teacher")]


def _train(city: Path, clip: Path, out: Path) -> None:
    torch.set_num_threads(1)
    pretrain(City.open(city), tiny_settings(clip, **TRAIN), out)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes of their own that need not import torch again."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.fake_city", "urbanln.train.loop"])
    return context


def _train_until(city: Path, clip: Path, out: Path, steps: int, touches: int, told: Connection) -> None:
    """Train up to a step, and stand still the n-th time that the run folder is touched from there on."""
    from urbanln.train import loop

    train_step, left = loop.train_step, touches
    begun = steps == 0

    def watched_step(*args: Any) -> dict[str, float]:
        nonlocal begun
        begun = begun or args[4] >= steps
        return train_step(*args)

    def stand_still(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if begun and event in ("open", "os.mkdir", "os.rename", "os.remove") and str(out) in str(args[0]):
            left -= 1
            if left == 0:
                told.send("still")
                time.sleep(3600)

    loop.train_step = watched_step  # type: ignore[assignment]
    sys.addaudithook(stand_still)
    _train(city, clip, out)


def test_killed_again_and_again_it_ends_the_same(
    city: City, clip_folder: Path, tmp_path: Path, processes: ForkServerContext
) -> None:
    straight = pretrain(city, tiny_settings(clip_folder, **TRAIN), tmp_path / "straight")
    total = sum(row["event"] == "step" for row in _curve(straight))
    out = tmp_path / "killed"
    rng = random.Random(5)
    for share in (0.0, 0.02, 0.3, 0.5, 0.75):
        still, told = processes.Pipe(duplex=False)
        # A step touches the folder a dozen times: events, a checkpoint, and the removal of an old one.
        where = (city.folder, clip_folder, out, round(share * total), rng.randint(1, 12), told)
        process = processes.Process(target=_train_until, args=where)
        process.start()
        told.close()
        assert still.recv() == "still"
        process.kill()
        process.join()
        assert process.exitcode == -9, "the run ended before it could be killed: train longer here"
    _train(city.folder, clip_folder, out)
    assert _curve(out) == _curve(straight)
    assert _weights(out) == _weights(straight)
    assert len(list_checkpoints(out / "checkpoint")) == 2


@pytest.fixture
def stopped(city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder left in the middle: five of its steps are done."""
    from urbanln.train import loop

    step = loop.train_step

    def stop_at_five(*args: object, **kwargs: object) -> dict[str, float]:
        if args[4] == 5:
            raise KeyboardInterrupt
        return step(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "train_step", stop_at_five)
    with pytest.raises(KeyboardInterrupt):
        pretrain(city, tiny_settings(clip_folder, checkpoint_minutes=0), tmp_path / "run")
    monkeypatch.undo()
    assert len(_curve(tmp_path / "run")) == 7  # validation before and after the first epoch of three steps
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, StopRequested)]
)
def test_told_to_stop_it_writes_a_checkpoint_first(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type
) -> None:
    from urbanln.train import loop

    step = loop.train_step

    def told_at_four(*args: object) -> dict[str, float]:
        if args[4] == 4:
            os.kill(os.getpid(), number)
        return step(*args)  # type: ignore[arg-type]

    settings, out = tiny_settings(clip_folder, checkpoint_minutes=60), tmp_path / "run"
    monkeypatch.setattr(loop, "train_step", told_at_four)
    with pytest.raises(error):
        pretrain(city, settings, out)
    monkeypatch.undo()
    assert [path.name for path in list_checkpoints(out / "checkpoint")] == ["step-00000005"]
    assert not (out / ".lock").exists()
    pretrain(city, settings, out)
    straight = pretrain(city, settings, tmp_path / "straight")
    assert _curve(out) == _curve(straight)
    assert _weights(out) == _weights(straight)


def test_a_damaged_checkpoint_is_passed_over_and_the_run_still_ends_the_same(
    stopped: Path, city: City, clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest, _ = list_checkpoints(stopped / "checkpoint")
    file = newest / "optimizer.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    settings = tiny_settings(clip_folder, checkpoint_minutes=0)
    pretrain(city, settings, stopped)
    assert f"passing over the checkpoint {newest.name}" in capsys.readouterr().err
    straight = pretrain(city, settings, tmp_path / "straight")
    assert _curve(stopped) == _curve(straight)
    assert _weights(stopped) == _weights(straight)


def test_a_sound_checkpoint_takes_the_place_of_later_damaged_ones(tmp_path: Path) -> None:
    def save(step: int) -> None:
        save_checkpoint(tmp_path, Checkpoint(step, 1.0, {"student": {"w": torch.ones(3) * step}}, {}))

    for step in (1, 2, 9):
        save(step)
    (tmp_path / "step-00000009" / "student.safetensors").write_bytes(b"")
    (tmp_path / "step-00000002" / "state.json").write_text('{"schema_version": 1}')
    with pytest.raises(ArtefactError, match="every checkpoint"):
        load_newest(tmp_path)
    for step in (3, 4):
        save(step)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000004", "step-00000003"]
    found = load_newest(tmp_path)
    assert found is not None
    assert found.tensors["student"]["w"].tolist() == [4, 4, 4]


def test_when_all_are_damaged_it_stops_and_deletes_nothing(
    stopped: Path, city: City, clip_folder: Path
) -> None:
    for path in list_checkpoints(stopped / "checkpoint"):
        (path / "state.json").write_text("{")
    with pytest.raises(ArtefactError, match="every checkpoint"):
        pretrain(city, tiny_settings(clip_folder), stopped)
    assert len(list_checkpoints(stopped / "checkpoint")) == 2
    assert len(_curve(stopped)) == 7


@pytest.mark.parametrize(
    "state",
    [
        "[]",
        '{"schema_version": 1, "step": "x", "seconds": 1.0, "facts": {}, "sha256": {}}',
        '{"schema_version": 1, "step": 1, "seconds": NaN, "facts": {}, "sha256": {}}',
        '{"schema_version": 1, "step": 1, "seconds": 1.0, "facts": [], "sha256": {}}',
        '{"schema_version": 1, "step": 1, "seconds": 1.0, "facts": {}, "sha256": {"student": 7}}',
        '{"schema_version": 1, "step": 1, "seconds": 1.0, "facts": {}, "sha256": {"..": "0"}}',
        "[" * 50_000,
    ],
)
def test_a_checkpoint_whose_state_is_another_is_passed_over(tmp_path: Path, state: str) -> None:
    save_checkpoint(tmp_path, Checkpoint(1, 1.0, {"student": {"w": torch.ones(3)}}, {}))
    (tmp_path / "step-00000001" / "state.json").write_text(state)
    with pytest.raises(ArtefactError, match="every checkpoint"):
        load_newest(tmp_path)


def test_a_checkpoint_of_another_network_is_refused(stopped: Path, city: City, clip_folder: Path) -> None:
    found = load_newest(stopped / "checkpoint")
    assert found is not None
    foreign = Checkpoint(found.step, found.seconds, {"student": {"w": torch.ones(3)}}, found.facts)
    save_checkpoint(stopped / "checkpoint", foreign)
    with pytest.raises(ArtefactError, match="does not fit this run") as caught:
        pretrain(city, tiny_settings(clip_folder), stopped)
    assert "--out" in str(caught.value)


def test_other_settings_or_data_are_refused_by_name(stopped: Path, city: City, clip_folder: Path) -> None:
    with pytest.raises(InputError, match=r"train\.lr") as caught:
        pretrain(city, tiny_settings(clip_folder, lr=2e-3), stopped)
    assert "0.002 now" in str(caught.value)
    assert "--out" in str(caught.value)
    captions = city.captions
    altered = captions.assign(caption=captions["caption"] + "!")
    try:
        city.save_captions(altered)
        with pytest.raises(InputError, match="captions of the city squares"):
            pretrain(city, tiny_settings(clip_folder), stopped)
    finally:
        city.save_captions(captions)


def test_a_run_refused_before_it_began_may_begin_with_other_settings(
    city: City, clip_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"lower train\.batch_size"):
        pretrain(city, tiny_settings(clip_folder, batch_size=500), tmp_path / "run")
    pretrain(city, tiny_settings(clip_folder, epochs=1), tmp_path / "run")
    assert "batch_size = 6" in (tmp_path / "run" / "run.toml").read_text()


def test_what_kills_left_half_written_is_removed(stopped: Path, city: City, clip_folder: Path) -> None:
    other = "tmp-00000000.1.1.0000000"  # of another machine, which cannot have this run's lock
    for name in (f"checkpoint/.step-00000006.{other}1", f".model.{other}2", f".teacher.{other}3/old"):
        (stopped / name).mkdir(parents=True)
        (stopped / name / "model.safetensors").write_bytes(b"half")
    (stopped / f".metrics.jsonl.{other}4").write_text("{")
    pretrain(city, tiny_settings(clip_folder), stopped)
    assert not [path for path in stopped.rglob("*") if path.name.startswith(".")]


def test_a_second_process_is_told_who_trains_here_and_changes_nothing(
    stopped: Path, city: City, clip_folder: Path
) -> None:
    note = tomllib.loads((stopped / "run.toml").read_text())
    before = (stopped / "metrics.jsonl").read_bytes()
    with closing(RunFolder(stopped, note)):
        for more in ({}, {"lr": 2e-3}):
            with pytest.raises(BusyError, match="trains in this folder") as caught:
                pretrain(city, tiny_settings(clip_folder, **more), stopped)
            assert f"process {os.getpid()} on" in str(caught.value)
        with pytest.raises(BusyError):
            pretrain(city, tiny_settings(clip_folder), stopped, resume=False)
    assert (stopped / "metrics.jsonl").read_bytes() == before
    with closing(RunFolder(stopped.with_name("new"), note)), pytest.raises(BusyError):
        RunFolder(stopped.with_name("new"), note)
    pretrain(city, tiny_settings(clip_folder), stopped)
    assert _curve(stopped)[-1]["event"] == "done"
    assert not (stopped / ".lock").exists()


def test_what_others_write_into_the_folder_meanwhile_stays(stopped: Path) -> None:
    theirs = stopped / ".vectors.parquet.tmp-00000000.1.1.00000005"
    theirs.write_text("half")
    with closing(RunFolder(stopped, tomllib.loads((stopped / "run.toml").read_text()))) as run:
        run.rewind(5, 1.0)
    assert theirs.read_text() == "half"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_events_that_find_no_room_are_one_clear_error(stopped: Path) -> None:
    run = RunFolder(stopped, tomllib.loads((stopped / "run.toml").read_text()))
    (stopped / "metrics.jsonl").unlink()
    (stopped / "metrics.jsonl").symlink_to("/dev/full")
    with closing(run), pytest.raises(StorageError, match="No space left") as caught:
        run.log("step", step=6, loss=1.0)
    assert "metrics.jsonl" in str(caught.value)


def test_how_often_to_save_and_how_much_to_hold_may_change(
    stopped: Path, city: City, clip_folder: Path
) -> None:
    pretrain(city, tiny_settings(clip_folder, checkpoint_minutes=9.0, workers=0, micro_batch=2), stopped)
    assert _curve(stopped)[-1]["event"] == "done"


@pytest.mark.parametrize(("then", "goes_on"), [(1, True), (2, False)])
def test_a_setting_that_is_gone_is_not_passed_over(
    stopped: Path, city: City, clip_folder: Path, then: int, goes_on: bool
) -> None:
    file = stopped / "run.toml"
    file.write_text(file.read_text().replace("[train]\n", f"[train]\naccumulation = {then}\n"))
    if goes_on:
        pretrain(city, tiny_settings(clip_folder), stopped)
        return
    with pytest.raises(InputError, match=r"train\.accumulation") as caught:
        pretrain(city, tiny_settings(clip_folder), stopped)
    assert "2 then, 1 now" in str(caught.value)


def test_a_finished_run_returns_at_once_and_resume_false_begins_again(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urbanln.train import loop

    settings = tiny_settings(clip_folder, epochs=1)
    run = pretrain(city, settings, tmp_path / "run")
    before = (run / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(loop, "load_clip", None)  # would be called by anything but an immediate return
    assert pretrain(city, settings, run) == run
    assert (run / "metrics.jsonl").read_bytes() == before
    monkeypatch.undo()
    weights = (run / "model" / "model.safetensors").read_bytes()
    for file in sorted((run / "model").iterdir()):
        if file.name == "README.md":  # nothing reads it
            continue
        before = file.read_bytes()
        file.unlink()
        pretrain(city, settings, run)
        assert file.read_bytes() == before, file.name
        assert (run / "model" / "model.safetensors").read_bytes() == weights
    pretrain(city, settings, run, resume=False)
    assert (run / "metrics.jsonl").read_bytes() != before  # its times differ
    assert len(_curve(run)) == 6


def test_a_folder_that_is_no_run_is_left_alone(city: City, clip_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for resume in (True, False):
        with pytest.raises(InputError, match="not a run"):
            pretrain(city, tiny_settings(clip_folder), tmp_path, resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
