"""How well captions are parsed, against graphs that people made.

    python -m benchmarks parser_quality --factual CLONE

CLONE: the public repository zhuang-li/FactualSceneGraph (bare or not), whose FACTUAL data set has people's
graphs of captions of image regions. The rules were tuned on its "dev" and "train" files; no rule was tuned on
"test".

Measure: per caption, the distinct objects (singular), the distinct words of attributes, and the distinct
exact triples (subject, relation, object) are counted as found, missed or invented; F1 is of the sums over
all captions. FACTUAL's "is" facts are attributes. Loose quantities (several, many) are left out on both
sides: FACTUAL does not note them.
"""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import markdown, options
from urbanln.captions.networks.factual import read_linear_graph, singular_phrase
from urbanln.captions.parsing.parse import load_parser, parse_all
from urbanln.captions.parsing.scene_words import LOOSE_QUANTITIES
from urbanln.captions.scene_graph import SceneGraph

FLOOR = {"objects": 0.870, "attribute words": 0.666, "exact triples": 0.562}  # simple rules, same data
FILES = {"dev": "data/factual_sg/random/dev.csv", "test": "data/factual_sg/random/test.csv"}
Items = dict[str, set]


def main(argv: Sequence[str] | None = None) -> None:
    """Print precision, recall and F1 on both files as Markdown."""
    asked = options(__doc__, argv, factual=Path)
    parser = load_parser("spacy")
    rows = []
    for file, path in FILES.items():
        entries = list(csv.DictReader(io.StringIO(read_from_clone(asked.factual, path))))
        ours = [items(graph) for graph in parse_all([entry["caption"] for entry in entries], parser)]
        theirs = [people_items(entry["scene_graph"]) for entry in entries]
        for what, (precision, recall, f1) in agreement(ours, theirs).items():
            shown = [f"{precision:.3f}", f"{recall:.3f}", f"**{f1:.3f}**", f"{FLOOR[what]:.3f}"]
            rows.append([file, f"{len(entries):,}", what, *shown])
    print(markdown(["file", "captions", "what", "precision", "recall", "F1", "floor"], rows), end="")


def read_from_clone(clone: Path, path: str) -> str:
    """A file of a clone that may have no work tree."""
    if (clone / path).is_file():
        return (clone / path).read_text(encoding="utf-8")
    shown = subprocess.run(
        ["git", "-C", str(clone), "show", f"HEAD:{path}"], capture_output=True, check=True, encoding="utf-8"
    )
    return shown.stdout


def people_items(linear: str) -> Items:
    """What people's graph of a caption says."""
    # Read like an answer of the model, but with what no graph of ours names as well: it counts as missed.
    return items(read_linear_graph([linear], hidden=frozenset()))


def items(graph: SceneGraph) -> Items:
    """What is compared of a graph."""
    return {
        "objects": {singular_phrase(name) for name in graph.objects},
        "attribute words": {
            word for found in graph.attributes.values() for attribute in found for word in attribute.split()
        }
        - LOOSE_QUANTITIES,
        "exact triples": {
            (singular_phrase(subject), relation, singular_phrase(thing))
            for subject, relation, thing in graph.relations
        },
    }


def agreement(ours: list[Items], theirs: list[Items]) -> dict[str, tuple[float, float, float]]:
    """Micro precision, recall and F1 per kind."""
    found = {}
    for what in FLOOR:
        same = sum(len(a[what] & b[what]) for a, b in zip(ours, theirs, strict=True))
        precision = same / sum(len(a[what]) for a in ours)
        recall = same / sum(len(b[what]) for b in theirs)
        found[what] = precision, recall, 2 * precision * recall / (precision + recall)
    return found
