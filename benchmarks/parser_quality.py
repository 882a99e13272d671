"""How well captions are parsed, against graphs that people made; and how fast.

    python -m benchmarks.parser_quality --factual CLONE [--parser spacy] [--model NAME]
    python -m benchmarks.parser_quality --speed 2000 [--toolkit CLONE]

CLONE of --factual: the public repository zhuang-li/FactualSceneGraph (bare or not), whose FACTUAL data set
has people's graphs of captions of image regions. The rules were tuned on its "dev" and "train" files;
no rule was tuned on "test". CLONE of --toolkit: siruzhong/UrbanCLIP-Dataset-Toolkit, for real
captions instead of made-up ones.

Measure: per caption, the distinct objects (singular), the distinct words of attributes, and the distinct
exact triples (subject, relation, object) are counted as found, missed or invented; F1 is of the sums over
all captions. FACTUAL's "is" facts are attributes. Loose quantities (several, many) are left out on both
sides: FACTUAL does not note them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import subprocess
import time
from collections import defaultdict
from pathlib import Path

from urbanln.captions.networks.factual import read_linear_graph, singular_phrase
from urbanln.captions.parsing.parse import load_parser, parse_all
from urbanln.captions.parsing.scene_words import LOOSE_QUANTITIES
from urbanln.captions.scene_graph import SceneGraph

FLOOR = {"objects": 0.870, "attribute words": 0.666, "exact triples": 0.562}  # simple rules, same data
FILES = {"dev": "data/factual_sg/random/dev.csv", "test": "data/factual_sg/random/test.csv"}
Items = dict[str, set]


def main() -> None:
    """Print what was asked for as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--factual", type=Path, help="clone of zhuang-li/FactualSceneGraph")
    parser.add_argument("--parser", default="spacy", choices=["spacy", "factual"])
    parser.add_argument("--model", default="")
    parser.add_argument("--speed", type=int, default=0, help="captions to time")
    parser.add_argument("--toolkit", type=Path, help="clone of siruzhong/UrbanCLIP-Dataset-Toolkit")
    args = parser.parse_args()
    if args.factual:
        print(quality_table(args.factual, args.parser, args.model))
    if args.speed:
        texts = real_captions(args.toolkit, args.speed) if args.toolkit else made_up_captions(args.speed)
        print(speed_table(texts))


def read_from_clone(clone: Path, path: str) -> str:
    """A file of a clone that may have no work tree."""
    if (clone / path).is_file():
        return (clone / path).read_text(encoding="utf-8")
    shown = subprocess.run(
        ["git", "-C", str(clone), "show", f"HEAD:{path}"], capture_output=True, check=True, encoding="utf-8"
    )
    return shown.stdout


def quality_table(clone: Path, name: str, model: str) -> str:
    """Precision, recall and F1 on both files."""
    parser = load_parser(name, model)
    rows = [
        "| file | captions | what | precision | recall | F1 | floor |",
        "|---|---|---|---|---|---|---|",
    ]
    for file, path in FILES.items():
        entries = list(csv.DictReader(io.StringIO(read_from_clone(clone, path))))
        graphs = parse_all([entry["caption"] for entry in entries], parser)
        for what, (precision, recall, f1) in agreement(
            [items(graph) for graph in graphs], [people_items(entry["scene_graph"]) for entry in entries]
        ).items():
            rows.append(
                f"| {file} | {len(entries):,} | {what} | {precision:.3f} | {recall:.3f} | **{f1:.3f}** "
                f"| {FLOOR[what]:.3f} |"
            )
    return "\n".join(rows)


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


def made_up_captions(count: int) -> list[str]:
    """Distinct captions of about 80 words."""
    rng = random.Random(0)
    things = [
        "road",
        "park",
        "river",
        "square",
        "market",
        "school",
        "bridge",
        "tower",
        "forest",
        "lake",
        "fence",
    ]
    kinds = ["wide", "narrow", "old", "grey", "busy", "tall", "quiet", "green", "red", "empty", "crowded"]
    places = [
        "next to",
        "along",
        "behind",
        "in front of",
        "near",
        "between the shops and",
        "on the left side of",
    ]

    def sentence() -> str:
        a, b, c = rng.sample(things, 3)
        return (
            f"A {rng.choice(kinds)} {a} lies {rng.choice(places)} the {rng.choice(kinds)} {b}, and several "
            f"{c}s are surrounded by {rng.choice(kinds)} trees."
        )

    return [" ".join(sentence() for _ in range(4)) for _ in range(count)]


def real_captions(clone: Path, count: int) -> list[str]:
    """Beijing's published captions, sentences joined per picture, then repeated with another last word."""
    told: dict[str, list[str]] = defaultdict(list)
    for group in json.loads(read_from_clone(clone, "caption/pairs/Beijing_captions.json")):
        for entry in group:
            told[entry["image"]].append(entry["caption"].rstrip(". "))
    texts = [". ".join(sentences) + "." for sentences in told.values()]
    return [f"{texts[n % len(texts)]} {n}" for n in range(count)]


def speed_table(texts: list[str]) -> str:
    """Captions per second on one process and two."""
    parser = load_parser("spacy")
    words = sum(len(text.split()) for text in texts) / len(texts)
    rows = [f"{len(texts):,} captions of {words:.0f} words", "", "| processes | captions/s |", "|---|---|"]
    parser.parse(texts[:100])
    for processes in (1, 2):
        start = time.perf_counter()
        parse_all(texts, parser, processes=processes)
        rows.append(f"| {processes} | {len(texts) / (time.perf_counter() - start):.0f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
