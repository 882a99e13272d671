"""A city is made by one process, goes on after a kill at any point, and overwrites nothing of anybody's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.files import hash_file
from urbanln.base.locks import BusyError, alone
from urbanln.city import ingest as ingest_module
from urbanln.city.ingest import ingest
from urbanln.city.making import MAKING, is_made
from urbanln.city.store import City
from urbanln.city.synthetic import make, make_synthetic_city

_SMALL = {"regions": 4, "seed": 1, "tile_px": 32, "street_views": 0, "workers": 1}


def _files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hash_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Three pictures, and a table that names them."""
    (tmp_path / "photos").mkdir()
    for at in range(3):
        Image.new("RGB", (8, 8), (at, 0, 0)).save(tmp_path / "photos" / f"{at}.png")
    table = pd.DataFrame({"id": range(3), "lon": [8.0, 8.1, 8.2], "lat": 47.0, "price": [1.0, 2.0, 3.0]})
    table.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path


def _ingest(given: Path, out: str = "city", **how: object) -> None:
    ingest(given / "photos", given / "t.csv", given / out, name="T", id_column="id", labels=["price"], **how)


_KILLED = """
import os, sys
from pathlib import Path
from urbanln.city import ingest
from tests.city.test_making import _ingest

def killed(path, facts):
    os.kill(os.getpid(), 9)

ingest.write_json = killed
_ingest(Path(sys.argv[1]))
"""


def test_killed_after_the_city_was_written_the_same_ingest_ends_right(given: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(given)], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert (given / "city" / "city.toml").exists()
    assert not is_made(given / "city")
    with pytest.raises(InputError, match="a city in this folder already"):
        _ingest(given, limit=2)
    _ingest(given)
    _ingest(given, "straight")
    assert is_made(given / "city")
    assert _files(given / "city") == _files(given / "straight")
    with pytest.raises(InputError, match="a city in this folder already"):
        _ingest(given)


def test_a_half_copied_picture_of_a_dead_process_goes(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        Path(target).rename(left)
        raise KeyboardInterrupt

    left = given / "city" / "pictures" / ".1.png.tmp-00000000.4194304.1.00000000"
    monkeypatch.setattr("urbanln.city.picture_files.shutil.copyfile", killed)
    with pytest.raises(KeyboardInterrupt):
        _ingest(given)
    assert left.exists()
    monkeypatch.undo()
    _ingest(given)
    assert sorted(path.name for path in left.parent.iterdir()) == ["0.png", "1.png", "2.png"]


def test_ingest_goes_on_with_arguments_put_right_and_leaves_no_folder_where_nothing_came_of_it(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError):
        _ingest(given, regions="nowhere.geojson")
    assert not (given / "city").exists()
    (given / "city").mkdir()
    (given / "city" / "ingest.json").write_text("mine")
    with pytest.raises(InputError, match="would be overwritten") as caught:
        _ingest(given)
    assert caught.value.value == "ingest.json"
    assert _files(given / "city").keys() == {"ingest.json"}
    (given / "city" / "ingest.json").unlink()

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ingest_module.City, "create", stopped)
    with pytest.raises(KeyboardInterrupt):
        _ingest(given)
    assert (given / "city" / MAKING).exists()
    monkeypatch.undo()
    _ingest(given, limit=2)
    assert len(City.open(given / "city").images) == 2


@pytest.mark.parametrize("when", ["before city.toml", "after city.toml"])
def test_a_synthetic_city_stopped_at_its_end_is_made_by_the_same_call_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    create: Callable[..., City] = City.create

    def stopped(*given: object, **how: object) -> None:
        if when == "after city.toml":
            create(*given, **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(make.City, "create", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_synthetic_city(tmp_path / "city", **_SMALL)
    monkeypatch.undo()
    there = _files(tmp_path / "city")
    with pytest.raises(InputError, match=r"begun here in another way|a city in this folder already"):
        make_synthetic_city(tmp_path / "city", **_SMALL | {"seed": 2})
    assert _files(tmp_path / "city") == there
    make_synthetic_city(tmp_path / "city", **_SMALL)
    make_synthetic_city(tmp_path / "straight", **_SMALL)
    assert _files(tmp_path / "city") == _files(tmp_path / "straight")


@pytest.mark.parametrize("name", ["truth.parquet", "images/satellite/r0.jpg"])
def test_files_of_the_users_are_not_drawn_over(tmp_path: Path, name: str) -> None:
    file = tmp_path / "o" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(InputError, match="not of a city begun here") as caught:
        make_synthetic_city(tmp_path / "o", **_SMALL)
    assert caught.value.value == name.partition("/")[0]
    assert [path.read_text() for path in (tmp_path / "o").rglob("*") if path.is_file()] == ["mine"]


def test_of_two_at_once_in_one_folder_the_second_is_told(given: Path) -> None:
    (given / "city").mkdir()
    with alone(given / "city", "makes a city in this folder"):
        for make_one in (lambda: _ingest(given), lambda: make_synthetic_city(given / "city", **_SMALL)):
            with pytest.raises(BusyError, match="makes a city in this folder") as caught:
                make_one()
            assert f"process {os.getpid()} on" in str(caught.value)
    assert list((given / "city").iterdir()) == []
    _ingest(given)
    assert is_made(given / "city")
