"""The base layer: errors that help, settings that are checked, files written whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shapely.geometry import Point

from urbanln.base import errors, files
from urbanln.base.config import Settings, load_settings, settings_hash, settings_toml
from urbanln.base.errors import InputError, StorageError
from urbanln.base.progress import progress, track
from urbanln.captions.settings import CaptionSettings


def test_a_small_file_written_quickly_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new" / "folder" / "a"
    files.write_quickly(target, b"one")
    files.write_quickly(target, b"two")
    assert target.read_bytes() == b"two"

    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(errors.StorageError, match="No space left"):
        files.write_quickly(target, b"three")
    assert [path.name for path in target.parent.iterdir()] == ["a"]
    assert target.read_bytes() == b"two"


def test_error_names_value_place_and_remedy() -> None:
    error = InputError("bad longitude", value=200.0, where="regions.parquet, row 3", remedy="check it")
    assert str(error).splitlines() == [
        "bad longitude",
        "  value:   200.0",
        "  where:   regions.parquet, row 3",
        "  remedy:  check it",
    ]
    assert error.exit_code == 2
    assert errors.StorageError("x", where="a", remedy="b").exit_code == 1


def test_a_hostile_name_does_not_reach_the_terminal() -> None:
    shown = str(InputError("no such picture", value="a\x1b[2J\nb 漢.jpg", where="city", remedy="check it"))
    assert shown.splitlines()[1] == r"  value:   a\x1b[2J\nb 漢.jpg"


def test_error_cuts_a_megabyte_of_value() -> None:
    assert len(str(InputError("x", value="a" * 1_000_000, where="a", remedy="b"))) < 600


def test_missing_extra_is_named_and_a_broken_package_is_not_hidden(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_torch.py").write_text("raise ModuleNotFoundError('x', name='torch')\n")
    with pytest.raises(errors.MissingExtraError, match="needs the package 'torch'") as caught:
        errors.require("needs_torch")
    assert "urbanln[train]" in str(caught.value)
    (tmp_path / "broken_package.py").write_text("import another_missing_one\n")
    with pytest.raises(ModuleNotFoundError, match="another_missing_one"):
        errors.require("broken_package")


def test_settings_survive_toml_and_keep_their_hash(tmp_path: Path) -> None:
    settings = load_settings(overrides=["train.lr=1e-5", "train.view=street", "probe.heads=['ridge']"])
    assert settings.train.lr == 1e-5
    assert settings.train.view == "street"
    path = tmp_path / "s.toml"
    path.write_text(settings_toml(settings))
    assert load_settings(path) == settings
    assert settings_hash(load_settings(path)) == settings_hash(settings) != settings_hash(Settings())
    assert settings_hash(load_settings(overrides=["cache.pixels_gb=0"])) == settings_hash(Settings())


def test_overrides_beat_the_file_and_the_file_beats_the_base(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("[train]\nepochs = 2\nlr = 2e-6\n")
    settings = load_settings(path, ["train.epochs=3"], base={"train": {"lr": 1e-3, "mu": 0.25}})
    assert (settings.train.epochs, settings.train.lr, settings.train.mu) == (3, 2e-6, 0.25)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lrr=3", "did you mean 'train.lr'"),
        ("trian.lr=3", "did you mean 'train'"),
        ("train.lr=fast", "setting 'train.lr'"),
        ("train.mu=2", "less than or equal to 1"),
        ("train.lr", "section.key=value"),
        ("model.context=20", "must be below model.context"),
        ("train.view=drone", "'satellite', 'street' or 'both'"),
    ],
)
def test_bad_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        load_settings(overrides=[override])
    assert message in str(caught.value)


def test_settings_file_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("train = [")
    with pytest.raises(errors.InputError, match="not TOML"):
        load_settings(path)
    path.write_text("epochs = 3\n")
    with pytest.raises(errors.InputError, match="outside any section"):
        load_settings(path)
    with pytest.raises(errors.InputError, match="no such settings file"):
        load_settings(tmp_path / "none.toml")
    with pytest.raises(errors.InputError, match="cannot be read"):
        load_settings(tmp_path)


def test_a_key_in_the_settings_is_not_repeated_and_the_right_name_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    for name in ("api_key", "key_env"):
        path.write_text(f'[captioners.hosted]\nmodel = "m"\n{name} = "sk-hidden-0123"\n')
        with pytest.raises(errors.InputError) as caught:
            load_settings(path, of=CaptionSettings)
        assert "sk-hidden" not in str(caught.value)
        assert "captioners.hosted.key_env" in str(caught.value)
    with pytest.raises(errors.InputError, match="max_tokens") as caught:
        load_settings(overrides=["captioners.a.model=m", "captioners.a.max_tokens=-3"], of=CaptionSettings)
    assert "-3" in str(caught.value)


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_made_follows_the_umask_which_is_never_touched(tmp_path: Path, monkeypatch) -> None:
    before = os.umask(0o027)
    try:
        # Asking for it sets it: between the two calls another thread's files would have other rights.
        monkeypatch.delattr(os, "umask")
        files.write_text(tmp_path / "a.txt", "x")
        with files.atomic_folder(tmp_path / "f"):
            pass
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.txt", "f")] == [0o640, 0o750]


def test_a_folder_is_removed_also_where_an_earlier_removal_was_cut_off(tmp_path: Path, monkeypatch) -> None:
    remove = shutil.rmtree
    for rmtree in (lambda *_, **__: None, remove):  # the first removal is killed once the folder is renamed
        (tmp_path / "f").mkdir()
        (tmp_path / "f" / "x").write_text("")
        monkeypatch.setattr(shutil, "rmtree", rmtree)
        files.remove_folder(tmp_path / "f")
        assert not (tmp_path / "f").exists()


def test_a_folder_that_is_not_to_be_replaced_stays_for_who_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with pytest.raises(errors.StorageError), files.atomic_folder(path, replace=False) as ours:
        (ours / "x").write_text("ours")
        with files.atomic_folder(path, replace=False) as theirs:
            (theirs / "x").write_text("theirs")
        there = path.stat().st_ino
    assert (path.stat().st_ino, (path / "x").read_text()) == (there, "theirs")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_folder_whose_successor_cannot_be_renamed_comes_back(tmp_path: Path, monkeypatch) -> None:
    path, rename = tmp_path / "f", Path.replace
    path.mkdir()
    (path / "x").write_text("old")

    def failing(self: Path, target: Path) -> Path:
        if target == path and self.name != "old":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(errors.StorageError, match="Input/output"), files.atomic_folder(path) as temporary:
        (temporary / "x").write_text("new")
    assert (path / "x").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for text in ("one", "two"):
        with files.atomic_folder(path) as temporary:
            (temporary / "x").write_text(text)
    assert (path / "x").read_text() == "two"
    with pytest.raises(RuntimeError), files.atomic_folder(path) as temporary:
        (temporary / "x").write_text("three")
        raise RuntimeError
    assert (path / "x").read_text() == "two"


def test_killed_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import sys, time; from urbanln.base.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t:\n"
        "    t.write_text('half'); print('writing', flush=True); time.sleep(3600)"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "writing"
        process.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"


def test_a_full_disk_and_a_file_in_the_way_are_storage_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StorageError, match="could not write"):
        files.write_text(tmp_path / "file" / "a.txt", "x")
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full on this system to stand in for a full disk")
    with pytest.raises(errors.StorageError) as caught, files.atomic_path(tmp_path / "a"):
        Path("/dev/full").write_text("x")
    assert "free some space" in str(caught.value)


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def _vectors() -> gpd.GeoDataFrame:
    points = [Point(0, 1), Point(2, 3)]
    vector = [np.array([1, 2, 3], np.float32), np.array([4, 5, 6], np.float32)]
    return gpd.GeoDataFrame({"region_id": ["a", "b"], "vector": vector}, geometry=points, crs="EPSG:4326")


def test_tables_keep_geometry_vectors_and_what_they_were_made_from(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    files.write_table(path, _vectors(), kind="embeddings", made_from={"model": "abc"}, vector="vector", dim=3)
    assert pq.read_schema(path).field("vector").type == pa.list_(pa.float32(), 3)
    note = files.table_note(path)
    assert (note["schema_version"], note["made_from"], note["dim"]) == (1, {"model": "abc"}, 3)
    back = files.read_table(path, kind="embeddings")
    assert isinstance(back, gpd.GeoDataFrame)
    assert back.crs.to_epsg() == 4326
    np.testing.assert_array_equal(np.stack(back["vector"]), [[1, 2, 3], [4, 5, 6]])
    assert gpd.read_parquet(path).geometry.iloc[1].equals(Point(2, 3))


def test_wrong_newer_and_damaged_tables_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    files.write_table(path, pd.DataFrame({"x": [1]}), kind="regions")
    with pytest.raises(errors.ArtefactError, match="of kind 'images'"):
        files.read_table(path, kind="images")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(errors.ArtefactError, match="not a readable Parquet"):
        files.read_table(path, kind="regions")
    with pytest.raises(errors.InputError, match="no such file"):
        files.read_table(tmp_path / "none.parquet", kind="regions")
    buffer = io.BytesIO()
    pd.DataFrame({"x": [1]}).to_parquet(buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(errors.ArtefactError, match="of kind"):
        files.read_table(path, kind="regions")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda table, geo: table.set_column(1, "geometry", pa.array([b"\xff\x00"] * table.num_rows)),
        lambda table, geo: table.replace_schema_metadata({**table.schema.metadata, b"geo": b"[" * 200_000}),
        lambda table, geo: table.replace_schema_metadata({**table.schema.metadata, b"geo": b"[]"}),
        lambda table, geo: table.replace_schema_metadata(
            {
                **table.schema.metadata,
                b"geo": re.sub(rb'"crs": *\{.*\}(?=, *"geometry_types)', b'"crs": "x"', geo),
            }
        ),
    ],
)
def test_a_table_whose_parts_do_not_fit_is_damaged(tmp_path: Path, spoil) -> None:
    path, points = tmp_path / "t.parquet", gpd.points_from_xy([1, 2], [3, 4])
    files.write_table(path, gpd.GeoDataFrame({"a": [1, 2]}, geometry=points, crs=4326), kind="regions")
    table = pq.read_table(path)
    changed = spoil(table, table.schema.metadata[b"geo"])
    metadata = {**table.schema.metadata, **changed.schema.metadata}
    pq.write_table(changed.replace_schema_metadata(metadata), path)
    with pytest.raises(errors.ArtefactError, match="not a readable Parquet") as raised:
        files.read_table(path, kind="regions")
    assert raised.value.where == path


def test_a_key_of_thousands_of_parts_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="unknown setting") as raised:
        load_settings(overrides=[".".join(["a"] * 100_000) + "=1"])  # Python 3.13 shows 5,000
    assert "nested too deeply to be shown" in str(raised.value)


def test_a_pipe_is_not_waited_for_to_be_hashed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a named pipe"):
        files.hash_file(tmp_path / "pipe")


def test_progress_is_silent_when_short_and_plain_when_long(capsys, monkeypatch) -> None:
    assert list(track([1, 2, 3], "quick", 3)) == [1, 2, 3]
    assert capsys.readouterr().err == ""
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    with progress("slow", 4) as advance:
        for _ in range(4):
            advance(1, "note")
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("slow: ") and line.endswith("note") for line in lines)


@pytest.mark.parametrize(
    "text",
    ["shots=[-5]", "shots=[0, 0]", "curve=[2]", 'splits=["block", "block"]', 'heads=["ridge", "ridge"]'],
)
def test_probe_settings_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="probe"):
        load_settings(overrides=[f"probe.{text}"])


def test_an_error_of_writing_names_what_was_to_be_written(tmp_path: Path, monkeypatch) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with (
        pytest.raises(StorageError, match="No space") as told,
        files.atomic_path(tmp_path / "a") as temporary,
    ):
        files.write_text(temporary, "inner")
    assert told.value.where == tmp_path / "a"
    with (
        pytest.raises(StorageError, match="No space") as told,
        files.atomic_folder(tmp_path / "b") as temporary,
    ):
        files.write_text(temporary / "c" / "d", "inner")
    assert told.value.where == tmp_path / "b" / "c" / "d"
