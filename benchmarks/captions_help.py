"""Do cleaning, refining and voting help? Captions of synthetic cities against the true scenes.

    python -m benchmarks.captions_help --out captions-out [--regions 400] [--seeds 5] [--stages all]

Five simulated captioners of different quality stand behind a real local HTTP server that also answers 429 and
500, hangs, drops connections, cuts, refuses and returns broken JSON. Per seed a city of its own is captioned
four times: as described, and refined with nothing, with the tiny CLIP and with a simulated detector of stated
quality checking what is said. Texts are compared with the true scenes; then the encoder is pre-trained on the
satellite captions chosen in six ways, and its vectors are probed (``benchmarks/captions_downstream.py``).

How the captioners behave when they merge is an assumption (``simulation/simulated.py``), and so is the
detector: the tables show what the pipeline does with such captioners, not how good real ones are.

Run again after a kill, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.caption_measures import (
    ORDER,
    Scenes,
    choices,
    count_errors,
    error_shares,
    interval,
    markdown,
)
from urbanln.base.files import read_json, read_table, write_json, write_table
from urbanln.captions.captioners.openai_server import ServerCaptioner
from urbanln.captions.refine.grounding import Grounder
from urbanln.captions.run import caption_city
from urbanln.captions.settings import CaptionerSettings, CaptionSettings, RefineSettings
from urbanln.captions.simulation.scene_captioner import SimulatedGrounder
from urbanln.captions.simulation.server import Faults, serve
from urbanln.captions.simulation.simulated import SIMULATED
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city, read_scene
from urbanln.stages.bridges import clip_grounder, token_counter

FIRST_SEED = 500
FAULTS = 0.07  # together: one in a hundred of each of seven kinds
AS_ANSWERED, DESCRIBED = "as answered", "described"
UNCHECKED, BY_CLIP, BY_DETECTOR = "refined, unchecked", "refined, tiny CLIP", "refined, detector"
SETUPS: dict[str, str | None] = {DESCRIBED: None, UNCHECKED: "none", BY_CLIP: "clip", BY_DETECTOR: "detector"}
STREET: dict[str, Any] = {"street_views": 1, "street_missing": 0.7}  # enough for a share; each costs 60 calls
VIEWS = ("satellite", "street")
VOTE = "chosen by vote"
ASSUMED = """\
Assumed, and measured on no model (`urbanln/captions/simulation/simulated.py`): a closer look overlooks half
as much; who merges strikes out up to half of what is not there even unchecked, and obeys nine times in ten;
the detector finds 95 % of what is there and rejects 75 % of what is not. Refining gains from all of these.
Captioners err independently of each other; real ones share mistakes, so a vote helps them less.
"""


def main() -> None:
    """Caption, measure, pre-train and print Markdown tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--regions", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--stages", choices=("captions", "downstream", "all"), default="all")
    args = parser.parse_args()
    folders = [args.out / f"seed-{FIRST_SEED + k}" for k in range(args.seeds)]
    cities = [caption_one(folder, FIRST_SEED + k, args.regions) for k, folder in enumerate(folders)]
    found = [measure(city, folder) for city, folder in zip(cities, folders, strict=True)]
    write_json(args.out / "captions.json", found)
    print(captions_tables(found))
    if args.stages != "captions":
        from benchmarks.captions_downstream import downstream_tables, score_one

        scored = [score_one(city, folder) for city, folder in zip(cities, folders, strict=True)]
        write_json(args.out / "downstream.json", scored)
        print(downstream_tables(scored))


def caption_one(folder: Path, seed: int, regions: int) -> City:
    """Make a city and caption it in every setup, through the server; what is there already is kept."""
    city_folder = folder / "city"
    if not (city_folder / "city.toml").exists():
        shutil.rmtree(city_folder, ignore_errors=True)
        make_synthetic_city(city_folder, regions=regions, seed=seed, **STREET)
    city = City.open(city_folder)
    if len(city.regions) != regions:
        raise SystemExit(f"{city_folder} has {len(city.regions)} regions, not {regions}: give another --out")
    missing = [setup for setup in SETUPS if not voted_path(folder, setup).exists()]
    if missing:
        with serve(city_folder, Faults.spread(FAULTS, seed=seed)) as base_url:
            for setup in missing:
                print(f"{folder.name}: {setup}", file=sys.stderr, flush=True)
                caption_setup(city, folder, setup, base_url)
    return City.open(city_folder)


def caption_setup(city: City, folder: Path, setup: str, base_url: str) -> None:
    """Caption a city in one setup and keep its texts, the vote and what went wrong on the way."""
    kind = SETUPS[setup]
    settings = CaptionSettings(refine=RefineSettings(enabled=kind is not None))
    report = caption_city(
        city,
        [served(one.name, one.revision, base_url) for one in SIMULATED],
        settings=settings,
        count_tokens=token_counter("tiny"),
        grounder=grounder_of(kind),
        replace=True,
    )
    if not report.complete:
        raise SystemExit(f"{setup}: a captioner was stopped: {dict(report.asked.stopped)}")
    raw = report.asked.texts.assign(setup=AS_ANSWERED)
    texts = report.cleaned.frame.assign(setup=setup)[["image_id", "captioner", "caption", "setup"]]
    if kind is None:
        texts = pd.concat([texts, raw[list(texts.columns)]], ignore_index=True)
    calibration = report.asked.calibration
    write_json(
        folder / f"{slug(setup)}.json",
        {
            "failed": dict(report.asked.failed),
            "flags": report.cleaned.counts(),
            "retries": sum(counts.retries for counts in report.asked.counts.values()),
            "answered": sum(counts.answered for counts in report.asked.counts.values()),
            "remaining": report.asked.remaining,
            "calibration": None if calibration is None else calibration.lines(),
        },
    )
    write_table(folder / f"{slug(setup)}.parquet", texts, kind="benchmark-texts")
    write_table(voted_path(folder, setup), report.table, kind="benchmark-voted")


def served(name: str, revision: str, base_url: str) -> ServerCaptioner:
    """The client of one simulated captioner behind the server."""
    settings = CaptionerSettings(
        model=name, revision=revision, base_url=base_url, tag_requests=True, timeout_s=3.0, retries=10
    )
    return ServerCaptioner(name, settings)


def grounder_of(kind: str | None) -> Grounder | None:
    """What checks phrases in a setup."""
    if kind == "detector":
        return SimulatedGrounder()
    return clip_grounder("tiny") if kind == "clip" else None


def slug(setup: str) -> str:
    """A setup's name as a file name."""
    return setup.replace(", ", "-").replace(" ", "-").lower()


def voted_path(folder: Path, setup: str) -> Path:
    """The caption table after the vote; written last, so it stands for a finished setup."""
    return folder / f"{slug(setup)}-voted.parquet"


def scenes_of(city: City) -> Scenes:
    """The true scene of every picture."""
    images = city.images[["image_id", "path"]].itertuples(index=False)
    return {image_id: read_scene(city.folder / path) for image_id, path in images}


def read_texts(folder: Path, setup: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidates of a setup after cleaning, and the caption table after the vote."""
    texts = read_table(folder / f"{slug(setup)}.parquet", kind="benchmark-texts")
    voted = read_table(voted_path(folder, setup), kind="benchmark-voted")
    return texts[texts["setup"] == setup].reset_index(drop=True), voted


def measure(city: City, folder: Path) -> dict[str, Any]:
    """Shares of errors per view, setup and captioner, and how good each way to choose is per setup."""
    scenes = scenes_of(city)
    shares: dict[str, Any] = {view: {} for view in VIEWS}
    chosen: dict[str, Any] = {view: {} for view in VIEWS}
    notes = {setup: read_json(folder / f"{slug(setup)}.json") for setup in SETUPS}
    both = read_table(folder / f"{slug(DESCRIBED)}.parquet", kind="benchmark-texts")
    answered = count_errors(both[both["setup"] == AS_ANSWERED], scenes)
    for view in VIEWS:
        shares[view][AS_ANSWERED] = _shares(answered[answered["view"] == view])
    for setup in SETUPS:
        texts, voted = read_texts(folder, setup)
        errors, of_chosen = count_errors(texts, scenes), count_errors(voted[voted["selected"]], scenes)
        for view in VIEWS:
            seen = errors[errors["view"] == view]
            winners = of_chosen[of_chosen["view"] == view]
            shares[view][setup] = _shares(seen) | {VOTE: error_shares(winners)}
            chosen[view][setup] = choices(seen, voted)
    return {"shares": shares, "choices": chosen, "notes": notes}


def _shares(errors: pd.DataFrame) -> dict[str, dict[str, float]]:
    return {str(name): error_shares(group) for name, group in errors.groupby("captioner")}


def captions_tables(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of what :func:`measure` found, mean ± 95 % interval over seeds."""
    parts = []
    for view in VIEWS:
        for what in ("hallucinated", "missed"):
            parts.append(
                f"### Share of {what} objects, {view} pictures\n\n{_shares_table(found, view, what)}"
            )
    for view in VIEWS:
        parts.append(f"### Which candidate is chosen, {view} pictures\n\n{_choices_table(found, view)}")
    return "\n".join([*parts, ASSUMED])


def _shares_table(found: Sequence[Mapping[str, Any]], view: str, what: str) -> str:
    setups = [AS_ANSWERED, *SETUPS]
    rows = []
    for name in [*(one.name for one in SIMULATED), VOTE]:
        cells = []
        for setup in setups:
            values = [one["shares"][view][setup].get(name, {}).get(what) for one in found]
            cells.append("–" if None in values else interval(values).show())
        rows.append([name, *cells])
    return markdown(["captioner", *setups], rows)


def _choices_table(found: Sequence[Mapping[str, Any]], view: str) -> str:
    head = ["chosen"]
    for setup in SETUPS:
        head += [f"{setup}: best", f"{setup}: F1"]
    rows = []
    for how in ORDER:
        cells = [
            interval([one["choices"][view][setup][how][key] for one in found]).show()
            for setup in SETUPS
            for key in ("best", "f1")
        ]
        rows.append([how, *cells])
    return markdown(head, rows)


if __name__ == "__main__":
    main()
