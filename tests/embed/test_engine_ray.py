"""Ray's workers make the same bytes as one process, whoever is killed: ``make engines``.

Each test starts a cluster of its own, whose processes carry a mark in their environment.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image
from tests.waiting import until

from urbanln.city.meta import Meta
from urbanln.city.store import City
from urbanln.embed.parts import PART_SIZE

ray = pytest.importorskip("ray", reason="Ray is 80 MB to fetch and 240 on disk: make engines has it")

PARTS = 6
BAD = "pictures/3.png"
_MARK = "URBANLN_TEST_CLUSTER"
_RAYLET = str(Path(ray.__file__).parent / "core/src/ray/raylet/raylet")
_SECONDS = 180.0  # a busy machine takes its time to start a cluster


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Some files under many names make parts of true size; one of them is no picture."""
    folder, files, count = tmp_path_factory.mktemp("city") / "crowd", 8, (PARTS - 1) * PART_SIZE + 100
    (folder / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(files):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"pictures/{i}.png")
    (folder / BAD).write_text("no picture")
    number, ids = np.arange(count), [f"r{i}" for i in range(5)]
    x = 114 + np.arange(5) * 0.01
    images = pd.DataFrame({"image_id": [f"i{n}" for n in number], "view": "satellite", "lat": 30.0})
    images["region_id"], images["lon"] = [ids[n % 5] for n in number], 114 + number % 5 * 0.01
    images["path"] = [f"pictures/{n % files}.png" for n in number]
    return City.create(
        folder,
        meta=Meta(name="crowd", synthetic=True),
        regions=gpd.GeoDataFrame(
            {"region_id": ids}, geometry=shapely.box(x, 30, x + 0.01, 30.01), crs="EPSG:4326"
        ),
        images=images,
        indicators=pd.DataFrame({"region_id": ids, "label": np.arange(5.0)}),
    )


class Cluster:
    """Processes that are told apart by their mark, with a folder for what they write."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch, self.mark = folder, scratch, f"{_MARK}={folder}"
        self.env = {
            **os.environ, _MARK: str(folder), "OMP_NUM_THREADS": "1", "TMPDIR": str(scratch),
            "HOME": str(scratch), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }  # fmt: skip

    def node(self, *words: str) -> None:
        """Start a node of a cluster that others connect to."""
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus", "1"]
        more = ["--node-ip-address", "127.0.0.1", "--object-store-memory", "100000000"]
        nowhere = subprocess.DEVNULL
        subprocess.Popen([*command, *more, *words], env=self.env, stdout=nowhere, stderr=nowhere)

    def there(self, name: str = "") -> list[int]:
        """Processes of this cluster, by what their command line begins with."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                marked = self.mark.encode() in (entry / "environ").read_bytes().split(b"\0")
                if marked and (entry / "cmdline").read_bytes().startswith(name.encode()):
                    found.append(int(entry.name))
        return found

    def kill(self, numbers: list[int], number: int = signal.SIGKILL) -> None:
        for process in numbers:
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def wait_for_end(self, name: str = "") -> None:
        until(lambda: not self.there(name), "the end of Ray's processes")

    def caught(
        self, process: subprocess.Popen[str], out: str, *, marks: int, parent: int | None = None
    ) -> list[int]:
        """Workers, those of a node or all, halted while so many parts are being made."""
        before = set(self.tried(out))  # of workers that were killed earlier

        def halted() -> list[int]:
            assert process.poll() is None, process.communicate()
            workers = [one for one in self.there("ray::Map") if parent in (None, _parent(one))]
            self.kill(workers, signal.SIGSTOP)
            if len(set(self.tried(out)) - before) >= marks:
                return workers
            self.kill(workers, signal.SIGCONT)
            return []

        found: list[int] = until(halted, "workers at work")
        return found

    def embed(self, city: City, model: Path, out: str, *more: str) -> subprocess.Popen[str]:
        command = [
            "-m",
            "urbanln",
            "embed",
            str(city.folder),
            "--model",
            str(model),
            "--out",
            str(self.folder / out),
        ]
        return subprocess.Popen(
            [sys.executable, *command, *more],
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def parts(self, out: str) -> dict[str, int]:
        """Finished parts, and when each was written."""
        return {path.name: path.stat().st_mtime_ns for path in (self.folder / f"{out}.parts").glob("part-*")}

    def wait_for_parts(self, process: subprocess.Popen[str], out: str, count: int) -> None:
        until(lambda: len(self.parts(out)) >= count or process.poll() is not None, "a part")

    def tried(self, out: str) -> list[Path]:
        """Marks of the parts that workers are at, or were at when they died."""
        return list((self.folder / f"{out}.parts").glob("tried-*"))


def _parent(process: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return 0


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A short path: sockets lie under it. And no home of anybody's."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def cluster(tmp_path: Path, scratch: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path, scratch)
    yield found
    while left := found.there():
        found.kill(left)
        time.sleep(0.05)


@pytest.fixture(scope="module")
def alone(crowd: City, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table that one process makes, and what it says."""
    folder = tmp_path_factory.mktemp("alone")
    one = Cluster(folder, folder)
    process = one.embed(crowd, clip_folder, "v.parquet")
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert f"skipped {crowd.images['path'].eq(BAD).sum()} pictures" in said
    return (one.folder / "v.parquet").read_bytes()


def test_stopped_killed_and_robbed_of_a_worker_it_makes_the_bytes_of_one_process(
    crowd: City, clip_folder: Path, alone: bytes, cluster: Cluster
) -> None:
    seen: dict[str, int] = {}
    for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = cluster.embed(crowd, clip_folder, "v.parquet", "--engine", "ray")
        cluster.wait_for_parts(process, "v.parquet", len(seen) + 1)
        process.send_signal(number)
        out, said = process.communicate()
        assert (process.returncode, out) == (code, ""), said
        assert ("stopped; run the same command again" in said) == (number == signal.SIGTERM)
        # What would serve Ray's dashboard sees only after a minute that it was killed.
        cluster.wait_for_end("ray::Map" if number == signal.SIGKILL else "")
        assert seen.items() <= cluster.parts("v.parquet").items()  # what was there is not made again
        seen = cluster.parts("v.parquet")
    assert 2 <= len(seen) < PARTS

    process = cluster.embed(crowd, clip_folder, "v.parquet", "--engine", "ray")
    cluster.kill(cluster.caught(process, "v.parquet", marks=1))
    _same(cluster, process, alone)
    cluster.wait_for_end()
    # What the kill left is in the folder of the system; nothing is in the home.
    assert all(path.name.startswith("ray-") for path in cluster.scratch.iterdir())
    assert len(list(cluster.scratch.iterdir())) == 1


def test_a_cluster_at_an_address_that_loses_a_node_makes_them_too_and_stays(
    crowd: City, clip_folder: Path, alone: bytes, cluster: Cluster
) -> None:
    folder = cluster.scratch / "ray"
    cluster.node("--head", "--port", "0", "--include-dashboard", "false", "--temp-dir", str(folder))
    address = until(lambda: _read(folder / "ray_current_cluster"), "a head")
    before = set(cluster.there(_RAYLET))
    cluster.node("--address", address)
    (second,) = until(lambda: set(cluster.there(_RAYLET)) - before, "a second node")

    process = cluster.embed(crowd, clip_folder, "v.parquet", "--engine", f"ray:{address}")
    cluster.kill([second, *cluster.caught(process, "v.parquet", marks=2, parent=second)])
    _same(cluster, process, alone)
    assert cluster.there(_RAYLET)


def _same(cluster: Cluster, process: subprocess.Popen[str], alone: bytes) -> None:
    """The command ends well, with the table of one process, and says that a worker was lost."""
    out, said = process.communicate()
    assert (process.returncode, out) == (0, f"{cluster.folder / 'v.parquet'}\n"), said
    assert "a worker was lost; part " in said
    assert "raylet" not in said
    assert "that cannot be read: pictures/3.png" in said
    assert (cluster.folder / "v.parquet").read_bytes() == alone
    assert [path.name for path in cluster.folder.iterdir()] == ["v.parquet"]


def _read(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""
