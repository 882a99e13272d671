"""What is a vote worth when captioners share their mistakes?

    python -m benchmarks captions_shared --out shared-out [--regions 256] [--seeds 5]

Simulated captioners err independently of each other, which flatters a vote: what one makes up, no other bears
out. Here a share of their errors comes from random numbers that all of them have in common, at the same
rates. Per seed, the satellite pictures of a city of its own are described by five captioners, and the text
chosen by vote is compared with the true scene, beside those chosen in other ways.

Nothing is asked of a server, refined or cleaned. Run again after a kill, it goes on with the seed it was at.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.caption_measures import Scenes, choices, count_errors, error_shares, interval, picks
from benchmarks.harness import markdown, options
from urbanln.base.files import write_json
from urbanln.base.parsing import read_json
from urbanln.captions.capture import PhraseVectors, load_vectors
from urbanln.captions.facts import MemoryFacts
from urbanln.captions.parsing.parse import load_parser
from urbanln.captions.scene_graph import Parser
from urbanln.captions.simulation.simulated import SIMULATED
from urbanln.captions.voted import vote_table
from urbanln.city.synthetic.fields import make_cells
from urbanln.city.synthetic.satellite import draw_tile

FIRST_SEED = 500
SHARES = (0.0, 0.25, 0.5, 0.75)
BEST = "best single (by truth)"
CHOSEN = ("vote", "random", "longest", BEST)
MEASURES = ("hallucinated", "missed", "f1", "best")
ERRORS = ("hallucinated", "omitted")
_TILE_PX = 48  # scenes do not depend on it, and nobody looks at the pictures


def main(argv: Sequence[str] | None = None) -> None:
    """Describe, vote, measure and print Markdown tables."""
    asked = options(__doc__, argv, out=Path, regions=256, seeds=5)
    parser, vectors = load_parser("spacy"), load_vectors()
    seeds = range(FIRST_SEED, FIRST_SEED + asked.seeds)
    found = [measure_seed(asked.out, seed, asked.regions, parser, vectors) for seed in seeds]
    write_json(asked.out / "captions_shared.json", {"regions": asked.regions, "seeds": found})
    print(shared_tables(found))


def measure_seed(
    out: Path, seed: int, regions: int, parser: Parser, vectors: PhraseVectors
) -> dict[str, Any]:
    """What :func:`measure` finds for a seed and each share of errors in common; kept in a file of ``out``.

    Raises:
        SystemExit: The file is of a city of another size.
    """
    path = out / f"seed-{seed}.json"
    if path.exists():
        kept: dict[str, Any] = read_json(path)
        if kept["regions"] != regions:
            raise SystemExit(f"{path} is of {kept['regions']} regions, not {regions}: give another --out")
        return kept
    scenes = tile_scenes(regions, seed)
    facts = MemoryFacts()  # careful captioners say much the same whatever is shared
    by_share = {}
    for share in SHARES:
        print(f"seed {seed}: {share:.0%} of errors in common", file=sys.stderr, flush=True)
        texts = describe(scenes, seed, share)
        candidates = texts[["image_id", "captioner", "caption"]]
        voted = vote_table(candidates, parser=parser, vectors=vectors, facts=facts, processes=1)
        by_share[f"{share:g}"] = measure(texts, voted, scenes)
    found = {"seed": seed, "regions": regions, "shared": by_share}
    write_json(path, found)
    return found


def tile_scenes(regions: int, seed: int) -> Scenes:
    """The true scenes of a city's satellite pictures."""
    cells, _ = make_cells(regions, seed=seed, cell_km=1.0, street_views=0, street_missing=0.0)
    return {f"{cell.region_id}_satellite": draw_tile(cell, _TILE_PX)[1] for cell in cells}


def describe(scenes: Scenes, seed: int, shared: float) -> pd.DataFrame:
    """A text per picture and captioner, with the objects it makes up and leaves out.

    Args:
        scenes: The true scenes.
        seed: Of the captioners: without it, pictures of one name had the same errors in every city.
        shared: Share of errors from common random numbers.

    Returns:
        Columns ``image_id``, ``captioner``, ``caption``, ``hallucinated``, ``omitted`` (lists of names).
    """
    captioners = [replace(one, seed=seed, shared=shared) for one in SIMULATED]
    rows = [
        (image_id, captioner.name, *captioner.describe_with_errors(scene, image_id))
        for image_id, scene in scenes.items()
        for captioner in captioners
    ]
    columns = ["image_id", "captioner", "caption", "omitted", "hallucinated"]
    return pd.DataFrame(rows, columns=columns)


def measure(texts: pd.DataFrame, voted: pd.DataFrame, scenes: Scenes) -> dict[str, Any]:
    """How good the chosen texts are, and how much captioners err alike.

    Args:
        texts: From :func:`describe`.
        voted: The caption table after the vote.
        scenes: The true scenes.

    Returns:
        ``chosen``: way to choose → the :data:`MEASURES` (shares over all chosen texts together; F1 per
        picture; ``best``: share of pictures where no other candidate has a higher F1). "Random" is the
        expectation, all candidates together. ``alike``: see :func:`error_overlap`, by kind of error.
    """
    errors = count_errors(texts, scenes)
    picked, scored = picks(errors, voted), choices(errors, voted)
    chosen = {how: scored[how] | error_shares(picked[how]) for how in CHOSEN}
    chosen = {how: {what: found[what] for what in MEASURES} for how, found in chosen.items()}
    return {"chosen": chosen, "alike": {kind: error_overlap(texts, kind) for kind in ERRORS}}


def error_overlap(texts: pd.DataFrame, kind: str) -> float | None:
    """Of a captioner's errors, the share that another one makes on the same picture, mean over the others.

    Args:
        texts: From :func:`describe`; each captioner has a text on each picture.
        kind: ``"hallucinated"`` or ``"omitted"``.

    Returns:
        The share over all errors together; None where there are none.
    """
    single = texts[["image_id", "captioner", kind]].explode(kind).dropna()
    others = texts["captioner"].nunique() - 1
    if single.empty or not others:
        return None
    again = single.groupby(["image_id", kind])["captioner"].transform("size") - 1
    return float(again.mean() / others)


def shared_tables(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of what :func:`measure_seed` found: mean ± 95 % interval over seeds."""
    rows, gains = [], []
    for share in SHARES:
        at_share = [one["shared"][f"{share:g}"] for one in found]
        of = {
            how: {what: [one["chosen"][how][what] for one in at_share] for what in MEASURES} for how in CHOSEN
        }
        for how, values in of.items():
            rows.append([f"{share:.0%}", how, *(interval(values[what]).show() for what in MEASURES)])
        gain = [interval(np.subtract(of["vote"]["f1"], of[how]["f1"])).show(sign=True) for how in CHOSEN[1:]]
        alike = [[one["alike"][kind] for one in at_share] for kind in ERRORS]
        told = ["–" if None in values else interval(values).show() for values in alike]
        gains.append([f"{share:.0%}", *gain, *told])
    head = ["in common", "chosen", "hallucinated", "missed", "object F1", "is the best"]
    head_of_gains = [
        "in common",
        *(f"F1: vote − {how}" for how in CHOSEN[1:]),
        "made up alike",
        "missed alike",
    ]
    return (
        f"### The chosen text, by share of errors in common\n\n{markdown(head, rows)}\n"
        "### What the vote gains, by seed; errors of one that another makes too\n\n"
        f"{markdown(head_of_gains, gains)}"
    )
