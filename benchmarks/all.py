"""Every benchmark, one after the other, each in a process of its own.

    python -m benchmarks all [--cut] [--out FOLDER] [--before 6317c8a] [--toolkit CLONE] [--factual CLONE]
        [--only NAME ...]

``--cut`` takes each as small as it still says something, which is what ``make bench`` runs. ``--out`` keeps
what each one printed as ``NAME.txt``, its figures as ``NAME.json``, and what had ended there is not run
again. The earlier build that some are held against is that commit of this repository. Those that need a clone
of somebody else's captions are left out without it. One that fails is told at the end, and does not stop the
others.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import facts, options

_ROOT = Path(__file__).parents[1]


class Run(NamedTuple):
    """A benchmark as it is run here.

    Attributes:
        name: Of its files.
        words: What stands behind ``python -m benchmarks`` for figures that are published. ``{before}``,
            ``{toolkit}``, ``{factual}`` and ``{out}`` are filled in.
        cut: The same in small; empty: left out of the cut.
    """

    name: str
    words: str
    cut: str = ""


RUNS = (
    Run("ratios", "ratios", "ratios --repeat 3"),
    Run("commands", "commands --against {before} --demo 1", "commands --against {before} --repeat 3"),
    Run("probe", "probe_speed --against {before}",
        "probe_speed --against {before} --seeds 1 --repeat 1"),
    Run("probe-one-seed", "probe_speed --against {before} --seeds 1"),
    Run("probe-wide", "probe_speed --against {before} --regions 13433 --labels 6 --widths 128 128 --seeds 1 "
        "--repeat 1"),
    Run("vote", "vote_speed --against {before} --toolkit {toolkit}"),
    Run("vote-once", "vote_speed --against {before} --toolkit {toolkit} --once --captions 4800"),
    Run("vote-grammar", "vote_speed --against {before} --captions 4800",
        "vote_speed --against {before} --captions 1500 --repeat 1"),
    Run("vote-memory", "vote_speed --memory 4000 16000 64000"),
    Run("step", "step --steps 6", "step --steps 2 --no-fp32"),
    Run("step-tiny", "step --model tiny --steps 12"),
    Run("embed", "embed --images 192 --repeat 3", "embed --images 64 --repeat 2"),
    Run("grad-cache", "grad_cache", "grad_cache --model tiny --batch 128 --repeat 3 --memory 128 1024"),
    Run("restart", "restart", "restart --images 1000 --model tiny --repeat 3"),
    Run("growth", "growth --sizes 1000 4000 16000 64000 --stages cache epoch embed probe --most 900",
        "growth --sizes 500 2000 --stages cache epoch embed probe"),
    Run("growth-wide",
        "growth --sizes 10000 100000 1000000 --stages ingest embed probe report explore --most 4000",
        "growth --sizes 1000 4000 --stages ingest report explore"),
    Run("growth-audit", "growth --sizes 10000 30000 100000 "
        "--stages audit_pictures audit_labels audit_captions leakage"),
    Run("growth-vote", "growth --sizes 1000 4000 16000 --stages vote"),
    Run("heads", "probe_scale", "probe_scale --regions 10000 --dim 128"),
    Run("gather", "gather --tiles 10000 --repeat 2", "gather --tiles 1000 --repeat 1"),
    Run("zonal", "zonal", "zonal --edge 4000 --regions 1000 --repeat 1"),
    Run("similar", "similar", "similar --regions 100000 --repeat 5"),
    Run("explore-page", "explore_page"),
    Run("parser", "parser_quality --factual {factual}"),
    Run("facts", "facts_and_wording", "facts_and_wording"),
    Run("grounding", "grounding_auc"),
    Run("captions-help", "captions_help --out {out}/captions --regions 256 --seeds 5"),
    Run("captions-shared", "captions_shared --out {out}/shared"),
)  # fmt: skip
# Without ``--json``: what they print is what they say.
_PRINT_ONLY = {"parser", "facts", "grounding", "captions-help", "captions-shared"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run them and say how long each took."""
    asked = options(
        __doc__, argv, cut=False, out=None, before="6317c8a", toolkit=None, factual=None,
        only=[run.name for run in RUNS],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        out = (asked.out or Path(scratch)).resolve()
        out.mkdir(parents=True, exist_ok=True)
        filled = {"out": out, "before": _build(asked.before, Path(scratch) / "before")}
        filled |= {"toolkit": asked.toolkit, "factual": asked.factual}
        ended = []
        for run in RUNS:
            words = run.cut if asked.cut else run.words
            if words and run.name in asked.only:
                ended.append((run.name, _ended(run.name, words, filled, out)))
    print("\n| benchmark | |\n|---|---|")
    for name, how in ended:
        print(f"| {name} | {how} |")
    if any(how.startswith("FAILED") for _, how in ended):
        raise SystemExit(1)


def _build(commit: str, folder: Path) -> Path | None:
    """The files of a commit, or None where the repository does not have it."""
    folder.mkdir()
    packed = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", commit], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    if packed.returncode:
        return None
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return folder


def _ended(name: str, words: str, filled: dict[str, Path | None], out: Path) -> str:
    """Run one, unless its file says that it has ended; how it ended."""
    missing = [what for what, value in filled.items() if f"{{{what}}}" in words and value is None]
    if missing:
        return f"left out: no {missing[0]}"
    kept = out / f"{name}.txt"
    if kept.exists() and kept.read_text().startswith(f"{words}\n"):
        return f"has ended before: {kept}"
    command = [sys.executable, "-m", "benchmarks", *words.format(**filled).split()]
    if name not in _PRINT_ONLY:
        command += ["--json", str(out / f"{name}.json")]
    print(f"\n## {name}: python -m benchmarks {words}\n", flush=True)
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - begun
    print(done.stdout, flush=True)
    if done.returncode:
        return f"FAILED after {seconds:.0f} s"
    unfinished = kept.with_suffix(".tmp")
    unfinished.write_text(
        f"{words}\n{datetime.now(UTC):%Y-%m-%d}, {facts()}, {seconds:.0f} s\n\n{done.stdout}"
    )
    unfinished.replace(kept)
    return f"{seconds:.0f} s"
