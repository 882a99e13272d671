"""How fast captions are parsed and voted on, what takes the time, and how much memory it needs.

    python -m benchmarks.vote_speed [--captions N] [--toolkit CLONE] [--json FILE]

Five candidates per picture. Without ``--toolkit`` they come from a small grammar (80 words each); with a
clone of siruzhong/UrbanCLIP-Dataset-Toolkit they are made of its Beijing captions: each candidate
keeps about half the sentences of a picture's caption and has the others from further pictures. The default
number is five candidates for each of Beijing's 4,592 tiles. One process per core parses. Half and all of them
run in processes of their own, so that the peaks of memory can be compared: flat means equal.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cities import CANDIDATES, caption_groups
from benchmarks.harness import alone, clocks, markdown, options, peak_mb, timed, write
from benchmarks.parser_quality import read_from_clone
from urbanln.captions import consensus
from urbanln.captions.capture import load_vectors
from urbanln.captions.parsing.parse import load_parser

_FILE = "caption/pairs/Beijing_captions.json"
_COLUMNS = {
    "captions": ("captions", ","), "words": ("words", ".0f"), "s": ("total_s", ".0f"),
    "captions/s": ("rate", ".0f"), "parsing s": ("parse_s", ".0f"), "vectors s": ("vectors_s", ".0f"),
    "comparing s": ("compare_s", ".0f"), "phrases": ("phrases", ","), "peak MB": ("peak_mb", ".0f"),
}  # fmt: skip


def main() -> None:
    """Measure half and all, print a table."""
    asked = options(__doc__, captions=CANDIDATES * 4592, toolkit=None, json=None)
    rows = [alone(measure, count, asked.toolkit)[0] for count in (asked.captions // 2, asked.captions)]
    print(markdown(list(_COLUMNS), [[f"{row[key]:{how}}" for key, how in _COLUMNS.values()] for row in rows]))
    print("Peak memory is that of the process that votes; those that parse have one pipeline each.")
    write(asked.json, rows)


def measure(captions: int, toolkit: str | None) -> dict[str, Any]:
    """Parse and vote on so many captions; loading models counts, making the captions does not."""
    pictures = max(captions // CANDIDATES, 1)
    groups = toolkit_groups(Path(toolkit), pictures) if toolkit else caption_groups(pictures)
    spent = {"parse": 0.0, "vectors": 0.0}
    phrases = 0

    def vote() -> list[consensus.Vote]:
        vectors = load_vectors()
        encode = vectors.encode

        def counted(texts: Sequence[str]) -> np.ndarray:
            nonlocal phrases
            phrases += len(texts)
            return encode(texts)

        vectors.encode = counted  # type: ignore[method-assign]
        with clocks(spent, [(consensus, "parse_all", "parse"), (vectors, "encode", "vectors")]):
            return consensus.vote_many(groups, parser=load_parser("spacy"), vectors=vectors)

    total, votes = timed(vote)
    count = sum(map(len, groups))
    return {
        "captions": count,
        "words": sum(len(text.split()) for group in groups for text in group) / count,
        "total_s": total,
        "rate": count / total,
        "parse_s": spent["parse"],
        "vectors_s": spent["vectors"],
        "compare_s": total - spent["parse"] - spent["vectors"],
        "phrases": phrases,
        "peak_mb": peak_mb(),
        "mean_margin": sum(vote.margin for vote in votes) / len(votes),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def toolkit_groups(clone: Path, pictures: int) -> list[list[str]]:
    """Candidates made of real sentences, at their real length."""
    of_image: dict[str, list[str]] = {}
    for entries in json.loads(read_from_clone(clone, _FILE)):
        for entry in entries:
            of_image.setdefault(str(entry["image"]), []).append(str(entry["caption"]).strip().rstrip("."))
    images, rng = list(of_image.values()), random.Random(0)

    def mixed(own: list[str]) -> str:
        other = rng.choice(images)
        return ". ".join(rng.choice(other) if rng.random() < 0.5 else sentence for sentence in own) + "."

    return [[mixed(images[i % len(images)]) for _ in range(CANDIDATES)] for i in range(pictures)]


if __name__ == "__main__":
    main()
