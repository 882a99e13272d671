"""Parts of an embedding: resumed after a kill, shared by processes, and never mixed up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import table_note
from urbanln.base.locks import take
from urbanln.city.store import City
from urbanln.cli.app import main
from urbanln.embed import parts
from urbanln.embed.encode import embed_regions, embed_share
from urbanln.embed.parts import Part, PartFolder, ShareResult, discard, parse_share
from urbanln.model.clip import LongClip, load_clip
from urbanln.tables.vectors import matrix, read_embeddings

_HOW: dict[str, Any] = {"view": "both", "precision": "fp32"}
_TOTAL = 18  # 24 satellite and 46 street pictures, four to a part


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_SIZE", 4)


@pytest.fixture
def clip(clip_folder: Path) -> LongClip:
    return load_clip(clip_folder, context=None)


@pytest.fixture
def encoded(clip: LongClip, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that went through the network."""
    sizes: list[int] = []
    encode = clip.encode_image

    def counted(pixels: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        sizes.append(len(pixels))
        return encode(pixels, normalize)

    monkeypatch.setattr(clip, "encode_image", counted)
    return sizes


def _same(one: gpd.GeoDataFrame, other: gpd.GeoDataFrame) -> bool:
    pd.testing.assert_frame_equal(one.drop(columns="vector"), other.drop(columns="vector"))
    return bool((matrix(one) == matrix(other)).all())


_KILLED = """
import sys, time, torch
from pathlib import Path
from urbanln.city.store import City
from urbanln.embed import parts
from urbanln.embed.encode import embed_regions
from urbanln.model.clip import load_clip

torch.set_num_threads(1)
parts.PART_SIZE = 4
clip = load_clip(sys.argv[1], context=None)
write = parts.PartFolder.write

def write_three(folder, number, part):
    if number == 3:
        print("three are there", flush=True)
        time.sleep(3600)
    write(folder, number, part)

parts.PartFolder.write = write_three
embed_regions(clip, City.open(sys.argv[2]), view="both", precision="fp32", parts=Path(sys.argv[3]))
"""


def test_killed_in_the_middle_it_goes_on_and_the_table_is_the_same_bit_for_bit(
    city: City, clip: LongClip, clip_folder: Path, encoded: list[int], tmp_path: Path
) -> None:
    whole = embed_regions(clip, city, **_HOW)
    encoded.clear()
    command = [sys.executable, "-c", _KILLED, str(clip_folder), str(city.folder), str(tmp_path / "v.parts")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "three are there\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    there = len(list(tmp_path.glob("v.parts/part-*")))
    assert 3 <= there < _TOTAL
    resumed = embed_regions(clip, city, parts=tmp_path / "v.parts", **_HOW)
    assert len(encoded) == _TOTAL - there
    assert _same(resumed, whole)


def test_two_shares_and_a_merge_equal_one_run(
    city: City, clip: LongClip, encoded: list[int], tmp_path: Path
) -> None:
    whole = embed_regions(clip, city, **_HOW)
    folder = tmp_path / "v.parts"
    assert embed_share(clip, city, folder, (2, 2), **_HOW) == ShareResult(9, _TOTAL, missing=(1,))
    # Done again, it has nothing to do, and still says what is missing.
    encoded.clear()
    assert embed_share(clip, city, folder, (2, 2), **_HOW).missing == (1,)
    assert not encoded
    assert embed_share(clip, city, folder, (1, 2), **_HOW) == ShareResult(_TOTAL, _TOTAL, merge=True)
    # Whoever comes next may put the table together: the one that was to do it may be dead.
    assert embed_share(clip, city, folder, (2, 2), **_HOW) == ShareResult(_TOTAL, _TOTAL, merge=True)
    encoded.clear()
    merged = embed_regions(clip, city, parts=folder, **_HOW)
    assert not encoded
    assert _same(merged, whole)
    discard(folder)
    key = merged.attrs["inputs"]
    assert embed_share(clip, city, folder, (1, 2), finished=lambda: key, **_HOW) == ShareResult(
        _TOTAL, _TOTAL
    )
    assert not folder.exists()


def test_a_table_made_by_another_process_stops_the_shares_that_still_work(
    city: City, clip: LongClip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, encode, done = tmp_path / "v.parts", clip.encode_image, []

    def encode_until_the_other_is_done(pixels: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        done.append(len(pixels))
        if len(done) == 4:
            discard(folder)
        return encode(pixels, normalize)

    monkeypatch.setattr(clip, "encode_image", encode_until_the_other_is_done)
    found = embed_share(clip, city, folder, (1, 1), **_HOW)
    assert found == ShareResult(_TOTAL, _TOTAL)
    assert len(done) < 8
    assert not folder.exists()
    # A process that makes the whole table goes on without keeping parts.
    done.clear()
    frame = embed_regions(clip, city, parts=folder, **_HOW)
    assert len(done) == _TOTAL
    assert _same(frame, embed_regions(clip, city, **_HOW))


@pytest.mark.parametrize("when", ["before the file is made", "while it is written"])
def test_a_part_written_late_does_not_bring_a_closed_folder_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    folder = PartFolder(tmp_path / "v.parts", 8, {"model": "m"})
    folder.open(shared=True)
    where, name = (PartFolder, "is_open") if when == "before the file is made" else (parts, "save")
    original = getattr(where, name)

    def closed_meanwhile(*given: Any) -> Any:
        found = original(*given)
        discard(folder.folder)
        return found

    monkeypatch.setattr(where, name, closed_meanwhile)
    folder.write(1, Part(np.arange(4), np.ones((4, 3), np.float32)))
    assert list(tmp_path.iterdir()) == []


def test_a_part_comes_back_as_it_was_however_its_vectors_lie_in_memory(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path / "v.parts", 8, {"model": "m"})
    folder.open(shared=True)
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4).T
    folder.write(0, Part(np.arange(4), vectors))
    found = folder.read(0)
    assert found is not None
    np.testing.assert_array_equal(found.vectors, vectors)


def test_a_folder_that_cannot_be_moved_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = PartFolder(tmp_path / "v.parts", 8, {"model": "m"})
    folder.open(shared=True)

    def refused(*_: object) -> None:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "replace", refused)
    discard(folder.folder)
    assert not folder.is_open()


def test_a_table_finished_while_the_model_was_loaded_is_not_begun_again(
    city: City, clip: LongClip, encoded: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "v.parts"
    key = embed_regions(clip, city, parts=folder, **_HOW).attrs["inputs"]
    discard(folder)
    encoded.clear()
    told = iter([None, key])  # the other process writes its table between the two
    found = embed_share(clip, city, folder, (1, 2), finished=lambda: next(told), **_HOW)
    assert found == ShareResult(_TOTAL, _TOTAL)
    assert not encoded
    assert not folder.exists()


def test_processes_that_write_the_same_parts_do_not_disturb_each_other(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path / "v.parts", 8, {"model": "m"})
    folder.open(shared=True)
    part = Part(np.arange(4), np.ones((4, 3), np.float32))
    broken: list[object] = []
    under_way, closed = threading.Barrier(4), threading.Event()

    def write() -> None:
        for turn in range(50):
            if turn == 10:
                under_way.wait()
            elif turn == 49:
                closed.wait()  # so that there is a write after it
            folder.write(1, part)
            read = folder.read(1)
            if read is not None and not (read.vectors == part.vectors).all():
                broken.append(read)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    under_way.wait()
    discard(folder.folder)
    closed.set()
    for thread in threads:
        thread.join()
    assert not broken
    assert not folder.is_open()


def test_parts_of_another_model_setting_or_city_are_thrown_away(
    city: City, clip: LongClip, encoded: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "v.parts"
    embed_regions(clip, city, parts=folder, **_HOW)
    assert len(encoded) == _TOTAL
    with torch.no_grad():
        clip.clip.visual_projection.weight[0, 0] += 1
    moved = City.open(city.folder)
    moved.images = moved.images.iloc[::-1].reset_index(drop=True)
    cases: list[tuple[str, City, dict[str, Any]]] = [
        ("model", city, _HOW), ("images", moved, _HOW),
        ("normalize", moved, _HOW | {"normalize": True}),
        ("fit", moved, _HOW | {"normalize": True, "fit": "letterbox"}),
    ]  # fmt: skip
    for name, place, how in cases:
        encoded.clear()
        capsys.readouterr()
        fresh = embed_regions(clip, place, parts=folder, **how)
        error = capsys.readouterr().err
        assert f"another {name}; thrown away" in error
        assert error.count("\n") == 1
        assert len(encoded) == _TOTAL
        assert _same(fresh, embed_regions(clip, place, **how))


def test_shares_with_other_settings_are_refused_and_destroy_nothing(
    city: City, clip: LongClip, tmp_path: Path
) -> None:
    folder = tmp_path / "v.parts"
    embed_share(clip, city, folder, (1, 4), **_HOW)
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match="made from something else") as caught:
        embed_share(clip, city, folder, (2, 4), **{**_HOW, "precision": "bf16"})
    assert "precision: there fp32, here bf16" in str(caught.value)
    assert sorted(folder.iterdir()) == before


def test_pictures_of_unknown_content_are_known_by_their_size(
    city: City, clip: LongClip, tmp_path: Path
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    place, folder = City.open(tmp_path / "city"), tmp_path / "v.parts"
    place.images["sha256"] = None
    embed_share(clip, place, folder, (1, 4), **_HOW)
    Image.new("RGB", (9, 9)).save(place.folder / str(place.images["path"].iloc[0]))
    with pytest.raises(InputError, match="images: there"):
        embed_share(clip, place, folder, (2, 4), **_HOW)


def test_equal_weights_with_another_activation_make_another_table(
    city: City, clip: LongClip, tmp_path: Path
) -> None:
    folder = tmp_path / "v.parts"
    embed_share(clip, city, folder, (1, 4), **_HOW)
    clip.clip.config.vision_config.hidden_act = "gelu"
    with pytest.raises(InputError, match="model: there"):
        embed_share(clip, city, folder, (2, 4), **_HOW)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_part_is_made_again(
    city: City, clip: LongClip, encoded: list[int], tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "v.parts"
    whole = embed_regions(clip, city, parts=folder, **_HOW)
    file = folder / "part-00002.safetensors"
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[-3] ^= 1
    elif damage == "foreign":
        other = PartFolder(tmp_path / "other", 70, {"model": "another"})
        other.open(shared=False)
        other.write(2, Part(np.arange(8, 12), np.zeros((4, 16), np.float32)))
        data = bytearray(other.path(2).read_bytes())
    file.write_bytes(data[: {"cut": len(data) // 2, "empty": 0}.get(damage, len(data))])
    encoded.clear()
    assert _same(embed_regions(clip, city, parts=folder, **_HOW), whole)
    assert encoded == [4]
    (folder / "parts.json").write_text(json.dumps([1])[:2])
    encoded.clear()
    assert _same(embed_regions(clip, city, parts=folder, **_HOW), whole)
    assert not encoded  # each part says itself what it is made from


def test_a_picture_that_could_not_be_read_is_still_reported_after_a_resume(
    city: City, clip: LongClip, encoded: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    damaged = City.open(tmp_path / "city")
    first = damaged.images["path"].iloc[:5]
    for path in first:  # a whole part and a picture more
        (damaged.folder / path).write_text("no picture")
    whole = embed_regions(clip, damaged, **_HOW)
    embed_share(clip, damaged, tmp_path / "v.parts", (1, 2), **_HOW)
    capsys.readouterr()
    encoded.clear()
    resumed = embed_regions(clip, damaged, parts=tmp_path / "v.parts", **_HOW)
    assert "skipped 5 pictures" in (said := capsys.readouterr().err)
    assert all(path in said for path in first)
    assert resumed.attrs["pictures_unreadable"] == 5
    assert len(encoded) == 9
    assert _same(resumed, whole)


@pytest.mark.parametrize("mounted_again", [True, False])
def test_a_picture_that_was_out_of_reach_is_looked_for_again(
    city: City, clip: LongClip, encoded: list[int], tmp_path: Path, mounted_again: bool
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    place, folder = City.open(tmp_path / "city"), tmp_path / "v.parts"
    place.images["sha256"] = "known"  # so that a size that is not there does not make another key
    path = place.folder / str(place.images["path"].iloc[5])
    path.rename(tmp_path / "away")
    embed_share(clip, place, folder, (1, 1) if not mounted_again else (2, 2), **_HOW)
    (tmp_path / "away").rename(path)
    encoded.clear()
    frame = embed_regions(clip, place, parts=folder, **_HOW)
    if mounted_again:  # the share without the picture is done again, and the one that was missing
        assert frame.attrs["pictures_unreadable"] == 0
        assert len(encoded) == _TOTAL // 2 + 1
        assert _same(frame, embed_regions(clip, place, **_HOW))
    else:  # all shares are in: they are put together, and nothing is made
        assert frame.attrs["pictures_unreadable"] == 1
        assert not encoded


def test_nothing_out_of_reach_is_kept_when_no_picture_could_be_read(
    city: City, clip: LongClip, tmp_path: Path
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    place, folder = City.open(tmp_path / "city"), tmp_path / "v.parts"
    place.images["sha256"] = "known"
    (place.folder / "pictures").rename(tmp_path / "unmounted")
    with pytest.raises(InputError, match="none of the pictures can be read"):
        embed_regions(clip, place, parts=folder, **_HOW)
    (tmp_path / "unmounted").rename(place.folder / "pictures")
    assert _same(embed_regions(clip, place, parts=folder, **_HOW), embed_regions(clip, city, **_HOW))


@pytest.mark.parametrize("text", ["0/4", "5/4", "x", "1", "1/0", "-1/4", "1/4/2", ""])
def test_a_share_that_is_none_is_one_clear_error(text: str) -> None:
    with pytest.raises(InputError, match="I/N with I from 1 to N") as caught:
        parse_share(text)
    assert caught.value.value == text


def test_shares_are_read() -> None:
    assert (parse_share("1/1"), parse_share(" 3/16 ")) == ((1, 1), (3, 16))


def test_where_no_folder_can_be_made_is_one_clear_error(city: City, clip: LongClip, tmp_path: Path) -> None:
    (tmp_path / "v.parts").write_text("a file")
    with pytest.raises(StorageError, match="could not write"):
        embed_regions(clip, city, parts=tmp_path / "v.parts", **_HOW)
    assert (tmp_path / "v.parts").read_text() == "a file"


def test_on_the_command_line_the_last_share_writes_the_table(
    city: City, clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(out: str, *more: str, model: str = str(clip_folder)) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["embed", str(city.folder), "--model", model, "--out", str(tmp_path / out), *more])
        return int(caught.value.code or 0), *capsys.readouterr()

    assert run("one.parquet")[:2] == (0, f"{tmp_path / 'one.parquet'}\n")
    shared = tmp_path / "v.parquet"
    code, out, said = run("v.parquet", "--part", "2/3")
    assert (code, out) == (0, "")
    assert "2 of 6 parts are there" in said
    assert "--part 1/3, 3/3" in said
    run("v.parquet", "--part", "1/3")
    assert not shared.exists()
    lock = take(shared)  # of the process that puts the table together
    assert lock is not None
    code, out, said = run("v.parquet", "--part", "3/3")
    assert (code, out) == (0, "")
    assert f"another process makes this table: process {os.getpid()} on" in said
    assert run("v.parquet")[0] == 1
    assert not shared.exists()
    lock.release()
    (tmp_path / ".v.parquet.lock").write_text("{")  # or it was killed after its claim: it is in nobody's way
    assert run("v.parquet", "--part", "3/3")[:2] == (0, f"{shared}\n")
    assert _same(read_embeddings(shared), read_embeddings(tmp_path / "one.parquet"))
    assert table_note(shared)["precision"] in ("fp32", "bf16")
    assert "another process has written the table" in run("v.parquet", "--part", "1/3")[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.parquet", "v.parquet"]
    code, _, said = run("v.parquet", "--part", "4/3")
    assert code == 2
    assert said.startswith("error: a share of the parts")
    assert "only a network" in run("p.parquet", "--part", "1/3", model="pixels")[2]
