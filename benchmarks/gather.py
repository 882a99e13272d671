"""Fetching tiles through the one client, its pace, checks and cache, beside a plain loop of httpx.

    python -m benchmarks gather [--tiles 10000] [--concurrency 16] [--repeat 3] [--json FILE]

A server in a process of its own answers every tile with 22 kB at once. The plain loop keeps as many requests
under way and writes each answer to a file; ours does what ``urbanln gather`` does before it builds. The two
take turns. Memory is the most a process held in which a tenth of the tiles, and all of them, were fetched.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import alone, ends, facts, markdown, options, peak_mb, ratio, turns, write

_BODY = b"\xff\xd8\xff" + os.urandom(22_000)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
_RECIPE = """
[place]
name = "Somewhere"
bbox = [24.0, 60.0, 25.0, 60.5]
[regions]
by = "tile:16"
[tiles.a]
url = "{url}/{{z}}/{{x}}/{{y}}"
licence = "none"
attribution = "nobody"
[fetch]
private = ["127.0.0.1"]
per_second = 100000
concurrency = {concurrency}
"""


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table; with ``--json`` also write the figures."""
    asked = options(__doc__, argv, tiles=10_000, concurrency=16, repeat=3, json=None)
    with tempfile.TemporaryDirectory() as text, serving() as url:
        folder = Path(text)
        (folder / "recipe.toml").write_text(_RECIPE.format(url=url, concurrency=asked.concurrency))
        rounds = iter(range(10**6))

        def plain() -> None:
            target = folder / f"plain-{next(rounds)}"
            target.mkdir()
            asyncio.run(_plain(url, asked.tiles, asked.concurrency, target))

        def ours() -> None:
            fetch(str(folder / "recipe.toml"), asked.tiles, str(folder / f"ours-{next(rounds)}"))

        seconds, _ = turns(asked.repeat, plain, ours, warm_up=0)
        recipe, peaks = str(folder / "recipe.toml"), {}
        for tiles in (asked.tiles // 10, asked.tiles):
            peaks[tiles] = alone(fetch, recipe, tiles, str(folder / f"alone-{tiles}"))[0]["peak_mb"]
    rates = asked.tiles / seconds
    found: dict[str, Any] = {"peaks_mb": peaks, **ratio(rates[1], rates[0]), "rates": rates.tolist()}
    rows = [["plain", f"{np.median(rates[0]):.0f}"], ["ours", f"{np.median(rates[1]):.0f}"]]
    print(markdown(["tiles a second", ""], rows))
    print(f"ours / plain: {found['ratio']:.2f} ({ends(found['range'])})")
    print("memory, MB: " + ", ".join(f"{peak:.0f} for {tiles:,} tiles" for tiles, peak in peaks.items()))
    write(asked.json, found | facts() | {"tiles": asked.tiles, "concurrency": asked.concurrency})


def fetch(recipe: str, tiles: int, cache: str) -> dict[str, float]:
    """Fetch the first tiles of a recipe into an empty cache; the most memory that this process held."""
    from urbanln.gather import run
    from urbanln.gather.fetching.rounds import fetch_all

    ready = run.prepare(recipe, limit=tiles)
    found = fetch_all(ready.sources, ready.recipe.fetch, ready.kept(Path(cache)), total=tiles)["a"]
    if found.requests != tiles or found.failed or found.kept:
        raise SystemExit(f"not all tiles were fetched: {found}")
    return {"peak_mb": peak_mb()}


async def _plain(url: str, tiles: int, concurrency: int, folder: Path) -> None:
    import httpx

    left = iter(range(tiles))
    limits = httpx.Limits(max_connections=concurrency)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def work() -> None:
            for number in left:
                answer = await client.get(f"{url}/16/{number}/0")
                (folder / str(number)).write_bytes(answer.content)

        await asyncio.gather(*(work() for _ in range(concurrency)))


@contextmanager
def serving() -> Iterator[str]:
    """A server in a process of its own; its address."""
    code = "from benchmarks.gather import serve; serve()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def serve() -> None:
    """Answer everything with a tile, until killed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(_ANSWER)
            await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # connections that are closed
        await server.serve_forever()

    asyncio.run(run())
