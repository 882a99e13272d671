"""One vote on captions in a file, by whatever build of the package is on the path: see ``vote_speed``."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import peak_mb


def voted(pictures: str, chosen: str) -> dict[str, Any]:
    """Vote on all pictures; imports and models count. Only what every build since 6317c8a has is called.

    Args:
        pictures: JSON file with the candidates of each.
        chosen: JSON file to write: winner and scores of each.
    """
    began, before = time.perf_counter(), _user_s()
    from urbanln.captions.capture import load_vectors
    from urbanln.captions.consensus import vote_many

    groups = json.loads(Path(pictures).read_text())
    votes = vote_many(groups, vectors=load_vectors())
    spent = {"user_s": _user_s() - before, "wall_s": time.perf_counter() - began, "peak_mb": peak_mb()}
    Path(chosen).write_text(json.dumps([[vote.index, list(vote.scores)] for vote in votes]))
    return spent


def kept(candidates: str, folder: str) -> dict[str, Any]:
    """Read a table of candidates, clean them, vote with a ledger that keeps the parses, write the outcome.

    Args:
        candidates: Parquet file with ``image_id``, ``captioner`` and ``caption``.
        folder: For ledger and table.
    """
    from benchmarks.harness import memory_mb
    from urbanln.base.files import write_table
    from urbanln.captions.asking.ledger import Ledger
    from urbanln.captions.captioners.recorded import read_rows
    from urbanln.captions.cleaning.clean import clean_captions
    from urbanln.captions.run import choose, load_language
    from urbanln.captions.settings import CaptionSettings
    from urbanln.captions.table import on_disk

    settings = CaptionSettings()
    language = load_language(settings, several=True)
    idle, before, began = memory_mb("self"), _user_s(), time.perf_counter()
    with Ledger(Path(folder)) as facts:
        clean = on_disk(clean_captions(read_rows(candidates), settings.clean).frame)
        table = choose(clean, settings, language, None, 248, facts)
    write_table(Path(folder) / "captions.parquet", table, kind="captions")
    disk = sum(file.stat().st_size for file in Path(folder).iterdir())
    took = {"user_s": _user_s() - before, "wall_s": time.perf_counter() - began}
    return {**took, "idle_mb": idle, "disk_bytes": disk, "rows": len(table)}


def _user_s() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(who).ru_utime for who in whose)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
