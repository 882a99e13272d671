"""The page of ``urbanln explore`` with many regions: how soon it is there, how it moves, what it takes.

    python -m benchmarks explore_page [--regions 10000 100000 1000000] [--width 64] [--seconds 5]
    [--export 100000] [--chromium PATH] [--json FILE]

Regions are hexagons with two labels, one of which one region in a hundred has, and vectors. A server in a
process of its own makes them, then is timed until it has answered what the page asks first. Chromium opens
the page at 1400 × 900, with WebGL in software where there is no GPU, and once more: the page marks when its
first picture is there: all tiles drawn, or all shapes on the canvas that stands before MapLibre's map.
Frames are those of pans of some seconds, of the whole city and of some streets. The page's memory is that
of Chromium's process for it afterwards. ``--export`` (0: none) writes that many regions as files.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import httpx
import numpy as np
import pandas as pd
import shapely

from benchmarks.harness import COMMAND, alone, facts, markdown, memory_mb, options, peak_mb, write
from benchmarks.similar import make as make_vectors
from urbanln.explore.content import Column, Content, Place, Vectors
from urbanln.explore.exporting import export_page
from urbanln.explore.search import VectorSearch
from urbanln.explore.server import listen

_EDGE = 0.001  # degrees
_SCREEN = {"width": 1400, "height": 900}
_PAN = """seconds => new Promise((done) => {
  const map = Explore.panes.all()[0].map, start = map.view(), gaps = [], begin = performance.now();
  let last = begin;
  (function step(now) {
    gaps.push(now - last);
    last = now;
    const turn = (now - begin) / 1000 * 2 * Math.PI / seconds, wide = 200 / 2 ** start.zoom;
    const [lon, lat] = start.center, to = [lon + wide * Math.sin(turn), lat + wide / 2 * Math.sin(2 * turn)];
    map.jump({ center: to, zoom: start.zoom });
    if (now - begin < 1000 * seconds) requestAnimationFrame(step); else done(gaps.slice(2));
  })(begin);
})"""
_FIRST = (
    "() => new Promise((done) => new PerformanceObserver((list) => done(list.getEntries()[0].startTime))"
    ".observe({ type: 'mark', buffered: true }))"
)
_SENT = """() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
  .reduce((sum, one) => sum + one.transferSize, 0)"""


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table; with ``--json`` also write the figures."""
    asked = options(
        __doc__, argv, regions=[10_000, 100_000, 1_000_000], width=64, seconds=5.0, export=100_000,
        chromium=None, json=None,
    )  # fmt: skip
    found = [_measured(n, asked.width, asked.seconds, asked.chromium) for n in asked.regions]
    head = [
        "regions", "server ready s", "MB of content", "server MB", "first picture s", "MB sent",
        "closest frames p95 ms", "whole frames p95 ms", "page MB",
    ]  # fmt: skip
    print(json.dumps(facts()))
    print(markdown(head, [
        [f"{one['regions']:,}", f"{one['ready']:.2f}", f"{one['made_mb']:.0f}", f"{one['peak_mb']:.0f}",
         f"{one['first']:.2f}", f"{one['sent_mb']:.1f}", f"{one['close_ms']:.0f}", f"{one['whole_ms']:.0f}",
         f"{one['page_mb']:.0f}"]
        for one in found
    ]))  # fmt: skip
    told: dict[str, Any] = {**facts(), "width": asked.width, "served": found}
    if asked.export:
        made, peak = alone(export, asked.export, asked.width)
        told["export"] = {**made, "regions": asked.export, "peak_mb": peak}
        print(json.dumps(told["export"]))
    write(asked.json, told)


def city(n: int, width: int) -> Content:
    """Hexagons side by side, about so many, with labels and vectors."""
    across = round(n**0.5)
    down = n // across
    x, y = (one.ravel().astype(float) for one in np.meshgrid(np.arange(across), np.arange(down)))
    lon, lat = 24 + (x + y % 2 / 2) * _EDGE * 3**0.5, 60 + y * _EDGE * 0.75
    turn = np.radians(np.arange(6) * 60 + 30)
    corners = np.stack([
        lon[:, None] + _EDGE * np.cos(turn), lat[:, None] + _EDGE / 2 * np.sin(turn)
    ], axis=2)  # fmt: skip
    rng = np.random.default_rng(0)
    smooth = (np.sin(x / across * 9) * np.cos(y / down * 7) + rng.normal(0, 0.1, len(x))).astype(np.float32)
    rare = np.where(rng.random(len(x)) < 0.01, smooth, np.nan).astype(np.float32)
    columns = [Column("label:all", "all", "label", smooth), Column("label:rare", "rare", "label", rare)]
    ids = [f"8a2a{row:011x}" for row in range(len(x))]
    return Content(
        title="Hexagons", lonlat=np.column_stack([lon, lat]), places=[Place("Hexagons", 0, len(x))],
        regions=gpd.GeoDataFrame({"region_id": ids}, geometry=shapely.polygons(corners), crs=4326),
        columns={one.key: one for one in columns},
        pictures=pd.DataFrame({
            "row": np.empty(0, int), "view": [], "captured": [], "licence": [], "attribution": [], "free": [],
        }),
        captions=pd.DataFrame({
            "picture": np.empty(0, int), "text": [], "captioner": [], "selected": [], "agreement": [],
            "weight": [],
        }),
        open_picture=lambda row: b"",
        vectors=Vectors(VectorSearch(make_vectors(len(x), width, None)), np.arange(len(x))),
    )  # fmt: skip


def serve(n: int, width: int) -> None:
    """Serve until the input ends; the first line of output says where, the last what it took."""
    content = city(n, width)
    made = peak_mb()
    start = time.perf_counter()
    server, sock, address = listen(content)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    for path in ("", "explore.js", "api/content", "api/places"):
        httpx.get(address + path, timeout=600).raise_for_status()
    print(json.dumps({"address": address, "ready": time.perf_counter() - start, "made_mb": made}), flush=True)
    sys.stdin.read()
    server.should_exit = True
    thread.join()
    print(json.dumps({"peak_mb": peak_mb()}))


def export(n: int, width: int) -> dict[str, float]:
    """Write the files of so many regions."""
    content = city(n, width)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        export_page(content, Path(folder) / "page")
        seconds = time.perf_counter() - start
        sizes = {
            one.relative_to(folder).as_posix(): one.stat().st_size / 1e6
            for one in Path(folder).rglob("*") if one.is_file()
        }  # fmt: skip
        return {"seconds": seconds, "mb": sum(sizes.values()), **sizes}


def _measured(n: int, width: int, seconds: float, chromium: Path | None) -> dict[str, Any]:
    command = [*COMMAND, "benchmarks.explore_page", "serve", json.dumps([n, width])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        told = json.loads(server.stdout.readline())
        seen = _seen(told.pop("address"), seconds, chromium)
        told |= json.loads(server.communicate()[0].splitlines()[0])
    return {"regions": n, **told, **seen}


def _seen(address: str, seconds: float, chromium: Path | None) -> dict[str, float]:
    from playwright.sync_api import sync_playwright

    path = chromium or shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--no-sandbox", "--enable-unsafe-swiftshader"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=flags)
        _open(browser, address).context.close()  # the first time Chromium gets ready itself
        page = _open(browser, address)
        first = page.evaluate(_FIRST) / 1e3
        sent = page.evaluate(_SENT) / 1e6
        whole = page.evaluate(_PAN, seconds)
        middle = page.evaluate("() => Explore.places.of(Math.floor(Explore.state.content.n * 0.503))")
        page.evaluate("to => Explore.panes.jump(to)", {"center": middle, "zoom": 14})
        close = page.evaluate(_PAN, seconds)
        page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
        held = _renderer_mb(browser)
        browser.close()
    return {
        "first": first, "sent_mb": sent, "whole_ms": float(np.percentile(whole, 95)),
        "close_ms": float(np.percentile(close, 95)), "page_mb": held,
    }  # fmt: skip


def _open(browser: Any, address: str) -> Any:
    page = browser.new_context(viewport=_SCREEN).new_page()
    page.set_default_timeout(600_000)
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    return page


def _renderer_mb(browser: Any) -> float:
    """Memory of the process that holds the page, the largest of its kind."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return max(memory_mb(one["id"]) or float("nan") for one in found if one["type"] == "renderer")
