"""Killed again and again while it asks over HTTP, and as it builds: the same city, and nothing asked twice.

Kills are decided by the server, after the n-th request, at points that a seed chooses.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.gather.rasters import write_tif
from tests.gather.streets import TOKEN, Streets, view
from tests.gather.world import Handler, TileServer, files_of, serving, write_recipe

from urbanln.city.store import City
from urbanln.gather import run

ROOT = Path(__file__).parents[2]
KILLS, CONCURRENCY, HOSTS = 20, 4, 2  # the pictures of street views have another name for their host
SECTIONS = """
[rasters.ortho]
files = ["{url}/ortho.tif"]
gsd_m = 40
licence = "CC0-1.0"
attribution = "Somebody"

[labels.light]
raster = "{url}/ortho.tif"
statistic = "mean"
unit = "levels"
year = 2023
source = "the ortho"
licence = "CC0-1.0"
attribution = "Somebody"

[mapillary.streets]
url = "{url}"
hosts = ["localhost"]
key = "MAPILLARY_TOKEN"
per_region = 2
"""
# Commands are forked off one process that has imported all it takes, a line each: what takes seconds else.
FORKING = """
import os, signal, sys, traceback
from urbanln.cli.app import main
from urbanln.gather import run
import urbanln.gather.cogs, urbanln.gather.labels.zonal, urbanln.gather.rasters.picture
for line in sys.stdin:
    stage, *words = line.split("\\t")
    pid = os.fork()
    if not pid:
        os.dup2(2, 1)
        if stage == "build":
            run.City.create = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        code = 1
        try:
            main([word.strip() for word in words])
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()  # else it would end unsaid
        finally:
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Commands:
    """Commands in processes of their own; ``pid`` is that of the one at work, 0 where there is none."""

    def __init__(self, cache: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "URBANLN_CACHE": str(cache)}
        words = [sys.executable, "-c", FORKING]
        pipe = subprocess.PIPE
        self._base = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.pid = 0

    def run(self, stage: str, *words: object) -> int:
        """Exit code of a command, negative for the signal that ended it."""
        assert self._base.stdin is not None
        assert self._base.stdout is not None
        self._base.stdin.write("\t".join([stage, *map(str, words)]) + "\n")
        self._base.stdin.flush()
        self.pid = int(self._base.stdout.readline())
        code = int(self._base.stdout.readline().split()[-1])
        self.pid = 0
        return code

    def end(self) -> None:
        self._base.kill()
        self._base.communicate()


@contextmanager
def _commands(cache: Path) -> Iterator[Commands]:
    commands = Commands(cache)
    try:
        yield commands
    finally:
        commands.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TileServer]:
    """Tiles, a GeoTIFF in blocks, and street views over pages."""
    values = np.random.default_rng(1).integers(1, 255, (3, 600, 600)).astype(np.uint8)
    tiled = {"tiled": True, "blockxsize": 128, "blockysize": 128}
    ortho = write_tif(tmp_path / "ortho.tif", values, (24.88, 60.12, 25.0, 60.22), **tiled).read_bytes()
    places = np.random.default_rng(2).uniform((24.9, 60.15), (24.96, 60.19), (300, 2))
    streets = Streets([view(100 + n, float(x), float(y)) for n, (x, y) in enumerate(places)], page=4)
    with serving() as world:

        def behave(handler: Handler, place: Any) -> bool:
            if "ortho.tif" in handler.path:
                return handler.part(ortho)
            return not handler.path.endswith(".jpg") and streets(handler, place)

        world.behave = behave
        yield world


def _kept(cache: Path) -> int:
    return sum(len(path.name) == 64 for path in cache.glob("gathered/*/*"))


def test_killed_twenty_times_the_same_command_ends_in_the_same_city(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAPILLARY_TOKEN", TOKEN)
    private = ('private = ["127.0.0.1"]', 'private = ["127.0.0.1", "localhost"]')
    finer, sections = ("tile:14", "tile:15"), ("[fetch]", SECTIONS.format(url=server.url) + "\n[fetch]")
    path = write_recipe(tmp_path, server.url, finer, private, sections)
    run.gather(path, tmp_path / "whole", cache=tmp_path / "own")
    needed, answer = len(server.asked), server.behave
    assert len(set(zip(server.asked, (one.get("Range") for one in server.headers), strict=True))) == needed
    assert needed > 200
    server.asked.clear()

    rng, lock = random.Random(16), threading.Lock()
    points = sorted(rng.sample(range(3, needed - 9), KILLS))
    signals = [signal.SIGKILL] * 14 + [signal.SIGTERM] * 3 + [signal.SIGINT] * 3
    rng.shuffle(signals)
    killed, words = [], ("gather", path, "--out", tmp_path / "city")
    with _commands(tmp_path / "cache") as commands:

        def behave(handler: Handler, place: Any) -> bool:
            with lock:
                fresh = commands.pid and commands.pid not in killed
                now = bool(fresh and points and len(server.asked) > points[0])
                if now:
                    points.pop(0)
                    killed.append(commands.pid)
            if now and rng.random() < 0.5:  # before its answer, else after it
                os.kill(killed[-1], signals[len(killed) - 1])
                return True
            done = (answer is not None and answer(handler, place)) or handler.usual()
            if now:
                os.kill(killed[-1], signals[len(killed) - 1])
            return done

        server.behave = behave
        lost, ends = 0, {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
        asked, kept = 0, _kept(tmp_path / "cache")
        for stage, code in [*(("gather", ends[one]) for one in signals), ("build", -9), ("gather", 0)]:
            assert not (tmp_path / "city" / "city.toml").exists()
            assert commands.run(stage, *words) == code
            # What the dead sent last may reach the server after this line: it is counted with the next stage.
            now = len(server.asked), _kept(tmp_path / "cache")
            under_way = now[0] - asked - (now[1] - kept)
            assert under_way <= CONCURRENCY * HOSTS
            lost, (asked, kept) = lost + under_way, now
    assert not points
    assert files_of(tmp_path / "city") == files_of(tmp_path / "whole")
    assert len(City.open(tmp_path / "city").images["source"].unique()) == 3
    assert len(server.asked) == needed + lost
