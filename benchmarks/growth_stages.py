"""The stages whose growth is measured, each on the made-up city of one size, in a process of its own.

    python -m benchmarks.growth_stages STAGE FOLDER

prints what it took as one line of JSON. :mod:`benchmarks.growth` makes the folder and calls this.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.probe_scale import make_city as vectors_and_label
from benchmarks.vote_speed import grammar_groups
from urbanln.base.config import CacheSettings, load_settings
from urbanln.base.files import read_table, write_table
from urbanln.captions.table import candidates_table
from urbanln.city.store import City, Meta
from urbanln.tables.vectors import read_embeddings, write_embeddings

CANDIDATES, DIM = 3, 128
_EDGE = 64  # pixels of a tile on disk
_CITY, _CANDIDATES, _VECTORS = "city", "candidates.parquet", "vectors.parquet"


def make_data(root: Path, count: int) -> None:
    """A city of so many regions with a tile and a caption each, candidate captions, and a table of vectors.

    Args:
        root: Folder to fill.
        count: Regions: points at random, one per km².
    """
    (root / _CITY / "pictures").mkdir(parents=True)
    ids = [f"r{i:06d}" for i in range(count)]
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda i: _tile(root / _CITY / "pictures" / f"{ids[i]}.jpg", i), range(count)):
            pass
    lonlat, vectors, label = vectors_and_label(count, DIM)
    lon, lat = lonlat.T
    regions = gpd.GeoDataFrame({"region_id": ids}, geometry=gpd.points_from_xy(lon, lat), crs="EPSG:4326")
    images = {"image_id": ids, "region_id": ids, "view": "satellite", "lon": lon, "lat": lat}
    city = City.create(
        root / _CITY,
        meta=Meta(name="growth", synthetic=True),
        regions=regions,
        images=pd.DataFrame(images | {"path": [f"pictures/{name}.jpg" for name in ids]}),
        indicators=pd.DataFrame({"region_id": ids, "label": label}),
    )
    rows = [
        (name, f"captioner {k}", text)
        for name, group in zip(ids, grammar_groups(count), strict=True)
        for k, text in enumerate(group[:CANDIDATES])
    ]
    candidates = pd.DataFrame(rows, columns=["image_id", "captioner", "caption"])
    write_table(root / _CANDIDATES, candidates, kind="candidates")
    city.save_captions(candidates_table(candidates[candidates["captioner"] == "captioner 0"]))
    write_embeddings(root / _VECTORS, regions.assign(n_images=1, vector=list(vectors)), view="satellite")


def _tile(path: Path, number: int) -> None:
    rng = np.random.default_rng((0, number))
    coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    wide = np.asarray(coarse.resize((_EDGE, _EDGE), Image.Resampling.BILINEAR)).astype(np.int16)
    noisy = wide + rng.integers(-12, 13, (_EDGE, _EDGE, 1), dtype=np.int16)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=85)


@dataclass(frozen=True)
class Stage:
    """What is timed, and where it writes. Networks and code are loaded before it."""

    work: Callable[[], object]
    writes: Sequence[Path]


def cache(root: Path) -> Stage:
    """Read, check and decode every picture and keep its pixels."""
    import urbanln.train.batches  # noqa: F401 (loading code is not what is timed)

    model = _tiny()
    return Stage(lambda: _read_all(root, model), [root / "cache"])


def epoch(root: Path) -> Stage:
    """Pre-train for one epoch on kept pixels: set-up, steps, validation, checkpoint, the saved models."""
    from urbanln.train.loop import pretrain

    _read_all(root, _tiny())
    settings = load_settings(base={"train": {"epochs": 1}})
    return Stage(lambda: pretrain(_open(root), settings, root / "run"), [root / "run"])


def embed(root: Path) -> Stage:
    """A vector of every region, with the parts that are kept on the way."""
    from urbanln.embed.encode import embed_regions
    from urbanln.embed.parts import parts_folder

    model, table = _tiny(), root / "embeddings.parquet"
    parts = parts_folder(table)

    def work() -> None:
        write_embeddings(table, embed_regions(model, _open(root), parts=parts), view="satellite")

    return Stage(work, [table, parts])


def vote(root: Path) -> Stage:
    """Choose one of three captions per picture, with the ledger that keeps the parses."""
    from urbanln.captions.asking.ledger import Ledger
    from urbanln.captions.run import choose, ledger_path, load_language
    from urbanln.captions.settings import CaptionSettings
    from urbanln.stages.bridges import token_counter

    settings, count = CaptionSettings(), token_counter("tiny")
    language = load_language(settings, several=True)
    folder = root / _CITY
    table, ledger = folder / "captions.parquet", ledger_path(folder)
    table.unlink()

    def work() -> None:
        city, candidates = _open(root), read_table(root / _CANDIDATES, kind="candidates")
        with Ledger(ledger) as facts:
            city.save_captions(choose(candidates, settings, language, count, 248, facts))

    return Stage(work, [table, ledger])


def probe(root: Path) -> Stage:
    """Score a table of vectors on one label: block split, one seed, ridge beside the nearest neighbours."""
    from urbanln.probe.run import save_result
    from urbanln.stages.probe import run_probe

    chosen = {"heads": ["ridge"], "splits": ["block"], "floors": ["coordinates"], "seeds": 1, "curve": []}
    settings = load_settings(base={"probe": chosen | {"joint": False}})

    def work() -> None:
        vectors = {"vectors": read_embeddings(root / _VECTORS)}
        save_result(root / "scores", run_probe(_open(root), vectors, settings))

    return Stage(work, [root / "scores"])


STAGES: dict[str, Callable[[Path], Stage]] = {
    "cache": cache, "epoch": epoch, "embed": embed, "vote": vote, "probe": probe,
}  # fmt: skip


def run(stage: str, root: Path) -> dict[str, float | None]:
    """Seconds, bytes on disk, and the memory held before; see :func:`memory_mb`."""
    ready = STAGES[stage](root)
    before, idle = _bytes(ready.writes), memory_mb("self")
    start = time.perf_counter()
    ready.work()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "bytes": _bytes(ready.writes) - before, "idle_mb": idle}


def memory_mb(process: int | str) -> float | None:
    """Memory that a process and all it started hold now, MB; None where there is no ``/proc``.

    Mapped files (kept pixels, packages) do not count: the system takes their pages back when it needs them.
    """
    if not Path("/proc/self/status").exists():
        return None
    total, open_ = 0.0, [str(process)]
    while open_:
        place = Path("/proc") / open_.pop()
        try:
            lines = (place / "status").read_text().splitlines()
            for task in (place / "task").iterdir():
                open_ += (task / "children").read_text().split()
        except OSError:
            continue  # it has just ended
        total += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    return total * 1024 / 1e6


def _open(root: Path) -> City:
    return City.open(root / _CITY)


def _tiny() -> Any:
    from urbanln.model.clip import load_clip

    return load_clip("tiny")


def _read_all(root: Path, model: Any) -> None:
    from urbanln.train.batches import read_all

    city = _open(root)
    rows = pd.DataFrame({"city": 0, "path": city.images["path"]})
    read_all([city], rows, model, load_settings().train, CacheSettings())


def _bytes(places: Sequence[Path]) -> int:
    """Size of files, and of all files in folders; of a database also what is not yet merged into it."""
    files = [file for place in places for file in (place, *place.parent.glob(f"{place.name}-*"))]
    files += [file for place in places if place.is_dir() for file in place.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]))))
