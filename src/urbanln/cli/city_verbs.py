"""The verbs that make a city, describe it and look at it; each parses, calls one function, prints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from urbanln.base.bounds import MAX_SEED, MOST, SHARES_OFF
from urbanln.base.errors import InputError
from urbanln.base.saying import answer, say
from urbanln.cli.options import (
    CaptionFilesOption,
    ClassesOption,
    CrsOption,
    DatumOption,
    DecimalOption,
    DistrictOption,
    EmptyPartOption,
    EncodingOption,
    IdColumnOption,
    LatLonOption,
    LonLatOption,
    MissingOption,
    OutsideChinaOption,
    RegionsOption,
    SetOption,
    SettingsOption,
    SharesOption,
    ShareToleranceOption,
    SplitColumnOption,
    ThousandsOption,
    TrustIdsOption,
    a_number,
    named_folder,
)

if TYPE_CHECKING:
    from urbanln.stages.audit import Audit


def synthetic(
    out: Annotated[Path, typer.Argument(metavar="OUT", parser=named_folder, help="folder of the new city")],
    regions: Annotated[int, typer.Option(min=1, max=1_000_000, help="number of regions")] = 400,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="another seed, another city")] = 0,
    cell_km: Annotated[
        float, typer.Option(min=0.05, max=100, callback=a_number, help="edge of a region in km")
    ] = 1.0,
    street_views: Annotated[int, typer.Option(min=0, max=1000, help="street views per region, about")] = 2,
    kinds: Annotated[bool, typer.Option("--kinds", help="also a label of classes and one of shares")] = False,
) -> None:
    """Draw a synthetic city: pictures, true scenes and simulated labels with known causes."""
    from urbanln.city.synthetic import make_synthetic_city

    city = make_synthetic_city(
        out, regions=regions, seed=seed, cell_km=cell_km, street_views=street_views, kinds=kinds
    )
    answer(f"{out}: {len(city.regions)} synthetic regions, {len(city.images)} pictures")


def ingest(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[PICTURES] TABLE",
            help="folder of pictures, where there are any; CSV, Parquet, GeoJSON or GeoPackage, a row each",
        ),
    ],
    out: Annotated[Path, typer.Option(parser=named_folder, help="folder of the new city")],
    name: Annotated[str | None, typer.Option(help="name of the city; the folder's when left out")] = None,
    regions: RegionsOption = "picture",
    id_column: IdColumnOption = None,
    image_column: Annotated[str | None, typer.Option(help="column with the picture's file name")] = None,
    lon: Annotated[str, typer.Option(help="column of longitudes (or eastings, see --crs)")] = "lon",
    lat: Annotated[str, typer.Option(help="column of latitudes (or northings)")] = "lat",
    lonlat_column: LonLatOption = None,
    latlon_column: LatLonOption = None,
    crs: CrsOption = "EPSG:4326",
    datum: DatumOption = "wgs84",
    outside_china: OutsideChinaOption = "refuse",
    district: DistrictOption = None,
    view: Annotated[str, typer.Option(help="satellite | street | a column that says which")] = "satellite",
    split_column: SplitColumnOption = None,
    label: Annotated[list[str], typer.Option(help="column of numbers to predict; may be given again")] = [],  # noqa: B006
    classes: ClassesOption = [],  # noqa: B006
    shares: SharesOption = [],  # noqa: B006
    missing: MissingOption = [],  # noqa: B006
    empty_part: EmptyPartOption = "refuse",
    share_tolerance: ShareToleranceOption = SHARES_OFF,
    trust_ids: TrustIdsOption = False,
    encoding: EncodingOption = None,
    thousands: ThousandsOption = None,
    decimal: DecimalOption = None,
    captured: Annotated[str | None, typer.Option(help="column with the date of the picture")] = None,
    source: Annotated[str, typer.Option(help="where the pictures come from")] = "",
    licence: Annotated[str, typer.Option(help="licence of the pictures")] = "",
    attribution: Annotated[str, typer.Option(help="whom to name")] = "",
    copy: Annotated[bool, typer.Option(help="copy the pictures, or refer to them")] = True,
    limit: Annotated[int | None, typer.Option(min=1, max=MOST, help="only the first rows, for a try")] = None,
) -> None:
    """Make a city of a table with places and labels, and pictures where there are any; or a corpus."""
    from urbanln.city.ingest import ingest as ingest_city

    if len(paths) > 2:
        what, given = "ingest takes a folder of pictures and one table", [str(p) for p in paths]
        remedy = "urbanln ingest pictures/ table.csv --out mycity"
        raise InputError(what, value=given, where="PICTURES TABLE", remedy=remedy)
    *pictures, table = paths
    # No link is followed: it may lead nowhere, or round in a circle.
    name = name or Path(os.path.abspath(out)).name  # noqa: PTH100
    report = ingest_city(
        pictures[0] if pictures else None, table, out, name=name, regions=regions,
        id_column=id_column, image_column=image_column, lon=lon, lat=lat, lonlat_column=lonlat_column,
        latlon_column=latlon_column, crs=crs, datum=datum, outside_china=outside_china, district=district,
        view=view, split_column=split_column, labels=label, classes=classes, shares=shares, missing=missing,
        empty_part=empty_part, share_tolerance=share_tolerance, trust_ids=trust_ids,
        encoding=encoding, thousands=thousands, decimal=decimal, captured=captured, source=source,
        licence=licence, attribution=attribution, copy=copy, limit=limit,
    )  # fmt: skip
    answer(*report.lines())


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
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="only the first pictures, for a try")
    ] = None,
    budget_usd: Annotated[
        float | None,
        typer.Option(min=0, max=1e9, callback=a_number, help="what all answers in the ledger may cost"),
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="pictures may leave this network")
    ] = False,
    replace: Annotated[bool, typer.Option(help="leave out the captions that are in the table")] = False,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Describe every picture of a city; refine, clean and vote; writes captions.parquet."""
    from urbanln.base.config import load_settings
    from urbanln.captions.settings import CaptionSettings
    from urbanln.stages import caption as stage

    more = ["describe.allow_remote=true"] if allow_remote else []
    chosen = load_settings(settings, [*set_, *more], of=CaptionSettings)
    if vote is not None:
        return stage.vote_file(vote, out, chosen, model)
    if city is None:
        raise InputError(
            "no city was given", remedy="urbanln caption CITY …, or --vote TABLE without a city", where="CITY"
        )
    if show is not None:
        return stage.show(city, show, out, chosen.captions.ledger)
    if export_ledger is not None or import_ledger is not None:
        return stage.move_ledger(city, export_ledger, import_ledger, chosen.captions.ledger)
    if plan:
        return stage.print_plan(city, captioner, chosen, limit=limit, budget_usd=budget_usd)
    return stage.caption(city, captioner, chosen, model, limit=limit, budget_usd=budget_usd, replace=replace)


def audit(
    city: Annotated[Path | None, typer.Argument(metavar="CITY", help="a city folder")] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="a plain table of labels, without a city")
    ] = None,
    label: Annotated[list[str], typer.Option(help="only these labels; may be given again")] = [],  # noqa: B006
    classes: ClassesOption = [],  # noqa: B006
    shares: SharesOption = [],  # noqa: B006
    lon: Annotated[str, typer.Option(help="column of longitudes in --labels")] = "lon",
    lat: Annotated[str, typer.Option(help="column of latitudes in --labels")] = "lat",
    lonlat_column: LonLatOption = None,
    latlon_column: LatLonOption = None,
    crs: CrsOption = "EPSG:4326",
    datum: DatumOption = "wgs84",
    outside_china: OutsideChinaOption = "refuse",
    missing: MissingOption = [],  # noqa: B006
    empty_part: EmptyPartOption = "refuse",
    share_tolerance: ShareToleranceOption = SHARES_OFF,
    encoding: EncodingOption = None,
    thousands: ThousandsOption = None,
    decimal: DecimalOption = None,
    pictures: Annotated[bool, typer.Option(help="also look for pictures that show up again")] = True,
    captions: CaptionFilesOption = [],  # noqa: B006
    model: Annotated[str, typer.Option(help="whose tokenizer counts tokens; 'clip' is CLIP's own")] = "clip",
    out: Annotated[Path | None, typer.Option(help="JSON file to write as well")] = None,
    page: Annotated[Path | None, typer.Option(help="HTML page to write as well")] = None,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Look at labels, pictures and captions before anything is trained; suggest blocks and a buffer."""
    from urbanln.base.config import load_settings
    from urbanln.base.outputs import PAGE, output_file
    from urbanln.base.written import Written
    from urbanln.captions.settings import CaptionSettings
    from urbanln.city.coordinates import Positions
    from urbanln.city.labels import AskedLabels
    from urbanln.stages.audit import AUDIT, look

    reads = [*([labels] if labels else []), *captions]
    if out is not None:
        output_file(out, AUDIT, inputs=reads)
    if page is not None:
        output_file(page, PAGE, inputs=reads, option="--page")
    chosen = load_settings(settings, set_, of=CaptionSettings)
    found = look(
        city, labels, captions, model=model, pictures=pictures,
        where=Positions(lon, lat, crs, datum, lonlat_column, latlon_column, outside_china),
        chosen=AskedLabels.of(
            label, classes, shares, missing=missing, empty_part=empty_part, share_tolerance=share_tolerance
        ),
        written=Written(encoding, thousands, decimal),
        clean=chosen.clean, ledger=chosen.captions.ledger,
    )  # fmt: skip
    answer(*found.lines())
    _write_audit(found, out, page)


def _write_audit(found: Audit, out: Path | None, page: Path | None) -> None:
    if out is not None:
        from urbanln.base.files import write_json

        write_json(out, found.as_json())
        say(str(out))
    if page is not None:
        from urbanln.stages.audit_page import audit_page

        say(str(audit_page(found, page)))
