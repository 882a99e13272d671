"""A run says what it was started with, and goes on with nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.model.test_source import COMMIT, OLDER, put_on_hub
from tests.train.fake_city import tiny_settings

from urbanln.base.config import Settings, load_settings
from urbanln.base.errors import InputError
from urbanln.base.files import hash_file
from urbanln.base.parsing import read_run
from urbanln.city.store import City
from urbanln.model import source
from urbanln.train.described import check_same, describe_run
from urbanln.train.loop import pretrain

GPU = {"device": "cuda", "precision": "bf16"}


def goes_on(old: dict[str, Any], new: dict[str, Any], *, finished: bool = False) -> None:
    check_same(json.loads(json.dumps(old)), new, Path("run.toml"), finished=finished)


def refused(old: dict[str, Any], new: dict[str, Any]) -> InputError:
    with pytest.raises(InputError, match="started with another") as caught:
        goes_on(old, new)
    return caught.value


def on_auto(clip: Path, **train: object) -> Settings:
    return tiny_settings(clip, precision="auto", **train)


def test_a_run_notes_base_device_and_precision(city: City, clip_folder: Path, tmp_path: Path) -> None:
    run = pretrain(city, tiny_settings(clip_folder, epochs=1), tmp_path / "run")
    noted = read_run(run / "run.toml", "run")
    assert (noted["device"], noted["precision"]) == ("cpu", "fp32")
    assert noted["base"] == hash_file(clip_folder / "model.safetensors")
    assert noted["base_config"]["config.json"] == hash_file(clip_folder / "config.json")
    assert {"tokenizer.json", "urbanln.json", "preprocessor_config.json"} <= set(noted["base_config"])
    assert "base_commit" not in noted, "a folder has none"


def test_another_kind_of_device_is_refused_unless_told(city: City, clip_folder: Path) -> None:
    settings = tiny_settings(clip_folder)
    there, here = describe_run(settings, [city], device="cuda"), describe_run(settings, [city])
    error = refused(there, here)
    assert "kind of device" in error.what
    assert error.value == "cuda then, cpu now"
    assert "train.any_device=true" in str(error.remedy)
    goes_on(there, describe_run(tiny_settings(clip_folder, any_device=True), [city]))
    goes_on(there, here, finished=True)


def test_precision_is_compared_as_it_came_out(city: City, clip_folder: Path) -> None:
    before = describe_run(on_auto(clip_folder), [city], precision="bf16")
    now = describe_run(on_auto(clip_folder), [city], precision="fp32")
    error = refused(before, now)
    assert (error.what.split()[-1], error.value) == ("precision", "bf16 then, fp32 now")
    assert "train.precision=bf16" in str(error.remedy)
    told = describe_run(tiny_settings(clip_folder, precision="bf16"), [city], precision="bf16")
    goes_on(before, told)
    goes_on(before, now, finished=True)
    with pytest.raises(InputError, match=r"train\.precision"):
        goes_on(before, told, finished=True)


@pytest.mark.parametrize(
    ("file", "gone"), [("config.json", False), ("tokenizer.json", False), ("preprocessor_config.json", True)]
)
def test_another_configuration_of_the_base_is_refused(
    city: City, clip_folder: Path, tmp_path: Path, file: str, gone: bool
) -> None:
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    before = describe_run(tiny_settings(folder), [city])
    if gone:
        (folder / file).unlink()
    else:
        (folder / file).write_text((folder / file).read_text() + " ")
    error = refused(before, describe_run(tiny_settings(folder), [city]))
    assert f"{file} of the base model" in error.what
    assert ("None now" in str(error)) == gone


def test_a_hub_that_moved_on_is_refused_with_the_commit_to_pin(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    source._snapshot.cache_clear()
    put_on_hub(tmp_path, clip_folder, commit=OLDER)
    settings = tiny_settings(Path("someone/clip"))
    before = describe_run(settings, [city])
    assert before["run"]["base_commit"] == OLDER
    moved = shutil.copytree(clip_folder, tmp_path / "moved")
    (moved / "config.json").write_text((moved / "config.json").read_text() + " ")
    put_on_hub(tmp_path, moved)
    source._snapshot.cache_clear()
    error = refused(before, describe_run(settings, [city]))
    assert error.value == f"{OLDER} then, {COMMIT} now"
    assert f"model.revision={OLDER}" in str(error.remedy)
    pinned = load_settings(base=settings.model_dump(), overrides=[f"model.revision={OLDER}"])
    goes_on(before, describe_run(pinned, [city]))


def test_what_an_earlier_version_did_not_note_is_not_compared(city: City, clip_folder: Path) -> None:
    old = describe_run(tiny_settings(clip_folder), [city])
    for name in ("device", "precision", "base_config"):
        del old["run"][name]
    goes_on(old, describe_run(tiny_settings(clip_folder), [city], device="cuda"))
