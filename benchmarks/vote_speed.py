"""How fast captions are parsed and voted on, beside another build, and how much memory it needs.

    python -m benchmarks vote_speed [--captions N] [--toolkit CLONE] [--once] [--json FILE]
    python -m benchmarks vote_speed --against BUILD [--captions N] [--toolkit CLONE] [--once] [--repeat 3]
    python -m benchmarks vote_speed --memory 1000 16000 64000 [--toolkit CLONE]

Five candidates per picture. Without ``--toolkit`` they come from a small grammar (80 words each); with a
clone of siruzhong/UrbanCLIP-Dataset-Toolkit they are made of its Beijing captions: each candidate
keeps about half the sentences of a picture's caption and has the others from further pictures. The default
number is five candidates for each of Beijing's 4,592 tiles. ``--once`` takes each of its sentences once and
never again.

``BUILD`` is a work tree of any build since 6317c8a, read in place. The builds take turns, each run in a
process of its own; what counts is their user time, processes that they start included, since another program
on the machine changes it least. Winners and scores are compared. ``OMP_NUM_THREADS=1`` is set for both:
threads of a network that wait for each other on taken cores count as time.

Memory is that of a vote of three candidates per picture: a table of them is read and cleaned, a ledger keeps
the parses, and the outcome is written. All processes together at most, less what the process held before; see
``growth``.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import vote_run
from benchmarks.cities import CANDIDATES, caption_groups
from benchmarks.harness import alone, clocks, ends, markdown, options, peak_mb, ratio, timed, write
from benchmarks.parser_quality import read_from_clone
from urbanln.base.sentences import split_sentences
from urbanln.captions import consensus
from urbanln.captions.capture import load_vectors
from urbanln.captions.parsing.parse import Parsing, load_parser

_ROOT = Path(__file__).parents[1]
_FILE = "caption/pairs/{}_captions.json"
_CITIES = ("Beijing", "Guangzhou")
_SENTENCES = 4  # of a caption of 80 words
_COLUMNS = {
    "captions": ("captions", ","), "words": ("words", ".0f"), "s": ("total_s", ".0f"),
    "captions/s": ("rate", ".0f"), "parsing s": ("parse_s", ".0f"), "vectors s": ("vectors_s", ".0f"),
    "comparing s": ("compare_s", ".0f"), "peak MB": ("peak_mb", ".0f"),
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is asked for, print a table."""
    asked = options(
        __doc__, argv, captions=CANDIDATES * 4592, toolkit=None, against=None, once=False, repeat=3,
        memory=[0], json=None,
    )  # fmt: skip
    if asked.memory != [0]:
        return _memory(asked.memory, asked.toolkit, asked.json)
    if asked.against:
        return _beside(asked.against, asked.captions, asked.toolkit, asked.once, asked.repeat, asked.json)
    numbers = (asked.captions // 2, asked.captions)
    rows = [alone(measure, count, asked.toolkit, asked.once)[0] for count in numbers]
    print(markdown(list(_COLUMNS), [[f"{row[key]:{how}}" for key, how in _COLUMNS.values()] for row in rows]))
    print("Parsing goes on while others are compared. Peak memory is that of the process that votes.")
    write(asked.json, rows)


def measure(captions: int, toolkit: str | None, once: bool) -> dict[str, Any]:
    """Parse and vote on so many captions; loading models counts, making the captions does not."""
    groups = make_groups(toolkit, captions, once=once)
    spent = {"parse": 0.0, "vectors": 0.0, "votes": 0.0}

    def vote() -> list[consensus.Vote]:
        vectors = load_vectors()
        clocked = [
            (Parsing, "graphs", "parse"), (consensus, "_vote_on", "votes"),
            (vectors, "encode", "vectors"), (vectors, "encode_quickly", "vectors"),
        ]  # fmt: skip
        with clocks(spent, clocked):
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
        "compare_s": spent["votes"] - spent["vectors"],
        "peak_mb": peak_mb(),
        "mean_margin": sum(vote.margin for vote in votes) / len(votes),
        "cores": vote_run.cores(),
    }


def _beside(
    build: Path, captions: int, toolkit: Path | None, once: bool, repeat: int, file: Path | None
) -> None:
    groups = make_groups(toolkit, captions, once=once)
    count = sum(map(len, groups))
    builds = {"other": build.resolve() / "src", "this": _ROOT / "src"}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in builds}
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures.json"
        pictures.write_text(json.dumps(groups))
        for _ in range(repeat):
            for name, source in builds.items():
                path = f"{source}{os.pathsep}{_ROOT}"
                chosen = Path(folder) / name
                run, _peak = alone(vote_run.voted, pictures, chosen, PYTHONPATH=path, OMP_NUM_THREADS="1")
                runs[name].append(run)
                print(f"{name}: {run}", flush=True)
        other, this = (json.loads((Path(folder) / name).read_text()) for name in builds)
    same = np.mean([a[0] == b[0] for a, b in zip(other, this, strict=True)])
    apart = np.array([np.abs(np.subtract(a[1], b[1])).max() for a, b in zip(other, this, strict=True)])
    times = {name: np.array([run["user_s"] for run in found]) for name, found in runs.items()}
    faster = ratio(times["other"], times["this"])
    rows = [
        [name, *(f"{np.median([run[key] for run in found]):.1f}" for key in ("user_s", "wall_s", "peak_mb")),
         f"{1e3 * np.median(times[name]) / count:.2f}"]
        for name, found in runs.items()
    ]  # fmt: skip
    print(markdown(["", "user s", "s", "peak MB", "user ms per caption"], rows))
    print(f"{count:,} captions, {len(groups):,} pictures: {faster['ratio']:.2f} times as many captions per ")
    print(
        f"second of user time ({ends(faster['range'])}); the same winner on {same:.2%} of pictures, scores "
    )
    print(f"within 1e-3 on {np.mean(apart <= 1e-3):.2%} (at most {apart.max():.3f} apart)")
    write(file, {"captions": count, "faster": faster, "same": same, "apart": apart.max(), "runs": runs})


def _memory(sizes: list[int], toolkit: Path | None, file: Path | None) -> None:
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "candidates.parquet"
            groups = make_groups(toolkit, CANDIDATES * size, once=False)
            candidates = [
                (f"{i:06d}", f"captioner {k}", text)
                for i, group in enumerate(groups)
                for k, text in enumerate(group[:3])
            ]
            pd.DataFrame(candidates, columns=["image_id", "captioner", "caption"]).to_parquet(table)
            del groups, candidates
            (Path(folder) / "out").mkdir()
            found, most = alone(vote_run.kept, table, Path(folder) / "out", OMP_NUM_THREADS="1")
            rows.append({"pictures": size, "most_mb": most, **found})
            print(rows[-1], flush=True)
    shown = [
        [f"{row['pictures']:,}", f"{1e3 * row['user_s'] / row['pictures']:.1f}", f"{row['idle_mb']:.0f}",
         f"{row['most_mb'] - row['idle_mb']:.0f}", f"{row['disk_bytes'] / 1e3 / row['pictures']:.1f}"]
        for row in rows
    ]  # fmt: skip
    print(
        markdown(
            ["pictures", "user ms per picture", "idle MB", "MB above idle", "kB on disk per picture"], shown
        )
    )
    write(file, rows)


def make_groups(toolkit: Path | str | None, captions: int, *, once: bool) -> list[list[str]]:
    """Candidates for so many captions."""
    pictures = max(captions // CANDIDATES, 1)
    if toolkit is None:
        return caption_groups(pictures)
    return once_groups(Path(toolkit), pictures) if once else toolkit_groups(Path(toolkit), pictures)


def toolkit_groups(clone: Path, pictures: int) -> list[list[str]]:
    """Candidates made of real sentences, at their real length."""
    images, rng = list(_captions(clone, "Beijing").values()), random.Random(0)

    def mixed(own: list[str]) -> str:
        other = rng.choice(images)
        return ". ".join(rng.choice(other) if rng.random() < 0.5 else sentence for sentence in own) + "."

    return [[mixed(images[i % len(images)]) for _ in range(CANDIDATES)] for i in range(pictures)]


def once_groups(clone: Path, pictures: int) -> list[list[str]]:
    """Candidates of real sentences, neighbours in their file, each of which occurs nowhere else.

    Raises:
        SystemExit: There are not so many.
    """
    found = dict.fromkeys(
        sentence
        for city in _CITIES
        for entries in _captions(clone, city).values()
        for entry in entries
        for sentence in split_sentences(f"{entry}.")
    )
    texts = list(_together(iter(found), CANDIDATES * pictures))
    if len(texts) < CANDIDATES * pictures:
        raise SystemExit(f"there are sentences for {len(texts):,} captions only: give fewer --captions")
    return [texts[start : start + CANDIDATES] for start in range(0, len(texts), CANDIDATES)]


def _together(sentences: Iterator[str], texts: int) -> Iterator[str]:
    for _ in range(texts):
        own = [sentence for _, sentence in zip(range(_SENTENCES), sentences, strict=False)]
        if len(own) == _SENTENCES:
            yield " ".join(own)


def _captions(clone: Path, city: str) -> dict[str, list[str]]:
    of_image: dict[str, list[str]] = {}
    for entries in json.loads(read_from_clone(clone, _FILE.format(city))):
        for entry in entries:
            of_image.setdefault(str(entry["image"]), []).append(str(entry["caption"]).strip().rstrip("."))
    return of_image
