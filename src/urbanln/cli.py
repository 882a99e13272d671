"""The command line: one verb per stage; each parses, calls one function, prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from urbanln import __version__
from urbanln.errors import InputError, StorageError, UrbanLNError, explain_missing, printable

_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="urbanln",
    help="Region vectors from city pictures and long captions, scored beside the floors they must beat.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

CityArgument = Annotated[Path, typer.Argument(metavar="CITY", help="a city folder")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="change one setting, e.g. train.lr=1e-5")
]
SettingsOption = Annotated[Path | None, typer.Option("--settings", help="a TOML file of settings")]


def _version(show: bool) -> None:
    if show:
        print(f"urbanln {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options of the program itself."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder to write to; run again, it goes on")] = Path("demo-out"),
    regions: Annotated[int, typer.Option(min=144, help="regions of the synthetic city")] = 400,
    seeds: Annotated[int, typer.Option(min=1, help="pre-trainings, each with a seed of its own")] = 2,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """The whole story on a synthetic city, offline: captions, pre-training, vectors, scores, report."""
    from urbanln.demo import run_demo

    run_demo(out, regions=regions, seeds=seeds, overrides=set_)


@app.command()
def synthetic(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder of the new city")],
    regions: Annotated[int, typer.Option(min=1, help="number of regions")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="another seed, another city")] = 0,
    cell_km: Annotated[float, typer.Option(min=0.05, help="edge of a region in km")] = 1.0,
    street_views: Annotated[int, typer.Option(min=0, help="street views per region, about")] = 2,
) -> None:
    """Draw a synthetic city: pictures, true scenes and simulated labels with known causes."""
    from urbanln.city.synthetic import make_synthetic_city

    city = make_synthetic_city(out, regions=regions, seed=seed, cell_km=cell_km, street_views=street_views)
    print(f"{out}: {len(city.regions)} synthetic regions, {len(city.images)} pictures")


@app.command()
def ingest(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[PICTURES] TABLE",
            help="folder of pictures, where there are any; CSV, Parquet, GeoJSON or GeoPackage, a row each",
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder of the new city")],
    name: Annotated[str | None, typer.Option(help="name of the city; the folder's when left out")] = None,
    regions: Annotated[
        str, typer.Option(help="picture | h3:RESOLUTION | tile:ZOOM | a file of polygons[#COLUMN of ids]")
    ] = "picture",
    id_column: Annotated[
        str | None, typer.Option(help="column whose value names the picture file, or the region")
    ] = None,
    image_column: Annotated[str | None, typer.Option(help="column with the picture's file name")] = None,
    lon: Annotated[str, typer.Option(help="column of longitudes (or eastings, see --crs)")] = "lon",
    lat: Annotated[str, typer.Option(help="column of latitudes (or northings)")] = "lat",
    lonlat_column: Annotated[
        str | None, typer.Option(help='one column with both, longitude first: "(116.4, 39.9)"')
    ] = None,
    latlon_column: Annotated[
        str | None, typer.Option(help='one column with both, latitude first: "(39.9, 116.4)"')
    ] = None,
    crs: Annotated[str, typer.Option(help="reference system of the coordinates")] = "EPSG:4326",
    datum: Annotated[
        str, typer.Option(help="wgs84 | gcj02 | bd09: Chinese maps' coordinates are converted")
    ] = "wgs84",
    district: Annotated[
        str | None, typer.Option(help="districts to hold out: a column, or a file of polygons[#COLUMN]")
    ] = None,
    view: Annotated[str, typer.Option(help="satellite | street | a column that says which")] = "satellite",
    label: Annotated[list[str], typer.Option(help="column to predict; may be given again")] = [],  # noqa: B006
    captured: Annotated[str | None, typer.Option(help="column with the date of the picture")] = None,
    source: Annotated[str, typer.Option(help="where the pictures come from")] = "",
    licence: Annotated[str, typer.Option(help="licence of the pictures")] = "",
    attribution: Annotated[str, typer.Option(help="whom to name")] = "",
    copy: Annotated[bool, typer.Option(help="copy the pictures, or refer to them")] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first rows, for a try")] = None,
) -> None:
    """Make a city from a table with coordinates and labels, and a folder of pictures where there is one."""
    from urbanln.city.ingest import ingest as ingest_city

    if len(paths) > 2:
        raise InputError("ingest takes a folder of pictures and one table", value=[str(p) for p in paths])
    *pictures, table = paths
    report = ingest_city(
        pictures[0] if pictures else None, table, out, name=name or out.resolve().name, regions=regions,
        id_column=id_column, image_column=image_column, lon=lon, lat=lat, lonlat_column=lonlat_column,
        latlon_column=latlon_column, crs=crs, datum=datum, district=district, view=view, labels=label,
        captured=captured, source=source, licence=licence, attribution=attribution, copy=copy, limit=limit,
    )  # fmt: skip
    print("\n".join(report.lines()))


@app.command()
def caption(
    city: Annotated[Path | None, typer.Argument(metavar="CITY", help="a city folder")] = None,
    captioner: Annotated[
        list[str],
        typer.Option(
            help="openai:MODEL@URL | transformers:MODEL | measured | recorded:TABLE | simulated | a name in "
            "the settings; may be given again; left out: all in the settings"
        ),
    ] = [],  # noqa: B006
    plan: Annotated[bool, typer.Option("--plan", help="say what it would take, and send nothing")] = False,
    show: Annotated[
        str | None, typer.Option(metavar="IMAGE_ID", help="one picture's texts and parts as a page")
    ] = None,
    vote: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="vote on a table of captions, without a city")
    ] = None,
    export_ledger: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write the ledger as Parquet")
    ] = None,
    import_ledger: Annotated[
        Path | None, typer.Option(metavar="FILE", help="take in another host's export")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="file that --show or --vote writes")] = None,
    model: Annotated[str, typer.Option(help="whose tokenizer counts tokens; 'clip' is CLIP's own")] = "tiny",
    limit: Annotated[int | None, typer.Option(min=1, help="only the first pictures, for a try")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(min=0, help="what all answers in the ledger may cost")
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="pictures may leave this network")
    ] = False,
    replace: Annotated[bool, typer.Option(help="leave out the captions that are in the table")] = False,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Describe every picture of a city; refine, clean and vote; writes captions.parquet."""
    from urbanln import caption_verb
    from urbanln.captions.settings import CaptionSettings
    from urbanln.config import load_settings

    more = ["describe.allow_remote=true"] if allow_remote else []
    chosen = load_settings(settings, [*set_, *more], of=CaptionSettings)
    if vote is not None:
        return caption_verb.vote_file(vote, out, chosen, model)
    if city is None:
        raise InputError("no city was given", remedy="urbanln caption CITY …, or --vote TABLE without a city")
    if show is not None:
        return caption_verb.show(city, show, out)
    if export_ledger is not None or import_ledger is not None:
        return caption_verb.move_ledger(city, export_ledger, import_ledger)
    asked = caption_verb.Request(city, tuple(captioner), chosen, model, limit, budget_usd, replace)
    return caption_verb.print_plan(asked) if plan else caption_verb.caption(asked)


@app.command()
def audit(
    city: Annotated[Path | None, typer.Argument(metavar="CITY", help="a city folder")] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="a plain table of labels, without a city")
    ] = None,
    label: Annotated[list[str], typer.Option(help="only these labels; may be given again")] = [],  # noqa: B006
    lon: Annotated[str, typer.Option(help="column of longitudes in --labels")] = "lon",
    lat: Annotated[str, typer.Option(help="column of latitudes in --labels")] = "lat",
    lonlat_column: Annotated[str | None, typer.Option(help="one column with both, longitude first")] = None,
    latlon_column: Annotated[str | None, typer.Option(help="one column with both, latitude first")] = None,
    crs: Annotated[str, typer.Option(help="reference system of these coordinates")] = "EPSG:4326",
    datum: Annotated[str, typer.Option(help="their datum: wgs84 | gcj02 | bd09")] = "wgs84",
    pictures: Annotated[bool, typer.Option(help="also look for pictures that show up again")] = True,
    captions: Annotated[
        list[Path], typer.Option(metavar="FILE", help="recorded captions, with or without a city")
    ] = [],  # noqa: B006
    model: Annotated[str, typer.Option(help="whose tokenizer counts tokens; 'clip' is CLIP's own")] = "clip",
    out: Annotated[Path | None, typer.Option(help="JSON file to write as well")] = None,
    page: Annotated[Path | None, typer.Option(help="HTML page to write as well")] = None,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Look at labels, pictures and captions before anything is trained; suggest blocks and a buffer."""
    from urbanln import audit_verb
    from urbanln.captions.settings import CaptionSettings
    from urbanln.city.coordinates import Positions
    from urbanln.config import load_settings

    found = audit_verb.look(
        city, labels, captions, chosen=label, model=model, pictures=pictures,
        where=Positions(lon, lat, crs, datum, lonlat_column, latlon_column),
        clean=load_settings(settings, set_, of=CaptionSettings).clean,
    )  # fmt: skip
    print("\n".join(map(printable, found.lines())))
    if out is not None:
        from urbanln.files import write_json

        write_json(out, found.as_json())
        print(out, file=sys.stderr)
    if page is not None:
        from urbanln.report.page import write_audit_page

        print(write_audit_page(page, found.name, found.as_json(), found.synthetic), file=sys.stderr)


@app.command()
def pretrain(
    cities: Annotated[list[Path], typer.Argument(metavar="CITY...", help="one or several city folders")],
    out: Annotated[Path, typer.Option(help="folder of the run; run again, it resumes")],
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Stretch a CLIP and train it on pictures and captions with momentum self-distillation."""
    from urbanln.city.store import City
    from urbanln.config import load_settings
    from urbanln.train.loop import pretrain as pretrain_cities

    run = pretrain_cities([City.open(folder) for folder in cities], load_settings(settings, set_), out)
    print(run)


@app.command()
def embed(
    cities: Annotated[list[Path], typer.Argument(metavar="CITY...", help="one or several city folders")],
    model: Annotated[
        str,
        typer.Option(
            help="a run folder, a CLIP folder or name, 'tiny'; or pixels (measured), text (TF-IDF of "
            "captions), imagenet (a network that never saw a city)"
        ),
    ],
    out: Annotated[
        str, typer.Option(help="GeoParquet file to write; for several cities like 'vectors/{city}.parquet'")
    ],
    captions: Annotated[
        list[Path], typer.Option(metavar="FILE", help="recorded captions for text; may be given again")
    ] = [],  # noqa: B006
    all_captions: Annotated[
        bool, typer.Option("--all-captions", help="text: all candidates of a picture, not the selected one")
    ] = False,
    terms: Annotated[int, typer.Option(min=1, help="text: words and word pairs at most")] = 1000,
    part: Annotated[
        str | None, typer.Option(metavar="I/N", help="share of the work, as 2/4; the last writes the table")
    ] = None,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Turn the pictures (or captions) of each region into one vector; writes GeoParquet."""
    from urbanln.city.store import City
    from urbanln.config import load_settings
    from urbanln.embed_verb import embed_cities

    for path in embed_cities(
        [City.open(folder) for folder in cities], model, out, load_settings(settings, set_),
        captions=captions, which="all" if all_captions else "selected", terms=terms, part=part,
    ):  # fmt: skip
        print(path)


@app.command()
def probe(
    cities: Annotated[list[Path], typer.Argument(metavar="CITY...", help="one or several city folders")],
    out: Annotated[Path, typer.Option(help="folder for the scores and predictions")],
    vectors: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FILE[#COL,…]",
            help="table of region vectors, ours or anybody's (Parquet, CSV; by region_id or lon, lat; {city} "
            "stands for the city folder's name); the first is judged",
        ),
    ] = [],  # noqa: B006
    baseline: Annotated[str | None, typer.Option(help="name of the table to compare the first with")] = None,
    indicator: Annotated[list[str], typer.Option(help="only these labels; may be given again")] = [],  # noqa: B006
    transductive: Annotated[
        bool | None,
        typer.Option(help="whether pre-training saw the pictures of the test regions; else the table says"),
    ] = None,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Score vectors against labels under random and spatial splits, beside the floors."""
    from urbanln import pipeline
    from urbanln.city.store import City
    from urbanln.config import load_settings
    from urbanln.probe.run import save_result
    from urbanln.terminal import print_scores
    from urbanln.vector_tables import read_vectors

    places = [City.open(folder) for folder in cities]
    result = pipeline.run_probe(
        places, read_vectors(vectors, places), load_settings(settings, set_), baseline=baseline,
        indicators=indicator, transductive=transductive,
    )  # fmt: skip
    save_result(out, result)
    print_scores(result.scores)


@app.command()
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
    from urbanln import audit_verb, pipeline
    from urbanln.city.store import City

    places = [City.open(folder) for folder in cities]
    command = f"urbanln report {' '.join(map(str, cities))} --scores {scores} --out {out}"
    found = audit_verb.audit(places[0]).as_json() if audit and len(places) == 1 else None
    print(
        pipeline.report_run(
            places, scores, out, run=run, audit=found, command=command + (f" --run {run}" if run else "")
        )
    )


@app.command()
def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a study file, see studies/")],
    out: Annotated[Path, typer.Option(help="folder of results; run again, only what is missing is done")],
    plan: Annotated[bool, typer.Option("--plan", help="say what would be done, and do nothing")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="processes; one per core when left out")] = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Run variants × seeds × cities from one file; writes a table with intervals and a plot."""
    from urbanln.study.run import plan_lines, run_study
    from urbanln.study.spec import load_study

    chosen = load_study(file, set_)
    if plan:
        print("\n".join(plan_lines(chosen, out)))
    else:
        print(run_study(chosen, out, jobs=jobs))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit codes: 0 done, 1 failed, 2 wrong usage or bad input."""
    try:
        app(args=arguments, prog_name="urbanln")
    except UrbanLNError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        explained = explain_missing(error)
        if explained is None:
            raise
        _fail(explained)
    except OSError as error:
        if error.errno is None:
            raise  # not from the operating system
        _fail(
            StorageError(
                f"a file could not be used: {error.strerror}",
                where=error.filename,
                remedy="check that it is there, that you may use it and that the disk is not full",
            )
        )
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            print("stopped; run the same command again to go on", file=sys.stderr)
        raise


def _fail(error: UrbanLNError) -> None:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
