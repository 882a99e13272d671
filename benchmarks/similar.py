"""The most similar regions: the explorer's search against a plain product of all vectors in memory.

    python -m benchmarks similar [--regions 1000000] [--width 512] [--repeat 20] [--vectors FILE] [--json
    FILE]

Ways take turns on the same queries: the plain float32 product with its top 100; the search with a quarter of
the numbers kept, with none kept, from a file mapped into memory; the whole answer of the served page over
HTTP; and DuckDB's ``list_cosine_similarity`` where the package duckdb is installed. All must find the same
100.

Vectors are drawn in as many directions as trained ones have: those of ``--vectors`` (a table of region
vectors), mixed in pairs with noise of 2 %; without it, directions whose variance falls as a power of their
rank.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import geopandas as gpd
import httpx
import numpy as np
import pandas as pd
import shapely

from benchmarks.harness import ends, facts, markdown, options, ratio, turns, write
from urbanln.explore.content import Column, Content, Place, Vectors
from urbanln.explore.search import VectorSearch
from urbanln.explore.server import listen
from urbanln.tables.vectors import matrix, read_embeddings

_K = 100
Way = Callable[[int], np.ndarray]
_DECAY = (
    0.75  # of the standard deviation of a direction with its rank, about that of a tower's region vectors
)


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table; with ``--json`` also write the figures."""
    asked = options(
        __doc__, argv, regions=1_000_000, width=512, repeat=20, vectors=None, duckdb_repeat=3, json=None
    )
    vectors = make(asked.regions, asked.width, asked.vectors)
    queries = np.random.default_rng(1).integers(0, len(vectors), asked.repeat + 1)
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        ways = _ways(vectors, Path(folder))
        plain = _plain(vectors)
        for name, (way, held) in ways.items():
            repeat = asked.duckdb_repeat if name == "DuckDB" else asked.repeat
            seconds, found = turns(repeat, _in_turn(plain, queries), _in_turn(way, queries))
            same = np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(*found, strict=True)])
            over = ratio(seconds[1], seconds[0])
            figures[name] = {
                **over,
                "ms": (1e3 * seconds[1]).tolist(),
                "plain_ms": (1e3 * seconds[0]).tolist(),
            }
            figures[name] |= {"same": float(same), "held": held / vectors.nbytes}
            rows.append([
                name, f"{1e3 * np.median(seconds[0]):.1f}", f"{1e3 * np.median(seconds[1]):.1f}",
                f"{over['ratio']:.2f}", ends(over["range"]), f"{held / vectors.nbytes:.2f}", f"{same:.3f}",
            ])  # fmt: skip
    print(f"{len(vectors):,} regions, {vectors.shape[1]} numbers, {json.dumps(facts())}")
    print(
        markdown(["way", "plain ms", "ms", "ratio", "range", "memory beside the vectors", "same 100"], rows)
    )
    write(asked.json, {**facts(), "regions": len(vectors), "width": vectors.shape[1], "ways": figures})


def make(regions: int, width: int, table: Path | None) -> np.ndarray:
    """Vectors of many regions (N, width), float32, see the head of this file."""
    rng = np.random.default_rng(0)
    out = np.empty((regions, width), np.float32)
    real = None if table is None else matrix(read_embeddings(table))
    for start in range(0, regions, 20_000):
        n = min(20_000, regions - start)
        if real is None:
            part = rng.normal(size=(n, width)) * np.arange(1, width + 1) ** -_DECAY + 0.5 * (
                np.arange(width) == 0
            )
        else:
            pairs = [rng.integers(0, len(real), (2, n)) for _ in range(-(-width // real.shape[1]))]
            share = rng.random((n, 1))
            mixed = [real[a] * share + real[b] * (1 - share) for a, b in pairs]
            part = np.concatenate(mixed, axis=1)[:, :width]
            part += 0.02 * part.std() * rng.normal(size=part.shape)
        out[start : start + n] = part
    return out


def _plain(vectors: np.ndarray) -> Way:
    inverse = 1 / np.linalg.norm(vectors, axis=1)

    def way(row: int) -> np.ndarray:
        scores = (vectors @ vectors[row]) * inverse
        scores[row] = -np.inf
        best = np.argpartition(scores, -_K)[-_K:]
        return best[np.argsort(-scores[best])]

    return way


def _in_turn(way: Way, queries: np.ndarray) -> Callable[[], np.ndarray]:
    """A way that takes the next query each time it is called."""
    number = iter(queries.tolist())
    return lambda: way(next(number))


def _but_itself(search: VectorSearch) -> Way:
    def way(row: int) -> np.ndarray:
        found = search.top(search.vectors[row], _K + 1).rows
        return found[found != row][:_K]

    return way


def _ways(vectors: np.ndarray, folder: Path) -> dict[str, tuple[Way, int]]:
    """By name: region to the most similar ones, and bytes held beside the vectors."""
    np.save(folder / "vectors.npy", vectors)
    mapped = np.load(folder / "vectors.npy", mmap_mode="r")
    quarter, none, disk = VectorSearch(vectors), VectorSearch(vectors, 0), VectorSearch(mapped)
    found = {
        "search": (_but_itself(quarter), quarter.held),
        "search, nothing kept": (_but_itself(none), none.held),
        "search, vectors on disk": (_but_itself(disk), disk.held),
        "answer over HTTP": (_served(quarter), quarter.held),
    }
    if find_spec("duckdb"):
        found["DuckDB"] = (_duckdb(vectors), vectors.nbytes)
    return found


def _served(search: VectorSearch) -> Way:
    """The page's answer, from a server in a thread of this process."""
    n = len(search)
    side = int(np.ceil(n**0.5))
    lonlat = np.column_stack([np.arange(n) % side, np.arange(n) // side]) * 0.001
    regions = gpd.GeoDataFrame(
        {"region_id": np.arange(n).astype(str)}, geometry=shapely.points(lonlat), crs=4326
    )
    pictures = pd.DataFrame(
        {name: [] for name in ("row", "view", "captured", "licence", "attribution", "free")}
    )
    captions = pd.DataFrame(
        {name: [] for name in ("picture", "text", "captioner", "selected", "agreement", "weight")}
    )
    content = Content(
        title="many", regions=regions, lonlat=lonlat, places=[Place("many", 0, n)],
        columns={"a": Column("a", "a", "label", np.zeros(n, np.float32))}, pictures=pictures,
        captions=captions,
        open_picture=lambda row: b"", vectors=Vectors(search, np.arange(n)),
    )  # fmt: skip
    server, sock, address = listen(content)
    threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True).start()
    client = httpx.Client(base_url=address, timeout=60)

    def way(row: int) -> np.ndarray:
        answer = client.post("api/similar", json={"rows": [row], "k": _K})
        return np.array(answer.json()["rows"])

    return way


def _duckdb(vectors: np.ndarray) -> Way:
    """The same by SQL, out of a table in memory."""
    import duckdb
    import pyarrow as pa

    width = vectors.shape[1]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)
    given = pa.table({"row": np.arange(len(vectors)), "vector": lists})
    base = duckdb.connect()
    base.execute("create table regions as select * from given")
    like = f"array_cosine_similarity(vector, ?::float[{width}])"
    ask = f"select row from regions order by {like} desc limit {_K + 1}"
    del given

    def way(row: int) -> np.ndarray:
        found = np.array([one for (one,) in base.execute(ask, [vectors[row].tolist()]).fetchall()])
        return found[found != row][:_K]

    return way
