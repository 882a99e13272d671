"""How true the captions were that each variant of a study trained on.

    python -m benchmarks study_captions --study studies/when.toml --out study-when [--json FILE]

``--out`` is what ``urbanln study`` wrote; its first seed is looked at, as captions do not hang on it. For
synthetic cities, whose scenes are known: of the objects that the chosen texts name, the share that is not
there; of those that are there, the share that no text names; words per text. Over all cities of the study
together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import markdown, options, write
from urbanln.captions.simulation.naming import object_errors
from urbanln.city.store import City
from urbanln.city.synthetic.scene import read_scene
from urbanln.study.run import CACHE
from urbanln.study.spec import load_study
from urbanln.study.stages import make_work
from urbanln.study.work import stage_city


def main(argv: Sequence[str] | None = None) -> None:
    """Hold the captions of each variant against the scenes, and print a Markdown table."""
    asked = options(__doc__, argv, study=Path, out=Path, json=None)
    sums: dict[str, list[float]] = {}
    for variant, city, captions in _chosen(asked.study, asked.out / CACHE):
        own = sums.setdefault(variant, [0.0] * 5)
        for number, value in enumerate(_errors(city, captions)):
            own[number] += value
    rows = {
        variant: {"untrue": 1 - hits / named, "missed": 1 - hits / true, "words": words / texts}
        for variant, (named, hits, true, words, texts) in sums.items()
    }
    write(asked.json, {"study": asked.study.name, "variants": rows})
    lines = [
        [variant, f"{row['untrue']:.2f}", f"{row['missed']:.2f}", f"{row['words']:.0f}"]
        for variant, row in rows.items()
    ]
    print(markdown(["variant", "false, of what is named", "missed, of what is there", "words"], lines))


def _chosen(study: Path, cache: Path) -> Iterator[tuple[str, City, pd.DataFrame]]:
    """Variant, city, and the captions that it trained on there, of every variant that was trained."""
    work = make_work(load_study(study, ["study.seeds=[0]"]))
    for score in work.scores:
        needed = [work.stages[name] for name in work.needed_by(score)]
        trained = next((stage for stage in needed if stage.kind == "pretrain"), None)
        if score.variant is None or trained is None:
            continue
        city, captions = (work.stages[name] for name in trained.needs[:2])
        if captions.done(cache):
            table = pd.read_parquet(captions.folder(cache) / "captions.parquet")
            yield score.variant, stage_city(city.folder(cache)), table[table["selected"]]


def _errors(city: City, captions: pd.DataFrame) -> tuple[float, ...]:
    """Objects named, those of them that are there, all that are there, words, texts."""
    paths: dict[str, Any] = city.images.set_index("image_id")["path"].to_dict()
    found = [
        object_errors(row.caption, read_scene(city.folder / paths[row.image_id]))
        for row in captions.itertuples()
    ]
    words = int(np.sum([len(text.split()) for text in captions["caption"]]))
    return (
        sum(one.named for one in found), sum(one.hits for one in found), sum(one.true for one in found),
        words, len(found),
    )  # fmt: skip
