"""The stages whose growth is measured, each on the made-up city of one size.

:mod:`benchmarks.growth` makes the folder and calls :func:`run` in a process of its own.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.cities import caption_groups, tiles
from benchmarks.harness import memory_mb, timed
from benchmarks.probe_scale import vectors_and_label
from urbanln.base.config import CacheSettings, load_settings
from urbanln.base.files import read_table, write_table
from urbanln.captions.table import candidates_table
from urbanln.city.meta import CITY_FILE
from urbanln.city.store import CAPTIONS_FILE, City
from urbanln.explore.content import Content
from urbanln.tables.cities import read_vectors
from urbanln.tables.vectors import write_embeddings

CANDIDATES, DIM = 3, 128
_EDGE = 64  # pixels of a tile on disk
_CITY, _CANDIDATES, _VECTORS, _TABLE = "city", "candidates.parquet", "vectors.parquet", "table.csv"
Stage = tuple[Callable[[], object], Sequence[Path]]
"""What is timed, and where it writes. Networks and code are loaded before it."""


def make_data(root: Path, count: int, stages: Sequence[str] = ("vote",)) -> None:
    """What stages work on: what is there already is kept.

    A city of so many regions with a tile and a caption each, a table that names the same pictures and places,
    and a table of vectors; candidate captions for the vote alone, since they take longest.

    Args:
        root: Folder to fill.
        count: Regions: points at random, one per km².
        stages: That are to be run.
    """
    folder = root / _CITY
    wanted = [folder / CITY_FILE, root / _TABLE, root / _VECTORS, folder / CAPTIONS_FILE]
    if not all(path.exists() for path in wanted):
        shutil.rmtree(folder, ignore_errors=True)
        lonlat, vectors, label = vectors_and_label(count, DIM)
        city = tiles(folder, lonlat, label, edge=_EDGE)
        ids = city.images["image_id"]
        table = pd.DataFrame({"id": ids, "lon": lonlat[:, 0], "lat": lonlat[:, 1], "label": label})
        table.to_csv(root / _TABLE, index=False)
        regions = city.regions[["region_id", "geometry"]].assign(n_images=1, vector=list(vectors))
        write_embeddings(root / _VECTORS, regions, view="satellite")
        said = [group[0] for group in caption_groups(count, 1)]
        rows = pd.DataFrame({"image_id": ids, "captioner": "captioner 0", "caption": said})
        city.save_captions(candidates_table(rows))
    if "vote" in stages and not (root / _CANDIDATES).exists():
        names = _open(root).images["image_id"]
        candidates = [
            (name, f"captioner {k}", text)
            for name, group in zip(names, caption_groups(count, CANDIDATES), strict=True)
            for k, text in enumerate(group)
        ]
        frame = pd.DataFrame(candidates, columns=["image_id", "captioner", "caption"])
        write_table(root / _CANDIDATES, frame, kind="candidates")


def ingest(root: Path) -> Stage:
    """Find, read and check every picture, copy it, and write the city's tables."""
    from urbanln.city.ingest import ingest as make_city

    out = root / "ingested"
    shutil.rmtree(out, ignore_errors=True)

    def work() -> None:
        where = root / _CITY / "pictures", root / _TABLE, out
        made = make_city(*where, name="tiles", id_column="id", labels=["label"])
        assert made.pictures == made.rows

    return work, [out]


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
        write_embeddings(table, embed_regions(model, _open(root, "embed"), parts=parts), view="satellite")

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

    chosen = {
        "heads": ["ridge"],
        "splits": ["block"],
        "floors": ["coordinates-nearest"],
        "seeds": 1,
        "curve": [],
    }
    settings = load_settings(base={"probe": chosen | {"joint": False}})

    def work() -> None:
        city = _open(root, "probe")
        vectors = read_vectors([str(root / _VECTORS)], [city])
        save_result(root / "scores", run_probe(city, vectors, settings))

    return work, [root / "scores"]


def explore(root: Path) -> Stage:
    """Start ``urbanln explore`` with vectors and scores, and answer what a page asks first, then what is
    alike to a region."""
    from starlette.testclient import TestClient

    from urbanln.explore.server import make_app

    _scores(root)

    def work() -> None:
        app = make_app(_content(root), "127.0.0.1", 80)
        page = TestClient(app, base_url="http://127.0.0.1")
        for path in ("/api/content", "/api/places", "/tile/0/0/0", "/api/column?key=label:label"):
            found = page.get(path)
            assert found.status_code == 200 or path[1] == "t", found.text
        found = page.post("/api/similar", json={"rows": [0], "k": 10})
        assert len(found.json()["rows"]) == 10

    return work, []


def export(root: Path) -> Stage:
    """Write the same page as files, with pictures."""
    from urbanln.explore.exporting import export_page

    _scores(root)
    out = root / "page"
    return lambda: export_page(_content(root), out), [out]


def report(root: Path) -> Stage:
    """Write the report of the probe."""
    from urbanln.stages.report import report_run

    _scores(root)
    page = root / "report.html"
    return lambda: report_run(_open(root, "report"), root / "scores", page), [page]


def audit_pictures(root: Path) -> Stage:
    """Look for pictures that nearly equal another region's."""
    from urbanln.city.near_duplicates import audit_pictures as look

    return lambda: look(_open(root)), []


def audit_labels(root: Path) -> Stage:
    """Look at a label: Moran's I with its test, the variogram, twins, advice on blocks."""
    from urbanln.stages.audit import audit

    return lambda: audit(_open(root), pictures=False, captions=pd.DataFrame()), []


def audit_captions(root: Path) -> Stage:
    """Look at a caption per picture: faults, stock sentences, tokens."""
    from urbanln.captions.audit import audit_captions as look
    from urbanln.stages.bridges import token_counter

    count = token_counter("clip")
    return lambda: look(_open(root).captions, places=["Tiles"], count_tokens=count), []


def leakage(root: Path) -> Stage:
    """Cut five block splits and tell what they let through."""
    from urbanln.base.space import to_metres
    from urbanln.probe.leakage import leakage_report
    from urbanln.probe.splits import block_split

    def work() -> None:
        city = _open(root)
        lonlat, labels = city.centroids(), city.indicators["label"]
        edges = load_settings().probe
        folds = [
            block_split(lonlat, edge_km=edges.block_km, buffer_km=edges.buffer_km, seed=seed)
            for seed in range(5)
        ]
        pairs = np.arange(len(lonlat)) // 2
        leakage_report(folds, metres=to_metres(lonlat), labels=labels, groups=pairs, buffer_km=1)

    return work, []


STAGES: dict[str, Callable[[Path], Stage]] = {
    "ingest": ingest, "cache": cache, "epoch": epoch, "embed": embed, "vote": vote, "probe": probe,
    "report": report, "explore": explore, "export": export, "audit_pictures": audit_pictures,
    "audit_labels": audit_labels, "audit_captions": audit_captions, "leakage": leakage,
}  # fmt: skip


def run(stage: str, root: Path | str) -> dict[str, float | None]:
    """Seconds by the clock and of all cores, bytes on disk, and the memory held before; see
    :func:`benchmarks.harness.memory_mb`."""
    work, writes = STAGES[stage](Path(root))
    before, idle, cpu = _bytes(writes), memory_mb("self"), _cpu_seconds()
    seconds, _ = timed(work)
    return {
        "seconds": seconds, "cpu_s": _cpu_seconds() - cpu, "bytes": _bytes(writes) - before, "idle_mb": idle,
    }  # fmt: skip


def _cpu_seconds() -> float:
    """Of this process and those it started that have ended."""
    spent = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _scores(root: Path) -> None:
    if not (root / "scores" / "scores.json").exists():
        probe(root)[0]()


def _content(root: Path) -> Content:
    from urbanln.stages.explore import Asked, content_of

    asked = Asked(vectors=str(root / _VECTORS), scores=root / "scores")
    return content_of([_open(root, "explore")], asked, load_settings())


def _open(root: Path, verb: str = "") -> City:
    """The city as a verb opens it."""
    if not verb:
        return City.open(root / _CITY)
    pictures = import_module(f"urbanln.stages.{verb}").PICTURES
    return City.open(root / _CITY, check_files=verb not in ("probe", "report"), pictures=pictures)


def _bytes(places: Sequence[Path]) -> int:
    """Size of files, and of all files in folders; of a database also what is not yet merged into it."""
    files = [file for place in places for file in (place, *place.parent.glob(f"{place.name}-*"))]
    files += [file for place in places if place.is_dir() for file in place.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file())
