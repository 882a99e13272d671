"""The whole story on a synthetic city: captions, stretching, pre-training, vectors, scores, report, map.

    urbanln demo --out demo-out

Every stage keeps what it finished: run again after a kill and it goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from urbanln.base.commands import command_line
from urbanln.base.config import Settings, load_settings, settings_hash
from urbanln.base.errors import InputError, require
from urbanln.base.files import write_json
from urbanln.base.locks import alone_in
from urbanln.base.outputs import DEMO, output_folder
from urbanln.base.parsing import read_json
from urbanln.base.processes import usable_cores, worker_pool
from urbanln.base.saying import say
from urbanln.city.store import City
from urbanln.stages.embed import PIXELS, embed_city, pixel_table

CITY_SEED = 0
QUERIES = ("a lake with boats", "red-roofed houses in rows", "large factory halls and storage tanks")
BASE, OURS = "base CLIP", "UrbanLN"

# The tiny base is small and the city too: a larger step, a shorter queue and a faster teacher than the
# paper's ViT-B/16 needs (half-life of the teacher: 34 steps, some six epochs).
DEMO_SETTINGS = {
    "model": {"name": "tiny"},
    "train": {
        "epochs": 24, "batch_size": 64, "lr": 1e-3, "warmup_steps": 30,
        "queue_size": 512, "momentum": 0.98,
    },
    "probe": {"heads": ["ridge", "mlp"], "seeds": 4, "buffer_km": 1.5},
}  # fmt: skip

MODELS = ("simulated-a", "simulated-b", "simulated-c", "simulated-d", "simulated-e")
SERVER_FAULTS = 0.05
CAPTIONER = {"tag_requests": True, "concurrency": 8, "timeout_s": 2.0}
CAPTION_SETTINGS = {"describe": {"view": "satellite"}}


def run_demo(
    out: Path,
    *,
    regions: int = 400,
    seeds: int = 2,
    overrides: Sequence[str] = (),
    show: Callable[[Mapping[str, Any]], None] | None = None,
) -> Path:
    """Run the demo and return its report.

    Args:
        out: Folder to write to; a demo that was stopped there goes on.
        regions: Regions of the synthetic city, about one square kilometre each.
        seeds: Number of pre-trainings; the probe's seeds take them in turn, so that the interval of the
            score holds their spread too.
        overrides: Settings changed, as ``"train.epochs=2"``.
        show: Is handed the scores at the end, to print them as the command line does; they are not printed
            otherwise.

    Raises:
        InputError: The folder holds something else, or a demo made with other options.
        BusyError: Another process makes a demo in it.
        MissingExtraError: torch is not installed.
    """
    start = time.perf_counter()
    output_folder(out, DEMO)
    require("torch")  # said now, not after the first two stages
    settings = load_settings(overrides=overrides, base=DEMO_SETTINGS)
    asked = {"--out": out, "--regions": regions, "--seeds": seeds, "--set": overrides}
    command = command_line("demo", [], asked)
    with alone_in(out, "makes a demo in this folder"):
        _same_options(out, {"regions": regions, "seeds": seeds, "settings": settings_hash(settings)})
        city = _make_city(out / "city", regions)
        _caption(city)
        # A step is small: cores that share one wait for one another, those with a training each do not.
        with _hands(min(seeds, usable_cores())) as start_on:
            runs, vectors = _train(city, settings, out, seeds, start_on)
            scores = _score(city, settings, vectors, out / "scores", command)
            page = start_on(_explore, city.folder, settings, runs[0], vectors[OURS][0], out)
            report = _report(city, runs, out, command)
            page = page()
    if show:
        show(scores)
    say(f"done in {(time.perf_counter() - start) / 60:.1f} minutes; open {report}")
    say(f"a map to question: open {page}, or, for any text of your own,")
    say(f"    urbanln explore {city.folder} {' '.join(_asked_with(runs[0], vectors[OURS][0], out))}")
    return report


def _same_options(out: Path, options: dict[str, Any]) -> None:
    note = out / "demo.json"
    there = read_json(note, dict[str, Any]) if note.exists() else options
    if there != options:
        named = sorted(name for name in {*there, *options} if there.get(name) != options.get(name))
        raise InputError(
            "this folder holds a demo made with other options",
            value="; ".join(
                f"{name}: {there.get(name)} there, {options.get(name)} asked for" for name in named
            ),
            where=out,
            remedy="give another --out, or delete the folder",
        )
    write_json(note, options)


def _make_city(folder: Path, regions: int) -> City:
    from urbanln.city.making import is_made
    from urbanln.city.synthetic import make_synthetic_city

    say(f"1/6 city: {regions} synthetic regions, pictures and simulated labels with known causes")
    if not is_made(folder):
        make_synthetic_city(folder, regions=regions, seed=CITY_SEED)
    return City.open(folder)


def _caption(city: City) -> None:
    from urbanln.captions.captioners.named import choose_captioners
    from urbanln.captions.run import caption_city
    from urbanln.captions.settings import CaptionSettings
    from urbanln.captions.simulation.server import Faults, serve
    from urbanln.stages.bridges import token_counter

    say("2/6 captions: five simulated models behind a faulty local server; cleaned, then voted on")
    if not city.captions.empty:
        return
    with serve(city.folder, Faults.spread(SERVER_FAULTS)) as base_url:
        captioners = {name: {**CAPTIONER, "model": name, "base_url": base_url} for name in MODELS}
        settings = load_settings(base={**CAPTION_SETTINGS, "captioners": captioners}, of=CaptionSettings)
        report = caption_city(
            city, choose_captioners("all", settings), settings=settings, count_tokens=token_counter("tiny")
        )
    for line in report.lines():
        say(f"    {line}")


@contextmanager
def _hands(count: int) -> Iterator[Callable[..., Callable[[], Any]]]:
    """Processes that work beside this one, each on its share of the cores, and keep what they loaded.

    Yields:
        Starts on a function with its arguments and returns what waits for its value. One alone is this
        process, which also does what others cannot: none can be started by a script without a main guard.
    """

    def here(do: Callable[..., Any], *given: Any) -> Callable[[], Any]:
        made = do(*given)
        return lambda: made

    if count == 1:
        yield here
        return
    with worker_pool(count, threads=usable_cores() // count) as pool:

        def beside(do: Callable[..., Any], *given: Any) -> Callable[[], Any]:
            try:
                under_way = pool.submit(do, *given)
            except BrokenProcessPool:
                return here(do, *given)

            def wait() -> Any:
                try:
                    return under_way.result()
                except BrokenProcessPool:
                    return do(*given)

            return wait

        yield beside


def _train(
    city: City, settings: Settings, out: Path, seeds: int, start_on: Callable[..., Callable[[], Any]]
) -> tuple[list[Path], dict[str, list[Path]]]:
    """The runs, and the tables of vectors by all models, made as soon as each is there."""
    from urbanln.stages.bridges import text_positions

    positions = settings.model.context or text_positions(settings.model.name)
    say(f"3/6 pre-training, {seeds} seeds: 77 positions stretched to {positions}, distilled")
    say("4/6 vectors, as soon as each model is there: one per region, by it and by the base CLIP")
    runs, folder = [out / f"run-{seed}" for seed in range(seeds)], out / "vectors"
    tables = {OURS: [folder / f"{run.name}.parquet" for run in runs], BASE: [folder / "base.parquet"]}
    under_way = [
        start_on(_pretrain, city.folder, settings, run, seed, table)
        for seed, (run, table) in enumerate(zip(runs, tables[OURS], strict=True))
    ]
    under_way.append(start_on(_embed, city.folder, settings, "tiny", tables[BASE][0]))
    for wait in under_way:
        wait()
    return runs, tables


def _pretrain(city: Path, settings: Settings, out: Path, seed: int, table: Path) -> None:
    from urbanln.train.loop import pretrain

    train = settings.train.model_copy(update={"seed": seed})
    pretrain(City.open(city), settings.model_copy(update={"train": train}), out)
    _embed(city, settings, str(out), table)


def _embed(city: Path, settings: Settings, model: str, table: Path) -> None:
    embed_city(City.open(city), model, table, settings)


def _score(
    city: City, settings: Settings, vectors: dict[str, list[Path]], folder: Path, command: str
) -> Mapping[str, Any]:
    from urbanln.probe.saved import save_result
    from urbanln.stages.probe import run_probe
    from urbanln.tables.vectors import read_embeddings

    say("5/6 probe: random and block splits, floors beside every score")
    tables: dict[str, Sequence[pd.DataFrame]] = {
        name: [read_embeddings(path) for path in paths] for name, paths in vectors.items()
    }
    tables[PIXELS] = [pixel_table(city, settings.embed.view)]
    result = run_probe(city, tables, settings, baseline=BASE, command=command)
    save_result(folder, result)
    return result.scores


def _report(city: City, runs: list[Path], out: Path, command: str) -> Path:
    from urbanln.stages.audit import audit
    from urbanln.stages.report import report_run

    say("6/6 report, and a map to question")
    return report_run(
        city,
        out / "scores",
        out / "report.html",
        run=runs[0],
        audit=audit(city).as_json(),
        command=command,
    )


def _asked_with(run: Path, vectors: Path, out: Path) -> list[str]:
    return ["--vectors", str(vectors), "--model", str(run), "--scores", str(out / "scores")]


def _explore(city: Path, settings: Settings, run: Path, vectors: Path, out: Path) -> Path:
    from urbanln.explore.exporting import export_page
    from urbanln.stages.explore import Asked, content_of

    asked = Asked(str(vectors), str(run), out / "scores", QUERIES)
    return Path(export_page(content_of([City.open(city)], asked, settings), out / "explore")[0])
