"""The run as a whole: it learns, it says what it did, and bad input is one clear error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from tests.train.fake_city import make_city, tiny_settings

from urbanln.base.config import CacheSettings, Settings
from urbanln.base.errors import InputError, StorageError, UrbanLNError
from urbanln.base.files import hash_file
from urbanln.city.store import City
from urbanln.model.clip import LongClip, load_clip
from urbanln.train import batches, loop
from urbanln.train.loop import pretrain


def _rows(run: Path, event: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == event]


def _uncached(settings: Settings) -> Settings:
    return settings.model_copy(update={"cache": CacheSettings(pixels_gb=0)})


def test_it_learns_what_it_has_not_seen(clip_folder: Path, tmp_path: Path) -> None:
    city = make_city(tmp_path / "city", regions=96, unique=False)
    settings = tiny_settings(
        clip_folder, epochs=16, batch_size=12, lr=3e-3, queue_size=24, captions_per_image=2, val_fraction=0.25
    )
    run = pretrain(city, settings, tmp_path / "run")
    losses = [row["L_C"] for row in _rows(run, "step")]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])
    first, last = _rows(run, "validation")[0], _rows(run, "validation")[-1]
    assert first["step"] == 0
    assert last["n"] == 24
    # 24 scenes, four regions each: about .06 by chance.
    for way in ("i2t_r1", "t2i_r1"):
        assert first[way] < 0.3
        assert last[way] > 0.5


def test_what_a_run_leaves(city: City, clip_folder: Path, tmp_path: Path) -> None:
    run = pretrain(city, tiny_settings(clip_folder), tmp_path / "run")
    start = _rows(run, "start")[0]
    assert start["total_steps"] == len(_rows(run, "step")) == 6
    assert len(_rows(run, "validation")) == 3  # before the first epoch and after each
    assert _rows(run, "done")[0]["seconds"] > 0
    text = (run / "run.toml").read_text()
    assert f'captions = "{city.fingerprint()["captions"]}"' in text
    assert "learning" not in text
    assert 'settings_hash = "' in text
    student = load_clip(run / "model", context=None)
    teacher = load_clip(run / "teacher", context=None)
    base = load_clip(clip_folder, context=48, keep=8)
    moved = [not torch.equal(a, b) for a, b in zip(student.parameters(), base.parameters(), strict=True)]
    assert all(moved), "a parameter that trains did not move"
    head = "clip.text_model.embeddings.position_embedding.head"
    assert torch.equal(student.state_dict()[head], base.state_dict()[head])
    distance = {
        name: sum(
            float((a - b).detach().norm()) for a, b in zip(m.parameters(), base.parameters(), strict=True)
        )
        for name, m in (("student", student), ("teacher", teacher))
    }
    assert 0 < distance["teacher"] < 0.1 * distance["student"]
    assert (
        transformers.CLIPModel.from_pretrained(run / "model").config.text_config.max_position_embeddings == 48
    )


def test_learning_rate_mu_and_scale_follow_their_rules(city: City, clip_folder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(clip_folder, epochs=4, warmup_steps=2, mu=0.4, mu_ramp_epochs=2)
    rows = _rows(pretrain(city, settings, tmp_path / "run"), "step")
    lr = [row["lr"] for row in rows]
    assert lr[:3] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert lr[7] == pytest.approx(5e-4)  # half of the cosine's ten steps done
    assert 0 < lr[-1] < 3e-5
    assert [row["mu"] for row in rows[:7]] == pytest.approx([0.4 * min(1, i / 6) for i in range(7)])
    for row in rows:
        assert row["loss"] == pytest.approx((1 - row["mu"]) * row["L_C"] + row["mu"] * row["L_D"], rel=1e-5)
        assert 0 < row["scale"] <= 100.001


def test_both_views_of_two_cities_in_micro_batches(city: City, clip_folder: Path, tmp_path: Path) -> None:
    other = make_city(tmp_path / "other", street=1, seed=4)
    settings = tiny_settings(clip_folder, view="both", epochs=1, batch_size=8, micro_batch=3, fit="letterbox")
    run = pretrain([city, other], settings, tmp_path / "run")
    start = _rows(run, "start")[0]
    assert start["cities"] == ["squares", "other"]
    assert start["pictures"] == 24 + 46 + 24 + 23
    assert len(_rows(run, "step")) == start["train_pictures"] // 8


def test_a_corrupt_picture_is_skipped_and_named(
    city: City, clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    good = tmp_path / "city" / "pictures"
    (good / "satellite-3-0.png").write_text("no picture")
    whole = (good / "satellite-4-0.png").read_bytes()
    (good / "satellite-4-0.png").write_bytes(whole[: len(whole) // 2])
    run = pretrain(City.open(tmp_path / "city"), tiny_settings(clip_folder, epochs=1), tmp_path / "run")
    shown = capsys.readouterr().err
    assert "skipped 2 pictures" in shown
    assert "pictures/satellite-3-0.png" in shown
    assert _rows(run, "start")[0]["pictures"] == 22
    assert _rows(run, "start")[0]["pictures_unreadable"] == 2


def test_without_room_for_the_pixels_it_trains_the_same(
    city: City, clip_folder: Path, tmp_path: Path
) -> None:
    cached = pretrain(city, tiny_settings(clip_folder), tmp_path / "cached")
    decoded = pretrain(city, _uncached(tiny_settings(clip_folder, workers=2)), tmp_path / "decoded")
    for part in ("model", "teacher"):
        assert hash_file(cached / part / "model.safetensors") == hash_file(
            decoded / part / "model.safetensors"
        )


def test_a_run_goes_on_with_another_cache_and_decodes_nothing(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    city = City.open(tmp_path / "city")
    settings = tiny_settings(clip_folder, checkpoint_minutes=0)
    straight = pretrain(city, settings, tmp_path / "straight")
    run_step, steps = loop.train_step, []

    def stop(*args: Any) -> Any:
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return run_step(*args)

    monkeypatch.setattr(loop, "train_step", stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain(city, _uncached(settings), tmp_path / "run")
    monkeypatch.setattr(loop, "train_step", run_step)
    monkeypatch.setattr(LongClip, "preprocess", None)
    run = pretrain(city, settings, tmp_path / "run")
    assert len(_rows(run, "step")) == 6
    assert hash_file(run / "model" / "model.safetensors") == hash_file(
        straight / "model" / "model.safetensors"
    )


def test_pixels_are_mirrored_where_told() -> None:
    pixels = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    mirrored = batches.mirror(pixels, torch.tensor([False, True]).numpy())
    assert torch.equal(mirrored[0], pixels[0])
    assert torch.equal(mirrored[1, :, :, 0], pixels[1, :, :, 1])


def test_too_few_pairs_say_which_setting_to_lower(clip_folder: Path, tmp_path: Path) -> None:
    city = make_city(tmp_path / "city", regions=5)
    with pytest.raises(InputError, match=r"lower train\.batch_size"):
        pretrain(city, tiny_settings(clip_folder), tmp_path / "run")


def test_warm_up_is_at_most_a_quarter_and_said(
    city: City, clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(city, tiny_settings(clip_folder, epochs=4, warmup_steps=200), tmp_path / "run")
    assert "warm-up is 3 steps in place of 200" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_before_it_does_harm(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urbanln.train import step

    loss = step.distilled_contrastive_loss
    calls = []

    def spoil(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        args = (args[0] * float("nan"), *args[1:]) if len(calls) == 4 else args
        return loss(*args, **kwargs)

    monkeypatch.setattr(step, "distilled_contrastive_loss", spoil)
    settings = tiny_settings(clip_folder, checkpoint_minutes=0)
    with pytest.raises(UrbanLNError, match="no longer finite at step 4") as caught:
        pretrain(city, settings, tmp_path / "run")
    assert "step-00000003" in str(caught.value)
    monkeypatch.undo()
    run = pretrain(city, settings, tmp_path / "run")  # what was kept is sound
    assert len(_rows(run, "step")) == 6


def test_a_full_disk_keeps_the_last_checkpoint(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    from urbanln.train import checkpoint

    save, calls = checkpoint.save_file, []

    def full(tensors: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) > 10:
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        save(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        pretrain(city, tiny_settings(clip_folder, checkpoint_minutes=0), tmp_path / "run")
    assert "free some space" in str(caught.value)
    kept = [p.name for p in checkpoint.list_checkpoints(tmp_path / "run" / "checkpoint")]
    assert kept == ["step-00000002", "step-00000001"]
    assert not [p for p in (tmp_path / "run" / "checkpoint").iterdir() if p.name.startswith(".")]


def test_bf16_trains_close_to_fp32(city: City, clip_folder: Path, tmp_path: Path) -> None:
    runs = [pretrain(city, tiny_settings(clip_folder, precision=p), tmp_path / p) for p in ("fp32", "bf16")]
    losses = [torch.tensor([row["loss"] for row in _rows(run, "step")]) for run in runs]
    assert (losses[0] - losses[1]).abs().max() < 0.1
    assert not torch.equal(losses[0], losses[1])
    assert _rows(runs[1], "start")[0]["precision"] == "bf16"


def test_tensorboard_gets_the_curves(city: City, clip_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = pretrain(city, tiny_settings(clip_folder, epochs=1, tensorboard=True), tmp_path / "run")
    assert sum(path.stat().st_size for path in (run / "tensorboard").iterdir()) > 500


def test_a_picture_lost_during_training_is_a_clear_error(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    validate = loop.retrieval

    def lose(*args: Any, **kwargs: Any) -> Any:
        for path in (tmp_path / "city" / "pictures").glob("satellite-1*"):
            Image.new("RGB", (4, 4)).save(path)
            path.write_bytes(b"")
        return validate(*args, **kwargs)

    monkeypatch.setattr(loop, "retrieval", lose)
    with pytest.raises(StorageError, match="at the start"):
        pretrain(City.open(tmp_path / "city"), _uncached(tiny_settings(clip_folder)), tmp_path / "run")
