"""A city's pictures: read from here or from elsewhere, once, and what cannot be read ends nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from urbanln.base import remote
from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.remote import Fetched
from urbanln.captions.captioners.base import pictures_of
from urbanln.city import store
from urbanln.city.near_duplicates import audit_pictures
from urbanln.city.pictures import UnreachableError, read_picture, read_pictures
from urbanln.city.pixel_cache import cached_pixels
from urbanln.city.pixels import measure_city
from urbanln.city.store import City


class Counting(MemoryFileSystem):
    """Memory, with the number of times each file was opened."""

    protocol = "counted"
    opened: Any = {}  # noqa: RUF012
    fault: Any = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("counted://", "memory://"))

    def _open(self, path: str, *args: Any, **options: Any) -> Any:
        name = path.rpartition("/")[2]
        self.opened[name] = self.opened.get(name, 0) + 1
        if self.fault and self.fault(name):
            raise self.fault(name)
        return super()._open(path, *args, **options)


@pytest.fixture
def far(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    """The satellite pictures of a city at addresses, with their hashes, and nothing fetched yet."""
    fsspec.register_implementation("counted", Counting, clobber=True)
    monkeypatch.setattr(Counting, "opened", {})
    monkeypatch.setattr(Counting, "fault", None)
    monkeypatch.setattr(store, "FETCHED", Fetched(tmp_path / "fetched"))
    monkeypatch.setattr(remote, "PAUSES_S", (0.0, 0.0))
    remote._given_up.clear()
    shutil.copytree(city.folder, tmp_path / "city")
    far = City.open(tmp_path / "city")
    images = far.images[far.images["view"] == "satellite"].reset_index(drop=True)
    for row, path in enumerate(images["path"]):
        data = (far.folder / path).read_bytes()
        fsspec.filesystem("memory").pipe(f"/far/{row}.png", data)
        images.loc[row, ["path", "sha256"]] = [f"counted://far/{row}.png", hash_bytes(data)]
    far.images = images
    (far.folder / "captions.parquet").unlink()
    far.save()
    return City.open(far.folder)


def _pixels(city: City, folder: Path, **options: Any) -> tuple[Any, dict[int, InputError]]:
    items = [(city, path) for path in city.images["path"]]
    options = {"kind": "small", "shape": (3, 8, 8), "limit_bytes": 1e9, "folder": folder, **options}
    small = lambda image: np.asarray(image.resize((8, 8))).transpose(2, 0, 1)  # noqa: E731
    return cached_pixels(items, small, **options)


def test_a_picture_elsewhere_is_fetched_once_by_everybody(far: City, tmp_path: Path) -> None:
    for _ in range(2):
        found = list(read_pictures([(far, path) for path in far.images["path"]], lambda image: image.size))
        assert found == [(24, 20)] * 24
        assert len(measure_city(far, "satellite")) == 24
        audit_pictures(far)
        assert {picture.load().size for picture in pictures_of(far)} == {(24, 20)}
        assert _pixels(far, tmp_path / "pixels", limit_bytes=0)[1] == {}
    again = City.open(far.folder)  # as after a restart: the folder is what is left
    store.FETCHED = Fetched(tmp_path / "fetched")
    assert read_picture(again, "counted://far/3.png").size == (24, 20)
    assert set(Counting.opened.values()) == {1}
    assert len(Counting.opened) == 24


def test_nothing_is_fetched_whose_pixels_are_kept(far: City, tmp_path: Path) -> None:
    first, _ = _pixels(far, tmp_path / "pixels")
    shutil.rmtree(tmp_path / "fetched")
    Counting.opened.clear()
    second, errors = _pixels(City.open(far.folder), tmp_path / "pixels")
    assert (Counting.opened, errors) == ({}, {})
    np.testing.assert_array_equal([*second], [*first])


def test_without_hashes_once_per_process(far: City, tmp_path: Path) -> None:
    far.images = far.images.assign(sha256=None)
    for _ in range(3):
        assert _pixels(far, tmp_path / "pixels")[1] == {}
    assert set(Counting.opened.values()) == {1}


def test_faults_end_no_run_and_say_what_they_are(
    far: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ClientError(Exception):
        """As of a package that is not known here."""

    def fault(name: str) -> Exception | None:
        if name == "1.png":
            return ClientError("the payload is not complete")
        if name == "2.png" and Counting.opened[name] < 3:
            return TimeoutError()
        return FileNotFoundError(name) if name == "3.png" else None

    fsspec.filesystem("memory").pipe("/far/4.png", b"another picture")
    fsspec.filesystem("memory").pipe("/far/5.png", far.image_bytes("counted://far/5.png")[:-40])
    shutil.rmtree(tmp_path / "fetched")
    Counting.opened.clear()
    monkeypatch.setattr(Counting, "fault", staticmethod(fault))
    pixels, errors = _pixels(far, tmp_path / "pixels")
    assert (len(pixels), sorted(errors)) == (20, [1, 3, 4, 5])
    assert {row: errors[row].value for row in errors} == {row: f"counted://far/{row}.png" for row in errors}
    assert all(isinstance(error, UnreachableError) for error in errors.values())
    assert "payload" in errors[1].what
    assert errors[3].what == "no such picture"
    assert "sha256" in errors[4].what
    assert "sha256" in errors[5].what
    assert (Counting.opened["1.png"], Counting.opened["2.png"], Counting.opened["3.png"]) == (3, 3, 1)


def test_what_is_no_file_ends_nothing(city: City, tmp_path: Path) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    place = City.open(tmp_path / "city")
    paths = list(place.images["path"][:4])
    for path in paths[:3]:
        (place.folder / path).unlink()
    os.mkfifo(place.folder / paths[0])
    (place.folder / paths[1]).symlink_to("/dev/zero")
    found = list(read_pictures([(place, path) for path in [*paths, "a\0b"]], lambda image: image.size))
    assert [error.what for error in found[:3] if isinstance(error, InputError)] == [
        "a named pipe, not a file", "a device, not a file", "no such picture",
    ]  # fmt: skip
    assert isinstance(found[3], tuple)
    assert isinstance(found[4], InputError)
