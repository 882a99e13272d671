"""Kept pixels are the decoded ones, nothing is decoded twice, and neither kills nor full disks do harm."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from urbanln.base import locks
from urbanln.base.errors import InputError
from urbanln.base.files import write_json
from urbanln.base.parsing import read_json
from urbanln.city import pixel_cache
from urbanln.city.pixel_cache import Pixels, cache_folder, cached_pixels
from urbanln.city.store import City
from urbanln.model.preprocess import Preprocessing

ROOT = Path(__file__).parents[2]
SHAPE = (3, 16, 16)


@pytest.fixture
def city(city: City, tmp_path: Path) -> City:
    """A copy that may be spoilt: 24 satellite pictures."""
    shutil.copytree(city.folder, tmp_path / "city")
    return City.open(tmp_path / "city")


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_cache, "PACK_BYTES", 10 * 768)


def _items(city: City) -> list[tuple[City, str]]:
    return [(city, str(p)) for p in city.images.loc[city.images["view"] == "satellite", "path"]]


def _convert(image: Image.Image) -> Pixels:
    return Preprocessing(16)(image).numpy()


class Reader:
    """Reads a city's pictures and counts what was decoded."""

    def __init__(self, folder: Path, kind: str = "crop", limit: float = 1e9) -> None:
        self.folder, self.kind, self.limit, self.decoded = folder, kind, limit, 0

    def __call__(self, items: list[tuple[City, str]], **options: Any) -> tuple[Any, dict[int, InputError]]:
        self.decoded = 0
        options = {"kind": self.kind, "limit_bytes": self.limit, "folder": self.folder, **options}
        return cached_pixels(items, self._count, shape=SHAPE, **options)

    def _count(self, image: Image.Image) -> Pixels:
        self.decoded += 1
        return _convert(image)

    def packs(self) -> list[Path]:
        return sorted(p for p in (self.folder / "pixels").glob("*/*") if not p.name.startswith("."))


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "cache")


def _same_as_decoded(pixels: Any, items: list[tuple[City, str]]) -> None:
    assert len(pixels) == len(items)
    for i, (city, path) in enumerate(items):
        with Image.open(city.folder / path) as image:
            np.testing.assert_array_equal(pixels[i], _convert(image))


def _overwrite(city: City, path: str, brightness: int) -> None:
    Image.new("RGB", (20, 20), (brightness, 0, 0)).save(city.folder / path)


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("workers", [0, 3])
def test_pixels_are_those_decoded_and_are_decoded_once(city: City, read: Reader, workers: int) -> None:
    items = _items(city)
    pixels, errors = read(items, workers=workers)
    assert (read.decoded, errors) == (24, {})
    _same_as_decoded(pixels, items)
    assert [len(read_json(pack / "note.json")["pictures"]) for pack in read.packs()].count(10) == 2
    again, _ = read(items, workers=workers)
    assert read.decoded == 0
    _same_as_decoded(again, items)
    assert not again[0].flags.writeable


@pytest.mark.usefixtures("small_packs")
def test_only_what_is_new_is_decoded_whatever_the_order(city: City, read: Reader) -> None:
    items = _items(city)
    read(items)
    _overwrite(city, items[3][1], 200)
    shutil.copy(city.folder / items[5][1], city.folder / items[7][1])
    items = [items[0], *items[:1:-1], items[3]]  # one left out, the rest turned round, one again
    pixels, _ = read(items, workers=0)
    assert read.decoded == 1
    _same_as_decoded(pixels, items)


def test_another_kind_shares_nothing(city: City, read: Reader) -> None:
    read(_items(city))
    read(_items(city), kind="letterbox")
    assert read.decoded == 24


@pytest.mark.usefixtures("small_packs")
def test_damage_is_remembered_and_told_again(city: City, read: Reader) -> None:
    items = _items(city)
    (city.folder / items[2][1]).write_text("no picture")
    whole = (city.folder / items[4][1]).read_bytes()
    (city.folder / items[4][1]).write_bytes(whole[: len(whole) // 2])
    (city.folder / items[6][1]).unlink()
    runs = [read(items), read(items)]
    assert read.decoded == 0
    for pixels, errors in runs:
        assert sorted(errors) == [2, 4, 6]
        assert [errors[i].value for i in (2, 4, 6)] == [items[i][1] for i in (2, 4, 6)]
        assert errors[2].what.startswith("not a readable picture: cannot identify")
        assert "truncated" in errors[4].what
        assert errors[6].what == "no such picture"
        _same_as_decoded(pixels, [item for i, item in enumerate(items) if i not in errors])


def test_none_readable_is_no_special_case(city: City, read: Reader) -> None:
    items = _items(city)[:2]
    for _, path in items:
        (city.folder / path).write_text("no picture")
    for _ in range(2):
        pixels, errors = read(items)
        assert (len(pixels), sorted(errors)) == (0, [0, 1])


def _cut(pack: Path) -> None:
    os.truncate(pack / "pixels.npy", (pack / "pixels.npy").stat().st_size - 1)


def _empty(pack: Path) -> None:
    (pack / "pixels.npy").write_bytes(b"")


def _no_pixels(pack: Path) -> None:
    (pack / "pixels.npy").unlink()


def _no_note(pack: Path) -> None:
    (pack / "note.json").unlink()


def _unreadable_note(pack: Path) -> None:
    (pack / "note.json").write_text('{"kind": ')


def _foreign_note(pack: Path) -> None:
    write_json(pack / "note.json", ["something", "else"])


def _one_row_less(pack: Path) -> None:
    note = read_json(pack / "note.json")
    write_json(pack / "note.json", {**note, "pictures": note["pictures"][1:]})


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize(
    "spoil", [_cut, _empty, _no_pixels, _no_note, _unreadable_note, _foreign_note, _one_row_less]
)
def test_a_damaged_pack_is_made_again(
    city: City, read: Reader, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    items = _items(city)
    read(items)
    pack = read.packs()[0]
    held = len(read_json(pack / "note.json")["pictures"])
    spoil(pack)
    pixels, _ = read(items)
    assert read.decoded == held
    _same_as_decoded(pixels, items)
    assert f"kept pixels are damaged, decoding again: {pack}" in capsys.readouterr().err
    read(items)
    assert read.decoded == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("small_packs")
def test_the_least_recently_used_go_and_nothing_in_use(city: City, read: Reader) -> None:
    items = _items(city)
    used = {}
    for start in (0, 8, 16):
        before = set(read.packs())
        read(items[start : start + 8])
        (used[start],) = set(read.packs()) - before
    size = sum(file.stat().st_size for file in used[0].iterdir())
    for age, start in enumerate((16, 8, 0)):
        os.utime(used[start], (1e9 - age, 1e9 - age))  # the first pack is the oldest
    read(items[:8], limit_bytes=2.5 * size)  # now it is used
    assert set(read.packs()) == {used[0], used[16]}
    pixels, _ = read(items[16:], limit_bytes=1.2 * size)
    assert read.packs() == [used[16]]
    _same_as_decoded(pixels, items[16:])
    mapped, _ = read(items[:8])
    read(items[16:], limit_bytes=1.2 * size)
    _same_as_decoded(mapped, items[:8])  # removed, and still good for who has it open


def test_a_set_that_is_too_large_is_not_kept(
    city: City, read: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    items = _items(city)
    (city.folder / items[1][1]).write_text("no picture")
    pixels, errors = read(items, limit_bytes=24 * 768 - 1)
    assert (pixels, sorted(errors), read.packs()) == (None, [1], [])
    assert "cache.pixels_gb; they are decoded batch by batch" in capsys.readouterr().err
    assert read(items, limit_bytes=0)[0] is None
    assert capsys.readouterr().err == ""  # that is what was asked for
    assert read(items, limit_bytes=24 * 768)[0] is not None


def test_a_folder_that_cannot_be_made_is_told_once(
    city: City, read: Reader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deep"):
        pixels, errors = read(_items(city), folder=folder)
        assert (pixels, errors, read.decoded) == (None, {}, 24)
        assert capsys.readouterr().err.count("decoded pictures cannot be kept") == 1


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Files of this process may not grow further: a disk that is full, as the system reports it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_packs")
def test_a_disk_that_fills_up_on_the_way(
    city: City, read: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    items = _items(city)
    (city.folder / items[5][1]).write_text("no picture")
    read(items[:3])
    before = read.packs()
    with _largest_file(9 * 768 + 200):  # enough for the pack with the damaged picture, not for the next
        pixels, errors = read(items)
    assert (pixels, sorted(errors), read.decoded) == (None, [5], 20)
    assert capsys.readouterr().err.count("File too large") == 1
    assert read.packs() == before  # the space is given back
    assert not list((read.folder / "pixels").glob("*/.*.tmp-*"))
    pixels, _ = read(items)
    assert read.decoded == 20
    _same_as_decoded(pixels, items[:5] + items[6:])


def test_other_kinds_make_room_before_anything_is_written(city: City, read: Reader) -> None:
    items = _items(city)
    read(items, kind="old")
    (old,) = read.packs()
    there = []
    convert = read._count
    read._count = lambda image: (there.append(old.exists()), convert(image))[1]  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_cache, "PACK_BYTES", 10 * 768)
        read(items, limit_bytes=30 * 768, workers=0)
    assert there == [True] * 10 + [False] * 14  # gone when the first of three packs was written


@pytest.mark.usefixtures("small_packs")
def test_too_few_file_descriptors_harm_no_pack_and_no_picture(
    city: City, read: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    items = _items(city)
    read(items)
    before = read.packs()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 2, hard))
    try:
        pixels, errors = read(items, workers=0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (pixels, errors, read.packs()) == (None, {}, before)
    assert "Too many open files" in capsys.readouterr().err
    pixels, _ = read(items)
    _same_as_decoded(pixels, items)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_that_holds_all_serves(city: City, read: Reader) -> None:
    read(_items(city))
    folders = [read.folder, *(p for p in read.folder.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        pixels, _ = read(_items(city))
        assert read.decoded == 0
        _same_as_decoded(pixels, _items(city))
    finally:
        for folder in folders:
            folder.chmod(0o755)


# A process of its own that decodes into packs of four; it prints each picture it has decoded. After so many
# it says that it stands still, and waits to be told to go on.
_WORKER = """
import sys
from pathlib import Path
from tests.city.test_pixel_cache import Reader, _items, _same_as_decoded
from urbanln.base import locks
from urbanln.city import pixel_cache
from urbanln.city.store import City

pixel_cache.PACK_BYTES, pixel_cache._POLL_SECONDS = 4 * 768, 0.02
if sys.argv[4] == "no-locks":
    locks.fcntl = None
class Telling(Reader):
    def _count(self, image):
        if self.decoded == int(sys.argv[3]):
            print("still", flush=True)
            sys.stdin.readline()
        print("decoded", flush=True)
        return super()._count(image)

read, items = Telling(Path(sys.argv[2])), _items(City.open(sys.argv[1]))
pixels, errors = read(items, workers=0)
_same_as_decoded(pixels, items)
print("whole", flush=True)
"""


def _start(city: City, folder: Path, still_after: int, locks: str = "locks") -> subprocess.Popen[str]:
    """A worker that stands still after it has decoded so many pictures."""
    command = [sys.executable, "-c", _WORKER, str(city.folder), str(folder), str(still_after), locks]
    worker = subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
    )
    assert worker.stdout is not None
    for word in ["decoded\n"] * still_after + ["still\n"]:
        assert worker.stdout.readline() == word
    return worker


def test_kill_9_leaves_whole_packs_and_the_next_call_goes_on(city: City, read: Reader) -> None:
    worker = _start(city, read.folder, 15)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    kept = read.packs()
    assert len(kept) >= 3
    foreign = kept[0].parent / f".{kept[0].name}.tmp-00000000.{worker.pid}.1.00000000"
    assert len(list(foreign.parent.glob(".*.tmp-*"))) <= 1
    foreign.mkdir()
    pixels, _ = read(_items(city))  # the lock went with its owner
    assert read.decoded == 24 - 4 * len(kept)
    _same_as_decoded(pixels, _items(city))
    assert list(foreign.parent.glob(".*.tmp-*")) == [foreign], "another machine may be writing it"
    os.utime(foreign, (1e9, 1e9))
    read(_items(city))
    assert not foreign.exists()


@pytest.mark.parametrize("locks", ["locks", "no-locks"])
def test_two_processes_at_once_both_end_well(city: City, read: Reader, locks: str) -> None:
    workers = [_start(city, read.folder, 0, locks) for _ in range(2)]
    for worker in workers:  # both have begun: none finds what the other did before
        assert worker.stdin is not None
        worker.stdin.write("go on\n")
    said = [worker.communicate()[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert [words[-1] for words in said] == ["whole", "whole"]
    if (
        locks == "locks"
    ):  # who waits decodes one picture before it knows, and one per pack that it follows closely
        assert sum(words.count("decoded") for words in said) <= 24 + 7
    read(_items(city))
    assert read.decoded == 0


def test_a_pack_that_another_process_wrote_at_the_same_time_is_taken_and_not_replaced(
    city: City, read: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    items, write, theirs = _items(city), pixel_cache.write_json, list[int]()

    def both_write(*given: Any) -> None:
        write(*given)
        monkeypatch.setattr(pixel_cache, "write_json", write)
        Reader(read.folder)(items)
        theirs.extend(pack.stat().st_ino for pack in read.packs())

    monkeypatch.setattr(pixel_cache, "write_json", both_write)
    pixels, _ = read(items)
    _same_as_decoded(pixels, items)
    # Never replaced, it was there at every moment for whoever opens it.
    assert [pack.stat().st_ino for pack in read.packs()] == theirs
    assert capsys.readouterr().err == ""


def test_who_waits_says_so(
    city: City, read: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fcntl = pytest.importorskip("fcntl")
    read(_items(city)[:1])
    lock = (read.packs()[0].parent / ".lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    monkeypatch.setattr(pixel_cache, "_PATIENCE_SECONDS", -1.0)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            lock.close()

    monkeypatch.setattr(time, "sleep", sleep)
    pixels, _ = read(_items(city))
    assert capsys.readouterr().err.count("waiting for another process") == 1
    _same_as_decoded(pixels, _items(city))


def test_who_waits_goes_on_as_soon_as_its_own_pictures_are_there(
    city: City, read: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    items, other = _items(city)[:3], Reader(tmp_path / "other")
    other(items)
    pack = other.packs()[0]
    read(_items(city)[3:4])
    folder = read.packs()[0].parent
    lock = (folder / ".lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)  # of a process that has much more to do
    monkeypatch.setattr(time, "sleep", lambda _: shutil.copytree(pack, folder / pack.name))
    pixels, _ = read(items, workers=0)
    _same_as_decoded(pixels, items)
    lock.close()


def test_a_pack_that_is_cut_off_while_pictures_are_read_is_told_and_nothing_is_lost(
    city: City, read: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items = _items(city)[:3]
    read(items)
    pixels = read.packs()[0] / "pixels.npy"
    fetch = City.image_bytes

    def cut_off(self: City, path: str) -> bytes:
        os.truncate(pixels, 100)
        return fetch(self, path)

    monkeypatch.setattr(City, "image_bytes", cut_off)
    assert read(items) == (None, {})
    assert "decoded batch by batch: could not map" in capsys.readouterr().err


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("URBANLN_CACHE")
    assert cache_folder() == tmp_path / "home" / ".cache" / "urbanln"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "urbanln"
    monkeypatch.setenv("URBANLN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
