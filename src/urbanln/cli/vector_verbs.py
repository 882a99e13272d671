"""The verbs that make vectors, score them and tell; each parses, calls one function, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from urbanln.base.saying import answer, speaks
from urbanln.cli.options import (
    DecimalOption,
    EncodingOption,
    KeyOption,
    NodataOption,
    SetOption,
    SettingsOption,
    ThousandsOption,
    named_folder,
)
from urbanln.cli.scores import print_scores

if TYPE_CHECKING:
    from urbanln.city.store import City


def demo(
    out: Annotated[
        Path, typer.Option(parser=named_folder, help="folder to write to; run again, it goes on")
    ] = Path("demo-out"),
    regions: Annotated[int, typer.Option(min=144, max=1_000_000, help="regions of the synthetic city")] = 400,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="pre-trainings, each with a seed of its own")
    ] = 2,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """The whole story on a synthetic city, offline: captions, pre-training, vectors, scores, report."""
    from urbanln.demo import run_demo

    run_demo(out, regions=regions, seeds=seeds, overrides=set_, show=print_scores)


def pretrain(
    cities: Annotated[list[Path], typer.Argument(metavar="CITY...", help="one or several city folders")],
    out: Annotated[Path, typer.Option(parser=named_folder, help="folder of the run; run again, it resumes")],
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Stretch a CLIP and train it on pictures and captions with momentum self-distillation."""
    from urbanln.base.config import load_settings
    from urbanln.city.store import City
    from urbanln.train.loop import pretrain as pretrain_cities

    run = pretrain_cities([City.open(folder) for folder in cities], load_settings(settings, set_), out)
    if speaks():
        answer(str(run))


def embed(
    cities: Annotated[list[Path], typer.Argument(metavar="CITY...", help="one or several city folders")],
    model: Annotated[
        str,
        typer.Option(
            help="a run folder, a model's folder or name, 'tiny'; or pixels (measured), text (TF-IDF of "
            "captions), imagenet (a network that never saw a city)"
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            help="table to write: .parquet (GeoParquet), .csv or .gpkg (a column per dimension); for several "
            "cities like 'vectors/{city}.parquet'"
        ),
    ],
    captions: Annotated[
        list[Path], typer.Option(metavar="FILE", help="recorded captions for text; may be given again")
    ] = [],  # noqa: B006
    all_captions: Annotated[
        bool, typer.Option("--all-captions", help="text: all candidates of a picture, not the selected one")
    ] = False,
    terms: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="text: words and word pairs at most")
    ] = 1000,
    part: Annotated[
        str | None, typer.Option(metavar="I/N", help="share of the work, as 2/4; the last writes the table")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ray[:ADDRESS]",
            help="share the work among the workers of a Ray cluster; without an address, of this machine",
        ),
    ] = None,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Turn the pictures (or captions) of each region into one vector."""
    from urbanln.base.config import load_settings
    from urbanln.city.store import City
    from urbanln.stages.embed import PICTURES, embed_cities

    places = [City.open(folder, pictures=PICTURES) for folder in cities]
    for path in embed_cities(
        places, model, out, load_settings(settings, set_),
        captions=captions, which="all" if all_captions else "selected", terms=terms, part=part, engine=engine,
    ):  # fmt: skip
        answer(str(path))


def probe(
    cities: Annotated[list[Path], typer.Argument(metavar="CITY...", help="one or several city folders")],
    out: Annotated[Path, typer.Option(parser=named_folder, help="folder for the scores and predictions")],
    vectors: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FILE[#COL,…]",
            help="table of region vectors, ours or anybody's (Parquet, CSV; by region_id or lon, lat; {city} "
            "stands for the city folder's name; COL may be a pattern like A*); the first is judged",
        ),
    ] = [],  # noqa: B006
    key: KeyOption = [],  # noqa: B006
    nodata: NodataOption = [],  # noqa: B006
    encoding: EncodingOption = None,
    thousands: ThousandsOption = None,
    decimal: DecimalOption = None,
    baseline: Annotated[str | None, typer.Option(help="name of the table to compare the first with")] = None,
    indicator: Annotated[list[str], typer.Option(help="only these labels; may be given again")] = [],  # noqa: B006
    transductive: Annotated[
        bool | None,
        typer.Option(help="whether pre-training saw the pictures of the test regions; else the table says"),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="other scores in --out may go")] = False,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Score vectors against labels under random and spatial splits, beside the floors."""
    from urbanln.base.commands import command_line, settings_given
    from urbanln.base.config import ProbeSettings, load_settings
    from urbanln.base.locks import alone_in
    from urbanln.base.written import Written
    from urbanln.probe.saved import save_result
    from urbanln.stages.probe import PICTURES, check_out, run_probe
    from urbanln.tables.cities import read_vectors, vector_files

    places, chosen = _with_places(cities, PICTURES), load_settings(settings, set_)
    written = Written(encoding, thousands, decimal)
    tables = read_vectors(vectors, places, keys=key, nodata=nodata, written=written)
    check_out(
        out, places, list(tables), chosen, baseline=baseline, indicators=indicator,
        inputs=vector_files(vectors, places), replace=replace,
    )  # fmt: skip
    given = settings_given(
        "probe", chosen.probe.model_dump(mode="json"), ProbeSettings().model_dump(mode="json")
    )
    command = command_line("probe", cities, {
        "--vectors": vectors, "--key": key, "--nodata": nodata, "--encoding": encoding,
        "--thousands": thousands, "--decimal": decimal, "--baseline": baseline, "--indicator": indicator,
        "--transductive": transductive, "--no-transductive": transductive is False, "--out": out,
        "--set": given,
    })  # fmt: skip
    with alone_in(out, "scores into this folder"):
        result = run_probe(places, tables, chosen, baseline=baseline, indicators=indicator,
                           transductive=transductive, command=command)  # fmt: skip
        save_result(out, result)
    print_scores(result.scores)


def _with_places(folders: list[Path], pictures: tuple[str, ...]) -> list[City]:
    """Cities with these columns of their pictures, whose files are not asked for.

    A corpus of pictures without places is refused before anything else is asked.
    """
    from urbanln.city.store import City

    cities = [City.open(folder, check_files=False, pictures=pictures) for folder in folders]
    for city in cities:
        city.need_places()
    return cities


def report(
    cities: Annotated[list[Path], typer.Argument(metavar="CITY...", help="the cities that were probed")],
    scores: Annotated[Path, typer.Option(help="folder that probe wrote")],
    out: Annotated[Path, typer.Option(help="HTML file to write")],
    run: Annotated[Path | None, typer.Option(help="run folder, for its curves and settings")] = None,
    audit: Annotated[
        bool, typer.Option(help="of a single city: audit its labels, pictures, captions")
    ] = True,
) -> None:
    """Write one self-contained HTML page: verdict, scores, audit, maps, curves, examples."""
    from urbanln.base.commands import command_line
    from urbanln.base.outputs import PAGE, output_file
    from urbanln.stages.audit import audit as audit_city
    from urbanln.stages.report import PICTURES, report_run

    output_file(out, PAGE)
    places = _with_places(cities, PICTURES)
    options = {"--scores": scores, "--run": run, "--no-audit": not audit, "--out": out}
    command = command_line("report", cities, options)
    found = audit_city(places[0]).as_json() if audit and len(places) == 1 else None
    answer(str(report_run(places, scores, out, run=run, audit=found, command=command)))


def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a study file, see studies/")],
    out: Annotated[
        Path,
        typer.Option(parser=named_folder, help="folder of results; run again, only what is missing is done"),
    ],
    plan: Annotated[bool, typer.Option("--plan", help="say what would be done, and do nothing")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="processes; one per core when left out")
    ] = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Run variants × seeds × cities from one file; writes a table with intervals and a plot."""
    from urbanln.study.run import plan_lines, run_study
    from urbanln.study.spec import load_study

    chosen = load_study(file, set_)
    if plan:
        answer(*plan_lines(chosen, out))
    else:
        answer(str(run_study(chosen, out, jobs=jobs)))
