"""How fast captions are parsed and voted on, what takes the time, and how much memory it needs.

    python -m benchmarks.vote_speed [--captions N] [--toolkit CLONE] [--processes P] [--json FILE]

Five candidates per picture. Without ``--toolkit`` they come from a small grammar (80 words each); with a
clone of siruzhong/UrbanCLIP-Dataset-Toolkit they are made of its Beijing captions: each candidate
keeps about half the sentences of a picture's caption and has the others from further pictures. The default
number is five candidates for each of Beijing's 4,592 tiles. Half and all of them run in processes of their
own, so that the peaks of memory can be compared: flat means equal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from urbanln.captions import consensus
from urbanln.captions.capture import PhraseVectors, load_vectors
from urbanln.captions.parsing.parse import load_parser

CANDIDATES = 5
_FILE = "caption/pairs/Beijing_captions.json"
_SIZES = (
    "large", "small", "long", "narrow", "wide", "tall", "low", "modern", "old", "dense", "curved", "several",
)  # fmt: skip
_COLOURS = ("red", "grey", "white", "brown", "green", "dark", "blue", "bright")
_THINGS = (
    "building", "apartment block", "house", "road", "avenue", "park", "tree", "parking lot", "car", "river",
    "pond", "lawn", "roof", "warehouse", "factory", "field", "bridge", "stadium", "shop", "construction site",
    "railway", "courtyard", "playground", "hill", "path", "fence", "crane", "square", "school", "lake",
)  # fmt: skip
_LINKS = (
    "next to", "along", "behind", "in front of", "surrounded by", "between", "near", "across from", "above",
)  # fmt: skip


def main() -> None:
    """Measure half and all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--captions", type=int, default=CANDIDATES * 4592)
    parser.add_argument("--toolkit", type=Path)
    parser.add_argument("--processes", type=int, default=0, help="that parse; 0: one per core")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", action="store_true", help="measure in this process and print JSON")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.captions, args.toolkit, args.processes)))
        return
    rows = [_in_a_process(count, args) for count in (args.captions // 2, args.captions)]
    print("| captions | words | s | captions/s | parsing s | vectors s | comparing s | phrases | peak MB |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['captions']:,} | {row['words']:.0f} | {row['total_s']:.0f} | {row['rate']:.0f} "
            f"| {row['parse_s']:.0f} | {row['vectors_s']:.0f} | {row['compare_s']:.0f} "
            f"| {row['phrases']:,} | {row['peak_mb']:.0f} |"
        )
    print("\nPeak memory is that of the process that votes; those that parse have one pipeline each.")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def _in_a_process(count: int, args: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.vote_speed", "--one", "--captions", str(count)]
    command += ["--processes", str(args.processes)]
    command += ["--toolkit", str(args.toolkit)] if args.toolkit else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


class _Timed:
    """A sentence encoder with a stop-watch."""

    def __init__(self, vectors: PhraseVectors) -> None:
        self._vectors, self.version = vectors, vectors.version
        self.seconds, self.phrases = 0.0, 0

    def encode(self, phrases: Sequence[str]) -> np.ndarray:
        """As the encoder does."""
        start = time.perf_counter()
        found = self._vectors.encode(phrases)
        self.seconds += time.perf_counter() - start
        self.phrases += len(phrases)
        return found


def measure(captions: int, toolkit: Path | None, processes: int) -> dict[str, Any]:
    """Parse and vote on so many captions; loading models counts, making the captions does not."""
    pictures = max(captions // CANDIDATES, 1)
    groups = grammar_groups(pictures) if toolkit is None else toolkit_groups(toolkit, pictures)
    parse_seconds = _time_parsing()
    start = time.perf_counter()
    vectors = _Timed(load_vectors())
    votes = consensus.vote_many(groups, parser=load_parser("spacy"), vectors=vectors, processes=processes)
    total = time.perf_counter() - start
    count = sum(map(len, groups))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "captions": count,
        "words": sum(len(text.split()) for group in groups for text in group) / count,
        "total_s": total,
        "rate": count / total,
        "parse_s": parse_seconds(),
        "vectors_s": vectors.seconds,
        "compare_s": total - parse_seconds() - vectors.seconds,
        "phrases": vectors.phrases,
        "peak_mb": peak,
        "mean_margin": sum(vote.margin for vote in votes) / len(votes),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def _time_parsing() -> Callable[[], float]:
    """Put a stop-watch on the parsing inside the vote."""
    seconds, parse_all = [0.0], consensus.parse_all

    def timed(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        graphs = parse_all(*args, **options)
        seconds[0] += time.perf_counter() - start
        return graphs

    consensus.parse_all = timed
    return lambda: seconds[0]


def grammar_groups(pictures: int) -> list[list[str]]:
    """Candidates that tell the same things in another choice: eight of a picture's twelve facts each."""
    rng = random.Random(0)

    def thing() -> str:
        return f"{rng.choice(_SIZES)} {rng.choice(_COLOURS)} {rng.choice(_THINGS)}"

    groups = []
    for _ in range(pictures):
        facts = [(thing(), rng.choice(_LINKS), thing()) for _ in range(12)]
        groups.append(
            [
                " ".join(f"There is a {a} {link} the {b}." for a, link, b in rng.sample(facts, 8))
                for _ in range(CANDIDATES)
            ]
        )
    return groups


def toolkit_groups(clone: Path, pictures: int) -> list[list[str]]:
    """Candidates made of real sentences, at their real length."""
    shown = subprocess.run(
        ["git", "-C", str(clone), "show", f"HEAD:{_FILE}"], check=True, stdout=subprocess.PIPE
    )
    of_image: dict[str, list[str]] = {}
    for entries in json.loads(shown.stdout):
        for entry in entries:
            of_image.setdefault(str(entry["image"]), []).append(str(entry["caption"]).strip().rstrip("."))
    images, rng = list(of_image.values()), random.Random(0)
    groups = []
    for number in range(pictures):
        own = images[number % len(images)]
        group = []
        for _ in range(CANDIDATES):
            other = rng.choice(images)
            mixed = [rng.choice(other) if rng.random() < 0.5 else sentence for sentence in own]
            group.append(". ".join(mixed) + ".")
        groups.append(group)
    return groups


if __name__ == "__main__":
    main()
