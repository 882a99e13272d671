"""The stages whose growth is measured, each on the made-up city of one size.

:mod:`benchmarks.growth` makes the folder and calls :func:`run` in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.cities import caption_groups, tiles
from benchmarks.harness import memory_mb, timed
from benchmarks.probe_scale import vectors_and_label
from urbanln.base.config import CacheSettings, load_settings
from urbanln.base.files import read_table, write_table
from urbanln.captions.table import candidates_table
from urbanln.city.store import City
from urbanln.tables.vectors import read_embeddings, write_embeddings

CANDIDATES, DIM = 3, 128
_EDGE = 64  # pixels of a tile on disk
_CITY, _CANDIDATES, _VECTORS = "city", "candidates.parquet", "vectors.parquet"
Stage = tuple[Callable[[], object], Sequence[Path]]
"""What is timed, and where it writes. Networks and code are loaded before it."""


def make_data(root: Path, count: int) -> None:
    """A city of so many regions with a tile and a caption each, candidate captions, and a table of vectors.

    Args:
        root: Folder to fill.
        count: Regions: points at random, one per km².
    """
    lonlat, vectors, label = vectors_and_label(count, DIM)
    city = tiles(root / _CITY, lonlat, label, edge=_EDGE)
    rows = [
        (name, f"captioner {k}", text)
        for name, group in zip(city.images["image_id"], caption_groups(count), strict=True)
        for k, text in enumerate(group[:CANDIDATES])
    ]
    candidates = pd.DataFrame(rows, columns=["image_id", "captioner", "caption"])
    write_table(root / _CANDIDATES, candidates, kind="candidates")
    city.save_captions(candidates_table(candidates[candidates["captioner"] == "captioner 0"]))
    table = city.regions[["region_id", "geometry"]].assign(n_images=1, vector=list(vectors))
    write_embeddings(root / _VECTORS, table, view="satellite")


def cache(root: Path) -> Stage:
    """Read, check and decode every picture and keep its pixels."""
    return _reader(root), [root / "cache"]


def _reader(root: Path) -> Callable[[], object]:
    from urbanln.model.clip import load_clip
    from urbanln.train.batches import read_all

    model = load_clip("tiny")

    def read() -> None:
        city = _open(root)
        rows = pd.DataFrame({"city": 0, "path": city.images["path"]})
        read_all([city], rows, model, load_settings().train, CacheSettings())

    return read


def epoch(root: Path) -> Stage:
    """Pre-train for one epoch on kept pixels: set-up, steps, validation, checkpoint, the saved models."""
    from urbanln.train.loop import pretrain

    _reader(root)()
    settings = load_settings(base={"train": {"epochs": 1}})
    return lambda: pretrain(_open(root), settings, root / "run"), [root / "run"]


def embed(root: Path) -> Stage:
    """A vector of every region, with the parts that are kept on the way."""
    from urbanln.embed.encode import embed_regions
    from urbanln.embed.parts import parts_folder
    from urbanln.model.clip import load_clip

    model, table = load_clip("tiny"), root / "embeddings.parquet"
    parts = parts_folder(table)

    def work() -> None:
        write_embeddings(table, embed_regions(model, _open(root), parts=parts), view="satellite")

    return work, [table, parts]


def vote(root: Path) -> Stage:
    """Choose one of three captions per picture, with the ledger that keeps the parses."""
    from urbanln.captions.asking.ledger import Ledger
    from urbanln.captions.asking.ledger_place import LEDGER_NAME
    from urbanln.captions.run import choose, load_language
    from urbanln.captions.settings import CaptionSettings
    from urbanln.stages.bridges import token_counter

    settings, count = CaptionSettings(), token_counter("tiny")
    language = load_language(settings, several=True)
    folder = root / _CITY
    table, ledger = folder / "captions.parquet", folder / LEDGER_NAME
    table.unlink()

    def work() -> None:
        city, candidates = _open(root), read_table(root / _CANDIDATES, kind="candidates")
        with Ledger(ledger) as facts:
            city.save_captions(choose(candidates, settings, language, count, 248, facts))

    return work, [table, ledger]


def probe(root: Path) -> Stage:
    """Score a table of vectors on one label: block split, one seed, ridge beside the nearest neighbours."""
    from urbanln.probe.saved import save_result
    from urbanln.stages.probe import run_probe

    chosen = {"heads": ["ridge"], "splits": ["block"], "floors": ["coordinates"], "seeds": 1, "curve": []}
    settings = load_settings(base={"probe": chosen | {"joint": False}})

    def work() -> None:
        vectors = {"vectors": read_embeddings(root / _VECTORS)}
        save_result(root / "scores", run_probe(_open(root), vectors, settings))

    return work, [root / "scores"]


STAGES: dict[str, Callable[[Path], Stage]] = {
    "cache": cache, "epoch": epoch, "embed": embed, "vote": vote, "probe": probe,
}  # fmt: skip


def run(stage: str, root: Path | str) -> dict[str, float | None]:
    """Seconds, bytes on disk, and the memory held before; see :func:`benchmarks.harness.memory_mb`."""
    work, writes = STAGES[stage](Path(root))
    before, idle = _bytes(writes), memory_mb("self")
    seconds, _ = timed(work)
    return {"seconds": seconds, "bytes": _bytes(writes) - before, "idle_mb": idle}


def _open(root: Path) -> City:
    return City.open(root / _CITY)


def _bytes(places: Sequence[Path]) -> int:
    """Size of files, and of all files in folders; of a database also what is not yet merged into it."""
    files = [file for place in places for file in (place, *place.parent.glob(f"{place.name}-*"))]
    files += [file for place in places if place.is_dir() for file in place.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file())
